// By how much the partner's clock is ahead of ours: where most of the calls that cannot be mistaken agree. Pure.

import { limits } from './model.ts'

/**
 * `deltasMs`: their time less ours, of calls that either side has once to a number. The middle of the densest stretch
 * of twice the tolerance; 0 where too few agree.
 */
export function clockOffset(deltasMs: readonly number[], toleranceMs: number): number {
  const sorted = deltasMs.filter(delta => Math.abs(delta) <= limits.offsetMsMax).toSorted((a, b) => a - b)
  let [best, from, first] = [0, 0, 0]
  for (const [n, delta] of sorted.entries()) {
    while ((sorted[first] ?? 0) < delta - 2 * toleranceMs) first += 1
    if (n - first + 1 > best) [best, from] = [n - first + 1, first]
  }
  // A few calls that happen to be near each other say nothing of a clock.
  if (best < limits.offsetSamplesMin || best * 2 <= sorted.length) return 0
  const offset = sorted[from + Math.floor((best - 1) / 2)] ?? 0
  // Clocks that agree within a second do agree: times are often written in whole seconds.
  return Math.abs(offset) < 1_000 ? 0 : offset
}
