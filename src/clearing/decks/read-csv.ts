// The lines of a CSV file: UTF-8 with or without a byte-order mark, separated by commas, semicolons or tabs.

import { isUtf8 } from 'node:buffer'
import Papa from 'papaparse'
import { HubError } from '../../errors.ts'
import { limits } from './deck-row.ts'
import type { SheetLine } from './sheet.ts'
import { tooMany } from './sheet.ts'

const delimiters = [',', ';', '\t'] as const

/** Throws HUB_CONFIG, with the line, for what is no CSV. */
export function readCsv(name: string, bytes: Buffer, rowsMax: number = limits.rowsMax): readonly SheetLine[] {
  if (!isUtf8(bytes)) throw new HubError('HUB_CONFIG', `${name}: it is not UTF-8; save it as "CSV UTF-8"`)
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  if (text.includes('\0')) throw new HubError('HUB_CONFIG', `${name}: it is no text`)
  const lines: SheetLine[] = []
  let trouble: HubError | null = null
  let line = 1
  Papa.parse<string[]>(text, {
    delimiter: delimiterOf(text),
    step: ({ data: cells, errors }, parser) => {
      const [error] = errors
      if (error !== undefined) trouble = new HubError('HUB_CONFIG', `${name}: line ${line}: ${error.message}`)
      else if (cells.length > limits.columnsMax) {
        trouble = new HubError('HUB_CONFIG', `${name}: line ${line}: more than ${limits.columnsMax} columns`)
      } else if (lines.length > rowsMax) trouble = tooMany(name, rowsMax)
      else lines.push({ line, cells })
      // A quoted cell may hold line breaks.
      line += 1 + cells.reduce((sum, cell) => sum + breaksIn(cell), 0)
      if (trouble !== null) parser.abort()
    }
  })
  if (trouble !== null) throw trouble as HubError
  return lines
}

const breaksIn = (cell: string): number => (cell.includes('\n') ? cell.split('\n').length - 1 : 0)

/** The one that the first line has most of. */
function delimiterOf(text: string): string {
  const end = text.indexOf('\n')
  const first = text.slice(0, end < 0 ? 10_000 : Math.min(end, 10_000))
  const counts = delimiters.map(delimiter => first.split(delimiter).length)
  return delimiters[counts.indexOf(Math.max(...counts))] ?? ','
}
