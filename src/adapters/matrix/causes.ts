// Why a call ended: the canonical causes and the reasons of m.call.reject and m.call.hangup, both ways. Complete by
// type.

import type { Reason, ReleaseCause } from '../../session/model.ts'

/** Those of the specification (m.call.hangup), and those of matrix-js-sdk behind them. */
export const hangupReasons = [
  'ice_failed',
  'ice_timeout',
  'invite_timeout',
  'user_hangup',
  'user_media_failed',
  'user_busy',
  'unknown_error',
  'replaced',
  'answered_elsewhere',
  'signalling_timeout',
  'transferred',
  'new_session'
] as const
export type HangupReason = (typeof hangupReasons)[number]

interface Heard {
  /** Of a call that rings: from the caller it is a cancellation, from the callee a refusal. */
  readonly fromCaller: ReleaseCause
  readonly fromCallee: ReleaseCause
  /** Of a call that was answered, with what SIP is told. */
  readonly late: ReleaseCause
  readonly q850: number
}

export const causeOfReason = {
  ice_failed: { fromCaller: 'cancelled', fromCallee: 'peer-failed', late: 'media-lost', q850: 41 },
  ice_timeout: { fromCaller: 'cancelled', fromCallee: 'peer-failed', late: 'media-lost', q850: 41 },
  invite_timeout: { fromCaller: 'cancelled', fromCallee: 'no-answer', late: 'no-answer', q850: 19 },
  user_hangup: { fromCaller: 'cancelled', fromCallee: 'declined', late: 'normal', q850: 16 },
  user_media_failed: { fromCaller: 'cancelled', fromCallee: 'unavailable', late: 'peer-failed', q850: 41 },
  user_busy: { fromCaller: 'cancelled', fromCallee: 'busy', late: 'normal', q850: 16 },
  unknown_error: { fromCaller: 'cancelled', fromCallee: 'peer-failed', late: 'peer-failed', q850: 41 },
  // They have called us back, or called somebody else, at the same time.
  replaced: { fromCaller: 'cancelled', fromCallee: 'busy', late: 'normal', q850: 16 },
  answered_elsewhere: { fromCaller: 'answered-elsewhere', fromCallee: 'declined', late: 'normal', q850: 16 },
  signalling_timeout: { fromCaller: 'cancelled', fromCallee: 'peer-failed', late: 'peer-failed', q850: 41 },
  transferred: { fromCaller: 'cancelled', fromCallee: 'declined', late: 'normal', q850: 16 },
  new_session: { fromCaller: 'cancelled', fromCallee: 'declined', late: 'normal', q850: 16 }
} as const satisfies Record<HangupReason, Heard>

interface Said {
  /** In m.call.reject, to a user whose call is refused. */
  readonly reject: HangupReason
  /** In m.call.hangup: to a user who is no longer called, and at the end of an answered call. */
  readonly hangup: HangupReason
  /** Whether the user is told in words why the call failed. */
  readonly told: boolean
}

const failed = { reject: 'unknown_error', hangup: 'unknown_error', told: true } as const
const unhappy = { reject: 'user_hangup', hangup: 'user_hangup', told: true } as const

/** A new cause does not compile without its row. */
export const matrixOf = {
  normal: { reject: 'user_hangup', hangup: 'user_hangup', told: false },
  cancelled: { reject: 'user_hangup', hangup: 'user_hangup', told: false },
  'answered-elsewhere': { reject: 'answered_elsewhere', hangup: 'answered_elsewhere', told: false },
  busy: { reject: 'user_busy', hangup: 'user_busy', told: false },
  declined: { reject: 'user_hangup', hangup: 'user_hangup', told: true },
  'no-answer': { reject: 'user_hangup', hangup: 'invite_timeout', told: true },
  'not-found': unhappy,
  gone: unhappy,
  'address-incomplete': unhappy,
  unavailable: unhappy,
  unreachable: failed,
  'incompatible-media': { reject: 'user_media_failed', hangup: 'user_media_failed', told: true },
  forbidden: unhappy,
  'no-agreement': unhappy,
  'no-rate': unhappy,
  'no-credit': unhappy,
  'limit-reached': failed,
  'anonymity-refused': unhappy,
  'identity-failed': unhappy,
  unwanted: { reject: 'user_hangup', hangup: 'user_hangup', told: true },
  congestion: failed,
  'media-lost': { reject: 'ice_failed', hangup: 'ice_failed', told: true },
  'peer-failed': failed,
  expired: { reject: 'user_hangup', hangup: 'invite_timeout', told: true },
  internal: failed
} as const satisfies Record<ReleaseCause, Said>

const isReason = (text: unknown): text is HangupReason => (hangupReasons as readonly unknown[]).includes(text)

export type Moment = 'from-caller' | 'from-callee' | 'answered'

/** What a hangup or reject means; a missing or unknown reason is an ordinary one. */
export function reasonFrom(word: unknown, moment: Moment): Reason {
  const { fromCaller, fromCallee, late, q850 } = causeOfReason[isReason(word) ? word : 'user_hangup']
  if (moment === 'answered') return { cause: late, q850 }
  return { cause: moment === 'from-caller' ? fromCaller : fromCallee }
}
