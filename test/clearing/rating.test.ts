import { readFileSync } from 'node:fs'
import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { z } from 'zod'
import { parseRate, printAmount, roundingModes } from '../../src/clearing/money.ts'
import type { RoundingMode } from '../../src/clearing/money.ts'
import { rateAttempt, rateCall, rateMessages, secondsRoundings } from '../../src/clearing/rating.ts'
import type { Band, Pricing, RateRow, Rounding } from '../../src/clearing/rating.ts'
import { createZone } from '../../src/clearing/zone.ts'

const vector = z.object({
  id: z.string(),
  desc: z.string(),
  in: z.record(z.string(), z.unknown()),
  out: z.record(z.string(), z.unknown())
})
const file = new URL('fixtures/rating-vectors.json', import.meta.url)
const vectors = new Map(
  z
    .array(vector)
    .parse(JSON.parse(readFileSync(file, 'utf8')))
    .map(v => [v.id, v])
)
const titles = (ids: readonly string[]): readonly (readonly [string, string])[] =>
  ids.map(id => [id, vectors.get(id)!.desc])

const allDays = new Set([0, 1, 2, 3, 4, 5, 6])
const rounding: Rounding = { seconds: 'up', scale: 6, mode: 'half-up' }
const row = (over: Partial<RateRow> = {}): RateRow => ({
  id: 'row',
  prefix: '+',
  destination: 'anywhere',
  effectiveFrom: 0,
  effectiveTo: null,
  rateNanos: 0n,
  setupFeeNanos: 0n,
  minimumSeconds: 0,
  initialSeconds: 1,
  nextSeconds: 1,
  bands: [],
  ...over
})
const pricing = (over: Partial<RateRow> = {}, how: Partial<Rounding> = {}, zone = 'UTC'): Pricing => ({
  row: row(over),
  rounding: { ...rounding, ...how },
  zone: createZone(zone)
})
const minuteOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
const band = (from: string, to: string, rate: string, weekdays: ReadonlySet<number> = allDays): Band => ({
  weekdays,
  fromMinute: minuteOf(from),
  toMinute: minuteOf(to),
  rateNanos: parseRate(rate)
})

const perCall = z.object({
  answered: z.boolean(),
  durationMs: z.int(),
  initialSeconds: z.int(),
  nextSeconds: z.int(),
  minimumSeconds: z.int(),
  secondsRounding: z.enum(secondsRoundings),
  ratePerMinute: z.string(),
  setupFee: z.string(),
  attemptFee: z.string()
})
const side = z.object({ ratePerMinute: z.string(), initialSeconds: z.int(), nextSeconds: z.int() })

describe('the acceptance vectors', () => {
  const ids = ['R01', 'R02', 'R03', 'R04', 'R05', 'R06', 'R08', 'R23', 'R24', 'R25', 'R26', 'R27a', 'R27b', 'R27c']
  it.each(titles(ids))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = perCall.parse(v.in)
    const { row, rounding, zone } = pricing(
      {
        ...call,
        rateNanos: parseRate(call.ratePerMinute),
        setupFeeNanos: parseRate(call.setupFee)
      },
      { seconds: call.secondsRounding }
    )
    const rated = call.answered
      ? rateCall({ row, rounding, zone }, 0, call.durationMs)
      : rateAttempt(parseRate(call.attemptFee), rounding)
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R07a', 'R07c']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = side
      .extend({
        durationMs: z.int(),
        secondsToBandEnd: z.int(),
        ratePerMinuteAfter: z.string()
      })
      .parse(v.in)
    const rated = rateCall(
      pricing({
        ...call,
        rateNanos: parseRate(call.ratePerMinuteAfter),
        bands: [band('08:00', '18:00', call.ratePerMinute)]
      }),
      Date.parse('2026-11-02T18:00:00Z') - call.secondsToBandEnd * 1_000,
      call.durationMs
    )
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R09', 'R10']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = z.object({ durationMs: z.int(), buy: side, sell: side }).parse(v.in)
    const [buy, sell] = [call.buy, call.sell].map(side =>
      rateCall(pricing({ ...side, rateNanos: parseRate(side.ratePerMinute) }), 0, call.durationMs)
    )
    const margin = sell!.amountMicros - buy!.amountMicros
    deepEqual(
      {
        buyBilledSeconds: buy!.billedUnits,
        sellBilledSeconds: sell!.billedUnits,
        buy: printAmount(buy!.amountMicros),
        sell: printAmount(sell!.amountMicros),
        margin: printAmount(margin),
        negativeMargin: margin < 0n
      },
      v.out
    )
  })

  it.each(titles(['R28']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = z
      .object({
        answeredAt: z.string(),
        timeZone: z.string(),
        durationMs: z.int(),
        initialSeconds: z.int(),
        nextSeconds: z.int(),
        bands: z.array(z.object({ fromLocal: z.string(), toLocal: z.string(), ratePerMinute: z.string() }))
      })
      .parse(v.in)
    const bands = call.bands.map(({ fromLocal, toLocal, ratePerMinute }) => band(fromLocal, toLocal, ratePerMinute))
    const rated = rateCall(pricing({ ...call, bands }, {}, call.timeZone), Date.parse(call.answeredAt), call.durationMs)
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })
})

