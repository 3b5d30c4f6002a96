// Client transactions: runs the two client machines over the wire (RFC 3261 17.1, RFC 6026), with CANCEL (9.1).

import { HubError } from '../errors.ts'
import { viaOf } from './hop.ts'
import { createHeaders, makeRequest, newBranch, parseVia, printMessage } from './message.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import { neighbourBelow } from './overload.ts'
import type { OverloadClient } from './overload.ts'
import type { ClientHandler, ClientTransaction, SipTimers, TimerPort } from './ports.ts'
import { TimerSlots } from './timers.ts'
import type { Timed } from './timers.ts'
import { answerEvent, clientInvite, clientOther } from './transaction.ts'
import type { Action, ClientInviteEvent, ClientOtherEvent, Row, Timer } from './transaction.ts'
import { isReliable, isWebSocket } from './transport/transport.ts'
import type { Address, Destination, Flow, TransportName } from './transport/transport.ts'
import type { Wire } from './wire.ts'

type Event = ClientInviteEvent | ClientOtherEvent

/** A CANCEL has the branch of its INVITE; for all others that is enough, and needs no text of its own. */
const keyOf = (branch: string, method: string): string => (method === 'CANCEL' ? `${branch}|CANCEL` : branch)

/** What both transaction tables need from their stack. */
export interface Runtime {
  readonly wire: Wire
  readonly clock: TimerPort
  readonly timers: SipTimers
  readonly userAgent: string | null
  /** What servers below ask for (RFC 7339); null: nobody is asked. */
  readonly below: OverloadClient | null
  /** Runs the user's code; what it throws is logged and goes no further. False where it threw. */
  guard(run: () => void): boolean
  stray(response: SipResponse, flow: Flow): void
}

/** A request that its neighbour does not want now: the next place may want it. */
const heldBack = new HubError('HUB_LIMIT', 'the next SIP server has asked for fewer requests', { retryable: true })

const ignoring: ClientHandler = { response: () => undefined, failed: () => undefined }

/** One transaction. Once it has told its user the end it keeps only what absorbing late copies needs. */
class ClientRecord implements Timed {
  unreliable = false
  flow: Flow | null = null
  state: string
  readonly key: string
  readonly method: string
  readonly #owner: ClientTransactions
  readonly #invite: boolean
  readonly #branch: string
  readonly #slots: TimerSlots
  #request: SipRequest | null
  #on: ClientHandler | null
  /** For UDP: what is sent again, the request and later the ACK. */
  #bytes: Buffer | null = null
  #cancelHeaders: readonly HeaderLine[] | null = null
  #cancelSent = false
  #starting = true
  /** The listener that our Via names. */
  #stamped: Address | null = null

  constructor(owner: ClientTransactions, request: SipRequest, branch: string, on: ClientHandler) {
    this.#owner = owner
    this.#invite = request.method === 'INVITE'
    this.state = this.#invite ? 'calling' : 'trying'
    this.#branch = branch
    this.method = request.method
    this.key = keyOf(branch, this.method)
    this.#slots = new TimerSlots(owner.runtime.clock, owner.runtime.timers)
    this.#request = request
    this.#on = on
  }

  start(to: Destination): void {
    const { wire } = this.#owner.runtime
    if (!('flow' in to)) this.#stamp(to.transport, wire.localFor(to.transport, to.host))
    wire.open(
      to,
      flow => this.#sendOn(flow),
      error => this.broken(error)
    )
    this.#starting = false
  }

  /** Above a timer nothing would catch a fault. */
  fire(timer: Timer): void {
    this.#owner.runtime.guard(() => this.apply(timer as Event, null, null))
  }

