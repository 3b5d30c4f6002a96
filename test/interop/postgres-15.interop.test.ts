// The book on Debian's PostgreSQL 15: all migrations, records posted, a period closed, everything computed again.
// needs: postgresql

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { printAmount } from '../../src/clearing/money.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import { eventMigrations } from '../../src/events/embedded.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { traffic, trafficAgreements } from '../support/clearing-traffic.ts'
import { startDebianPostgres } from '../support/debian-postgres.ts'
import type { DebianPostgres } from '../support/debian-postgres.ts'
import { bookOfYaml, callAt, closed, post } from '../support/settlement.ts'

let postgres: DebianPostgres
const opened: Database[] = []
beforeAll(async () => {
  postgres = await startDebianPostgres()
}, 120_000)
afterAll(async () => {
  for (const database of opened) await database.close()
  await postgres.stop()
}, 60_000)

async function fresh(): Promise<Database> {
  const place = { url: await postgres.freshUrl() }
  const migrations = [...eventMigrations, ...clearingMigrations]
  const database = await openDatabase({ place, poolMax: 4, migrations, log: createLog('silent') })
  opened.push(database)
  return database
}

const sold = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: Germany, rate: "0.06" }] }
`

describe('PostgreSQL 15 of Debian', () => {
  it('SET-07 posts, closes once, and states what came late in the next period', async () => {
    match(postgres.version, /^15\./)
    const [database, book] = [await fresh(), bookOfYaml(sold)]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const both = await Promise.all([closed(database, book, '2026-11'), closed(database, book, '2026-11')])
    equal(both.filter(({ fresh }) => fresh).length, 1)
    await post(database, book, [callAt(2, '2026-11-03T12:00:00Z', 120)])
    const { statement } = await closed(database, book, '2026-12')
    deepEqual([statement.lateCount, printAmount(statement.netMicros)], [1n, '0.120000'])
  })

  it('LED-02 a mixed day of traffic is the same computed again', async () => {
    const [database, book] = [await fresh(), bookOfYaml(trafficAgreements)]
    await post(database, book, traffic(200))
    for (const agreement of ['sell', 'direct']) {
      await closed(database, book, '2026-11', { agreement, override: 'made up' })
    }
    const { ok: right, checks } = await verifyLedger(database)
    deepEqual(
      checks.flatMap(({ faults }) => faults),
      []
    )
    ok(right)
  })
})
