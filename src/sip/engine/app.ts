// An application as the engine sees it: over the control port, or in this process.

import type { Path, Told } from '../link.ts'
import type { SipMessage, SipRequest } from '../message.ts'

/** What the engine says about a message that it sent for an application. */
export interface Sent {
  readonly txn: string
  readonly path: Path
  /** Of an answer: the dialog it belongs to, or an empty text. */
  readonly dialog?: string
}

/** Messages are the engine's own: an application reads them and changes nothing. */
export interface App {
  readonly id: string
  readonly gone: boolean
  /** Takes and gives bodies that are not UTF-8. */
  readonly binary: boolean
  /** A request or an answer from the network. */
  hear(message: SipMessage, told: Told): void
  /** The engine has ended a dialog by itself, with this request. */
  ended(request: SipRequest, dialog: string, path: Path): void
  /** The command `id` went out as this message; comes before anything else about its transaction. */
  sent(id: string, message: SipMessage, sent: Sent): void
  /** Nothing came of the command `id`. */
  refused(id: string, why: string): void
}

/** `sip|<txn>|<dialog>[|<proxy>]`; what is not there is an empty text. */
export interface Command {
  readonly id: string
  readonly txn: string
  readonly dialog: string
  readonly proxy: string
}
