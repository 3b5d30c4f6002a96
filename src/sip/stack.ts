// The SIP stack: transports below, transactions inside, one handler above (RFC 3261 sections 17 and 18).

import { HubError, messageOf } from '../errors.ts'
import { ClientTransactions } from './client-transactions.ts'
import type { Runtime } from './client-transactions.ts'
import { Attempts, Avoided } from './failover.ts'
import { answerPort, serverKey, stampSource, statelessTag, viaOf } from './hop.ts'
import { makeResponse, newBranch, parseMessage } from './message.ts'
import type { SipMessage, SipRequest, SipResponse, Via } from './message.ts'
import { goesFirst, neighbourAbove, neighbourBelow, offersControl, OverloadClient, stampWish } from './overload.ts'
import type { OverloadServer } from './overload.ts'
import { stackLimits } from './ports.ts'
import type { ClientHandler, ClientTransaction, SipStack, StackCounts, StackLimits, StackOptions } from './ports.ts'
import { Rates } from './rates.ts'
import { ServerTransactions } from './server-transactions.ts'
import type { AnswerPath } from './server-transactions.ts'
import { systemClock, timersFrom } from './timers.ts'
import type {
  Address,
  AdoptedFlow,
  AdoptOptions,
  Destination,
  Flow,
  Listening,
  RemoteDestination,
  Source,
  TransportName,
  TransportPort,
  Verdict
} from './transport/transport.ts'
import { WebSocketFlow } from './transport/ws.ts'
import type { SipUri } from './uri.ts'
import { Wire } from './wire.ts'

export type {
  ClientHandler,
  ClientTransaction,
  ServerState,
  ServerTransaction,
  SipStack,
  SipTimers,
  StackCounts,
  StackHandler,
  StackLimits,
  StackOptions,
  TimerPort,
  TransactionEnd
} from './ports.ts'
export { stackLimits } from './ports.ts'

/** A stack that is not started yet. Nothing that arrives makes it throw. */
export const createStack = (options: StackOptions): SipStack => new Stack(options)

class Stack implements SipStack {
  readonly #options: StackOptions
  readonly #limits: StackLimits
  readonly #port: TransportPort
  readonly #wire: Wire
  readonly #servers: ServerTransactions
  readonly #clients: ClientTransactions
  readonly #adopted = new Set<WebSocketFlow>()
  readonly #headers: readonly (readonly [string, string])[]
  readonly #avoided: Avoided
  readonly #attempts: ConstructorParameters<typeof Attempts>[0]
  readonly #above: OverloadServer | null
  readonly #below: OverloadClient | null
  #dropped = 0

