import { describe, expect, it } from '@jest/globals'
import { readCandidate } from '../../src/media/webrtc-transport.ts'

describe('a remote candidate', () => {
  it('is read where it is UDP, of the first component, at an IP address', () => {
    expect(readCandidate('1478895746 1 udp 2122194687 192.0.2.1 37498 typ host generation 0')).toMatchObject({
      ip: '192.0.2.1',
      port: 37_498,
      type: 'host',
      priority: 2_122_194_687
    })
    expect(readCandidate('1 1 UDP 1 2001:db8::1 9000 typ srflx raddr 10.0.0.1 rport 1')).toMatchObject({
      type: 'srflx'
    })
  })

  it.each([
    '1 1 tcp 1 192.0.2.1 9 typ host tcptype active',
    '1 2 udp 1 192.0.2.1 9000 typ host',
    '1 1 udp 1 8f1c.local 9000 typ host',
    '1 1 udp 1 192.0.2.1 0 typ host',
    '1 1 udp 1 192.0.2.1 70000 typ host',
    '1 1 udp x 192.0.2.1 9000 typ host',
    '1 1 udp 1 192.0.2.1 9000 typ odd',
    '1 1 udp 1 192.0.2.1 9000',
    ''
  ])('is left out: %j', text => {
    expect(readCandidate(text)).toBeNull()
  })
})
