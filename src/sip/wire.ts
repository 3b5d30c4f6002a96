// Between transactions and transports: finds or opens the path to a destination, prints and sends, watches it break.

import { lookup } from 'node:dns'
import { isIP, isIPv6 } from 'node:net'
import { printMessage } from './message.ts'
import type { SipMessage } from './message.ts'
import type { StackOptions } from './ports.ts'
import { ConnectionCounts, StreamTransport, tcp } from './transport/tcp.ts'
import { tlsKind } from './transport/tls.ts'
import type {
  Address,
  Destination,
  Flow,
  Listening,
  ListenOptions,
  TransportName,
  TransportPort
} from './transport/transport.ts'
import { UdpListener } from './transport/udp.ts'

type Ready = (flow: Flow) => void
type Failed = (error: unknown) => void

/** All transports of one stack. */
export class Wire {
  readonly #options: StackOptions
  readonly #port: TransportPort
  readonly #counts = new ConnectionCounts()
  readonly #udp: UdpListener[] = []
  readonly #tcp: StreamTransport
  readonly #tls: StreamTransport

  constructor(options: StackOptions, port: TransportPort) {
    this.#options = options
    this.#port = port
    this.#tcp = new StreamTransport(tcp, port, this.#counts)
    const own = options.listen.find(({ tls }) => tls !== undefined)?.tls ?? null
    const kind = tlsKind(own, options.tlsCa ?? null, port.limits.connectMs)
    this.#tls = new StreamTransport(kind, port, this.#counts)
  }

  get connections(): number {
    return this.#counts.total
  }

  get listening(): readonly Listening[] {
    return [...this.#udp.map(({ listening }) => listening), ...this.#tcp.listening, ...this.#tls.listening]
  }

  async listen(options: ListenOptions): Promise<void> {
    if (options.transport === 'udp') this.#udp.push(await UdpListener.open(options, this.#port))
    else await this.#streams(options.transport).listen(options)
  }

  async close(): Promise<void> {
    await Promise.all([this.#tcp.close(), this.#tls.close(), ...this.#udp.map(listener => listener.close())])
  }

  /** What Via names towards there; null where nothing listens. */
  localFor(transport: TransportName, remoteHost: string): Address | null {
    if (transport === 'udp') return this.#udpFor(remoteHost)?.local ?? null
    return transport === 'tcp' || transport === 'tls' ? this.#streams(transport).localFor(remoteHost) : null
  }

  /** Calls back at once where it can, else later; once. */
  open(to: Destination, ready: Ready, failed: Failed): void {
    if ('flow' in to) {
      if (to.flow.closed) failed(new Error('the connection is closed'))
      else ready(to.flow)
    } else if (isIP(to.host) > 0) this.#openAddress(to.transport, to, null, ready, failed)
    else {
      lookup(to.host, (error, address) => {
        if (error === null) this.#openAddress(to.transport, { host: address, port: to.port }, to.host, ready, failed)
        else failed(error)
      })
    }
  }

  /** The same UDP socket, another port of the same host. */
  otherPort(flow: Flow, port: number): Flow {
    const listener = this.#udp.find(({ local }) => local === flow.local)
    return listener === undefined ? flow : listener.flowTo({ host: flow.remote.host, port }, flow.peerId)
  }

  /** Prints and sends; the bytes are for sending again. */
  send(message: SipMessage, flow: Flow, failed?: Failed): Buffer {
    const bytes = printMessage(message)
    this.resend(bytes, message, flow, failed)
    return bytes
  }

  resend(bytes: Buffer, message: SipMessage | null, flow: Flow, failed?: Failed): void {
    flow.send(bytes, failed)
    const { tap } = this.#options
    if (tap === undefined || message === null) return
    try {
      tap('out', message, flow)
    } catch (error) {
      this.#port.warn('tap', error)
    }
  }

  #openAddress(transport: TransportName, to: Address, name: string | null, ready: Ready, failed: Failed): void {
    if (transport === 'udp') {
      const listener = this.#udpFor(to.host)
      if (listener === null) failed(new Error('nothing listens on UDP'))
      else ready(listener.flowTo({ host: to.host, port: to.port }))
      return
    }
    if (transport === 'ws' || transport === 'wss') {
      failed(new Error('a WebSocket is only reached by its flow'))
      return
    }
    const streams = this.#streams(transport)
    const flow = streams.flowTo(to)
    if (flow !== null && !flow.closed) ready(flow)
    else streams.open({ host: to.host, port: to.port }, name, ready, failed)
  }

  #udpFor(remoteHost: string): UdpListener | null {
    const ipv6 = isIPv6(remoteHost)
    return this.#udp.find(listener => listener.ipv6 === ipv6) ?? this.#udp[0] ?? null
  }

  #streams(transport: 'tcp' | 'tls'): StreamTransport {
    return transport === 'tcp' ? this.#tcp : this.#tls
  }
}