  constructor(options: StackOptions) {
    this.#options = options
    this.#limits = { ...stackLimits, ...options.limits }
    this.#headers = options.userAgent === undefined ? [] : [['Server', options.userAgent]]
    this.#port = this.#transportPort()
    this.#wire = new Wire(options, this.#port)
    this.#above = options.overload ?? null
    this.#below = this.#above === null ? null : new OverloadClient(this.#limits)
    const runtime: Runtime = {
      below: this.#below,
      wire: this.#wire,
      clock: options.clock ?? systemClock,
      timers: timersFrom(options.timers),
      userAgent: options.userAgent ?? null,
      guard: run => this.#guard(run),
      stray: (response, flow) => this.#stray(response, flow)
    }
    this.#servers = new ServerTransactions(runtime, (ack, flow) =>
      this.#guard(() => this.#options.handler.ack(ack, flow))
    )
    this.#clients = new ClientTransactions(runtime)
    this.#avoided = new Avoided(this.#limits)
    this.#attempts = { avoided: this.#avoided, send: (request, to, on) => this.#clients.send(request, to, on) }
  }

  get listening(): readonly Listening[] {
    return this.#wire.listening
  }

  get counts(): StackCounts {
    return {
      serverTransactions: this.#servers.size,
      clientTransactions: this.#clients.size,
      connections: this.#wire.connections + this.#adopted.size,
      dropped: this.#dropped,
      heldBack: this.#below?.heldBack ?? 0
    }
  }

  async start(): Promise<void> {
    for (const listener of this.#options.listen) {
      const { transport, host, port } = listener
      try {
        await this.#wire.listen(listener)
      } catch (cause) {
        await this.#wire.close()
        const where = `${transport}/${host}:${port}`
        throw new HubError('HUB_LISTEN', `cannot listen on ${where}: ${messageOf(cause)}`, { cause, where })
      }
    }
  }

  async close(): Promise<void> {
    this.#servers.close()
    this.#clients.close()
    for (const flow of this.#adopted) flow.close()
    await this.#wire.close()
  }

  adopt(options: AdoptOptions): AdoptedFlow {
    const flow = new WebSocketFlow(options, this.#port)
    this.#adopted.add(flow)
    return flow
  }

  send(
    request: SipRequest,
    to: Destination | readonly [RemoteDestination, ...RemoteDestination[]],
    on: ClientHandler
  ): ClientTransaction {
    if (this.#full(request)) return this.#clients.refuse(request, on)
    if (!('length' in to)) return this.#clients.send(request, to, on)
    const [first = to[0], ...rest] = this.#avoided.order(to)
    return rest.length === 0
      ? this.#clients.send(request, first, on)
      : new Attempts(this.#attempts, request, [first, ...rest], on)
  }

  locate(uri: SipUri): Promise<readonly RemoteDestination[]> {
    return this.#wire.locate(uri)
  }

  sendAck(request: SipRequest, to: Destination): void {
    const branch = newBranch()
    const failed = (error: unknown): void => this.#port.warn('ACK not sent', error)
    if (!request.headers.has('Max-Forwards')) request.headers.add('Max-Forwards', '70')
    const sendOn = (flow: Flow): void => {
      request.headers.remove('Via')
      request.headers.prepend('Via', viaOf(flow.transport, flow.local, branch))
      this.#wire.send(request, flow, failed)
    }
    this.#wire.open(to, sendOn, failed)
  }

  localAddress(transport: TransportName, remoteHost = ''): Address | null {
    return this.#wire.localFor(transport, remoteHost)
  }

  #transportPort(): TransportPort {
    const rates = new Rates(this.#limits.messagesPerSecondMax, this.#limits.sourcesMax)
    return {
      limits: this.#limits,
      screen: source => this.#screen(source),
      admit: host => rates.take(host, performance.now()),
      message: (bytes, flow) => void this.#guard(() => this.#receive(bytes, flow)),
      unreadable: (head, status, flow) => void this.#guard(() => this.#answerHead(head, status, flow)),
      refused: (bytes, flow) => void this.#guard(() => this.#refuse(bytes, flow)),
      closed: flow => {
        if (flow instanceof WebSocketFlow) this.#adopted.delete(flow)
        this.#clients.flowClosed(flow)
      },
      dropped: () => {
        this.#dropped++
      },
      warn: (text, error) => this.#options.log?.debug({ error: messageOf(error) }, `SIP: ${text}`)
    }
  }

  #screen(source: Source): Verdict {
    const { screen } = this.#options
    if (screen === undefined) return { peerId: null }
    try {
      return screen(source)
    } catch (error) {
      this.#options.log?.error({ err: error }, 'SIP: screening failed, so nobody is let in')
      return 'drop'
    }
  }

  /** The one place where an exception ends: of our own, or of the handler. */
  #guard(run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      this.#options.log?.error({ err: error }, 'SIP: a handler failed')
      return false
    }
  }

  /** What goes first has some room of its own. */
  #full(request: SipRequest): boolean {
    const { transactionsMax, reservePercent } = this.#limits
    const count = this.#servers.size + this.#clients.size
    if (count < transactionsMax) return false
    return count >= transactionsMax * (1 + reservePercent / 100) || !goesFirst(request)
  }

  #receive(bytes: Buffer, flow: Flow): void {
    const parsed = parseMessage(bytes)
    if (!parsed.ok) {
      this.#dropped++
      // A response or an ACK is never answered; neither is what is too broken to say where to.
      if (parsed.status !== null && parsed.request !== null) {
        this.#answerStateless(parsed.request, parsed.status, flow, parsed.reason)
      }
      return
    }
    this.#tap('in', parsed.message, flow)
    if (parsed.message.kind === 'request') this.#request(parsed.message, flow, bytes.length)
    else this.#response(parsed.message, flow)
  }

  #request(request: SipRequest, flow: Flow, bytes: number): void {
    const via = request.headers.via()
    if (via === null) return
    stampSource(request, via, flow)
    if (via.params.has('alias')) this.#wire.alias(flow, via)
    if (request.method === 'ACK') this.#servers.acknowledge(request, via, flow)
    else if (request.method === 'CANCEL') this.#cancel(request, via, flow)
    else {
      const key = serverKey(request, via, request.method)
      if (!this.#servers.again(key)) this.#newRequest(request, via, key, flow, bytes)
    }
  }

  #newRequest(request: SipRequest, via: Via, key: string, flow: Flow, bytes: number): void {
    if (this.#clients.sentTo(request)) {
      this.#answer(request, via, 482, flow)
      return
    }
    if (this.#above !== null && offersControl(via)) stampWish(request, this.#above.wishFor(neighbourAbove(flow)))
    if (this.#full(request) || this.#servers.heldBytes + bytes > this.#limits.requestBytesMax) {
      this.#answer(request, via, 503, flow)
      return
    }
    const tx = this.#servers.create(request, key, flow, this.#pathBack(via, flow), bytes)
    if (tx === null) {
      this.#answer(request, via, 482, flow)
      return
    }
    if (this.#guard(() => this.#options.handler.request(tx))) return
    tx.respond(makeResponse(request, 500, { toTag: tx.localTag, headers: this.#headers }))
  }

  /** Without a transaction of its own: the same CANCEL again gets the same answer again. */
  #cancel(request: SipRequest, via: Via, flow: Flow): void {
    const found = this.#servers.cancel(request, via)
    if (found === null) {
      this.#answer(request, via, 481, flow)
      return
    }
    this.#answer(request, via, 200, flow, undefined, found.tag)
    found.tell()
  }

  #response(response: SipResponse, flow: Flow): void {
    const via = response.headers.via()
    const cseq = response.headers.cseq()
    // More than one Via: meant for somebody else (8.1.3.3).
    if (via === null || cseq === null || response.headers.count('Via') !== 1) {
      this.#dropped++
      return
    }
    if (via.params.has('keep')) this.#wire.keepAlive(flow, via)
    if (this.#clients.receive(response, via.params.get('branch') ?? '', cseq.method, flow)) {
      if (typeof via.params.get('oc') === 'string') this.#below?.heard(neighbourBelow(flow), via, performance.now())
      return
    }
    if (cseq.method === 'INVITE' && response.status >= 200 && response.status < 300) this.#stray(response, flow)
    else this.#dropped++
  }

  #stray(response: SipResponse, flow: Flow): void {
    this.#guard(() => this.#options.handler.strayResponse?.(response, flow))
  }

  #refuse(bytes: Buffer, flow: Flow): void {
    this.#dropped++
    const parsed = parseMessage(bytes)
    const request = parsed.ok ? parsed.message : parsed.request
    if (request?.kind === 'request') this.#answerStateless(request, 403, flow)
  }

  #answerHead(head: Buffer, status: number, flow: Flow): void {
    this.#dropped++
    // The body is not there, so this is malformed: only the fields for an answer matter.
    const parsed = parseMessage(head)
    const request = parsed.ok ? parsed.message : parsed.request
    if (request?.kind === 'request') this.#answerStateless(request, status, flow)
  }

  /** With as many of the fields as there are (RFC 4475, 3.3.1); back where it came from if no Via can be read. */
  #answerStateless(request: SipRequest, status: number, flow: Flow, reason?: string): void {
    const { method, headers } = request
    if (method === 'ACK' || !headers.has('Via')) return
    const via = headers.via()
    if (via !== null) {
      stampSource(request, via, flow)
      this.#answer(request, via, status, flow, reason)
      return
    }
    const phrase = reason === undefined ? {} : { reason }
    this.#wire.send(makeResponse(request, status, { headers: this.#headers, ...phrase }), flow)
  }

  #answer(request: SipRequest, via: Via, status: number, flow: Flow, reason?: string, tag?: string): void {
    if (request.method === 'ACK') return
    const toTag = tag ?? statelessTag(serverKey(request, via, request.method))
    const phrase = reason === undefined ? {} : { reason }
    const response = makeResponse(request, status, { toTag, headers: this.#headers, ...phrase })
    this.#wire.send(response, this.#pathBack(via, flow).flow)
  }

  #pathBack(via: Via, flow: Flow): AnswerPath {
    const port = answerPort(via, flow)
    const elsewhere = flow.transport === 'udp' && port !== flow.remote.port
    return { flow: elsewhere ? this.#wire.otherPort(flow, port) : flow, port }
  }

  #tap(direction: 'in' | 'out', message: SipMessage, flow: Flow): void {
    const { tap } = this.#options
    if (tap !== undefined) this.#guard(() => tap(direction, message, flow))
  }
}
