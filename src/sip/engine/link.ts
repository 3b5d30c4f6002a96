// An application in this process: what it says and hears over the control port, without the text in between.

import { randomUUID } from 'node:crypto'
import type { SipMessage, SipRequest } from '../message.ts'
import type { App, Command, Path, Sent, Told } from './app.ts'
import { appFields } from './text.ts'
import type { AppMessage } from './text.ts'

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
  readonly uri?: string
  readonly headers: FieldsToSend
  readonly body?: string | Buffer
  /** CANCEL: the transaction of its INVITE. */
  readonly txn?: string
  readonly dialog?: string
  /** A URI: where the first request of a dialog goes, whatever its Request-URI says. */
  readonly nextHop?: string
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

export interface LinkParts {
  readonly listener: LinkListener
  readonly carryOut: (app: App, command: Command, message: AppMessage) => void
  readonly gone: (app: App) => void
}

/** Commands are carried out at once; everything the application hears comes after it has returned, in order. */
export class LinkedApp implements App, Link {
  readonly id = randomUUID()
  gone = false
  readonly binary = true
  readonly #parts: LinkParts
  #queue: (() => void)[] = []
  #commands = 0
  readonly #ends = new Map<string, CommandEnd>()

  constructor(parts: LinkParts) {
    this.#parts = parts
  }

  send(
    { method, uri = 'sip:placeholder', headers, body, txn = '', dialog = '', nextHop = '' }: RequestToSend,
    end: CommandEnd
  ): void {
    const message: AppMessage = { kind: 'request', method, uri, rest: appFields(headers, body) }
    this.#command({ id: this.#expect(end), txn, dialog, proxy: nextHop }, message)
  }

  answer(txn: string, { status, reason, headers, body }: ResponseToSend, end: CommandEnd): void {
    const message: AppMessage = { kind: 'response', status, reason, rest: appFields(headers, body) }
    this.#command({ id: this.#expect(end), txn, dialog: '', proxy: '' }, message)
  }

  close(): void {
    if (this.gone) return
    this.gone = true
    this.#parts.gone(this)
    this.#ends.clear()
  }

  hear(message: SipMessage, told: Told): void {
    this.#later(() => this.#parts.listener.heard(message, told))
  }

  ended(request: SipRequest, dialog: string, path: Path): void {
    this.#later(() => this.#parts.listener.ended(request, dialog, path))
  }

  sent(id: string, _message: SipMessage, { txn }: Sent): void {
    const end = this.#ends.get(id)
    this.#ends.delete(id)
    if (end?.sent !== undefined) this.#later(() => end.sent?.(txn))
  }

  refused(id: string, why: string): void {
    const end = this.#ends.get(id)
    this.#ends.delete(id)
    if (end?.failed !== undefined) this.#later(() => end.failed?.(why))
  }

  #expect(end: CommandEnd): string {
    if (end.sent === undefined && end.failed === undefined) return ''
    const id = String(++this.#commands)
    this.#ends.set(id, end)
    return id
  }

  #command(command: Command, message: AppMessage): void {
    if (this.gone) this.refused(command.id, 'the link is closed')
    else this.#parts.carryOut(this, command, message)
  }

  /** Neither the engine nor the application is ever called from inside a call of its own. */
  #later(run: () => void): void {
    if (this.#queue.length === 0) queueMicrotask(() => this.#drain())
    this.#queue.push(run)
  }

  #drain(): void {
    for (let at = 0; at < this.#queue.length; at++) if (!this.gone) this.#queue[at]?.()
    this.#queue = []
  }
}
