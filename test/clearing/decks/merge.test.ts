import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { countryOf } from '../../../src/clearing/decks/countries.ts'
import { rateRowsOf } from '../../../src/clearing/decks/deck-row.ts'
import type { DeckRow } from '../../../src/clearing/decks/deck-row.ts'
import { diffDecks, withoutNotice } from '../../../src/clearing/decks/diff.ts'
import { mergeDeck } from '../../../src/clearing/decks/merge.ts'
import type { DeckMode } from '../../../src/clearing/decks/merge.ts'
import { createPrefixTable } from '../../../src/clearing/prefixes.ts'
import { rateCall, unchanged } from '../../../src/clearing/rating.ts'
import { createZone } from '../../../src/clearing/zone.ts'
import { deckRow, sheetOf, sheetOfRows } from '../../support/decks.ts'
import { rounding } from '../../support/rates.ts'

const now = Date.parse('2026-11-02T00:00:00Z')
const soon = Date.parse('2026-11-20T00:00:00Z')
const merge = (rows: readonly DeckRow[], base: readonly DeckRow[], mode: DeckMode, deleted: readonly string[] = []) =>
  mergeDeck('deck.csv', sheetOfRows(rows, deleted), base, mode, now)
const prefixes = (rows: readonly DeckRow[]): readonly string[] => rows.map(({ prefix }) => prefix).sort()

describe('a new deck', () => {
  const base = [deckRow('+49', '0.01'), deckRow('+4915', '0.05'), deckRow('+33', '0.02')]

  it('SET-10 in mode full, what is missing is closed', () => {
    deepEqual(prefixes(merge([deckRow('+49', '0.01')], base, 'full').rows), ['+49'])
  })

  it('SET-10 in mode country, what is missing is closed in the countries of the sheet', () => {
    deepEqual(prefixes(merge([deckRow('+49', '0.01')], base, 'country').rows), ['+33', '+49'])
  })

  it('SET-10 in mode partial, what is missing stays, and what is deleted goes', () => {
    deepEqual(prefixes(merge([deckRow('+31', '0.01')], base, 'partial').rows), ['+31', '+33', '+49', '+4915'])
    deepEqual(prefixes(merge([], base, 'partial', ['+4915   off']).rows), ['+33', '+49'])
    throws(() => merge([], base, 'partial', ['+1   off']), /the deck in force does not have it/)
  })

  it('a country is told by its leading digits where several share a calling code', () => {
    equal(countryOf('+1876555'), 'JM')
    equal(countryOf('+1212'), '+1')
    equal(countryOf('+1'), '+1')
    equal(countryOf('+4930'), '+49')
    equal(countryOf('+7701'), 'KZ')
    equal(countryOf('+7495'), 'RU')
    equal(countryOf('+'), null)
  })

  it('RATE-01 a row that begins later leaves the old one in force until then', () => {
    const { rows } = merge([deckRow('+49', '0.02', { effectiveFrom: soon })], base, 'full')
    deepEqual(
      rows.map(({ rateNanos, effectiveFrom, effectiveTo }) => [rateNanos, effectiveFrom, effectiveTo]),
      [
        [10_000_000n, null, soon],
        [20_000_000n, soon, null]
      ]
    )
  })

  it('RATE-03 refuses two rows of one code at the same time, naming both lines', () => {
    throws(
      () => merge([deckRow('+49', '1'), deckRow('+49', '2')], [], 'full'),
      /line 3: \+49 {3}off is priced already by line 2/
    )
    const apart = [deckRow('+49', '1', { effectiveTo: soon }), deckRow('+49', '2', { effectiveFrom: soon })]
    equal(merge(apart, [], 'full').rows.length, 2)
    equal(merge([deckRow('+49', '1'), deckRow('+49', '2', { origin: 'eea' })], [], 'full').rows.length, 2)
  })

  it('RATE-03 warns of gaps between dates and between neighbouring codes', () => {
    const rows = [
      deckRow('+49', '1', { effectiveTo: soon }),
      deckRow('+49', '2', { effectiveFrom: soon + 86_400_000 }),
      ...[1, 2, 3, 4, 5, 6, 7, 8].map(digit => deckRow(`+4477${digit}`, '1'))
    ]
    deepEqual(merge(rows, [], 'full').warnings, [
      '+49   off has no rate from 2026-11-20T00:00:00.000Z to 2026-11-21T00:00:00.000Z',
      '+44770, +44779: nothing prices what its neighbours have a rate for'
    ])
    deepEqual(merge([...rows.slice(2), deckRow('+44', '1')], [], 'full').warnings, [])
  })

  it('a time class needs a rate for the other times, with the same terms', () => {
    const peak = deckRow('+49', '2', { timeClass: 'peak' })
    throws(() => merge([peak], [], 'full'), /line 2: \+49 has a rate for peak, but not always one for off/)
    throws(() => merge([peak, deckRow('+49', '1', { effectiveFrom: soon })], [], 'full'), /not always one for off/)
    throws(() => merge([peak, deckRow('+49', '1', { nextSeconds: 6 })], [], 'full'), /are not those of off/)
    equal(merge([peak, deckRow('+49', '1')], [], 'full').rows.length, 2)
  })
})

