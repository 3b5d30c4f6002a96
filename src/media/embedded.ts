// The embedded media anchor: Node sockets for RTP/AVP, werift for WebRTC, no transcoding. G.711, G.722, Opus and AMR
// pass through; payload types are rewritten, SSRCs and sequence numbers stay.

import { randomInt } from 'node:crypto'
import type { MediaConfig } from '../config.ts'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { MediaStats, SessionId } from '../session/model.ts'
import type { Anchorage, Anchored, Clock, MediaAnchor } from '../session/ports.ts'
import { AnchoredCall } from './anchored-call.ts'
import { PortPool } from './port-pool.ts'
import { Turns } from './turns.ts'

/** `watchMs`: how often a call is asked whether its peers still speak. */
export const embeddedLimits = { watchMs: 5_000, callsMax: 20_000 } as const

interface Live {
  readonly call: AnchoredCall
  readonly turns: Turns
  /** Something was anchored. */
  used: boolean
  stopWatching: () => void
}

export class EmbeddedAnchor implements MediaAnchor {
  readonly #config: MediaConfig
  readonly #log: Logger
  readonly #clock: Clock
  readonly #pool: PortPool
  readonly #calls = new Map<string, Live>()
  #onLost: (id: SessionId, attempt: number) => void = () => {}

  /** Throws HUB_CONFIG where the port range is empty. */
  constructor({ config, log, clock }: { config: MediaConfig; log: Logger; clock: Clock }) {
    this.#config = config
    this.#log = log
    this.#clock = clock
    const { address, portMin, portMax } = config
    this.#pool = new PortPool({ address, portMin, portMax, start: randomInt(1_000) / 1_000 })
  }

  /** Ports lent now, in pairs. */
  get portPairs(): number {
    return this.#pool.lent
  }

  start(onLost: (id: SessionId, attempt: number) => void): Promise<void> {
    this.#onLost = onLost
    return Promise.resolve()
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

  async abandon(at: Anchorage): Promise<void> {
    const live = this.#calls.get(keyOf(at.id, at.attempt))
    if (live === undefined) return
    await live.turns.take(() => live.call.abandon())
  }

  async release(id: SessionId, attempt: number): Promise<MediaStats | null> {
    const key = keyOf(id, attempt)
    const live = this.#calls.get(key)
    if (live === undefined) return null
    this.#forget(key, live)
    return live.turns.take(() => live.call.close())
  }

  #inTurn(at: Anchorage, run: (call: AnchoredCall) => Promise<Anchored>): Promise<Anchored> {
    const key = keyOf(at.id, at.attempt)
    const known = this.#calls.get(key)
    if (known === undefined && this.#calls.size >= embeddedLimits.callsMax) {
      return Promise.resolve({ anchored: false, reason: { cause: 'congestion', text: 'the media anchor is full' } })
    }
    const live = known ?? this.#open(key, at)
    return live.turns.take(async () => {
      // Released while it waited its turn.
      if (this.#calls.get(key) !== live) return alreadyReleased
      const result = await run(live.call)
      if (result.anchored) live.used = true
      // A call that was refused from the start leaves nothing behind.
      else if (!live.used) this.#forget(key, live)
      return result
    })
  }

  #open(key: string, { id, attempt }: Anchorage): Live {
    const log = this.#log.child({ sessionId: id, attempt })
    const lost = (why: string): void => {
      log.warn({ why }, 'media lost')
      this.#onLost(id, attempt)
    }
    const call = new AnchoredCall({ pool: this.#pool, clock: this.#clock, log, lost }, randomInt(1, 2 ** 47))
    const live: Live = { call, turns: new Turns(), used: false, stopWatching: () => {} }
    this.#calls.set(key, live)
    this.#watch(live)
    return live
  }

  #forget(key: string, live: Live): void {
    if (this.#calls.get(key) === live) this.#calls.delete(key)
    live.stopWatching()
  }

  #watch(live: Live): void {
    const { silenceMs } = this.#config
    live.stopWatching = this.#clock.after(Math.min(embeddedLimits.watchMs, silenceMs / 2), () => {
      try {
        live.call.watch(silenceMs)
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, 'watching media failed')
      }
      this.#watch(live)
    })
  }
}

const alreadyReleased: Anchored = { anchored: false, reason: { cause: 'normal', text: 'already released' } }

const keyOf = (id: SessionId, attempt: number): string => `${id}/${attempt}`
