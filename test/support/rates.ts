// Rows and prices for tests of rating: plain ones, changed by what a test names.

import { parseRate } from '../../src/clearing/money.ts'
import { unchanged } from '../../src/clearing/rating.ts'
import type { Band, Pricing, RateRow, Rounding } from '../../src/clearing/rating.ts'
import { createZone } from '../../src/clearing/zone.ts'

export const allDays: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6])
export const rounding: Rounding = { seconds: 'up', scale: 6, mode: 'half-up', bands: 'increment-start' }

export const row = (over: Partial<RateRow> = {}): RateRow => ({
  id: 'row',
  version: 0,
  prefix: '+',
  destination: 'anywhere',
  origin: null,
  quality: null,
  effectiveFrom: 0,
  effectiveTo: null,
  rateNanos: 0n,
  setupFeeNanos: 0n,
  minimumSeconds: 0,
  initialSeconds: 1,
  nextSeconds: 1,
  bands: [],
  blocked: false,
  ...over
})

export const pricing = (over: Partial<RateRow> = {}, how: Partial<Rounding> = {}, zone = 'UTC'): Pricing => ({
  row: row(over),
  rounding: { ...rounding, ...how },
  zone: createZone(zone),
  holidays: new Set(),
  factorNanos: unchanged
})

const minuteOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

export const band = (from: string, to: string, rate: string, weekdays: ReadonlySet<number> = allDays): Band => ({
  weekdays,
  fromMinute: minuteOf(from),
  toMinute: minuteOf(to),
  rateNanos: parseRate(rate)
})
