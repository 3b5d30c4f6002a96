import { describe, expect, it } from '@jest/globals'
import { compilePosix, regexLimits } from '../../src/routing/posix-regex.ts'
import { mulberry32, seedFromEnvironment as seed } from '../support/random.ts'

const match = (pattern: string, text: string, ignoreCase = false) =>
  compilePosix(pattern, ignoreCase)
    ?.match(text)
    ?.filter((group, index) => index === 0 || group !== null) ?? null

describe('an extended regular expression', () => {
  it.each([
    ['^.*$', '+4930', ['+4930']],
    ['^(\\+441632960083)$', '+441632960083', ['+441632960083', '+441632960083']],
    ['(^.*)$', '+1', ['+1', '+1']],
    ['^\\+49(30)(.*)$', '+4930123', ['+4930123', '30', '123']],
    // The leftmost, and of those the longest.
    ['4|44|441', '+4416', ['441']],
    ['a*(ab)?', 'aab', ['aab', 'ab']],
    ['x*', 'ax', ['']],
    ['[0-9]{2,3}', '+4930', ['493']],
    ['[0-9]{2}', '+4930', ['49']],
    ['(1|2)+', '121', ['121', '1']],
    ['[[:digit:]]+', '+49', ['49']],
    ['[^[:digit:]]', '+49', ['+']],
    ['[]a]+', 'a]', ['a]']],
    ['[a-]+', 'a-a', ['a-a']],
    ['a?b+', 'bb', ['bb']],
    ['(a*)*', 'aa', ['aa', 'aa']],
    ['', 'a', ['']],
    ['a\\.b', 'a.b', ['a.b']],
    ['^$', '', ['']]
  ])('%s finds its place in %s', (pattern, text, groups) => {
    expect(match(pattern, text)).toEqual(groups)
  })

  it.each([
    ['^49', '+49'],
    ['a.c', 'abd'],
    ['x{3}', 'xx'],
    ['A', 'a']
  ])('%s is not in %s', (pattern, text) => {
    expect(match(pattern, text)).toBeNull()
  })

  it('may take small letters for large ones', () => {
    expect(match('^[A-C]X$', 'bx', true)).toEqual(['bx'])
  })

  it.each([
    '(',
    ')',
    'a)',
    '[',
    '[a',
    '*a',
    'a|*',
    '\\1',
    '\\d',
    '\\',
    'a{',
    'a{2,1}',
    'a{65}',
    '[b-a]',
    '[[:no:]]',
    '[[.a.]]'
  ])('%s is none', pattern => {
    expect(compilePosix(pattern, false)).toBeNull()
  })

  it('that is too large, or would become so, is none', () => {
    expect(compilePosix('a'.repeat(regexLimits.patternMax + 1), false)).toBeNull()
    expect(compilePosix('((a{64}){64}){64}', false)).toBeNull()
    expect(compilePosix('a', false)?.match('a'.repeat(regexLimits.textMax + 1))).toBeNull()
  })

  it.each(['(a*)*b', '((a*)*)*b', '(a|a|a|a|a)*b', '(.*.*.*.*.*.*.*.*)*b', '(a{0,60}){0,60}b'])(
    '%s, made to be slow, ends all the same',
    pattern => {
      expect(compilePosix(pattern, false)?.match('a'.repeat(250)) ?? null).toBeNull()
    }
  )

  it(`finds what JavaScript finds where both mean the same (SEED=${seed})`, () => {
    const random = mulberry32(seed)
    const atoms = ['a', 'b', '.', '[ab]', '[^a]', '(a)', '(b.)', '^', '$']
    const times = ['', '', '', '*', '+', '?', '{1,2}']
    for (let n = 0; n < 2_000; n++) {
      const pieces = Array.from({ length: 1 + random(4) }, () => `${atoms[random(9)]}${times[random(7)]}`)
      const pattern = pieces.join('').replaceAll(/([$^])[*+?{][^a-z([.^$]*/g, '$1')
      const text = Array.from({ length: random(6) }, () => 'ab'[random(2)]).join('')
      // Without alternatives the greedy match begins at the same place, and the longest is not shorter.
      const expected = new RegExp(pattern).exec(text)
      const found = compilePosix(pattern, false)?.match(text) ?? null
      expect([pattern, text, found === null]).toEqual([pattern, text, expected === null])
      if (expected !== null) expect(found?.[0]?.length).toBeGreaterThanOrEqual(expected[0].length)
    }
  })
})
