// One call over XMPP as a value: its phases, what happens to it and what it does about it. Types only.

import type { Reason, Refusal, Release, Sdp, Service, Tone } from '../../session/model.ts'
import type { Asked } from './call-accept.ts'
import type { Element } from './elements.ts'
import type { Jingle, Role } from './jingle.ts'
import type { JmiKind, MediaKind } from './jmi.ts'
import type { SdpDescription } from '../../session/sdp.ts'

export interface Identity {
  readonly sid: string
  /** The gateway's full JID in this call. */
  readonly own: string
  /** The user: the bare JID while several devices may ring, then the full JID of one. */
  readonly peer: string
  /** Ours. */
  readonly role: Role
  /** The session was announced by messages (XEP-0353), so its end is as well. */
  readonly announced: boolean
}

/** What was said about media: both sides' last word, one media line of each for each content, in the same order. */
export interface Media {
  readonly role: Role
  readonly local: SdpDescription
  readonly remote: SdpDescription
  /** Who brought each content; the initiator where it is not here. */
  readonly creators: ReadonlyMap<string, Role>
  /** The user has put the call on hold. */
  readonly held: boolean
  /** The user was told that the other side holds. */
  readonly holding: boolean
  /** How often the user's description has been handed to the core. */
  readonly version: number
}

/** A re-offer of the core that waits for the user. */
export interface OurChange {
  readonly exchange: number
  readonly offered: SdpDescription
  /** Contents that the user has neither accepted nor rejected. */
  readonly adding: readonly string[]
  readonly restarting: boolean
}

/** A change by the user that waits for the core. */
export interface TheirChange {
  readonly adding: readonly string[]
  readonly restarting: boolean
  /** Contents whose transport was replaced. */
  readonly replacing: readonly string[]
  readonly crossed: number
  /** The core has refused it as crossing and hears it again when the timer fires. */
  readonly waiting: boolean
}

export type Call =
  /** Out: the devices of a user are asked. */
  | {
      readonly phase: 'proposing'
      readonly id: Identity
      readonly offer: SdpDescription
      readonly alerted: boolean
      readonly bounced: Reason | null
    }
  /** Out: session-initiate is sent; then it has been taken. */
  | {
      readonly phase: 'initiating' | 'pending'
      readonly id: Identity
      readonly offer: SdpDescription
      readonly alerted: boolean
      readonly trickled: Trickled
    }
  /** In: we have said proceed and wait for session-initiate. The core knows nothing yet. */
  | { readonly phase: 'proposed'; readonly id: Identity }
  /** In, start B: the core has the call without media. */
  | { readonly phase: 'asking'; readonly id: Identity; readonly alerted: boolean }
  /** In, start B: answered with an offer of the core's; the user's session-initiate will be the answer to it. */
  | { readonly phase: 'proceeded'; readonly id: Identity; readonly offer: SdpDescription }
  /** In: session-initiate came without candidates. The core knows nothing yet. */
  | { readonly phase: 'gathering'; readonly id: Identity; readonly initiate: Jingle; readonly trickled: Trickled }
  /** In: the core has the call with its media. */
  | {
      readonly phase: 'offered'
      readonly id: Identity
      readonly asked: Asked
      readonly media: Media
      readonly alerted: boolean
      /** The last early SDP: the answer, where none follows. */
      readonly early: Sdp | null
    }
  | {
      readonly phase: 'active'
      readonly id: Identity
      readonly media: Media
      readonly ours: OurChange | null
      readonly theirs: TheirChange | null
      /** The user has changed something more while a change was under way. */
      readonly changed: boolean
    }
  | { readonly phase: 'ended' }

/** Transports with candidates that came before their time, by content name. */
export type Trickled = ReadonlyMap<string, readonly Element[]>

export const phases = [
  'proposing',
  'initiating',
  'pending',
  'proposed',
  'asking',
  'proceeded',
  'gathering',
  'offered',
  'active',
  'ended'
] as const satisfies readonly Call['phase'][]
export type Phase = (typeof phases)[number]
export type CallIn<P extends Phase> = Extract<Call, { readonly phase: P }>