  apply(event: Event, response: SipResponse | null, flow: Flow | null): void {
    const row = this.#row(event)
    if (row === undefined) return
    this.state = row.next
    let due: Timer | null = null
    for (const step of row.steps) this.#do(step, response, flow)
    for (const timer of row.timers) if (this.#slots.start(timer, this)) due = timer
    if (due !== null) this.fire(due)
    else if (row.next === 'terminated') this.#owner.forget(this)
  }

  /** The path is gone, or never was. Not before `send` has returned. */
  broken(error: unknown): void {
    const tell = (): void => {
      this.#error = error
      this.apply('broken', null, null)
    }
    if (this.#starting) queueMicrotask(tell)
    else tell()
  }
  #error: unknown = null

  /** Without any answer yet nothing else will come; a ringing peer may still open a connection of its own. */
  flowLost(flow: Flow): void {
    const waiting = this.state === 'calling' || this.state === 'trying'
    if (waiting || isWebSocket(flow.transport)) this.broken(new Error('the connection was lost'))
  }

  /** The Request-URI, while somebody waits for an answer. */
  get uri(): string | null {
    return this.#request?.uri ?? null
  }

  cancel(headers: readonly HeaderLine[]): void {
    if (!this.#invite || this.#cancelSent || this.#request === null) return
    this.#cancelHeaders = headers
    if (this.state === 'proceeding') this.#sendCancel()
  }

  #row(event: Event): Row<string> | undefined {
    const table: Readonly<Record<string, Readonly<Record<string, Row<string>>>>> = this.#invite
      ? clientInvite
      : clientOther
    return table[this.state]?.[event]
  }

  #do(action: Action, response: SipResponse | null, flow: Flow | null): void {
    switch (action) {
      case 'send':
        if (this.#bytes !== null && this.flow !== null)
          this.#owner.runtime.wire.resend(this.#bytes, this.#request, this.flow)
        return
      case 'again.A':
      case 'again.E':
      case 'slow.E':
        this.#slots.again(action === 'again.A' ? 'A' : 'E', this, action === 'slow.E')
        return
      case 'stop':
        this.#slots.stop()
        return
      case 'ack':
        if (response !== null) this.#acknowledge(response)
        return
      case 'up':
        if (this.#invite && this.state !== 'completed') this.#bytes = null
        if (response !== null && flow !== null) this.#tell(on => on.response(response, flow))
        return
      case 'stray':
        if (response !== null && flow !== null) this.#owner.runtime.stray(response, flow)
        return
      case 'cancel':
        if (this.#cancelHeaders !== null) this.#sendCancel()
        return
      case 'done':
        this.#letGo()
        return
      case 'timeout':
      case 'transport':
        this.#tell(on => (action === 'timeout' ? on.failed('timeout') : on.failed('transport', this.#error)))
        this.#letGo()
        return
      default:
    }
  }

  #tell(run: (on: ClientHandler) => void): void {
    const on = this.#on
    if (on !== null) this.#owner.runtime.guard(() => run(on))
  }

  #letGo(): void {
    this.#on = null
    this.#request = null
    this.#cancelHeaders = null
    if (!this.#invite || this.state !== 'completed') this.#bytes = null
  }

  #sendOn(flow: Flow, tcpFailed = false): void {
    const request = this.#request
    if (this.state === 'terminated' || request === null) return
    const { below } = this.#owner.runtime
    const asked = !tcpFailed && below !== null && below.size > 0
    if (asked && below.holdsBack(neighbourBelow(flow), request, performance.now())) {
      this.broken(heldBack)
      return
    }
    this.#stamp(flow.transport, flow.local)
    const bytes = printMessage(request)
    const { wire } = this.#owner.runtime
    const isUdp = flow.transport === 'udp' && !tcpFailed
    if (isUdp && wire.prefersTcp(bytes.length, flow.remote)) this.#tryTcp(flow)
    else this.#leave(flow, request, bytes)
  }

  #leave(flow: Flow, request: SipRequest, bytes: Buffer): void {
    this.flow = flow
    this.unreliable = !isReliable(flow.transport)
    this.#slots.start(this.#invite ? 'B' : 'F', this)
    this.#slots.start(this.#invite ? 'A' : 'E', this)
    if (!this.unreliable) this.#owner.watch(flow, this)
    this.#owner.runtime.wire.resend(bytes, request, flow, error => this.broken(error))
    if (this.unreliable) this.#bytes = bytes
  }

  /** Too large for a datagram: by TCP, and by UDP after all where TCP is refused or silent (RFC 3261, 18.1.1). */
  #tryTcp(udp: Flow): void {
    const { wire, clock } = this.#owner.runtime
    let settled = false
    const settle = (flow: Flow | null): void => {
      if (settled) return
      settled = true
      clock.clear(timer)
      if (flow === null) wire.tcpRefused(udp.remote)
      this.#sendOn(flow ?? udp, true)
    }
    const timer = clock.set(wire.udpInsteadMs, () => settle(null), null)
    const to = { transport: 'tcp', host: udp.remote.host, port: udp.remote.port } as const
    this.#stamp('tcp', wire.localFor('tcp', to.host))
    wire.open(
      to,
      flow => settle(flow),
      () => settle(null)
    )
  }

  #stamp(transport: TransportName, local: Address | null): void {
    if (local === null || local === this.#stamped || this.#request === null) return
    this.#stamped = local
    this.#owner.stamp(
      this.#request,
      viaOf(transport, local, this.#branch, this.#owner.runtime.wire.viaParams(transport))
    )
  }

