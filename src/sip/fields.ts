// Typed header fields: Via, name-addr, CSeq, parameters; parse and print (RFC 3261, section 25.1).

import { HubError } from '../errors.ts'
import {
  isDigit,
  isHostCode,
  isSpace,
  isToken,
  isTokenCode,
  isUriText,
  parseNumber,
  quote,
  skipQuoted,
  skipSpace,
  skipToken,
  trimSpace,
  unquote
} from './characters.ts'

/** Names in lower case; values as written (a quoted value keeps its quotes, see `unquote`); null for a bare name. */
export type Params = ReadonlyMap<string, string | null>

/** One Via value. `host` has no brackets around an IPv6 address. */
export interface Via {
  /** `SIP/2.0` */
  readonly protocol: string
  /** Upper case: UDP, TCP, TLS, WS, WSS, ... */
  readonly transport: string
  readonly host: string
  readonly port: number | null
  readonly params: Params
}

/** The value of From, To, Contact, Route, P-Asserted-Identity and their like. */
export interface NameAddr {
  /** Unescaped, without quotes; null where there is none. */
  readonly display: string | null
  /** As written, see uri.ts. */
  readonly uri: string
  /** Of the header field; those of the URI stay in `uri`. */
  readonly params: Params
}

export interface CSeq {
  readonly number: number
  readonly method: string
}

/** RFC 3261, 8.1.1.5: CSeq numbers are below 2^31. */
export const cseqMax = 2 ** 31 - 1

const noParams: Params = new Map()

/**
 * `;name=value;name` from index `at` to the end. Null where it is not that, or a name comes twice (RFC 3261, 7.3.1).
 */
export function parseParams(text: string, at = 0): Params | null {
  let index = skipSpace(text, at)
  if (index === text.length) return noParams
  const params = new Map<string, string | null>()
  while (index < text.length) {
    if (text.charCodeAt(index) !== 59) return null
    const nameStart = skipSpace(text, index + 1)
    const nameEnd = skipToken(text, nameStart)
    if (nameEnd === nameStart) return null
    const name = text.slice(nameStart, nameEnd).toLowerCase()
    if (params.has(name)) return null
    index = skipSpace(text, nameEnd)
    if (text.charCodeAt(index) === 61) {
      const valueStart = skipSpace(text, index + 1)
      const valueEnd = text.charCodeAt(valueStart) === 34 ? skipQuoted(text, valueStart) : skipValue(text, valueStart)
      if (valueEnd <= valueStart) return null
      params.set(name, text.slice(valueStart, valueEnd))
      index = skipSpace(text, valueEnd)
    } else params.set(name, null)
  }
  return params
}

/** Wider than token and host, since P-Charging-Vector and its like carry more; never a delimiter. */
function skipValue(text: string, at: number): number {
  let index = at
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code <= 32 || code === 59 || code === 44 || code === 34 || code === 60 || code === 62 || code === 127) break
  }
  return index
}

/** The reverse of `parseParams`; a value that could not stand unquoted is quoted. */
export function printParams(params: Params): string {
  let text = ''
  for (const [name, value] of params) text += value === null ? `;${name}` : `;${name}=${printValue(value)}`
  return text
}

function printValue(value: string): string {
  if (value.charCodeAt(0) === 34 && skipQuoted(value, 0) === value.length) return value
  return value.length > 0 && skipValue(value, 0) === value.length ? value : quote(value)
}

/** `host`, `1.2.3.4` or `[::1]` at `at`: the host without brackets and the index after it, or null. */
export function scanHost(text: string, at: number): { readonly host: string; readonly end: number } | null {
  if (text.charCodeAt(at) === 91) {
    const close = text.indexOf(']', at)
    if (close < 0 || close - at > 47) return null
    const host = text.slice(at + 1, close)
    for (let index = 0; index < host.length; index++) {
      const code = host.charCodeAt(index) | 32
      if (!isDigit(host.charCodeAt(index)) && !(code >= 97 && code <= 102) && !':.'.includes(host[index] ?? ''))
        return null
    }
    return host.includes(':') ? { host, end: close + 1 } : null
  }
  let end = at
  while (end < text.length && isHostCode(text.charCodeAt(end))) end++
  return end === at ? null : { host: text.slice(at, end), end }
}

