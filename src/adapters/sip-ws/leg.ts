// What both directions of a call share: the parts they are given and what the core may ask of a leg.

import type { LegRef, Refusal, Release, Sdp, Shown, Tone } from '../../session/model.ts'
import type { Inbox } from '../../session/ports.ts'
import type { UserAgent } from '../../sip/call.ts'
import type { HeaderLine } from '../../sip/message.ts'
import type { Connections } from './connection.ts'
import type { Limits } from './limits.ts'

export interface LegParts {
  readonly leg: LegRef
  readonly inbox: Inbox
  readonly agent: UserAgent
  readonly connections: Connections
  readonly hubDomain: string
  readonly contact: HeaderLine
  readonly limits: Limits
  /** The leg is over and may be forgotten. */
  readonly onOver: () => void
}

/** One leg as the core commands it. What makes no sense in its state does nothing. */
export interface Leg {
  alert(): void
  progress(early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void
  answer(answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void
  acknowledge(sdp: Sdp): void
  reoffer(offer: { readonly exchange: number; readonly sdp: Sdp }): void
  answerReoffer(sdp: Sdp): void
  refuseReoffer(why: Refusal): void
  sendTone(tone: Tone): void
  end(release: Release): void
}
