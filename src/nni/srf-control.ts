// The connection to the control port of a SIP engine, ours or a drachtio-server: the small part of drachtio-srf that
// the NNI uses. Nothing that srf calls may throw into it, and nothing that waits for srf waits for ever.

import Srf from 'drachtio-srf'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Clock } from '../session/ports.ts'
import { parseMessage, reasonPhrase } from '../sip/message.ts'
import type { AnswerHandler, Control, ControlHandler, Parts, Received, Sent, ToSend } from './control.ts'
import { toldIn } from './headers.ts'
import type { Fields, Lines } from './headers.ts'
import { limits } from './limits.ts'

export interface ControlPlace {
  readonly host: string
  readonly port: number
  readonly secret: string
}

export interface SrfOptions {
  readonly connect: ControlPlace
  /** Those that are handed to us, lower case. */
  readonly methods: readonly string[]
  readonly log: Logger
  readonly clock: Clock
}

interface SrfMessage {
  readonly raw: string
}
interface SrfRequest {
  readonly msg: SrfMessage
  readonly method: string
  readonly source: string
  readonly source_address: string
  readonly source_port: number
  readonly stackDialogId?: string
  readonly sessionToken?: string
  readonly socket: SrfSocket
  on(event: 'cancel', run: (cancel: { get(name: string): string | undefined }) => void): void
  on(event: 'update', run: (request: SrfRequest, response: SrfResponse) => void): void
  on(event: 'response', run: (response: SrfResponse, ack: SrfAck) => void): void
  cancel(options: { headers: Fields }, done: (error: unknown) => void): void
}
/** The connection to the engine. */
interface SrfSocket {
  readonly writableCorked: number
  cork(): void
  uncork(): void
}
type SrfAck = (options: { body?: string; headers?: Fields }) => void
interface SrfResponse {
  readonly msg: SrfMessage & { status?: number; reason?: string }
  readonly source_address: string
  readonly agent: SrfAgent
  readonly req: SrfRequest
  finished: boolean
}
interface SrfAgent {
  sendResponse(response: SrfResponse, options: object, done?: (error: unknown) => void): void
}
type SrfHandler = (request: SrfRequest, response: SrfResponse, next: () => void) => void

/** What of srf we touch; its own declarations are too loose to check anything. */
interface SrfLike {
  connect(options: object): unknown
  disconnect(): void
  use(method: string, handler: SrfHandler): void
  use(handler: SrfHandler): void
  on(event: 'connect', run: (error: unknown, hostport?: string, version?: string) => void): void
  on(event: 'close' | 'error' | 'reconnecting', run: (detail: unknown) => void): void
  readonly app: {
    readonly client: { request(options: object, done: (error: unknown, request?: SrfRequest) => void): void }
  }
}

export class SrfControl implements Control {
  readonly #options: SrfOptions
  readonly #srf = new Srf() as unknown as SrfLike
  /** srf keeps this very object, so closing can stop its attempts. */
  readonly #reconnect: { retryMaxDelay: number; maxAttempts?: number } = { retryMaxDelay: limits.reconnectMs }
  /** What srf forgets without a word when the connection is lost. */
  readonly #pending = new Set<(why: string) => void>()
  #handler: ControlHandler | null = null
  #started: ((error: HubError | null) => void) | null = null
  #closed = false
  /** Known from the first message on. */
  #socket: SrfSocket | null = null
  up = false

  constructor(options: SrfOptions) {
    this.#options = options
  }

