// Waits between attempts to connect: doubled each time, with jitter, so that many hubs do not come back as one.

import type { Clock } from '../../session/ports.ts'
import type { Limits } from './limits.ts'

export interface BackOffParts {
  readonly limits: Pick<Limits, 'backOffMs' | 'backOffMsMax'>
  readonly clock: Clock
  /** 0 <= n < 1 */
  readonly random?: () => number
}

export class BackOff {
  readonly #parts: BackOffParts
  #attempts = 0
  #cancel: (() => void) | null = null

  constructor(parts: BackOffParts) {
    this.#parts = parts
  }

  /** Runs after the next wait, in place of what was waiting; returns that wait. `longest`: the full wait at once. */
  again(run: () => void, longest = false): number {
    const { limits, clock, random = Math.random } = this.#parts
    const full = longest ? limits.backOffMsMax : Math.min(limits.backOffMs * 2 ** this.#attempts, limits.backOffMsMax)
    const ms = Math.round(full * (1 - random() / 2))
    this.#attempts = Math.min(this.#attempts + 1, 30)
    this.stop()
    this.#cancel = clock.after(ms, () => {
      this.#cancel = null
      run()
    })
    return ms
  }

  reset(): void {
    this.#attempts = 0
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }
}
