// Overload of the engine: from how late the event loop is and how much waits, to what each peer may still send.

import type { Logger } from '../../log.ts'
import type { OverloadServer, Wish } from '../overload.ts'

export const overloadLimits = {
  /** How late a timer may fire before new requests are refused. */
  lagMsMax: 300,
  /** Requests without any answer of their application before new ones are refused. */
  unansweredMax: 10_000,
  /** New requests a second that every peer may send, however late the engine is. */
  peerPerSecondMin: 10,
  /** How often the lateness is looked at, and how often conclusions are drawn. */
  lagCheckMs: 20,
  stepMs: 100,
  /** Peers whose rate is known; the others share one. */
  countedPeersMax: 1_000,
  /** How long what a peer is told holds. */
  wishMs: 500,
  /** Pause between two lines of the log about refused requests, and the peers that one names. */
  shedLogMs: 1_000,
  shedLogPeersMax: 10
} as const
export type OverloadLimits = { readonly [name in keyof typeof overloadLimits]: number }

/** What one peer sends. Rates are new requests a second. */
interface Counted {
  /** Since the last step; as a rate of about the last second; what it would send were it not told to send less. */
  recent: number
  rate: number
  wanted: number
  /** What it may still send of its share, and when that was last filled up. */
  left: number
  filledMs: number
  /** Takes part in RFC 7339: told how much to hold back. */
  obeys: boolean
  percent: number
  shed: number
}

export interface OverloadParts {
  readonly limits?: Partial<OverloadLimits>
  readonly log?: Logger
  /** Milliseconds, steady. */
  readonly now?: () => number
  /** Milliseconds since 1970: orders what peers are told. */
  readonly wallClock?: () => number
}

/** A rate follows what happens within about so many milliseconds. */
const rateMs = 1_000
/** Less than 1: what the engine takes on after a step that was late; more: after one that was in time. */
const backOffMin = 0.5
const recovery = 1.15

/**
 * Without it a busy engine answers everybody too late instead of some in time. In overload the engine takes `capacity`
 * new requests a second, and shares them out so that whoever asks for less than an even share gets all of it: the peer
 * that floods is refused first, the others go on being served.
 */
export class Overload implements OverloadServer {
  readonly #limits: OverloadLimits
  readonly #log: Logger | null
  readonly #now: () => number
  readonly #wallClock: () => number
  readonly #peers = new Map<string, Counted>()
  #timer: NodeJS.Timeout | null = null
  /** When the next tick is due; 0 before the first. */
  #due = 0
  #lateMs = 0
  #steppedMs = 0
  /** New requests a second that are taken; null: all of them. */
  #capacity: number | null = null
  /** What one peer may have of it. */
  #level = Number.POSITIVE_INFINITY
  #admitted = 0
  #admittedRate = 0
  #lastSeq = 0
  #toldMs = Number.NEGATIVE_INFINITY
  #untold = 0
  /** Requests that wait for the first answer of their application. */
  unanswered = 0
  /** Requests that were refused, ever. */
  shed = 0

  constructor({ limits, log, now, wallClock }: OverloadParts = {}) {
    this.#limits = { ...overloadLimits, ...limits }
    this.#log = log ?? null
    this.#now = now ?? (() => performance.now())
    this.#wallClock = wallClock ?? Date.now
  }

  /** Whether anything is refused at present. */
  get active(): boolean {
    return this.#capacity !== null
  }

  get peers(): number {
    return this.#peers.size
  }

  start(): void {
    this.tick()
    this.#timer = setInterval(() => this.tick(), this.#limits.lagCheckMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#due = 0
    this.#calm()
  }

