// The SIP engine through drachtio-srf, ours in memory or a drachtio-server at its control port: the small part of srf
// that the NNI uses. Nothing that srf calls may throw into it, and nothing that waits for srf waits for ever.

import Srf from 'drachtio-srf'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Clock } from '../session/ports.ts'
import type { Joinable } from '../sip/link.ts'
import { reasonPhrase } from '../sip/message.ts'
import type { SipResponse } from '../sip/message.ts'
import { sdpFields } from './body.ts'
import type { AnswerHandler, Control, ControlHandler, Parts, Received, Sent, ToSend } from './control.ts'
import { toldIn } from './headers.ts'
import type { Fields } from './headers.ts'
import { limits } from './limits.ts'
import { MemoryPort } from './srf-memory.ts'
import { RemotePort } from './srf-remote.ts'
import type { ControlPlace } from './srf-remote.ts'
import type { SrfAck, SrfHandler, SrfLike, SrfPort, SrfRequest, SrfResponse } from './srf-types.ts'

export interface SrfOptions {
  /** The control port of an engine, or the engine of this process. */
  readonly connect: ControlPlace | { readonly engine: Joinable }
  /** Those that are handed to us, lower case. */
  readonly methods: readonly string[]
  readonly log: Logger
  readonly clock: Clock
}

export class SrfControl implements Control {
  readonly #options: SrfOptions
  readonly #srf = new Srf() as unknown as SrfLike
  readonly #port: SrfPort
  /** What srf forgets without a word when the connection is lost. */
  readonly #pending = new Set<(why: string) => void>()
  #handler: ControlHandler | null = null
  #started: ((error: HubError | null) => void) | null = null
  #closed = false
  up = false

  constructor(options: SrfOptions) {
    this.#options = options
    const { connect, methods, log } = options
    this.#port = 'engine' in connect ? new MemoryPort({ ...connect, methods, log }) : new RemotePort(connect)
  }

  start(handler: ControlHandler): Promise<void> {
    const { methods, clock } = this.#options
    this.#handler = handler
    const srf = this.#srf
    const receive: SrfHandler = (request, response) => this.#receive(request, response)
    // The first takes them all; the others say what is wanted.
    srf.use(receive)
    for (const method of methods) srf.use(method, receive)
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
      this.#port.connect(srf)
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
    if (!this.#closed) this.#options.log.error({ pending: this.#pending.size }, 'SIP engine: connection lost')
    for (const fail of Array.from(this.#pending)) fail('the connection to the SIP engine was lost')
    this.#safely('lost', () => this.#handler?.lost())
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#port.close()
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
    this.#safely(request.method, () => {
      const received = this.#read(request, response)
      if (received !== null) this.#handler?.received(received)
    })
  }

  /** Null for what our own parser does not take: srf's is laxer. */
  #read(request: SrfRequest, response: SrfResponse): Received | null {
    const parsed = this.#port.read(request.msg)
    const unsolicited = request.source === 'application'
    const respond: Received['respond'] = (status, parts = {}, failed) => {
      if (request.method !== 'ACK' && !unsolicited) this.#respond(response, status, parts, failed)
    }
    if (!parsed.ok || parsed.message.kind !== 'request') {
      respond(parsed.ok ? 400 : (parsed.status ?? 400), { reason: parsed.ok ? undefined : parsed.reason })
      return null
    }
    const { address, port, peerId } = this.#port.origin(request)
    const received: Received = {
      method: request.method,
      dialogId: request.stackDialogId ?? '',
      address,
      port,
      peerId,
      unsolicited,
      message: parsed.message,
      respond,
      onCancel: null,
      onUpdate: null
    }
    if (request.method === 'INVITE') {
      request.on('cancel', cancel => {
        this.#safely('CANCEL', () => {
          const read = this.#port.read(cancel)
          received.onCancel?.(toldIn(read.ok ? read.message.headers.all('Reason') : []))
        })
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
      this.#port.answer(response, headers, body, failed && (why => this.#safely('answer', () => failed(why))))
      response.finished = status >= 200
    })
  }

  send(request: ToSend, on: AnswerHandler): Sent {
    const { method, uri, headers, body = '', nextHop, dialogId } = request
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
    const { clock } = this.#options
    const { guarded } = this.#port
    if (guarded) timer = clock.after(limits.controlReplyMs, () => fail('the SIP engine did not answer'))
    const parts = this.#port.request(headers, body)
    const options = { method, uri, headers: parts.headers, body: parts.body, proxy: nextHop, stackDialogId: dialogId }
    try {
      this.#srf.app.client.request(options, (error, made) => {
        if (made === undefined || (error !== null && error !== undefined)) return fail(messageOf(error))
        timer()
        // A first INVITE may ring for long: the core's own timer ends it.
        const rings = method === 'INVITE' && dialogId === undefined
        timer = rings || !guarded ? () => {} : clock.after(limits.requestMs, () => fail('no final answer'))
        sent = made
        made.on('update', (update, response) => this.#update(update, response, one => on.updated(one)))
        made.on('response', (response, ack) => this.#answered(response, ack, on, settle))
        this.#safely(method, () => on.sent?.())
        if (cancelled !== null) this.#cancel(made, cancelled)
      })
    } catch (error) {
      // srf asserts that there is a connection. Later, since nobody expects an answer before this returns.
      timer()
      timer = clock.after(0, () => fail(messageOf(error)))
    }
    return { cancel }
  }

  #cancel(sent: SrfRequest, headers: Readonly<Fields>): void {
    this.#safely('CANCEL', () => sent.cancel(this.#port.request(headers, ''), () => {}))
  }

  #answered(response: SrfResponse, ack: SrfAck, on: AnswerHandler, settle: () => boolean): void {
    this.#safely('answer', () => {
      const parsed = this.#port.read(response.msg)
      if (!parsed.ok || parsed.message.kind !== 'response') {
        return this.#options.log.warn({ reason: parsed.ok ? 'a request' : parsed.reason }, 'SIP answer that is none')
      }
      const { message } = parsed
      if (message.status >= 200 && !settle()) return
      on.answered({
        message,
        local: this.#port.origin(response).address === '',
        ack: body => this.#acknowledge(message, ack, body)
      })
    })
  }

  /** srf makes nothing of it unless the answer to INVITE is a 2xx or wants PRACK. */
  #acknowledge({ status, headers }: SipResponse, ack: SrfAck, body?: string): void {
    const rseq = headers.get('RSeq')
    if (status >= 300 || (status < 200 && rseq === undefined)) return
    const fields = sdpFields(body)
    if (status < 200) fields['RAck'] = `${rseq ?? ''} ${headers.get('CSeq') ?? ''}`
    this.#safely('ACK', () => ack(this.#port.acknowledgement(fields, body ?? '')))
  }

  #safely(doing: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#options.log.error({ doing, error: messageOf(error), stack: stackOf(error) }, 'NNI: a handler failed')
    }
  }
}

const stackOf = (error: unknown): string | undefined => (error instanceof Error ? error.stack : undefined)
const engineError = (message: string): HubError => new HubError('HUB_SIP_ENGINE', message, { retryable: true })
