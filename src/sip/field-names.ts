// Names of header fields: spellings, compact forms, which fields are comma lists and which stand once.

import { finderOf, isToken } from './characters.ts'

/** One spelling of a field's name and what is known about the field. */
export interface FieldName {
  /** As written. */
  readonly name: string
  /** What goes before the value in a message, the end of the line before included. */
  readonly prefix: string
  /** The same for all spellings: lower case, never compact. */
  readonly key: string
  /** The same for all spellings of a known field; -1 for others. Comparing numbers is what makes look-ups cheap. */
  readonly id: number
  /** Whether its grammar is a comma-separated list; in every other field a comma is part of the one value. */
  readonly list: boolean
  /** Whether a second one would leave the message ambiguous; the ids of these are below 31. */
  readonly single: boolean
}

/** Compact forms in the IANA registry of SIP header fields. */
const compactForms: Readonly<Record<string, string>> = {
  a: 'Accept-Contact',
  b: 'Referred-By',
  c: 'Content-Type',
  d: 'Request-Disposition',
  e: 'Content-Encoding',
  f: 'From',
  i: 'Call-ID',
  j: 'Reject-Contact',
  k: 'Supported',
  l: 'Content-Length',
  m: 'Contact',
  n: 'Identity-Info',
  o: 'Event',
  r: 'Refer-To',
  s: 'Subject',
  t: 'To',
  u: 'Allow-Events',
  v: 'Via',
  x: 'Session-Expires',
  y: 'Identity'
}

const listNames = `Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Alert-Info Allow
  Allow-Events Call-Info Contact Content-Encoding Content-Language Diversion Error-Info Feature-Caps Geolocation
  History-Info In-Reply-To P-Access-Network-Info P-Asserted-Identity P-Associated-URI P-Early-Media
  P-Media-Authorization P-Preferred-Identity P-Visited-Network-ID Path Permission-Missing Policy-Contact Proxy-Require
  Reason Record-Route Recv-Info Reject-Contact Request-Disposition Require Resource-Priority Route Security-Client
  Security-Server Security-Verify Service-Route Supported Trigger-Consent Unsupported User-to-User Via Warning`
const singleNames = 'From To Call-ID CSeq Content-Length Content-Type Max-Forwards'
const otherNames = `Authentication-Info Authorization Content-Disposition Date Event Expires Identity Identity-Info
  MIME-Version Min-Expires Min-SE P-Asserted-Service P-Charging-Function-Addresses P-Charging-Vector P-Served-User
  Privacy Proxy-Authenticate Proxy-Authorization RAck Refer-To Referred-By Replaces Retry-After RSeq Server
  Session-Expires Session-ID Subject Timestamp User-Agent WWW-Authenticate`

const prefixOf = (name: string): string => `\r\n${name}: `
const spelled = (field: FieldName, name: string): FieldName => ({ ...field, name, prefix: prefixOf(name) })

/** By each spelling. */
const known = new Map<string, FieldName>()
const remember = (spelling: FieldName): void => void known.set(spelling.name, spelling)
for (const [text, list, single] of [
  [singleNames, false, true],
  [listNames, true, false],
  [otherNames, false, false]
] as const) {
  for (const name of text.split(/\s+/)) {
    const field = { name, prefix: prefixOf(name), key: name.toLowerCase(), id: known.size, list, single }
    remember(field)
    if (field.key !== name) remember(spelled(field, field.key))
  }
}
for (const [name, long] of Object.entries(compactForms)) {
  const field = known.get(long)
  if (field !== undefined) remember(spelled(field, name))
}

const knownIn = finderOf(known)

/** What is known about the field of this name, whatever its spelling. */
export function fieldNamed(name: string): FieldName {
  const exact = known.get(name)
  if (exact !== undefined) return exact
  const key = name.toLowerCase()
  const field = known.get(key) ?? { name, prefix: '', key, id: -1, list: false, single: false }
  return spelled(field, name)
}

/** The field whose name ends before `end`, or null where that is no token. */
export function fieldAt(text: string, at: number, end: number): FieldName | null {
  const spelling = knownIn(text, at, end)
  if (spelling !== null) return spelling
  const name = text.slice(at, end)
  return isToken(name) ? fieldNamed(name) : null
}

/** Names of fields, to look for all of them at once in a message. */
export interface FieldSet {
  /** 1 at the id of each known field. */
  readonly ids: Uint8Array
  /** Of all the others. */
  readonly keys: ReadonlySet<string>
}

export const isInSet = ({ ids, keys }: FieldSet, { id, key }: FieldName): boolean =>
  id >= 0 ? ids[id] === 1 : keys.has(key)

export function fieldSet(names: readonly string[]): FieldSet {
  const ids = new Uint8Array(known.size)
  const keys = new Set<string>()
  for (const { id, key } of names.map(fieldNamed)) {
    if (id >= 0) ids[id] = 1
    else keys.add(key)
  }
  return { ids, keys }
}

/** The name that all spellings of a field share: lower case, never compact. */
export const fieldKey = (name: string): string => fieldNamed(name).key

export const isListField = (name: string): boolean => fieldNamed(name).list
