// Where a plain RTP peer really is (MED-09): learnt from its packets, then locked. Strangers are dropped, and whoever
// was faster than the address that the peer's own SDP names loses to it.

import type { Address } from './facts.ts'

/** `packetsToLock`: packets from one source before it is the peer for good. `sourcesMax`: rivals weighed meanwhile. */
export const latchLimits = { packetsToLock: 5, sourcesMax: 4 } as const

export class Latch {
  #declared: Address | null = null
  #locked: Address | null = null
  #leader: string | null = null
  readonly #counts = new Map<string, number>()

  /** What the peer's SDP says. The same again keeps what was learnt; something else begins anew. */
  declare(address: Address | null): void {
    if (same(address, this.#declared)) return
    this.#declared = address
    this.#locked = null
    this.#leader = null
    this.#counts.clear()
  }

  get locked(): boolean {
    return this.#locked !== null
  }

  /** Where to send: what was learnt, or what was said until then. */
  get target(): Address | null {
    return this.#locked ?? this.#declared
  }

  /** Whether a packet from there comes from the peer. The declared address always wins over a stranger. */
  accept(host: string, port: number): boolean {
    const declared = this.#declared?.port === port && this.#declared.host === host
    if (this.#locked !== null) {
      if (declared) this.#locked = { host, port }
      return this.#locked.port === port && this.#locked.host === host
    }
    const name = `${host} ${port}`
    if (declared || this.#leader === null) this.#leader = name
    if (!this.#counts.has(name) && this.#counts.size === latchLimits.sourcesMax && !declared) return false
    const count = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, count)
    if (this.#leader !== name) {
      const rival = this.#declared === null ? null : `${this.#declared.host} ${this.#declared.port}`
      if (rival === this.#leader || count < latchLimits.packetsToLock) return false
      this.#leader = name
    }
    if (count >= latchLimits.packetsToLock) this.#locked = { host, port }
    return true
  }
}

export const same = (a: Address | null, b: Address | null): boolean =>
  a === b || (a !== null && b !== null && a.host === b.host && a.port === b.port)
