// Below a SIP stack: a clock that stands still, flows that remember, raw sockets that speak bytes.

import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { parseMessage } from '../../src/sip/message.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import type { TimerPort } from '../../src/sip/ports.ts'
import type { Address, Flow, TransportName } from '../../src/sip/transport/transport.ts'
import { newFlowId } from '../../src/sip/transport/transport.ts'
import { until } from './until.ts'

interface Due {
  readonly at: number
  readonly order: number
  run(): void
}

/** Time passes when the test says so; timers run in order, also those that timers start. */
export class FakeClock implements TimerPort {
  now = 0
  #order = 0
  readonly #due = new Set<Due>()

  set<T>(ms: number, run: (subject: T) => void, subject: T): unknown {
    const due: Due = { at: this.now + ms, order: this.#order++, run: () => run(subject) }
    this.#due.add(due)
    return due
  }

  clear(handle: unknown): void {
    this.#due.delete(handle as Due)
  }

  get pending(): number {
    return this.#due.size
  }

  advance(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const [next] = [...this.#due].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.order - b.order)
      if (next === undefined) break
      this.#due.delete(next)
      this.now = next.at
      next.run()
    }
    this.now = end
  }
}

/** A path that keeps what is sent, with the time it was sent at. */
export class FakeFlow implements Flow {
  readonly id = newFlowId()
  readonly transport: TransportName
  readonly local: Address = { host: '192.0.2.1', port: 5060 }
  readonly remote: Address = { host: '192.0.2.9', port: 5060 }
  readonly peerId = null
  closed = false
  readonly sent: { readonly at: number; readonly message: SipMessage }[] = []
  /** Set: every write fails with it. */
  error: Error | null = null
  readonly #clock: FakeClock

  constructor(transport: TransportName, clock: FakeClock) {
    this.transport = transport
    this.#clock = clock
  }

  send(bytes: Buffer, failed?: (error: unknown) => void): void {
    if (this.error !== null || this.closed) {
      failed?.(this.error ?? new Error('closed'))
      return
    }
    const parsed = parseMessage(bytes)
    if (!parsed.ok) throw new Error(parsed.reason)
    this.sent.push({ at: this.#clock.now, message: parsed.message })
  }

  close(): void {
    this.closed = true
  }

  /** What went out, as `INVITE` or `200 INVITE`, each with its time. */
  get log(): readonly string[] {
    return this.sent.map(({ at, message }) => `${at} ${nameOf(message)}`)
  }
}

export const nameOf = (message: SipMessage): string =>
  message.kind === 'request' ? message.method : `${message.status} ${message.headers.get('CSeq')?.split(' ')[1]}`

/** Bytes in and out of one end, whatever the transport. */
export interface RawPeer {
  readonly port: number
  readonly received: string[]
  readonly text: string
  readonly ended: boolean
  send(text: string | Buffer): void
  close(): Promise<void>
}

export async function rawUdp(port: number, host = '127.0.0.1', from = '127.0.0.1'): Promise<RawPeer> {
  const socket = createSocket('udp4')
  const received: string[] = []
  socket.on('message', bytes => received.push(bytes.toString('latin1')))
  await new Promise<void>(resolve => socket.bind(0, from, resolve))
  return {
    port: socket.address().port,
    received,
    get text() {
      return received.join('')
    },
    ended: false,
    send: text => socket.send(text, port, host),
    close: () => new Promise(resolve => socket.close(() => resolve()))
  }
}

/** A connection; `open` makes its socket (TLS), else plain TCP. */
export async function rawStream(port: number, open?: () => Socket): Promise<RawPeer> {
  const socket = open?.() ?? connect({ host: '127.0.0.1', port })
  const received: string[] = []
  let ended = false
  socket.on('data', (bytes: Buffer) => received.push(bytes.toString('latin1')))
  socket.on('error', () => {
    ended = true
  })
  socket.on('close', () => {
    ended = true
  })
  await until(() => socket.readyState === 'open' || ended)
  return {
    port: socket.localPort ?? 0,
    received,
    get text() {
      return received.join('')
    },
    get ended() {
      return ended
    },
    send: text => void socket.write(text),
    close: async () => {
      socket.destroy()
      await until(() => ended)
    }
  }
}

export interface RawRequest {
  readonly method?: string
  readonly transport?: string
  readonly sentBy?: string
  readonly branch?: string
  readonly viaParams?: string
  readonly callId?: string
  readonly cseq?: string
  readonly uri?: string
  readonly fromTag?: string
  readonly toTag?: string
  readonly headers?: readonly string[]
  readonly body?: string
  /** Null: none. */
  readonly contentLength?: number | null
}

/** A request as text, with everything that matters to a transaction to be chosen. */
export function rawRequest(of: RawRequest = {}): string {
  const { method = 'OPTIONS', transport = 'UDP', sentBy = '127.0.0.1:5099', branch = 'z9hG4bK1', body = '' } = of
  const length = of.contentLength === undefined ? Buffer.byteLength(body) : of.contentLength
  const lines = [
    `${method} ${of.uri ?? 'sip:hub@127.0.0.1'} SIP/2.0`,
    `Via: SIP/2.0/${transport} ${sentBy}${branch === '' ? '' : `;branch=${branch}`}${of.viaParams ?? ''}`,
    `From: <sip:a@example.org>;tag=${of.fromTag ?? 'f1'}`,
    `To: <sip:b@example.org>${of.toTag === undefined ? '' : `;tag=${of.toTag}`}`,
    `Call-ID: ${of.callId ?? 'call-1'}`,
    `CSeq: ${of.cseq ?? `1 ${method}`}`,
    'Max-Forwards: 70',
    ...(of.headers ?? []),
    ...(length === null ? [] : [`Content-Length: ${length}`])
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
