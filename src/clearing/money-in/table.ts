// Files of lines with a header, such as those of banks: which column stands where, and the cells by name. Pure.

import { HubError } from '../../errors.ts'
import type { SheetLine } from '../decks/sheet.ts'

export const limits = {
  cellCharsMax: 1_000
} as const

export interface TableLine<Column extends string> {
  readonly line: number
  /** Without spaces around it; empty where the file has no such column. */
  readonly cell: (column: Column) => string
}

/**
 * The lines after the header, empty ones left out. A column is found by its name, whatever its case; others are
 * ignored. Throws HUB_CONFIG where a needed column is missing or one appears twice, and for what no cell holds.
 */
export function readTable<Column extends string>(
  name: string,
  lines: readonly SheetLine[],
  columns: readonly Column[],
  needed: readonly Column[]
): readonly TableLine<Column>[] {
  const filled = lines.filter(({ cells }) => cells.some(cell => cell.trim() !== ''))
  const [header, ...rest] = filled
  const wrong = (line: number, why: string): HubError => new HubError('HUB_CONFIG', `${name}: line ${line}: ${why}`)
  if (header === undefined) throw new HubError('HUB_CONFIG', `${name}: it is empty`)
  const at = new Map<Column, number>()
  for (const [place, cell] of header.cells.entries()) {
    const found = columns.find(column => column === cell.trim().toLowerCase().replaceAll(/[ -]/g, '_'))
    if (found === undefined) continue
    if (at.has(found)) throw wrong(header.line, `the column ${found} appears twice`)
    at.set(found, place)
  }
  const missing = needed.filter(column => !at.has(column))
  if (missing.length > 0) throw wrong(header.line, `the column ${missing.join(' and ')} is missing`)
  return rest.map(({ line, cells }) => {
    for (const cell of cells) {
      if (cell.length > limits.cellCharsMax) throw wrong(line, `a cell of more than ${limits.cellCharsMax} characters`)
      // eslint-disable-next-line no-control-regex
      if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(cell)) throw wrong(line, 'a cell with control characters')
    }
    return { line, cell: column => (cells[at.get(column) ?? -1] ?? '').trim() }
  })
}
