import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { parseRate, printAmount, roundingModes } from '../../src/clearing/money.ts'
import { bandRules, rateCall, rateMessages, secondsRoundings, unchanged } from '../../src/clearing/rating.ts'
import type { Pricing } from '../../src/clearing/rating.ts'
import { createZone } from '../../src/clearing/zone.ts'
import { slowAmount } from '../support/rating-oracle.ts'
import { band, pricing, row } from '../support/rates.ts'

const arbitraryRate = fc.bigInt(0n, 3_000_000_000n)
const arbitraryBand = fc
  .record({
    weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1 }).map(days => new Set(days)),
    fromMinute: fc.integer({ min: 0, max: 1_439 }),
    toMinute: fc.integer({ min: 1, max: 1_440 }),
    rateNanos: arbitraryRate
  })
  .filter(({ fromMinute, toMinute }) => fromMinute !== toMinute)
const arbitraryPricing: fc.Arbitrary<Pricing> = fc.record({
  row: fc
    .record({
      rateNanos: arbitraryRate,
      setupFeeNanos: fc.oneof(fc.constant(0n), arbitraryRate),
      minimumSeconds: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 120 })),
      initialSeconds: fc.constantFrom(1, 6, 30, 60, 61),
      nextSeconds: fc.constantFrom(1, 6, 7, 60),
      bands: fc.array(arbitraryBand, { maxLength: 3 })
    })
    .map(row),
  rounding: fc.record({
    seconds: fc.constantFrom(...secondsRoundings),
    scale: fc.integer({ min: 0, max: 6 }),
    mode: fc.constantFrom(...roundingModes),
    bands: fc.constantFrom(...bandRules)
  }),
  zone: fc
    .constantFrom('UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Havana')
    .map(createZone),
  // Days near those of the moments below, counted from 1970.
  holidays: fc.uniqueArray(fc.integer({ min: 20_454, max: 20_820 }), { maxLength: 200 }).map(days => new Set(days)),
  factorNanos: fc.constantFrom(unchanged, 1_250_000_000n, 917_300_000n)
})
/** Half of them near a change of the clock, or near midnight. */
const arbitraryMoment = fc.oneof(
  fc.integer({ min: Date.parse('2026-01-01T00:00:00Z'), max: Date.parse('2027-01-01T00:00:00Z') }),
  fc
    .tuple(
      fc.constantFrom(
        '2026-10-25T01:00:00Z',
        '2026-03-29T01:00:00Z',
        '2026-04-04T15:00:00Z',
        '2026-11-01T05:00:00Z',
        '2026-06-01T00:00:00Z'
      ),
      fc.integer({ min: -3_700_000, max: 3_700_000 })
    )
    .map(([near, ms]) => Date.parse(near) + ms)
)

describe('rating', () => {
  it('agrees to the last digit with an oracle that walks second by second', () => {
    fc.assert(
      fc.property(
        arbitraryPricing,
        arbitraryMoment,
        fc.integer({ min: 0, max: 900_000 }),
        (pricing, at, durationMs) => {
          const rated = rateCall(pricing, at, durationMs)
          const expected = slowAmount(pricing, at, durationMs)
          deepEqual([rated.billedUnits, rated.amountMicros], [expected.seconds, expected.micros])
        }
      ),
      { numRuns: 300 }
    )
  })

  it('its parts make up what it bills, and their exact sum is the amount but for its rounding', () => {
    fc.assert(
      fc.property(
        arbitraryPricing,
        arbitraryMoment,
        fc.integer({ min: 0, max: 9_000_000 }),
        (pricing, at, durationMs) => {
          const { parts, billedUnits, amountMicros } = rateCall(pricing, at, durationMs)
          equal(
            parts.reduce((sum, { units }) => sum + units, 0),
            billedUnits
          )
          const exact = parts.reduce(
            (sum, { rateNanos, units }) => sum + rateNanos * BigInt(units),
            pricing.row.setupFeeNanos * 60n
          )
          const error = amountMicros * 60_000n * unchanged - exact * pricing.factorNanos
          return (error < 0n ? -error : error) < 60n * unchanged * 10n ** BigInt(9 - pricing.rounding.scale)
        }
      )
    )
  })

  it('the longest call that is taken costs few steps, whatever the increment', () => {
    const month = 31 * 86_400
    const { billedUnits, parts } = rateCall(
      pricing({ bands: [band('22:00', '06:00', '0.01')] }, {}, 'Europe/Berlin'),
      Date.parse('2026-10-10T12:00:00Z'),
      month * 1_000
    )
    equal(billedUnits, month)
    equal(parts.length, 63)
  })

  it('a band past midnight belongs to the day on which it begins', () => {
    const saturdayNight = pricing({ rateNanos: parseRate('1'), bands: [band('22:00', '06:00', '0.5', new Set([6]))] })
    const price = (at: string): string => printAmount(rateCall(saturdayNight, Date.parse(at), 60_000).amountMicros)
    equal(price('2026-11-07T21:00:00Z'), '1.000000')
    equal(price('2026-11-07T23:00:00Z'), '0.500000')
    equal(price('2026-11-08T05:58:00Z'), '0.500000')
    equal(price('2026-11-08T06:00:00Z'), '1.000000')
    equal(price('2026-11-08T23:00:00Z'), '1.000000')
  })

  it('a holiday is no weekday: its own band prices it, also past midnight', () => {
    const christmas = Date.parse('2026-12-25T00:00:00Z') / 86_400_000
    const price = {
      ...pricing({
        rateNanos: parseRate('1'),
        bands: [band('00:00', '24:00', '2', new Set([5])), band('20:00', '06:00', '0.5', new Set([7]))]
      }),
      holidays: new Set([christmas])
    }
    const at = (text: string): string => printAmount(rateCall(price, Date.parse(text), 60_000).amountMicros)
    equal(at('2026-12-18T12:00:00Z'), '2.000000')
    equal(at('2026-12-25T12:00:00Z'), '1.000000')
    equal(at('2026-12-25T20:00:00Z'), '0.500000')
    equal(at('2026-12-26T05:58:00Z'), '0.500000')
    equal(at('2026-12-26T06:00:00Z'), '1.000000')
  })

  it('of two bands that overlap the first prices', () => {
    const two = pricing({ bands: [band('10:00', '11:00', '1'), band('09:00', '12:00', '2')] })
    equal(printAmount(rateCall(two, Date.parse('2026-11-02T10:30:00Z'), 60_000).amountMicros), '1.000000')
    equal(printAmount(rateCall(two, Date.parse('2026-11-02T09:30:00Z'), 60_000).amountMicros), '2.000000')
  })

  it('messages cost one unit each, by the band of their acceptance', () => {
    const night = pricing({ rateNanos: parseRate('0.012345678'), bands: [band('00:00', '06:00', '0.001')] })
    const day = rateMessages(night, Date.parse('2026-11-02T12:00:00Z'), 1)
    deepEqual([day.billedUnits, printAmount(day.amountMicros)], [1, '0.012346'])
    equal(printAmount(rateMessages(night, Date.parse('2026-11-02T05:59:59Z'), 3).amountMicros), '0.003000')
  })
})
