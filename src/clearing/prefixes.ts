// Longest prefix of a number among the rows that are valid at a moment for a caller: a trie in one array, ten children
// a node.

import type { EpochMs } from '../session/model.ts'

export interface PrefixRow {
  /** With its plus sign; `+` alone matches everything, also what has no number. */
  readonly prefix: string
  /** The set of callers it is for (RATE-05); null: everybody. */
  readonly origin: string | null
  /** The quality class it is for; null: every one. */
  readonly quality: string | null
  readonly effectiveFrom: EpochMs
  /** Null: until further notice. The row is not valid at this moment any more. */
  readonly effectiveTo: EpochMs | null
}

/** Who calls, and in which quality: what rows may be kept for. */
export interface Caller {
  /** The set its number falls into, `unknown` where it has none, null where it falls into none. */
  readonly origin: string | null
  readonly quality: string | null
}
export const anybody: Caller = { origin: null, quality: null }

export interface PrefixTable<Row extends PrefixRow> {
  /** `number` as +E.164, or null for a party that has none. */
  match(number: string | null, at: EpochMs, caller?: Caller): Row | null
}

/**
 * Of the rows of one prefix one for the quality class goes before one for every class, then one for the origin before
 * one for every origin; of two that overlap in time the one that came into force last stands.
 */
export function createPrefixTable<Row extends PrefixRow>(rows: readonly Row[]): PrefixTable<Row> {
  const nodesMax = rows.reduce((sum, { prefix }) => sum + prefix.length, 1)
  const grown = new Int32Array(nodesMax * 10)
  const rowsOf: (readonly Row[])[] = [none]
  // In this order the nodes of one number lie side by side, where the processor reads them at once.
  for (const row of rows.toSorted((a, b) => (a.prefix < b.prefix ? -1 : Number(a.prefix > b.prefix)))) {
    let node = 0
    for (let n = 1; n < row.prefix.length; n++) {
      const digit = digitAt(row.prefix, n)
      if (digit < 0) break
      const at = node * 10 + digit
      if (grown[at] === 0) grown[at] = rowsOf.push(none) - 1
      node = grown[at] ?? 0
    }
    const known = rowsOf[node] ?? none
    rowsOf[node] = known.length === 0 ? [row] : [...known, row].sort(before)
  }
  // Decks share most of their digits: what was not needed goes back.
  const children = grown.slice(0, rowsOf.length * 10)

  const path = new Int32Array(numberCharsMax)
  return {
    match(number, at, caller = anybody) {
      // Down first, then rows from the longest prefix back: most are never looked at.
      let [node, depth] = [0, 0]
      const text = number ?? ''
      for (let n = 1; n < text.length && depth < numberCharsMax; n++) {
        const digit = digitAt(text, n)
        node = digit < 0 ? 0 : (children[node * 10 + digit] ?? 0)
        if (node === 0) break
        path[depth++] = node
      }
      for (; depth >= 0; depth--) {
        const rows = rowsOf[depth === 0 ? 0 : (path[depth - 1] ?? 0)]
        const row = rows === none || rows === undefined ? null : applicable(rows, at, caller)
        if (row !== null) return row
      }
      return null
    }
  }
}

/** Longer than any number (E.164: 15 digits); what follows prices nothing. */
const numberCharsMax = 32
const none: readonly never[] = []

/** -1 for what is no digit. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 48
  return digit >= 0 && digit <= 9 ? digit : -1
}

function applicable<Row extends PrefixRow>(rows: readonly Row[], at: EpochMs, { origin, quality }: Caller): Row | null {
  for (const row of rows) {
    if (row.effectiveFrom > at || (row.effectiveTo !== null && at >= row.effectiveTo)) continue
    if (row.origin !== null && row.origin !== origin) continue
    if (row.quality !== null && row.quality !== quality) continue
    return row
  }
  return null
}

const before = (a: PrefixRow, b: PrefixRow): number =>
  Number(a.quality === null) - Number(b.quality === null) ||
  Number(a.origin === null) - Number(b.origin === null) ||
  b.effectiveFrom - a.effectiveFrom

/** Which of named sets of prefixes a number falls into: the one with its longest prefix. */
export function createOrigins(
  sets: Readonly<Record<string, readonly string[]>>
): (number: string | null) => string | null {
  const rows = Object.entries(sets).flatMap(([name, prefixes]) =>
    prefixes.map(prefix => ({ prefix, name, origin: null, quality: null, effectiveFrom: 0, effectiveTo: null }))
  )
  if (rows.length === 0) return number => (number === null ? unknownOrigin : null)
  const table = createPrefixTable(rows)
  return number => (number === null ? unknownOrigin : (table.match(number, 0)?.name ?? null))
}

/** A caller without a valid number. */
export const unknownOrigin = 'unknown'
