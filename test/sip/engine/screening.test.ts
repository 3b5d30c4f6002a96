import { describe, expect, it } from '@jest/globals'
import { screenPeers } from '../../../src/sip/engine/screening.ts'
import type { ScreenedPeer } from '../../../src/sip/engine/screening.ts'

const table: readonly ScreenedPeer[] = [
  { id: 'wide', addresses: ['10.0.0.0/8', '2001:db8::/32'], certificateNames: [] },
  { id: 'narrow', addresses: ['10.1.2.0/24'], certificateNames: [] },
  { id: 'one', addresses: ['10.1.2.3', '2001:db8:0:0::5'], certificateNames: [] },
  { id: 'certified', addresses: ['10.9.9.9'], certificateNames: ['sbc.certified.example', 'sip:second.example'] },
  { id: 'roaming', addresses: [], certificateNames: ['roaming.example'] },
  { id: 'shared', addresses: ['10.1.2.3'], certificateNames: ['shared.example'] }
]
const screen = screenPeers(table)
const from = (host: string, transport: 'udp' | 'tcp' | 'tls' = 'udp', certificateNames: readonly string[] = []) =>
  screen({ transport, remote: { host, port: 5060 }, certificateNames })

describe('screening of peers', () => {
  it('knows a peer by address, the longest prefix first', () => {
    expect(from('10.200.0.1')).toEqual({ peerId: 'wide' })
    expect(from('10.1.2.4')).toEqual({ peerId: 'narrow' })
    expect(from('10.1.2.3')).toEqual({ peerId: 'one' })
  })

  it('knows IPv6 in any spelling and IPv4 inside IPv6', () => {
    expect(from('2001:db8::5')).toEqual({ peerId: 'one' })
    expect(from('2001:DB8:0:0:0:0:0:5')).toEqual({ peerId: 'one' })
    expect(from('2001:db8:ffff::1')).toEqual({ peerId: 'wide' })
    expect(from('::ffff:10.1.2.3')).toEqual({ peerId: 'one' })
  })

  it('is silent on UDP and refuses elsewhere when nobody is known', () => {
    expect(from('192.0.2.1')).toBe('drop')
    expect(from('192.0.2.1', 'tcp')).toBe('refuse')
    expect(from('192.0.2.1', 'tls')).toBe('refuse')
    expect(from('2001:db9::1')).toBe('drop')
  })

  it('SEC-03: on TLS both the certificate and the address must be those of the peer, if it has addresses', () => {
    expect(from('10.9.9.9', 'tls', ['SBC.certified.example'])).toEqual({ peerId: 'certified' })
    expect(from('10.9.9.9', 'tls', ['other.example', 'second.example'])).toEqual({ peerId: 'certified' })
    expect(from('192.0.2.1', 'tls', ['sbc.certified.example'])).toBe('refuse')
    expect(from('192.0.2.1', 'tls', ['roaming.example'])).toEqual({ peerId: 'roaming' })
    // Two peers behind one address are told apart by what they prove.
    expect(from('10.1.2.3', 'tls', ['shared.example'])).toEqual({ peerId: 'shared' })
    expect(from('10.1.2.3', 'tls')).toEqual({ peerId: 'one' })
  })

  it('a peer that names certificates is not known on TLS by its address alone', () => {
    expect(from('10.9.9.9', 'tls')).toBe('refuse')
    expect(from('10.9.9.9', 'udp')).toEqual({ peerId: 'certified' })
    expect(from('10.1.2.3', 'tls', ['unknown.example'])).toEqual({ peerId: 'one' })
  })

  it('an empty table knows nobody', () => {
    expect(screenPeers([])({ transport: 'udp', remote: { host: '127.0.0.1', port: 1 }, certificateNames: [] })).toBe(
      'drop'
    )
  })

  it.each(['10.0.0.0/33', 'host.example', '10.0.0.0/', '::1/129', '1.2.3.4/8/9', ''])('"%s" is an error', address => {
    expect(() => screenPeers([{ id: 'x', addresses: [address], certificateNames: [] }])).toThrow(
      expect.objectContaining({ code: 'HUB_CONFIG' })
    )
  })
})
