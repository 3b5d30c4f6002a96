// A SIP peer for tests: a stack on loopback that keeps what it hears, and answers and asks what the test says.

import { Dialog } from '../../src/sip/dialog.ts'
import { createHeaders, makeRequest, makeResponse, newCallId, newTag, parseMessage } from '../../src/sip/message.ts'
import type { HeaderInit, SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import { createStack } from '../../src/sip/stack.ts'
import type { ClientTransaction, ServerTransaction, SipStack, StackOptions } from '../../src/sip/stack.ts'
import { hostPort } from '../../src/sip/transport/transport.ts'
import type { Destination } from '../../src/sip/transport/transport.ts'
import { fast, quiet } from './engine.ts'
import { until } from './until.ts'

/** A request of the peer and what came of it. */
export class Exchange {
  readonly responses: SipResponse[] = []
  failure: string | null = null
  tx: ClientTransaction | null = null

  async response(status: number): Promise<SipResponse> {
    await until(() => this.responses.some(response => response.status === status) || this.failure !== null)
    const found = this.responses.find(response => response.status === status)
    if (found === undefined) throw new Error(`${status} did not come: ${this.failure}`)
    return found
  }

  /** The final answer. */
  async final(): Promise<SipResponse> {
    await until(() => this.responses.some(({ status }) => status >= 200) || this.failure !== null)
    const found = this.responses.find(({ status }) => status >= 200)
    if (found === undefined) throw new Error(`no final answer: ${this.failure}`)
    return found
  }
}

export interface Ask {
  readonly method: string
  readonly uri?: string
  readonly headers?: HeaderInit
  readonly body?: string
}

export class SipPeer {
  readonly stack: SipStack
  readonly transport: 'udp' | 'tcp' | 'tls'
  readonly waiting: ServerTransaction[] = []
  readonly acks: SipRequest[] = []
  readonly strays: SipResponse[] = []
  /** Every message in and out, in order. */
  readonly log: { readonly direction: 'in' | 'out'; readonly message: SipMessage }[] = []
  /** CANCELs of requests this peer has not answered. */
  readonly cancels: SipRequest[] = []

  constructor(transport: 'udp' | 'tcp' | 'tls', over: Partial<StackOptions>) {
    this.transport = transport
    this.stack = createStack({
      listen: [{ transport, host: '127.0.0.1', port: 0 }],
      timers: fast,
      log: quiet,
      tap: (direction, message) => this.log.push({ direction, message }),
      handler: {
        request: tx => {
          tx.onCancel = cancel => {
            this.cancels.push(cancel)
            tx.respond(makeResponse(tx.request, 487, { toTag: tx.localTag }))
          }
          this.waiting.push(tx)
        },
        ack: ack => void this.acks.push(ack),
        strayResponse: response => void this.strays.push(response)
      },
      ...over
    })
  }

  get port(): number {
    return this.stack.listening[0]?.port ?? 0
  }

  get host(): string {
    return this.stack.listening[0]?.host ?? '127.0.0.1'
  }

  get uri(): string {
    const at = hostPort({ host: this.host, port: this.port })
    return `sip:peer@${at}${this.transport === 'udp' ? '' : `;transport=${this.transport}`}`
  }

  get contact(): string {
    return `<${this.uri}>`
  }

  /** The next request of that method, taken out. */
  async next(method: string): Promise<ServerTransaction> {
    const fits = (tx: ServerTransaction): boolean => tx.request.method === method
    await until(() => this.waiting.some(fits))
    return this.waiting.splice(this.waiting.findIndex(fits), 1)[0]!
  }

  async ack(): Promise<SipRequest> {
    await until(() => this.acks.length > 0)
    return this.acks.shift()!
  }

  /** Answers; INVITE and its like with Contact, SDP where a body is given. */
  answer(tx: ServerTransaction, status: number, headers: HeaderInit = [], body = ''): SipResponse {
    const all = createHeaders(headers)
    const success = status > 100 && status < 300
    if (success && tx.request.method !== 'BYE' && !all.has('Contact')) all.add('Contact', this.contact)
    if (body !== '' && !all.has('Content-Type')) all.add('Content-Type', 'application/sdp')
    const response = makeResponse(tx.request, status, { toTag: tx.localTag, headers: all, body })
    tx.respond(response)
    return response
  }

  /** A request outside dialogs, to a port on this peer's own address. */
  ask(port: number, { method, uri, headers = [], body = '' }: Ask): Exchange {
    const { host } = this
    const target = uri ?? `sip:hub@${hostPort({ host, port })}`
    const all = createHeaders(headers)
    const defaults: readonly (readonly [string, string])[] = [
      ['From', `<sip:caller@${hostPort({ host, port: this.port })}>;tag=${newTag()}`],
      ['To', `<${target}>`],
      ['Call-ID', newCallId()],
      ['CSeq', `1 ${method}`],
      ['Contact', this.contact]
    ]
    for (const [name, value] of defaults) if (!all.has(name)) all.add(name, value)
    if (body !== '' && !all.has('Content-Type')) all.add('Content-Type', 'application/sdp')
    const request = makeRequest({ method, uri: target, headers: all, body })
    return this.send(request, { transport: this.transport, host, port })
  }

  send(request: SipRequest, to: Destination): Exchange {
    const exchange = new Exchange()
    exchange.tx = this.stack.send(request, to, {
      response: response => void exchange.responses.push(response),
      failed: why => {
        exchange.failure = why
      }
    })
    return exchange
  }

  /** A request inside a dialog, to where the dialog leads. */
  inside(dialog: Dialog, method: string, headers: HeaderInit = [], body = ''): Exchange {
    const all = createHeaders(headers)
    if (body !== '' && !all.has('Content-Type')) all.add('Content-Type', 'application/sdp')
    if ((method === 'INVITE' || method === 'UPDATE') && !all.has('Contact')) all.add('Contact', this.contact)
    return this.send(dialog.request(method, { headers: all.lines(), body }), dialog.nextHop()!)
  }

  /** ACK to the 2xx of an exchange; the dialog it made. */
  acknowledge(exchange: Exchange, response: SipResponse, body = ''): Dialog {
    const dialog = Dialog.uac(exchange.tx!.request, response)
    this.stack.sendAck(dialog.ack(dialog.localCseq, { body }), dialog.nextHop()!)
    return dialog
  }

  close(): Promise<void> {
    return this.stack.close()
  }
}

export async function startPeer(
  transport: 'udp' | 'tcp' | 'tls' = 'udp',
  over: Partial<StackOptions> = {}
): Promise<SipPeer> {
  const peer = new SipPeer(transport, over)
  await peer.stack.start()
  return peer
}

/** A message as text, parsed by our own parser; throws where it is malformed. */
export function parsed(text: string): SipMessage {
  const result = parseMessage(Buffer.from(text))
  if (!result.ok) throw new Error(`${result.reason}:\n${text}`)
  return result.message
}
