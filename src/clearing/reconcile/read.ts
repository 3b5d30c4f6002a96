// The lines of a partner's file as they come: CSV is never held as a whole, so that its size does not matter.

import { closeSync, createReadStream, openSync, readFileSync, readSync, statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { basename } from 'node:path'
import Papa from 'papaparse'
import { HubError, messageOf } from '../../errors.ts'
import { readXlsx } from '../decks/read-xlsx.ts'
import type { SheetLine } from '../decks/sheet.ts'
import { limits } from './model.ts'

export const readLimits = {
  fileBytesMax: 2 ** 31,
  columnsMax: 64,
  /** What is read at once. */
  chunkBytes: 262_144,
  /** A line that is longer, or a quote that never ends, is no CSV. */
  lineCharsMax: 1_048_576
} as const

const wrong = (name: string, why: string): HubError => new HubError('HUB_CONFIG', `${name}: ${why}`)

/** Throws HUB_CONFIG for what is neither CSV (UTF-8) nor XLSX, or has too many lines. */
export async function* linesOf(file: string, linesMax: number = limits.linesMax): AsyncGenerator<SheetLine> {
  const name = basename(file)
  if (statOf(file).size > readLimits.fileBytesMax) throw wrong(name, `larger than ${readLimits.fileBytesMax} bytes`)
  const head = firstBytes(file)
  if (/\.xlsx$/i.test(file) || head.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004') {
    yield* await readXlsx(name, file)
    return
  }
  for await (const read of csvLines(name, file, delimiterOf(head.toString('utf8')))) {
    if (read.line > linesMax) throw wrong(name, `more than ${linesMax} lines`)
    yield read
  }
}

/** Of the whole file: two readings of one file are told from those of two. */
export async function sha256OfFile(file: string): Promise<string> {
  statOf(file)
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

function statOf(file: string): Stats {
  try {
    return statSync(file)
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`)
  }
}

const headBytes = 65_536
function firstBytes(file: string): Buffer {
  if (statOf(file).size <= headBytes) return readFileSync(file)
  const buffer = Buffer.alloc(headBytes)
  const handle = openSync(file, 'r')
  try {
    return buffer.subarray(0, readSync(handle, buffer))
  } finally {
    closeSync(handle)
  }
}

const delimiters = [',', ';', '\t', '|'] as const
/** The one that the first line has most of. */
function delimiterOf(text: string): string {
  const [first = ''] = text.split('\n', 1)
  const counts = delimiters.map(delimiter => first.split(delimiter).length)
  return delimiters[counts.indexOf(Math.max(...counts))] ?? ','
}

/** Whole lines at once, as many as a chunk has. */
async function* csvLines(name: string, file: string, delimiter: string): AsyncGenerator<SheetLine> {
  let [rest, line] = ['', 1]
  const linesIn = function* (text: string): Generator<SheetLine> {
    const { data, errors } = Papa.parse<readonly string[]>(text.replace(/\r?\n$/, ''), { delimiter })
    const [error] = errors
    for (const [row, cells] of data.entries()) {
      if (error?.row === row) throw wrong(name, `line ${line}: ${error.message}`)
      requireText(name, line, cells)
      yield { line, cells }
      line += 1 + cells.reduce((sum, cell) => sum + breaksIn(cell), 0)
    }
  }
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: readLimits.chunkBytes })) {
    rest = rest === '' && line === 1 ? String(chunk).replace(/^\uFEFF/, '') : rest + String(chunk)
    const end = endOfLines(rest)
    if (end === 0 && rest.length > readLimits.lineCharsMax) throw wrong(name, `line ${line}: it does not end`)
    if (end === 0) continue
    yield* linesIn(rest.slice(0, end))
    rest = rest.slice(end)
  }
  if (rest !== '') yield* linesIn(rest)
}

/** After the last line break that is not within quotes; 0: there is none. */
function endOfLines(text: string): number {
  let quotes = 0
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) quotes += 1
  for (let end = text.lastIndexOf('\n'), from = text.length; end >= 0; end = text.lastIndexOf('\n', end - 1)) {
    for (let at = text.indexOf('"', end); at >= 0 && at < from; at = text.indexOf('"', at + 1)) quotes -= 1
    if (quotes % 2 === 0) return end + 1
    from = end
    if (end === 0) break
  }
  return 0
}

const breaksIn = (cell: string): number => (cell.includes('\n') ? cell.split('\n').length - 1 : 0)

function requireText(name: string, line: number, cells: readonly string[]): void {
  if (cells.length > readLimits.columnsMax) {
    throw wrong(name, `line ${line}: more than ${readLimits.columnsMax} columns`)
  }
  for (const cell of cells) {
    // What was no UTF-8 was read as this.
    if (cell.includes('\uFFFD')) throw wrong(name, `line ${line}: it is not UTF-8`)
    if (cell.includes('\0')) throw wrong(name, `line ${line}: it is no text`)
  }
}