describe('the rows of a deck', () => {
  const timeClasses = { peak: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'] as const, from: '08:00', to: '18:00' }] }
  const agreement = {
    id: 'sell',
    timeClasses: { peak: timeClasses.peak.map(time => ({ ...time, days: [...time.days] })) }
  }

  it('become one row a code, with its time classes as bands, for every stretch of time', () => {
    const rows = rateRowsOf(agreement, 3, [
      deckRow('+33', '5'),
      deckRow('+49', '1'),
      deckRow('+49', '2', { timeClass: 'peak', effectiveTo: soon }),
      deckRow('+49', '3', { timeClass: 'peak', effectiveFrom: soon })
    ])
    const table = createPrefixTable(rows)
    const price = (number: string, at: string): bigint => {
      const row = table.match(number, Date.parse(at))!
      const pricing = { row, rounding, zone: createZone('UTC'), holidays: new Set<number>(), factorNanos: unchanged }
      return rateCall(pricing, Date.parse(at), 60_000).amountMicros
    }
    equal(price('+4930', '2026-11-02T12:00:00Z'), 2_000_000n)
    equal(price('+4930', '2026-11-02T19:00:00Z'), 1_000_000n)
    equal(price('+4930', '2026-11-23T12:00:00Z'), 3_000_000n)
    equal(price('+331', '2026-11-02T12:00:00Z'), 5_000_000n)
    deepEqual(rows.map(({ id }) => id).sort(), ['sell/v3/+33', 'sell/v3/+49', 'sell/v3/+49/2026-11-20T00:00:00.000Z'])
  })
})

describe('the difference of two decks', () => {
  const base = [
    deckRow('+49', '0.01'),
    deckRow('+4915', '0.05'),
    deckRow('+33', '0.02'),
    deckRow('+31', '0.03'),
    deckRow('+44', '0.04')
  ]

  it('SET-10 shows what is new, dearer, cheaper, blocked and closed, and what prices a closed code then', () => {
    const next = [
      deckRow('+49', '0.02'),
      deckRow('+33', '0.01'),
      deckRow('+31', '0.03', { blocked: true }),
      deckRow('+44', '0.04'),
      deckRow('+1', '0.01')
    ]
    const { changes, counts, codes, closedCodes } = diffDecks(base, next, now)
    deepEqual(
      changes.map(({ change, prefix, before, after, nowPricedBy }) => [change, prefix, before, after, nowPricedBy]),
      [
        ['new', '+1', null, '0.01', null],
        ['blocked', '+31', '0.03', '0.03', null],
        ['decrease', '+33', '0.02', '0.01', null],
        ['increase', '+49', '0.01', '0.02', null],
        ['closed', '+4915', '0.05', null, '+49']
      ]
    )
    deepEqual([codes, closedCodes, counts['no change']], [5, 1, 1])
  })

  it('longer increments, a minimum and a set-up fee are increases too', () => {
    for (const over of [{ initialSeconds: 60 }, { nextSeconds: 6 }, { minimumSeconds: 30 }, { setupFeeNanos: 1n }]) {
      equal(diffDecks([deckRow('+49', '1')], [deckRow('+49', '0.9', over)], now).counts.increase, 1)
    }
  })

  it('RATE-02 an increase needs its notice, a decrease and a block do not', () => {
    const day = 86_400_000
    const sudden = (rows: readonly DeckRow[], inForce: number): unknown =>
      withoutNotice(diffDecks(base, rows, inForce), now, inForce, 7).map(({ prefix }) => prefix)
    const dearer = (effectiveFrom: number | null): readonly DeckRow[] => [deckRow('+49', '0.02', { effectiveFrom })]
    deepEqual(sudden(dearer(null), now), ['+49'])
    deepEqual(sudden(dearer(now + 7 * day - 1), now), ['+49'])
    deepEqual(sudden(dearer(now + 7 * day), now), [])
    deepEqual(sudden(dearer(null), now + 7 * day), [])
    deepEqual(sudden([deckRow('+33', '0.01'), deckRow('+31', '0.03', { blocked: true })], now), [])
  })

  it('a sheet that is imported again changes nothing', () => {
    const sheet = sheetOf('prefix,destination_name,rate\n49,Germany,0.01\n4915,Mobile,0.05')
    const { counts, changes } = diffDecks(sheet.rows, sheet.rows, now)
    deepEqual([counts['no change'], changes], [2, []])
    ok(Object.entries(counts).every(([change, count]) => change === 'no change' || count === 0))
  })
})
