// A component link (XEP-0114): one domain of an XMPP server over one TCP or TLS connection, kept up.

import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { messageOf } from '../../errors.ts'
import { BackOff } from './back-off.ts'
import { hopeless } from './connection.ts'
import type { Connection, ConnectionParts } from './connection.ts'
import { BrokenStream, StreamReader } from './reader.ts'
import { ns } from './stanza.ts'
import { Throttle } from './throttle.ts'

export interface ComponentParts extends ConnectionParts {
  readonly domain: string
  readonly host: string
  readonly port: number
  readonly secret: string
  /** Null: plain text. `ca`: PEM. */
  readonly tls: { readonly ca: string | null; readonly serverName: string } | null
}

export const createComponent = (parts: ComponentParts): Connection => new Component(parts)

/** One attempt to connect and the stream that came of it. */
interface Attempt {
  readonly socket: Socket
  readonly reader: StreamReader
  /** Timers that end with it. */
  readonly cancels: ((() => void) | undefined)[]
  upAt: number | null
  /** Why it ends, once that is known. */
  why: string | null
}

const timer = { connect: 0, resume: 1, destroy: 2 } as const

class Component implements Connection {
  readonly name: string
  readonly #parts: ComponentParts
  readonly #backOff: BackOff
  readonly #throttle: Throttle
  #attempt: Attempt | null = null
  #closed = false
  #heardAt = 0
  #corked = false

  constructor(parts: ComponentParts) {
    const { domain, host, port } = parts
    this.#parts = parts
    this.#backOff = new BackOff(parts)
    this.#throttle = new Throttle(parts)
    this.name = `component ${domain} at ${host}:${port}`
  }

  get up(): boolean {
    return this.#attempt !== null && this.#attempt.upAt !== null && this.#attempt.why === null
  }

  get heardAt(): number {
    return this.#heardAt
  }

  start(): void {
    if (!this.#closed && this.#attempt === null) this.#connect()
  }

  send(_stanza: Element, printed: string): boolean {
    const attempt = this.#attempt
    if (attempt === null || !this.up) return false
    if (attempt.socket.writableLength > this.#parts.limits.unsentBytesMax) {
      this.restart('the server does not read what it is sent')
      return false
    }
    this.#write(attempt.socket, printed)
    return true
  }

  restart(why: string): void {
    this.#end(why)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#backOff.stop()
    const attempt = this.#attempt
    if (attempt === null) return
    attempt.why = 'the hub is shutting down'
    const { socket } = attempt
    const gone = new Promise<void>(resolve => socket.once('close', () => resolve()))
    const cancel = this.#parts.clock.after(this.#parts.limits.closeMs, () => socket.destroy())
    if (attempt.upAt === null) socket.destroy()
    else socket.end('</stream:stream>')
    await gone
    cancel()
  }

  /** All writes of one turn leave in one packet, where they fit: TCP_NODELAY is on. */
  #write(socket: Socket, text: string): void {
    if (!this.#corked) {
      this.#corked = true
      socket.cork()
      process.nextTick(() => {
        this.#corked = false
        socket.uncork()
      })
    }
    socket.write(text)
  }

  #connect(): void {
    const { host, port, tls, domain, limits, clock } = this.#parts
    const socket =
      tls === null
        ? connect({ host, port })
        : connectTls({ host, port, servername: tls.serverName, ...(tls.ca === null ? {} : { ca: tls.ca }) })
    const reader = new StreamReader(limits, {
      onStart: root => this.#greeted(attempt, root),
      onElement: element => this.#heard(attempt, element),
      onEnd: () => socket.end('</stream:stream>')
    })
    const attempt: Attempt = { socket, reader, cancels: [], upAt: null, why: null }
    attempt.cancels[timer.connect] = clock.after(limits.connectMs, () => {
      if (attempt.upAt === null) this.#end('the server did not accept the stream in time')
    })
    this.#attempt = attempt
    this.#corked = false
    socket.setNoDelay(true)
    socket.setKeepAlive(true, limits.quietMs)
    socket.once(tls === null ? 'connect' : 'secureConnect', () =>
      socket.write(
        `<?xml version='1.0'?><stream:stream xmlns='${ns.component}' xmlns:stream='${ns.streams}' to='${domain}'>`
      )
    )
    socket.on('data', (chunk: Buffer) => this.#read(attempt, chunk))
    socket.on('error', error => {
      attempt.why ??= messageOf(error)
    })
    socket.on('close', () => this.#gone(attempt))
  }

  #read(attempt: Attempt, chunk: Buffer): void {
    if (attempt.why !== null) return
    const { clock } = this.#parts
    this.#heardAt = clock.now()
    try {
      const waitMs = this.#throttle.take(attempt.reader.write(chunk))
      if (waitMs === 0) return
      attempt.socket.pause()
      attempt.cancels[timer.resume] = clock.after(waitMs, () => attempt.socket.resume())
    } catch (error) {
      const condition = error instanceof BrokenStream ? error.condition : 'undefined-condition'
      attempt.socket.write(
        `${xml('stream:error', {}, xml(condition, { xmlns: ns.streamErrors })).toString()}</stream:stream>`
      )
      this.#end(messageOf(error))
    }
  }

  #greeted(attempt: Attempt, root: Element): void {
    const { id = '' } = root.attrs
    const proof = createHash('sha1')
      .update(id + this.#parts.secret)
      .digest('hex')
    attempt.socket.write(`<handshake>${proof}</handshake>`)
  }

  #heard(attempt: Attempt, element: Element): void {
    if (attempt !== this.#attempt || attempt.why !== null) return
    if (element.is('error', ns.streams)) {
      const condition = element.getChildElements().find(child => child.getNS() === ns.streamErrors)
      attempt.why = condition?.getName() ?? 'undefined-condition'
      attempt.socket.end('</stream:stream>')
      return
    }
    if (attempt.upAt !== null) return this.#parts.events.onStanza(element)
    if (!element.is('handshake')) return
    attempt.upAt = this.#parts.clock.now()
    attempt.cancels[timer.connect]?.()
    this.#parts.events.onUp()
  }

  /** Ends the attempt under way; `#gone` follows from the closing socket. */
  #end(why: string): void {
    const attempt = this.#attempt
    if (attempt === null) return
    attempt.why ??= why
    attempt.socket.destroySoon()
    // A peer that does not read holds up even the last words.
    attempt.cancels[timer.destroy] = this.#parts.clock.after(this.#parts.limits.closeMs, () => attempt.socket.destroy())
  }

  #gone(attempt: Attempt): void {
    for (const cancel of attempt.cancels) cancel?.()
    if (this.#attempt !== attempt) return
    this.#attempt = null
    const { log, clock, limits, events } = this.#parts
    const why = attempt.why ?? 'the server closed the connection'
    if (attempt.upAt !== null) {
      if (clock.now() - attempt.upAt >= limits.steadyMs) this.#backOff.reset()
      events.onDown(why)
    }
    if (this.#closed) return
    if (hopeless.has(why)) {
      const advice = 'check the secret and the domain in both configurations, then start the hub again'
      log.error({ link: this.name, why }, `the server refuses this link, so it is not tried again: ${advice}`)
      return
    }
    const conflict = why === 'conflict'
    const waitMs = this.#backOff.again(() => this.#connect(), conflict)
    const text = conflict ? 'another link holds this domain' : 'the link to the server is down'
    log.warn({ link: this.name, why, waitMs }, text)
  }
}
