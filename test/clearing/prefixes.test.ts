import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { createOrigins, createPrefixTable } from '../../src/clearing/prefixes.ts'
import type { PrefixRow } from '../../src/clearing/prefixes.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

const row = (prefix: string, effectiveFrom = 0, effectiveTo: number | null = null): PrefixRow => ({
  prefix,
  origin: null,
  quality: null,
  effectiveFrom,
  effectiveTo
})
const kept = (prefix: string, origin: string | null, quality: string | null = null): PrefixRow => ({
  ...row(prefix),
  origin,
  quality
})

describe('the longest prefix', () => {
  const table = createPrefixTable([row('+49'), row('+491'), row('+49151'), row('+1')])

  it.each([
    ['+4930123', '+49'],
    ['+491512345', '+49151'],
    ['+49171', '+491'],
    ['+49', '+49'],
    ['+1', '+1']
  ])('%s is priced by %s', (number, prefix) => {
    equal(table.match(number, 1)?.prefix, prefix)
  })

  it.each(['+4', '+', '+33', ''])('%j is priced by nothing', number => {
    equal(table.match(number, 1), null)
  })

  it('what has no number is priced only by the row that matches everything', () => {
    equal(table.match(null, 1), null)
    equal(createPrefixTable([row('+'), row('+49')]).match(null, 1)?.prefix, '+')
    equal(createPrefixTable([row('+'), row('+49')]).match('+331', 1)?.prefix, '+')
  })

  it('a longer row that is not valid yet, or no more, gives way to a shorter one', () => {
    const table = createPrefixTable([row('+49'), row('+4915', 10, 20)])
    equal(table.match('+4915', 9)?.prefix, '+49')
    equal(table.match('+4915', 10)?.prefix, '+4915')
    equal(table.match('+4915', 19)?.prefix, '+4915')
    equal(table.match('+4915', 20)?.prefix, '+49')
  })

  it('of two rows of one prefix the one that came into force last stands', () => {
    const table = createPrefixTable([row('+49', 0), row('+49', 10), row('+49', 5, 7)])
    equal(table.match('+49', 4)?.effectiveFrom, 0)
    equal(table.match('+49', 6)?.effectiveFrom, 5)
    equal(table.match('+49', 7)?.effectiveFrom, 0)
    equal(table.match('+49', 10)?.effectiveFrom, 10)
  })

  it('finds what a search through all rows finds', () => {
    const digits = fc.string({ unit: fc.constantFrom('1', '2', '3'), maxLength: 6 }).map(text => `+${text}`)
    const moment = fc.integer({ min: 0, max: 6 })
    const rows = fc.uniqueArray(fc.tuple(digits, moment, fc.option(moment)), {
      selector: ([prefix, from]) => `${prefix} ${from}`,
      maxLength: 30
    })
    fc.assert(
      fc.property(rows, digits, moment, (rows, number, at) => {
        const all = rows.map(([prefix, from, to]) => row(prefix, from, to))
        const [best = null] = all
          .filter(r => number.startsWith(r.prefix) && r.effectiveFrom <= at && (r.effectiveTo ?? Infinity) > at)
          .sort((a, b) => b.prefix.length - a.prefix.length || b.effectiveFrom - a.effectiveFrom)
        equal(createPrefixTable(all).match(number, at), best)
      })
    )
  })
})

describe('a deck of many prefixes', () => {
  const draw = mulberry32(seedFromEnvironment)
  const digits = (max: number): string => String(draw(10 ** (1 + draw(max))))
  const rows = new Map<string, PrefixRow>()
  while (rows.size < 5_000) {
    const prefix = `+${1 + draw(9)}${digits(5)}`
    rows.set(prefix, row(prefix, draw(3), draw(3) === 0 ? 4 : null))
  }

  it('finds for every number what a look at each of its beginnings finds', () => {
    const table = createPrefixTable([...rows.values()])
    for (let n = 0; n < 20_000; n++) {
      const number = `+${digits(3)}${digits(8)}`
      const at = draw(6)
      const beginnings = Array.from(number, (_, end) => rows.get(number.slice(0, end + 1)))
      const best = beginnings.findLast(
        row => row !== undefined && row.effectiveFrom <= at && at < (row.effectiveTo ?? Infinity)
      )
      equal(table.match(number, at), best ?? null)
    }
  })

  it('prices a number of whatever length by what it begins with', () => {
    const table = createPrefixTable([row('+49'), row('+4915')])
    equal(table.match(`+4915${'0'.repeat(10_000)}`, 1)?.prefix, '+4915')
    equal(createPrefixTable([row(`+4${'9'.repeat(60)}`), row('+4')]).match(`+4${'9'.repeat(70)}`, 1)?.prefix, '+4')
  })

  it.each(['', '49', '+49x', '+4 9', '+٤'])('%j is no prefix', prefix => {
    throws(() => createPrefixTable([row('+49'), row(prefix)]), RangeError)
  })
})

describe('rows for some callers (RATE-05)', () => {
  const table = createPrefixTable([
    row('+49'),
    kept('+49', 'eea'),
    kept('+49', 'unknown'),
    kept('+4915', 'eea'),
    kept('+49', null, 'gold'),
    kept('+49', 'eea', 'gold')
  ])
  const found = (number: string, origin: string | null, quality: string | null = null): unknown => {
    const match = table.match(number, 1, { origin, quality })
    return match === null ? null : [match.prefix, match.origin, match.quality]
  }

  it('the row for a set of callers goes before the one for everybody', () => {
    deepEqual(found('+4930', 'eea'), ['+49', 'eea', null])
    deepEqual(found('+4930', 'asia'), ['+49', null, null])
    deepEqual(found('+4930', null), ['+49', null, null])
    deepEqual(found('+4930', 'unknown'), ['+49', 'unknown', null])
  })

  it('a longer prefix that is not for this caller gives way to a shorter one', () => {
    deepEqual(found('+4915', 'eea'), ['+4915', 'eea', null])
    deepEqual(found('+4915', null), ['+49', null, null])
  })

  it('the quality class goes before the origin', () => {
    deepEqual(found('+4930', 'eea', 'gold'), ['+49', 'eea', 'gold'])
    deepEqual(found('+4930', null, 'gold'), ['+49', null, 'gold'])
    deepEqual(found('+4930', 'eea', 'silver'), ['+49', 'eea', null])
  })

  it('a number falls into the set with its longest prefix; without one it is unknown', () => {
    const originOf = createOrigins({ nanp: ['+1'], caribbean: ['+1876', '+1809'] })
    equal(originOf('+12125550100'), 'nanp')
    equal(originOf('+18765550100'), 'caribbean')
    equal(originOf('+4930'), null)
    equal(originOf(null), 'unknown')
    equal(createOrigins({})('+49'), null)
    equal(createOrigins({})(null), 'unknown')
  })
})
