// What an application in this process and a SIP engine say to each other: the control protocol without its text.

import type { SipMessage, SipRequest } from './message.ts'
import type { Address, Flow, TransportName } from './transport/transport.ts'

/** Where a message went. */
export type Path = readonly [transport: TransportName, remote: Address]

/** What an application is told about a message beside the message. */
export interface Told {
  readonly txn: string
  /** Empty outside a dialog. */
  readonly dialog: string
  /** The path it came by; null: the engine had to make it up. */
  readonly flow: Flow | null
  /** It opens something: the listener and the verified peer are told too. */
  readonly opening?: boolean
}

export interface LinkListener {
  /** A request or an answer from the network, in a later step than whatever the application did last. */
  heard(message: SipMessage, told: Told): void
  /** The engine has ended a dialog by itself. */
  ended(request: SipRequest, dialog: string, path: Path): void
}

/** Names and values of header fields as they shall go on the wire; several values: several lines. */
export type FieldsToSend = Readonly<Record<string, string | readonly string[]>>

export interface RequestToSend {
  readonly method: string
  /** Not needed inside a dialog, nor for CANCEL. */
  readonly uri?: string | undefined
  readonly headers: FieldsToSend
  readonly body?: string | Buffer | undefined
  /** CANCEL: the transaction of its INVITE. */
  readonly txn?: string
  readonly dialog?: string | undefined
  /** A URI: where the first request of a dialog goes, whatever its Request-URI says. */
  readonly nextHop?: string | undefined
}

export interface ResponseToSend {
  readonly status: number
  readonly reason: string
  readonly headers: FieldsToSend
  readonly body?: string | Buffer
}

/** Hears of each command once, in a later step; `failed` as `refused` of an application, in the engine's words. */
export interface CommandEnd {
  sent?(txn: string): void
  failed?(why: string): void
}

export interface Link {
  send(request: RequestToSend, end: CommandEnd): void
  /** To the request with that transaction. */
  answer(txn: string, response: ResponseToSend, end: CommandEnd): void
  /** As a connection that is closed: what it has not answered is refused, what it has built is taken down. */
  close(): void
}

/** An engine that applications of this process can join. */
export interface Joinable {
  /** Requests with these methods (lower case) are handed to the listener, in turn with whoever else serves them. */
  join(listener: LinkListener, methods: readonly string[]): Link
}
