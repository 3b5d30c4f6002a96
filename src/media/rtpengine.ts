// The rtpengine anchor: a pool of daemons over the ng protocol. A daemon that does not answer costs its calls, never
// the hub.

import { randomInt } from 'node:crypto'
import type { MediaConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { MediaStats, SessionId } from '../session/model.ts'
import type { Anchorage, Anchored, Clock, MediaAnchor } from '../session/ports.ts'
import { RtpengineCall } from './rtpengine-call.ts'
import { RtpenginePool } from './rtpengine-pool.ts'
import type { RtpengineNode } from './rtpengine-pool.ts'
import { Turns } from './turns.ts'

/** `watchMs`: how often a call is asked about; `nodesPerOffer`: daemons tried for the first offer of a call. */
export const rtpengineLimits = { watchMs: 15_000, nodesPerOffer: 2, callsMax: 20_000 } as const

interface Live {
  readonly id: SessionId
  readonly attempt: number
  readonly turns: Turns
  /** Null until a daemon has taken the first offer. */
  call: RtpengineCall | null
  stopWatching: () => void
  lost: boolean
}

const unreachable: Anchored = { anchored: false, reason: { cause: 'internal', text: 'media anchor not reachable' } }

export class RtpengineAnchor implements MediaAnchor {
  readonly #config: MediaConfig
  readonly #log: Logger
  readonly #clock: Clock
  readonly #pool: RtpenginePool
  readonly #calls = new Map<string, Live>()
  #onLost: (id: SessionId, attempt: number) => void = () => {}

  /** Throws HUB_CONFIG without a daemon to use. */
  constructor({ config, log, clock }: { config: MediaConfig; log: Logger; clock: Clock }) {
    if (config.rtpengine.length === 0) {
      throw new HubError('HUB_CONFIG', 'media.rtpengine: the anchor "rtpengine" needs at least one daemon')
    }
    this.#config = config
    this.#log = log
    this.#clock = clock
    this.#pool = new RtpenginePool(config.rtpengine, { log, clock })
  }

  async start(onLost: (id: SessionId, attempt: number) => void): Promise<void> {
    this.#onLost = onLost
    await this.#pool.start(node => this.#gone(node))
  }

  /** Stops asking the daemons. Calls that are left stay with them. */
  close(): void {
    this.#pool.close()
    for (const live of this.#calls.values()) live.stopWatching()
  }

  offer(...[at, side, sdp]: Parameters<MediaAnchor['offer']>): Promise<Anchored> {
    return this.#inTurn(at, call => call.offer(at, side, sdp))
  }

  answer(...[at, side, sdp]: Parameters<MediaAnchor['answer']>): Promise<Anchored> {
    return this.#inTurn(at, call => call.answer(at, side, sdp))
  }

  makeOffer(...[at, side]: Parameters<MediaAnchor['makeOffer']>): Promise<Anchored> {
    return this.#inTurn(at, call => call.makeOffer(at, side))
  }

  async abandon({ id, attempt }: Anchorage): Promise<void> {
    const live = this.#calls.get(keyOf(id, attempt))
    if (live?.call === null || live === undefined) return
    const { call } = live
    await live.turns
      .take(() => call.abandon())
      .catch((error: unknown) => {
        this.#log.warn({ sessionId: id, node: call.node.name, error: messageOf(error) }, 'media not set back')
      })
  }

  async release(id: SessionId, attempt: number): Promise<MediaStats | null> {
    const key = keyOf(id, attempt)
    const live = this.#calls.get(key)
    if (live === undefined) return null
    this.#calls.delete(key)
    return live.turns.take(() => this.#forget(key, live))
  }

  async #forget(key: string, live: Live): Promise<MediaStats | null> {
    if (this.#calls.get(key) === live) this.#calls.delete(key)
    live.stopWatching()
    const { call, id } = live
    if (call === null) return null
    live.call = null
    call.node.calls--
    try {
      return await call.release()
    } catch (error) {
      // The daemon's own timeout clears the call; the records go without counters.
      this.#log.warn({ sessionId: id, node: call.node.name, error: messageOf(error) }, 'media not released')
      return null
    }
  }

  #inTurn(at: Anchorage, run: (call: RtpengineCall) => Promise<Anchored>): Promise<Anchored> {
    const key = keyOf(at.id, at.attempt)
    const known = this.#calls.get(key)
    if (known === undefined && this.#calls.size >= rtpengineLimits.callsMax) {
      return Promise.resolve({ anchored: false, reason: { cause: 'congestion', text: 'the media anchor is full' } })
    }
    const live = known ?? this.#open(key, at)
    return live.turns.take(async () => {
      // Released while it waited its turn.
      if (this.#calls.get(key) !== live) return alreadyReleased
      if (live.call !== null) return this.#ask(live.call, run)
      const result = await this.#first(live, at, run)
      // A call that was refused from the start leaves nothing behind.
      if (!result.anchored) await this.#forget(key, live)
      return result
    })
  }

  #open(key: string, { id, attempt }: Anchorage): Live {
    const live: Live = { id, attempt, turns: new Turns(), call: null, stopWatching: () => {}, lost: false }
    this.#calls.set(key, live)
    return live
  }

  /** Nothing is agreed yet, so another daemon may take what the first one did not answer. */
  async #first(live: Live, at: Anchorage, run: (call: RtpengineCall) => Promise<Anchored>): Promise<Anchored> {
    const tried: RtpengineNode[] = []
    while (tried.length < rtpengineLimits.nodesPerOffer) {
      const node = this.#pool.pick(at.id, tried)
      if (node === null) break
      tried.push(node)
      const callId = at.attempt > 1 ? `${at.id}-${at.attempt}` : at.id
      const parts = { clock: this.#clock, log: this.#log, sessionId: randomInt(1, 2 ** 47) }
      const call = new RtpengineCall(callId, node, parts)
      const result = await this.#ask(call, run)
      if (result === unreachable) continue
      live.call = call
      node.calls++
      this.#watch(live)
      return result
    }
    return unreachable
  }

  async #ask(call: RtpengineCall, run: (call: RtpengineCall) => Promise<Anchored>): Promise<Anchored> {
    try {
      return await run(call)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      this.#log.warn({ callId: call.callId, node: call.node.name, error: error.message }, 'rtpengine failed')
      if (error.code === 'HUB_RTPENGINE_TIMEOUT') {
        this.#pool.suspect(call.node)
        return unreachable
      }
      return refusal(error)
    }
  }

  #watch(live: Live): void {
    const { silenceMs } = this.#config
    live.stopWatching = this.#clock.after(Math.min(rtpengineLimits.watchMs, silenceMs / 2), () => {
      void live.turns
        .take(() => this.#look(live, silenceMs))
        .finally(() => {
          if (this.#calls.get(keyOf(live.id, live.attempt)) === live) this.#watch(live)
        })
    })
  }

  async #look(live: Live, silenceMs: number): Promise<void> {
    if (live.call === null) return
    try {
      const why = await live.call.watch(silenceMs)
      if (why !== null) this.#tellLost(live, why)
    } catch (error) {
      const forgotten = error instanceof HubError && error.code === 'HUB_RTPENGINE_REFUSED'
      if (forgotten) this.#tellLost(live, 'rtpengine has forgotten the call')
    }
  }

  #gone(node: RtpengineNode): void {
    for (const live of this.#calls.values()) {
      if (live.call?.node === node) this.#tellLost(live, `rtpengine ${node.name} is gone`)
    }
  }

  #tellLost(live: Live, why: string): void {
    if (live.lost) return
    live.lost = true
    this.#log.warn({ sessionId: live.id, attempt: live.attempt, why }, 'media lost')
    this.#onLost(live.id, live.attempt)
  }
}

const alreadyReleased: Anchored = { anchored: false, reason: { cause: 'normal', text: 'already released' } }

const keyOf = (id: SessionId, attempt: number): string => `${id}/${attempt}`

/** What the daemon's own words mean to a call. */
function refusal({ facts, message }: HubError): Anchored {
  const why = typeof facts['why'] === 'string' ? facts['why'] : message
  const full = /ran out of ports|session limit|load limit/i.test(why)
  const unreadable = /parse SDP|SDP/i.test(why)
  const cause = full ? 'congestion' : unreadable ? 'incompatible-media' : 'internal'
  return { anchored: false, reason: { cause, text: `media anchor: ${why}` } }
}
