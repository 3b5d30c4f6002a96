// Longest prefix of a number among the rows that are valid at a moment: a trie in one array, ten children a node.

import type { EpochMs } from '../session/model.ts'

export interface PrefixRow {
  /** With its plus sign; `+` alone matches everything, also what has no number. */
  readonly prefix: string
  readonly effectiveFrom: EpochMs
  /** Null: until further notice. The row is not valid at this moment any more. */
  readonly effectiveTo: EpochMs | null
}

export interface PrefixTable<Row extends PrefixRow> {
  /** `number` as +E.164, or null for a party that has none. */
  match(number: string | null, at: EpochMs): Row | null
}

const isValid = (row: PrefixRow, at: EpochMs): boolean =>
  row.effectiveFrom <= at && (row.effectiveTo === null || at < row.effectiveTo)

/** Two rows of one prefix may overlap in time: the one that came into force last stands. */
export function createPrefixTable<Row extends PrefixRow>(rows: readonly Row[]): PrefixTable<Row> {
  const nodesMax = rows.reduce((sum, { prefix }) => sum + prefix.length, 1)
  const children = new Int32Array(nodesMax * 10)
  const rowsOf: Row[][] = [[]]

  for (const row of [...rows].sort((a, b) => b.effectiveFrom - a.effectiveFrom)) {
    let node = 0
    for (const digit of digitsOf(row.prefix)) {
      const at = node * 10 + digit
      if (children[at] === 0) children[at] = rowsOf.push([]) - 1
      node = children[at] ?? 0
    }
    rowsOf[node]?.push(row)
  }

  return {
    match(number, at) {
      let node = 0
      let best = rowsOf[0]?.find(row => isValid(row, at)) ?? null
      for (const digit of number === null ? [] : digitsOf(number)) {
        node = children[node * 10 + digit] ?? 0
        if (node === 0) break
        best = rowsOf[node]?.find(row => isValid(row, at)) ?? best
      }
      return best
    }
  }
}

function* digitsOf(number: string): Generator<number> {
  for (let n = 1; n < number.length; n++) {
    const digit = number.charCodeAt(n) - 48
    if (digit < 0 || digit > 9) return
    yield digit
  }
}
