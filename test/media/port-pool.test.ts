import { describe, expect, it } from '@jest/globals'
import { bindUdp, PortPool } from '../../src/media/port-pool.ts'

const pool = (portMin: number, portMax: number, start = 0): PortPool =>
  new PortPool({ address: '127.0.0.1', portMin, portMax, start })

describe('the port pool', () => {
  it('lends even ports with the odd one above, each pair once, round the range', () => {
    const ports = pool(3_001, 3_007, 0.5)
    expect([ports.take(), ports.take(), ports.take(), ports.take()]).toEqual([
      { rtp: 3_004, rtcp: 3_005 },
      { rtp: 3_006, rtcp: 3_007 },
      { rtp: 3_002, rtcp: 3_003 },
      null
    ])
    ports.give({ rtp: 3_004, rtcp: 3_005 })
    expect(ports.take()).toEqual({ rtp: 3_004, rtcp: 3_005 })
    expect(ports.lent).toBe(3)
  })

  it('says at once that a range holds no pair', () => {
    expect(() => pool(3_001, 3_002)).toThrow(/no pair of ports between 3001 and 3002/)
  })

  it('passes over pairs that somebody else has, and gives up when none is left', async () => {
    const ports = pool(21_600, 21_605)
    const taken = await bindUdp('127.0.0.1', 21_600)
    expect(taken).not.toBeNull()
    const tried: number[] = []
    const opened = await ports.takeAnd(async ({ rtp }) => {
      tried.push(rtp)
      return bindUdp('127.0.0.1', rtp)
    })
    expect(tried).toEqual([21_600, 21_602])
    expect(ports.lent).toBe(1)
    expect(await ports.takeAnd(() => Promise.resolve(null))).toBeNull()
    await expect(ports.takeAnd(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(ports.lent).toBe(1)
    taken?.close()
    opened?.close()
  })

  it('tells an address that is not ours from a port in use', async () => {
    await expect(bindUdp('192.0.2.77', 21_610)).rejects.toMatchObject({ code: 'HUB_MEDIA' })
  })
})
