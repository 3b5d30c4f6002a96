// What one leg of a call or one message costs by one row of a rate deck: pure and exact, rounded once (RATE-06).

import type { EpochMs } from '../session/model.ts'
import { amountScale, divCeil, divRound, powerOfTen, rateScale } from './money.ts'
import type { RoundingMode } from './money.ts'
import type { PrefixRow } from './prefixes.ts'
import type { Zone } from './zone.ts'

export const secondsRoundings = ['up', 'down', 'half'] as const
export type SecondsRounding = (typeof secondsRoundings)[number]

/**
 * Which band prices what two bands share: that in which an increment starts prices all of it, that of the answer prices
 * the whole call, or each billed second has its own.
 */
export const bandRules = ['increment-start', 'rate-at-start', 'seconds-split'] as const
export type BandRule = (typeof bandRules)[number]

/** How an agreement rounds (RATE-07): milliseconds to seconds, then the amount to `scale` digits, once per record. */
export interface Rounding {
  readonly seconds: SecondsRounding
  /** Digits after the point of an amount, 0 to 6. */
  readonly scale: number
  readonly mode: RoundingMode
  readonly bands: BandRule
}

/** As a day on which a band begins: a holiday is this and no weekday. */
export const holiday = 7

/** A price for some minutes of some days, in local time; `toMinute` up to 1440, below `fromMinute` past midnight. */
export interface Band {
  /** The days on which it begins; 0 is Sunday, 7 a holiday. */
  readonly weekdays: ReadonlySet<number>
  readonly fromMinute: number
  readonly toMinute: number
  readonly rateNanos: bigint
}

export interface RateRow extends PrefixRow {
  readonly id: string
  /** Of the deck it stands in; 0: the rates of the configuration. */
  readonly version: number
  readonly destination: string
  /** Per minute, or per message. */
  readonly rateNanos: bigint
  readonly setupFeeNanos: bigint
  readonly minimumSeconds: number
  readonly initialSeconds: number
  readonly nextSeconds: number
  /** The first that covers a moment prices it; the row's own rate where none does. */
  readonly bands: readonly Band[]
  /** Traffic is not taken: no rate for anybody (5.4). */
  readonly blocked: boolean
}

export interface Pricing {
  readonly row: RateRow
  readonly rounding: Rounding
  readonly zone: Zone
  /** Local days, counted from 1970-01-01. */
  readonly holidays: ReadonlySet<number>
  /** In 10^-9: what the exact sum is multiplied with before it is rounded, for an uplift, a share or a currency. */
  readonly factorNanos: bigint
}

/** A factor of one. */
export const unchanged = powerOfTen(rateScale)

/** Units charged at one rate. */
export interface Part {
  readonly rateNanos: bigint
  readonly units: number
}

export interface Rated {
  /** Billed seconds, or messages. */
  readonly billedUnits: number
  readonly parts: readonly Part[]
  readonly amountMicros: bigint
}

const minute = 60n
const minutesOfDay = 1_440

/** An answered call. Answered for 0 ms it costs the initial increment (`charging.md` 5.5). */
export function rateCall(pricing: Pricing, answeredAt: EpochMs, durationMs: number): Rated {
  const { row, rounding, factorNanos } = pricing
  const increments = incrementsOf(row, secondsOf[rounding.seconds](durationMs))
  const units = row.initialSeconds + increments * row.nextSeconds
  const parts = row.bands.length === 0 ? [{ rateNanos: row.rateNanos, units }] : banded(pricing, answeredAt, units)
  return rated(row.setupFeeNanos, parts, minute, rounding, factorNanos)
}

/** Messages that were taken by the other side. */
export function rateMessages(pricing: Pricing, acceptedAt: EpochMs, messages: number): Rated {
  const { row, rounding, factorNanos } = pricing
  const parts = [{ rateNanos: priceAt(pricing, acceptedAt).rateNanos, units: messages }]
  return rated(row.setupFeeNanos, parts, 1n, rounding, factorNanos)
}

/** A call that was not answered, or a message that was not taken. */
export const rateAttempt = (attemptFeeNanos: bigint, rounding: Rounding): Rated =>
  rated(attemptFeeNanos, [], 1n, rounding, unchanged)

/** Bytes in whole steps, at a price for 10^9 bytes; `billedUnits` are the steps. */
export function rateVolume(
  { bytes, stepBytes, rateNanos }: { readonly bytes: bigint; readonly stepBytes: bigint; readonly rateNanos: bigint },
  rounding: Rounding
): Rated {
  const steps = divCeil(bytes, stepBytes)
  const amount = rated(0n, [{ rateNanos, units: Number(steps * stepBytes) }], powerOfTen(9), rounding, unchanged)
  return { ...amount, billedUnits: Number(steps) }
}

/** The same without its first `freeUnits`; the set-up fee falls away with the last unit. */
export function afterFree(pricing: Pricing, whole: Rated, freeUnits: number, perUnits: bigint): Rated {
  let left = freeUnits
  const parts = whole.parts.flatMap(({ rateNanos, units }) => {
    const free = Math.min(left, units)
    left -= free
    return free === units ? [] : [{ rateNanos, units: units - free }]
  })
  const fee = parts.length === 0 ? 0n : pricing.row.setupFeeNanos
  return { ...rated(fee, parts, perUnits, pricing.rounding, pricing.factorNanos), billedUnits: whole.billedUnits }
}

/** Milliseconds as whole seconds. */
const secondsOf = {
  up: ms => Math.ceil(ms / 1_000),
  down: ms => Math.floor(ms / 1_000),
  half: ms => Math.floor((ms + 500) / 1_000)
} as const satisfies Record<SecondsRounding, (durationMs: number) => number>

