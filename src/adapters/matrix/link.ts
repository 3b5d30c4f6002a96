// What calls and messages of a Matrix island need of its link: events out and in, rooms, addresses. Types only.

import type { Party, Reason, Shown } from '../../session/model.ts'

/** An event of a room, as the application service heard it: in a transaction, or read again after an outage. */
export interface RoomEvent {
  readonly eventId: string
  readonly roomId: string
  readonly type: string
  readonly sender: string
  /** Null: no state event. */
  readonly stateKey: string | null
  readonly content: Readonly<Record<string, unknown>>
  /** The homeserver's clock, epoch ms. */
  readonly sentAt: number
  /** How old it is now, ms: by the homeserver's `age` and the time it lay here; by `sentAt` where there is none. */
  readonly ageMs: number
  /** The ghost in that room: the other party of the conversation; null: none, or more than one. */
  readonly ghost: string | null
  /** Of a redaction: the event taken back. */
  readonly redacts: string | null
}

/** Typing and receipts: heard once, never kept. */
export type Ephemeral =
  | {
      readonly type: 'typing'
      readonly roomId: string
      readonly ghost: string | null
      readonly users: readonly string[]
    }
  | { readonly type: 'read'; readonly roomId: string; readonly user: string; readonly eventId: string }

/** The direct room of a ghost and a user. */
export interface DirectRoom {
  readonly roomId: string
  readonly encrypted: boolean
  /** Whether the user has joined: nothing rings for somebody who is only invited. */
  readonly joined: boolean
}

export interface OutgoingEvent {
  /** The ghost that sends. */
  readonly ghost: string
  readonly roomId: string
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
  /** Ours, and the same at every try: the homeserver answers a repeat with the first event's id. */
  readonly txnId: string
  /** From then on it is not worth sending (epoch ms): a ringing call that nobody hears any more. Null: keep it. */
  readonly expiresAt: number | null
}

/** Why an event was not sent. `limited` and `down` only once `expiresAt` has come, or the queue is full. */
export class SendFailed extends Error {
  override readonly name = 'SendFailed'
  readonly why: 'forbidden' | 'too-large' | 'limited' | 'down' | 'queue-full' | 'refused' | 'not-found'

  constructor(why: SendFailed['why'], message: string) {
    super(message)
    this.why = why
  }
}

/** The link to one island's homeserver. */
export interface Link {
  readonly islandId: string
  /** The homeserver's name: the part of user ids behind the colon. */
  readonly serverName: string
  /** Whether the homeserver answered when it was last asked. */
  readonly up: boolean
  /**
   * In order per room; retried while the homeserver is down or limits us. Resolves with the event id. Rejects
   * `SendFailed`.
   */
  send(event: OutgoingEvent): Promise<string>
  /**
   * The direct room of ghost and user: the one known, or a new one; the ghost is registered and has joined. Rejects
   * `SendFailed`.
   */
  directRoom(ghost: string, user: string, display: string | null): Promise<DirectRoom>
  /** Resolves true as soon as the user has joined, false after `ms`. */
  joined(roomId: string, user: string, ms: number): Promise<boolean>
  /** Best effort, never rejects. */
  typing(ghost: string, roomId: string, writing: boolean): Promise<void>
  /** Best effort, never rejects. */
  read(ghost: string, roomId: string, eventId: string): Promise<void>
  /**
   * Before something is done for an event that must not be done twice: true where nobody has begun it before, durably.
   * Throws HUB_DATABASE.
   */
  begin(eventId: string): Promise<boolean>
  /** 128 random bits, as text. */
  newId(): string
}

/** Who is who between user ids and the canonical vocabulary. */
export interface MatrixAddresses {
  /** The ghost that stands for a caller towards this island; the fixed anonymous one for nobody. */
  ghostOf(from: Shown): string
  isGhost(userId: string): boolean
  /** The user id of a target (`sip:user@domain`, also for a number's owner); null: nobody of this island. */
  userOf(uri: string): string | null
  /** The user who sends from this id; null: nobody this island may call as (another homeserver's user, a ghost). */
  caller(userId: string): Party | null
  /** Where a call or message to this ghost goes (canonical), or why nowhere. */
  called(ghost: string): { readonly called: string } | { readonly refused: Reason; readonly emergency?: true }
}
