// The tax fields of an invoice (COM-05): which category, which rate, why none. What is owed to whom by law is the
// configuration's word, not ours.

import type { RoundingMode } from '../money.ts'
import { divRound, powerOfTen } from '../money.ts'
import type { TaxCategory } from '../../config/money.ts'
import { minorStep } from './currency.ts'

/** The code of each category in UNCL5305, which EN 16931 uses. */
export const categoryCodes = {
  standard: 'S',
  'reverse-charge': 'AE',
  'zero-rated': 'Z',
  exempt: 'E',
  'outside-scope': 'O'
} as const satisfies Record<TaxCategory, string>

/** What an invoice says where it asks for no tax. */
export const categoryNotes = {
  standard: null,
  'reverse-charge': 'Reverse charge: the customer accounts for the tax.',
  'zero-rated': 'Zero-rated.',
  exempt: 'Exempt from tax.',
  'outside-scope': null
} as const satisfies Record<TaxCategory, string | null>

export interface TaxTerms {
  readonly category: TaxCategory
  /** In 10^-6 of a percent: 19 % is 19,000,000. */
  readonly percentMicros: bigint
  readonly note: string | null
}

/** The tax on a net amount, in micros, a whole number of minor units: the exact product rounded once. */
export const taxOn = (
  netMicros: bigint,
  { percentMicros }: TaxTerms,
  currency: string,
  mode: RoundingMode = 'half-up'
): bigint => {
  const step = minorStep(currency)
  return divRound(netMicros * percentMicros, 100n * powerOfTen(6) * step, mode) * step
}
