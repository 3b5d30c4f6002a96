// User agents: a stack with calls on it, each message routed to the call whose dialog it belongs to.

import { CallBase, capabilities, methods } from './call-base.ts'
import type { CallPort } from './call-base.ts'
import { callLimits } from './call-model.ts'
import type { PlaceOptions, SipCall, UserAgent, UserAgentOptions } from './call-model.ts'
import { CallerCall } from './call-uac.ts'
import { CalleeCall } from './call-uas.ts'
import { addParts, answerWith } from './dialog.ts'
import { tagOf } from './hop.ts'
import { createHeaders, makeRequest, newCallId, newTag } from './message.ts'
import type { SipRequest, SipResponse } from './message.ts'
import type { ServerTransaction, SipStack } from './ports.ts'
import { createStack } from './stack.ts'
import { timersFrom } from './timers.ts'
import { hostPort } from './transport/transport.ts'
import type { Address, Destination, Flow, TransportName } from './transport/transport.ts'
import { validateRequest } from './validate.ts'
import type { Supports } from './validate.ts'

export type {
  CallEnd,
  CallHandler,
  CallLimits,
  CallState,
  PlaceOptions,
  ProgressOptions,
  Provisional,
  Reoffer,
  ReofferResult,
  RequestResult,
  SipCall,
  UserAgent,
  UserAgentOptions
} from './call-model.ts'
export { callLimits } from './call-model.ts'
export { glareMs } from './call-base.ts'

const defaultSupports: Supports = {
  methods: [...methods, 'REGISTER'],
  extensions: ['100rel', 'timer'],
  schemes: ['sip', 'sips', 'tel', 'urn'],
  contentTypes: ['application/*', 'text/*', 'message/*', 'multipart/*'],
  forwards: false
}

/** A user agent that is not started yet. */
export const createUserAgent = (options: UserAgentOptions): UserAgent => new Agent(options)

class Agent implements UserAgent {
  readonly stack: SipStack
  readonly #options: UserAgentOptions
  readonly #port: CallPort
  readonly #callsMax: number
  readonly #closingMs: number
  readonly #supports: Supports
  /** By Call-ID and our tag: a call to oneself has two of them. */
  readonly #calls = new Map<string, CallBase>()
  readonly #lingering = new Set<NodeJS.Timeout>()
  /** BYEs without an answer yet. */
  #leaving = 0
  #left: (() => void) | null = null

