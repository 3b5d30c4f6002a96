// What a person dialled, made canonical: numbers in any form, short numbers, emergency numbers. Pure.

import type { Reason } from './model.ts'

export type Called = { readonly called: string } | { readonly refused: Reason; readonly emergency?: true }

/** What an island's users may dial besides E.164 numbers. */
export interface DialPlan {
  /** The country of national numbers; without it they are refused. */
  readonly countryCode?: string | undefined
  readonly national: string
  readonly international: readonly string[]
  readonly short: readonly { readonly dialled: string; readonly number: string }[]
  /** To a number, or to an emergency service of the hub's (`urn:service:sos`); neither: nobody can help here. */
  readonly emergency: readonly {
    readonly dialled: string
    readonly number?: string | undefined
    readonly service?: string | undefined
  }[]
}

/** An international number with its plus sign (ITU-T E.164), from `from` to the end; every call asks many times. */
export function isE164(text: string, from = 0): boolean {
  const digits = text.length - from - 1
  if (digits < 2 || digits > 15 || text.charCodeAt(from) !== plus || text.charCodeAt(from + 1) === zero) return false
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < zero || code > nine) return false
  }
  return true
}
const [plus, zero, nine] = [43, 48, 57] as const
/** A canonical number, `tel:` and E.164. */
export const isTelE164 = (uri: string): boolean => uri.startsWith('tel:') && isE164(uri, 'tel:'.length)

/** Visual separators of a number (RFC 3966, 5.1.1), and blanks that people type. */
export const withoutSeparators = (text: string): string => text.replace(/[-.() ]/g, '')

export const refused = (cause: Reason['cause'], text: string): Called => ({ refused: { cause, text } })

const international = 'write the number in international form, with + and the country code'
export const numberCalled = (text: string): Called =>
  isE164(text) ? { called: `tel:${text}` } : refused('address-incomplete', international)

/** Where digits lead by the plan. An emergency number without a route is refused with words for who dialled it. */
export function dialledNumber(text: string, plan: DialPlan): Called {
  const digits = withoutSeparators(text)
  const emergency = plan.emergency.find(entry => entry.dialled === digits)
  if (emergency !== undefined) {
    if (emergency.number !== undefined) return { called: `tel:${emergency.number}` }
    if (emergency.service !== undefined) return { called: emergency.service }
    const words = `${digits} cannot be reached from here. Use a phone to call for help.`
    return { refused: { cause: 'not-found', text: words }, emergency: true }
  }
  const short = plan.short.find(entry => entry.dialled === digits)
  if (short !== undefined) return { called: `tel:${short.number}` }
  if (digits.startsWith('+')) return numberCalled(digits)
  if (!/^[0-9*#]+$/.test(digits)) return refused('not-found', 'nobody is known under this address')
  const abroad = plan.international.find(prefix => digits.startsWith(prefix))
  if (abroad !== undefined) return numberCalled(`+${digits.slice(abroad.length)}`)
  const { countryCode, national } = plan
  if (countryCode === undefined || !digits.startsWith(national)) return refused('address-incomplete', international)
  return numberCalled(`+${countryCode}${digits.slice(national.length)}`)
}

/** RFC 3261, 25.1 `user`, as RFC 7247 6.2 wants it: what is not unreserved is %-escaped UTF-8. */
export const escapeSipUser = (user: string): string =>
  user
    .toWellFormed()
    .replace(/[^A-Za-z0-9\-_.!~*'()&=+$,]/gu, character => encodeURIComponent(character).replaceAll("'", '%27'))

/** Null for a broken %-escape. */
export function unescapeSipUser(user: string): string | null {
  try {
    return decodeURIComponent(user)
  } catch {
    return null
  }
}
