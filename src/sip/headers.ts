// Header fields of a SIP message: names with their compact forms, comma lists where the grammar has them, order kept.

import { HubError } from '../errors.ts'
import { isToken, oneLine, skipQuoted, trimSpace } from './characters.ts'

/** One header field line; `name` as it was written, `value` unfolded and trimmed. */
export interface HeaderLine {
  readonly name: string
  readonly value: string
}

/**
 * The header fields of a message, in order. Names are case-insensitive and their compact forms are the same name.
 * Method contract (RFC 3261, 7.3.1):
 *  get(name)        first value of that field (first comma-separated part for list fields), or undefined
 *  all(name)        every value, comma lists split where the field's grammar allows lists
 *  lines()          every line in order, as it will be printed
 *  has / count
 *  set(name, value | values)   replaces all lines of that name, in place of the first one, else at the end
 *  add(name, value)            appends a line
 *  prepend(name, value)        puts a line before the first one of that name (Via, Record-Route), else on top
 *  removeFirst(name)           drops the first VALUE (not line) of that field
 *  remove(name)
 *  clone()
 * A value never brings in a line of its own: line breaks become spaces. A name that is no token throws HUB_INTERNAL.
 */
export interface Headers {
  get(name: string): string | undefined
  all(name: string): readonly string[]
  lines(): readonly HeaderLine[]
  has(name: string): boolean
  count(name: string): number
  set(name: string, value: string | readonly string[]): void
  add(name: string, value: string): void
  prepend(name: string, value: string): void
  removeFirst(name: string): void
  remove(name: string): void
  clone(): Headers
}

export type HeaderInit = Iterable<HeaderLine | readonly [name: string, value: string]>

/** Compact forms in the IANA registry of SIP header fields. */
const compactForms: ReadonlyMap<string, string> = new Map([
  ['a', 'accept-contact'],
  ['b', 'referred-by'],
  ['c', 'content-type'],
  ['d', 'request-disposition'],
  ['e', 'content-encoding'],
  ['f', 'from'],
  ['i', 'call-id'],
  ['j', 'reject-contact'],
  ['k', 'supported'],
  ['l', 'content-length'],
  ['m', 'contact'],
  ['n', 'identity-info'],
  ['o', 'event'],
  ['r', 'refer-to'],
  ['s', 'subject'],
  ['t', 'to'],
  ['u', 'allow-events'],
  ['v', 'via'],
  ['x', 'session-expires'],
  ['y', 'identity']
])

/** Fields whose grammar is a comma-separated list; in every other a comma is part of the one value. */
const listFields: ReadonlySet<string> = new Set(
  `accept accept-contact accept-encoding accept-language accept-resource-priority alert-info allow allow-events
  call-info contact content-encoding content-language diversion error-info feature-caps geolocation history-info
  in-reply-to p-access-network-info p-asserted-identity p-associated-uri p-early-media p-media-authorization
  p-preferred-identity p-visited-network-id path permission-missing policy-contact proxy-require reason record-route
  recv-info reject-contact request-disposition require resource-priority route security-client security-server
  security-verify service-route supported trigger-consent unsupported user-to-user via warning`.split(/\s+/)
)

/** The common spellings, so that parsing makes no lower-case copy of them. */
const spellings: ReadonlyMap<string, string> = new Map(
  `Accept Accept-Contact Allow Allow-Events Authorization Call-ID Contact Content-Disposition Content-Encoding
  Content-Length Content-Type CSeq Date Event Expires From Max-Forwards MIME-Version Min-Expires Min-SE P-Access-Network-Info
  P-Asserted-Identity P-Charging-Vector P-Early-Media Path Privacy Proxy-Authenticate Proxy-Authorization RAck Reason
  Record-Route Require Route RSeq Server Session-Expires Subject Supported Timestamp To User-Agent Via WWW-Authenticate`
    .split(/\s+/)
    .map(name => [name, name.toLowerCase()] as const)
    .flatMap(([name, key]) => [[name, key] as const, [key, key] as const])
)

/** The name that all spellings of a field share: lower case, never compact. */
export function fieldKey(name: string): string {
  const known = spellings.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  return compactForms.get(lower) ?? lower
}

export const isListField = (name: string): boolean => listFields.has(fieldKey(name))

/** Splits at commas outside quoted strings and angle brackets; empty parts are dropped. */
export function splitList(text: string): readonly string[] {
  if (!text.includes(',')) return text === '' ? [] : [text]
  const parts: string[] = []
  for (let at = 0; at <= text.length;) {
    const end = partEnd(text, at)
    const part = trimSpace(text.slice(at, end))
    if (part !== '') parts.push(part)
    at = end + 1
  }
  return parts
}

/** The index of the comma that ends the part beginning at `at`, or the length of the text. */
function partEnd(text: string, at: number): number {
  let bracket = false
  for (let index = at; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 34 && !bracket) {
      const after = skipQuoted(text, index)
      if (after < 0) return text.length
      index = after - 1
    } else if (code === 60) bracket = true
    else if (code === 62) bracket = false
    else if (code === 44 && !bracket) return index
  }
  return text.length
}

