// When a call has gone quiet for too long (MED-11). Pure.

import { sides } from '../session/model.ts'
import type { Side } from '../session/model.ts'

export interface Hearing {
  /** False while the side need not send: on hold, nothing agreed. */
  readonly expected: boolean
  /** Epoch milliseconds; null: never. */
  readonly heardAt: number | null
}

/**
 * The sides that are lost, or none. A side that has spoken is lost when it falls silent; sides that never spoke
 * (announcement machines hear only) are lost when both did not.
 */
export function lostSides(
  hearing: Readonly<Record<Side, Hearing>>,
  since: number,
  now: number,
  silenceMs: number
): readonly Side[] {
  const silent = sides.filter(side => {
    const { expected, heardAt } = hearing[side]
    return expected && now - Math.max(heardAt ?? 0, since) >= silenceMs
  })
  const spoke = silent.some(side => hearing[side].heardAt !== null)
  return spoke || silent.length === sides.length ? silent : []
}
