// What crosses the border in header fields, per peer: identities, privacy, charging, reasons (29.165 table 6.2, B.7).
// Every message is written from scratch, so that what is not named here never crosses.

import type { Party, Reason, Release, Shown } from '../session/model.ts'
import { tellsNumber } from '../session/privacy.ts'
import { parseNameAddr, parseParams, quote, unquote } from '../sip/message.ts'
import type { Headers } from '../sip/message.ts'
import { q850Of } from './causes.ts'
import type { Told } from './causes.ts'
import { limits } from './limits.ts'
import { e164Of, identityOf, isAnonymous, mayName, noParams, numberParamsOf, numberUri, telUri } from './numbers.ts'
import type { NumberParams } from './numbers.ts'
import { perPeer } from './peers.ts'
import type { HubFace, Peer } from './peers.ts'

export type Fields = Record<string, string>
/** Of a message that is sent: several values of a field are several lines. */
export type Lines = Readonly<Record<string, string | readonly string[]>>

export const anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
/** NUM-08: a caller who has no number that could be shown. */
export const unavailable = '<sip:unavailable@unknown.invalid>'

const privacyWords = ['header', 'session', 'user', 'none', 'critical', 'id', 'history'] as const
const restricting: ReadonlySet<string> = new Set(['id', 'user', 'header', 'session'])

/** What works inside a dialog, and what begins one (29.165 table 6.1). */
const always = ['INVITE', 'ACK', 'CANCEL', 'BYE', 'PRACK', 'UPDATE'] as const

/** What the peer may send outside a dialog, or in one. */
export const allowOf = perPeer(({ methods }) => [dialogAllow(methods), ...messageIn(methods)].join(', '))
export const dialogAllowOf = perPeer(({ methods }) => dialogAllow(methods))

const dialogAllow = (methods: readonly string[]): string =>
  [...always, ...(methods.includes('INFO') ? ['INFO'] : []), 'OPTIONS'].join(', ')
const messageIn = (methods: readonly string[]): readonly string[] => (methods.includes('MESSAGE') ? ['MESSAGE'] : [])

/** Who the peer says is there. Only inside the trust domain is anybody asserted (RFC 3325, 5). */
export function partyOf(headers: Headers, peer: Peer): Party {
  const from = parseNameAddr(headers.get('From') ?? '')
  const presented = from === null ? null : identityOf(from.uri)
  const withheld = from !== null && presented === null && isAnonymous(from.uri)
  const said = privacyIn(headers)
  const privacy = withheld && !said.includes('none') && !said.includes('id') ? [...said, 'id'] : said
  const asserted = peer.heard.has('P-Asserted-Identity') ? assertedIn(headers) : []
  const display = withheld ? null : (from?.display ?? null)
  return {
    asserted,
    presented,
    display: display === null ? null : printable(display.slice(0, limits.identityBytesMax)),
    privacy,
    trust: peer.trusted ? 'network' : 'user'
  }
}

/** Who has answered, from a peer inside the trust domain (NUM-09): From in an answer is still the caller's. */
export function connectedOf(headers: Headers, peer: Peer): Party | null {
  const asserted = peer.heard.has('P-Asserted-Identity') ? assertedIn(headers) : []
  const [first] = asserted
  if (first === undefined) return null
  return { asserted, presented: first, display: null, privacy: privacyIn(headers), trust: 'network' }
}

function privacyIn(headers: Headers): readonly string[] {
  const values = headers.all('Privacy')
  if (values.length === 0) return values
  const said = new Set(values.flatMap(value => value.toLowerCase().split(/[;,\s]+/)))
  return privacyWords.filter(word => said.has(word))
}

/** Control characters end at the border: other dialects do not take them, and terminals obey them. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ').toWellFormed()

/** At most one number and one user (NUM-03). */
function assertedIn(headers: Headers): readonly string[] {
  const found: string[] = []
  for (const value of headers.all('P-Asserted-Identity').slice(0, 4)) {
    const name = parseNameAddr(value)
    const identity = name === null ? null : identityOf(name.uri)
    if (identity === null) continue
    const scheme = identity.slice(0, 4)
    if (!found.some(other => other.startsWith(scheme))) found.push(identity)
  }
  return found.sort((a, b) => Number(b.startsWith('tel:')) - Number(a.startsWith('tel:')))
}

export const isWithheld = ({ privacy }: Shown): boolean =>
  !privacy.includes('none') && privacy.some(word => restricting.has(word))

/** What the caller's network says of its number, on the tel URI among the asserted ones (TS 24.229, 7.2A.12). */
export function callerParamsOf(headers: Headers, peer: Peer): NumberParams {
  if (!peer.heard.has('P-Asserted-Identity')) return noParams
  for (const value of headers.all('P-Asserted-Identity').slice(0, 4)) {
    if (!mayName(value, ofCallers)) continue
    const params = numberParamsOf(parseNameAddr(value)?.uri ?? '', peer, ofCallers)
    if (params.size > 0) return params
  }
  return noParams
}
const ofCallers = ['cpc', 'oli'] as const

