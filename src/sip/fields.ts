// Typed header fields: Via, name-addr, CSeq, parameters; parse and print (RFC 3261, section 25.1).

import { HubError } from '../errors.ts'
import {
  isDigit,
  isHostCode,
  isSpace,
  isTokenCode,
  isUriText,
  parseNumber,
  quote,
  skipQuoted,
  skipSpace,
  skipToken,
  trimSpace,
  unquote,
  wordsOf
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

/** Parameters of one value; more are malformed. */
export const paramsMax = 64

/**
 * `;name=value;name` from index `at` to the end. Null where it is not that, or a name comes twice (RFC 3261, 7.3.1).
 */
export function parseParams(text: string, at = 0): Params | null {
  const params = new Map<string, string | null>()
  return scanParams(text, at, text.length, params) === text.length ? params : null
}

// The scanners below are asked for every message, mostly only whether a field is well-formed: they build nothing unless
// told to, and leave the places of the parts in `marks`, which is good until the next one is called.
const marks = new Int32Array(8)
const nameStarts = new Int32Array(paramsMax)
const nameEnds = new Int32Array(paramsMax)
/** Where the value of each begins and ends; both 0 where it has none. */
const valueStarts = new Int32Array(paramsMax)
const valueEnds = new Int32Array(paramsMax)
let paramCount = 0

/** The index where the parameters end, spaces behind them included; -1 where one is broken or repeated. */
function scanParams(text: string, at: number, end: number, params: Map<string, string | null> | null): number {
  let index = skipSpace(text, at)
  let count = 0
  for (; index < end && text.charCodeAt(index) === 59; count++) {
    const nameStart = skipSpace(text, index + 1)
    const nameEnd = skipToken(text, nameStart)
    if (nameEnd === nameStart || count === paramsMax || repeats(text, nameStart, nameEnd, count)) return -1
    nameStarts[count] = nameStart
    nameEnds[count] = nameEnd
    valueStarts[count] = valueEnds[count] = 0
    index = skipSpace(text, nameEnd)
    let value: string | null = null
    if (index < end && text.charCodeAt(index) === 61) {
      const valueStart = skipSpace(text, index + 1)
      const valueEnd = text.charCodeAt(valueStart) === 34 ? skipQuoted(text, valueStart) : skipValue(text, valueStart)
      if (valueEnd <= valueStart || valueEnd > end) return -1
      if (params !== null) value = text.slice(valueStart, valueEnd)
      valueStarts[count] = valueStart
      valueEnds[count] = valueEnd
      index = skipSpace(text, valueEnd)
    }
    if (params !== null) params.set(nameIn(text, nameStart, nameEnd), value)
  }
  paramCount = count
  return Math.min(index, end)
}

/** Names that nearly every message has. */
const usualName = wordsOf(['branch', 'rport', 'received', 'keep', 'oc', 'oc-algo', 'oc-validity', 'oc-seq', 'tag'])
const nameIn = (text: string, start: number, end: number): string =>
  usualName(text, start, end) ?? text.slice(start, end).toLowerCase()

/** Whether this name is one of the `count` before it. */
function repeats(text: string, start: number, end: number, count: number): boolean {
  for (let before = 0; before < count; before++) {
    const at = nameStarts[before] ?? 0
    if ((nameEnds[before] ?? 0) - at !== end - start) continue
    if (text.slice(at, at + end - start).toLowerCase() === text.slice(start, end).toLowerCase()) return true
  }
  return false
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
  const params = new Map<string, string | null>()
  return scanVia(text, 0, text.length, params) === text.length ? scannedVia(text, 0, params) : null
}

/** The first of the Via values that fill `text` from `start` to `end`, or null. */
export function viaIn(text: string, start: number, end: number): Via | null {
  const params = new Map<string, string | null>()
  const viaEnd = scanVia(text, start, end, params)
  const sound = viaEnd === end || (viaEnd >= 0 && text.charCodeAt(viaEnd) === 44)
  return sound ? scannedVia(text, start, params) : null
}

function scannedVia(text: string, start: number, params: Params): Via {
  const [hostStart = 0, hostEnd = 0, portStart = -1] = [marks[5], marks[6], marks[7]]
  const usual = text.startsWith(usualProtocol, start)
  return {
    protocol: usual ? 'SIP/2.0' : `${upperCase(text, start, marks[0])}/${text.slice(marks[1], marks[2])}`,
    transport: upperCase(text, marks[3], marks[4]),
    host: hostIn(text, hostStart, hostEnd),
    port: portStart < 0 ? null : numberIn(text, portStart),
    params
  }
}

export const isVia = (text: string): boolean => scanVia(text, 0, text.length) === text.length

/** Where the Via value that begins at `start` ends: at `end` or before a comma, if all is well; -1 if it is broken. */
function scanVia(text: string, start: number, end: number, params: Map<string, string | null> | null = null): number {
  const hostStart = text.startsWith(usualProtocol, start)
    ? scanTransport(text, start + usualProtocol.length)
    : scanProtocol(text, start)
  if (hostStart < 0) return -1
  const hostEnd = skipHost(text, hostStart)
  if (hostEnd < 0) return -1
  let at = skipSpace(text, hostEnd)
  let portStart = -1
  if (text.charCodeAt(at) === 58) {
    portStart = skipSpace(text, at + 1)
    at = skipPort(text, portStart)
  }
  if (at < 0 || at > end) return -1
  marks[5] = hostStart
  marks[6] = hostEnd
  marks[7] = portStart
  return scanParams(text, at, end, params)
}

const usualProtocol = 'SIP/2.0/'

/** The index of the host behind `SIP/2.0/UDP `, or -1. */
function scanProtocol(text: string, start: number): number {
  const nameEnd = skipToken(text, start)
  let at = skipSpace(text, nameEnd)
  if (nameEnd === start || text.charCodeAt(at) !== 47) return -1
  const versionStart = skipSpace(text, at + 1)
  const versionEnd = skipToken(text, versionStart)
  at = skipSpace(text, versionEnd)
  if (versionEnd === versionStart || text.charCodeAt(at) !== 47) return -1
  marks[0] = nameEnd
  marks[1] = versionStart
  marks[2] = versionEnd
  return scanTransport(text, at + 1)
}

function scanTransport(text: string, at: number): number {
  const start = skipSpace(text, at)
  const end = skipToken(text, start)
  if (end === start || !isSpace(text.charCodeAt(end))) return -1
  marks[3] = start
  marks[4] = end
  return skipSpace(text, end)
}

const upperName = wordsOf(['SIP', 'UDP', 'TCP', 'TLS', 'WS', 'WSS'])
const upperCase = (text: string, start = 0, end = 0): string =>
  upperName(text, start, end) ?? text.slice(start, end).toUpperCase()

/** The whole number whose digits begin at `at`. */
function numberIn(text: string, at: number): number {
  let number = 0
  for (let index = at; isDigit(text.charCodeAt(index)); index++) number = number * 10 + text.charCodeAt(index) - 48
  return number
}

export function printVia({ protocol, transport, host, port, params }: Via): string {
  return `${protocol}/${transport} ${printHost(host)}${port === null ? '' : `:${port}`}${printParams(params)}`
}

/**
 * `"Display" <uri>;params` or `uri;params`, or null. A bare URI may hold neither comma, question mark nor semicolon
 * (RFC 3261, 20.10), so what follows its first semicolon belongs to the header field.
 */
export function parseNameAddr(text: string): NameAddr | null {
  const params = new Map<string, string | null>()
  if (!scanNameAddr(text, 0, text.length, params)) return null
  const display = trimSpace(text, marks[0], marks[1])
  return { display: display === '' ? null : unquote(display), uri: text.slice(marks[2], marks[3]), params }
}

export const isNameAddr = (text: string): boolean => scanNameAddr(text, 0, text.length)

/** The URI of a name-addr or addr-spec; null where it is none. */
export const uriIn = (text: string): string | null =>
  scanNameAddr(text, 0, text.length) ? text.slice(marks[2], marks[3]) : null

/** That parameter (`name` in lower case) of a name-addr: null where there is none, empty where it has no value. */
export const paramIn = (text: string, name: string): string | null =>
  scanNameAddr(text, 0, text.length) ? scannedParam(text, name) : null

/** The tag of the From or To value that fills `text` from `start` to `end`: '' for none, null where it is broken. */
export const tagIn = (text: string, start: number, end: number): string | null =>
  scanNameAddr(text, start, end) ? (scannedParam(text, 'tag') ?? '') : null

function scannedParam(text: string, name: string): string | null {
  for (let index = 0; index < paramCount; index++) {
    const start = nameStarts[index] ?? 0
    const end = nameEnds[index] ?? 0
    if (end - start !== name.length) continue
    if (!text.startsWith(name, start) && text.slice(start, end).toLowerCase() !== name) continue
    return text.slice(valueStarts[index], valueEnds[index])
  }
  return null
}

/** Whether a name-addr or addr-spec fills `text` from `start` to `end`. */
function scanNameAddr(
  text: string,
  start: number,
  end: number,
  params: Map<string, string | null> | null = null
): boolean {
  const at = skipSpace(text, start)
  const quoted = text.charCodeAt(at) === 34
  const displayEnd = quoted ? skipQuoted(text, at) : skipDisplay(text, at)
  const open = displayEnd < 0 ? end : skipSpace(text, displayEnd)
  const bracket = open < end && text.charCodeAt(open) === 60
  if (quoted && !bracket) return false
  const uriStart = bracket ? open + 1 : at
  const uriEnd = bracket ? text.indexOf('>', open) : skipBareUri(text, at, end)
  if (uriEnd < 0 || uriEnd > end || !isUriText(text, uriStart, uriEnd)) return false
  marks[0] = at
  marks[1] = bracket ? displayEnd : at
  marks[2] = uriStart
  marks[3] = uriEnd
  return scanParams(text, bracket ? uriEnd + 1 : uriEnd, end, params) === end
}

/** The end of a URI without brackets, or -1 where it holds what would need them. */
function skipBareUri(text: string, at: number, end: number): number {
  let index = at
  for (; index < end; index++) {
    const code = text.charCodeAt(index)
    if (code === 59 || isSpace(code)) break
    if (code === 63 || code === 44) return -1
  }
  return index
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

/** Always in brackets, so that the URI's parameters stay its own; the display name always quoted. */
export function printNameAddr({ display, uri, params }: NameAddr): string {
  if (!isUriText(uri)) throw new HubError('HUB_INTERNAL', 'not a URI', { uri })
  return `${display === null ? '' : `${quote(display)} `}<${uri}>${printParams(params)}`
}

export const parseCSeq = (text: string): CSeq | null => cseqIn(text, 0, text.length)

/** The CSeq that fills `text` from `start` to `end`, or null. */
export function cseqIn(text: string, start: number, end: number): CSeq | null {
  let at = start
  let number = 0
  while (at < end && isDigit(text.charCodeAt(at)) && number <= cseqMax)
    number = number * 10 + text.charCodeAt(at++) - 48
  const methodStart = skipSpace(text, at)
  const sound = at > start && number <= cseqMax && methodStart > at && methodStart < end
  return sound && skipToken(text, methodStart) === end ? { number, method: methodIn(text, methodStart, end) } : null
}

const usualMethod = wordsOf(['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER', 'PRACK', 'UPDATE', 'MESSAGE'])
/** The method that stands from `start` to `end`. */
export const methodIn = (text: string, start: number, end: number): string =>
  usualMethod(text, start, end) ?? text.slice(start, end)

/** The largest number of seconds that Expires and its like may say (RFC 3261, 20.19). */
export const deltaSecondsMax = 2 ** 32 - 1

/** Seconds of Expires, Min-Expires, `expires`: more than the largest means the largest; null for what is no number. */
export function parseDeltaSeconds(text: string): number | null {
  for (let index = 0; index < text.length; index++) if (!isDigit(text.charCodeAt(index))) return null
  return text === '' ? null : (parseNumber(text, deltaSecondsMax) ?? deltaSecondsMax)
}
