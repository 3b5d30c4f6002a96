// The control port: applications connect, prove the secret, say which methods they serve, and exchange SIP in frames.

import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { connect, createServer, isIP } from 'node:net'
import type { Server, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HubError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Path, Told } from '../link.ts'
import type { SipMessage, SipRequest } from '../message.ts'
import type { App, Command, Sent } from './app.ts'
import { binaryTag, printFor } from './body.ts'
import { frameOf, framingLimits, FrameReader, payloadOf } from './framing.ts'
import type { Payload } from './framing.ts'
import type { AppPlace } from './handler.ts'
import { fromHere, fromNetwork, fromNowhere, oneToken } from './tokens.ts'

export const controlLimits = {
  /** Connected applications; one more is closed at once. */
  appsMax: 64,
  /** Connections that the engine made to applications, one for each call; beyond it nobody is there (480). */
  dialledMax: 10_000,
  /** From connecting to an application until it has authenticated. */
  dialMs: 3_000,
  /** From connecting to the right secret. */
  authenticateMs: 10_000,
  /** A frame from somebody who has not shown the secret. */
  frameBytesBeforeAuthMax: 4_096,
  /** Methods one application may name. */
  routesMax: 64,
  /** Bytes an application has not taken yet; beyond it the connection is cut and counts as dead. */
  sendBufferBytesMax: 67_108_864
} as const
export type ControlLimits = { readonly [name in keyof typeof controlLimits]: number }

/** A command and the SIP text after it. */
export interface SipCommand extends Command {
  readonly text: Buffer
}

export interface ControlHandler {
  sip(app: App, command: SipCommand): void
  /** Its connection is closed: nothing can be sent to it any more. `reached`: it had authenticated. */
  gone(app: App, reached: boolean): void
}

/** Where applications connect, and what they must know; port 0: any free one. */
export interface ControlPort {
  readonly host: string
  readonly port: number
  readonly secret: string
}

export interface ControlOptions {
  /** Null: no port, applications of this process only. */
  readonly at: ControlPort | null
  readonly limits?: Partial<ControlLimits>
  readonly log: Logger
  readonly handler: ControlHandler
  /** `udp/127.0.0.1:5060,...`: told to who authenticates. */
  hostports(): string
}

export interface ControlServer {
  start(): Promise<void>
  close(): Promise<void>
  readonly address: { readonly host: string; readonly port: number }
  /** Whose turn it is among the applications that serve a method, and have that tag if one is named; null: nobody's. */
  pick(method: string, tag?: string): App | null
  /** Connects to an application; what is sent to it waits until it has authenticated. Null: too many connections. */
  dial(place: AppPlace, ca?: string | Buffer): App | null
  /** An application of this process, and the methods (lower case) that it serves. */
  join(app: App, methods: readonly string[]): void
  leave(app: App): void
}

/** What drachtio-srf wants to see before it starts its heartbeat: at least v0.8.2. */
export const protocolVersion = 'v0.9.10-isthmus'

let messages = 0
/** Unique in this process: all that matching an answer to its command needs. */
const newMessageId = (): string => (++messages).toString(36)

class Connection implements App {
  readonly id = randomUUID()
  readonly routes = new Set<string>()
  readonly reader: FrameReader
  readonly #socket: Socket
  readonly #bufferMax: number
  authenticated = false
  gone = false
  binary = false
  tags: readonly string[] = []
  /** Made from here: what is for it waits until it has authenticated. */
  readonly dialled: boolean
  #queue: Buffer[] = []

  constructor(socket: Socket, limits: ControlLimits, dialled: boolean) {
    this.dialled = dialled
    this.#socket = socket
    this.#bufferMax = limits.sendBufferBytesMax
    this.reader = new FrameReader(limits.frameBytesBeforeAuthMax)
  }

  hear(message: SipMessage, { txn, dialog, flow, opening = false }: Told): void {
    const raw = printFor(this, message)
    const tokens = flow === null ? fromNowhere(txn, dialog) : fromNetwork(flow, raw.length, txn, dialog)
    const arrived =
      flow !== null && opening ? `${flow.local.host}|${flow.local.port}|${oneToken(flow.peerId ?? '')}` : ''
    this.#send(`sip|${tokens}${arrived}`, raw)
  }

  ended(request: SipRequest, dialog: string, path: Path): void {
    const raw = printFor(this, request)
    this.#send(`sip|${fromHere(path, raw.length, `unsolicited|${dialog}|`)}`, raw)
  }

