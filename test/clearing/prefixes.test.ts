import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { createPrefixTable } from '../../src/clearing/prefixes.ts'
import type { PrefixRow } from '../../src/clearing/prefixes.ts'

const row = (prefix: string, effectiveFrom = 0, effectiveTo: number | null = null): PrefixRow => ({
  prefix,
  effectiveFrom,
  effectiveTo
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
