// Digest authentication, the computation and the header fields (RFC 7616, RFC 8760, RFC 3261 section 22).

import { createHash, timingSafeEqual } from 'node:crypto'
import { isSpace, quote, skipQuoted, skipSpace, skipToken, unquote } from './characters.ts'

/** Strongest first: the order in which challenges are sent (RFC 8760, 2.3). */
export const digestAlgorithms = ['SHA-512-256', 'SHA-256', 'MD5'] as const
export type DigestAlgorithm = (typeof digestAlgorithms)[number]

const hashNames = { 'SHA-512-256': 'sha512-256', 'SHA-256': 'sha256', MD5: 'md5' } as const satisfies Record<
  DigestAlgorithm,
  string
>
export const hash = (algorithm: DigestAlgorithm, text: string): string =>
  createHash(hashNames[algorithm]).update(text).digest('hex')

/** By the name in a header field, whatever its case; MD5 where none is named; null for one unknown here. */
export function digestAlgorithm(name: string | undefined): DigestAlgorithm | null {
  const upper = (name ?? 'MD5').toUpperCase()
  return digestAlgorithms.find(algorithm => algorithm === upper) ?? null
}

export interface DigestInput {
  readonly algorithm: DigestAlgorithm
  readonly username: string
  readonly realm: string
  readonly password: string
  readonly method: string
  readonly uri: string
  readonly nonce: string
  /** Null: the older form without quality of protection (RFC 7616, 3.4.1 note). */
  readonly qop: { readonly nc: string; readonly cnonce: string } | null
}

/** The `response` value, with quality of protection `auth`. */
export function digestResponse({ algorithm, username, realm, password, method, uri, nonce, qop }: DigestInput): string {
  const secret = hash(algorithm, `${username}:${realm}:${password}`)
  const request = hash(algorithm, `${method}:${uri}`)
  const middle = qop === null ? nonce : `${nonce}:${qop.nc}:${qop.cnonce}:auth`
  return hash(algorithm, `${secret}:${middle}:${request}`)
}

/** Equal in a time that does not depend on where they differ. */
export function sameSecret(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** A challenge or credentials: the scheme in lower case, names in lower case, values unquoted. */
export interface AuthValue {
  readonly scheme: string
  readonly params: ReadonlyMap<string, string>
}

/** `Digest name=value, name="value"`; null where it is not that or a name comes twice. */
export function parseAuth(text: string): AuthValue | null {
  const schemeEnd = skipToken(text, 0)
  if (schemeEnd === 0 || !isSpace(text.charCodeAt(schemeEnd))) return null
  const params = new Map<string, string>()
  let at = skipSpace(text, schemeEnd)
  while (at < text.length) {
    const nameEnd = skipToken(text, at)
    const name = text.slice(at, nameEnd).toLowerCase()
    at = skipSpace(text, nameEnd)
    if (name === '' || params.has(name) || text.charCodeAt(at) !== 61) return null
    const start = skipSpace(text, at + 1)
    const end = text.charCodeAt(start) === 34 ? skipQuoted(text, start) : skipBare(text, start)
    if (end <= start) return null
    params.set(name, unquote(text.slice(start, end)))
    at = skipSpace(text, end)
    if (at === text.length) break
    if (text.charCodeAt(at) !== 44) return null
    at = skipSpace(text, at + 1)
  }
  return params.size === 0 ? null : { scheme: text.slice(0, schemeEnd).toLowerCase(), params }
}

/** A token, or what others write unquoted where a quoted string belongs. */
function skipBare(text: string, at: number): number {
  let index = at
  while (index < text.length && text.charCodeAt(index) !== 44 && !isSpace(text.charCodeAt(index))) index++
  return index
}

/** Parameters that RFC 3261, 25.1 writes without quotes; every other value is quoted. */
const bareParams: ReadonlySet<string> = new Set(['algorithm', 'qop', 'nc', 'stale'])

/** `quoted` names parameters that this field, unlike the other, writes in quotes (qop in a challenge). */
export function printAuth(params: Iterable<readonly [string, string]>, quoted: readonly string[] = []): string {
  const parts: string[] = []
  for (const [name, value] of params) {
    parts.push(`${name}=${bareParams.has(name) && !quoted.includes(name) ? value : quote(value)}`)
  }
  return `Digest ${parts.join(', ')}`
}
