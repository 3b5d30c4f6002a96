// SIP over connections: TCP here, TLS on the same (tls.ts). Listening, connecting, screening, reuse.

import { connect, createServer, isIP } from 'node:net'
import type { Server, Socket } from 'node:net'
import { plainHost } from '../hop.ts'
import { plainDomain } from './identity.ts'
import { StreamFlow } from './stream-flow.ts'
import type { Standing } from './stream-flow.ts'
import { advertised } from './transport.ts'
import type { Address, Flow, Listening, ListenOptions, TransportPort } from './transport.ts'

/** How TLS differs from TCP. */
export interface StreamKind {
  readonly transport: 'tcp' | 'tls'
  /** `accept` gets connections that are ready for SIP. */
  listen(options: ListenOptions, accept: (socket: Socket) => void): Server
  connect(to: Address, serverName: string | null): Socket
  /** The event of a socket of `connect` that is ready for SIP. */
  readonly ready: 'connect' | 'secureConnect'
  names(socket: Socket): readonly string[]
}

export const tcp: StreamKind = {
  transport: 'tcp',
  listen: (_options, accept) => createServer({ noDelay: true }, accept),
  connect: ({ host, port }) => connect({ host, port, noDelay: true }),
  ready: 'connect',
  names: () => []
}

interface Waiter {
  readonly ready: (flow: Flow) => void
  readonly failed: (error: unknown) => void
}

/** Live connections of one address, so that none takes them all. Shared by TCP and TLS. */
export class ConnectionCounts {
  total = 0
  readonly #bySource = new Map<string, number>()

  take(host: string, { connectionsMax, connectionsPerSourceMax }: TransportPort['limits']): boolean {
    const mine = this.#bySource.get(host) ?? 0
    if (this.total >= connectionsMax || mine >= connectionsPerSourceMax) return false
    this.total++
    this.#bySource.set(host, mine + 1)
    return true
  }

  free(host: string): void {
    this.total--
    const mine = (this.#bySource.get(host) ?? 1) - 1
    if (mine === 0) this.#bySource.delete(host)
    else this.#bySource.set(host, mine)
  }
}

/** All listeners and connections of one kind. */
export class StreamTransport {
  readonly #kind: StreamKind
  readonly #port: TransportPort
  readonly #counts: ConnectionCounts
  readonly #servers: { readonly server: Server; readonly local: Address }[] = []
  readonly #sockets = new Set<Socket>()
  /** Raw connections of peers that are not known (yet) by remote address, oldest first. */
  readonly #strangers = new Map<string, Socket>()
  /** By remote address, with the domain asked for: a request to a peer takes the connection there is (RFC 3261, 18). */
  readonly #flows = new Map<string, StreamFlow>()
  readonly #known = new Map<StreamFlow, string[]>()
  readonly #connecting = new Map<string, Waiter[]>()
  #closed = false

  constructor(kind: StreamKind, port: TransportPort, counts: ConnectionCounts) {
    this.#kind = kind
    this.#port = port
    this.#counts = counts
  }

