import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { Client } from 'pg'
import { ledgerCommand } from '../../src/cli/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { bookOf, callRecords, cascade, clearingPeers } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { post } from '../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-ledger-'))
const config = join(folder, 'isthmus.yaml')
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(config, clearingPeers + cascade)
  await post(database, bookOf(), callRecords(1))
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

/** As it is started by people, or by cron. */
const verify = (...args: readonly string[]): Promise<Ran> =>
  runCommands([ledgerCommand], ['ledger', 'verify', '--config', config, '--database', database.url, ...args])

describe('isthmus ledger verify', () => {
  it('LED-02 says that all is right with 0, and what differs with 1', async () => {
    const right = await verify()
    equal(right.code, 0, right.out)
    match(right.out, /^balances +4 {2}right$/m)
    match(right.out, /^charges +2 {2}right$/m)
    match(right.out, /^records +0 {2}the event log is not in this database$/m)
    const owner = new Client({ connectionString: database.url })
    await owner.connect()
    await owner.query("update balance_shard set debit_micros = 1 where account = 'cost/operator'")
    await owner.end()
    const wrong = await verify('--json')
    equal(wrong.code, 1)
    const { ok, checks } = JSON.parse(wrong.out) as { ok: boolean; checks: readonly { faults: readonly string[] }[] }
    deepEqual(
      [ok, checks[0]?.faults],
      [
        false,
        [
          'cost/operator EUR: stands at 0.000001, its entries come to 0.030500',
          'EUR: all accounts come to -0.030499, not to nothing'
        ]
      ]
    )
    match((await verify()).out, /^balances +4 {2}2 WRONG\n {2}cost\/operator EUR: stands at/m)
  })
})
