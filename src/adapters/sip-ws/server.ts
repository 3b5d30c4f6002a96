// WebSockets of islands: who may open one (Origin, subprotocol), one frame one message, keepalive, bounds.

import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { RawData, WebSocket } from 'ws'
import type { IslandConfig, SipWsConfig } from '../../config.ts'
import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import type { Address } from '../../sip/transport/transport.ts'
import type { Limits } from './limits.ts'

/** One accepted connection, before anybody knows who speaks on it. */
export interface Socket {
  readonly transport: 'ws' | 'wss'
  readonly local: Address
  readonly remote: Address
  /** Domains of the islands whose allow-list has this connection's Origin. */
  readonly domains: ReadonlySet<string>
  send(bytes: Buffer): void
  close(code: number, why: string): void
  /** Somebody has proven who they are on it: the bounds of strangers end. */
  trust(): void
}

/** What the owner of a connection is told. `lost` comes exactly once, last. */
export interface SocketEvents {
  message(bytes: Buffer): void
  lost(): void
}

export interface WebSockets {
  /** Throws HUB_LISTEN. Returns the address to connect to. */
  start(): Promise<string>
  readonly count: number
  close(): Promise<void>
}

export interface WebSocketParts {
  readonly config: SipWsConfig
  readonly islands: readonly IslandConfig[]
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  readonly accept: (socket: Socket) => SocketEvents
}

/** The key of an allow-list for a client that sends no Origin at all: no browser does that. */
const noOrigin = 'null'

