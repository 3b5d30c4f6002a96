// Why a call or a message failed: the canonical causes and the SIP of island users, both ways (RFC 3261 21, RFC 3326).

import type { Reason, Release, ReleaseCause } from '../../session/model.ts'
import { tellsNumber } from '../../session/privacy.ts'
import { parseParams, quote, splitList, unquote } from '../../sip/message.ts'
import type { HeaderLine, Headers } from '../../sip/message.ts'
import { line } from './answer.ts'
import { limits } from './limits.ts'

interface Row {
  /** The final answer to an INVITE or a MESSAGE. */
  readonly status: number
  /** What the user reads where nobody gave words of their own. */
  readonly text: string
}

/** Complete by type: a new cause does not compile without its row. */
export const sipOf = {
  normal: { status: 480, text: 'the call has ended' },
  cancelled: { status: 487, text: 'the caller has given up' },
  'answered-elsewhere': { status: 487, text: 'Call completed elsewhere' },
  busy: { status: 486, text: 'the called party is busy' },
  declined: { status: 603, text: 'the called party has declined' },
  'no-answer': { status: 480, text: 'nobody has answered' },
  'not-found': { status: 404, text: 'nobody is known under this address' },
  gone: { status: 410, text: 'this address is no longer in use' },
  'address-incomplete': { status: 484, text: 'the number is incomplete' },
  unavailable: { status: 480, text: 'the called party cannot be reached now' },
  unreachable: { status: 502, text: 'the way to the called party is interrupted' },
  'incompatible-media': { status: 488, text: 'the two sides have no media in common' },
  forbidden: { status: 403, text: 'this call is not allowed' },
  'no-agreement': { status: 403, text: 'there is no agreement with the provider of the called party' },
  'no-rate': { status: 403, text: 'there is no price for this destination' },
  'no-credit': { status: 402, text: 'there is no credit left' },
  'limit-reached': { status: 503, text: 'a limit on calls is reached, try again later' },
  'anonymity-refused': { status: 433, text: 'the called party takes no anonymous calls' },
  'identity-failed': { status: 438, text: 'the identity of the caller could not be verified' },
  unwanted: { status: 607, text: 'the called party does not want this call' },
  congestion: { status: 503, text: 'too much traffic, try again later' },
  'media-lost': { status: 504, text: 'the media has stopped' },
  'peer-failed': { status: 502, text: 'the network of the called party has failed' },
  expired: { status: 408, text: 'the call has timed out' },
  internal: { status: 500, text: 'the hub has failed' }
} as const satisfies Record<ReleaseCause, Row>

/** What a device or another server of an island means; what is not named goes by its class. */
const causeByStatus: ReadonlyMap<number, ReleaseCause> = new Map([
  [401, 'forbidden'],
  [402, 'no-credit'],
  [403, 'forbidden'],
  [404, 'not-found'],
  [407, 'forbidden'],
  [408, 'no-answer'],
  [410, 'gone'],
  [413, 'forbidden'],
  [415, 'incompatible-media'],
  [433, 'anonymity-refused'],
  [438, 'identity-failed'],
  [480, 'unavailable'],
  [481, 'peer-failed'],
  [484, 'address-incomplete'],
  [486, 'busy'],
  [487, 'cancelled'],
  [488, 'incompatible-media'],
  [503, 'congestion'],
  [504, 'unreachable'],
  [600, 'busy'],
  [603, 'declined'],
  [604, 'not-found'],
  [606, 'incompatible-media'],
  [607, 'unwanted'],
  [608, 'declined']
])

/** Total over every status from 300 on. */
export function causeOf(status: number): ReleaseCause {
  const named = causeByStatus.get(status)
  if (named !== undefined) return named
  if (status >= 600) return 'declined'
  return status < 400 ? 'unavailable' : 'peer-failed'
}

/**
 * The final answer that says so. A status that came from a SIP peer is kept where it is a plain refusal with the same
 * meaning here: the rest (challenges, loops, transaction trouble) concerns another hop.
 */
export function statusOf({ cause, sip }: Reason): number {
  const own = sipOf[cause].status
  if (sip === undefined || sip < 400 || sip > 699) return own
  return sip === own || (causeByStatus.get(sip) === cause && !otherHops.has(sip)) ? sip : own
}
const otherHops: ReadonlySet<number> = new Set([401, 407, 413, 415, 481])

