// SIP statuses and Q.850 values to release causes and back (RFC 3398, TS 29.163): complete by type; docs/causes.md.

import { alternativeServiceStatus, isAlternativeService } from '../session/emergency.ts'
import type { Reason, Release, ReleaseCause } from '../session/model.ts'

/** What a cause is called towards a peer that did not hear it from one of its own kind. */
export interface Wording {
  readonly status: number
  readonly q850: number
}

export const wordings = {
  normal: { status: 480, q850: 16 },
  cancelled: { status: 487, q850: 31 },
  'answered-elsewhere': { status: 487, q850: 26 },
  busy: { status: 486, q850: 17 },
  declined: { status: 603, q850: 21 },
  'no-answer': { status: 480, q850: 19 },
  'not-found': { status: 404, q850: 1 },
  gone: { status: 410, q850: 22 },
  'address-incomplete': { status: 484, q850: 28 },
  unavailable: { status: 480, q850: 20 },
  unreachable: { status: 502, q850: 27 },
  'incompatible-media': { status: 488, q850: 65 },
  forbidden: { status: 403, q850: 57 },
  'no-agreement': { status: 403, q850: 57 },
  'no-rate': { status: 403, q850: 57 },
  'no-credit': { status: 402, q850: 21 },
  'limit-reached': { status: 503, q850: 34 },
  'anonymity-refused': { status: 433, q850: 24 },
  'identity-failed': { status: 438, q850: 21 },
  unwanted: { status: 607, q850: 21 },
  congestion: { status: 503, q850: 42 },
  'media-lost': { status: 500, q850: 41 },
  'peer-failed': { status: 502, q850: 38 },
  expired: { status: 504, q850: 102 },
  internal: { status: 500, q850: 127 }
} as const satisfies Record<ReleaseCause, Wording>

/** What is not here means its class: 3xx is not followed (SEC-05), 4xx and 5xx are failures, 6xx is a refusal. */
export const causeOfStatus: Readonly<Record<number, ReleaseCause>> = {
  401: 'forbidden',
  402: 'no-credit',
  403: 'forbidden',
  404: 'not-found',
  406: 'incompatible-media',
  407: 'forbidden',
  408: 'unreachable',
  410: 'gone',
  415: 'incompatible-media',
  428: 'identity-failed',
  433: 'anonymity-refused',
  436: 'identity-failed',
  437: 'identity-failed',
  438: 'identity-failed',
  480: 'unavailable',
  482: 'unreachable',
  483: 'unreachable',
  484: 'address-incomplete',
  485: 'not-found',
  486: 'busy',
  487: 'cancelled',
  488: 'incompatible-media',
  502: 'unreachable',
  503: 'congestion',
  504: 'unreachable',
  580: 'incompatible-media',
  600: 'busy',
  603: 'declined',
  604: 'not-found',
  606: 'incompatible-media',
  607: 'unwanted',
  608: 'unwanted'
}

/** What is not here is the peer's failure. */
export const causeOfQ850: Readonly<Record<number, ReleaseCause>> = {
  1: 'not-found',
  2: 'unreachable',
  3: 'unreachable',
  4: 'unavailable',
  5: 'not-found',
  16: 'normal',
  17: 'busy',
  18: 'no-answer',
  19: 'no-answer',
  20: 'unavailable',
  21: 'declined',
  22: 'gone',
  23: 'unreachable',
  24: 'anonymity-refused',
  25: 'unreachable',
  26: 'answered-elsewhere',
  27: 'unreachable',
  28: 'address-incomplete',
  31: 'normal',
  34: 'congestion',
  42: 'congestion',
  44: 'congestion',
  46: 'forbidden',
  47: 'congestion',
  50: 'forbidden',
  53: 'forbidden',
  55: 'forbidden',
  57: 'forbidden',
  58: 'incompatible-media',
  62: 'forbidden',
  65: 'incompatible-media',
  66: 'incompatible-media',
  69: 'incompatible-media',
  70: 'incompatible-media',
  79: 'incompatible-media',
  87: 'forbidden',
  88: 'incompatible-media',
  90: 'not-found',
  102: 'unreachable'
}

/** Statuses that many causes share: where a Q.850 value comes with them, it knows more (TS 29.163, 7.2.3.1.8). */
export const vagueStatuses: ReadonlySet<number> = new Set([400, 403, 480, 500, 502, 503, 504])

/**
 * Never passed on though the peer said so: a challenge (NNI-10) and a 503 (RTE-04), which are about this hop, and what
 * is nothing without header fields of its own about the request that the hub, not the other side, has made.
 */
export const ownHop: ReadonlySet<number> = new Set([
  401, 405, 407, 415, 420, 421, 422, 423, 469, 481, 489, 491, 494, 503
])

const classCauses: readonly ReleaseCause[] = [
  'normal',
  'normal',
  'normal',
  'unreachable',
  'peer-failed',
  'peer-failed',
  'declined'
]

/** A parsed Reason header field value (RFC 3326). */
export interface Told {
  readonly protocol: 'SIP' | 'Q.850'
  readonly cause: number
  readonly text: string | null
}

const toldBy = (told: readonly Told[], protocol: Told['protocol']): Told | undefined =>
  told.find(one => one.protocol === protocol)

/** Why a request was refused. `told` only from a peer whose Reason counts. */
export function reasonOfStatus(status: number, told: readonly Told[] = []): Reason {
  const q850 = toldBy(told, 'Q.850')
  const plain = causeOfStatus[status] ?? classCauses[Math.floor(status / 100)] ?? 'peer-failed'
  const better = q850 === undefined || !vagueStatuses.has(status) ? undefined : causeOfQ850[q850.cause]
  const cause = better === undefined || better === 'normal' ? plain : better
  return reason(cause, status, q850?.cause, (q850 ?? toldBy(told, 'SIP'))?.text)
}

/** Why a BYE or a CANCEL came: `otherwise` where it does not say. */
export function reasonOfTold(told: readonly Told[], otherwise: ReleaseCause): Reason {
  const q850 = toldBy(told, 'Q.850')
  const sip = toldBy(told, 'SIP')
  const text = (q850 ?? sip)?.text
  if (sip?.cause === 200)
    return reason(otherwise === 'cancelled' ? 'answered-elsewhere' : otherwise, undefined, q850?.cause, text)
  const heard = q850 === undefined ? undefined : (causeOfQ850[q850.cause] ?? 'peer-failed')
  const said = sip === undefined || sip.cause < 300 ? undefined : reasonOfStatus(sip.cause).cause
  const cause = heard === 'normal' ? otherwise : (heard ?? said ?? otherwise)
  return reason(cause, sip?.cause, q850?.cause, text)
}

function reason(
  cause: ReleaseCause,
  sip: number | undefined,
  q850: number | undefined,
  text: string | null | undefined
): Reason {
  return {
    cause,
    ...(sip === undefined ? {} : { sip }),
    ...(q850 === undefined ? {} : { q850 }),
    ...(text === undefined || text === null ? {} : { text })
  }
}

/** The final status for a call that was not answered: the other SIP peer's own where it may cross, else the table's. */
export function statusOf(release: Release): number {
  const { cause, sip, from } = release
  const { status } = wordings[cause]
  if (isAlternativeService(release)) return alternativeServiceStatus
  if (sip !== undefined && sip >= 400 && sip <= 699 && !ownHop.has(sip)) return sip
  return status === 503 && from !== 'hub' ? 500 : status
}

export const q850Of = ({ cause, q850 }: Reason): number => q850 ?? wordings[cause].q850