  constructor(options: UserAgentOptions) {
    this.#options = options
    const { callsMax, ringingMs, forksMax, closingMs } = { ...callLimits, ...options.limits }
    this.#callsMax = callsMax
    this.#closingMs = closingMs
    this.#supports = { ...defaultSupports, ...options.supports }
    this.stack = createStack({
      ...options,
      handler: {
        request: tx => this.#request(tx),
        ack: (ack, flow) => this.#find(ack, 'To')?.acknowledged(ack, flow),
        strayResponse: (response, flow) => this.#stray(response, flow)
      }
    })
    const timers = timersFrom(options.timers)
    this.#port = {
      stack: this.stack,
      timers,
      ringingMs,
      forksMax,
      guard: run => this.#guard(run),
      leave: (bye, to) => this.#leave(bye, to),
      contactFor: flow =>
        this.#contact(flow.transport, this.stack.localAddress(flow.transport, flow.remote.host) ?? flow.local),
      over: (call, lingering) => this.#over(call, lingering ? 64 * timers.T1 : 0)
    }
  }

  get calls(): number {
    return [...this.#calls.values()].filter(({ state }) => state !== 'ended').length
  }

  async start(): Promise<void> {
    await this.stack.start()
  }

  async close(): Promise<void> {
    for (const call of this.#calls.values()) call.end({ status: 503 })
    for (const timer of this.#lingering) clearTimeout(timer)
    this.#calls.clear()
    if (this.#leaving > 0) await this.#allLeft()
    await this.stack.close()
  }

  place(options: PlaceOptions): SipCall {
    const call = new CallerCall(this.#port, options, this.#invite(options))
    this.#calls.set(keyOf(call), call)
    return call
  }

  #allLeft(): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, this.#closingMs)
      this.#left = (): void => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #leave(bye: SipRequest, to: Destination): void {
    const done = (): void => {
      this.#leaving--
      if (this.#leaving === 0) this.#left?.()
    }
    this.#leaving++
    this.stack.send(bye, to, {
      response: ({ status }) => {
        if (status >= 200) done()
      },
      failed: done
    })
  }

  #invite(options: PlaceOptions): SipRequest {
    const { uri, from, to, body } = options
    const headers = createHeaders()
    headers.add('From', tagOf(from) === '' ? `${from};tag=${newTag()}` : from)
    headers.add('To', options.toHeader ?? `<${uri}>`)
    headers.add('Call-ID', options.callId ?? newCallId())
    headers.add('CSeq', '1 INVITE')
    const require = options.requireReliable === true ? ([['Require', '100rel']] as const) : []
    const contact = options.contact ?? this.#contactTowards(to)
    addParts(headers, options, [['Contact', contact], ...require, ...capabilities])
    return makeRequest({ method: 'INVITE', uri, headers, ...(body === undefined ? {} : { body }) })
  }

  #contactTowards(to: PlaceOptions['to']): string {
    if ('flow' in to) return this.#port.contactFor(to.flow)
    const local = this.stack.localAddress(to.transport, to.host)
    // Nothing listens there: requests from the other end come over the connection that this one opens.
    return this.#contact(to.transport, local ?? { host: 'isthmus.invalid', port: 5060 })
  }

  #contact(transport: TransportName, local: Address): string {
    const { contactUser } = this.#options
    const user = contactUser === undefined ? '' : `${contactUser}@`
    return `<sip:${user}${hostPort(local)}${transport === 'udp' ? '' : `;transport=${transport}`}>`
  }

  #request(tx: ServerTransaction): void {
    const { request } = tx
    const rejection = validateRequest(request, this.#supports)
    if (rejection !== null) tx.respond(answerWith(request, rejection.status, tx.localTag, rejection))
    else if (request.headers.tag('To') !== '') {
      const call = this.#find(request, 'To')
      if (call === null) tx.respond(answerWith(request, 481, tx.localTag, {}))
      else call.receive(tx, request.headers.tag('From'))
    } else if (request.method === 'INVITE') this.#incoming(tx)
    else if (this.#options.requested !== undefined) this.#options.requested(tx)
    else tx.respond(answerWith(request, 405, tx.localTag, {}, capabilities.slice(0, 1)))
  }

  #incoming(tx: ServerTransaction): void {
    if (this.#calls.size >= this.#callsMax) {
      tx.respond(answerWith(tx.request, 503, tx.localTag, {}, [['Retry-After', '5']]))
      return
    }
    const call = new CalleeCall(this.#port, tx)
    this.#calls.set(keyOf(call), call)
    if (this.#options.incoming === undefined) call.refuse(480)
    else this.#options.incoming(call)
  }

  #stray(response: SipResponse, flow: Flow): void {
    const call = this.#find(response, 'From')
    if (call instanceof CallerCall) call.stray(response, flow)
  }

  #find(message: SipRequest | SipResponse, ours: 'From' | 'To'): CallBase | null {
    const { headers } = message
    return this.#calls.get(`${headers.get('Call-ID') ?? ''};${tagOf(headers.get(ours))}`) ?? null
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#options.log?.error({ err: error }, 'SIP: a call handler failed')
    }
  }

  #over(call: CallBase, lingerMs: number): void {
    if (lingerMs === 0) {
      this.#calls.delete(keyOf(call))
      return
    }
    const timer = setTimeout(() => {
      this.#lingering.delete(timer)
      this.#calls.delete(keyOf(call))
    }, lingerMs).unref()
    this.#lingering.add(timer)
  }
}

const keyOf = ({ id, localTag }: CallBase): string => `${id};${localTag}`