  /** What the interval does: a tick that comes too late tells of the turn before it. */
  tick(): void {
    const now = this.#now()
    if (this.#due > 0) this.#lateMs = Math.max(this.#lateMs, now - this.#due)
    this.#due = now + this.#limits.lagCheckMs
    this.#stepIfDue(now)
  }

  /** Whether a new request of this peer is served. Only ordinary ones are asked about: see `goesFirst`. */
  admit(neighbour: string): boolean {
    const now = this.#now()
    // One turn of the loop may bring a second's worth of requests: no tick comes in between.
    if (this.#due > 0 && now - this.#due > this.#limits.lagMsMax) {
      this.#lateMs = Math.max(this.#lateMs, now - this.#due)
      this.#stepIfDue(now)
    }
    const peer = this.#peer(neighbour, now)
    peer.recent++
    if (this.#capacity === null || this.#takes(peer, now)) {
      this.#admitted++
      return true
    }
    peer.shed++
    this.shed++
    this.#untold++
    return false
  }

  wishFor(neighbour: string): Wish | null {
    const peer = this.#peer(neighbour, this.#now())
    peer.obeys = true
    if (this.#capacity === null || peer.percent === 0) return null
    // Never the same twice, whatever the clock does (RFC 7339, 4.4): hundredths of a millisecond.
    this.#lastSeq = Math.max(this.#lastSeq + 1, this.#wallClock() * 100)
    const fraction = String(this.#lastSeq % 100_000).padStart(5, '0')
    const seq = `${Math.floor(this.#lastSeq / 100_000)}.${fraction}`
    return { percent: peer.percent, validityMs: this.#limits.wishMs, seq }
  }

  /** Out of the peer's share. Who holds back by itself may exceed it by half, since rates are estimates. */
  #takes(peer: Counted, now: number): boolean {
    if (!Number.isFinite(this.#level)) return true
    const perSecond = this.#level * (peer.obeys ? 1.5 : 1)
    peer.left = Math.min(perSecond, peer.left + ((now - peer.filledMs) / 1_000) * perSecond)
    peer.filledMs = now
    if (peer.left < 1) return false
    peer.left--
    return true
  }

  #peer(neighbour: string, now: number): Counted {
    const known = this.#peers.get(neighbour) ?? (this.#isFull ? this.#peers.get(others) : undefined)
    if (known !== undefined) return known
    const left = this.#level
    const peer: Counted = {
      ...unheard,
      left: Number.isFinite(left) ? left : this.#limits.peerPerSecondMin,
      filledMs: now
    }
    this.#peers.set(this.#isFull ? others : neighbour, peer)
    return peer
  }

  get #isFull(): boolean {
    return this.#peers.size >= this.#limits.countedPeersMax
  }

  #stepIfDue(now: number): void {
    if (this.#steppedMs === 0) this.#steppedMs = now
    const passed = now - this.#steppedMs
    if (passed < this.#limits.stepMs) return
    this.#steppedMs = now
    this.#measure(passed)
    this.#decide(now)
    this.#lateMs = 0
    this.#tell(now)
  }

  #measure(passedMs: number): void {
    const weight = 1 - Math.exp(-passedMs / rateMs)
    const rated = (rate: number, count: number): number => rate + ((count * 1_000) / passedMs - rate) * weight
    this.#admittedRate = rated(this.#admittedRate, this.#admitted)
    this.#admitted = 0
    for (const [neighbour, peer] of this.#peers) {
      peer.rate = rated(peer.rate, peer.recent)
      peer.recent = 0
      peer.wanted = peer.obeys ? peer.rate / (1 - Math.min(peer.percent, 95) / 100) : peer.rate
      if (peer.rate < 0.01 && peer.shed === 0) this.#peers.delete(neighbour)
    }
  }

  /** Takes on less where the step was late, carefully more where it was not, until there is nothing to refuse. */
  #decide(now: number): void {
    const load = Math.max(this.#lateMs / this.#limits.lagMsMax, this.unanswered / this.#limits.unansweredMax)
    const wanted = [...this.#peers.values()].reduce((sum, peer) => sum + peer.wanted, 0)
    const wasCalm = this.#capacity === null
    if (load > 1) {
      const before = Math.min(this.#capacity ?? Number.POSITIVE_INFINITY, Math.max(this.#admittedRate, 1))
      this.#capacity = before * Math.max(backOffMin, 1 / load)
    } else if (this.#capacity !== null) {
      this.#capacity = this.#capacity * recovery + 1
      if (this.#capacity > wanted * 1.5) {
        this.#calm()
        return
      }
    }
    if (this.#capacity === null) return
    this.#level = Math.max(
      evenLevel(
        [...this.#peers.values()].map(peer => peer.wanted),
        this.#capacity
      ),
      this.#limits.peerPerSecondMin
    )
    for (const peer of this.#peers.values()) {
      peer.percent = peer.wanted <= this.#level ? 0 : Math.round((1 - this.#level / peer.wanted) * 100)
      if (!wasCalm) continue
      peer.left = this.#level
      peer.filledMs = now
    }
  }

  #calm(): void {
    this.#capacity = null
    this.#level = Number.POSITIVE_INFINITY
    for (const peer of this.#peers.values()) peer.percent = 0
  }

  /** What was refused, by peer: one line a second, not one a call. */
  #tell(now: number): void {
    if (this.#untold === 0 || now - this.#toldMs < this.#limits.shedLogMs) return
    const shed = [...this.#peers].filter(([, peer]) => peer.shed > 0).sort(([, a], [, b]) => b.shed - a.shed)
    const peers = Object.fromEntries(
      shed.slice(0, this.#limits.shedLogPeersMax).map(([neighbour, peer]) => [neighbour, peer.shed])
    )
    this.#log?.warn({ shed: this.#untold, peers, unanswered: this.unanswered }, 'overload: new requests were refused')
    for (const [, peer] of shed) peer.shed = 0
    this.#untold = 0
    this.#toldMs = now
  }
}

/** Whoever is beyond the bound of peers. */
const others = ''
const unheard = { recent: 0, rate: 0, wanted: 0, left: 0, filledMs: 0, obeys: false, percent: 0, shed: 0 }

/** The most that one may have so that all together have `capacity`; who wants less leaves the rest to the others. */
export function evenLevel(wanted: readonly number[], capacity: number): number {
  const rising = wanted.toSorted((a, b) => a - b)
  let left = capacity
  for (const [index, one] of rising.entries()) {
    const share = left / (rising.length - index)
    if (one > share) return share
    left -= one
  }
  return Number.POSITIVE_INFINITY
}
