// URIs that SIP carries: sip, sips (RFC 3261, 19.1), tel (RFC 3966) and urn (RFC 8141, RFC 5031); parse and print.

import { charactersOf, isToken } from './characters.ts'
import { hostIn, printHost, skipHost, skipPort } from './fields.ts'

/** Values unescaped, names in lower case; null for a bare name. */
export type UriParams = ReadonlyMap<string, string | null>

export interface SipUri {
  readonly scheme: 'sip' | 'sips'
  /** Unescaped; null where the URI has none. */
  readonly user: string | null
  readonly password: string | null
  /** Lower case, an IPv6 address without its brackets. */
  readonly host: string
  readonly port: number | null
  readonly params: UriParams
  /** Header fields to put in a request to this URI (19.1.5). */
  readonly headers: ReadonlyMap<string, string>
}

export interface TelUri {
  readonly scheme: 'tel'
  /** Visual separators removed, with + if global. */
  readonly number: string
  readonly params: UriParams
}

export interface UrnUri {
  readonly scheme: 'urn'
  /** Lower case. */
  readonly nid: string
  readonly nss: string
}

export type Uri = SipUri | TelUri | UrnUri

const isUserCode = charactersOf("-_.!~*'()&=+$,;?/")
const isPasswordCode = charactersOf("-_.!~*'()&=+$,")
const isParamCode = charactersOf("-_.!~*'()[]/:&+$")
const isHeaderCode = charactersOf("-_.!~*'()[]/?:+$")
const isNssCode = charactersOf("-._~!$&'()*+,;=:@/?%#")

/** The scheme in lower case, known or not, or null where there is none. */
export function schemeOf(text: string): string | null {
  const colon = text.indexOf(':')
  return colon < 1 || colon > 32 ? null : text.slice(0, colon).toLowerCase()
}

/** Null for what is malformed and for every other scheme (see `schemeOf`). */
export function parseUri(text: string): Uri | null {
  const scheme = schemeOf(text)
  if (scheme === 'sip' || scheme === 'sips') return parseSip(scheme, text, scheme.length + 1)
  if (scheme === 'tel') return parseTel(text.slice(4))
  return scheme === 'urn' ? parseUrn(text.slice(4)) : null
}

function parseSip(scheme: 'sip' | 'sips', text: string, start: number): SipUri | null {
  const at = text.indexOf('@', start)
  const userInfo = at < 0 ? noUser : parseUserInfo(text.slice(start, at))
  if (userInfo === null) return null
  const hostStart = at < 0 ? start : at + 1
  const hostEnd = skipHost(text, hostStart)
  if (hostEnd < 0) return null
  let index = hostEnd
  let port: number | null = null
  if (text.charCodeAt(index) === 58) {
    index = skipPort(text, hostEnd + 1)
    if (index < 0) return null
    port = Number(text.slice(hostEnd + 1, index))
  }
  const question = text.indexOf('?', index)
  const paramsEnd = question < 0 ? text.length : question
  const params = index === paramsEnd ? nothing : parseUriParams(text.slice(index, paramsEnd))
  const headers = question < 0 ? nothing : parseUriHeaders(text.slice(question + 1))
  if (params === null || headers === null) return null
  const host = hostIn(text, hostStart, hostEnd).toLowerCase()
  const { user, password } = userInfo
  return { scheme, user, password, host, port, params, headers }
}

const noUser = { user: null, password: null }
const nothing: ReadonlyMap<string, never> = new Map<string, never>()

function parseUserInfo(text: string): { readonly user: string; readonly password: string | null } | null {
  const colon = text.indexOf(':')
  const user = unescape(colon < 0 ? text : text.slice(0, colon), isUserCode)
  if (user === null || user === '') return null
  if (colon < 0) return { user, password: null }
  const password = unescape(text.slice(colon + 1), isPasswordCode)
  return password === null ? null : { user, password }
}

function parseUriParams(text: string): UriParams | null {
  if (text.charCodeAt(0) !== 59) return null
  const params = new Map<string, string | null>()
  for (let at = 1, end = 0; at <= text.length; at = end + 1) {
    end = text.indexOf(';', at)
    if (end < 0) end = text.length
    const part = text.slice(at, end)
    const equal = part.indexOf('=')
    const name = unescape(equal < 0 ? part : part.slice(0, equal), isParamCode)?.toLowerCase()
    const value = equal < 0 ? null : unescape(part.slice(equal + 1), isParamCode)
    if (name === undefined || name === '' || params.has(name) || (equal >= 0 && (value === null || value === ''))) {
      return null
    }
    params.set(name, value)
  }
  return params
}

