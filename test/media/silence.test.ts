import { describe, expect, it } from '@jest/globals'
import { lostSides } from '../../src/media/silence.ts'

const side = (heardAt: number | null, expected = true) => ({ expected, heardAt })

describe('silence', () => {
  it.each([
    ['both speak', side(9_000), side(9_500), []],
    ['one that has spoken fell silent', side(1_000), side(9_500), ['caller']],
    ['one never spoke, the other does', side(null), side(9_500), []],
    ['neither was ever heard', side(null), side(null), ['caller', 'callee']],
    ['one never spoke, the other fell silent', side(null), side(1_000), ['caller', 'callee']],
    ['on hold', side(1_000, false), side(null, false), []],
    ['one on hold, the other silent', side(1_000, false), side(1_000), ['callee']]
  ])('%s', (_, caller, callee, lost) => {
    expect(lostSides({ caller, callee }, 0, 10_000, 5_000)).toEqual(lost)
  })

  it('counts from the last agreement', () => {
    expect(lostSides({ caller: side(1_000), callee: side(null) }, 8_000, 10_000, 5_000)).toEqual([])
  })
})