export function createWebSockets(parts: WebSocketParts): WebSockets {
  const { config, limits, clock, log } = parts
  const server = createHttpServer(config, limits)
  server.maxConnections = config.connectionsMax + limits.halfOpenMax
  const upgrader = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytesMax,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => 'sip'
  })
  const open = new Set<Connection>()
  /** Those of `open` that nobody vouches for yet, oldest first. */
  const strangers = new Set<Connection>()
  let cancelSweep: (() => void) | null = null

  server.on('request', (_, response) => {
    response.writeHead(426, { upgrade: 'websocket', connection: 'close', 'content-length': 0 }).end()
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', error => log.debug({ error: messageOf(error) }, 'websocket peer failed before the upgrade'))
    const domains = domainsOf(parts.islands, request.headers.origin)
    const refusal = open.size >= config.connectionsMax ? 503 : domains.size === 0 ? 403 : protocolProblem(request)
    if (refusal !== null) {
      log.info({ status: refusal, origin: request.headers.origin ?? null }, 'websocket refused')
      return refuse(socket, refusal)
    }
    upgrader.handleUpgrade(request, socket, head, webSocket => {
      const [oldest] = strangers
      if (strangers.size >= limits.strangersMax) oldest?.cutOff()
      const connection: Connection = new Connection(webSocket, request, domains, parts, () =>
        strangers.delete(connection)
      )
      open.add(connection)
      strangers.add(connection)
      webSocket.once('close', () => {
        open.delete(connection)
        strangers.delete(connection)
      })
    })
  })

  const sweep = (): void => {
    for (const connection of open) connection.probe()
    cancelSweep = clock.after(config.pingMs, sweep)
  }

  return {
    async start() {
      await listen(server, config)
      cancelSweep = clock.after(config.pingMs, sweep)
      const { address, port, family } = server.address() as AddressInfo
      return `${config.tls === undefined ? 'ws' : 'wss'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
    },
    get count() {
      return open.size
    },
    async close() {
      cancelSweep?.()
      const stopped = new Promise<void>(resolve => server.close(() => resolve()))
      const ended = [...open].map(connection => connection.end())
      server.closeAllConnections()
      await Promise.all([stopped, ...ended])
    }
  }
}

/** One WebSocket with its bounds. What is wrong with it ends it alone. */
class Connection {
  readonly #webSocket: WebSocket
  readonly #parts: WebSocketParts
  readonly #events: SocketEvents
  readonly #trusted: () => void
  #stranger = true
  #missed = 0
  #credit: number
  #creditAt: number
  #cancelCut: (() => void) | null = null

  constructor(
    webSocket: WebSocket,
    request: IncomingMessage,
    domains: ReadonlySet<string>,
    parts: WebSocketParts,
    trusted: () => void
  ) {
    this.#webSocket = webSocket
    this.#parts = parts
    this.#trusted = trusted
    this.#credit = parts.limits.strangerFramesBurst
    this.#creditAt = parts.clock.now()
    const { localAddress, localPort, remoteAddress, remotePort } = request.socket
    this.#events = parts.accept({
      transport: parts.config.tls === undefined ? 'ws' : 'wss',
      local: { host: localAddress ?? '', port: localPort ?? 0 },
      remote: { host: remoteAddress ?? '', port: remotePort ?? 0 },
      domains,
      send: bytes => this.#send(bytes),
      close: (code, why) => this.#close(code, why),
      trust: () => this.#trust()
    })
    webSocket.on('message', data => this.#receive(data))
    webSocket.on('pong', () => {
      this.#missed = 0
    })
    // An error is always followed by `close`: a frame too large, not UTF-8, a reset.
    webSocket.on('error', error => parts.log.debug({ error: messageOf(error) }, 'websocket failed'))
    webSocket.once('close', () => {
      this.#cancelCut?.()
      this.#events.lost()
    })
  }

  /** A peer that is gone without a goodbye is found by the pongs it does not send. */
  probe(): void {
    if (this.#missed >= this.#parts.limits.pongsMissedMax) return this.#webSocket.terminate()
    this.#missed += 1
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.ping()
  }

  /** Without a goodbye, and at once. */
  cutOff(): void {
    this.#parts.log.info('websocket of a stranger cut off: there are too many')
    this.#trusted()
    this.#webSocket.terminate()
  }

  /** Resolves once the connection is gone. */
  end(): Promise<void> {
    const gone = new Promise<void>(resolve => this.#webSocket.once('close', () => resolve()))
    this.#close(1001, 'the hub is closing')
    return gone
  }

  #receive(data: RawData): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (!this.#withinRate()) return this.#close(1008, 'too many messages')
    this.#missed = 0
    const bytes = Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)])
    // Keepalive by CRLF (RFC 7118 6, RFC 5626 4.4.1): a double one is a ping and gets a single one, which gets nothing.
    if (bytes.equals(ping)) return this.#send(pong)
    if (bytes.length === 0 || bytes.equals(pong)) return
    if (this.#stranger && bytes.length > this.#parts.limits.strangerFrameBytesMax) {
      return this.#close(1009, 'too long a message for somebody unknown')
    }
    this.#events.message(bytes)
  }

  #trust(): void {
    if (!this.#stranger) return
    this.#stranger = false
    this.#credit = this.#parts.limits.framesBurst
    this.#trusted()
  }

  #withinRate(): boolean {
    const { limits, clock } = this.#parts
    const now = clock.now()
    const [burst, perSecond] = this.#stranger
      ? [limits.strangerFramesBurst, limits.strangerFramesPerSecond]
      : [limits.framesBurst, limits.framesPerSecond]
    const earned = ((now - this.#creditAt) * perSecond) / 1_000
    this.#credit = Math.min(burst, this.#credit + earned)
    this.#creditAt = now
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }

  #send(bytes: Buffer): void {
    const webSocket = this.#webSocket
    if (webSocket.readyState !== webSocket.OPEN) return
    if (webSocket.bufferedAmount + bytes.length > this.#parts.limits.unsentBytesMax) return webSocket.terminate()
    // Browsers get text where it is text; a body that is not UTF-8 may only travel in a binary frame (RFC 7118, 5.2).
    webSocket.send(bytes, { binary: !isUtf8(bytes) })
  }

  #close(code: number, why: string): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    this.#parts.log.info({ code, why }, 'websocket closed by the hub')
    this.#webSocket.close(code, why)
    // Who goes on sending instead of closing its side is cut off.
    this.#cancelCut = this.#parts.clock.after(this.#parts.limits.closeMs, () => this.#webSocket.terminate())
  }
}

const ping = Buffer.from('\r\n\r\n')
const pong = Buffer.from('\r\n')

/** Islands that let pages of this Origin in (WEB-02). The opaque Origin `null` of a sandboxed frame is nobody's. */
export function domainsOf(islands: readonly IslandConfig[], origin: string | undefined): ReadonlySet<string> {
  if (origin === noOrigin) return new Set()
  const key = origin ?? noOrigin
  const allowed = islands.filter(it => it.access === 'sip-ws' && it.enabled && it.origins.includes(key))
  return new Set(allowed.map(({ domain }) => domain.toLowerCase()))
}

/** RFC 7118, 4.1: the client must offer the subprotocol `sip`. */
function protocolProblem({ headers }: IncomingMessage): 400 | null {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  return offered.includes('sip') ? null : 400
}

const phrases = { 400: 'Bad Request', 403: 'Forbidden', 503: 'Service Unavailable' } as const

function refuse(socket: Duplex, status: keyof typeof phrases): void {
  const answer = `HTTP/1.1 ${status} ${phrases[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
  // A peer that never closes its side would keep the socket for good.
  socket.end(answer, () => socket.destroy())
}

function createHttpServer({ tls }: SipWsConfig, { upgradeMs }: Limits): Server {
  const bounds = { headersTimeout: upgradeMs, requestTimeout: upgradeMs, connectionsCheckingInterval: upgradeMs }
  if (tls === undefined) return createServer(bounds)
  try {
    const ca = tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }
    const own = { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) }
    return createTlsServer({ ...bounds, ...own, ...ca, handshakeTimeout: upgradeMs })
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `sipWs.tls: ${messageOf(cause)}`, { cause })
  }
}

async function listen(server: Server, { host, port }: SipWsConfig): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((cause: unknown) => {
    throw new HubError('HUB_LISTEN', `sip-ws cannot listen on ${host}:${port}: ${messageOf(cause)}`, { cause })
  })
}
