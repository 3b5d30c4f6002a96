import { describe, expect, it } from '@jest/globals'
import { Throttle } from '../../../src/adapters/xmpp/throttle.ts'
import { FakeClock } from '../../support/world.ts'

describe('how fast an island is read', () => {
  const limits = { stanzasBurst: 100, stanzasPerSecond: 50 }
  it('a burst is read at once, more waits for its time', async () => {
    const clock = new FakeClock()
    const throttle = new Throttle({ limits, clock })
    expect(throttle.take(100)).toBe(0)
    expect(throttle.take(25)).toBe(500)
    await clock.advance(500)
    expect(throttle.take(0)).toBe(0)
    expect(throttle.take(1)).toBe(20)
  })
  it('quiet time is worth no more than a burst, and a clock that is set back gives nothing', async () => {
    const clock = new FakeClock()
    const throttle = new Throttle({ limits, clock })
    await clock.advance(3_600_000)
    expect(throttle.take(100)).toBe(0)
    expect(throttle.take(50)).toBe(1_000)
    clock.set(-3_600_000)
    expect(throttle.take(0)).toBe(1_000)
  })
})
