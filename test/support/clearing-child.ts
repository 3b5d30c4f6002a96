// Clears a file of records into a database until nothing is left, or dies by kill -9 at its n-th statement.

import { readFileSync } from 'node:fs'
import { argv, kill, pid } from 'node:process'
import { createConsumer } from '../../src/clearing/consumer.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import type { Sql } from '../../src/store/sql.ts'
import { bookOf, memoryLog } from './clearing.ts'
import { trafficAgreements } from './clearing-traffic.ts'

const [url = '', file = '', dieAt = '0', batchMax = '20'] = argv.slice(2)

const log = createLog('silent')
const database = await openDatabase({ place: { url }, poolMax: 2, migrations: clearingMigrations, log })

let statements = 0
const dying = (sql: Sql): Sql => ({
  query: (text, values) => {
    statements += 1
    const answer = sql.query(text, values)
    if (statements === Number(dieAt)) kill(pid, 'SIGKILL')
    return answer as never
  },
  copy: (table, rows) => {
    statements += 1
    const answer = sql.copy(table, rows)
    if (statements === Number(dieAt)) kill(pid, 'SIGKILL')
    return answer
  }
})
const mortal: Database = {
  ...dying(database),
  // After the last statement of a transaction comes its commit: the death that follows it is a statement of its own.
  transaction: async work => {
    const done = await database.transaction(sql => work(dying(sql)))
    statements += 1
    if (statements === Number(dieAt)) kill(pid, 'SIGKILL')
    return done
  },
  close: () => database.close()
}
const source = memoryLog(JSON.parse(readFileSync(file, 'utf8')) as unknown[])
const consumer = createConsumer({
  source,
  database: mortal,
  book: bookOf(trafficAgreements),
  log,
  limits: { batchMax: Number(batchMax) },
  onFault: () => kill(pid, 'SIGABRT')
})
await consumer.catchUp()
await database.close()
