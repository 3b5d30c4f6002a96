// What one leg of a call or one message costs by one row of a rate deck: pure and exact, rounded once (RATE-06).

import type { EpochMs } from '../session/model.ts'
import { amountScale, divCeil, divRound, powerOfTen, rateScale } from './money.ts'
import type { RoundingMode } from './money.ts'
import type { PrefixRow } from './prefixes.ts'
import type { Zone } from './zone.ts'

export const secondsRoundings = ['up', 'down', 'half'] as const
export type SecondsRounding = (typeof secondsRoundings)[number]

/** How an agreement rounds (RATE-07): milliseconds to seconds, then the amount to `scale` digits, once per record. */
export interface Rounding {
  readonly seconds: SecondsRounding
  /** Digits after the point of an amount, 0 to 6. */
  readonly scale: number
  readonly mode: RoundingMode
}

/** A price for some minutes of some days, in local time; `toMinute` up to 1440, below `fromMinute` past midnight. */
export interface Band {
  /** The days on which it begins; 0 is Sunday. */
  readonly weekdays: ReadonlySet<number>
  readonly fromMinute: number
  readonly toMinute: number
  readonly rateNanos: bigint
}

export interface RateRow extends PrefixRow {
  readonly id: string
  readonly destination: string
  /** Per minute, or per message. */
  readonly rateNanos: bigint
  readonly setupFeeNanos: bigint
  readonly minimumSeconds: number
  readonly initialSeconds: number
  readonly nextSeconds: number
  /** The first that covers a moment prices it; the row's own rate where none does. */
  readonly bands: readonly Band[]
}

export interface Pricing {
  readonly row: RateRow
  readonly rounding: Rounding
  readonly zone: Zone
}

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
export function rateCall({ row, rounding, zone }: Pricing, answeredAt: EpochMs, durationMs: number): Rated {
  const increments = incrementsOf(row, secondsOf[rounding.seconds](durationMs))
  const parts =
    row.bands.length === 0
      ? [{ rateNanos: row.rateNanos, units: row.initialSeconds + increments * row.nextSeconds }]
      : bandedParts(row, zone, answeredAt, increments)
  return rated(row.setupFeeNanos, parts, minute, rounding)
}

/** Messages that were taken by the other side. */
export function rateMessages({ row, rounding, zone }: Pricing, acceptedAt: EpochMs, messages: number): Rated {
  const parts = [{ rateNanos: priceAt(row, zone, acceptedAt).rateNanos, units: messages }]
  return rated(row.setupFeeNanos, parts, 1n, rounding)
}

/** A call that was not answered, or a message that was not taken. */
export const rateAttempt = (attemptFeeNanos: bigint, rounding: Rounding): Rated =>
  rated(attemptFeeNanos, [], 1n, rounding)

/** Milliseconds as whole seconds. */
const secondsOf = {
  up: ms => Math.ceil(ms / 1_000),
  down: ms => Math.floor(ms / 1_000),
  half: ms => Math.floor((ms + 500) / 1_000)
} as const satisfies Record<SecondsRounding, (durationMs: number) => number>

/** How many increments follow the initial one. */
function incrementsOf({ minimumSeconds, initialSeconds, nextSeconds }: RateRow, seconds: number): number {
  const beyond = Math.max(seconds, minimumSeconds) - initialSeconds
  return beyond <= 0 ? 0 : Number(divCeil(BigInt(beyond), BigInt(nextSeconds)))
}

/** The band in which an increment starts prices all of it. */
function bandedParts(row: RateRow, zone: Zone, answeredAt: EpochMs, increments: number): readonly Part[] {
  const parts: Part[] = []
  const add = (rateNanos: bigint, units: number): void => {
    const last = parts.at(-1)
    if (last?.rateNanos === rateNanos) parts[parts.length - 1] = { rateNanos, units: last.units + units }
    else parts.push({ rateNanos, units })
  }
  add(priceAt(row, zone, answeredAt).rateNanos, row.initialSeconds)
  const stepMs = row.nextSeconds * 1_000
  let at = answeredAt + row.initialSeconds * 1_000
  for (let left = increments; left > 0;) {
    const { rateNanos, until } = priceAt(row, zone, at)
    const steps = Math.min(left, Math.ceil((until - at) / stepMs))
    add(rateNanos, steps * row.nextSeconds)
    left -= steps
    at += steps * stepMs
  }
  return parts
}

/** The rate at a moment, and the next moment at which it may be another one. */
function priceAt(row: RateRow, zone: Zone, at: EpochMs): { readonly rateNanos: bigint; readonly until: EpochMs } {
  if (row.bands.length === 0) return { rateNanos: row.rateNanos, until: Infinity }
  const local = zone.local(at)
  const edges = row.bands.flatMap(({ fromMinute, toMinute }) => [fromMinute, toMinute])
  const nextEdge = Math.min(minutesOfDay, ...edges.filter(edge => edge > local.minute))
  return {
    rateNanos: row.bands.find(band => covers(band, local.weekday, local.minute))?.rateNanos ?? row.rateNanos,
    until: Math.min(local.steadyUntil, local.at(nextEdge))
  }
}

function covers({ weekdays, fromMinute, toMinute }: Band, weekday: number, minute: number): boolean {
  if (fromMinute < toMinute) return weekdays.has(weekday) && minute >= fromMinute && minute < toMinute
  return (weekdays.has(weekday) && minute >= fromMinute) || (weekdays.has((weekday + 6) % 7) && minute < toMinute)
}

/** `per`: units in what the rate is for (60 seconds in a minute). */
function rated(feeNanos: bigint, parts: readonly Part[], per: bigint, { scale, mode }: Rounding): Rated {
  const sum = parts.reduce((sum, { rateNanos, units }) => sum + rateNanos * BigInt(units), feeNanos * per)
  const amount = divRound(sum, per * powerOfTen(rateScale - scale), mode)
  return {
    billedUnits: parts.reduce((sum, { units }) => sum + units, 0),
    parts,
    amountMicros: amount * powerOfTen(amountScale - scale)
  }
}