/** Whose reply an IQ gets back to. `agreed`: a session-accept after which the core need hear no more. */
export type Tag = 'initiate' | 'accept' | 'agreed' | 'add' | 'other'

export const timers = ['initiate', 'candidates', 'ringing', 'bounce', 'change', 'crossed', 'gone'] as const
export type Timer = (typeof timers)[number]

export type CallEvent =
  | { readonly type: 'core.alert' }
  | { readonly type: 'core.progress'; readonly sdp: Sdp | null }
  | { readonly type: 'core.answer'; readonly sdp: Sdp | null }
  | { readonly type: 'core.reoffer'; readonly exchange: number; readonly sdp: Sdp }
  | { readonly type: 'core.answer-reoffer'; readonly sdp: Sdp }
  | { readonly type: 'core.refuse-reoffer'; readonly why: Refusal }
  | { readonly type: 'core.tone'; readonly tone: Tone }
  | { readonly type: 'core.end'; readonly release: Release }
  | { readonly type: 'jmi.ringing'; readonly from: string }
  | { readonly type: 'jmi.proceed'; readonly from: string }
  | { readonly type: 'jmi.reject'; readonly from: string; readonly reason: Element | null }
  | { readonly type: 'jmi.retract'; readonly from: string; readonly reason: Element | null }
  | { readonly type: 'jmi.finish'; readonly from: string; readonly reason: Element | null }
  | { readonly type: 'jmi.bounced'; readonly reason: Reason }
  /** The user calls the address that calls it, and the user's call stays. `told`: the user has rejected ours itself. */
  | { readonly type: 'jmi.crossed'; readonly told: boolean }
  /** The user calls anew the address it talks to: that session has taken the place of this one. */
  | { readonly type: 'jmi.replaced'; readonly by: string }
  | { readonly type: 'jingle'; readonly from: string; readonly jingle: Jingle }
  | { readonly type: 'reply.done'; readonly tag: Tag }
  | { readonly type: 'reply.failed'; readonly tag: Tag; readonly why: ReplyFailure; readonly reason: Reason }
  | { readonly type: 'timer'; readonly timer: Timer }
  | { readonly type: 'peer.gone' }
  | { readonly type: 'peer.back' }
export type EventType = CallEvent['type']
export type EventOf<T extends EventType> = Extract<CallEvent, { readonly type: T }>

/** `unknown-session`: the user's client has lost the session. */
export type ReplyFailure = 'error' | 'tie-break' | 'unknown-session' | 'timeout' | 'down'

export type JingleError = 'out-of-order' | 'tie-break' | 'unknown-session' | 'unsupported-info'

/** What the core is told. */
export type Tell =
  | { readonly tell: 'offered'; readonly service: Service; readonly sdp: Sdp | null }
  | { readonly tell: 'alerting' }
  | { readonly tell: 'answered'; readonly sdp: Sdp }
  | { readonly tell: 'acknowledged'; readonly sdp: Sdp | null }
  | { readonly tell: 'reoffered'; readonly sdp: Sdp }
  | { readonly tell: 'reoffer-answered'; readonly exchange: number; readonly sdp: Sdp }
  | { readonly tell: 'reoffer-refused'; readonly exchange: number; readonly why: Refusal }
  | { readonly tell: 'toned'; readonly tone: Tone }
  | { readonly tell: 'ended'; readonly reason: Reason }

export type Condition = 'bad-request' | 'conflict' | 'feature-not-implemented' | 'item-not-found' | 'unexpected-request'

export type Act =
  /** The answer to the IQ that is being handled; the first one counts. */
  | {
      readonly act: 'reply'
      readonly refusal: { readonly condition: Condition; readonly jingle: JingleError | null } | null
    }
  | { readonly act: 'jingle'; readonly to: string; readonly jingle: Jingle; readonly tag: Tag }
  | {
      readonly act: 'jmi'
      readonly kind: JmiKind
      readonly to: string
      readonly media?: readonly MediaKind[]
      readonly reason?: Element
      readonly extra?: Element
    }
  | (Tell & { readonly act: 'tell' })
  /** Null: the timer is stopped. */
  | { readonly act: 'timer'; readonly timer: Timer; readonly ms: number | null }

export interface Step {
  readonly call: Call
  readonly acts: readonly Act[]
}
