// stepText(session, event) -> next session + commands: the life of one message. Pure, like `step`, and much smaller:
// no media, no re-offer; the verdict goes back to the sender as soon as there is one, the records follow.

import { nextAttempt } from './attempts.ts'
import { limits } from './limits.ts'
import { noFacts } from './model.ts'
import type {
  Cdr,
  ChargingId,
  EpochMs,
  Grant,
  Leg,
  LegFacts,
  PolicyDecision,
  Ported,
  Reason,
  Release,
  SessionId,
  Shown,
  Side,
  Target
} from './model.ts'
import type { TextVerdict } from './ports.ts'
import { shownTo, viewerOf } from './privacy.ts'
import { callingOf, emptyBook, entered, grantedTo, refused, retried, written } from './records.ts'
import type { Booked } from './records.ts'
import type { Book } from './state.ts'
import type { TextBody } from './text.ts'

export type TextTimer = 'call-reply' | 'text-reply' | 'cdr-retry'

interface Heard {
  readonly at: EpochMs
}
export type TextEvent =
  | (Heard & { readonly type: 'route.found'; readonly targets: readonly Target[]; readonly ported?: Ported })
  | (Heard & { readonly type: 'route.failed'; readonly reason: Reason })
  | (Heard & { readonly type: 'policy.decided'; readonly attempt: number; readonly decision: PolicyDecision })
  | (Heard & { readonly type: 'text.taken'; readonly attempt: number; readonly facts: LegFacts })
  | (Heard & {
      readonly type: 'text.refused'
      readonly attempt: number
      readonly reason: Reason
      readonly facts: LegFacts
    })
  | (Heard & { readonly type: 'cdr.written' | 'cdr.failed'; readonly key: string })
  | (Heard & { readonly type: 'timer.fired'; readonly timer: TextTimer })

export type TextCommand =
  | { readonly type: 'route.ask' }
  | { readonly type: 'policy.ask'; readonly attempt: number; readonly target: Target }
  | { readonly type: 'policy.free'; readonly grantId: string }
  | { readonly type: 'text.send'; readonly attempt: number; readonly target: Target; readonly from: Shown }
  | { readonly type: 'text.verdict'; readonly verdict: TextVerdict }
  | { readonly type: 'cdr.note'; readonly cdr: Cdr }
  | { readonly type: 'cdr.write'; readonly cdr: Cdr }
  | { readonly type: 'timer.set'; readonly timer: TextTimer; readonly afterMs: number }
  | { readonly type: 'timer.clear'; readonly timer: TextTimer }

interface Base {
  readonly id: SessionId
  readonly caller: Leg
  readonly called: string
  readonly body: TextBody
  readonly charging: ChargingId
  readonly facts: LegFacts
  readonly requestedAt: EpochMs
  readonly book: Book
}
interface Attempt {
  readonly number: number
  readonly target: Target
  readonly startedAt: EpochMs
}
interface Trying extends Base {
  readonly attempt: Attempt
  readonly targets: readonly Target[]
}
export type TextSession =
  | (Base & { readonly phase: 'routing' })
  | (Trying & { readonly phase: 'admitting' })
  | (Trying & { readonly phase: 'sending'; readonly grant: Grant })
  | (Base & { readonly phase: 'recording' })
  | (Base & { readonly phase: 'closed' })
export type TextPhase = TextSession['phase']

export interface TextStep {
  readonly session: TextSession
  readonly commands: readonly TextCommand[]
}

export type TextOpening = Omit<Base, 'book'> & { readonly refusal?: Reason | undefined }

/** A new message starts, like a call, by asking where to, unless its sender was turned away. */
export function openText({ refusal, ...opening }: TextOpening): TextStep {
  const session = { ...opening, phase: 'routing', book: emptyBook } as const
  if (refusal !== undefined) return over(session, by('hub', refusal), opening.requestedAt)
  return {
    session,
    commands: [{ type: 'route.ask' }, { type: 'timer.set', timer: 'call-reply', afterMs: limits.callReplyMs }]
  }
}