  sent(id: string, message: SipMessage, { txn, path, dialog }: Sent): void {
    const raw = printFor(this, message)
    const named = dialog === undefined ? '' : `|${dialog}|`
    this.#send(`response|${id}|OK|${fromHere(path, raw.length, txn)}${named}|Msg sent:|`, raw)
  }

  refused(id: string, why: string): void {
    this.answer(id, `NOK|${why.replaceAll(/[|\r\n]/g, ' ')}`)
  }

  /** Queues a frame; frames of one turn of the event loop leave in one write. */
  #send(meta: string, message?: Buffer): void {
    if (this.gone) return
    if (this.#queue.length === 0) setImmediate(() => this.#flush())
    this.#queue.push(frameOf(`${newMessageId()}|${meta}`, message))
  }

  answer(id: string, text: string): void {
    const meta = `response|${id}|${text}`
    if (this.authenticated || !this.dialled) this.#send(meta)
    else this.#socket.write(frameOf(`${newMessageId()}|${meta}`))
  }

  /** The secret was right. */
  admit(tags: readonly string[]): void {
    this.authenticated = true
    this.tags = tags
    this.binary = tags.includes(binaryTag)
    this.reader.bytesMax = framingLimits.frameBytesMax
    this.#flush()
  }

  /** What is queued still leaves; nothing more is read. */
  end(): void {
    this.#flush()
    this.#socket.pause()
    this.#socket.end()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #flush(): void {
    const queue = this.#queue
    if (queue.length === 0 || (this.dialled && !this.authenticated)) return
    this.#queue = []
    if (this.#socket.destroyed) return
    this.#socket.write(queue.length === 1 && queue[0] !== undefined ? queue[0] : Buffer.concat(queue))
    if (this.#socket.writableLength > this.#bufferMax) this.#socket.destroy()
  }
}

/** The server that applications connect to. Nothing but `authenticate` is obeyed before the secret was right. */
export function createControlServer(options: ControlOptions): ControlServer {
  return new Control(options)
}

class Control implements ControlServer {
  readonly #options: ControlOptions
  readonly #limits: ControlLimits
  readonly #secret: Buffer
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  /** Applications by method, the one whose turn it is first. */
  readonly #routes = new Map<string, App[]>()

  constructor(options: ControlOptions) {
    this.#options = options
    this.#limits = { ...controlLimits, ...options.limits }
    this.#secret = digest(options.at?.secret ?? randomUUID())
    this.#server = createServer({ noDelay: true, keepAlive: true }, socket => this.#accept(socket))
  }

  async start(): Promise<void> {
    const { at } = this.#options
    if (at === null) return
    const { host, port } = at
    await new Promise<void>((done, failed) => {
      const refused = (cause: Error): void => {
        const facts = { cause, host, port }
        failed(new HubError('HUB_LISTEN', `the control port ${host}:${port} cannot be opened: ${cause.message}`, facts))
      }
      this.#server.once('error', refused).listen(port, host, () => {
        this.#server.off('error', refused)
        this.#server.on('error', error => this.#options.log.error({ error: error.message }, 'control port'))
        done()
      })
    })
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    if (!this.#server.listening) return
    await new Promise<void>(done => this.#server.close(() => done()))
  }

  get address(): { readonly host: string; readonly port: number } {
    const bound = this.#server.address()
    const { host, port } = this.#options.at ?? { host: '', port: 0 }
    return { host, port: bound !== null && typeof bound === 'object' ? bound.port : port }
  }

  pick(method: string, tag?: string): App | null {
    const serving = this.#routes.get(method) ?? []
    const at = tag === undefined ? 0 : serving.findIndex(app => app instanceof Connection && app.tags.includes(tag))
    const [next] = at < 0 ? [] : serving.splice(at, 1)
    if (next === undefined) return null
    serving.push(next)
    return next
  }

  dial({ host, port, tls }: AppPlace, ca?: string | Buffer): App | null {
    if (this.#dialled >= this.#limits.dialledMax) return null
    const name = isIP(host) > 0 ? {} : { servername: host }
    const trust = ca === undefined ? {} : { ca }
    const socket = tls ? connectTls({ host, port, ...name, ...trust }) : connect({ host, port })
    socket.setNoDelay(true).setKeepAlive(true)
    this.#dialled++
    socket.on('close', () => this.#dialled--)
    return this.#attach(socket, true)
  }
  #dialled = 0

  join(app: App, methods: readonly string[]): void {
    for (const method of methods) this.#serve(app, method)
  }

  leave(app: App): void {
    for (const method of this.#routes.keys()) this.#unroute(app, method)
  }

  #accept(socket: Socket): void {
    if (this.#connections.size - this.#dialled >= this.#limits.appsMax) {
      this.#options.log.warn({ appsMax: this.#limits.appsMax }, 'too many applications: connection closed')
      socket.destroy()
      return
    }
    this.#attach(socket, false)
  }

  #attach(socket: Socket, dialled: boolean): Connection {
    const connection = new Connection(socket, this.#limits, dialled)
    this.#connections.add(connection)
    const late = setTimeout(
      () => {
        if (!connection.authenticated) connection.destroy()
      },
      dialled ? this.#limits.dialMs : this.#limits.authenticateMs
    )
    late.unref()
    socket.on('data', chunk => this.#read(connection, chunk))
    socket.on('error', error => this.#options.log.debug({ error: error.message }, 'application connection'))
    socket.on('close', () => {
      clearTimeout(late)
      this.#lost(connection)
    })
    return connection
  }

  #read(connection: Connection, chunk: Buffer): void {
    if (connection.gone) return
    if (connection.reader.push(chunk, payload => this.#obey(connection, payloadOf(payload)))) return
    connection.end()
    this.#lost(connection)
  }

  #lost(connection: Connection): void {
    if (connection.gone) return
    connection.gone = true
    this.#connections.delete(connection)
    for (const method of connection.routes) this.#unroute(connection, method)
    const { authenticated, dialled } = connection
    if (authenticated || dialled) this.#options.handler.gone(connection, authenticated)
  }

  /** False: the connection must be closed. */
  #obey(connection: Connection, { tokens, message }: Payload): boolean {
    const [id = '', type = '', first = '', second = '', third = ''] = tokens
    if (type === 'authenticate') return this.#authenticate(connection, id, first, second)
    if (!connection.authenticated) {
      connection.answer(id, 'NO|not authenticated')
      return false
    }
    switch (type) {
      case 'sip':
        return this.#sip(connection, tokens.length, { id, txn: first, dialog: second, proxy: third, text: message })
      case 'ping':
        connection.answer(id, 'OK|pong')
        return true
      case 'route':
        this.#route(connection, id, first.toLowerCase())
        return true
      case 'remove_route':
        this.#unroute(connection, first.toLowerCase())
        connection.routes.delete(first.toLowerCase())
        connection.answer(id, 'OK')
        return true
      case 'proxy':
        connection.answer(id, 'NOK|this engine does not proxy')
        return true
      default:
        connection.answer(id, 'NO|Unknown message type')
        return false
    }
  }

  #authenticate(connection: Connection, id: string, secret: string, tags: string): boolean {
    if (!timingSafeEqual(digest(secret), this.#secret)) {
      connection.answer(id, 'NO|incorrect secret')
      return false
    }
    const hostports = this.#options.hostports()
    connection.answer(id, `OK|${hostports}|${protocolVersion}|${hostports}`)
    connection.admit(tags.split(','))
    return true
  }

  #route(connection: Connection, id: string, method: string): void {
    // The same method twice does not double an application's share.
    if (!connection.routes.has(method)) {
      if (connection.routes.size >= this.#limits.routesMax || method === '') {
        connection.answer(id, 'NOK|too many routes')
        return
      }
      connection.routes.add(method)
      this.#serve(connection, method)
    }
    connection.answer(id, 'OK')
  }

  #serve(app: App, method: string): void {
    const serving = this.#routes.get(method)
    if (serving === undefined) this.#routes.set(method, [app])
    else serving.push(app)
  }

  #unroute(app: App, method: string): void {
    const left = (this.#routes.get(method) ?? []).filter(other => other !== app)
    if (left.length === 0) this.#routes.delete(method)
    else this.#routes.set(method, left)
  }

  #sip(connection: Connection, tokens: number, command: SipCommand): boolean {
    if (tokens < 4 || command.text.length === 0) {
      connection.refused(command.id, 'a sip command has a transaction, a dialog and a message')
      return true
    }
    this.#options.handler.sip(connection, command)
    return true
  }
}

/** Of one length, so that the comparison says nothing about the secret's. */
const digest = (secret: string): Buffer => createHash('sha256').update(secret).digest()
