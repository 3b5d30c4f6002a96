// The side that asks for a password: challenges with signed, expiring nonces, and checks what comes back.

import { createHmac, randomBytes } from 'node:crypto'
import { parseNumber } from './characters.ts'
import { digestAlgorithm, digestResponse, parseAuth, printAuth, sameSecret } from './digest.ts'
import type { DigestAlgorithm } from './digest.ts'
import type { SipRequest } from './message.ts'
import { parseUri } from './uri.ts'

export const digestLimits = {
  /** A nonce is good for so long after it was made. */
  nonceMs: 300_000,
  /** Nonces whose counts are remembered; beyond it the oldest is forgotten and good no more. */
  noncesMax: 50_000
} as const

export interface DigestServerOptions {
  readonly realm: string
  /** Sent in this order. SHA-256 first; MD5 last, since JsSIP and SIP.js take the last one and know nothing else. */
  readonly algorithms?: readonly DigestAlgorithm[]
  /** `proxy`: 407 and the Proxy- fields; else 401. */
  readonly role?: 'registrar' | 'proxy'
  readonly limits?: Partial<{ readonly [name in keyof typeof digestLimits]: number }>
  /** Signs nonces: share it where several processes serve one realm. Random unless given. */
  readonly secret?: Buffer
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/**
 *  missing     no credentials for this realm
 *  malformed   unreadable or of another realm's making: 400
 *  stale       right in form, the nonce is old or its count was used: a new challenge, no new password needed
 *  wrong       unknown user or wrong password
 */
export type DigestVerdict =
  | { readonly ok: true; readonly username: string; readonly algorithm: DigestAlgorithm }
  | { readonly ok: false; readonly why: 'missing' | 'stale' | 'wrong'; readonly challenge: Challenge }
  | { readonly ok: false; readonly why: 'malformed'; readonly challenge: null }

/** The answer that asks for credentials: `values` are one header field line each, to be sent in this order. */
export interface Challenge {
  readonly status: 401 | 407
  readonly name: 'WWW-Authenticate' | 'Proxy-Authenticate'
  readonly values: readonly string[]
}

export interface DigestServer {
  challenge(stale?: boolean): Challenge
  /** `passwordOf` answers null for users that do not exist. */
  verify(request: SipRequest, passwordOf: (username: string) => string | null): DigestVerdict
}

/** Nonces need no store until they are used: time, salt and a signature over both. */
export function createDigestServer(options: DigestServerOptions): DigestServer {
  const { realm, algorithms = ['SHA-256', 'MD5'], role = 'registrar', secret = randomBytes(32) } = options
  const { now = Date.now } = options
  const limits = { ...digestLimits, ...options.limits }
  const nonces = createNonces(secret, limits, now)
  const proxy = role === 'proxy'

  const challenge = (stale = false): Challenge => {
    const nonce = nonces.make()
    const values = algorithms.map(algorithm =>
      printAuth(
        [['realm', realm], ['nonce', nonce], ...(stale ? [staleParam] : []), ['algorithm', algorithm], ['qop', 'auth']],
        ['qop']
      )
    )
    return { status: proxy ? 407 : 401, name: proxy ? 'Proxy-Authenticate' : 'WWW-Authenticate', values }
  }
  const refuse = (why: 'missing' | 'stale' | 'wrong'): DigestVerdict => ({
    ok: false,
    why,
    challenge: challenge(why === 'stale')
  })
  const malformed: DigestVerdict = { ok: false, why: 'malformed', challenge: null }

  const verify: DigestServer['verify'] = (request, passwordOf) => {
    const credentials = credentialsOf(request, proxy ? 'Proxy-Authorization' : 'Authorization', realm)
    if (credentials === null) return refuse('missing')
    const params = readCredentials(credentials, request.uri)
    if (params === null) return malformed
    const { username, nonce, nc, cnonce, response, uri, algorithm } = params
    if (!algorithms.includes(algorithm)) return refuse('missing')
    const state = nonces.check(nonce)
    if (state === 'foreign') return refuse('missing')
    const password = passwordOf(username)
    // The same work for a user that does not exist, so that the time taken does not tell.
    const input = { algorithm, username, realm, password: password ?? nonce, method: request.method, uri, nonce }
    const right = sameSecret(digestResponse({ ...input, qop: { nc, cnonce } }), response.toLowerCase())
    if (password === null || !right) return refuse('wrong')
    if (state === 'old' || !nonces.count(nonce, Number.parseInt(nc, 16))) return refuse('stale')
    return { ok: true, username, algorithm }
  }
  return { challenge, verify }
}

const staleParam: readonly [string, string] = ['stale', 'true']

/** The Digest credentials for this realm among those sent (one line for each realm: RFC 3261, 22.3). */
function credentialsOf(request: SipRequest, field: string, realm: string): ReadonlyMap<string, string> | null {
  for (const value of request.headers.all(field)) {
    const auth = parseAuth(value)
    if (auth?.scheme === 'digest' && auth.params.get('realm') === realm) return auth.params
  }
  return null
}

interface Credentials {
  readonly username: string
  readonly nonce: string
  readonly nc: string
  readonly cnonce: string
  readonly response: string
  readonly uri: string
  readonly algorithm: DigestAlgorithm
}

/** Null where a part is missing, or the credentials were made for another Request-URI (RFC 7616, 3.4.6). */
function readCredentials(params: ReadonlyMap<string, string>, requestUri: string): Credentials | null {
  const [username, nonce, nc] = [params.get('username'), params.get('nonce'), params.get('nc')]
  const [cnonce, response, uri] = [params.get('cnonce'), params.get('response'), params.get('uri')]
  const algorithm = digestAlgorithm(params.get('algorithm'))
  if (username === undefined || nonce === undefined || nc === undefined || cnonce === undefined) return null
  if (response === undefined || uri === undefined || algorithm === null) return null
  if (params.get('qop')?.toLowerCase() !== 'auth' || !/^[0-9a-f]{8}$/i.test(nc) || !sameTarget(uri, requestUri))
    return null
  return { username, nonce, nc, cnonce, response, uri, algorithm }
}

/** Proxies may have changed parameters on the way, so user, host and port decide. */
function sameTarget(left: string, right: string): boolean {
  if (left === right) return true
  const [a, b] = [parseUri(left), parseUri(right)]
  if (a === null || b === null || a.scheme === 'urn' || b.scheme === 'urn') return false
  if (a.scheme === 'tel' || b.scheme === 'tel') return a.scheme === 'tel' && b.scheme === 'tel' && a.number === b.number
  return a.scheme === b.scheme && a.user === b.user && a.host === b.host && a.port === b.port
}

interface Nonces {
  make(): string
  check(nonce: string): 'good' | 'old' | 'foreign'
  /** False where this count or a higher one was used with the nonce before. */
  count(nonce: string, count: number): boolean
}

function createNonces(
  secret: Buffer,
  limits: { readonly nonceMs: number; readonly noncesMax: number },
  now: () => number
): Nonces {
  /** Highest count by nonce, in order of first use. */
  const counts = new Map<string, number>()
  /** Nonces made at or before this moment and not in `counts` are good no more: their counts may be forgotten ones. */
  let forgottenUntil = Number.NEGATIVE_INFINITY

  const sign = (text: string): string => createHmac('sha256', secret).update(text).digest('base64url').slice(0, 22)
  const madeAt = (nonce: string): number =>
    parseNumber(nonce.slice(0, nonce.indexOf('.')), Number.MAX_SAFE_INTEGER) ?? 0

  const make = (): string => {
    const text = `${now()}.${randomBytes(9).toString('base64url')}`
    return `${text}.${sign(text)}`
  }
  const check = (nonce: string): 'good' | 'old' | 'foreign' => {
    const dot = nonce.lastIndexOf('.')
    if (dot < 0 || nonce.length > 128 || !sameSecret(sign(nonce.slice(0, dot)), nonce.slice(dot + 1))) return 'foreign'
    const at = madeAt(nonce)
    return now() - at > limits.nonceMs || (at <= forgottenUntil && !counts.has(nonce)) ? 'old' : 'good'
  }
  const forgetOldest = (): void => {
    for (const nonce of counts.keys()) {
      if (counts.size < limits.noncesMax && now() - madeAt(nonce) <= limits.nonceMs) return
      if (now() - madeAt(nonce) <= limits.nonceMs) forgottenUntil = Math.max(forgottenUntil, madeAt(nonce))
      counts.delete(nonce)
    }
  }
  const count = (nonce: string, used: number): boolean => {
    if (used <= (counts.get(nonce) ?? 0)) return false
    if (!counts.has(nonce)) forgetOldest()
    counts.set(nonce, used)
    return true
  }
  return { make, check, count }
}
