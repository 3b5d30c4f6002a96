// What an island is made of beside its link: something that drives calls, something that carries messages. Types only.

import type { MatrixIslandConfig } from '../../config.ts'
import type { Logger } from '../../log.ts'
import type { IslandCalls } from '../../session/island-adapter.ts'
import type { LegRef } from '../../session/model.ts'
import type { Clock, Inbox, OutgoingText, OutgoingTyping, TextOutcome } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import type { Ephemeral, Link, MatrixAddresses, RoomEvent } from './link.ts'

export interface PartOptions {
  readonly island: MatrixIslandConfig
  readonly link: Link
  readonly addresses: MatrixAddresses
  readonly inbox: Inbox
  readonly clock: Clock
  readonly log: Logger
  /** Of a leg or a message of this island. */
  readonly newRef: () => string
  /** A link to a file of this island, for phones; null for what is no address of one. */
  readonly linkTo: (mxc: string) => string | null
  /** For records: where the homeserver is. */
  readonly neighbour: string
}

/**
 * One way of calling: m.call.* events in rooms now, MatrixRTC later. What `SignallingAdapter` asks, for one island;
 * what is said of a leg that has ended does nothing.
 */
export interface CallDriver extends IslandCalls {
  /** True: it was about calls. Never throws. */
  onEvent(event: RoomEvent): boolean
  onGone(roomId: string, user: string): void
}
export type CreateCallDriver = (options: PartOptions & { readonly newLeg: () => LegRef }) => CallDriver

export interface Texts {
  send(text: OutgoingText): Promise<TextOutcome>
  typing(typing: OutgoingTyping): Promise<void>
  receipt(ref: TextRef, receipt: Receipt): Promise<void>
  /** Settles once nothing of the event needs to be done again by another process. Never rejects. */
  onEvent(event: RoomEvent): Promise<void>
  onEphemeral(heard: Ephemeral): void
}
export type CreateTexts = (options: PartOptions) => Texts
