// What a call does, in short words: the acts that several of its phases share. Pure.

import type { Reason, Release } from '../../session/model.ts'
import { callLimits } from './call-limits.ts'
import type {
  Act,
  Call,
  CallIn,
  Condition,
  Identity,
  JingleError,
  Media,
  Step,
  Tag,
  Tell,
  Timer
} from './call-model.ts'
import { reasonElement, reasonFrom } from './causes.ts'
import type { Element } from './elements.ts'
import { jingle } from './jingle.ts'
import type { Content, Jingle, JingleAction } from './jingle.ts'
import type { JmiKind, MediaKind } from './jmi.ts'
import { namespaces } from './namespaces.ts'

export const step = (call: Call, ...acts: readonly Act[]): Step => ({ call, acts })
export const ended: CallIn<'ended'> = { phase: 'ended' }

export const ack: Act = { act: 'reply', refusal: null }
export const refuse = (condition: Condition, jingle: JingleError | null = null): Act => ({
  act: 'reply',
  refusal: { condition, jingle }
})
/** An action that makes no sense now (XEP-0166, 10). */
export const outOfOrder: Act = refuse('unexpected-request', 'out-of-order')

export const tell = (what: Tell): Act => ({ act: 'tell', ...what })
export const startTimer = (timer: Timer, ms: number = timerMs[timer]): Act => ({ act: 'timer', timer, ms })
export const stopTimer = (timer: Timer): Act => ({ act: 'timer', timer, ms: null })
const timerMs: Readonly<Record<Timer, number>> = {
  initiate: callLimits.initiateMs,
  candidates: callLimits.candidatesMs,
  ringing: callLimits.ringingMs,
  bounce: callLimits.bounceMs,
  change: callLimits.changeMs,
  crossed: callLimits.crossedMs,
  gone: callLimits.goneMs
}

export const send = ({ peer }: Identity, what: Jingle, tag: Tag = 'other'): Act => ({
  act: 'jingle',
  to: peer,
  jingle: what,
  tag
})
export const action = (
  id: Identity,
  name: JingleAction,
  more: Partial<Omit<Jingle, 'action' | 'sid'>> = {},
  tag: Tag = 'other'
): Act => send(id, jingle(name, id.sid, more), tag)
export const contentsAction = (
  id: Identity,
  name: JingleAction,
  contents: readonly Content[],
  tag: Tag = 'other'
): Act => action(id, name, { contents }, tag)

export const announce = (
  kind: JmiKind,
  to: string,
  more: { readonly media?: readonly MediaKind[]; readonly reason?: Element; readonly extra?: Element } = {}
): Act => ({ act: 'jmi', kind, to, ...more })

export const because = (reason: Reason): Element => reasonElement(reason, namespaces.jingle)

/** The hub ends the session; where messages have opened it, one closes it (XEP-0353, 3.7). */
export function terminate(id: Identity, reason: Reason): readonly Act[] {
  return [action(id, 'session-terminate', { reason: because(reason) }), ...finish(id, reason)]
}

export const finish = ({ announced, peer }: Identity, reason: Reason): readonly Act[] =>
  announced ? [announce('finish', peer, { reason: because(reason) })] : []

/** The core asked for the end. */
export const released = (id: Identity, release: Release): Step => step(ended, ...terminate(id, release))

/** The hub gives up, and the core is told. */
export const failed = (id: Identity, reason: Reason): Step =>
  step(ended, ...terminate(id, reason), tell({ tell: 'ended', reason }))

/** Whoever calls gives up whatever words its client finds for it. */
export function callerGaveUp(reason: Element | null): Reason {
  const said = reasonFrom(reason ?? undefined, false)
  return givingUp.has(said.cause) ? { ...said, cause: 'cancelled' } : said
}
const givingUp: ReadonlySet<string> = new Set(['busy', 'declined', 'normal', 'unavailable', 'no-answer'])

/** Whoever is called and hangs up without a reason of its own does not want the call. */
export function calleeRefused(reason: Element | null): Reason {
  const said = reasonFrom(reason ?? undefined, false)
  return said.cause === 'cancelled' || said.cause === 'normal' ? { ...said, cause: 'declined' } : said
}

export const hungUp = (reason: Element | null): Reason => reasonFrom(reason ?? undefined, true)

/** A call that talks, from both sides' words. */
export const active = (id: Identity, media: Media): CallIn<'active'> => ({
  phase: 'active',
  id,
  media,
  ours: null,
  theirs: null,
  changed: false
})