  /** Rejects where the address cannot be bound. */
  async listen(options: ListenOptions): Promise<void> {
    const host = advertised(options)
    const server = this.#kind.listen(options, socket => this.#accept(socket, host, addressOf(server).port))
    // The raw connection, before any handshake.
    server.prependListener('connection', (socket: Socket) => this.#count(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: options.host, port: options.port }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    server.on('error', error => this.#port.warn(`${this.#kind.transport} listener`, error))
    this.#servers.push({ server, local: { host, port: addressOf(server).port } })
  }

  get listening(): readonly Listening[] {
    return this.#servers.map(({ server }) => ({ transport: this.#kind.transport, ...addressOf(server) }))
  }

  /** What Via names on a connection made here; null without a listener. */
  localFor(remoteHost: string): Address | null {
    const family = isIP(remoteHost)
    const fits = this.#servers.find(
      ({ local }) => family === 0 || isIP(local.host) === 0 || isIP(local.host) === family
    )
    return (fits ?? this.#servers[0])?.local ?? null
  }

  /** The open connection to there, if any; where a domain was asked for, one that proves it (RFC 5922, 7.3). */
  flowTo(to: Address, name: string | null): Flow | null {
    const flow = this.#flows.get(keyOf(to, name))
    if (flow !== undefined || name === null) return flow ?? null
    const other = this.#flows.get(keyOf(to))
    return other?.identities.includes(plainDomain(name)) === true ? other : null
  }

  /**
   * A peer wants its connection used for requests to this port of its too (RFC 5923): it may where its certificate
   * proves who it is, and where sent-by names the host that it comes from, or a domain that it has proven.
   */
  alias(flow: Flow, sentBy: Address): void {
    if (!(flow instanceof StreamFlow) || flow.peerId === null || flow.identities.length === 0 || flow.closed) return
    if (sentBy.host !== flow.remote.host && !flow.identities.includes(plainDomain(sentBy.host))) return
    const to = { host: flow.remote.host, port: sentBy.port }
    const before = this.#flows.get(keyOf(to))
    if (before === undefined || before.closed) this.#know(flow, keyOf(to))
  }

  /** Opens one; calls back in a later tick, once. `host` is an IP address. */
  open(to: Address, serverName: string | null, ready: Waiter['ready'], failed: Waiter['failed']): void {
    const key = keyOf(to, this.#kind.transport === 'tls' ? serverName : null)
    const waiting = this.#connecting.get(key)
    if (waiting !== undefined) {
      waiting.push({ ready, failed })
      return
    }
    if (this.#closed || !this.#counts.take(to.host, this.#port.limits)) {
      queueMicrotask(() => failed(new Error(this.#closed ? 'the stack is closed' : 'too many connections')))
      return
    }
    this.#connecting.set(key, [{ ready, failed }])
    try {
      this.#connect(to, key, serverName)
    } catch (error) {
      // A port or name that Node does not take.
      this.#connecting.delete(key)
      this.#counts.free(to.host)
      queueMicrotask(() => failed(error))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const closing = this.#servers.map(({ server }) => new Promise(resolve => server.close(resolve)))
    for (const flow of this.#known.keys()) flow.close()
    for (const socket of this.#sockets) socket.destroySoon()
    // What a peer does not read in this time is lost.
    const cut = setTimeout(() => this.#sockets.forEach(socket => socket.destroy()), 250)
    await Promise.all(closing)
    clearTimeout(cut)
  }

  #connect(to: Address, key: string, serverName: string | null): void {
    const socket = this.#kind.connect(to, serverName)
    this.#track(socket, to.host)
    const settle = (run: (waiter: Waiter) => void): void => {
      const waiting = this.#connecting.get(key) ?? []
      this.#connecting.delete(key)
      clearTimeout(timer)
      waiting.forEach(run)
    }
    const giveUp = (error: unknown): void => settle(({ failed }) => failed(error))
    const timer = setTimeout(() => socket.destroy(new Error('connecting took too long')), this.#port.limits.connectMs)
    const closed = (): void => giveUp(new Error('the connection was closed'))
    socket.once('error', giveUp)
    socket.once('close', closed)
    socket.once(this.#kind.ready, () => {
      socket.off('error', giveUp)
      socket.off('close', closed)
      const local = this.localFor(to.host) ?? { host: socket.localAddress ?? to.host, port: socket.localPort ?? 0 }
      const flow = this.#adopt(socket, local, to, this.#standing(socket, to) ?? 'refuse', true)
      this.#know(flow, key)
      settle(({ ready }) => ready(flow))
    })
  }

  #accept(socket: Socket, host: string, port: number): void {
    const remoteHost = plainHost(socket.remoteAddress ?? '')
    const remote = { host: remoteHost, port: socket.remotePort ?? 0 }
    const gone = socket.destroyed || this.#closed || remoteHost === ''
    const standing = gone ? null : this.#standing(socket, remote)
    if (standing !== null) {
      if (standing !== 'refuse') this.#strangers.delete(keyOf(remote))
      this.#adopt(socket, { host, port }, remote, standing, false)
      return
    }
    if (!gone) this.#port.dropped()
    socket.on('error', () => undefined)
    socket.destroy()
  }

  /** Null: to be dropped. */
  #standing(socket: Socket, remote: Address): Standing | null {
    const { transport } = this.#kind
    const verdict = this.#port.screen({ transport, remote, certificateNames: this.#kind.names(socket) })
    return verdict === 'drop' ? null : verdict
  }

  #adopt(socket: Socket, local: Address, remote: Address, standing: Standing, outgoing: boolean): StreamFlow {
    const { transport } = this.#kind
    const identities = this.#kind.names(socket)
    const flow = new StreamFlow({ transport, socket, local, remote, standing, outgoing, port: this.#port, identities })
    this.#known.set(flow, [])
    socket.once('close', () => {
      for (const key of this.#known.get(flow) ?? []) if (this.#flows.get(key) === flow) this.#flows.delete(key)
      this.#known.delete(flow)
    })
    this.#know(flow, keyOf(remote))
    return flow
  }

  /** A name under which this connection is found, until it is closed. */
  #know(flow: StreamFlow, key: string): void {
    const keys = this.#known.get(flow)
    if (keys === undefined || keys.length >= aliasesMax) return
    if (!keys.includes(key)) keys.push(key)
    this.#flows.set(key, flow)
  }

  #count(socket: Socket): void {
    const host = plainHost(socket.remoteAddress ?? '')
    if (this.#counts.take(host, this.#port.limits)) {
      this.#track(socket, host)
      this.#meet(socket, keyOf({ host, port: socket.remotePort ?? 0 }))
    } else {
      this.#port.dropped()
      socket.on('error', () => undefined)
      socket.destroy()
    }
  }

  /** A stranger until screening says otherwise: whoever is too many ends the oldest stranger, never a peer. */
  #meet(socket: Socket, key: string): void {
    if (this.#strangers.size >= this.#port.limits.strangersMax) {
      const [[name, oldest] = ['', null]] = this.#strangers
      this.#strangers.delete(name)
      this.#port.dropped()
      oldest?.destroy()
    }
    this.#strangers.set(key, socket)
    socket.once('close', () => {
      if (this.#strangers.get(key) === socket) this.#strangers.delete(key)
    })
  }

  #track(socket: Socket, host: string): void {
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#counts.free(host)
    })
  }
}

/** Names of one connection beyond its address. */
const aliasesMax = 4

const keyOf = ({ host, port }: Address, name: string | null = null): string =>
  `${host}|${port}${name === null ? '' : `|${plainDomain(name)}`}`

function addressOf(server: Server): Address {
  const address = server.address()
  return typeof address === 'object' && address !== null
    ? { host: address.address, port: address.port }
    : { host: '', port: 0 }
}
