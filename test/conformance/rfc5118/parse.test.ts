// RFC 5118, section 4: what IPv6 does to parsers.

import { describe, expect, it } from '@jest/globals'
import { parseMessage, parseNameAddr, parseVia, printMessage } from '../../../src/sip/message.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import { parseUri } from '../../../src/sip/uri.ts'
import type { SipUri } from '../../../src/sip/uri.ts'
import { validateRequest } from '../../../src/sip/validate.ts'
import { contact, message, sessionIn } from './messages.ts'

const supports = {
  methods: ['REGISTER', 'INVITE', 'BYE', 'OPTIONS'],
  extensions: [],
  schemes: ['sip'],
  contentTypes: ['application/sdp'],
  forwards: false
}

function requestOf(bytes: Buffer): SipRequest {
  const parsed = parseMessage(bytes)
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('refused')
  expect(printMessage(parsed.message).equals(bytes)).toBe(true)
  return parsed.message
}
const target = ({ uri }: SipRequest): SipUri => parseUri(uri) as SipUri

describe('RFC 5118, 4', () => {
  it('4.1 an IPv6 reference in the Request-URI is taken', () => {
    const request = requestOf(message({ more: [contact('[2001:db8::1]')] }))
    expect([target(request).host, target(request).port]).toEqual(['2001:db8::10', null])
    expect(parseVia(request.headers.get('Via')!)).toMatchObject({ host: '2001:db8::9:1', port: null })
    expect((parseUri(parseNameAddr(request.headers.get('Contact')!)!.uri) as SipUri).host).toBe('2001:db8::1')
    expect(validateRequest(request, supports)).toBeNull()
  })

  it('4.2 without its brackets it is 400, not guessed at', () => {
    const parsed = parseMessage(message({ uri: 'sip:2001:db8::10' }))
    const refused = parsed.ok ? validateRequest(parsed.message as SipRequest, supports)?.status : parsed.status
    expect(refused).toBe(400)
  })

  it('4.3 what looks like a port inside the brackets belongs to the address', () => {
    const uri = target(requestOf(message({ uri: 'sip:[2001:db8::10:5070]' })))
    expect([uri.host, uri.port]).toEqual(['2001:db8::10:5070', null])
  })

  it('4.4 behind them it is the port', () => {
    const uri = target(requestOf(message({ uri: 'sip:[2001:db8::10]:5070' })))
    expect([uri.host, uri.port]).toEqual(['2001:db8::10', 5070])
  })

  it('4.5 received is read with brackets and without', () => {
    for (const received of ['[2001:db8::9:255]', '2001:db8::9:255']) {
      const via = [`SIP/2.0/UDP [2001:db8::9:1];received=${received};branch=z9hG4bKas3`]
      const request = requestOf(message({ method: 'BYE', uri: 'sip:user@[2001:db8::9:1]', via }))
      expect(parseVia(request.headers.get('Via')!)?.params.get('received')).toBe(received)
      expect(validateRequest(request, supports)).toBeNull()
    }
  })

  it('4.6 and 4.8 addresses in SDP have no brackets, and both families may stand in one description', () => {
    const six = ['m=audio 6000 RTP/AVP 2', 'c=IN IP6 2001:db8::20']
    const both = [...six, 'm=video 6024 RTP/AVP 107', 'c=IN IP4 192.0.2.1']
    for (const media of [six, both]) {
      const more = [contact('[2001:db8::20]'), 'Content-Type: application/sdp']
      const request = requestOf(message({ method: 'INVITE', more, body: sessionIn(...media) }))
      expect(request.body.toString()).toContain('c=IN IP6 2001:db8::20\r\n')
      expect(validateRequest(request, supports)).toBeNull()
    }
  })

  it('4.7 the hops of one message may be of both families', () => {
    const via = [
      'SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111',
      'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144',
      'SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200'
    ]
    const request = requestOf(message({ method: 'BYE', via }))
    expect(request.headers.all('Via').map(text => parseVia(text)?.host)).toEqual([
      '2001:db8::9:1',
      '192.0.2.1',
      '2001:db8::9:255'
    ])
  })

  it('4.9 IPv4 inside IPv6 is read as what it is', () => {
    const via = ['SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19']
    const request = requestOf(
      message({ method: 'INVITE', uri: 'sip:user@example.com', via, more: [contact('[::ffff:192.0.2.10]:19823')] })
    )
    expect(parseVia(request.headers.get('Via')!)).toMatchObject({ host: '::ffff:192.0.2.10', port: 19_823 })
    expect(validateRequest(request, supports)).toBeNull()
  })

  it('4.10 the extra colon that the grammar of RFC 3261 allowed does no harm', () => {
    const via = ['SIP/2.0/UDP [2001:db8:::192.0.2.1];branch=z9hG4bKas3-111']
    const request = requestOf(message({ method: 'OPTIONS', uri: 'sip:user@[2001:db8:::192.0.2.1]', via }))
    expect(target(request).host).toBe('2001:db8:::192.0.2.1')
  })
})
