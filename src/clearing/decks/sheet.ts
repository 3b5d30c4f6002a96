// A whole deck sheet, line by line: what is wrong with it is told with line numbers, and nothing of it is taken then.

import { HubError } from '../../errors.ts'
import { readHeader, readLine } from './columns.ts'
import type { Column, SheetOf } from './columns.ts'
import { keyOf, limits } from './deck-row.ts'
import type { DeckRow } from './deck-row.ts'

/** Cells of one line of a file, and which line that is, counted from 1. */
export interface SheetLine {
  readonly line: number
  readonly cells: readonly string[]
}

export interface Sheet {
  readonly rows: readonly DeckRow[]
  /** Keys that the sheet closes by name. */
  readonly deleted: ReadonlySet<string>
  /** Where a row came from. */
  readonly lineOf: ReadonlyMap<DeckRow, number>
}

/** Collects what is wrong: the first ones in words, the others as a count. */
export class Problems {
  readonly #told: string[] = []
  #count = 0

  add(line: number | null, what: string): void {
    this.#count += 1
    if (this.#told.length < limits.problemsMax) this.#told.push(line === null ? what : `line ${line}: ${what}`)
  }

  /** Throws HUB_CONFIG with all of them, if there are any. */
  check(name: string): void {
    if (this.#count === 0) return
    const more = this.#count > this.#told.length ? [`and ${this.#count - this.#told.length} more`] : []
    const lines = [...this.#told, ...more].map(text => `  ${text}`)
    const things = this.#count === 1 ? 'one thing is' : `${this.#count} things are`
    throw new HubError('HUB_CONFIG', `${name}: ${things} wrong, nothing was imported\n${lines.join('\n')}`)
  }
}

/** `progress` hears how many lines have been read. Throws HUB_CONFIG with every problem and its line. */
export function readSheet(
  name: string,
  lines: Iterable<SheetLine>,
  of: SheetOf,
  progress: (lines: number) => void = () => undefined,
  rowsMax: number = limits.rowsMax
): Sheet {
  const problems = new Problems()
  const rows: DeckRow[] = []
  const deleted = new Set<string>()
  const lineOf = new Map<DeckRow, number>()
  let header: ReadonlyMap<Column, number> | null = null
  let read = 0
  for (const { line, cells } of lines) {
    read += 1
    if (read % progressEvery === 0) progress(read)
    if (cells.every(cell => cell.trim() === '')) continue
    if (header === null) {
      const found = readHeader(cells)
      if (typeof found === 'string') throw new HubError('HUB_CONFIG', `${name}: line ${line}: ${found}`)
      header = found
      continue
    }
    const found = readLine(cells, header, of)
    if (typeof found === 'string') problems.add(line, found)
    else if (found.deletes) for (const row of found.rows) deleted.add(keyOf(row))
    else {
      for (const row of found.rows) {
        rows.push(row)
        lineOf.set(row, line)
      }
    }
    if (rows.length > rowsMax) throw tooMany(name, rowsMax)
  }
  if (header === null) throw new HubError('HUB_CONFIG', `${name}: it is empty`)
  if (rows.length === 0 && deleted.size === 0) problems.add(null, 'it has no rates')
  problems.check(name)
  return { rows, deleted, lineOf }
}

const progressEvery = 10_000

export const tooMany = (name: string, rowsMax: number): HubError =>
  new HubError('HUB_CONFIG', `${name}: more than ${rowsMax} rows`)
