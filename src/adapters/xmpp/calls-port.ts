// What the connection needs of the calls of one island: `createCalls` in calls.ts makes them. Types only.

import type { XmppIslandConfig } from '../../config.ts'
import type { Logger } from '../../log.ts'
import type { LegRef, Refusal, Release, Sdp, Shown, Tone } from '../../session/model.ts'
import type { Clock, Inbox, Invitation } from '../../session/ports.ts'
import type { CallAddresses, Link, LinkEvents, Presences } from './link.ts'

export interface CallsParts {
  readonly island: XmppIslandConfig
  readonly link: Link
  readonly addresses: CallAddresses
  readonly presences: Presences
  readonly inbox: Inbox
  readonly clock: Clock
  readonly log: Logger
  /** Names the next leg; the adapter finds the island by it again. */
  readonly newLeg: () => LegRef
  /** For the record: address of the server. */
  readonly neighbour: string
}

/** The calls of one island: what the adapter's own methods of these names do for its legs. None throws. */
export interface Calls extends LinkEvents {
  invite(invitation: Invitation): LegRef
  alert(leg: LegRef): void
  progress(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void
  answer(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void
  acknowledge(leg: LegRef, sdp: Sdp): void
  reoffer(leg: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): void
  answerReoffer(leg: LegRef, sdp: Sdp): void
  refuseReoffer(leg: LegRef, why: Refusal): void
  sendTone(leg: LegRef, tone: Tone): void
  end(leg: LegRef, release: Release): void
  /** Takes no new calls; live ones stay. */
  drain(): void
  /** Calls that have not ended. */
  readonly count: number
}
export type CreateCalls = (parts: CallsParts) => Calls
