// Telephone numbers in URIs: to canonical `tel:+E164` and `sip:user@domain`, and back (29.165 8.1, RFC 3966).

import { validatePhoneNumberLength } from 'libphonenumber-js/min'
import type { NumberParameter } from '../config/operators.ts'
import { isE164, isTelE164 } from '../session/dial-plan.ts'
import { emergencyOf } from '../session/emergency.ts'
import type { Ported } from '../session/model.ts'
import { parseUri, printUri, schemeOf, stripSeparators } from '../sip/uri.ts'
import type { SipUri, Uri } from '../sip/uri.ts'
import { limits } from './limits.ts'
import type { Peer } from './peers.ts'

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
export function calledOf(requestUri: string, { config }: Pick<Peer, 'config'>): Called {
  const uri = parseUri(requestUri)
  if (uri === null) return schemeOf(requestUri) === null ? refuse(400) : refuse(416)
  if (uri.scheme === 'urn') {
    const service = emergencyOf(requestUri)
    return service === null ? refuse(404, 'No Such Service Here') : { ok: true, called: service }
  }
  if (!config.uris.includes(uri.scheme)) return refuse(416)
  if (uri.scheme === 'tel') return numbered(uri.number)
  const number = numberIn(uri)
  if (number !== null) return numbered(number)
  return uri.user === null ? refuse(484) : { ok: true, called: userUri(uri, uri.user) }
}

function numbered(number: string): Called {
  if (!number.startsWith('+')) return refuse(404, 'Not A Global Number')
  const digits = number.length - 1
  const fault = number[1] === '0' || digits > digitsMax ? 'TOO_LONG' : lengthFault(number)
  if (fault === undefined) return { ok: true, called: `tel:${number}` }
  return fault === 'TOO_SHORT' || fault === 'NOT_A_NUMBER' ? refuse(484) : refuse(404, 'No Such Number')
}

/** Numbers that were called lately, and what is wrong with their length. */
const lengths = new Map<string, ReturnType<typeof validatePhoneNumberLength>>()

function lengthFault(number: string): ReturnType<typeof validatePhoneNumberLength> {
  if (lengths.has(number)) return lengths.get(number)
  if (lengths.size >= limits.numbersKnownMax) lengths.clear()
  const fault = validatePhoneNumberLength(number)
  lengths.set(number, fault)
  return fault
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
export const e164Of = (canonical: string): string | null => (isTelE164(canonical) ? canonical.slice(4) : null)

/** `user=phone`, or a user part that is nothing but a global number; its parameters (rn, npdi) are kept out. */
function numberIn({ user, params }: SipUri): string | null {
  const plain = user?.split(';')[0] ?? ''
  if (params.get('user')?.toLowerCase() !== 'phone' && !/^\+[0-9().-]+$/.test(plain)) return null
  return stripSeparators(plain)
}

/** Parameters of a number, values as written; null for a bare name. */
export type NumberParams = ReadonlyMap<NumberParameter, string | null>

/** Those of a number in a URI that the peer has agreed on, of a sip URI from its user part (RFC 4694, NUM-06). */
export function numberParamsOf(
  text: string,
  { config }: Pick<Peer, 'config'>,
  among: readonly NumberParameter[]
): NumberParams {
  if (!mayName(text, among)) return noParams
  const uri = text.length > 1_024 ? null : parseUri(text)
  const written = uri === null ? new Map<string, string | null>() : writtenParams(uri)
  const found = new Map<NumberParameter, string | null>()
  for (const name of among) {
    const value = written.get(name)
    if (value === undefined || !config.numberParameters.includes(name)) continue
    if (value === null || /^[A-Za-z0-9+.*#-]{1,64}$/.test(value)) found.set(name, value)
  }
  return found
}

export const noParams: NumberParams = new Map()

/** False where none of them stands in the text: nearly always, and reading a URI takes longer. */
export function mayName(text: string, among: readonly NumberParameter[]): boolean {
  if (text.includes('%')) return true
  if (!text.includes(';')) return false
  const low = text.toLowerCase()
  return among.some(name => low.includes(`;${name}`))
}

function writtenParams(uri: Uri): ReadonlyMap<string, string | null> {
  if (uri.scheme === 'tel') return uri.params
  if (uri.scheme === 'urn' || uri.user === null) return noParams
  const params = new Map<string, string | null>()
  for (const part of uri.user.split(';').slice(1, 17)) {
    const equal = part.indexOf('=')
    params.set((equal < 0 ? part : part.slice(0, equal)).toLowerCase(), equal < 0 ? null : part.slice(equal + 1))
  }
  return params
}

/** Where the number has moved to, as the peer says and may say (NUM-05). A local routing number says nothing here. */
export function portedIn(requestUri: string, peer: Pick<Peer, 'config'>): Ported {
  const params = numberParamsOf(requestUri, peer, ofPorted)
  if (params === noParams) return notPorted
  const rn = stripSeparators(params.get('rn') ?? '')
  const known = rn !== null && isE164(rn) ? rn : null
  return { rn: known, npdi: params.has('npdi') }
}

const ofPorted = ['rn', 'npdi'] as const
const notPorted: Ported = { rn: null, npdi: false }

/** What a called number carries towards a peer: where it has moved to, and what its caller's network wrote (NUM-06). */
export function calledParams(
  { rn, npdi }: Ported,
  calledRaw: string | null,
  { config }: Pick<Peer, 'config'>
): NumberParams {
  const written = numberParamsOf(calledRaw ?? '', { config }, ofCalled)
  if (!npdi && rn === null) return written
  const params = new Map(written)
  if (npdi && config.numberParameters.includes('npdi')) params.set('npdi', null)
  if (rn !== null && config.numberParameters.includes('rn')) params.set('rn', rn)
  return params
}

const ofCalled = ['isub', 'cic', 'premium-rate'] as const

const printed = (params: NumberParams): string =>
  params.size === 0
    ? ''
    : [...params].map(([name, value]) => (value === null ? `;${name}` : `;${name}=${value}`)).join('')

export const telUri = (e164: string, params: NumberParams): string => `tel:${e164}${printed(params)}`

/** In the form that the peer takes first; parameters stay with the number, in the user part (NUM-01, NUM-04). */
export function numberUri(
  e164: string,
  domain: string,
  { config }: Pick<Peer, 'config'>,
  params: NumberParams = noParams
): string {
  const form = config.uris.find(kind => kind !== 'sips')
  return form === 'tel' ? telUri(e164, params) : `sip:${e164}${printed(params)}@${domain};user=phone`
}

const none: ReadonlyMap<string, never> = new Map<string, never>()
const userUri = ({ host }: SipUri, user: string): string =>
  printUri({ scheme: 'sip', user, password: null, host, port: null, params: none, headers: none })
