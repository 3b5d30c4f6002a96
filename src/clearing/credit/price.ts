// What a call under way costs so far, and how long it may last for what there is: the prices of the rating engine,
// asked in advance. Pure.

import type { EpochMs } from '../../session/model.ts'
import type { Agreement } from '../agreements.ts'
import { rateByModel } from '../pricing.ts'
import type { RateRow } from '../rating.ts'

export const limits = {
  /** Between the end of what was granted and the moment at which the call has ended: timers are late. */
  endingMs: 1_000,
  /** Less is not worth a call. */
  leastMs: 1_000
} as const

/** What prices a call or a message. */
export interface Subject {
  readonly agreement: Agreement
  readonly row: RateRow
  readonly isText: boolean
}

/** What something takes of an account, or what there is to take. */
export interface Means {
  readonly micros: bigint
  /** Free units: seconds, or messages. */
  readonly freeUnits: bigint
}
export const nothing: Means = { micros: 0n, freeUnits: 0n }

/** What `durationMs` from `at` on cost; free units go first, as far as they reach (COM-02). */
export function costOf(
  { agreement, row, isText }: Subject,
  at: EpochMs,
  durationMs: number,
  freeUnits: bigint
): Means & { readonly billedUnits: bigint } {
  const hasFree = agreement.model === 'freemium'
  const standing = hasFree ? { unitsBefore: agreement.freeUnits - freeUnits, unitsTotal: 0n } : null
  const rated = rateByModel(agreement, row, { at, durationMs, isText }, standing)
  const billedUnits = BigInt(rated.billedUnits)
  const used = hasFree && freeUnits > 0n ? (billedUnits < freeUnits ? billedUnits : freeUnits) : 0n
  return { micros: rated.amountMicros, freeUnits: used, billedUnits }
}

/** What costs nothing is never too dear, whatever is left. */
const isWithin = ({ micros }: Means, { micros: left }: Means): boolean => micros === 0n || micros <= left

/** The longest time up to `mostMs` that `left` pays for; null: not even the least that an answered call costs. */
export function affordableMs(subject: Subject, at: EpochMs, mostMs: number, left: Means): number | null {
  const reaches = (ms: number): boolean => isWithin(costOf(subject, at, ms, left.freeUnits), left)
  if (reaches(mostMs)) return mostMs
  if (!reaches(0)) return null
  let [yes, no] = [0, mostMs]
  while (no - yes > 1) {
    const middle = Math.floor((yes + no) / 2)
    if (reaches(middle)) yes = middle
    else no = middle
  }
  return yes
}

export interface Allotment {
  readonly grantedMs: number
  /** With the grace, and the time that ending takes. */
  readonly cost: Means
}

/** Time up to `wantedMs` in all; null: there is no more than `grantedMs`, which the call has already. */
export function allot(
  subject: Subject,
  at: EpochMs,
  { grantedMs, wantedMs, left }: { readonly grantedMs: number; readonly wantedMs: number; readonly left: Means }
): Allotment | null {
  const spareMs = subject.agreement.credit.graceMs + limits.endingMs
  const reachedMs = affordableMs(subject, at, wantedMs + spareMs, left)
  const newMs = (reachedMs ?? 0) - spareMs
  if (reachedMs === null || newMs < grantedMs + limits.leastMs) return null
  return { grantedMs: newMs, cost: costOf(subject, at, newMs + spareMs, left.freeUnits) }
}

/** At the dearest of its times, for a call of which nobody knows yet when it will be answered. */
export function dearest(subject: Subject): Subject {
  const { row } = subject
  if (row.bands.length === 0) return subject
  const rateNanos = row.bands.reduce((most, band) => (band.rateNanos > most ? band.rateNanos : most), row.rateNanos)
  return { ...subject, row: { ...row, rateNanos, bands: [] } }
}
