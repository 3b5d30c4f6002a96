// Whether a homeserver is there: one long request of a user of its own is always under way, so that its end is noticed
// at once; when it is back it is told that we are too (a ping), and what it may have lost is read again.

import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import { HomeserverError } from './homeserver.ts'
import type { Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'

export interface WatchParts {
  readonly islandId: string
  /** The id in the registration. */
  readonly serviceId: string
  /** The user whose long request is under way. Synapse has none for the service's own user. */
  readonly watcher: string
  readonly homeserver: Homeserver
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  /** It has gone: something may be lost from now on. */
  readonly onDown: () => void
  /** After every time it was away, and at the start. May throw: it is called again after the next try. */
  readonly recover: () => Promise<void>
  /** 0 <= n < 1, for the jitter of waits. */
  readonly random: () => number
}

/** Nothing of any room is wanted: the request only waits. */
const nothing = JSON.stringify({
  presence: { types: [] },
  account_data: { types: [] },
  room: { rooms: [], account_data: { types: [] }, ephemeral: { types: [] } }
})

export class Watch {
  readonly #parts: WatchParts
  readonly #stop = new AbortController()
  #up = false
  #waiters = new Set<() => void>()
  #hint: AbortController = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #txnSeen = 0
  /** Ends the pause before the next try. */
  #hurry: (() => void) | null = null

  constructor(parts: WatchParts) {
    this.#parts = parts
  }

  get up(): boolean {
    return this.#up
  }

  start(): void {
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#hint.abort()
    this.#wake()
    await this.#running
  }

  /** Resolves when it answers, or after `ms`. */
  back(ms: number): Promise<void> {
    if (this.#up || this.#stop.signal.aborted) return Promise.resolve()
    return new Promise(done => {
      const cancel = this.#parts.clock.after(ms, () => {
        this.#waiters.delete(wake)
        done()
      })
      const wake = (): void => {
        cancel()
        done()
      }
      this.#waiters.add(wake)
    })
  }

  /** Something was not answered: looked into now, not at the next turn. */
  down(why: string): void {
    if (!this.#up) return
    this.#fell(why)
    this.#hint.abort()
  }

  /**
   * A transaction came: numbers that start again tell of a restart that nobody else noticed, and a homeserver that
   * was away is there again.
   */
  pushed(txnId: string): void {
    const number = /^[0-9]{1,15}$/.test(txnId) ? Number(txnId) : 0
    if (number > 0 && number < this.#txnSeen) this.down('its transactions are numbered from the start again')
    this.#txnSeen = number
    this.#hurry?.()
  }

  #fell(why: string): void {
    if (!this.#up) return
    this.#up = false
    const { log, islandId, onDown } = this.#parts
    onDown()
    log.warn({ island: islandId, why }, 'the homeserver does not answer')
  }

  #wake(): void {
    for (const wake of this.#waiters) wake()
    this.#waiters.clear()
  }

  async #run(): Promise<void> {
    const { limits, log, islandId, recover, random } = this.#parts
    let failures = 0
    // Once: whoever pushes and answers nothing is not asked at every push.
    let hurried = false
    while (!this.#stop.signal.aborted) {
      this.#hint = new AbortController()
      try {
        await this.#ping()
        // What waits to be sent need not wait until everything is read again.
        this.#wake()
        await recover()
        if (this.#stop.signal.aborted) return
        log.info({ island: islandId }, 'the homeserver answers')
        this.#up = true
        failures = 0
        hurried = false
        await this.#wait()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#fell(messageOf(error))
        if (failures === 0) log.warn({ island: islandId, why: messageOf(error) }, 'tried again until it answers')
      }
      const waitMs = Math.min(limits.backOffMs * 2 ** Math.min(failures, 16), limits.backOffMsMax)
      failures += 1
      hurried = await this.#pause(waitMs * (0.5 + random() / 2), !hurried)
    }
  }

  /** Makes a homeserver that has given us up push again at once (Application Service API, "Pinging"). */
  async #ping(): Promise<void> {
    const { homeserver, serviceId } = this.#parts
    const path = `/v1/appservice/${encodeURIComponent(serviceId)}/ping`
    try {
      await homeserver.request({ method: 'POST', path, body: {}, as: null, signal: this.#stop.signal })
    } catch (error) {
      // Not every homeserver knows pings (1.7 of the specification); that it answers is enough then.
      if (!(error instanceof HomeserverError) || error.code !== 'M_UNRECOGNIZED') throw error
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { homeserver, watcher } = this.#parts
    const username = watcher.slice(1, watcher.indexOf(':'))
    const body = { type: 'm.login.application_service', username, inhibit_login: true }
    try {
      await homeserver.request({ method: 'POST', path: '/v3/register', body, as: null, signal })
    } catch (error) {
      if (!(error instanceof HomeserverError) || error.code !== 'M_USER_IN_USE') throw error
    }
  }

  /** Ends only by throwing. */
  async #wait(): Promise<never> {
    const { homeserver, limits, watcher } = this.#parts
    const signal = AbortSignal.any([this.#stop.signal, this.#hint.signal])
    await this.#register(signal)
    const query: Record<string, string> = { filter: nothing, set_presence: 'offline' }
    for (;;) {
      const body = await homeserver.request<{ readonly next_batch?: unknown }>({
        method: 'GET',
        path: '/v3/sync',
        query: { ...query, timeout: query['since'] === undefined ? '0' : String(limits.pingMs) },
        as: watcher,
        timeoutMs: limits.pingMs + limits.requestMs,
        signal
      })
      query['since'] = String(body.next_batch)
    }
  }

  /** Resolves true where a push has ended it. */
  #pause(ms: number, mayHurry: boolean): Promise<boolean> {
    return new Promise(done => {
      const { signal } = this.#stop
      const end = (byPush: boolean): void => {
        cancel()
        signal.removeEventListener('abort', stop)
        this.#hurry = null
        done(byPush)
      }
      const stop = (): void => end(false)
      const cancel = this.#parts.clock.after(ms, stop)
      signal.addEventListener('abort', stop, { once: true })
      if (mayHurry) this.#hurry = () => end(true)
    })
  }
}