  start(handler: ControlHandler): Promise<void> {
    const { connect, methods, clock } = this.#options
    this.#handler = handler
    const srf = this.#srf
    const receive: SrfHandler = (request, response) => this.#receive(request, response)
    for (const method of methods) srf.use(method, receive)
    srf.use(receive)
    srf.on('connect', (error, hostport, version) => this.#connected(error, { hostport, version }))
    srf.on('close', () => this.#lost())
    srf.on('error', error => this.#options.log.warn({ error: messageOf(error) }, 'SIP engine: connection failed'))
    srf.on('reconnecting', detail => this.#options.log.debug({ detail }, 'SIP engine: connecting again'))
    return new Promise((resolve, reject) => {
      const cancel = clock.after(limits.connectMs, () => this.#begun(engineError('the SIP engine does not answer')))
      this.#started = error => {
        cancel()
        this.#started = null
        if (error === null) return resolve()
        this.close()
        reject(error)
      }
      srf.connect({ ...connect, reconnect: this.#reconnect, enablePing: true })
    })
  }

  #begun(error: HubError | null): void {
    this.#started?.(error)
  }

  #connected(error: unknown, facts: object): void {
    if (this.#closed) return this.#disconnect()
    if (error !== null && error !== undefined) {
      this.#options.log.error({ error: messageOf(error) }, 'SIP engine: it refuses us')
      return this.#begun(engineError('the SIP engine refuses the secret'))
    }
    this.up = true
    this.#options.log.info(facts, 'SIP engine: connected')
    this.#begun(null)
    this.#safely('connected', () => this.#handler?.connected())
  }

  #lost(): void {
    if (!this.up) return
    this.up = false
    this.#socket = null
    if (!this.#closed) this.#options.log.error({ pending: this.#pending.size }, 'SIP engine: connection lost')
    for (const fail of Array.from(this.#pending)) fail('the connection to the SIP engine was lost')
    this.#safely('lost', () => this.#handler?.lost())
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#reconnect.maxAttempts = 1
    this.#disconnect()
  }

  #disconnect(): void {
    try {
      this.#srf.disconnect()
    } catch {
      // There is no connection to close: the attempt under way ends itself.
    }
  }

  #receive(request: SrfRequest, response: SrfResponse): void {
    this.#socket = request.socket
    this.#safely(request.method, () => {
      const received = this.#read(request, response)
      if (received !== null) this.#handler?.received(received)
    })
  }

  /** Null for what our own parser does not take: srf's is laxer. */
  #read(request: SrfRequest, response: SrfResponse): Received | null {
    const parsed = parseMessage(Buffer.from(request.msg.raw))
    const unsolicited = request.source === 'application'
    const respond: Received['respond'] = (status, parts = {}, failed) => {
      if (request.method !== 'ACK' && !unsolicited) this.#respond(response, status, parts, failed)
    }
    if (!parsed.ok || parsed.message.kind !== 'request') {
      respond(parsed.ok ? 400 : (parsed.status ?? 400), { reason: parsed.ok ? undefined : parsed.reason })
      return null
    }
    const received: Received = {
      method: request.method,
      dialogId: request.stackDialogId ?? '',
      address: request.source_address,
      port: request.source_port,
      peerId: request.sessionToken ?? null,
      unsolicited,
      message: parsed.message,
      respond,
      onCancel: null,
      onUpdate: null
    }
    if (request.method === 'INVITE') {
      request.on('cancel', cancel => {
        const reason = cancel.get('reason')
        this.#safely('CANCEL', () => received.onCancel?.(toldIn(reason === undefined ? [] : reason.split(/,\s*/))))
      })
      request.on('update', (update, answer) => this.#update(update, answer, received.onUpdate))
    }
    return received
  }

  /** srf hands an UPDATE to whatever request of the same Call-ID is open, in whichever direction. */
  #update(request: SrfRequest, response: SrfResponse, to: ((update: Received) => void) | null): void {
    this.#safely('UPDATE', () => {
      const update = this.#read(request, response)
      if (update === null) return
      if (to === null) this.#handler?.received(update)
      else to(update)
    })
  }

