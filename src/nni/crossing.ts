// Header fields that cross from one operator to another: what the callee's network may have of what the caller's sent,
// and the reverse. Who and what is behind the hub stays unknown (SEC-04).

import { isIP } from 'node:net'
import type { AgreedField } from '../config/operators.ts'
import { fieldSet, parseVia } from '../sip/message.ts'
import type { Headers } from '../sip/message.ts'
import type { Fields } from './headers.ts'
import { crossingFields } from './header-rules.ts'
import { limits } from './limits.ts'
import type { NumberParams } from './numbers.ts'
import type { HubFace, Peer } from './peers.ts'

/** In the order of the list of agreed fields; values as they may stand in a message. */
export type Carried = readonly (readonly [field: AgreedField, value: string])[]

/** What a call or a message that came in by one leg passes to the leg it goes out by, beside the core, and back. */
export interface Crossing {
  readonly carried: Carried
  /** What the caller's network says of its number (TS 24.229, 7.2A.12). */
  readonly callerParams: NumberParams
  /** Identity header fields in order, as they came. */
  readonly identities: readonly string[]
  /** The peer that it came from. */
  readonly from: string
  /** Of what goes out (RTE-08). */
  readonly hopsLeft: number
  readonly back: Back
}

/** Of what did not come in here. */
export const noCrossing: Pick<Crossing, 'carried' | 'callerParams'> = { carried: [], callerParams: new Map() }

/** What the called side's last answer brought for the leg that the call came in by. */
export interface Back {
  carried: Carried
  transit: readonly string[]
}
export const newBack = (): Back => ({ carried: [], transit: [] })

/** One field of it. */
export const carriedValue = (carried: Carried, field: AgreedField): string | null =>
  carried.find(([name]) => name === field)?.[1] ?? null

/** The other side names hosts of its own in them, but whom they name is worth more than where. */
const withUsers: ReadonlySet<AgreedField> = new Set(['Additional-Identity', 'History-Info', 'Referred-By'])
/** What a caller who wants to be nobody does not say (RFC 3323, 4.1; RFC 7044, 10.1). */
const telling: ReadonlySet<AgreedField> = new Set([
  'Additional-Identity',
  'Call-Info',
  'History-Info',
  'Organization',
  'Referred-By',
  'Subject'
])

/** Identity crosses byte by byte, and with the names of other networks in it: src/nni/stir. */
const carriable = crossingFields.filter(field => field !== 'Identity')
const crossing = fieldSet(carriable)
const nothing: Carried = []

/** What a message of the peer brings that may cross. What is too long, or names places, is left out. */
export function carriedOf(headers: Headers, peer: Peer, hub: HubFace): Carried {
  // Most messages bring nothing of it.
  if (!headers.hasAny(crossing)) return nothing
  const carried: [AgreedField, string][] = []
  let room: number = limits.crossingBytesMax
  let places: readonly string[] | null = null
  for (const field of carriable) {
    if (!peer.heard.has(field) || !headers.has(field)) continue
    places ??= placesIn(headers, peer, hub)
    const values = headers.all(field).slice(0, limits.crossingValuesMax)
    const hidden = withUsers.has(field) ? values.map(value => hosted(value, hub.domain)) : values
    const text = hidden.filter(value => mayCross(value, places ?? []) && isWritten(field, value)).join(', ')
    const bytes = Buffer.byteLength(text)
    if (text === '' || bytes > room) continue
    room -= bytes
    carried.push([field, text])
  }
  return carried
}

/** What of it the peer is sent, added to `fields`. `withheld`: the caller wants to be nobody. */
export function carriedFields(carried: Carried, peer: Peer, withheld: boolean, fields: Fields = {}): Fields {
  for (const [field, value] of carried) {
    if (peer.told.has(field) && !(withheld && telling.has(field))) fields[field] = value
  }
  return fields
}

/** Who relies on these reads a letter and a UUID (TS 24.229, 7.2.18 and 7.2.19). */
const grammars: { readonly [field in AgreedField]?: RegExp } = {
  'Attestation-Info': /^[ABC]$/,
  'Origination-Id': /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
}
const isWritten = (field: AgreedField, value: string): boolean => grammars[field]?.test(value) ?? true

/** Hosts that only the peer's own side should know: where its messages came from and through. */
function placesIn(headers: Headers, { config, domain }: Peer, hub: HubFace): readonly string[] {
  const hosts = [domain, config.address.host, headers.get('Call-ID')?.split('@')[1] ?? '']
  for (const via of headers.all('Via')) hosts.push(parseVia(via)?.host ?? '')
  for (const name of ['Contact', 'Record-Route', 'From'] as const) {
    for (const value of headers.all(name)) hosts.push(/sips?:(?:[^@>]*@)?([^:;>?]+)/i.exec(value)?.[1] ?? '')
  }
  const own = hub.domain.toLowerCase()
  return hosts.map(host => host.toLowerCase()).filter(host => host.length > 3 && host !== own)
}

function mayCross(value: string, places: readonly string[]): boolean {
  const low = value.toLowerCase()
  // A body part of the other leg's message is not there on this one.
  if (low.includes('<cid:') || hasAddress(low) || /\p{Cc}/u.test(value)) return false
  return !places.some(place => low.includes(place))
}

/** True where an IP address stands in a text. */
export function hasAddress(text: string): boolean {
  if (/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/.test(text)) return true
  return (text.match(/[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*/gi) ?? []).some(one => isIP(one) === 6)
}

/** SIP URIs at the hub's own domain, the user part as it was (SEC-06). */
const hosted = (value: string, domain: string): string =>
  value.replaceAll(
    /(sips?:[^@>\s"]+@)(?:\[[^\]]+\]|[^:;>?\s"]+)(?::\d+)?/gi,
    (_, before: string) => `${before}${domain}`
  )
