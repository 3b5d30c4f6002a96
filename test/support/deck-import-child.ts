// Imports a deck of many rows and dies by kill -9 in the middle of storing them.

import { argv, kill, pid } from 'node:process'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { importDeck } from '../../src/clearing/decks/store.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import { clearingConfig } from './clearing.ts'
import { deckRow, sheetOfRows } from './decks.ts'

const [url = ''] = argv.slice(2)
const database = await openDatabase({
  place: { url },
  poolMax: 1,
  migrations: clearingMigrations,
  log: createLog('silent')
})
const rows = Array.from({ length: 45_000 }, (_, n) => deckRow(`+4${100_000 + n}`, '0.01'))
const [config] = clearingConfig().agreements
if (config !== undefined) {
  const sheet = sheetOfRows(rows)
  const progress = (stored: number): void => {
    if (stored >= 40_000) kill(pid, 'SIGKILL')
  }
  await importDeck(database, { config, sheet, mode: 'full', fileName: 'd.csv', fileSha256: '', by: 'test', progress })
}