/**
 * From, P-Asserted-Identity and Privacy towards a peer. Only numbers cross unless the peer has agreed to more (NUM-08):
 * a user's name and domain belong to its island. A withheld number is asserted to those alone who are told asserted
 * identities, with `Privacy: id` (RFC 3325, 7).
 */
export function identityFields(
  shown: Shown,
  peer: Peer,
  hub: HubFace,
  callerParams: NumberParams = noParams
): Fields & { readonly From: string } {
  const withheld = isWithheld(shown)
  const asserted = assertedTo(shown, peer, hub, callerParams)
  const presented = presentedTo(shown, peer, hub, callerParams) ?? asserted
  const display = shown.display === null ? '' : `${quote(shown.display)} `
  const named = presented === null ? `${display}${unavailable}` : `${display}<${presented}>`
  const fields: Fields & { From: string } = { From: withheld ? anonymous : named }
  if (peer.told.has('P-Asserted-Identity') && asserted !== null) fields['P-Asserted-Identity'] = `<${asserted}>`
  const privacy = withheld && !shown.privacy.includes('id') ? [...shown.privacy, 'id'] : shown.privacy
  if (privacy.length > 0) fields['Privacy'] = privacy.join(';')
  return fields
}

/** Parameters of the number live on a tel URI (NUM-03). */
function assertedTo(shown: Shown, peer: Peer, hub: HubFace, params: NumberParams): string | null {
  const number = shown.asserted.map(e164Of).find(one => one !== null) ?? null
  const told =
    params.size === 0 ? params : new Map([...params].filter(([name]) => peer.config.numberParameters.includes(name)))
  const onTel = told.size > 0 && [...told.keys()].some(name => name !== 'verstat')
  if (number !== null) return onTel ? telUri(number, told) : numberUri(number, hub.domain, peer, told)
  const { withoutNumber } = peer.config
  if (withoutNumber === 'unavailable') return null
  if (withoutNumber !== 'user') return numberUri(withoutNumber, hub.domain, peer)
  return shown.asserted.find(one => one.startsWith('sip:')) ?? null
}

/** What was checked is the number that is asserted: From says so of the same one alone (STIR-05). */
function presentedTo({ asserted, presented }: Shown, peer: Peer, hub: HubFace, params: NumberParams): string | null {
  const number = presented === null ? null : e164Of(presented)
  if (number === null) return null
  const said = params.get('verstat')
  const checked = said !== undefined && (asserted.length === 0 || asserted.some(one => e164Of(one) === number))
  return numberUri(number, hub.domain, peer, checked ? new Map([['verstat', said]]) : noParams)
}

/** Who has answered, as far as the caller may know (NUM-09), added to `fields`. */
export function connectedFields(shown: Shown | null, peer: Peer, hub: HubFace, fields: Fields = {}): Fields {
  if (shown === null || !peer.told.has('P-Asserted-Identity')) return fields
  const asserted = assertedTo(shown, peer, hub, noParams)
  if (asserted === null) return fields
  fields['P-Asserted-Identity'] = `<${asserted}>`
  if (shown.privacy.length > 0) fields['Privacy'] = shown.privacy.join(';')
  return fields
}

/** Reason values that we understand (RFC 3326). */
export function toldIn(values: readonly string[]): readonly Told[] {
  const told: Told[] = []
  for (const value of values.slice(0, 4)) {
    const semicolon = value.indexOf(';')
    const protocol = value.slice(0, Math.max(0, semicolon)).trim().toUpperCase()
    const params = protocol === 'SIP' || protocol === 'Q.850' ? parseParams(value, semicolon) : null
    const cause = Number(params?.get('cause') ?? 'none')
    if (params === null || !Number.isInteger(cause) || cause < 1 || cause > 699) continue
    const text = params.get('text')
    told.push({
      protocol: protocol === 'SIP' ? 'SIP' : 'Q.850',
      cause,
      text: text === undefined || text === null ? null : printable(unquote(text).slice(0, 100))
    })
  }
  return told
}

/** In a refusal: Q.850 for those who are told reasons (29.165 table 6.2 item 11). */
export const refusalFields = (release: Release, peer: Peer): Fields =>
  peer.told.has('Reason') ? { Reason: `Q.850;cause=${q850Of(release)}${textOf(release)}` } : {}

/** In BYE and CANCEL, added to `fields`. */
export function endingFields(release: Release, fields: Fields = {}): Fields {
  fields['Reason'] = endingReason(release)
  return fields
}

function endingReason(release: Release): string {
  if (release.cause === 'answered-elsewhere') return 'SIP;cause=200;text="Call completed elsewhere"'
  const sip = release.sip === undefined || release.sip < 300 ? '' : `SIP;cause=${release.sip}, `
  return `${sip}Q.850;cause=${q850Of(release)}${textOf(release)}`
}

const textOf = (reason: Reason): string => {
  const words = plainWords(reason)
  return words === null ? '' : `;text=${quote(words)}`
}

/** Words that may cross: nothing that looks like an address, a host name or a path (SEC-04). */
export function plainWords(reason: Reason): string | null {
  const { text } = reason
  if (text === undefined || text === '' || text.length > 100 || tellsNumber(reason)) return null
  return /[^\x20-\x7e]|[@/\\:"<>]|[\w-]\.\w/.test(text) ? null : text
}
