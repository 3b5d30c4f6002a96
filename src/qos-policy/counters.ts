// How many calls each peer has, and how many it has started in the current second.

import type { Usage } from './decide.ts'

interface Count {
  calls: number
  second: number
  started: number
}

export class Counters {
  readonly #peers = new Map<string, Count>()

  usage(peerId: string, at: number): Usage {
    const count = this.#peers.get(peerId)
    if (count === undefined) return { calls: 0, startedThisSecond: 0 }
    return { calls: count.calls, startedThisSecond: count.second === Math.floor(at / 1_000) ? count.started : 0 }
  }

  /** Counts a call of this peer; `hold` says whether it lasts until `end`. */
  begin(peerId: string, at: number, hold: boolean): void {
    const second = Math.floor(at / 1_000)
    const count = this.#peers.get(peerId) ?? { calls: 0, second, started: 0 }
    const started = count.second === second ? count.started + 1 : 1
    this.#peers.set(peerId, { calls: count.calls + (hold ? 1 : 0), second, started })
  }

  end(peerId: string): void {
    const count = this.#peers.get(peerId)
    if (count !== undefined) count.calls = Math.max(0, count.calls - 1)
  }
}
