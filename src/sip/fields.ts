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
  const scanned = scanParams(text, at, text.length)
  return scanned?.end === text.length ? scanned.params : null
}

/** Parameters as far as they go, spaces behind them included; null where one is broken. */
function scanParams(text: string, at: number, end: number): { readonly params: Params; readonly end: number } | null {
  let index = skipSpace(text, at)
  if (index >= end || text.charCodeAt(index) !== 59) return { params: noParams, end: Math.min(index, end) }
  const params = new Map<string, string | null>()
  while (index < end && text.charCodeAt(index) === 59) {
    const nameStart = skipSpace(text, index + 1)
    const nameEnd = skipToken(text, nameStart)
    if (nameEnd === nameStart) return null
    const name = text.slice(nameStart, nameEnd).toLowerCase()
    if (params.has(name)) return null
    index = skipSpace(text, nameEnd)
    if (index < end && text.charCodeAt(index) === 61) {
      const valueStart = skipSpace(text, index + 1)
      const valueEnd = text.charCodeAt(valueStart) === 34 ? skipQuoted(text, valueStart) : skipValue(text, valueStart)
      if (valueEnd <= valueStart || valueEnd > end) return null
      params.set(name, text.slice(valueStart, valueEnd))
      index = skipSpace(text, valueEnd)
    } else params.set(name, null)
  }
  return { params, end: Math.min(index, end) }
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

/** The index after the `host`, `1.2.3.4` or `[::1]` at `at`, or -1. */
export function skipHost(text: string, at: number): number {
  let end = at
  if (text.charCodeAt(at) !== 91) {
    while (end < text.length && isHostCode(text.charCodeAt(end))) end++
    return end === at ? -1 : end
  }
  let colons = 0
  for (end = at + 1; end < text.length && end - at <= ipv6Length; end++) {
    const code = text.charCodeAt(end)
    if (code === 93) return colons > 1 ? end + 1 : -1
    if (code === 58) colons++
    else if (!isHexOrDot(code)) return -1
  }
  return -1
}

/** The longest IPv6 address as text, an IPv4 tail included, with its opening bracket. */
const ipv6Length = 46
const isHexOrDot = (code: number): boolean =>
  isDigit(code) || code === 46 || (code >= 97 && code <= 102) || (code >= 65 && code <= 70)

/** The host that `skipHost` passed over, without brackets. */
export const hostIn = (text: string, at: number, end: number): string =>
  text.charCodeAt(at) === 91 ? text.slice(at + 1, end - 1) : text.slice(at, end)

export const printHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** The index after the digits of a port at `at`, or -1 where there are none or too many. */
export function skipPort(text: string, at: number): number {
  let end = at
  let port = 0
  while (end < text.length && end - at < 6 && isDigit(text.charCodeAt(end)))
    port = port * 10 + text.charCodeAt(end++) - 48
  return end === at || port > 65_535 ? -1 : end
}

/** One Via value, or null. */
export function parseVia(text: string): Via | null {
  const scanned = scanVia(text, 0, text.length)
  return scanned?.end === text.length ? scanned.via : null
}

/** The Via value at `at` and where it ends: at `end` or before a comma, if all is well. */
export function scanVia(text: string, start: number, end: number): { readonly via: Via; readonly end: number } | null {
  const nameEnd = skipToken(text, start)
  let at = skipSpace(text, nameEnd)
  if (nameEnd === start || text.charCodeAt(at) !== 47) return null
  const versionStart = skipSpace(text, at + 1)
  const versionEnd = skipToken(text, versionStart)
  at = skipSpace(text, versionEnd)
  if (versionEnd === versionStart || text.charCodeAt(at) !== 47) return null
  const transportStart = skipSpace(text, at + 1)
  const transportEnd = skipToken(text, transportStart)
  if (transportEnd === transportStart || !isSpace(text.charCodeAt(transportEnd))) return null
  const hostStart = skipSpace(text, transportEnd)
  const hostEnd = skipHost(text, hostStart)
  if (hostEnd < 0) return null
  at = skipSpace(text, hostEnd)
  let port: number | null = null
  if (text.charCodeAt(at) === 58) {
    const portStart = skipSpace(text, at + 1)
    at = skipPort(text, portStart)
    if (at < 0) return null
    port = Number(text.slice(portStart, at))
  }
  const rest = scanParams(text, at, end)
  if (rest === null || at > end) return null
  const host = hostIn(text, hostStart, hostEnd)
  const protocol = `${upperCase(text.slice(start, nameEnd))}/${text.slice(versionStart, versionEnd)}`
  const transport = upperCase(text.slice(transportStart, transportEnd))
  return { via: { protocol, transport, host, port, params: rest.params }, end: rest.end }
}

const upperNames = new Set(['SIP', 'UDP', 'TCP', 'TLS', 'WS', 'WSS'])
const upperCase = (text: string): string => (upperNames.has(text) ? text : text.toUpperCase())

export function printVia({ protocol, transport, host, port, params }: Via): string {
  return `${protocol}/${transport} ${printHost(host)}${port === null ? '' : `:${port}`}${printParams(params)}`
}

/**
 * `"Display" <uri>;params` or `uri;params`, or null. A bare URI may hold neither comma, question mark nor semicolon
 * (RFC 3261, 20.10), so what follows its first semicolon belongs to the header field.
 */
export const parseNameAddr = (text: string): NameAddr | null => scanNameAddr(text, 0, text.length)

/** The name-addr that fills `text` from `at` to `end`, or null. */
export function scanNameAddr(text: string, at: number, end: number): NameAddr | null {
  const start = skipSpace(text, at)
  if (text.charCodeAt(start) === 34) {
    const quoted = skipQuoted(text, start)
    const open = quoted < 0 ? end : skipSpace(text, quoted)
    if (open >= end || text.charCodeAt(open) !== 60) return null
    return inBrackets(text, open, end, unquote(text.slice(start, quoted)))
  }
  const open = skipDisplay(text, start)
  if (open < end && text.charCodeAt(open) === 60) {
    const display = trimSpace(text.slice(start, open))
    return inBrackets(text, open, end, display === '' ? null : display)
  }
  let uriEnd = start
  while (uriEnd < end && text.charCodeAt(uriEnd) !== 59 && !isSpace(text.charCodeAt(uriEnd))) uriEnd++
  const uri = text.slice(start, uriEnd)
  if (!isUriText(text, start, uriEnd) || uri.includes('?') || uri.includes(',')) return null
  const rest = scanParams(text, uriEnd, end)
  return rest?.end === end ? { display: null, uri, params: rest.params } : null
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

function inBrackets(text: string, open: number, end: number, display: string | null): NameAddr | null {
  const close = text.indexOf('>', open)
  if (close < 0 || close >= end || !isUriText(text, open + 1, close)) return null
  const rest = scanParams(text, close + 1, end)
  return rest?.end === end ? { display, uri: text.slice(open + 1, close), params: rest.params } : null
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

/** The largest number of seconds that Expires and its like may say (RFC 3261, 20.19). */
export const deltaSecondsMax = 2 ** 32 - 1

/** Seconds of Expires, Min-Expires, `expires`: more than the largest means the largest; null for what is no number. */
export function parseDeltaSeconds(text: string): number | null {
  for (let index = 0; index < text.length; index++) if (!isDigit(text.charCodeAt(index))) return null
  return text === '' ? null : (parseNumber(text, deltaSecondsMax) ?? deltaSecondsMax)
}
