// One request to several places: the next one where the last was broken, silent or unavailable (RFC 3263, 4.3).

import { HubError } from '../errors.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import { parseDeltaSeconds } from './message.ts'
import type { ClientHandler, ClientTransaction } from './ports.ts'
import type { Flow, RemoteDestination } from './transport/transport.ts'

export const failoverLimits = {
  /** Places that are known to be out of service. */
  avoidedMax: 1_000,
  /** How long a place that was silent or broken is tried last. */
  failedMs: 30_000,
  /** A 503 with Retry-After asks for so long at most. */
  retryAfterMsMax: 3_600_000
} as const
export type FailoverLimits = { readonly [name in keyof typeof failoverLimits]: number }

/** Places that said they have no room, or said nothing: tried after the others, for a while. */
export class Avoided {
  readonly #limits: FailoverLimits
  readonly #until = new Map<string, number>()
  readonly #now: () => number

  constructor(limits: FailoverLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  get size(): number {
    return this.#until.size
  }

  add(to: RemoteDestination, ms: number): void {
    const key = keyOf(to)
    this.#until.delete(key)
    this.#until.set(key, this.#now() + Math.min(ms, this.#limits.retryAfterMsMax))
    if (this.#until.size > this.#limits.avoidedMax) this.#until.delete(this.#until.keys().next().value ?? '')
  }

  failed(to: RemoteDestination): void {
    this.add(to, this.#limits.failedMs)
  }

  /** The same places, those to be avoided at the end. */
  order(targets: readonly RemoteDestination[]): readonly RemoteDestination[] {
    if (this.#until.size === 0) return targets
    const isGood = (to: RemoteDestination): boolean => {
      const key = keyOf(to)
      const until = this.#until.get(key)
      if (until !== undefined && until <= this.#now()) this.#until.delete(key)
      return until === undefined || until <= this.#now()
    }
    const good = targets.filter(isGood)
    return good.length === targets.length ? targets : [...good, ...targets.filter(to => !good.includes(to))]
  }
}

/** Not sent since the place asked for fewer requests: it is in service (RFC 7339). */
const isHeldBack = (error: unknown): boolean => error instanceof HubError && error.code === 'HUB_LIMIT'

const keyOf = ({ transport, host, port }: RemoteDestination): string => `${transport}|${host}|${port}`

type Send = (request: SipRequest, to: RemoteDestination, on: ClientHandler) => ClientTransaction

interface Parts {
  readonly send: Send
  readonly avoided: Avoided
}

/**
 * A request that goes from place to place, each time as a transaction of its own. Its user sees one transaction: 503,
 * failure and silence only of the last place. Once somebody rings, or the user has cancelled, it stays where it is.
 */
export class Attempts implements ClientTransaction {
  readonly #parts: Parts
  readonly #on: ClientHandler
  #left: readonly RemoteDestination[]
  #current: ClientTransaction
  #heard = false
  #rings = false
  #cancelled = false

  /** `targets`: at least one, best first. */
  constructor(
    parts: Parts,
    request: SipRequest,
    targets: readonly [RemoteDestination, ...RemoteDestination[]],
    on: ClientHandler
  ) {
    this.#parts = parts
    this.#on = on
    const [first, ...left] = targets
    this.#left = left
    this.#current = this.#try(request, first)
  }

  get id(): string {
    return this.#current.id
  }

  get request(): SipRequest {
    return this.#current.request
  }

  get flow(): Flow | null {
    return this.#current.flow
  }

  cancel(headers: readonly HeaderLine[] = []): void {
    this.#cancelled = true
    this.#current.cancel(headers)
  }

  #try(request: SipRequest, to: RemoteDestination): ClientTransaction {
    // The stack owns what it sends: the next place gets the request as it was.
    const again = this.#left.length === 0 ? null : { ...request, headers: request.headers.clone() }
    this.#heard = false
    return this.#parts.send(request, to, {
      response: (response, flow) => {
        this.#heard = true
        if (response.status > 100 && response.status < 200) this.#rings = true
        if (response.status === 503) this.#unavailable(to, response)
        if (response.status !== 503 || !this.#next(again)) this.#on.response(response, flow)
      },
      failed: (why, error) => {
        if (!this.#heard && !isHeldBack(error)) this.#parts.avoided.failed(to)
        if ((why === 'timeout' && this.#heard) || !this.#next(again)) this.#on.failed(why, error)
      }
    })
  }

  /** RFC 3261, 21.5.4: with Retry-After the place gets nothing for so long; without, only this request moves on. */
  #unavailable(to: RemoteDestination, { headers }: SipResponse): void {
    const seconds = parseDeltaSeconds(/^\s*\d+/.exec(headers.get('Retry-After') ?? '')?.[0] ?? '')
    if (seconds !== null && seconds > 0) this.#parts.avoided.add(to, seconds * 1_000)
  }

  /** False where this was the last place to try. */
  #next(again: SipRequest | null): boolean {
    const [to, ...left] = this.#left
    if (to === undefined || again === null || this.#rings || this.#cancelled) return false
    this.#left = left
    this.#current = this.#try(again, to)
    return true
  }
}
