// What both ways to an XMPP server share: one attempt at a time, how it fares, and when the next one is made.

import { BackOff } from './back-off.ts'
import { hopeless } from './connection.ts'
import type { ConnectionParts } from './connection.ts'
import { Throttle } from './throttle.ts'

/** One attempt to connect and the stream that came of it. */
export interface Attempt {
  upAt: number | null
  /** Why it ends, once that is known. */
  why: string | null
  /** Timers that end with it. */
  readonly timers: Map<'connect' | 'resume' | 'destroy', () => void>
}

export interface AttemptWords {
  /** What the log calls the link. */
  readonly name: string
  /** It will not be tried again, and what to do about that. */
  readonly refused: string
  readonly down: string
  /** The server has another one like it. */
  readonly conflict: string
}

export class Attempts<A extends Attempt> {
  readonly #parts: ConnectionParts
  readonly #words: AttemptWords
  readonly #connect: () => A
  readonly #backOff: BackOff
  readonly #throttle: Throttle
  #current: A | null = null
  #closed = false
  #heardAt = 0

  /** `connect` begins one and returns at once. */
  constructor(parts: ConnectionParts, words: AttemptWords, connect: () => A) {
    this.#parts = parts
    this.#words = words
    this.#connect = connect
    this.#backOff = new BackOff(parts)
    this.#throttle = new Throttle(parts)
  }

  get current(): A | null {
    return this.#current
  }

  /** The one that is up; null for none. */
  get up(): A | null {
    const one = this.#current
    return one !== null && one.upAt !== null && one.why === null ? one : null
  }

  get heardAt(): number {
    return this.#heardAt
  }

  start(): void {
    if (!this.#closed && this.#current === null) this.#begin()
  }

  /** No more after the one under way, which is returned. */
  close(): A | null {
    this.#closed = true
    this.#backOff.stop()
    return this.#current
  }

  after(attempt: A, name: 'connect' | 'resume' | 'destroy', ms: number, run: () => void): void {
    attempt.timers.get(name)?.()
    attempt.timers.set(name, this.#parts.clock.after(ms, run))
  }

  heard(): void {
    this.#heardAt = this.#parts.clock.now()
  }

  /** Reads no more for as long as the island has sent too much. */
  slow(attempt: A, stanzas: number, pause: () => void, resume: () => void): void {
    const waitMs = this.#throttle.take(stanzas)
    if (waitMs === 0) return
    pause()
    this.after(attempt, 'resume', waitMs, resume)
  }

  accepted(attempt: A): void {
    if (attempt !== this.#current || attempt.upAt !== null) return
    attempt.upAt = this.#parts.clock.now()
    attempt.timers.get('connect')?.()
    this.#parts.events.onUp()
  }

  /** It is over: the next is made after a wait, unless nobody wants it or it could not fare better. */
  gone(attempt: A): void {
    for (const cancel of attempt.timers.values()) cancel()
    if (this.#current !== attempt) return
    this.#current = null
    const { log, clock, limits, events } = this.#parts
    const { name, refused, conflict, down } = this.#words
    const why = attempt.why ?? 'the server closed the connection'
    if (attempt.upAt !== null) {
      if (clock.now() - attempt.upAt >= limits.steadyMs) this.#backOff.reset()
      events.onDown(why)
    }
    if (this.#closed) return
    if (hopeless.has(why)) return log.error({ link: name, why }, refused)
    const isConflict = why === 'conflict'
    const waitMs = this.#backOff.again(() => this.#begin(), isConflict)
    log.warn({ link: name, why, waitMs }, isConflict ? conflict : down)
  }

  #begin(): void {
    this.#current = this.#connect()
  }
}