// The oracle knows nothing of the code above: it walks second by second, asks Intl for the local time of each
// increment's start, and rounds a fraction by comparing it with its neighbours.
const slowFormats = new Map<string, Intl.DateTimeFormat>()
function slowRate({ row, zone }: Pricing, at: number): bigint {
  const format =
    slowFormats.get(zone.name) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: zone.name,
      hourCycle: 'h23',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit'
    })
  slowFormats.set(zone.name, format)
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts['weekday']!)
  const minute = Number(parts['hour']) * 60 + Number(parts['minute'])
  const inBand = row.bands.find(({ weekdays, fromMinute, toMinute }) => {
    const pastMidnight = toMinute <= fromMinute
    const today = weekdays.has(weekday) && minute >= fromMinute && (pastMidnight || minute < toMinute)
    return today || (pastMidnight && weekdays.has((weekday + 6) % 7) && minute < toMinute)
  })
  return inBand?.rateNanos ?? row.rateNanos
}

function slowAmount(pricing: Pricing, answeredAt: number, durationMs: number): { seconds: number; micros: bigint } {
  const { row, rounding } = pricing
  let wanted = 0
  for (let ms = durationMs; ms > 0; ms -= 1_000) {
    if (ms >= 1_000 || rounding.seconds === 'up' || (rounding.seconds === 'half' && ms >= 500)) wanted += 1
  }
  if (wanted < row.minimumSeconds) wanted = row.minimumSeconds
  let seconds = 0
  let sixtieths = row.setupFeeNanos * 60n
  while (seconds === 0 || seconds < wanted) {
    const length = seconds === 0 ? row.initialSeconds : row.nextSeconds
    const rate = slowRate(pricing, answeredAt + seconds * 1_000)
    for (let second = 0; second < length; second++) sixtieths += rate
    seconds += length
  }
  const unit = 60n * 10n ** BigInt(9 - rounding.scale)
  return { seconds, micros: slowRound(sixtieths, unit, rounding.mode) * 10n ** BigInt(6 - rounding.scale) }
}

function slowRound(value: bigint, unit: bigint, mode: RoundingMode): bigint {
  const below = (value - (value % unit)) / unit
  if (below * unit === value) return below
  const [toBelow, toAbove] = [value - below * unit, (below + 1n) * unit - value]
  if (mode === 'down') return below
  if (mode === 'up') return below + 1n
  if (toBelow !== toAbove) return toBelow < toAbove ? below : below + 1n
  return mode === 'half-even' && below % 2n === 0n ? below : below + 1n
}

const arbitraryRate = fc.bigInt(0n, 3_000_000_000n)
const arbitraryBand = fc
  .record({
    weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }).map(days => new Set(days)),
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
    mode: fc.constantFrom(...roundingModes)
  }),
  zone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Havana').map(createZone)
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
          const error = amountMicros * 60_000n - exact
          return (error < 0n ? -error : error) < 60n * 10n ** BigInt(9 - pricing.rounding.scale)
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
