// The connection to the SIP engine of this process: as `control.ts` over the control port, without srf and its text.
// The engine never leaves a command or a transaction without an end, so nothing here needs a timer of its own.

import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { CommandEnd, Joinable, Link, LinkListener, Told as Hint } from '../sip/link.ts'
import { reasonPhrase } from '../sip/message.ts'
import type { SipMessage, SipRequest, SipResponse } from '../sip/message.ts'
import { sdpFields } from './body.ts'
import type { AnswerHandler, Control, ControlHandler, Parts, Received, Sent, ToSend } from './control.ts'
import { toldIn } from './headers.ts'
import type { Fields } from './headers.ts'

export interface DirectOptions {
  readonly engine: Joinable
  readonly methods: readonly string[]
  readonly log: Logger
}

/** What requests on their way, in and out, want of the connection. */
interface Port {
  sent(pending: Pending, txn: string): void
  failed(pending: Pending, why: string): void
  cancel(txn: string, headers: Readonly<Fields>): void
  respond(incoming: Incoming, status: number, parts: Parts, failed?: (why: string) => void): void
}

/** A request of ours on its way, and the end of the command that sends it. */
class Pending implements Sent, CommandEnd {
  readonly method: string
  readonly on: AnswerHandler
  readonly #port: Port
  /** Null until it is out. */
  txn: string | null = null
  ended = false
  #cancelled: Readonly<Fields> | null = null

  constructor(method: string, on: AnswerHandler, port: Port) {
    this.method = method
    this.on = on
    this.#port = port
  }

  sent(txn: string): void {
    this.#port.sent(this, txn)
  }

  failed(why: string): void {
    this.#port.failed(this, why)
  }

  out(txn: string): void {
    this.txn = txn
    if (this.#cancelled !== null) this.#port.cancel(txn, this.#cancelled)
  }

  cancel(headers: Readonly<Fields>): void {
    if (this.ended) return
    if (this.txn === null) this.#cancelled = headers
    else this.#port.cancel(this.txn, headers)
  }
}

/** A request of the network. */
class Incoming implements Received {
  readonly message: SipRequest
  readonly txn: string
  readonly dialogId: string
  readonly address: string
  readonly port: number
  readonly peerId: string | null
  readonly unsolicited: boolean
  onCancel: Received['onCancel'] = null
  onUpdate: Received['onUpdate'] = null
  readonly #port: Port
  #finished: boolean

  constructor(message: SipRequest, told: Pick<Hint, 'txn' | 'dialog'>, from: Source, port: Port) {
    this.message = message
    this.txn = told.txn
    this.dialogId = told.dialog
    this.address = from.address
    this.port = from.port
    this.peerId = from.peerId
    this.unsolicited = from.unsolicited
    this.#port = port
    this.#finished = message.method === 'ACK' || from.unsolicited
  }

  get method(): string {
    return this.message.method
  }

  respond(status: number, parts: Parts = {}, failed?: (why: string) => void): void {
    if (this.#finished) return
    this.#finished = status >= 200
    this.#port.respond(this, status, parts, failed)
  }
}

type Source = Pick<Received, 'address' | 'port' | 'peerId' | 'unsolicited'>

export class DirectControl implements Control {
  readonly #options: DirectOptions
  readonly #pending = new Set<Pending>()
  readonly #byTxn = new Map<string, Pending>()
  /** INVITEs of the network without a final answer, for CANCEL. */
  readonly #invites = new Map<string, Received>()
  readonly #port: Port = {
    sent: (pending, txn) => this.#sent(pending, txn),
    failed: (pending, why) => this.#fail(pending, why),
    cancel: (txn, headers) => this.#link?.send({ method: 'CANCEL', headers, txn }, nobody),
    respond: (incoming, status, parts, failed) => this.#respond(incoming, status, parts, failed)
  }
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
        this.#receive(request, { txn: '', dialog }, { address: host, port, peerId: null, unsolicited: true })
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
    this.#receive(message, told, { address: host, port, peerId, unsolicited: false })
  }

  #receive(message: SipRequest, told: Pick<Hint, 'txn' | 'dialog'>, from: Source): void {
    const incoming = new Incoming(message, told, from, this.#port)
    if (message.method === 'INVITE') this.#invites.set(told.txn, incoming)
    this.#safely(message.method, () => this.#handler?.received(incoming))
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
    const ack = (body?: string): void => {
      const { status, headers } = message
      const cseq = headers.get('CSeq') ?? ''
      if (status >= 300 || !cseq.endsWith('INVITE')) return
      if (status >= 200) return this.#inside('ACK', dialog, sdpFields(body), body)
      const rseq = headers.get('RSeq')
      if (rseq !== undefined) this.#inside('PRACK', dialog, { RAck: `${rseq} ${cseq}` })
    }
    this.#safely('answer', () => pending.on.answered({ message, local: flow === null, ack }))
  }

  // To the engine

  #respond({ method, txn }: Incoming, status: number, parts: Parts, failed?: (why: string) => void): void {
    if (status >= 200 && method === 'INVITE') this.#invites.delete(txn)
    const { reason = reasonPhrase(status), headers = {}, body = '' } = parts
    const end = failed === undefined ? nobody : { failed: (why: string) => this.#safely('answer', () => failed(why)) }
    this.#link?.answer(txn, { status, reason, headers, body }, end)
  }

  send({ method, uri, headers, body, nextHop, dialogId }: ToSend, on: AnswerHandler): Sent {
    const pending = new Pending(method, on, this.#port)
    this.#pending.add(pending)
    // Later, since nobody expects an answer before this returns.
    if (this.#link === null) queueMicrotask(() => this.#fail(pending, 'there is no connection to the SIP engine'))
    else this.#link.send({ method, uri, headers, body, nextHop, dialog: dialogId }, pending)
    return pending
  }

  #sent(pending: Pending, txn: string): void {
    this.#byTxn.set(txn, pending)
    this.#safely(pending.method, () => pending.on.sent?.())
    pending.out(txn)
  }

  #inside(method: string, dialog: string, headers: Fields, body?: string): void {
    this.#link?.send({ method, headers, dialog, body }, nobody)
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
