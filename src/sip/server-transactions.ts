// Server transactions: runs the two server machines (RFC 3261 17.2, RFC 6026), matches ACK, CANCEL and merged requests.

import { ownText } from './characters.ts'
import type { Runtime } from './client-transactions.ts'
import { hasCookie, mergeKey, serverKey } from './hop.ts'
import { makeResponse, newTag, printHead, toBytes } from './message.ts'
import type { PrintedMessage, SipRequest, SipResponse, Via } from './message.ts'
import type { ServerState, ServerTransaction, TransactionEnd } from './ports.ts'
import { TimerSlots } from './timers.ts'
import type { Timed } from './timers.ts'
import { answerEvent, serverInvite, serverOther } from './transaction.ts'
import type { Action, Row, ServerInviteEvent, ServerOtherEvent, Timer } from './transaction.ts'
import { isReliable, isWebSocket } from './transport/transport.ts'
import type { Flow } from './transport/transport.ts'

type Event = ServerInviteEvent | ServerOtherEvent

/** One transaction. Once it has told its user the end it keeps only what absorbing late copies needs. */
class ServerRecord implements Timed {
  state: ServerState
  readonly key: string
  readonly merge: string | null
  readonly unreliable: boolean
  /** The To tag its answers carry. */
  toTag: string
  cancelled = false
  handle: ServerHandle | null = null
  /** Of the request, on the wire: what the handle holds. */
  readonly bytes: number
  readonly #owner: ServerTransactions
  readonly #invite: boolean
  readonly #slots: TimerSlots
  /** Where answers go; another one where the connection of the request is gone. */
  #flow: Flow
  readonly #port: number
  /** The last answer, to be sent again: text, since that costs half of what bytes do for as long as it is kept. */
  #sent: PrintedMessage | null = null

  constructor(
    owner: ServerTransactions,
    keys: RequestKeys,
    invite: boolean,
    { flow, port }: AnswerPath,
    bytes: number
  ) {
    this.#owner = owner
    this.bytes = bytes
    this.#invite = invite
    this.state = invite ? 'proceeding' : 'trying'
    this.key = keys.own
    this.merge = keys.merge
    this.unreliable = !isReliable(flow.transport)
    this.toTag = newTag()
    this.#flow = flow
    this.#port = port
    this.#slots = new TimerSlots(owner.runtime.clock, owner.runtime.timers)
    this.#slots.start(invite ? 'trying' : 'F', this)
  }

  get invite(): boolean {
    return this.#invite
  }

  /** Above a timer nothing would catch a fault. */
  fire(timer: Timer): void {
    this.#owner.runtime.guard(() => this.apply(timer as Event, null, null))
  }

  /** Takes an answer of the user where the machine still wants one. */
  respond(response: SipResponse): void {
    const event = answerEvent(response.status)
    if (this.#row(event)?.steps.includes('send') !== true) return
    const tag = response.headers.tag('To')
    if (tag === '' && response.status > 100) {
      response.headers.set('To', `${response.headers.get('To') ?? ''};tag=${this.toTag}`)
    } else if (tag !== '' && tag !== this.toTag) this.toTag = ownText(tag)
    this.#sent = null
    this.#answer = response
    this.apply(event, null, null)
    this.#answer = null
  }
  #answer: SipResponse | null = null

  apply(event: Event, ack: SipRequest | null, flow: Flow | null): void {
    const row = this.#row(event)
    if (row === undefined) return
    this.state = row.next
    let due: Timer | null = null
    for (const step of row.steps) this.#do(step, ack, flow)
    for (const timer of row.timers) if (this.#slots.start(timer, this)) due = timer
    if (due !== null) this.fire(due)
    else if (row.next === 'terminated') this.#owner.forget(this)
  }

  stop(): void {
    this.#slots.stop()
    this.#end('transport')
  }

  #row(event: Event): Row<ServerState> | undefined {
    const table: Readonly<Record<string, Readonly<Record<string, Row<ServerState>>>>> = this.#invite
      ? serverInvite
      : serverOther
    return table[this.state]?.[event]
  }

  #do(action: Action, ack: SipRequest | null, flow: Flow | null): void {
    switch (action) {
      case 'send':
        this.#send()
        return
      case 'trying':
        if (this.handle !== null) this.respond(makeResponse(this.handle.request, 100))
        return
      case 'again.G':
        this.#slots.again('G', this, false)
        return
      case 'stop':
        this.#slots.stop()
        return
      case 'ack-up':
        if (ack !== null && flow !== null) this.#owner.acknowledged(ack, flow)
        return
      case 'done':
      case 'timeout':
      case 'transport':
        this.#end(action)
        return
      default:
    }
  }

