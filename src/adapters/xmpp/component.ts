// A component link (XEP-0114): one domain of an XMPP server over one TCP or TLS connection, kept up.

import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { messageOf } from '../../errors.ts'
import { Attempts } from './attempts.ts'
import type { Attempt } from './attempts.ts'
import type { Connection, ConnectionParts } from './connection.ts'
import { BrokenStream, StreamReader } from './reader.ts'
import { ns } from './stanza.ts'

export interface ComponentParts extends ConnectionParts {
  readonly domain: string
  readonly host: string
  readonly port: number
  readonly secret: string
  /** Null: plain text. `ca`: PEM. */
  readonly tls: { readonly ca: string | null; readonly serverName: string } | null
}

export const createComponent = (parts: ComponentParts): Connection => new Component(parts)

interface Link extends Attempt {
  readonly socket: Socket
  readonly reader: StreamReader
}

class Component implements Connection {
  readonly name: string
  readonly #parts: ComponentParts
  readonly #attempts: Attempts<Link>
  #corked = false

  constructor(parts: ComponentParts) {
    const { domain, host, port } = parts
    this.#parts = parts
    this.name = `component ${domain} at ${host}:${port}`
    const advice = 'check the secret and the domain in both configurations, then start the hub again'
    const words = {
      name: this.name,
      refused: `the server refuses this link, so it is not tried again: ${advice}`,
      down: 'the link to the server is down',
      conflict: 'another link holds this domain'
    }
    this.#attempts = new Attempts(parts, words, () => this.#connect())
  }

  get up(): boolean {
    return this.#attempts.up !== null
  }

  get heardAt(): number {
    return this.#attempts.heardAt
  }

  start(): void {
    this.#attempts.start()
  }

  send(_stanza: Element, printed: string): boolean {
    const attempt = this.#attempts.up
    if (attempt === null) return false
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
    const attempt = this.#attempts.close()
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

  #connect(): Link {
    const { host, port, tls, domain, limits } = this.#parts
    const socket =
      tls === null
        ? connect({ host, port })
        : connectTls({ host, port, servername: tls.serverName, ...(tls.ca === null ? {} : { ca: tls.ca }) })
    const reader = new StreamReader(limits, {
      onStart: root => this.#greeted(attempt, root),
      onElement: element => this.#heard(attempt, element),
      onEnd: () => socket.end('</stream:stream>')
    })
    const attempt: Link = { socket, reader, timers: new Map(), upAt: null, why: null }
    this.#attempts.after(attempt, 'connect', limits.connectMs, () =>
      this.#end('the server did not accept the stream in time')
    )
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
    socket.on('close', () => this.#attempts.gone(attempt))
    return attempt
  }

  #read(attempt: Link, chunk: Buffer): void {
    if (attempt.why !== null) return
    this.#attempts.heard()
    const { socket, reader } = attempt
    try {
      const stanzas = reader.write(chunk)
      this.#attempts.slow(
        attempt,
        stanzas,
        () => void socket.pause(),
        () => void socket.resume()
      )
    } catch (error) {
      const condition = error instanceof BrokenStream ? error.condition : 'undefined-condition'
      attempt.socket.write(
        `${xml('stream:error', {}, xml(condition, { xmlns: ns.streamErrors })).toString()}</stream:stream>`
      )
      this.#end(messageOf(error))
    }
  }

  #greeted(attempt: Link, root: Element): void {
    const { id = '' } = root.attrs
    const proof = createHash('sha1')
      .update(id + this.#parts.secret)
      .digest('hex')
    attempt.socket.write(`<handshake>${proof}</handshake>`)
  }

  #heard(attempt: Link, element: Element): void {
    if (attempt !== this.#attempts.current || attempt.why !== null) return
    if (element.is('error', ns.streams)) {
      const condition = element.getChildElements().find(child => child.getNS() === ns.streamErrors)
      attempt.why = condition?.getName() ?? 'undefined-condition'
      attempt.socket.end('</stream:stream>')
      return
    }
    if (attempt.upAt !== null) return this.#parts.events.onStanza(element)
    if (element.is('handshake')) this.#attempts.accepted(attempt)
  }

  /** Ends the attempt under way; its end follows from the closing socket. */
  #end(why: string): void {
    const attempt = this.#attempts.current
    if (attempt === null) return
    attempt.why ??= why
    attempt.socket.destroySoon()
    // A peer that does not read holds up even the last words.
    this.#attempts.after(attempt, 'destroy', this.#parts.limits.closeMs, () => attempt.socket.destroy())
  }
}
