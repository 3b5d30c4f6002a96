// Between transactions and transports: finds or opens the path to a destination, prints and sends, watches it break.

import { isIP, isIPv6 } from 'node:net'
import { locate } from './locate.ts'
import type { Reach } from './locate.ts'
import { parseDeltaSeconds, printMessage } from './message.ts'
import type { SipMessage, Via } from './message.ts'
import { takesPart } from './overload.ts'
import type { StackOptions } from './ports.ts'
import { createResolver } from './resolver.ts'
import type { DnsResolver } from './resolver.ts'
import { StreamFlow } from './transport/stream-flow.ts'
import { ConnectionCounts, StreamTransport, tcp } from './transport/tcp.ts'
import { tlsKind } from './transport/tls.ts'
import { defaultPorts } from './transport/transport.ts'
import type {
  Address,
  Destination,
  Flow,
  Listening,
  ListenOptions,
  RemoteDestination,
  TransportName,
  TransportPort
} from './transport/transport.ts'
import { UdpListener } from './transport/udp.ts'
import type { SipUri } from './uri.ts'

type Ready = (flow: Flow) => void
type Failed = (error: unknown) => void

/** All transports of one stack. */
export class Wire {
  readonly #options: StackOptions
  readonly #port: TransportPort
  readonly #counts = new ConnectionCounts()
  readonly #udp: UdpListener[] = []
  #listening: readonly Listening[] = []
  readonly #tcp: StreamTransport
  readonly #tls: StreamTransport
  readonly #resolver: DnsResolver
  /** Where TCP in place of UDP was refused, and until when UDP has to do. */
  readonly #udpOnly = new Map<string, number>()

  constructor(options: StackOptions, port: TransportPort) {
    this.#options = options
    this.#port = port
    this.#tcp = new StreamTransport(tcp, port, this.#counts)
    const own = options.listen.find(({ tls }) => tls !== undefined)?.tls ?? null
    const ca = options.tlsCa ?? null
    const kind = tlsKind({ own, ca, peers: options.tlsPeers ?? [], handshakeMs: port.limits.connectMs })
    this.#tls = new StreamTransport(kind, port, this.#counts)
    this.#resolver = options.resolver ?? createResolver()
  }

  get connections(): number {
    return this.#counts.total
  }

  get listening(): readonly Listening[] {
    return this.#listening
  }

  async listen(options: ListenOptions): Promise<void> {
    if (options.transport === 'udp') this.#udp.push(await UdpListener.open(options, this.#port))
    else await this.#streams(options.transport).listen(options)
    this.#listening = [...this.#udp.map(({ listening }) => listening), ...this.#tcp.listening, ...this.#tls.listening]
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
    } else if (isIP(to.host) > 0) this.#openAddress(to, ready, failed)
    else void this.#openNamed(to, ready, failed)
  }

  /** Where a URI leads from here, best first (RFC 3263). Rejects with HUB_DNS where nobody could say. */
  locate(uri: SipUri): Promise<readonly RemoteDestination[]> {
    return locate(uri, { resolver: this.#resolver, reach: this.#reach(), random: Math.random })
  }

  /** Whether a request that is too large for UDP should be tried by TCP (RFC 3261, 18.1.1). */
  prefersTcp(bytes: number, to: Address): boolean {
    if (bytes <= this.#port.limits.udpRequestBytesMax || this.#tcp.listening.length === 0) return false
    const until = this.#udpOnly.get(to.host)
    if (until !== undefined && until > performance.now()) return false
    this.#udpOnly.delete(to.host)
    return true
  }

  tcpRefused({ host }: Address): void {
    this.#udpOnly.set(host, performance.now() + this.#port.limits.tcpRefusedMs)
    if (this.#udpOnly.size <= this.#port.limits.sourcesMax) return
    this.#udpOnly.delete(this.#udpOnly.keys().next().value ?? '')
  }

  /**
   * What Via offers: on connections pings (RFC 6223), on TLS, where we can be called back, reuse (RFC 5923); overload
   * control (RFC 7339).
   */
  viaParams(transport: TransportName): string {
    const control = this.#options.overload === undefined ? '' : takesPart
    if (transport === 'tcp') return `;keep${control}`
    if (transport !== 'tls') return control
    return this.#tls.listening.length === 0 ? `;keep${control}` : `;keep;alias${control}`
  }

  /** A request wants its connection reused: TLS only, where a certificate can prove it (RFC 5923, 6). */
  alias(flow: Flow, { host, port }: Via): void {
    if (flow.transport === 'tls') this.#tls.alias(flow, { host, port: port ?? defaultPorts.tls })
  }

  /** An answer says how often to ping; a `keep` that only came back says nothing. */
  keepAlive(flow: Flow, { params }: Via): void {
    const seconds = parseDeltaSeconds(params.get('keep') ?? '')
    if (seconds !== null && flow instanceof StreamFlow) flow.keepAlive(seconds)
  }

  get udpInsteadMs(): number {
    return this.#port.limits.udpInsteadMs
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

  #reach(): Reach {
    const all = this.listening
    return {
      transports: [...new Set(all.map(({ transport }) => transport))],
      ipv4: all.some(({ host }) => !isIPv6(host) || host === '::'),
      ipv6: all.some(({ host }) => isIPv6(host))
    }
  }

  async #openNamed(to: RemoteDestination, ready: Ready, failed: Failed): Promise<void> {
    const { uri = uriOf(to), only } = to
    try {
      const targets = await this.locate(uri)
      const allowed = only === undefined ? targets : targets.filter(({ host }) => only.allows(host))
      if (allowed.length === 0 && only !== undefined) this.open({ flow: only.instead }, ready, failed)
      else this.#openFirst(allowed, ready, failed)
    } catch (error) {
      failed(error)
    }
  }

  /** The next one where a connection cannot be had. */
  #openFirst([first, ...rest]: readonly RemoteDestination[], ready: Ready, failed: Failed): void {
    if (first === undefined) failed(new Error('no address that can be reached from here'))
    else this.#openAddress(first, ready, rest.length === 0 ? failed : () => this.#openFirst(rest, ready, failed))
  }

  #openAddress(to: RemoteDestination, ready: Ready, failed: Failed): void {
    const { transport } = to
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
    const name = to.name === undefined || isIP(to.name) > 0 ? null : to.name
    const flow = streams.flowTo(to, transport === 'tls' ? name : null)
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

/** What a destination without a URI of its own stands for. */
const uriOf = ({ transport, host, port }: RemoteDestination): SipUri => ({
  scheme: 'sip',
  user: null,
  password: null,
  host,
  port,
  params: new Map([['transport', transport]]),
  headers: new Map()
})
