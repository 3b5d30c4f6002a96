// What a whole period costs by the model of an agreement, and the other sums that are no matter of one call. Pure and
// exact; rates in 10^-9, shares and factors in 10^-9, amounts in 10^-6.

import { amountScale, divCeil, divRound, powerOfTen, rateScale } from './money.ts'
import type { RoundingMode } from './money.ts'

const one = powerOfTen(rateScale)
const nanosPerMicro = powerOfTen(rateScale - amountScale)

/** How an amount of micros is rounded. */
export interface AmountRounding {
  /** Digits after the point, 0 to 6. */
  readonly scale: number
  readonly mode: RoundingMode
}

/** A quotient of nanos as micros, rounded once. */
function micros(nanos: bigint, per: bigint, { scale, mode }: AmountRounding): bigint {
  return divRound(nanos, per * powerOfTen(rateScale - scale), mode) * powerOfTen(amountScale - scale)
}

/** An amount at another scale, such as that of a currency's minor unit. */
export const roundAmount = (amountMicros: bigint, { scale, mode }: AmountRounding): bigint => {
  const step = powerOfTen(amountScale - scale)
  return divRound(amountMicros, step, mode) * step
}

export interface Tier {
  /** Units after the free ones up to which it reaches; null: without end. */
  readonly upTo: bigint | null
  readonly rateNanos: bigint
}

/**
 * The price of `units`, the free ones deducted first. `graduated`: each unit by the tier it falls into; `all`: the tier
 * that is reached prices all. `perUnits`: units in what a rate is for (60 seconds, 1 message).
 */
export function tiersPrice(
  {
    units,
    freeUnits,
    tiers,
    prices
  }: {
    readonly units: bigint
    readonly freeUnits: bigint
    readonly tiers: readonly Tier[]
    readonly prices: 'graduated' | 'all'
  },
  perUnits: bigint,
  rounding: AmountRounding
): bigint {
  const billable = units > freeUnits ? units - freeUnits : 0n
  if (prices === 'all') {
    const reached = tiers.find(({ upTo }) => upTo === null || billable <= upTo) ?? tiers.at(-1)
    return micros(billable * (reached?.rateNanos ?? 0n), perUnits, rounding)
  }
  let below = 0n
  let nanos = 0n
  for (const [n, { upTo, rateNanos }] of tiers.entries()) {
    const end = upTo === null || n === tiers.length - 1 || upTo > billable ? billable : upTo
    if (end > below) nanos += (end - below) * rateNanos
    below = end > below ? end : below
  }
  return micros(nanos, perUnits, rounding)
}

/** Send or pay (COM-01): the committed units at least, what is over at its own rate. */
export function commitmentPrice(
  {
    units,
    committed,
    rateNanos,
    overageNanos
  }: {
    readonly units: bigint
    readonly committed: bigint
    readonly rateNanos: bigint
    readonly overageNanos: bigint
  },
  perUnits: bigint,
  rounding: AmountRounding
): bigint {
  const over = units > committed ? units - committed : 0n
  return micros(committed * rateNanos + over * overageNanos, perUnits, rounding)
}

export interface Imbalance {
  /** The share of the direction that sent more, in 10^-9, rounded half up, for people to read. */
  readonly shareNanos: bigint
  readonly netUnits: bigint
  readonly amountMicros: bigint
  /** Who pays: the direction that sent more. */
  readonly payer: 'out' | 'in' | null
}

/**
 * Bill and keep: nothing while neither direction has more than `thresholdNanos` of all, then the imbalance (`all`) or
 * what exceeds the threshold (`excess`). The share is compared exactly, not rounded.
 */
