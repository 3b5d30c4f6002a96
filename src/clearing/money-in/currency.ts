// The minor units of currencies (ISO 4217), and amounts rounded to them.

import { amountScale, divRound, parseScaled, powerOfTen, printScaled } from '../money.ts'
import type { RoundingMode } from '../money.ts'

/** Digits after the point where they are not two. */
const digits: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    ['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV'].map(c => [c, 0])
  ),
  ...Object.fromEntries(['XAF', 'XOF', 'XPF'].map(c => [c, 0])),
  ...Object.fromEntries(['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map(c => [c, 3])),
  CLF: 4,
  UYW: 4
}

/** Digits after the point of an amount that somebody pays. */
export const minorDigits = (currency: string): number => digits[currency] ?? 2

/** One minor unit in micros. */
export const minorStep = (currency: string): bigint => powerOfTen(amountScale - minorDigits(currency))

/** An amount as it can be paid: a whole number of minor units, in micros. */
export function toMinor(amountMicros: bigint, currency: string, mode: RoundingMode = 'half-up'): bigint {
  const step = minorStep(currency)
  return divRound(amountMicros, step, mode) * step
}

/** `2344.45`; an amount that is no whole number of minor units keeps all its digits. */
export function printMoney(amountMicros: bigint, currency: string): string {
  const step = minorStep(currency)
  return amountMicros % step === 0n
    ? printScaled(amountMicros / step, minorDigits(currency))
    : printScaled(amountMicros, amountScale)
}

/** An amount that somebody pays. Throws RangeError for a digit below the minor unit. */
export const parseMoney = (text: string, currency: string): bigint =>
  parseScaled(text, minorDigits(currency)) * minorStep(currency)

export const isCurrency = (text: string): boolean => /^[A-Z]{3}$/.test(text)
