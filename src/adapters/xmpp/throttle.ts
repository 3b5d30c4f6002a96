// How fast one island is read: a bucket of stanzas. When it is empty nothing is read, so the server itself has to wait.

import type { Clock } from '../../session/ports.ts'
import type { Limits } from './limits.ts'

export interface ThrottleParts {
  readonly limits: Pick<Limits, 'stanzasBurst' | 'stanzasPerSecond'>
  readonly clock: Clock
}

export class Throttle {
  readonly #parts: ThrottleParts
  #tokens: number
  #at: number

  constructor(parts: ThrottleParts) {
    this.#parts = parts
    this.#tokens = parts.limits.stanzasBurst
    this.#at = parts.clock.now()
  }

  /** Takes `stanzas`; returns for how many milliseconds nothing may be read. */
  take(stanzas: number): number {
    const { stanzasBurst, stanzasPerSecond } = this.#parts.limits
    const now = this.#parts.clock.now()
    const earned = (Math.max(0, now - this.#at) * stanzasPerSecond) / 1_000
    this.#tokens = Math.min(stanzasBurst, this.#tokens + earned) - stanzas
    this.#at = now
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1_000) / stanzasPerSecond)
  }
}
