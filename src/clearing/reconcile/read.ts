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
  columnsMax: 64
} as const

const wrong = (name: string, why: string): HubError => new HubError('HUB_CONFIG', `${name}: ${why}`)

/** Throws HUB_CONFIG for what is neither CSV (UTF-8) nor XLSX, or has too many lines. */
export async function* linesOf(file: string): AsyncGenerator<SheetLine> {
  const name = basename(file)
  if (statOf(file).size > readLimits.fileBytesMax) throw wrong(name, `larger than ${readLimits.fileBytesMax} bytes`)
  const head = firstBytes(file)
  if (/\.xlsx$/i.test(file) || head.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004') {
    yield* await readXlsx(name, file)
    return
  }
  yield* csvLines(name, file, delimiterOf(head.toString('utf8')))
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

async function* csvLines(name: string, file: string, delimiter: string): AsyncGenerator<SheetLine> {
  const parser = Papa.parse(Papa.NODE_STREAM_INPUT, { delimiter })
  const source = createReadStream(file, { encoding: 'utf8' })
  source.on('error', error => parser.destroy(error))
  source.pipe(parser)
  let line = 1
  let first = true
  try {
    for await (const read of parser) {
      const cells = (read as readonly string[]).map(cell => (first ? cell.replace(/^\uFEFF/, '') : cell))
      first = false
      // What was no UTF-8 was read as this; a quote that never ends swallows lines.
      if (cells.some(cell => cell.includes('\uFFFD'))) throw wrong(name, `line ${line}: it is not UTF-8`)
      if (cells.some(cell => cell.includes('\0'))) throw wrong(name, 'it is no text')
      if (cells.length > readLimits.columnsMax)
        throw wrong(name, `line ${line}: more than ${readLimits.columnsMax} columns`)
      if (line > limits.linesMax) throw wrong(name, `more than ${limits.linesMax} lines`)
      yield { line, cells }
      line += 1 + cells.reduce((sum, cell) => sum + cell.split('\n').length - 1, 0)
    }
  } finally {
    source.destroy()
    parser.destroy()
  }
}
