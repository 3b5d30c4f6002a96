// The connection to the SIP engine of this process: as `control.ts` over the control port, without srf and its text.
// The engine never leaves a command or a transaction without an end, so nothing here needs a timer of its own.

import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Joinable, Link, LinkListener, Told as Hint } from '../sip/link.ts'
import { reasonPhrase } from '../sip/message.ts'
import type { SipMessage, SipRequest, SipResponse } from '../sip/message.ts'
import type { AnswerHandler, Control, ControlHandler, Parts, Received, Sent, ToSend } from './control.ts'
import { toldIn } from './headers.ts'
import type { Fields } from './headers.ts'

export interface DirectOptions {
  readonly engine: Joinable
  readonly methods: readonly string[]
  readonly log: Logger
}

/** A request of ours on its way. */
class Pending implements Sent {
  readonly on: AnswerHandler
  readonly #cancel: (txn: string, headers: Readonly<Fields>) => void
  /** Null until it is out. */
  txn: string | null = null
  ended = false
  #cancelled: Readonly<Fields> | null = null

  constructor(on: AnswerHandler, cancel: (txn: string, headers: Readonly<Fields>) => void) {
    this.on = on
    this.#cancel = cancel
  }

  out(txn: string): void {
    this.txn = txn
    if (this.#cancelled !== null) this.#cancel(txn, this.#cancelled)
  }

  cancel(headers: Readonly<Fields>): void {
    if (this.ended) return
    if (this.txn === null) this.#cancelled = headers
    else this.#cancel(this.txn, headers)
  }
}

export class DirectControl implements Control {
  readonly #options: DirectOptions
  readonly #pending = new Set<Pending>()
  readonly #byTxn = new Map<string, Pending>()
  /** INVITEs of the network without a final answer, for CANCEL. */
  readonly #invites = new Map<string, Received>()
  #handler: ControlHandler | null = null
  #link: Link | null = null

  constructor(options: DirectOptions) {
    this.#options = options
  }

  get up(): boolean {
    return this.#link !== null
  }

  start(handler: ControlHandler): Promise<void> {
    const { engine, methods, log } = this.#options
    this.#handler = handler
    const listener: LinkListener = {
      heard: (message, told) => this.#heard(message, told),
      ended: (request, dialog, [, { host, port }]) =>
        this.#receive(request, { txn: '', dialog, address: host, port, peerId: null, unsolicited: true })
    }
    this.#link = engine.join(listener, methods)
    log.info('SIP engine: joined')
    this.#safely('connected', () => handler.connected())
    return Promise.resolve()
  }

  /** As a connection that is cut: the engine takes down what is left. */
  close(): void {
    const link = this.#link
    if (link === null) return
    this.#link = null
    link.close()
    for (const pending of Array.from(this.#pending)) this.#fail(pending, 'the connection to the SIP engine was lost')
    this.#invites.clear()
    this.#safely('lost', () => this.#handler?.lost())
  }

  // From the engine

  #heard(message: SipMessage, told: Hint): void {
    if (message.kind === 'response') return this.#answered(message, told)
    if (message.method === 'CANCEL') return this.#cancelled(message, told.txn)
    const { host = '', port = 0 } = told.flow?.remote ?? {}
    const peerId = told.opening === true ? (told.flow?.peerId ?? null) : null
    this.#receive(message, { txn: told.txn, dialog: told.dialog, address: host, port, peerId, unsolicited: false })
  }

  #receive(
    message: SipRequest,
    from: Pick<Received, 'address' | 'port' | 'peerId' | 'unsolicited'> & {
      readonly txn: string
      readonly dialog: string
    }
  ): void {
    const { txn, dialog: dialogId, ...rest } = from
    const { method } = message
    const isInvite = method === 'INVITE'
    const answerable = method !== 'ACK' && !from.unsolicited
    let finished = false
    const received: Received = {
      ...rest,
      method,
      dialogId,
      message,
      respond: (status, parts = {}, failed) => {
        if (finished || !answerable) return
        finished = status >= 200
        if (isInvite && finished) this.#invites.delete(txn)
        this.#respond(txn, status, parts, failed)
      },
      onCancel: null,
      onUpdate: null
    }
    if (isInvite) this.#invites.set(txn, received)
    this.#safely(method, () => this.#handler?.received(received))
  }