export const printHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** The digits of a port at `at`: the number and the index after them, or null. */
export function scanPort(text: string, at: number): { readonly port: number; readonly end: number } | null {
  let end = at
  while (end < text.length && end - at < 6 && isDigit(text.charCodeAt(end))) end++
  const port = parseNumber(text.slice(at, end), 65_535)
  return port === null ? null : { port, end }
}

/** One Via value, or null. */
export function parseVia(text: string): Via | null {
  const nameEnd = skipToken(text, 0)
  let at = skipSpace(text, nameEnd)
  if (nameEnd === 0 || text.charCodeAt(at) !== 47) return null
  const versionStart = skipSpace(text, at + 1)
  const versionEnd = skipToken(text, versionStart)
  at = skipSpace(text, versionEnd)
  if (versionEnd === versionStart || text.charCodeAt(at) !== 47) return null
  const transportStart = skipSpace(text, at + 1)
  const transportEnd = skipToken(text, transportStart)
  if (transportEnd === transportStart || !isSpace(text.charCodeAt(transportEnd))) return null
  const host = scanHost(text, skipSpace(text, transportEnd))
  if (host === null) return null
  at = skipSpace(text, host.end)
  let port: number | null = null
  if (text.charCodeAt(at) === 58) {
    const scanned = scanPort(text, skipSpace(text, at + 1))
    if (scanned === null) return null
    port = scanned.port
    at = scanned.end
  }
  const params = parseParams(text, at)
  if (params === null) return null
  const protocol = `${text.slice(0, nameEnd).toUpperCase()}/${text.slice(versionStart, versionEnd)}`
  return { protocol, transport: text.slice(transportStart, transportEnd).toUpperCase(), host: host.host, port, params }
}

export function printVia({ protocol, transport, host, port, params }: Via): string {
  return `${protocol}/${transport} ${printHost(host)}${port === null ? '' : `:${port}`}${printParams(params)}`
}

/**
 * `"Display" <uri>;params` or `uri;params`, or null. A bare URI may hold neither comma, question mark nor semicolon
 * (RFC 3261, 20.10), so what follows its first semicolon belongs to the header field.
 */
export function parseNameAddr(text: string): NameAddr | null {
  const start = skipSpace(text, 0)
  if (text.charCodeAt(start) === 34) {
    const end = skipQuoted(text, start)
    const open = end < 0 ? -1 : skipSpace(text, end)
    if (open < 0 || text.charCodeAt(open) !== 60) return null
    return inBrackets(text, open, unquote(text.slice(start, end)))
  }
  const open = skipDisplay(text, start)
  if (text.charCodeAt(open) === 60) {
    const display = trimSpace(text.slice(start, open))
    return inBrackets(text, open, display === '' ? null : display)
  }
  let end = start
  while (end < text.length && text.charCodeAt(end) !== 59 && !isSpace(text.charCodeAt(end))) end++
  const uri = text.slice(start, end)
  if (!isUriText(uri) || uri.includes('?') || uri.includes(',')) return null
  const params = parseParams(text, end)
  return params === null ? null : { display: null, uri, params }
}

/** Tokens and spaces; also letters beyond ASCII, which many write unquoted. */
function skipDisplay(text: string, at: number): number {
  let index = at
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (!isTokenCode(code) && !isSpace(code) && code < 128) break
  }
  return index
}

function inBrackets(text: string, open: number, display: string | null): NameAddr | null {
  const close = text.indexOf('>', open)
  if (close < 0) return null
  const uri = text.slice(open + 1, close)
  if (!isUriText(uri)) return null
  const params = parseParams(text, close + 1)
  return params === null ? null : { display, uri, params }
}

/** Always in brackets, so that the URI's parameters stay its own; the display name always quoted. */
export function printNameAddr({ display, uri, params }: NameAddr): string {
  if (!isUriText(uri)) throw new HubError('HUB_INTERNAL', 'not a URI', { uri })
  return `${display === null ? '' : `${quote(display)} `}<${uri}>${printParams(params)}`
}

export function parseCSeq(text: string): CSeq | null {
  let digits = 0
  while (digits < text.length && isDigit(text.charCodeAt(digits))) digits++
  const number = parseNumber(text.slice(0, digits), cseqMax)
  const start = skipSpace(text, digits)
  const method = text.slice(start)
  return number === null || start === digits || !isToken(method) ? null : { number, method }
}
