// A plain client account (TCP, TLS or WebSocket) for islands that cannot add a component: @xmpp/client, kept within
// bounds and connected by a back-off of our own, since its own never gives up and knows neither bounds nor jitter.

import { client } from '@xmpp/client'
import type { Authenticate, ClientEntity, ClientSocket, RawSocket } from '@xmpp/client'
import type { Element, Parser } from '@xmpp/xml'
import { messageOf } from '../../errors.ts'
import { Attempts } from './attempts.ts'
import type { Attempt } from './attempts.ts'
import type { Connection, ConnectionParts } from './connection.ts'
import { StreamGuard, guarded } from './reader.ts'
import { resource } from './stanza.ts'

export interface AccountParts extends ConnectionParts {
  /** xmpp://, xmpps://, ws:// or wss:// */
  readonly service: string
  readonly domain: string
  readonly username: string
  readonly password: string
  /** Log in without TLS, off loopback. */
  readonly insecure: boolean
}

export const createAccount = (parts: AccountParts): Connection => new Account(parts)

interface Login extends Attempt {
  readonly entity: ClientEntity
  over: boolean
}

const loopback = /^[a-z]+:\/\/(localhost|127\.[0-9.]+|\[::1\])([:/]|$)/i

class Account implements Connection {
  readonly name: string
  readonly #parts: AccountParts
  readonly #attempts: Attempts<Login>

  constructor(parts: AccountParts) {
    this.#parts = parts
    this.name = `account ${parts.username}@${parts.domain} at ${parts.service}`
    const advice = 'check its name and password, then start the hub again'
    const words = {
      name: this.name,
      refused: `the server refuses this account, so it is not tried again: ${advice}`,
      down: 'the account is not connected',
      conflict: 'another client has taken the place of this account'
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
    const raw = rawOf(attempt.entity.socket)
    if ((raw?.writableLength ?? 0) > this.#parts.limits.unsentBytesMax) {
      this.restart('the server does not read what it is sent')
      return false
    }
    attempt.entity.write(printed).catch((error: unknown) => this.#fail(attempt, messageOf(error)))
    return true
  }

  restart(why: string): void {
    const attempt = this.#attempts.current
    if (attempt !== null) this.#fail(attempt, why)
  }

  async close(): Promise<void> {
    const attempt = this.#attempts.close()
    if (attempt === null) return
    const { entity, upAt } = attempt
    const { clock, limits } = this.#parts
    let cancel = (): void => {}
    const late = new Promise<void>(resolve => {
      cancel = clock.after(limits.closeMs, resolve)
    })
    if (upAt !== null) await Promise.race([entity.stop().catch(() => {}), late])
    cancel()
    this.#gone(attempt)
  }

  #connect(): Login {
    const { service, domain, username, limits } = this.#parts
    const entity = client({
      service,
      domain,
      resource,
      username,
      timeout: limits.connectMs,
      credentials: (authenticate, mechanisms, _fast, at) => this.#logIn(authenticate, mechanisms, at)
    })
    entity.reconnect.stop()
    const attempt: Login = { entity, timers: new Map(), upAt: null, why: null, over: false }
    this.#attempts.after(attempt, 'connect', limits.connectMs, () =>
      this.#fail(attempt, 'the server did not accept the login in time')
    )
    this.#guard(attempt)
    entity.on('error', (error: unknown) => {
      attempt.why ??= conditionOf(error) ?? messageOf(error)
    })
    entity.on('online', () => this.#attempts.accepted(attempt))
    entity.on('disconnect', () => this.#gone(attempt))
    entity.start().catch((error: unknown) => this.#fail(attempt, conditionOf(error) ?? messageOf(error)))
    return attempt
  }

  async #logIn(authenticate: Authenticate, mechanisms: readonly string[], entity: ClientEntity): Promise<void> {
    const { username, password, insecure, service } = this.#parts
    const trusted = entity.isSecure() || insecure || loopback.test(service)
    if (!trusted) throw new Error('the server offers no TLS, and `insecure` is not set')
    const mechanism = ['SCRAM-SHA-1', 'PLAIN'].find(name => mechanisms.includes(name))
    if (mechanism === undefined) throw new Error('the server offers neither SCRAM-SHA-1 nor PLAIN')
    await authenticate({ username, password }, mechanism)
  }

  /** Bounds on what is read, and IQs answered by the adapter instead of the library. */
  #guard(attempt: Login): void {
    const { entity } = attempt
    const { limits } = this.#parts
    let guard: StreamGuard | null = null
    let parser: Parser | null = null
    let stanzas = 0
    const attach = entity._attachSocket.bind(entity)
    entity._attachSocket = (socket: ClientSocket) => {
      parser = null
      attach(socket)
      socket.once('connect', () => {
        rawOf(socket)?.setNoDelay?.(true)
        rawOf(socket)?.setKeepAlive?.(true, limits.quietMs)
      })
    }
    const element = entity._onElement.bind(entity)
    entity._onElement = stanza => {
      stanzas += 1
      if (stanza.is('features')) plainFeatures(stanza)
      if (!['iq', 'message', 'presence'].includes(stanza.name) || attempt.upAt === null) return element(stanza)
      this.#parts.events.onStanza(stanza)
    }
    entity._onData = chunk => {
      if (attempt.why !== null || entity.parser === null) return
      this.#attempts.heard()
      if (entity.parser !== parser || guard === null) {
        parser = entity.parser
        guard = new StreamGuard(limits, /^wss?:/.test(this.#parts.service))
        const own = guard
        parser.parser.prependListener('startElement', () => own.opened())
        parser.parser.prependListener('endElement', () => own.closed())
      }
      stanzas = 0
      const target = entity.parser
      try {
        guarded(guard, chunk, text => target.write(text))
      } catch (error) {
        return this.#fail(attempt, messageOf(error))
      }
      this.#slow(attempt, stanzas)
    }
  }

  /** A WebSocket cannot be paused: its server has bounds of its own. */
  #slow(attempt: Login, stanzas: number): void {
    const raw = rawOf(attempt.entity.socket)
    this.#attempts.slow(
      attempt,
      stanzas,
      () => raw?.pause?.(),
      () => raw?.resume?.()
    )
  }

  #fail(attempt: Login, why: string): void {
    attempt.why ??= why
    cut(attempt.entity.socket)
    this.#gone(attempt)
  }

  #gone(attempt: Login): void {
    if (attempt.over) return
    attempt.over = true
    cut(attempt.entity.socket)
    this.#attempts.gone(attempt)
  }
}

/**
 * Neither stream management (the library's queue has no bound) nor the second SASL profile that would bring it in: what
 * was on its way when a link broke is lost, as on a component link.
 */
function plainFeatures(features: Element): void {
  for (const child of features.getChildElements()) {
    const namespace = child.getNS() ?? ''
    if (namespace.startsWith('urn:xmpp:sm:') || namespace.startsWith('urn:xmpp:sasl:')) features.remove(child)
  }
}

const rawOf = (socket: ClientSocket | null): RawSocket | null => socket?.socket ?? socket

function cut(socket: ClientSocket | null): void {
  const raw = rawOf(socket)
  if (raw?.destroy !== undefined) raw.destroy()
  else raw?.close?.()
}

/** The condition of a stream or SASL error. */
function conditionOf(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'condition' in error && typeof error.condition === 'string'
    ? error.condition
    : null
}
