// SIP over connections: TCP here, TLS on the same (tls.ts). Framing, bounds, screening, reuse.

import { connect, createServer, isIP } from 'node:net'
import type { Server, Socket } from 'node:net'
import { plainHost } from '../hop.ts'
import { Framer } from './framing.ts'
import { advertised, newFlowId } from './transport.ts'
import type { Address, Flow, Listening, ListenOptions, TransportPort } from './transport.ts'

const pong = Buffer.from('\r\n')
/** Bytes that may wait unread where a pong is still added. */
const pongAfterBytesMax = 4_096

/** What screening made of the peer at the other end. */
export type Standing = { readonly peerId: string | null } | 'refuse'

interface StreamOptions {
  readonly transport: 'tcp' | 'tls'
  readonly socket: Socket
  readonly local: Address
  readonly remote: Address
  readonly standing: Standing
  /** Made from here: what is answered over it is wanted, whoever sends it. */
  readonly outgoing: boolean
  readonly port: TransportPort
}

/** One connection, in or out. */
export class StreamFlow implements Flow {
  readonly id = newFlowId()
  readonly transport: 'tcp' | 'tls'
  readonly local: Address
  readonly remote: Address
  readonly peerId: string | null
  closed = false
  readonly #refused: boolean
  readonly #outgoing: boolean
  readonly #stranger: boolean
  readonly #socket: Socket
  readonly #port: TransportPort
  readonly #framer: Framer
  /** Running while a message has begun and is not whole. */
  #incomplete: NodeJS.Timeout | null = null
  #resume: NodeJS.Timeout | null = null

  constructor({ transport, socket, local, remote, standing, outgoing, port }: StreamOptions) {
    this.transport = transport
    this.local = local
    this.remote = remote
    this.#refused = standing === 'refuse'
    this.#outgoing = outgoing
    const stranger = this.#refused && !outgoing
    this.peerId = standing === 'refuse' ? null : standing.peerId
    this.#socket = socket
    this.#port = port
    const { headerBytesMax, messageBytesMax } = port.limits
    // Nobody we know gets a megabyte of memory.
    this.#framer = new Framer({ headerBytesMax, messageBytesMax: stranger ? headerBytesMax : messageBytesMax })
    socket.setNoDelay(true)
    socket.setTimeout(port.limits.idleMs, () => this.close())
    // Whatever a stranger sends, it gets no more time.
    if (stranger) this.#incomplete = setTimeout(() => this.close(), port.limits.incompleteMs).unref()
    this.#stranger = stranger
    socket.on('data', chunk => this.#received(chunk))
    socket.on('end', () => this.close())
    socket.on('error', error => port.warn(`${transport} connection`, error))
    socket.on('close', () => this.#lost())
  }

  send(bytes: Buffer, failed?: (error: unknown) => void): void {
    if (this.closed) {
      failed?.(new Error('the connection is closed'))
      return
    }
    this.#socket.write(bytes)
    if (this.#socket.writableLength <= this.#port.limits.sendBufferBytesMax) return
    this.#port.warn('connection closed: the peer reads too slowly', null)
    this.#socket.destroy()
    this.#lost()
  }

  /** What was sent before goes out. */
  close(): void {
    if (this.closed) return
    const socket = this.#socket
    socket.end()
    socket.resume()
    const linger = setTimeout(() => socket.destroy(), this.#port.limits.lingerMs).unref()
    socket.once('close', () => clearTimeout(linger))
    this.#lost()
  }

  #received(chunk: Buffer): void {
    if (this.closed) return
    this.#framer.push(chunk)
    this.#read()
  }

  #read(): void {
    let pinged = false
    while (!this.closed && this.#resume === null) {
      const frame = this.#framer.next()
      if (frame === null) break
      if (frame.kind === 'ping') {
        // A stranger has nothing to keep alive.
        if (this.#stranger) return this.close()
        pinged = true
      } else if (frame.kind === 'message') this.#take(frame.bytes)
      else {
        this.#port.unreadable(frame.head, frame.kind === 'oversize' ? 413 : 400, this)
        this.close()
      }
    }
    // One pong for what came at once, and none for who reads nothing: pings are free, what waits here is not.
    if (pinged && this.#socket.writableLength <= pongAfterBytesMax) this.send(pong)
    if (this.closed || this.#stranger) return
    if (!this.#framer.partial) this.#stopWaiting()
    else this.#incomplete ??= setTimeout(() => this.close(), this.#port.limits.incompleteMs).unref()
  }

  #take(bytes: Buffer): void {
    this.#stopWaiting()
    const wanted = this.#outgoing && bytes.toString('latin1', 0, 4) === 'SIP/'
    if (this.#refused && !wanted) {
      this.#port.refused(bytes, this)
      this.close()
      return
    }
    const waitMs = this.#port.admit(this.remote.host)
    this.#port.message(bytes, this)
    // Over its rate: this one still counts, the next waits in the peer's own buffers.
    if (waitMs === 0 || this.closed) return
    this.#socket.pause()
    this.#resume = setTimeout(() => this.#goOn(), waitMs).unref()
  }

  #goOn(): void {
    this.#resume = null
    if (this.closed) return
    this.#socket.resume()
    this.#read()
  }

  #stopWaiting(): void {
    if (this.#incomplete !== null) clearTimeout(this.#incomplete)
    this.#incomplete = null
  }

  #lost(): void {
    if (this.closed) return
    this.closed = true
    this.#stopWaiting()
    if (this.#resume !== null) clearTimeout(this.#resume)
    this.#port.closed(this)
  }
}

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
  /** By remote address: a request to a peer takes the connection there is (RFC 3261, 18). */
  readonly #flows = new Map<string, StreamFlow>()
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

  /** The open connection to there, if any. */
  flowTo(to: Address): Flow | null {
    return this.#flows.get(keyOf(to)) ?? null
  }

  /** Opens one; calls back in a later tick, once. `host` is an IP address. */
  open(to: Address, serverName: string | null, ready: Waiter['ready'], failed: Waiter['failed']): void {
    const key = keyOf(to)
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
    for (const flow of this.#flows.values()) flow.close()
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
    const flow = new StreamFlow({ transport, socket, local, remote, standing, outgoing, port: this.#port })
    const key = keyOf(remote)
    this.#flows.set(key, flow)
    socket.once('close', () => {
      if (this.#flows.get(key) === flow) this.#flows.delete(key)
    })
    return flow
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

const keyOf = ({ host, port }: Address): string => `${host}|${port}`

function addressOf(server: Server): Address {
  const address = server.address()
  return typeof address === 'object' && address !== null
    ? { host: address.address, port: address.port }
    : { host: '', port: 0 }
}
