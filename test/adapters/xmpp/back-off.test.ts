import { describe, expect, it } from '@jest/globals'
import { BackOff } from '../../../src/adapters/xmpp/back-off.ts'
import { FakeClock } from '../../support/world.ts'

const limits = { backOffMs: 500, backOffMsMax: 60_000 }
const nothing = (): void => {}

describe('waits between attempts', () => {
  it('double up to a bound', () => {
    const backOff = new BackOff({ limits, clock: new FakeClock(), random: () => 0 })
    const waits = Array.from({ length: 10 }, () => backOff.again(nothing))
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
    backOff.reset()
    expect(backOff.again(nothing)).toBe(500)
    expect(backOff.again(nothing, true)).toBe(60_000)
  })
  it('are shortened by chance, by a half at most', () => {
    const almost = new BackOff({ limits, clock: new FakeClock(), random: () => 0.999_999 })
    expect(almost.again(nothing)).toBe(250)
    const chance = new BackOff({ limits, clock: new FakeClock() })
    for (let n = 0; n < 100; n++) {
      chance.reset()
      const waitMs = chance.again(nothing)
      expect(waitMs >= 250 && waitMs <= 500).toBe(true)
    }
  })
  it('one at a time, and none after the end', async () => {
    const clock = new FakeClock()
    const backOff = new BackOff({ limits, clock, random: () => 0 })
    let ran = 0
    backOff.again(() => (ran += 1))
    backOff.again(() => (ran += 10))
    await clock.advance(10_000)
    expect(ran).toBe(10)
    backOff.again(() => (ran += 100))
    backOff.stop()
    await clock.advance(100_000)
    expect([ran, clock.timers]).toEqual([10, 0])
  })
})
