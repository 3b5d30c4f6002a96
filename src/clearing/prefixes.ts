// Longest prefix of a number among the rows that are valid at a moment for a caller: a trie of twelve bytes a node, and
// when its rows count beside it.

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
 * one for every origin; of two that overlap in time the one that came into force last stands. Throws RangeError for a
 * prefix that is not a plus sign and digits.
 */
export function createPrefixTable<Row extends PrefixRow>(rows: readonly Row[]): PrefixTable<Row> {
  const wrong = rows.find(({ prefix }) => !isPrefix.test(prefix))
  if (wrong !== undefined) throw new RangeError(`no prefix: ${wrong.prefix.slice(0, numberCharsMax)}`)
  const sorted = rows.toSorted(inOrder)
  const nodes = trieOf(sorted)
  const marks = marksOf(sorted)
  const times = timesOf(sorted, marks)
  const found = new Int32Array(numberCharsMax)

  function applicable(first: number, at: EpochMs, { origin, quality }: Caller): Row | null {
    for (let n = first; ; n++) {
      const mark = marks[n] ?? 0
      if ((mark & isDated) === 0 || (at >= (times[2 * n] ?? Infinity) && at < (times[2 * n + 1] ?? 0))) {
        const row = sorted[n]
        if (row !== undefined && ((mark & isForSome) === 0 || isFor(row, origin, quality))) return row
      }
      if ((mark & hasNext) === 0) return null
    }
  }

  return {
    match(number, at, caller = anybody) {
      // Down first, then rows from the longest prefix back: most are never looked at.
      let [node, depth] = [0, 0]
      const everything = nodes[rowOfNode] ?? none
      if (everything !== none) found[depth++] = everything
      const text = number ?? ''
      const end = Math.min(text.length, numberCharsMax)
      for (let n = 1; n < end; n++) {
        const digit = digitAt(text, n)
        const digits = nodes[node + digitsOfNode] ?? 0
        if (digit < 0 || (digits & (1 << digit)) === 0) break
        const before = bitsOf[digits & ((1 << digit) - 1)] ?? 0
        node = (nodes[node + childOfNode] ?? 0) + before * wordsOfNode
        const row = nodes[node + rowOfNode] ?? none
        if (row !== none) found[depth++] = row
      }
      while (depth > 0) {
        const row = applicable(found[--depth] ?? 0, at, caller)
        if (row !== null) return row
      }
      return null
    }
  }
}

const isPrefix = /^\+[0-9]*$/
/** Longer than any number (E.164: 15 digits); what follows prices nothing. */
const numberCharsMax = 32

/** A node: where its first child stands, which digits it has children for, and its first row. */
const wordsOfNode = 3
const [childOfNode, digitsOfNode, rowOfNode] = [0, 1, 2] as const
const none = -1
/** How many bits are set in a set of digits. */
const bitsOf = Uint8Array.from({ length: 1 << 10 }, (_, digits) => digits.toString(2).replaceAll('0', '').length)

/** Level by level, so that the children of a node lie side by side. `rows` are in the order of their prefixes. */
function trieOf(rows: readonly PrefixRow[]): Int32Array {
  const words: number[] = []
  let level = [{ from: 0, to: rows.length }]
  let nodes = 1
  for (let depth = 1; level.length > 0; depth++) {
    const next: typeof level = []
    for (const { from, to } of level) {
      const own = rows[from]?.prefix.length === depth ? from : none
      let [at, digits] = [from, 0]
      while (at < to && rows[at]?.prefix.length === depth) at += 1
      words.push((nodes + next.length) * wordsOfNode, 0, own)
      while (at < to) {
        const begin = at
        const digit = digitAt(rows[at]?.prefix ?? '', depth)
        while (at < to && digitAt(rows[at]?.prefix ?? '', depth) === digit) at += 1
        digits |= 1 << digit
        next.push({ from: begin, to: at })
      }
      words[words.length - 2] = digits
    }
    nodes += next.length
    level = next
  }
  return Int32Array.from(words)
}

/** From and to of each row; nothing where no row is dated. */
function timesOf(rows: readonly PrefixRow[], marks: Uint8Array): Float64Array {
  const times = new Float64Array(marks.some(mark => (mark & isDated) !== 0) ? rows.length * 2 : 0)
  if (times.length === 0) return times
  for (const [n, { effectiveFrom, effectiveTo }] of rows.entries()) {
    times[2 * n] = effectiveFrom
    times[2 * n + 1] = effectiveTo ?? Infinity
  }
  return times
}

/** The row is not for every caller. */
const isForSome = 1
/** The next row is of the same prefix. */
const hasNext = 2
/** The row begins after 1970, or ends. */
const isDated = 4

const marksOf = (rows: readonly PrefixRow[]): Uint8Array =>
  Uint8Array.from(rows, ({ prefix, origin, quality, effectiveFrom, effectiveTo }, n) => {
    const callers = origin !== null || quality !== null ? isForSome : 0
    const next = rows[n + 1]?.prefix === prefix ? hasNext : 0
    return callers + next + (effectiveFrom > 0 || effectiveTo !== null ? isDated : 0)
  })

const isFor = (row: PrefixRow, origin: string | null, quality: string | null): boolean =>
  (row.origin === null || row.origin === origin) && (row.quality === null || row.quality === quality)

const zero = 48
/** -1 for what is no digit. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - zero
  return digit >= 0 && digit <= 9 ? digit : -1
}

/** By prefix, then the one that goes before the other. */
const inOrder = (a: PrefixRow, b: PrefixRow): number =>
  a.prefix === b.prefix ? before(a, b) : a.prefix < b.prefix ? -1 : 1

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