export function stepText(session: TextSession, event: TextEvent): TextStep {
  if (session.phase === 'closed') return late(session, event)
  switch (event.type) {
    case 'cdr.written':
      return booked(session, written(session.book, event.key))
    case 'cdr.failed':
      return booked(session, refused(session.book, event.key))
    case 'timer.fired':
      return fired(session, event.timer, event.at)
    case 'route.found': {
      if (session.phase !== 'routing') return ignore(session)
      const [first, ...rest] = event.targets
      if (first === undefined) return over(session, by('hub', { cause: 'not-found' }), event.at)
      return ask({ ...session, facts: { ...session.facts, ...event.ported } }, first, rest, 1, event.at)
    }
    case 'route.failed':
      return session.phase === 'routing' ? over(session, by('hub', event.reason), event.at) : ignore(session)
    case 'policy.decided':
      return decided(session, event.attempt, event.decision, event.at)
    case 'text.taken': {
      if (session.phase !== 'sending' || session.attempt.number !== event.attempt) return ignore(session)
      return over(session, null, event.at, event.facts)
    }
    case 'text.refused': {
      if (session.phase !== 'sending' || session.attempt.number !== event.attempt) return ignore(session)
      return failed(session, by('callee', event.reason), event.at, event.facts)
    }
  }
}

function fired(session: TextSession, timer: TextTimer, at: EpochMs): TextStep {
  const silent = (what: string) => by('hub', { cause: 'internal', text: `${what} did not reply` })
  if (timer === 'cdr-retry') return booked(session, retried(session.book))
  if (timer === 'text-reply') {
    const expired = by('hub', { cause: 'unreachable', text: 'the other side did not take the message in time' })
    return session.phase === 'sending' ? failed(session, expired, at) : ignore(session)
  }
  if (session.phase === 'routing') return over(session, silent('routing'), at)
  return session.phase === 'admitting' ? failed(session, silent('policy'), at) : ignore(session)
}

function decided(session: TextSession, attempt: number, decision: PolicyDecision, at: EpochMs): TextStep {
  if (session.phase !== 'admitting' || session.attempt.number !== attempt) {
    return { session, commands: decision.admit ? [{ type: 'policy.free', grantId: decision.grant.id }] : [] }
  }
  if (!decision.admit) return failed(session, by('hub', decision.reason), at)
  const { target } = session.attempt
  const sending = { ...session, phase: 'sending', grant: decision.grant } as const
  const unheard = { attempt: session.attempt, release: null, at } as const
  return {
    session: sending,
    commands: [
      { type: 'timer.clear', timer: 'call-reply' },
      { type: 'text.send', attempt, target, from: shownTo(target.trust, session.caller.party) },
      note(record(sending, { ...unheard, leg: 'ingress', facts: session.facts, number: 1 })),
      note(record(sending, { ...unheard, leg: 'egress', facts: noFacts, number: attempt })),
      { type: 'timer.set', timer: 'text-reply', afterMs: limits.textReplyMs }
    ]
  }
}

/** Neither taken nor refused yet. */
const note = (cdr: Cdr): TextCommand => ({ type: 'cdr.note', cdr: { ...cdr, kind: 'start', answeredAt: null } })

function ask(base: Base, target: Target, targets: readonly Target[], number: number, at: EpochMs): TextStep {
  return {
    session: { ...baseOf(base), phase: 'admitting', attempt: { number, target, startedAt: at }, targets },
    commands: [
      { type: 'policy.ask', attempt: number, target },
      { type: 'timer.set', timer: 'call-reply', afterMs: limits.callReplyMs }
    ]
  }
}

const untold = { alerted: false, earlyRelayed: false, transcoded: true }

