// What crosses the border in header fields, per peer: identities, privacy, charging, reasons (29.165 table 6.2, B.7).
// Every message is written from scratch, so that what is not named here never crosses.

import type { ChargingId, Party, Reason, Release, Shown } from '../session/model.ts'
import { tellsNumber } from '../session/privacy.ts'
import { isToken, parseNameAddr, parseParams, quote, unquote } from '../sip/message.ts'
import type { Headers } from '../sip/message.ts'
import { q850Of } from './causes.ts'
import type { Told } from './causes.ts'
import { limits } from './limits.ts'
import { e164Of, identityOf, isAnonymous } from './numbers.ts'
import type { HubFace, Peer } from './peers.ts'

export type Fields = Record<string, string>

export const anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
/** NUM-08: a caller who has no number that could be shown. */
export const unavailable = '<sip:unavailable@unknown.invalid>'

const privacyWords = ['header', 'session', 'user', 'none', 'critical', 'id', 'history'] as const
const restricting: ReadonlySet<string> = new Set(['id', 'user', 'header', 'session'])

/** What works inside a dialog. */
export const dialogMethods = 'INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS'

export const allowOf = ({ config }: Peer): string => (config.messages ? `${dialogMethods}, MESSAGE` : dialogMethods)

/** Who the peer says is there. Only inside the trust domain is anybody asserted (RFC 3325, 5). */
export function partyOf(headers: Headers, peer: Peer): Party {
  const from = parseNameAddr(headers.get('From') ?? '')
  const withheld = from !== null && isAnonymous(from.uri)
  const said = privacyIn(headers)
  const privacy = withheld && !said.includes('none') && !said.includes('id') ? [...said, 'id'] : said
  const asserted = peer.trusted ? assertedIn(headers) : []
  const display = withheld ? null : (from?.display ?? null)
  return {
    asserted,
    presented: from === null ? null : identityOf(from.uri),
    display: display === null ? null : printable(display.slice(0, limits.identityBytesMax)),
    privacy,
    trust: peer.trusted ? 'network' : 'user'
  }
}

/** Who has answered, from a peer inside the trust domain (NUM-09): From in an answer is still the caller's. */
export function connectedOf(headers: Headers, peer: Peer): Party | null {
  const asserted = peer.trusted ? assertedIn(headers) : []
  const [first] = asserted
  if (first === undefined) return null
  return { asserted, presented: first, display: null, privacy: privacyIn(headers), trust: 'network' }
}

function privacyIn(headers: Headers): readonly string[] {
  const said = new Set(headers.all('Privacy').flatMap(value => value.toLowerCase().split(/[;,\s]+/)))
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

/**
 * From, P-Asserted-Identity and Privacy towards a peer. Only numbers cross: a user's name and domain belong to its
 * island (NUM-08). A withheld number is asserted to trusted peers alone, with `Privacy: id` (RFC 3325, 7).
 */
export function identityFields(shown: Shown, peer: Peer, hub: HubFace): Fields & { readonly From: string } {
  const withheld = isWithheld(shown)
  const asserted = shown.asserted.map(e164Of).find(number => number !== null) ?? null
  const presented = shown.presented === null ? null : e164Of(shown.presented)
  const number = presented ?? asserted
  const display = shown.display === null ? '' : `${quote(shown.display)} `
  const named = number === null ? `${display}${unavailable}` : `${display}<${numberUri(number, hub.domain)}>`
  const fields: Fields & { From: string } = { From: withheld ? anonymous : named }
  if (peer.trusted && asserted !== null) fields['P-Asserted-Identity'] = `<${numberUri(asserted, hub.domain)}>`
  const privacy = withheld && !shown.privacy.includes('id') ? [...shown.privacy, 'id'] : shown.privacy
  if (privacy.length > 0) fields['Privacy'] = privacy.join(';')
  return fields
}

/** Who has answered, as far as the caller may know (NUM-09). */
export function connectedFields(shown: Shown | null, peer: Peer, hub: HubFace): Fields {
  const number = shown?.asserted.map(e164Of).find(one => one !== null) ?? null
  if (shown === null || number === null || !peer.trusted) return {}
  const asserted = { 'P-Asserted-Identity': `<${numberUri(number, hub.domain)}>` }
  return shown.privacy.length === 0 ? asserted : { ...asserted, Privacy: shown.privacy.join(';') }
}

/** NUM-01: the form that every peer takes. */
export const numberUri = (e164: string, domain: string): string => `sip:${e164}@${domain};user=phone`

/** P-Charging-Vector (RFC 7315, 5.6). */
export interface Charging extends ChargingId {
  readonly origIoi: string | null
  readonly termIoi: string | null
  readonly transitIoi: readonly string[]
}

/** Null from a peer outside the trust domain, and where it is missing or unreadable. One instance counts (PCV-01). */
export function chargingOf(headers: Headers, peer: Peer): Charging | null {
  const text = headers.all('P-Charging-Vector')[0]
  const params = text === undefined || !peer.trusted || text.length > 1_024 ? null : parseParams(`;${text}`)
  const value = (name: string): string | null => {
    const found = params?.get(name) ?? null
    return found === null ? null : found.startsWith('"') ? unquote(found) : found
  }
  const icid = value('icid-value')
  if (icid === null || icid === '' || icid.length > limits.identityBytesMax) return null
  const transit = value('transit-ioi')
  return {
    icid,
    generatedAt: value('icid-generated-at') ?? '',
    origIoi: value('orig-ioi'),
    termIoi: value('term-ioi'),
    transitIoi: transit === null ? [] : transit.split(',', limits.transitsMax).map(part => part.trim())
  }
}

/** Of type 2: the originating network in requests, the terminating one in answers as well (PCV-06, PCV-07). */
export function chargingFields(charging: ChargingId, iois: { orig: string; term?: string }, peer: Peer): Fields {
  if (!peer.trusted) return {}
  const at = charging.generatedAt === '' ? '' : `;icid-generated-at=${wordOf(charging.generatedAt)}`
  const term = iois.term === undefined ? '' : `;term-ioi=${wordOf(iois.term)}`
  return { 'P-Charging-Vector': `icid-value=${wordOf(charging.icid)}${at};orig-ioi=${wordOf(iois.orig)}${term}` }
}

const wordOf = (text: string): string => (isToken(text) ? text : quote(text))

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

/** In a refusal: Q.850 for those inside the trust domain (29.165 table 6.2 item 11). */
export const refusalFields = (release: Release, peer: Peer): Fields =>
  peer.trusted ? { Reason: `Q.850;cause=${q850Of(release)}${textOf(release)}` } : {}

/** In BYE and CANCEL. */
export function endingFields(release: Release): Fields {
  if (release.cause === 'answered-elsewhere') return { Reason: 'SIP;cause=200;text="Call completed elsewhere"' }
  const sip = release.sip === undefined || release.sip < 300 ? '' : `SIP;cause=${release.sip}, `
  return { Reason: `${sip}Q.850;cause=${q850Of(release)}${textOf(release)}` }
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