/** How many increments follow the initial one. */
function incrementsOf({ minimumSeconds, initialSeconds, nextSeconds }: RateRow, seconds: number): number {
  const beyond = Math.max(seconds, minimumSeconds) - initialSeconds
  // Exact: the product of both is far below 2^53.
  return beyond <= 0 ? 0 : Math.ceil(beyond / nextSeconds)
}

/** What each band prices of the billed seconds. */
function banded(pricing: Pricing, answeredAt: EpochMs, units: number): readonly Part[] {
  const { initialSeconds, nextSeconds } = pricing.row
  switch (pricing.rounding.bands) {
    case 'rate-at-start':
      return [{ rateNanos: priceAt(pricing, answeredAt).rateNanos, units }]
    case 'seconds-split':
      return bandedParts(pricing, answeredAt, { first: 1, next: 1, units })
    default:
      return bandedParts(pricing, answeredAt, { first: initialSeconds, next: nextSeconds, units })
  }
}

interface Steps {
  readonly first: number
  readonly next: number
  readonly units: number
}

/** The band in which a step starts prices all of it. */
function bandedParts(pricing: Pricing, answeredAt: EpochMs, { first, next, units }: Steps): readonly Part[] {
  const parts: Part[] = []
  const add = (rateNanos: bigint, units: number): void => {
    const last = parts.at(-1)
    if (last?.rateNanos === rateNanos) parts[parts.length - 1] = { rateNanos, units: last.units + units }
    else parts.push({ rateNanos, units })
  }
  add(priceAt(pricing, answeredAt).rateNanos, first)
  const stepMs = next * 1_000
  let at = answeredAt + first * 1_000
  for (let left = (units - first) / next; left > 0;) {
    const { rateNanos, until } = priceAt(pricing, at)
    const steps = Math.min(left, Math.ceil((until - at) / stepMs))
    add(rateNanos, steps * next)
    left -= steps
    at += steps * stepMs
  }
  return parts
}

/** The rate at a moment, and the next moment at which it may be another one. */
function priceAt(
  { row, zone, holidays }: Pricing,
  at: EpochMs
): { readonly rateNanos: bigint; readonly until: EpochMs } {
  if (row.bands.length === 0) return { rateNanos: row.rateNanos, until: Infinity }
  const local = zone.local(at)
  let nextEdge = minutesOfDay
  for (const { fromMinute, toMinute } of row.bands) {
    if (fromMinute > local.minute && fromMinute < nextEdge) nextEdge = fromMinute
    if (toMinute > local.minute && toMinute < nextEdge) nextEdge = toMinute
  }
  const today = holidays.has(local.day) ? holiday : local.weekday
  const yesterday = holidays.has(local.day - 1) ? holiday : (local.weekday + 6) % 7
  return {
    rateNanos: row.bands.find(band => covers(band, today, yesterday, local.minute))?.rateNanos ?? row.rateNanos,
    until: Math.min(local.steadyUntil, local.at(nextEdge))
  }
}

/** A band past midnight belongs to the day on which it begins. */
function covers({ weekdays, fromMinute, toMinute }: Band, today: number, yesterday: number, minute: number): boolean {
  if (fromMinute < toMinute) return weekdays.has(today) && minute >= fromMinute && minute < toMinute
  return (weekdays.has(today) && minute >= fromMinute) || (weekdays.has(yesterday) && minute < toMinute)
}

/** `per`: units in what the rate is for (60 seconds in a minute). */
function rated(
  feeNanos: bigint,
  parts: readonly Part[],
  per: bigint,
  { scale, mode }: Rounding,
  factorNanos: bigint
): Rated {
  const small = factorNanos === unchanged ? smallSum(feeNanos, parts, per) : null
  if (small !== null) {
    return { billedUnits: small.billedUnits, parts, amountMicros: smallAmount(small.sum, per, scale, mode) }
  }
  let sum = feeNanos * per
  let billedUnits = 0
  for (const { rateNanos, units } of parts) {
    sum += rateNanos * BigInt(units)
    billedUnits += units
  }
  const whole = per * powerOfTen(rateScale - scale)
  const amount = divRound(sum * factorNanos, whole * unchanged, mode)
  return { billedUnits, parts, amountMicros: amount * powerOfTen(amountScale - scale) }
}

/** Whole numbers up to 2^53 are exact: nearly every call is that small, and twice as fast so. Null: it is not. */
function smallSum(
  feeNanos: bigint,
  parts: readonly Part[],
  per: bigint
): { readonly sum: number; readonly billedUnits: number } | null {
  let sum = Number(feeNanos) * Number(per)
  let billedUnits = 0
  for (const { rateNanos, units } of parts) {
    sum += Number(rateNanos) * units
    billedUnits += units
  }
  return sum <= Number.MAX_SAFE_INTEGER ? { sum, billedUnits } : null
}

const tens = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000] as const

function smallAmount(sum: number, per: bigint, scale: number, mode: RoundingMode): bigint {
  const whole = Number(per) * (tens[rateScale - scale] ?? 1)
  const rest = sum % whole
  const below = (sum - rest) / whole
  const grows = smallGrows[mode](rest, whole, below)
  return BigInt((grows ? below + 1 : below) * (tens[amountScale - scale] ?? 1))
}

/** As in `divRound`. */
const smallGrows = {
  down: () => false,
  up: rest => rest > 0,
  'half-up': (rest, whole) => rest * 2 >= whole,
  'half-even': (rest, whole, below) => rest * 2 > whole || (rest * 2 === whole && below % 2 === 1)
} as const satisfies Record<RoundingMode, (rest: number, whole: number, below: number) => boolean>