/** The next target, by the same table as for calls, or the end. */
function failed(
  session: Extract<TextSession, { phase: 'admitting' | 'sending' }>,
  why: Release,
  at: EpochMs,
  facts = noFacts
): TextStep {
  const { attempt, targets } = session
  const [first, ...rest] = nextAttempt(why, untold) === 'next-target' ? targets : []
  if (first === undefined || attempt.number >= limits.attemptsMax) return over(session, why, at, facts)
  const cdr = record(session, { leg: 'egress', attempt, release: why, at, facts, number: attempt.number })
  const next = ask({ ...session, book: entered(session.book, [cdr]) }, first, rest, attempt.number + 1, at)
  return { session: next.session, commands: [...freed(session), { type: 'cdr.write', cdr }, ...next.commands] }
}

/** The verdict, and one final record for each leg there is. */
function over(session: TextSession, release: Release | null, at: EpochMs, facts: LegFacts = noFacts): TextStep {
  const attempt = 'attempt' in session ? session.attempt : null
  const ingress = record(session, { leg: 'ingress', attempt, release, at, facts: session.facts, number: 1 })
  const cdrs = [ingress]
  if (attempt !== null) {
    cdrs.push(record(session, { leg: 'egress', attempt, release, at, facts, number: attempt.number }))
  }
  return {
    session: { ...baseOf(session), phase: 'recording', book: entered(session.book, cdrs) },
    commands: [
      { type: 'timer.clear', timer: 'call-reply' },
      { type: 'timer.clear', timer: 'text-reply' },
      { type: 'text.verdict', verdict: release === null ? { taken: true } : { taken: false, release } },
      ...freed(session),
      ...cdrs.map(cdr => ({ type: 'cdr.write', cdr }) as const)
    ]
  }
}

interface RecordOf {
  readonly leg: Cdr['leg']
  readonly attempt: Attempt | null
  readonly release: Release | null
  readonly at: EpochMs
  readonly facts: LegFacts
  readonly number: number
}

function record(session: TextSession, { leg, attempt, release, at, facts, number }: RecordOf): Cdr {
  const { caller } = session
  const own =
    leg === 'egress' && attempt !== null
      ? { ...attempt.target, requestedAt: attempt.startedAt }
      : { ...caller, uri: session.called, trust: viewerOf(caller), requestedAt: session.requestedAt }
  return {
    callId: session.id,
    leg,
    attempt: number,
    partialSeq: 0,
    kind: 'final',
    access: own.access,
    peerId: own.peerId,
    service: 'message',
    ...callingOf(caller),
    called: own.uri,
    dialled: session.called,
    trust: own.trust,
    ...grantedTo(leg, 'grant' in session ? session.grant : null),
    requestedAt: own.requestedAt,
    alertedAt: null,
    answeredAt: release === null ? at : null,
    endedAt: at,
    durationMs: 0,
    release,
    media: [],
    otherMedia: [],
    charging: session.charging,
    facts,
    origin: session.facts,
    otherPeerId: leg === 'egress' ? caller.peerId : (attempt?.target.peerId ?? null)
  }
}

function booked(session: TextSession, after: Booked | null): TextStep {
  if (after === null) return ignore(session)
  const { book, commands } = after
  const done = session.phase === 'recording' && book.unwritten.length === 0
  return { session: done ? { ...baseOf(session), phase: 'closed', book } : { ...session, book }, commands }
}

function freed(session: TextSession): readonly TextCommand[] {
  return session.phase === 'sending' ? [{ type: 'policy.free', grantId: session.grant.id }] : []
}

function baseOf(session: Base): Base {
  const { id, caller, called, body, charging, facts, requestedAt, book } = session
  return { id, caller, called, body, charging, facts, requestedAt, book }
}

/** A grant that comes after the end goes back. */
function late(session: TextSession, event: TextEvent): TextStep {
  const grant = event.type === 'policy.decided' && event.decision.admit ? event.decision.grant : null
  return { session, commands: grant === null ? [] : [{ type: 'policy.free', grantId: grant.id }] }
}

const by = (from: Side | 'hub', reason: Reason): Release => ({ ...reason, from })
const ignore = (session: TextSession): TextStep => ({ session, commands: [] })
