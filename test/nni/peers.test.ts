import { describe, expect, it } from '@jest/globals'
import { healthAfter } from '../../src/nni/keepalive.ts'
import type { Health } from '../../src/nni/keepalive.ts'
import { createPeers, peerOf } from '../../src/nni/peers.ts'
import { operator } from '../support/nni.ts'

describe('who a request is from', () => {
  const peers = createPeers([
    operator('one', 5060, { sources: ['192.0.2.0/24', '2001:db8::/32', 'sbc.example'] }),
    operator('two', 5060, { address: { host: '192.0.2.7', port: 5060 } }),
    operator('off', 5060, { enabled: false, sources: ['198.51.100.1'] })
  ])

  it('what the engine has verified decides', () => {
    expect(peers.identify('two', '203.0.113.1')?.id).toBe('two')
    expect(peers.identify('nobody', '192.0.2.1')).toBeNull()
    expect(peers.identify('off', '198.51.100.1')).toBeNull()
  })

  it('without that it is the source address: an exact one before a block', () => {
    expect(peers.identify(null, '192.0.2.1')?.id).toBe('one')
    expect(peers.identify(null, '2001:db8::9')?.id).toBe('one')
    expect(peers.identify(null, '192.0.2.7')?.id).toBe('two')
    expect(peers.identify(null, '127.0.0.1')?.id).toBe('one')
  })

  it.each(['203.0.113.1', '198.51.100.1', '', 'sbc.example'])('"%s" is nobody', address => {
    expect(peers.identify(null, address)).toBeNull()
  })

  it('an IPv6 peer is reached in brackets', () => {
    const peer = peerOf(
      operator('six', 5060, { address: { host: '2001:db8::1', port: 5061, transport: 'tcp' }, domain: undefined })
    )
    expect(peer).toMatchObject({ nextHop: 'sip:[2001:db8::1]:5061;transport=tcp', domain: '[2001:db8::1]' })
  })

  it('RTE-01: what the DNS shall say of a peer is left out of the next hop', () => {
    const hop = (dns: 'address' | 'srv' | 'naptr'): string =>
      peerOf(operator('named', 5060, { address: { host: 'op.example', port: 5060, transport: 'tcp', dns } })).nextHop
    expect(hop('address')).toBe('sip:op.example:5060;transport=tcp')
    expect(hop('srv')).toBe('sip:op.example;transport=tcp')
    expect(hop('naptr')).toBe('sip:op.example')
  })
})

describe('the health of a peer (RTE-09)', () => {
  const run = (start: Health, probes: string): string => {
    let health = start
    return probes
      .split('')
      .map(probe => ((health = healthAfter(health, probe === '+')).up ? 'u' : 'd'))
      .join('')
  }

  it('goes down after three misses in a row and up after two answers in a row', () => {
    expect(run({ up: true, against: 0 }, '--+---')).toBe('uuuuud')
    expect(run({ up: false, against: 0 }, '+-++')).toBe('dddu')
  })
})
