// An operator made of nothing but the SIP stack: every message is the test's own, every byte that comes is kept.

import { Dialog } from '../../src/sip/dialog.ts'
import { createHeaders, makeRequest, makeResponse, newCallId, newTag, printMessage } from '../../src/sip/message.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import { createStack } from '../../src/sip/stack.ts'
import type { ClientTransaction, ServerTransaction, SipStack } from '../../src/sip/stack.ts'
import type { Destination } from '../../src/sip/transport/transport.ts'
import { until } from './until.ts'

export interface Sending {
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string
  readonly callId?: string
}

/** One request of the peer and what came back. */
export class Exchange {
  readonly responses: SipResponse[] = []
  failure: string | null = null
  tx: ClientTransaction | null = null
  readonly request: SipRequest
  constructor(request: SipRequest) {
    this.request = request
  }

  get cseq(): number {
    return Number.parseInt(this.request.headers.get('CSeq') ?? '', 10)
  }

  async response(status: number): Promise<SipResponse> {
    await until(() => this.responses.some(one => one.status === status) || this.failure !== null).catch(() => {})
    const found = this.responses.find(one => one.status === status)
    if (found === undefined)
      throw new Error(`no ${status}: ${this.responses.map(one => one.status).join()} ${this.failure}`)
    return found
  }

  async final(): Promise<SipResponse> {
    await until(() => this.responses.some(({ status }) => status >= 200) || this.failure !== null)
    const found = this.responses.find(({ status }) => status >= 200)
    if (found === undefined) throw new Error(`no final answer: ${this.failure}`)
    return found
  }
}

export class SipPeer {
  readonly stack: SipStack
  readonly requests: ServerTransaction[] = []
  readonly acks: SipRequest[] = []
  /** Everything received, as text. */
  readonly bytes: string[] = []
  /** Everything sent, as text. */
  readonly sent: string[] = []
  readonly name: string
  readonly host: string
  /** The hub. */
  to: Destination = { transport: 'udp', host: '127.0.0.1', port: 0 }
  /** Answers by itself; return false to leave it to the test. */
  onRequest: (tx: ServerTransaction) => boolean = () => false

  /** `port` 0: one for each transport. */
  constructor(name: string, host = '127.0.0.1', port = 0) {
    this.name = name
    this.host = host
    this.stack = createStack({
      listen: [
        { transport: 'udp', host, port },
        { transport: 'tcp', host, port }
      ],
      // By TCP the same port may be somebody else's.
      limits: { udpRequestBytesMax: 65_535 },
      handler: {
        request: tx => void (this.onRequest(tx) || this.requests.push(tx)),
        ack: ack => void this.acks.push(ack)
      },
      tap: (direction: string, message: SipMessage) =>
        void (direction === 'in' ? this.bytes : this.sent).push(printMessage(message).toString())
    })
  }

  async start(): Promise<this> {
    await this.stack.start()
    return this
  }

  close(): Promise<void> {
    return this.stack.close()
  }

  get port(): number {
    return this.stack.listening[0]!.port
  }
  get contact(): string {
    return `<sip:${this.name}@${this.host}:${this.port}>`
  }

  /** The next request of that method that no test has taken yet. */
  async take(method: string): Promise<ServerTransaction> {
    const find = (): number => this.requests.findIndex(tx => tx.request.method === method)
    await until(() => find() >= 0).catch(() => {
      throw new Error(`${this.name} got no ${method}: ${this.requests.map(tx => tx.request.method).join()}`)
    })
    return this.requests.splice(find(), 1)[0]!
  }

  async takeAck(): Promise<SipRequest> {
    await until(() => this.acks.length > 0)
    return this.acks.shift()!
  }

  makeAnswer(tx: ServerTransaction, status: number, { headers = [], body = '' }: Sending = {}): SipResponse {
    const dialog = tx.request.method === 'INVITE' && status > 100 && status < 300
    const typed = body === '' || headers.some(([name]) => name === 'Content-Type')
    return makeResponse(tx.request, status, {
      headers: [
        ...(dialog ? ([['Contact', this.contact]] as const) : []),
        ...(typed ? [] : ([['Content-Type', 'application/sdp']] as const)),
        ...headers
      ],
      body,
      toTag: tx.localTag
    })
  }

  answer(tx: ServerTransaction, status: number, sending: Sending = {}): SipResponse {
    const response = this.makeAnswer(tx, status, sending)
    tx.respond(response)
    return response
  }

  send(request: SipRequest): Exchange {
    const exchange = new Exchange(request)
    exchange.tx = this.stack.send(request, this.to, {
      response: response => void exchange.responses.push(response),
      failed: why => (exchange.failure = why)
    })
    return exchange
  }

  /** A request outside a dialog; `user` is a number or a name. */
  request(method: string, uri: string, { headers = [], body = '', callId = newCallId() }: Sending = {}): Exchange {
    const given = new Set(headers.map(([name]) => name.toLowerCase()))
    const lines = [
      ['From', `"Caller" <sip:+441632960083@${this.name}.example;user=phone>;tag=${newTag()}`],
      ['To', `<${uri.startsWith('tel:') ? uri : uri.split(';')[0]}>`],
      ['Call-ID', callId],
      ['CSeq', `1 ${method}`],
      ['Max-Forwards', '70'],
      ...(method === 'INVITE' ? [['Contact', this.contact]] : []),
      ...(method === 'INVITE' && body !== '' ? [['Content-Type', 'application/sdp']] : [])
    ] as const
    const kept = lines.filter(([name]) => !given.has((name ?? '').toLowerCase())) as (readonly [string, string])[]
    return this.send(makeRequest({ method, uri, headers: createHeaders([...kept, ...headers]), body }))
  }

  /** ACK to a 2xx. */
  ack(dialog: Dialog, cseq: number, body = ''): void {
    this.stack.sendAck(dialog.ack(cseq, body === '' ? {} : { body }), this.to)
  }

  inside(dialog: Dialog, method: string, { headers = [], body = '' }: Sending = {}): Exchange {
    const lines = headers.map(([name, value]) => ({ name, value }))
    return this.send(dialog.request(method, { headers: lines, ...(body === '' ? {} : { body }) }))
  }

  callerDialog = (exchange: Exchange, response: SipResponse): Dialog => Dialog.uac(exchange.request, response)
  calleeDialog = (tx: ServerTransaction, response: SipResponse): Dialog => Dialog.uas(tx.request, response)
}
