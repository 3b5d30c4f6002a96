// The lines of an XLSX file, read by a process of its own: its memory is bounded and goes when it is done.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { HubError } from '../../errors.ts'
import { limits } from './deck-row.ts'
import type { SheetLine } from './sheet.ts'
import { tooMany } from './sheet.ts'
import { checkZip } from './zip.ts'

export const xlsxLimits = {
  /** Of the process that reads; a larger sheet has to come as CSV. */
  heapMegabytes: 2_048,
  readMs: 120_000
} as const

const program = join(import.meta.dirname, 'xlsx-child.ts')
const answer = z.union([z.array(z.string()), z.object({ error: z.string() })])

export interface XlsxBounds {
  readonly heapMegabytes: number
  readonly readMs: number
}

/** Throws HUB_CONFIG for what is no XLSX, is too large, or takes too long. */
export async function readXlsx(
  name: string,
  file: string,
  bounds: XlsxBounds = xlsxLimits
): Promise<readonly SheetLine[]> {
  checkZip(name, readFileSync(file))
  const memory = `--max-old-space-size=${bounds.heapMegabytes}`
  const options = ['--disable-warning=ExperimentalWarning', memory]
  const child = spawn(execPath, [...options, program, file, String(limits.rowsMax + 1)], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), bounds.readMs)
  const lines: SheetLine[] = []
  let trouble: string | null = null
  try {
    let line = 0
    for await (const text of createInterface({ input: child.stdout, crlfDelay: Infinity })) {
      line += 1
      const read = answer.parse(JSON.parse(text))
      if ('error' in read) trouble = read.error
      else if (read.length > limits.columnsMax) trouble = `line ${line}: more than ${limits.columnsMax} columns`
      else lines.push({ line, cells: read })
      if (trouble !== null) break
    }
  } finally {
    if (trouble !== null) child.kill('SIGKILL')
    clearTimeout(timer)
  }
  const code = await ended
  if (trouble !== null) throw new HubError('HUB_CONFIG', `${name}: ${trouble}`)
  if (code !== 0) throw new HubError('HUB_CONFIG', `${name}: it is too large for an XLSX file; send CSV`)
  if (lines.length > limits.rowsMax + 1) throw tooMany(name, limits.rowsMax)
  return lines
}
