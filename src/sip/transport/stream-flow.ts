// One connection that carries SIP: framing, bounds, rate, pings and pongs.

import type { Socket } from 'node:net'
import { Framer } from './framing.ts'
import { newFlowId } from './transport.ts'
import type { Address, Flow, TransportPort } from './transport.ts'

const ping = Buffer.from('\r\n\r\n')
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
  /** SIP domains that its certificate proves. */
  readonly identities: readonly string[]
}

/** One connection, in or out. */
export class StreamFlow implements Flow {
  readonly id = newFlowId()
  readonly transport: 'tcp' | 'tls'
  readonly local: Address
  readonly remote: Address
  readonly peerId: string | null
  readonly identities: readonly string[]
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
  #pings: NodeJS.Timeout | null = null
  #pong: NodeJS.Timeout | null = null

  constructor({ transport, socket, local, remote, standing, outgoing, port, identities }: StreamOptions) {
    this.identities = identities
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

  /** The other end has agreed to pings (RFC 6223), `seconds` apart at most; 0 leaves it to us. The first counts. */
  keepAlive(seconds: number): void {
    if (this.#pings !== null || this.closed || !this.#outgoing) return
    const { keepAliveMs, pongMs } = this.#port.limits
    // Somewhat before the time is over (RFC 5626, 4.4.1: 80 to 100 % of it).
    const everyMs = seconds === 0 ? keepAliveMs : Math.min(keepAliveMs, seconds * 900)
    this.#pings = setInterval(() => {
      this.send(ping)
      this.#pong ??= setTimeout(() => {
        this.#port.warn('connection closed: no pong', null)
        this.#socket.destroy()
        this.#lost()
      }, pongMs).unref()
    }, everyMs).unref()
  }

  #received(chunk: Buffer): void {
    if (this.closed) return
    if (this.#pong !== null) clearTimeout(this.#pong)
    this.#pong = null
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
    if (this.#pings !== null) clearInterval(this.#pings)
    if (this.#pong !== null) clearTimeout(this.#pong)
    if (this.#resume !== null) clearTimeout(this.#resume)
    this.#port.closed(this)
  }
}
