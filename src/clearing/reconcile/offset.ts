// By how much the partner's clock is ahead of ours: where most of the calls agree. Pure.

import { limits } from './model.ts'

export interface ClockSample {
  /** How many of their calls were looked at that may be one of ours. */
  readonly calls: number
  /** Their time less ours, for each of ours that it may be. */
  readonly deltasMs: readonly number[]
}

/** The middle of where most differences are; 0 where fewer than half of the calls are near it. */
export function clockOffset({ calls, deltasMs }: ClockSample, toleranceMs: number): number {
  const sorted = deltasMs.filter(delta => Math.abs(delta) <= limits.offsetMsMax).toSorted((a, b) => a - b)
  let [best, from, first] = [0, 0, 0]
  for (const [n, delta] of sorted.entries()) {
    while ((sorted[first] ?? 0) < delta - limits.offsetPeakMs) first += 1
    if (n - first + 1 > best) [best, from] = [n - first + 1, first]
  }
  const offset = sorted[from + Math.floor((best - 1) / 2)] ?? 0
  const near = sorted.filter(delta => Math.abs(delta - offset) <= toleranceMs).length
  // A few calls that happen to be near each other say nothing of a clock.
  if (near < limits.offsetSamplesMin || near * 2 < calls) return 0
  // Clocks that agree within a second do agree: times are often written in whole seconds.
  return Math.abs(offset) < 1_000 ? 0 : offset
}