  #respond(response: SrfResponse, status: number, parts: Parts, failed?: (why: string) => void): void {
    if (response.finished) return
    // Not response.send(): that knows fewer statuses than the registry (607, 608, 469, 440).
    response.msg.status = status
    response.msg.reason = parts.reason ?? reasonPhrase(status)
    const { headers = {}, body = '' } = parts
    this.#safely('answer', () => {
      // With a callback srf parses the echo of what it sent: only where somebody wants to know.
      const told = (error: unknown): void => {
        if (error !== null && error !== undefined) failed?.(messageOf(error))
      }
      this.#gather()
      response.agent.sendResponse(response, body === '' ? { headers } : { headers, body }, failed && told)
      response.finished = status >= 200
    })
  }

  send(request: ToSend, on: AnswerHandler): Sent {
    const { method, uri, headers, body, nextHop, dialogId } = request
    let sent: SrfRequest | null = null
    let cancelled: Readonly<Fields> | null = null
    let timer = (): void => {}
    const settle = (): boolean => {
      timer()
      return this.#pending.delete(fail)
    }
    const fail = (why: string): void => {
      if (settle()) this.#safely(method, () => on.failed(why))
    }
    const cancel = (fields: Readonly<Fields>): void => {
      if (sent === null) cancelled = fields
      else if (this.#pending.has(fail)) this.#cancel(sent, fields)
    }
    this.#pending.add(fail)
    timer = this.#options.clock.after(limits.controlReplyMs, () => fail('the SIP engine did not answer'))
    const options = {
      method,
      headers: joined(headers),
      ...(uri === undefined ? {} : { uri }),
      ...(body === undefined || body === '' ? {} : { body }),
      ...(nextHop === undefined ? {} : { proxy: nextHop }),
      ...(dialogId === undefined ? {} : { stackDialogId: dialogId })
    }
    try {
      this.#gather()
      this.#srf.app.client.request(options, (error, made) => {
        if (made === undefined || (error !== null && error !== undefined)) return fail(messageOf(error))
        timer()
        // A first INVITE may ring for long: the core's own timer ends it.
        const invites = method === 'INVITE' && dialogId === undefined
        timer = invites ? () => {} : this.#options.clock.after(limits.requestMs, () => fail('no final answer'))
        sent = made
        made.on('update', (update, response) => this.#update(update, response, one => on.updated(one)))
        made.on('response', (response, ack) => this.#answered(response, ack, on, settle))
        this.#safely(method, () => on.sent?.())
        if (cancelled !== null) this.#cancel(made, cancelled)
      })
    } catch (error) {
      // srf asserts that there is a connection. Later, since nobody expects an answer before this returns.
      timer()
      timer = this.#options.clock.after(0, () => fail(messageOf(error)))
    }
    return { cancel }
  }

  /** What is sent in one turn of the event loop leaves in one write. */
  #gather(): void {
    const socket = this.#socket
    if (socket === null || socket.writableCorked > 0) return
    socket.cork()
    setImmediate(() => socket.uncork())
  }

  #cancel(sent: SrfRequest, headers: Readonly<Fields>): void {
    this.#safely('CANCEL', () => sent.cancel({ headers: { ...headers } }, () => {}))
  }

  #answered(response: SrfResponse, ack: SrfAck, on: AnswerHandler, settle: () => boolean): void {
    this.#safely('answer', () => {
      const parsed = parseMessage(Buffer.from(response.msg.raw))
      if (!parsed.ok || parsed.message.kind !== 'response') {
        return this.#options.log.warn({ reason: parsed.ok ? 'a request' : parsed.reason }, 'SIP answer that is none')
      }
      const { message } = parsed
      if (message.status >= 200 && !settle()) return
      on.answered({
        message,
        local: response.source_address === '',
        ack: body => {
          const acknowledges = message.status < 300
          if (!acknowledges) return
          this.#gather()
          this.#safely('ACK', () => ack(body === undefined ? {} : sdpBody(body)))
        }
      })
    })
  }

  #safely(doing: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#options.log.error({ doing, error: messageOf(error), stack: stackOf(error) }, 'NNI: a handler failed')
    }
  }
}

/** srf writes one value for a field: it brings the lines of the others along. */
const joined = (lines: Lines): Fields =>
  Object.fromEntries(
    Object.entries(lines).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : value.join(`\r\n${name}: `)
    ])
  )

const sdpBody = (body: string) => ({ body, headers: { 'Content-Type': 'application/sdp' } })
const stackOf = (error: unknown): string | undefined => (error instanceof Error ? error.stack : undefined)
const engineError = (message: string): HubError => new HubError('HUB_SIP_ENGINE', message, { retryable: true })