  /** 17.1.1.3: in the INVITE's own transaction, to where the INVITE went. */
  #acknowledge(response: SipResponse): void {
    if (this.flow === null) return
    const { wire } = this.#owner.runtime
    if (this.#request !== null) {
      const ack = within(this.#request, 'ACK', response.headers.get('To'))
      this.#bytes = wire.send(ack, this.flow)
    } else if (this.#bytes !== null) wire.resend(this.#bytes, null, this.flow)
  }

  #sendCancel(): void {
    const { flow } = this
    if (this.#request === null || flow === null || this.#cancelSent) return
    this.#cancelSent = true
    const cancel = within(this.#request, 'CANCEL', this.#request.headers.get('To'))
    for (const { name, value } of this.#cancelHeaders ?? []) cancel.headers.add(name, value)
    this.#slots.start('cancel', this)
    this.#owner.sendOn(cancel, this.#branch, flow, ignoring)
  }
}

/** ACK and CANCEL: what they share with their INVITE (9.1, 17.1.1.3). */
function within(invite: SipRequest, method: 'ACK' | 'CANCEL', to: string | undefined): SipRequest {
  const { headers } = invite
  const taken = createHeaders()
  taken.add('Via', headers.get('Via') ?? '')
  for (const route of headers.all('Route')) taken.add('Route', route)
  taken.add('Max-Forwards', '70')
  taken.add('From', headers.get('From') ?? '')
  taken.add('To', to ?? '')
  taken.add('Call-ID', headers.get('Call-ID') ?? '')
  taken.add('CSeq', `${headers.cseq()?.number ?? 1} ${method}`)
  return makeRequest({ method, uri: invite.uri, headers: taken })
}

/** What the user of a transaction holds; the table may let go of the request, this does not. */
class ClientHandle implements ClientTransaction {
  readonly id: string
  readonly request: SipRequest
  readonly #record: ClientRecord

  constructor(id: string, request: SipRequest, record: ClientRecord) {
    this.id = id
    this.request = request
    this.#record = record
  }

  get flow(): Flow | null {
    return this.#record.flow
  }

  cancel(headers: readonly HeaderLine[] = []): void {
    this.#record.cancel(headers)
  }
}

/** All client transactions of one stack. */
export class ClientTransactions {
  readonly runtime: Runtime
  readonly #records = new Map<string, ClientRecord>()
  /** Those that hear of the loss of their connection. */
  readonly #watchers = new Map<number, Set<ClientRecord>>()

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  get size(): number {
    return this.#records.size
  }

  send(request: SipRequest, to: Destination, on: ClientHandler): ClientTransaction {
    const branch = newBranch()
    const { headers } = request
    if (!headers.has('Max-Forwards')) headers.add('Max-Forwards', '70')
    const { userAgent } = this.runtime
    if (userAgent !== null && !headers.has('User-Agent')) headers.add('User-Agent', userAgent)
    const record = new ClientRecord(this, request, branch, on)
    this.#records.set(record.key, record)
    record.start(to)
    return new ClientHandle(branch, request, record)
  }

  /** A CANCEL, on the path and under the branch of its INVITE. */
  sendOn(request: SipRequest, branch: string, flow: Flow, on: ClientHandler): void {
    const record = new ClientRecord(this, request, branch, on)
    this.#records.set(record.key, record)
    record.start({ flow })
  }

  /** Too many transactions: the request is not sent, and its user told so. */
  refuse(request: SipRequest, on: ClientHandler): ClientTransaction {
    const error = new HubError('HUB_LIMIT', 'too many SIP transactions', { retryable: true })
    queueMicrotask(() => this.runtime.guard(() => on.failed('transport', error)))
    return { id: newBranch(), request, flow: null, cancel: () => undefined }
  }

  /** False where no transaction waits for it. */
  receive(response: SipResponse, branch: string, method: string, flow: Flow): boolean {
    const record = this.#records.get(keyOf(branch, method))
    if (record?.method !== method) return false
    record.apply(answerEvent(response.status), response, flow)
    return true
  }

  /**
   * Whether a request is one of ours that came back, through somebody else, with the same Request-URI: a loop, where a
   * spiral would have another one (RFC 5393, 4.2).
   */
  sentTo({ method, uri, headers }: SipRequest): boolean {
    if (headers.count('Via') < 2) return false
    return headers
      .all('Via')
      .slice(1)
      .some(text => {
        const branch = parseVia(text)?.params.get('branch') ?? ''
        const record = this.#records.get(keyOf(branch, method))
        return record?.method === method && record.uri === uri
      })
  }

  /** One Via of ours on top, in place of the one this transaction put there before. */
  stamp(request: SipRequest, via: string): void {
    const { headers } = request
    const top = headers.get('Via')
    if (top === via) return
    if (top !== undefined) headers.remove('Via')
    headers.prepend('Via', via)
  }

  watch(flow: Flow, record: ClientRecord): void {
    const watching = this.#watchers.get(flow.id)
    if (watching === undefined) this.#watchers.set(flow.id, new Set([record]))
    else watching.add(record)
  }

  forget(record: ClientRecord): void {
    this.#records.delete(record.key)
    if (record.flow === null) return
    const watching = this.#watchers.get(record.flow.id)
    if (watching?.delete(record) === true && watching.size === 0) this.#watchers.delete(record.flow.id)
  }

  flowClosed(flow: Flow): void {
    const watching = this.#watchers.get(flow.id)
    if (watching === undefined) return
    this.#watchers.delete(flow.id)
    for (const record of watching) record.flowLost(flow)
  }

  close(): void {
    for (const record of this.#records.values()) record.broken(new Error('the stack is closed'))
    this.#records.clear()
  }
}
