// The country that a prefix belongs to, for sheets that are complete for the countries in them (SET-10).

import { getCountries, getCountryCallingCode, Metadata } from 'libphonenumber-js/min'

interface Country {
  readonly id: string
  readonly leading: RegExp | null
}

/** By calling code; of several countries those that are told apart by leading digits, then the rest as one. */
const byCode = new Map<string, readonly Country[]>()
for (const id of getCountries()) {
  const code = getCountryCallingCode(id)
  const metadata = new Metadata()
  metadata.selectNumberingPlan(id)
  const leading: unknown = metadata.numberingPlan?.leadingDigits()
  const pattern = typeof leading === 'string' ? new RegExp(`^(?:${leading})`) : null
  byCode.set(code, [...(byCode.get(code) ?? []), { id, leading: pattern }])
}

/** Null: the prefix is longer than no calling code, or belongs to none. */
export function countryOf(prefix: string): string | null {
  const digits = prefix.slice(1)
  for (const length of [1, 2, 3]) {
    const countries = byCode.get(digits.slice(0, length))
    if (countries === undefined || digits.length < length) continue
    const national = digits.slice(length)
    const found = countries.find(({ leading }) => leading?.test(national) === true)
    return found?.id ?? `+${digits.slice(0, length)}`
  }
  return null
}