/** In words for the user, never more than one line. */
export const textOf = (reason: Reason): string =>
  (tellsNumber(reason) ? '' : tidy(reason.text ?? '')) || sipOf[reason.cause].text

/** `Reason: SIP;cause=486;text="..."`: why, in a field that clients show (RFC 3326). */
export function printReason(reason: Reason): string {
  // 200 is the one that clients know: somebody else has answered (RFC 3326, 3.1).
  const status = reason.cause === 'answered-elsewhere' ? 200 : statusOf(reason)
  return `SIP;cause=${status};text=${quote(textOf(reason))}`
}

/** Header lines of an answer, BYE or CANCEL that ends a leg. */
export function reasonLines(reason: Reason): readonly HeaderLine[] {
  const { q850 } = reason
  const stated = line('Reason', printReason(reason))
  return q850 === undefined || q850 < 1 || q850 > 127 ? [stated] : [stated, line('Reason', `Q.850;cause=${q850}`)]
}

interface Stated {
  readonly sip?: number
  readonly q850?: number
  readonly text?: string
}

/** The Reason fields of a message; what is malformed says nothing. */
export function parseReasons(headers: Headers): Stated {
  const stated: { sip?: number; q850?: number; text?: string } = {}
  for (const value of headers
    .all('Reason')
    .flatMap(line => splitList(line))
    .slice(0, 4)) {
    const semicolon = value.indexOf(';')
    const protocol = value
      .slice(0, semicolon < 0 ? value.length : semicolon)
      .trim()
      .toUpperCase()
    const params = semicolon < 0 ? null : parseParams(value, semicolon)
    if (params === null) continue
    const cause = Number(params.get('cause') ?? Number.NaN)
    if (Number.isInteger(cause) && protocol === 'SIP' && cause >= 100 && cause <= 699) stated.sip = cause
    if (Number.isInteger(cause) && protocol === 'Q.850' && cause >= 1 && cause <= 127) stated.q850 = cause
    const text = tidy(unquote(params.get('text') ?? ''))
    if (text !== '') stated.text ??= text
  }
  return stated
}

/** Why a device refused. */
export function fromRefusal(status: number, headers: Headers): Reason {
  const { q850, text } = parseReasons(headers)
  return {
    cause: causeOf(status),
    sip: status,
    ...(q850 === undefined ? {} : { q850 }),
    ...(text === undefined ? {} : { text })
  }
}

/** Why a user hung up: an ordinary BYE says nothing; a client in trouble names a status (`SIP;cause=408`). */
export function fromBye(headers: Headers): Reason {
  const stated = parseReasons(headers)
  const { sip, ...rest } = stated
  if (sip === undefined || sip < 400) return { cause: 'normal', ...rest }
  return { cause: sip === 408 ? 'media-lost' : causeOf(sip), ...stated }
}

/** Whose refusal the caller hears when every device has refused: the nearest to a person's decision first. */
const weight = {
  unwanted: 1,
  declined: 2,
  busy: 3,
  'anonymity-refused': 4,
  'identity-failed': 5,
  forbidden: 6,
  'no-credit': 7,
  'incompatible-media': 8,
  'no-answer': 9,
  gone: 10,
  'not-found': 11,
  'address-incomplete': 12,
  unavailable: 13,
  expired: 14,
  cancelled: 15,
  normal: 16,
  'answered-elsewhere': 17,
  'limit-reached': 18,
  congestion: 19,
  'no-agreement': 20,
  'no-rate': 21,
  'media-lost': 22,
  'peer-failed': 23,
  unreachable: 24,
  internal: 25
} as const satisfies Record<ReleaseCause, number>

/** The best of several refusals (RFC 3261, 16.7 step 6, by meaning rather than by class); null for none. */
export function bestOf(reasons: readonly Reason[]): Reason | null {
  let best: Reason | null = null
  for (const reason of reasons) if (best === null || weight[reason.cause] < weight[best.cause]) best = reason
  return best
}

/** A 6xx speaks for every device of the user (RFC 3261, 21.6). */
export const isGlobal = (status: number): boolean => status >= 600

export const answeredElsewhere: Release = {
  cause: 'answered-elsewhere',
  text: sipOf['answered-elsewhere'].text,
  from: 'hub'
}

/** One line of printable text within bounds. */
function tidy(text: string): string {
  let out = ''
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    out += code < 32 || code === 127 ? ' ' : character
    if (out.length >= limits.reasonCharactersMax) break
  }
  return out.trim()
}
