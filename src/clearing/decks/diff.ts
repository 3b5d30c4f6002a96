// What a new deck changes against the one before it: new, dearer, cheaper and closed codes, and whether an increase
// keeps its notice (RATE-02, SET-10). Pure.

import type { EpochMs } from '../../session/model.ts'
import { printRate } from '../money.ts'
import { keyOf } from './deck-row.ts'
import type { DeckRow } from './deck-row.ts'

export const changes = ['new', 'increase', 'decrease', 'other', 'blocked', 'closed', 'no change'] as const
export type Change = (typeof changes)[number]

export interface DeckChange {
  readonly change: Change
  readonly prefix: string
  readonly destination: string
  readonly origin: string | null
  readonly quality: string | null
  readonly timeClass: string
  /** Decimal text; null where there is none. */
  readonly before: string | null
  readonly after: string | null
  /** Null: as soon as the version is in force. */
  readonly from: EpochMs | null
  /** A closed code may still be priced by a shorter one. */
  readonly nowPricedBy: string | null
}

export interface DeckDiff {
  readonly counts: Readonly<Record<Change, number>>
  /** All but those without a change, by prefix. */
  readonly changes: readonly DeckChange[]
  /** Prefixes of the base, and how many of them the new deck does not have. */
  readonly codes: number
  readonly closedCodes: number
}

/** What a caller pays and how it is counted: increments that grow cost more. */
const priceOf = (row: DeckRow): readonly bigint[] => [
  row.rateNanos,
  row.setupFeeNanos,
  BigInt(row.minimumSeconds),
  BigInt(row.initialSeconds),
  BigInt(row.nextSeconds)
]

function changeOf(before: DeckRow, after: DeckRow): Change {
  if (after.blocked !== before.blocked) return after.blocked ? 'blocked' : 'new'
  const [old, next] = [priceOf(before), priceOf(after)]
  if (next.some((price, n) => price > (old[n] ?? 0n))) return 'increase'
  if (next.some((price, n) => price < (old[n] ?? 0n))) return 'decrease'
  return after.destination === before.destination ? 'no change' : 'other'
}

const validAt = (rows: readonly DeckRow[] | undefined, at: EpochMs): DeckRow | null =>
  rows?.find(row => (row.effectiveFrom ?? 0) <= at && (row.effectiveTo ?? Infinity) > at) ?? null

/** `at`: when the new deck comes into force; what the base has then is compared with all that comes. */
export function diffDecks(base: readonly DeckRow[], next: readonly DeckRow[], at: EpochMs): DeckDiff {
  const [old, fresh] = [Map.groupBy(base, keyOf), Map.groupBy(next, keyOf)]
  const codesOf = (rows: readonly DeckRow[]): ReadonlySet<string> => new Set(rows.map(({ prefix }) => prefix))
  const valid = base.filter(row => validAt([row], at) !== null || (row.effectiveFrom ?? 0) > at)
  const [codes, kept] = [codesOf(valid), codesOf(next)]
  const counts = Object.fromEntries(changes.map(change => [change, 0])) as Record<Change, number>
  const found: DeckChange[] = []
  const add = (change: Change, before: DeckRow | null, after: DeckRow | null): void => {
    counts[change] += 1
    const row = after ?? before
    if (change === 'no change' || row === null) return
    found.push({
      change,
      prefix: row.prefix,
      destination: row.destination,
      origin: row.origin,
      quality: row.quality,
      timeClass: row.timeClass,
      before: before === null ? null : printRate(before.rateNanos),
      after: after === null ? null : printRate(after.rateNanos),
      from: after?.effectiveFrom ?? null,
      nowPricedBy: change === 'closed' ? shorterOf(row.prefix, kept) : null
    })
  }
  for (const [key, rows] of fresh) {
    const before = validAt(old.get(key), at)
    // Later rows are compared with what holds until they begin.
    let last = before
    let same = true
    for (const row of rows.toSorted((a, b) => (a.effectiveFrom ?? 0) - (b.effectiveFrom ?? 0))) {
      const change = last === null ? 'new' : changeOf(last, row)
      if (change !== 'no change') add(change, last, row)
      same &&= change === 'no change'
      last = row
    }
    if (same) counts['no change'] += 1
  }
  for (const [key, rows] of old) {
    const before = validAt(rows, at)
    if (before !== null && !fresh.has(key)) add('closed', before, null)
  }
  found.sort((a, b) => (a.prefix < b.prefix ? -1 : Number(a.prefix > b.prefix)))
  return { counts, changes: found, codes: codes.size, closedCodes: [...codes].filter(code => !kept.has(code)).length }
}

function shorterOf(prefix: string, codes: ReadonlySet<string>): string | null {
  for (let length = prefix.length - 1; length > 0; length--) {
    const shorter = prefix.slice(0, length)
    if (codes.has(shorter)) return shorter
  }
  return null
}

const dayMs = 86_400_000

/** Increases that begin before their notice has run out. `known`: when the other side could know of them. */
export function withoutNotice(
  diff: DeckDiff,
  known: EpochMs,
  inForceFrom: EpochMs,
  noticeDays: number
): readonly DeckChange[] {
  const earliest = known + noticeDays * dayMs
  return diff.changes.filter(({ change, from }) => change === 'increase' && Math.max(from ?? 0, inForceFrom) < earliest)
}
