// An application in this process: what it says and hears over the control port, without the text in between.

import { randomUUID } from 'node:crypto'
import type { CommandEnd, Link, LinkListener, Path, RequestToSend, ResponseToSend, Told } from '../link.ts'
import type { SipMessage, SipRequest } from '../message.ts'
import type { App, Command, Sent } from './app.ts'
import { appFields } from './text.ts'
import type { AppMessage } from './text.ts'

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
    const end = this.#endOf(id)
    if (end?.sent !== undefined) this.#later(() => end.sent?.(txn))
  }

  refused(id: string, why: string): void {
    const end = this.#endOf(id)
    if (end?.failed !== undefined) this.#later(() => end.failed?.(why))
  }

  #expect(end: CommandEnd): string {
    if (end.sent === undefined && end.failed === undefined) return ''
    const id = String(++this.#commands)
    this.#ends.set(id, end)
    return id
  }

  #endOf(id: string): CommandEnd | undefined {
    if (id === '') return undefined
    const end = this.#ends.get(id)
    this.#ends.delete(id)
    return end
  }

  #command(command: Command, message: AppMessage): void {
    if (this.gone) this.refused(command.id, 'the link is closed')
    else this.#parts.carryOut(this, command, message)
  }

  /** Neither the engine nor the application is ever called from inside a call of its own. */
  #later(run: () => void): void {
    if (this.#queue.length === 0) void settled.then(this.#drain)
    this.#queue.push(run)
  }

  readonly #drain = (): void => {
    for (let at = 0; at < this.#queue.length; at++) if (!this.gone) this.#queue[at]?.()
    this.#queue = []
  }
}

/** What waits for it runs next: `queueMicrotask` does the same at several times the price. */
const settled = Promise.resolve()