  #cancelled(cancel: SipRequest, txn: string): void {
    const invite = this.#invites.get(txn)
    this.#invites.delete(txn)
    this.#safely('CANCEL', () => invite?.onCancel?.(toldIn(cancel.headers.all('Reason'))))
  }

  #answered(message: SipResponse, { txn, dialog, flow }: Hint): void {
    const pending = this.#byTxn.get(txn)
    if (pending === undefined) return
    if (message.status >= 200) this.#settle(pending)
    const acknowledges = message.headers.get('CSeq')?.endsWith('INVITE') === true
    const ack = (body?: string): void => {
      const { status, headers } = message
      const rseq = headers.get('RSeq')
      if (status >= 300 || !acknowledges) return
      if (status >= 200) this.#inside('ACK', dialog, sdpFields(body), body)
      else if (rseq !== undefined) this.#inside('PRACK', dialog, { RAck: `${rseq} ${headers.get('CSeq') ?? ''}` })
    }
    this.#safely('answer', () => pending.on.answered({ message, local: flow === null, ack }))
  }

  // To the engine

  #respond(txn: string, status: number, parts: Parts, failed?: (why: string) => void): void {
    const { reason = reasonPhrase(status), headers = {}, body = '' } = parts
    const end = failed === undefined ? nobody : { failed: (why: string) => this.#safely('answer', () => failed(why)) }
    this.#link?.answer(txn, { status, reason, headers, body }, end)
  }

  send({ method, uri, headers, body, nextHop, dialogId }: ToSend, on: AnswerHandler): Sent {
    const pending = new Pending(on, (txn, fields) =>
      this.#link?.send({ method: 'CANCEL', headers: fields, txn }, nobody)
    )
    this.#pending.add(pending)
    const request = {
      method,
      headers,
      ...(uri === undefined ? {} : { uri }),
      ...(body === undefined ? {} : { body }),
      ...(nextHop === undefined ? {} : { nextHop }),
      ...(dialogId === undefined ? {} : { dialog: dialogId })
    }
    const end = {
      sent: (txn: string) => this.#sent(pending, txn, method),
      failed: (why: string) => this.#fail(pending, why)
    }
    // Later, since nobody expects an answer before this returns.
    if (this.#link === null) queueMicrotask(() => this.#fail(pending, 'there is no connection to the SIP engine'))
    else this.#link.send(request, end)
    return pending
  }

  #sent(pending: Pending, txn: string, method: string): void {
    this.#byTxn.set(txn, pending)
    this.#safely(method, () => pending.on.sent?.())
    pending.out(txn)
  }

  #inside(method: string, dialog: string, headers: Fields, body?: string): void {
    this.#link?.send({ method, headers, dialog, ...(body === undefined ? {} : { body }) }, nobody)
  }

  #settle(pending: Pending): void {
    pending.ended = true
    this.#pending.delete(pending)
    if (pending.txn !== null) this.#byTxn.delete(pending.txn)
  }

  #fail(pending: Pending, why: string): void {
    if (pending.ended) return
    this.#settle(pending)
    this.#safely('failure', () => pending.on.failed(why))
  }

  #safely(doing: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      const stack = error instanceof Error ? error.stack : undefined
      this.#options.log.error({ doing, error: messageOf(error), stack }, 'NNI: a handler failed')
    }
  }
}

/** Nobody waits for the end of this command. */
const nobody = {}
const sdpFields = (body: string | undefined): Fields =>
  body === undefined ? {} : { 'Content-Type': 'application/sdp' }