/** Parallel arrays rather than objects: a message has twenty fields and most are only passed on. */
export class HeaderFields implements Headers {
  readonly #names: string[]
  readonly #values: string[]
  readonly #keys: string[]

  constructor(names: string[], values: string[], keys: string[]) {
    this.#names = names
    this.#values = values
    this.#keys = keys
  }

  get(name: string): string | undefined {
    const key = fieldKey(name)
    const value = this.#values[this.#keys.indexOf(key)]
    if (value === undefined || !value.includes(',') || !listFields.has(key)) return value
    return this.all(name)[0] ?? ''
  }

  all(name: string): readonly string[] {
    const key = fieldKey(name)
    const list = listFields.has(key)
    const found: string[] = []
    for (let index = this.#keys.indexOf(key); index >= 0; index = this.#keys.indexOf(key, index + 1)) {
      const value = this.#values[index] ?? ''
      if (list && value.includes(',')) found.push(...splitList(value))
      else found.push(value)
    }
    return found
  }

  lines(): readonly HeaderLine[] {
    return this.#names.map((name, index) => ({ name, value: this.#values[index] ?? '' }))
  }

  has(name: string): boolean {
    return this.#keys.includes(fieldKey(name))
  }

  count(name: string): number {
    return this.all(name).length
  }

  set(name: string, value: string | readonly string[]): void {
    const values = typeof value === 'string' ? [value] : value
    const at = this.#keys.indexOf(fieldKey(name))
    if (at >= 0 && values.length === 1) {
      // The common case keeps the arrays as they are.
      this.#names[at] = checkedName(name)
      this.#values[at] = oneLine(values[0] ?? '')
      this.#removeFrom(name, at + 1)
      return
    }
    this.remove(name)
    let index = at < 0 ? this.#names.length : at
    for (const item of values) this.#insert(index++, name, item)
  }

  add(name: string, value: string): void {
    this.#insert(this.#names.length, name, value)
  }

  prepend(name: string, value: string): void {
    this.#insert(Math.max(0, this.#keys.indexOf(fieldKey(name))), name, value)
  }

  removeFirst(name: string): void {
    const at = this.#keys.indexOf(fieldKey(name))
    if (at < 0) return
    const rest = isListField(name) ? splitList(this.#values[at] ?? '').slice(1) : []
    if (rest.length > 0) this.#values[at] = rest.join(', ')
    else this.#drop(at)
  }

  remove(name: string): void {
    this.#removeFrom(name, 0)
  }

  clone(): Headers {
    return new HeaderFields([...this.#names], [...this.#values], [...this.#keys])
  }

  /** The first of these fields (keys) that stands on more than one line, or null. */
  firstDuplicate(fields: ReadonlySet<string>): string | null {
    for (let index = 1; index < this.#keys.length; index++) {
      const key = this.#keys[index] ?? ''
      if (fields.has(key) && this.#keys.indexOf(key) < index) return this.#names[index] ?? null
    }
    return null
  }

  /** The lines as text, with `contentLength` in place of any Content-Length there is. */
  print(contentLength: number): string {
    let text = ''
    let written = false
    for (let index = 0; index < this.#names.length; index++) {
      if (this.#keys[index] === 'content-length') {
        if (!written) text += `${this.#names[index]}: ${contentLength}\r\n`
        written = true
      } else text += `${this.#names[index]}: ${this.#values[index]}\r\n`
    }
    return written ? text : `${text}Content-Length: ${contentLength}\r\n`
  }

  #insert(at: number, name: string, value: string): void {
    this.#names.splice(at, 0, checkedName(name))
    this.#values.splice(at, 0, oneLine(value))
    this.#keys.splice(at, 0, fieldKey(name))
  }

  #drop(at: number): void {
    this.#names.splice(at, 1)
    this.#values.splice(at, 1)
    this.#keys.splice(at, 1)
  }

  #removeFrom(name: string, from: number): void {
    const key = fieldKey(name)
    for (let at = this.#keys.indexOf(key, from); at >= 0; at = this.#keys.indexOf(key, at)) this.#drop(at)
  }
}

function checkedName(name: string): string {
  if (isToken(name)) return name
  throw new HubError('HUB_INTERNAL', 'not a header field name', { name })
}

/** Headers from lines or pairs. Throws HUB_INTERNAL for a name that is no token. */
export function createHeaders(lines: HeaderInit = []): HeaderFields {
  const headers = new HeaderFields([], [], [])
  for (const line of lines) {
    if ('name' in line) headers.add(line.name, line.value)
    else headers.add(line[0], line[1])
  }
  return headers
}

/** For the parser, whose lines are known to be sound: takes the arrays over. */
export const headersFrom = (names: string[], values: string[], keys: string[]): HeaderFields =>
  new HeaderFields(names, values, keys)

/** The lines as they go on the wire, Content-Length recomputed. */
export function printHeaders(headers: Headers, contentLength: number): string {
  const own = headers instanceof HeaderFields ? headers : createHeaders(headers.lines())
  return own.print(contentLength)
}
