import { describe, expect, it } from '@jest/globals'
import { answerPort, plainHost, serverKey, stampSource, statelessTag, viaOf } from '../../src/sip/hop.ts'
import { parseMessage, parseVia } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { FakeClock, FakeFlow, rawRequest } from '../support/sip-wire.ts'
import type { RawRequest } from '../support/sip-wire.ts'

function requestOf(of: RawRequest): SipRequest {
  const parsed = parseMessage(Buffer.from(rawRequest(of)))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('not a request')
  return parsed.message
}
const via = (request: SipRequest) => parseVia(request.headers.get('Via')!)!

function stamped(
  of: RawRequest,
  host = '192.0.2.9',
  port = 4_000,
  transport: 'udp' | 'tcp' = 'udp'
): readonly string[] {
  const request = requestOf(of)
  stampSource(request, via(request), { transport, remote: { host, port } })
  return request.headers.all('Via')
}

describe('the source in the topmost Via', () => {
  it('is added where sent-by says another host, and where rport asks', () => {
    expect(stamped({ sentBy: '192.0.2.9:5060' })).toEqual(['SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1'])
    expect(stamped({ sentBy: 'a.example.org' })).toEqual([
      'SIP/2.0/UDP a.example.org;branch=z9hG4bK1;received=192.0.2.9'
    ])
    expect(stamped({ sentBy: '192.0.2.9:5060', viaParams: ';rport' })).toEqual([
      'SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;rport=4000;received=192.0.2.9'
    ])
    expect(stamped({ sentBy: '[2001:db8::1]:5060' }, '2001:db8::9')).toEqual([
      'SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;received=2001:db8::9'
    ])
  })

  it('says how often to ping where the peer offers to (RFC 6223), and leaves a time that stands there', () => {
    const keep = { sentBy: '192.0.2.9:5060', viaParams: ';keep' }
    expect(stamped(keep)).toEqual(['SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;keep=30'])
    expect(stamped(keep, '192.0.2.9', 4_000, 'tcp')).toEqual(['SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;keep=120'])
    expect(stamped({ ...keep, viaParams: ';keep=7' })).toEqual(['SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;keep=7'])
  })

  it('replaces what the peer claims, and leaves the Vias below alone', () => {
    const below = 'SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKbelow;received=198.51.100.1'
    const claimed = { sentBy: '192.0.2.9:5060', viaParams: `;received=203.0.113.5, ${below}` }
    expect(stamped(claimed)).toEqual(['SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;received=192.0.2.9', below])
  })
})

describe('the hop below', () => {
  it('is answered at its source port with rport, else at the port of sent-by or the default', () => {
    const flow = (transport: 'udp' | 'tls') => new FakeFlow(transport, new FakeClock())
    expect(answerPort(via(requestOf({ viaParams: ';rport' })), flow('udp'))).toBe(5_060)
    expect(answerPort(via(requestOf({ sentBy: 'a.example.org:7' })), flow('udp'))).toBe(7)
    expect(answerPort(via(requestOf({ sentBy: 'a.example.org' })), flow('udp'))).toBe(5_060)
    expect(answerPort(via(requestOf({ sentBy: 'a.example.org' })), flow('tls'))).toBe(5_061)
  })

  it('is named with brackets around an IPv6 address', () => {
    expect(viaOf('tls', { host: '2001:db8::1', port: 5_061 }, 'z9hG4bKx')).toBe(
      'SIP/2.0/TLS [2001:db8::1]:5061;rport;branch=z9hG4bKx'
    )
  })

  it('gets the same tag in answers without a transaction for the same request, another for another', () => {
    const key = (of: RawRequest): string => serverKey(requestOf(of), via(requestOf(of)), 'OPTIONS')
    expect(statelessTag(key({}))).toBe(statelessTag(key({})))
    expect(statelessTag(key({}))).not.toBe(statelessTag(key({ branch: 'z9hG4bK2' })))
    expect(statelessTag(key({}))).toMatch(/^[0-9a-f]{16}$/)
  })

  it('has a plain IPv4 address on an IPv6 socket too', () => {
    expect(['::ffff:192.0.2.1', '192.0.2.1', '::1', '::ffff:1'].map(plainHost)).toEqual([
      '192.0.2.1',
      '192.0.2.1',
      '::1',
      '::ffff:1'
    ])
  })
})