  #end(why: TransactionEnd): void {
    const { handle } = this
    this.handle = null
    if (handle === null) return
    this.#owner.heldBytes -= this.bytes
    this.#owner.runtime.guard(() => handle.onEnd?.(why))
  }

  #send(): void {
    const { wire } = this.#owner.runtime
    const answer = this.#answer
    const before = this.#sent
    if (answer === null && before === null) return
    const flow = this.#flow
    const broken = (): void => this.apply('broken', null, null)
    const sendOn = (flow: Flow): void => {
      this.#flow = flow
      if (answer !== null) {
        const printed = printHead(answer)
        // A 2xx to INVITE is its user's to repeat.
        if (this.state !== 'accepted') this.#sent = printed
        wire.resend(toBytes(printed), answer, flow, broken)
      } else if (before !== null) wire.resend(toBytes(before), null, flow, broken)
    }
    if (!flow.closed || isWebSocket(flow.transport) || flow.transport === 'udp') sendOn(flow)
    // 18.2.2: the connection is gone, so one is opened to where the request came from.
    else wire.open({ transport: flow.transport, host: flow.remote.host, port: this.#port }, sendOn, broken)
  }
}

/** What the user of a transaction holds. */
class ServerHandle implements ServerTransaction {
  readonly request: SipRequest
  readonly flow: Flow
  readonly localTag: string
  onCancel: ((cancel: SipRequest) => void) | null = null
  onEnd: ((why: TransactionEnd) => void) | null = null
  readonly #record: ServerRecord

  constructor(request: SipRequest, flow: Flow, record: ServerRecord) {
    this.request = request
    this.flow = flow
    this.localTag = record.toTag
    this.#record = record
  }

  get id(): string {
    return this.localTag
  }

  get state(): ServerState {
    return this.#record.state
  }

  respond(response: SipResponse): void {
    this.#record.respond(response)
  }
}

/** Where answers go: a path, and the port at the same host should that path be gone by then. */
export interface AnswerPath {
  readonly flow: Flow
  readonly port: number
}

interface RequestKeys {
  readonly own: string
  readonly merge: string | null
}

/** All server transactions of one stack. */
export class ServerTransactions {
  readonly runtime: Runtime
  readonly acknowledged: (ack: SipRequest, flow: Flow) => void
  readonly #records = new Map<string, ServerRecord>()
  readonly #merges = new Map<string, ServerRecord>()
  /** Bytes of the requests whose transactions have not told their end. */
  heldBytes = 0

  constructor(runtime: Runtime, acknowledged: (ack: SipRequest, flow: Flow) => void) {
    this.runtime = runtime
    this.acknowledged = acknowledged
  }

  get size(): number {
    return this.#records.size
  }

  /** True where the request is a copy of one that has its transaction. */
  again(key: string): boolean {
    const record = this.#records.get(key)
    record?.apply('again', null, null)
    return record !== undefined
  }

  /** An ACK to the user or to its transaction. */
  acknowledge(ack: SipRequest, via: Via, flow: Flow): void {
    const record = this.#records.get(serverKey(ack, via, 'INVITE'))
    // Without the magic cookie only the To tag tells the ACK to this INVITE from others (17.2.3).
    const other = record !== undefined && !hasCookie(via) && ack.headers.tag('To') !== record.toTag
    if (record === undefined || other) this.acknowledged(ack, flow)
    else record.apply('ack', ack, flow)
  }

  /** The To tag for the 200 to a CANCEL, or null where there is nothing to cancel (9.2). */
  cancel(cancel: SipRequest, via: Via): { readonly tag: string; tell(): void } | null {
    const record = this.#records.get(serverKey(cancel, via, 'INVITE'))
    if (record === undefined) return null
    const tell = (): void => {
      const { handle } = record
      if (record.cancelled || handle === null || record.state !== 'proceeding') return
      record.cancelled = true
      this.runtime.guard(() => handle.onCancel?.(cancel))
    }
    return { tag: record.toTag, tell }
  }

  /** Null where this is a copy of a request that came another way (8.2.2.2). */
  create(request: SipRequest, key: string, flow: Flow, back: AnswerPath, bytes: number): ServerTransaction | null {
    const merge = mergeKey(request)
    if (merge !== null && this.#merges.has(merge)) return null
    const keys = { own: key, merge }
    const record = new ServerRecord(this, keys, request.method === 'INVITE', back, bytes)
    this.heldBytes += bytes
    record.handle = new ServerHandle(request, flow, record)
    this.#records.set(key, record)
    if (merge !== null) this.#merges.set(merge, record)
    return record.handle
  }

  forget(record: ServerRecord): void {
    this.#records.delete(record.key)
    if (record.merge !== null && this.#merges.get(record.merge) === record) this.#merges.delete(record.merge)
  }

  close(): void {
    for (const record of this.#records.values()) record.stop()
    this.#records.clear()
    this.#merges.clear()
  }
}
