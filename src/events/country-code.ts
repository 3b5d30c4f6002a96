// The country calling code of an E.164 number (ITU-T E.164, list of assigned codes). Pure.

import { isE164 } from '../session/dial-plan.ts'

/** Codes of two digits; +1 and +7 have one, all others three. */
const ofTwo: ReadonlySet<string> = new Set(
  (
    '20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 ' +
    '60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98'
  ).split(' ')
)

/** Without `+`; null for null and for what is no E.164 number. */
export function countryCodeOf(number: string | null): string | null {
  // Plus sign and three digits are the least.
  if (number === null || number.length < 4 || !isE164(number)) return null
  const digits = number.slice(1)
  if (digits.startsWith('1') || digits.startsWith('7')) return digits.slice(0, 1)
  return digits.slice(0, ofTwo.has(digits.slice(0, 2)) ? 2 : 3)
}
