// How long a deck of 100,000 rows takes from its file into PostgreSQL, and back into memory for rating. Figures, never
// assertions.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import writeXlsxFile from 'write-excel-file/node'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import { activateDeck } from '../../src/clearing/decks/activate.ts'
import { readCsv } from '../../src/clearing/decks/read-csv.ts'
import { readXlsx } from '../../src/clearing/decks/read-xlsx.ts'
import { readSheet } from '../../src/clearing/decks/sheet.ts'
import type { SheetLine } from '../../src/clearing/decks/sheet.ts'
import { importDeck } from '../../src/clearing/decks/store.ts'
import { createDeckVersions } from '../../src/clearing/decks/versions.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { createZone } from '../../src/clearing/zone.ts'
import { clearingConfig } from '../support/clearing.ts'
import { startTestPostgres } from '../support/database.ts'
import { mulberry32 } from '../support/random.ts'

const rowCount = 100_000
const header = ['prefix', 'destination_name', 'rate', 'initial_increment', 'next_increment', 'effective_from']

function table(): readonly (readonly string[])[] {
  const draw = mulberry32(1)
  const codes = new Set<string>()
  while (codes.size < rowCount) codes.add(`${1 + draw(9)}${String(draw(10 ** (2 + draw(6))))}`)
  return [...codes].map((code, n) => [
    code,
    `destination ${n % 900}`,
    `0.${String(draw(9_999)).padStart(4, '0')}`,
    '1',
    '1',
    ''
  ])
}

async function timed<T>(what: string, work: () => Promise<T> | T): Promise<T> {
  const [wall, cpu] = [performance.now(), process.cpuUsage()]
  const done = await work()
  const { user, system } = process.cpuUsage(cpu)
  const seconds = ((performance.now() - wall) / 1_000).toFixed(2)
  console.log(`${what}: ${seconds} s, ${((user + system) / 1e6).toFixed(2)} s of this process's CPU`)
  return done
}

export async function benchDecks(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-decks-'))
  const postgres = await startTestPostgres()
  try {
    const database = await postgres.fresh(clearingMigrations)
    const config = clearingConfig()
    const [sell] = config.agreements
    if (sell === undefined) return
    const rows = table()
    const csv = join(folder, 'deck.csv')
    writeFileSync(csv, [header, ...rows].map(cells => cells.join(',')).join('\n'))
    const text = (value: string) => ({ value, type: String })
    const xlsx = join(folder, 'deck.xlsx')
    writeFileSync(xlsx, await writeXlsxFile([header, ...rows].map(cells => cells.map(text))).toBuffer())
    const sheetOf = (lines: readonly SheetLine[]) =>
      readSheet('deck', lines, {
        agreementId: 'sell',
        service: 'voice',
        currency: 'EUR',
        zone: createZone('UTC'),
        timeClasses: [],
        origins: [],
        provider: 'island',
        direction: 'sell',
        decimal: '.'
      })
    const take = (lines: readonly SheetLine[]) =>
      importDeck(database, {
        config: sell,
        sheet: sheetOf(lines),
        mode: 'full',
        fileName: 'deck',
        fileSha256: '',
        by: 'bench'
      })
    console.log(`${rowCount} rows: CSV ${statSync(csv).size} bytes, XLSX ${statSync(xlsx).size} bytes`)
    await timed('CSV, from file to database', () => take(readCsv('deck.csv', readFileSync(csv))))
    await timed('XLSX, from file to database', async () => take(await readXlsx('deck.xlsx', xlsx)))
    const asked = { config: sell, version: 1, at: null, by: 'bench', force: 'bench', closedAreMeant: true }
    await timed('activation, compared with what was in force', () => activateDeck(database, asked))
    await timed('the same sheet again, compared with itself', () => take(readCsv('deck.csv', readFileSync(csv))))
    const book = createAgreementBook(config.agreements, createNumberOf([]), createDeckVersions(config.agreements))
    await timed('read for rating', () => database.transaction(sql => book.prepare(sql, [Date.now()])))
    console.log(`memory of this process: ${Math.round(process.memoryUsage().rss / 1_048_576)} MB`)
  } finally {
    await postgres.stop()
    rmSync(folder, { recursive: true })
  }
}
