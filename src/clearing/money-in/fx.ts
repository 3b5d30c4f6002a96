// One currency in another at a rate that somebody fixed on a day (SET-06): exact, rounded once by a named rule. Pure.

import { divRound, parseScaled, powerOfTen, printScaled, amountScale } from '../money.ts'
import type { AmountRounding } from '../models.ts'

/** Digits after the point of an exchange rate: 10^-12 of the quoted currency for one of the base. */
export const fxScale = 12

/** For one unit of `base` one gets `ratePicos` of 10^-12 units of `quote`. */
export interface FxRate {
  readonly base: string
  readonly quote: string
  readonly ratePicos: bigint
  /** The day on which it was fixed. */
  readonly fixedOn: string
  readonly source: string
}

/** A rate as it is used: as quoted, or from the quoted currency to the base (`inverse`). */
export interface FxUse {
  readonly rate: FxRate
  readonly inverse: boolean
}

/** Throws RangeError. */
export const parseFx = (text: string): bigint => {
  const picos = parseScaled(text, fxScale)
  if (picos <= 0n) throw new RangeError(`a rate above 0, not ${text}`)
  if (picos > limits.picosMax) throw new RangeError(`${text} is above ${limits.picosMax / powerOfTen(fxScale)}`)
  return picos
}
export const printFx = (picos: bigint): string => printScaled(picos, fxScale).replace(/\.?0+$/, '')

export const limits = {
  /** Of one rate: what eight bytes hold. */
  picosMax: 9_000_000n * powerOfTen(fxScale),
  /** Lines of one file. */
  rowsMax: 200_000,
  sourceCharsMax: 120,
  fileBytesMax: 16 * 1024 * 1024
} as const

/**
 * An amount of `numerator / denominator` micros in the other currency, in micros, rounded once to `scale` digits. An
 * amount that was rounded before has the denominator 1 (R13a); an exact one brings its own (R13b).
 */
export function convertFx(
  { numerator, denominator = 1n }: { readonly numerator: bigint; readonly denominator?: bigint },
  { rate, inverse }: FxUse,
  { scale, mode }: AmountRounding
): bigint {
  const one = powerOfTen(fxScale)
  const step = powerOfTen(amountScale - scale)
  const [above, below] = inverse ? [one, rate.ratePicos] : [rate.ratePicos, one]
  return divRound(numerator * above, denominator * below * step, mode) * step
}
