// Retransmission by the transaction user: 2xx to INVITE (RFC 3261, 13.3.1.4) and reliable 1xx (RFC 3262, 3).

import { systemClock } from './timers.ts'

export interface Retransmission {
  readonly T1: number
  /** The longest gap: T2 for a 2xx; infinite for a reliable 1xx, whose gaps only double. */
  readonly gapMsMax: number
  readonly again: () => void
  /** 64*T1 have passed and nothing stopped it. */
  readonly expired: () => void
}

/** Calls `again` after T1, 3*T1, 7*T1 ... until stopped, at last `expired` instead. Returns what stops it. */
export function retransmit({ T1, gapMsMax, again, expired }: Retransmission): () => void {
  let gap = T1
  let left = 64 * T1
  let timer = systemClock.set(gap, run, null)
  function run(): void {
    left -= gap
    if (left <= 0) {
      expired()
      return
    }
    again()
    gap = Math.min(gap * 2, gapMsMax, left)
    timer = systemClock.set(gap, run, null)
  }
  return () => systemClock.clear(timer)
}