export function imbalanceOf(
  {
    unitsOut,
    unitsIn,
    thresholdNanos,
    netRateNanos,
    pays
  }: {
    readonly unitsOut: bigint
    readonly unitsIn: bigint
    readonly thresholdNanos: bigint
    readonly netRateNanos: bigint
    readonly pays: 'all' | 'excess'
  },
  perUnits: bigint,
  rounding: AmountRounding
): Imbalance {
  const total = unitsOut + unitsIn
  const more = unitsOut >= unitsIn ? unitsOut : unitsIn
  if (total === 0n) return { shareNanos: 0n, netUnits: 0n, amountMicros: 0n, payer: null }
  const shareNanos = divRound(more * one, total, 'half-up')
  if (more * one <= thresholdNanos * total) return { shareNanos, netUnits: 0n, amountMicros: 0n, payer: null }
  const netUnits = pays === 'all' ? more * 2n - total : more - divRound(thresholdNanos * total, one, 'up')
  const amountMicros = micros(netUnits * netRateNanos, perUnits, rounding)
  return { shareNanos, netUnits, amountMicros, payer: unitsOut >= unitsIn ? 'out' : 'in' }
}

/** Seconds are added up over a period and rounded up to whole units of it once (RATE-08). */
export function periodPrice(
  durationsMs: Iterable<number>,
  { rateNanos, unitSeconds }: { readonly rateNanos: bigint; readonly unitSeconds: bigint },
  rounding: AmountRounding
): { readonly seconds: bigint; readonly billedUnits: bigint; readonly amountMicros: bigint } {
  let ms = 0n
  for (const durationMs of durationsMs) ms += BigInt(durationMs)
  const seconds = divCeil(ms, 1_000n)
  const billedUnits = divCeil(seconds, unitSeconds)
  return { seconds, billedUnits, amountMicros: micros(billedUnits * unitSeconds * rateNanos, 60n, rounding) }
}

/** The provider's share is rounded, the hub takes the remainder: the two always make up the whole. */
export function shareOf(
  grossMicros: bigint,
  shareNanos: bigint,
  rounding: AmountRounding
): { readonly providerMicros: bigint; readonly hubMicros: bigint } {
  const providerMicros = micros(grossMicros * nanosPerMicro * shareNanos, one, rounding)
  return { providerMicros, hubMicros: grossMicros - providerMicros }
}

/** An amount that was rounded before, in another currency (or with an uplift): `factorNanos` for one. */
export const convert = (amountMicros: bigint, factorNanos: bigint, rounding: AmountRounding): bigint =>
  micros(amountMicros * nanosPerMicro * factorNanos, one, rounding)

/** An invoice of exact lines, rounded to the currency once a line or once for all of it. */
export function totalOf(linesMicros: readonly bigint[], stage: 'line' | 'invoice', rounding: AmountRounding): bigint {
  const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((sum, amount) => sum + amount, 0n)
  return stage === 'line'
    ? sum(linesMicros.map(line => roundAmount(line, rounding)))
    : roundAmount(sum(linesMicros), rounding)
}

/** For how many seconds a balance lasts at a rate per minute; null: for ever, it costs nothing. */
export function prepaidSeconds(balanceMicros: bigint, setupFeeNanos: bigint, rateNanos: bigint): bigint | null {
  const left = balanceMicros * nanosPerMicro - setupFeeNanos
  if (left < 0n) return 0n
  return rateNanos === 0n ? null : (left * 60n) / rateNanos
}

/** How far two counts differ (SET-02): compared exactly, told in 10^-6 of a percent. */
export function toleranceOf({
  own,
  theirs,
  percentNanos,
  of
}: {
  readonly own: bigint
  readonly theirs: bigint
  /** The tolerance in 10^-9 of a percent. */
  readonly percentNanos: bigint
  readonly of: 'own' | 'larger'
}): { readonly percentMicros: bigint; readonly within: boolean } {
  const difference = own > theirs ? own - theirs : theirs - own
  const base = of === 'larger' && theirs > own ? theirs : own
  if (base === 0n) return { percentMicros: difference === 0n ? 0n : 100n * powerOfTen(6), within: difference === 0n }
  return {
    percentMicros: divRound(difference * 100n * powerOfTen(6), base, 'half-up'),
    within: difference * 100n * one <= percentNanos * base
  }
}
