import { describe, expect, it } from '@jest/globals'
import { Overload } from '../../../src/sip/engine/overload.ts'

const limits = { lagMsMax: 100, lagCheckMs: 20 }

describe('overload', () => {
  it('is not known before the first tick', () => expect(new Overload(limits).is(1_000_000)).toBe(false))

  it('begins when a tick is later than the bound, and ends with one in time', () => {
    const overload = new Overload(limits)
    overload.tick(1_000)
    expect(overload.is(1_120)).toBe(false)
    expect(overload.is(1_121)).toBe(true)
    overload.tick(1_200)
    expect(overload.is(1_201)).toBe(true)
    overload.tick(1_220)
    expect(overload.is(1_221)).toBe(false)
  })

  it('forgets when it is stopped', () => {
    const overload = new Overload(limits)
    overload.start()
    overload.tick(0)
    overload.stop()
    expect(overload.is(1_000_000)).toBe(false)
  })
})
