// The side that is asked for a password: answers challenges, and counts its uses of a nonce.

import { digestAlgorithm, digestResponse, parseAuth, printAuth } from './digest.ts'
import type { DigestAlgorithm } from './digest.ts'
import { newTag } from './identifiers.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'

/** Realms that one client keeps a challenge for. */
const realmsMax = 8

export interface DigestClientOptions {
  readonly username: string
  readonly password: string
  /** Tests fix it. */
  readonly cnonce?: () => string
}

export interface DigestClient {
  /**
   * Takes in a 401 or 407. True where trying again makes sense; false where there is no challenge that can be answered
   * or credentials for the same realm were just refused (and not for being stale).
   */
  challenged(response: SipResponse, request: SipRequest): boolean
  /** The fields for a request, one for each realm that has asked so far; none before the first challenge. */
  authorize(method: string, uri: string): readonly HeaderLine[]
}

interface Challenge {
  readonly field: 'Authorization' | 'Proxy-Authorization'
  readonly realm: string
  readonly nonce: string
  readonly opaque: string | null
  readonly algorithm: DigestAlgorithm
  /** Whether the algorithm was named: it is echoed only then. */
  readonly named: boolean
  readonly qop: boolean
  readonly stale: boolean
  uses: number
}

/** One user's credentials towards whoever asks for them. */
export function createDigestClient({ username, password, cnonce = newTag }: DigestClientOptions): DigestClient {
  const challenges = new Map<string, Challenge>()

  const challenged: DigestClient['challenged'] = (response, request) => {
    const fresh = challengesIn(response)
    let worthwhile = false
    for (const challenge of fresh) {
      const key = `${challenge.field} ${challenge.realm}`
      if (refused(request, challenge) && !challenge.stale) return false
      if (!challenges.has(key) && challenges.size === realmsMax) continue
      challenges.set(key, challenge)
      worthwhile = true
    }
    return worthwhile
  }

  const authorize: DigestClient['authorize'] = (method, uri) =>
    [...challenges.values()].map(challenge => {
      const { field, realm, nonce, opaque, algorithm, named } = challenge
      challenge.uses += 1
      const qop = challenge.qop ? { nc: challenge.uses.toString(16).padStart(8, '0'), cnonce: cnonce() } : null
      const response = digestResponse({ algorithm, username, realm, password, method, uri, nonce, qop })
      const params: [string, string][] = [
        ['username', username],
        ['realm', realm],
        ['nonce', nonce],
        ['uri', uri]
      ]
      params.push(['response', response])
      if (named) params.push(['algorithm', algorithm])
      if (qop !== null) params.push(['cnonce', qop.cnonce], ['qop', 'auth'], ['nc', qop.nc])
      if (opaque !== null) params.push(['opaque', opaque])
      return { name: field, value: printAuth(params) }
    })

  return { challenged, authorize }
}

/** For each realm the topmost challenge that can be answered (RFC 8760, 2.4). */
function challengesIn(response: SipResponse): readonly Challenge[] {
  const found = new Map<string, Challenge>()
  for (const [from, field] of [
    ['WWW-Authenticate', 'Authorization'],
    ['Proxy-Authenticate', 'Proxy-Authorization']
  ] as const) {
    for (const value of response.headers.all(from)) {
      const challenge = readChallenge(value, field)
      const key = `${field} ${challenge?.realm}`
      if (challenge !== null && !found.has(key)) found.set(key, challenge)
    }
  }
  return [...found.values()]
}

function readChallenge(value: string, field: Challenge['field']): Challenge | null {
  const auth = parseAuth(value)
  if (auth?.scheme !== 'digest') return null
  const { params } = auth
  const [realm, nonce, qops] = [params.get('realm'), params.get('nonce'), params.get('qop')]
  const algorithm = digestAlgorithm(params.get('algorithm'))
  if (realm === undefined || nonce === undefined || algorithm === null) return null
  // Integrity of bodies (auth-int) is not offered: bodies change on the way through any hub.
  const qop = qops !== undefined && qops.split(',').some(one => one.trim().toLowerCase() === 'auth')
  if (qops !== undefined && !qop) return null
  const stale = params.get('stale')?.toLowerCase() === 'true'
  const opaque = params.get('opaque') ?? null
  return { field, realm, nonce, opaque, algorithm, named: params.has('algorithm'), qop, stale, uses: 0 }
}

/** Whether the request already carried credentials for this realm. */
const refused = (request: SipRequest, { field, realm }: Challenge): boolean =>
  request.headers.all(field).some(value => parseAuth(value)?.params.get('realm') === realm)
