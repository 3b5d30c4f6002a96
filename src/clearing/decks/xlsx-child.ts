// A process of its own that reads one XLSX file and writes its first sheet, a JSON line a row: what it needs of memory
// goes with it. Arguments: the file, and how many rows at most.

import { argv, exit, stdout } from 'node:process'
import { readSheet } from 'read-excel-file/node'
import { messageOf } from '../../errors.ts'
import { spreadsheetNumber } from './spreadsheet-number.ts'

const [file = '', rowsMax = '0'] = argv.slice(2)

/** As a day or a local time: spreadsheets know no zones. */
const dateText = (date: Date): string =>
  date
    .toISOString()
    .replace(/T00:00:00\.000Z$/, '')
    .replace(/\.[0-9]{3}Z$/, '')
    .replace('T', ' ')

function textOf(cell: unknown): string {
  if (cell === null || cell === undefined) return ''
  if (cell instanceof Date) return dateText(cell)
  return typeof cell === 'string' ? cell : JSON.stringify(cell)
}

/** Waits for the reader at the other end of the pipe. */
const write = (text: string): Promise<void> =>
  new Promise(resolve => {
    stdout.write(text, () => resolve())
  })

try {
  const rows = await readSheet(file, { parseNumber: spreadsheetNumber })
  if (rows.length > Number(rowsMax)) throw new Error(`more than ${rowsMax} rows`)
  for (let at = 0; at < rows.length; at += 1_000) {
    const page = rows.slice(at, at + 1_000).map(row => JSON.stringify(row.map(textOf)))
    await write(`${page.join('\n')}\n`)
  }
} catch (error) {
  await write(`${JSON.stringify({ error: messageOf(error).slice(0, 500) })}\n`)
  exit(1)
}
