import { describe, expect, it } from '@jest/globals'
import { KnownHops } from '../../../src/sip/engine/next-hop.ts'

const stack = { listening: [{ transport: 'udp', host: '127.0.0.1', port: 5060 }] } as const

describe('next hops that are named again', () => {
  it('lead where they led before', () => {
    const hops = new KnownHops(10)
    const first = hops.find('sip:192.0.2.1:5070;transport=udp', stack)
    expect(first).toEqual({ to: { transport: 'udp', host: '192.0.2.1', port: 5070 } })
    expect(hops.find('sip:192.0.2.1:5070;transport=udp', stack)).toBe(first)
  })

  it('a name is located anew and what is refused is asked anew', () => {
    const hops = new KnownHops(10)
    expect(hops.find('sip:op.example', stack)).toMatchObject({ name: { host: 'op.example' } })
    expect(hops.find('sip:127.0.0.1:5060', stack)).toEqual({ refused: 'can not send request to myself' })
    expect(hops.size).toBe(0)
  })

  it('remembers no more than its bound', () => {
    const hops = new KnownHops(3)
    for (let port = 1; port <= 100; port++) {
      hops.find(`sip:192.0.2.1:${port}`, stack)
      expect(hops.size).toBeLessThanOrEqual(3)
    }
  })
})