function parseUriHeaders(text: string): ReadonlyMap<string, string> | null {
  const headers = new Map<string, string>()
  for (const part of text.split('&')) {
    const equal = part.indexOf('=')
    const name = equal < 1 ? null : unescape(part.slice(0, equal), isHeaderCode)
    const value = unescape(part.slice(equal + 1), isHeaderCode)
    if (name === null || value === null) return null
    const key = name.toLowerCase()
    const before = headers.get(key)
    headers.set(key, before === undefined ? value : `${before}, ${value}`)
  }
  return headers
}

/** RFC 3966; a local number without phone-context is let through, since phones and operators write `tel:112`. */
function parseTel(text: string): TelUri | null {
  const semicolon = text.indexOf(';')
  const number = stripSeparators(semicolon < 0 ? text : text.slice(0, semicolon))
  if (number === null) return null
  const params = semicolon < 0 ? nothing : parseUriParams(text.slice(semicolon))
  return params === null ? null : { scheme: 'tel', number, params }
}

/** A telephone number without visual separators (RFC 3966, 5.1.1), or null where it is none. */
export function stripSeparators(text: string): string | null {
  const global = text.charCodeAt(0) === 43
  let number = global ? '+' : ''
  for (let index = number.length; index < text.length; index++) {
    const character = text[index] ?? ''
    if ('-.()'.includes(character)) continue
    if (!(global ? '0123456789' : '0123456789abcdefABCDEF*#').includes(character)) return null
    number += character
  }
  return number === '' || number === '+' ? null : number
}

function parseUrn(text: string): UrnUri | null {
  const colon = text.indexOf(':')
  const nid = text.slice(0, Math.max(0, colon))
  const nss = text.slice(colon + 1)
  if (!isToken(nid) || nid.length > 32 || nss === '') return null
  for (let index = 0; index < nss.length; index++) if (!isNssCode(nss.charCodeAt(index))) return null
  return { scheme: 'urn', nid: nid.toLowerCase(), nss }
}

export function printUri(uri: Uri): string {
  if (uri.scheme === 'urn') return `urn:${uri.nid}:${uri.nss}`
  if (uri.scheme === 'tel') return `tel:${uri.number}${printUriParams(uri.params)}`
  const password = uri.password === null ? '' : `:${escape(uri.password, isPasswordCode)}`
  const user = uri.user === null ? '' : `${escape(uri.user, isUserCode)}${password}@`
  const port = uri.port === null ? '' : `:${uri.port}`
  let headers = ''
  for (const [name, value] of uri.headers) {
    headers += `${headers === '' ? '?' : '&'}${escape(name, isHeaderCode)}=${escape(value, isHeaderCode)}`
  }
  return `${uri.scheme}:${user}${printHost(uri.host)}${port}${printUriParams(uri.params)}${headers}`
}

function printUriParams(params: UriParams): string {
  let text = ''
  for (const [name, value] of params) {
    text += `;${escape(name, isParamCode)}${value === null ? '' : `=${escape(value, isParamCode)}`}`
  }
  return text
}

/** Null where a character is outside the set or an escape is broken. Bytes that are no UTF-8 become U+FFFD. */
function unescape(text: string, allowed: (code: number) => boolean): string | null {
  if (!text.includes('%')) {
    for (let index = 0; index < text.length; index++) if (!allowed(text.charCodeAt(index))) return null
    return text
  }
  const bytes = Buffer.allocUnsafe(text.length)
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 37) {
      const value = hexValue(text.charCodeAt(index + 1)) * 16 + hexValue(text.charCodeAt(index + 2))
      if (Number.isNaN(value)) return null
      bytes[length++] = value
      index += 2
    } else if (allowed(code)) bytes[length++] = code
    else return null
  }
  return bytes.toString('utf8', 0, length)
}

function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : Number.NaN
}

function escape(text: string, allowed: (code: number) => boolean): string {
  let plain = true
  for (let index = 0; index < text.length && plain; index++) plain = allowed(text.charCodeAt(index))
  if (plain) return text
  let out = ''
  for (const byte of Buffer.from(text)) {
    out += allowed(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
