import { describe, expect, it } from '@jest/globals'
import { Rates } from '../../src/sip/rates.ts'

describe('the rate of one source', () => {
  it('lets a burst through, then as many a second', () => {
    const rates = new Rates(10, 5)
    const taken = (at: number, tries: number): number =>
      Array.from({ length: tries }, () => rates.take('a', at)).filter(waitMs => waitMs === 0).length
    expect([taken(0, 30), taken(0, 5), taken(500, 30), taken(10_500, 30)]).toEqual([10, 0, 5, 10])
  })

  it('says how long to wait for the next', () => {
    const rates = new Rates(10, 5)
    for (let n = 0; n < 10; n++) rates.take('a', 0)
    expect(rates.take('a', 0)).toBe(100)
    expect(rates.take('a', 99)).toBeGreaterThan(0)
    expect(rates.take('a', 100)).toBe(0)
  })

  it('does not grow beyond its bound, and one source does not slow another', () => {
    const rates = new Rates(1, 3)
    for (const source of ['a', 'b', 'c', 'd', 'e']) expect(rates.take(source, 0)).toBe(0)
    expect(rates.size).toBe(3)
    expect(rates.take('e', 0)).toBeGreaterThan(0)
    // Forgotten, and so fresh.
    expect(rates.take('a', 0)).toBe(0)
  })
})
