// Telephone numbers in URIs: to canonical `tel:+E164` and `sip:user@domain`, and back (29.165 8.1, RFC 3966).

import { validatePhoneNumberLength } from 'libphonenumber-js/min'
import { parseUri, printUri, schemeOf, stripSeparators } from '../sip/uri.ts'
import type { SipUri } from '../sip/uri.ts'

export interface Refused {
  readonly status: number
  readonly reason?: string
  readonly headers?: Readonly<Record<string, string>>
}

export type Called = { readonly ok: true; readonly called: string } | { readonly ok: false; readonly refused: Refused }

const digitsMax = 15
const refuse = (status: number, reason?: string): Called => ({
  ok: false,
  refused: reason === undefined ? { status } : { status, reason }
})

/** The Request-URI as canonical called party; 404, 416 or 484 where it is none (NUM-02, NUM-07, NNI-06). */
export function calledOf(requestUri: string): Called {
  const uri = parseUri(requestUri)
  if (uri === null) return schemeOf(requestUri) === null ? refuse(400) : refuse(416)
  if (uri.scheme === 'urn') return refuse(404, 'No Such Service Here')
  if (uri.scheme === 'tel') return numbered(uri.number)
  const number = numberIn(uri)
  if (number !== null) return numbered(number)
  return uri.user === null ? refuse(484) : { ok: true, called: userUri(uri, uri.user) }
}

function numbered(number: string): Called {
  if (!number.startsWith('+')) return refuse(404, 'Not A Global Number')
  const digits = number.length - 1
  const fault = number[1] === '0' || digits > digitsMax ? 'TOO_LONG' : validatePhoneNumberLength(number)
  if (fault === undefined) return { ok: true, called: `tel:${number}` }
  return fault === 'TOO_SHORT' || fault === 'NOT_A_NUMBER' ? refuse(484) : refuse(404, 'No Such Number')
}

/** The canonical URI of an identity header (From, P-Asserted-Identity); null for anonymous and unreadable ones. */
export function identityOf(text: string): string | null {
  const uri = text.length > 255 ? null : parseUri(text)
  if (uri === null || uri.scheme === 'urn') return null
  if (uri.scheme === 'tel') return `tel:${uri.number}`
  if (uri.user === null || uri.host === 'anonymous.invalid' || uri.user.toLowerCase() === 'anonymous') return null
  const number = numberIn(uri)
  return number === null ? userUri(uri, uri.user) : `tel:${number}`
}

/** True for `anonymous@anonymous.invalid` and its like (RFC 3323, 4.1). */
export function isAnonymous(text: string): boolean {
  const uri = parseUri(text)
  if (uri === null || uri.scheme === 'tel' || uri.scheme === 'urn') return false
  return uri.host === 'anonymous.invalid' || uri.user?.toLowerCase() === 'anonymous'
}

/** `+E164` of a canonical URI, or null where it is no global number. */
export const e164Of = (canonical: string): string | null =>
  /^tel:\+[1-9][0-9]{1,14}$/.test(canonical) ? canonical.slice(4) : null

/** `user=phone`, or a user part that is nothing but a global number; its parameters (rn, npdi) are kept out. */
function numberIn({ user, params }: SipUri): string | null {
  const plain = user?.split(';')[0] ?? ''
  if (params.get('user')?.toLowerCase() !== 'phone' && !/^\+[0-9().-]+$/.test(plain)) return null
  return stripSeparators(plain)
}

const none: ReadonlyMap<string, never> = new Map<string, never>()
const userUri = ({ host }: SipUri, user: string): string =>
  printUri({ scheme: 'sip', user, password: null, host, port: null, params: none, headers: none })
