import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { creditCommand } from '../../src/cli/credit.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { clearingPeers } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { agreementsOf, creditAt, creditBook } from '../support/credit.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-credit-'))
const config = join(folder, 'isthmus.yaml')
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(config, clearingPeers + agreementsOf('model: prepaid'))
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
}, 60_000)

const credit = (...args: readonly string[]): Promise<Ran> => {
  const needs = args.includes('--help') ? [] : ['--config', config, '--database', database.url]
  return runCommands([creditCommand], ['credit', ...args, ...needs])
}
const topUp = (reference: string, amount: string, ...more: readonly string[]): Promise<Ran> =>
  credit('top-up', 'sell', '--amount', amount, '--reference', reference, ...more)

describe('isthmus credit', () => {
  it('top-up takes a reference once, adjust corrects, show tells balance, reservations and movements', async () => {
    match((await credit('show', 'sell')).err, /is opened when the hub starts, or by a top-up/)
    equal((await topUp('BANK-77', '10')).out, 'done; balance 10.000000 EUR\n')
    equal((await topUp('BANK-77', '10')).out, 'BANK-77 had counted before; balance 10.000000 EUR\n')
    const other = await topUp('BANK-77', '11')
    deepEqual([other.code, other.err], [1, 'top-up/sell/BANK-77 was of 10.000000 before, not of 11.000000'])
    const down = ['--amount=-2.50', '--reference', 'C-1', '--reason', 'paid twice', '--by', 'ann']
    equal((await credit('adjust', 'sell', ...down)).out, 'done; balance 7.500000 EUR\n')
    const running = creditAt(database, creditBook())
    await running.ask(1)
    await running.stop()
    const { out } = await credit('show', 'sell')
    match(out, /balance {4}7\.500000 EUR\nreserved {3}0\.061000 EUR\nleft {7}7\.439000 EUR\n/)
    match(out, /reservations\n {2}\S+\/1 0\.061000 \(60 s, until \S+\)\n/)
    match(out, /-2\.500000 adjustment\/sell\/C-1 \(paid twice, by ann\)\n.* 10\.000000 top-up\/sell\/BANK-77/)
    const shown = JSON.parse((await credit('show', 'sell', '--json', '--max', '1')).out) as Record<string, unknown>
    deepEqual(
      [shown['balance'], shown['reserved'], shown['left'], shown['ledger']],
      ['7.500000', '0.061000', '7.439000', '7.500000']
    )
    equal((shown['movements'] as unknown[]).length, 1)
  })

  it('says what is wrong: exit code 2 for arguments, 1 for what cannot be done', async () => {
    const ran = await Promise.all([
      topUp('r', 'ten'),
      credit('top-up', 'sell', '--amount', '1'),
      credit('adjust', 'sell', '--amount', '1', '--reference', 'r')
    ])
    deepEqual(
      ran.map(({ code }) => code),
      [2, 2, 2]
    )
    const missing = await credit('show', 'nobody')
    deepEqual([missing.code, missing.err], [1, 'no agreement is called nobody; there is sell, buy'])
    match((await credit('show', 'buy')).err, /has no account/)
    match((await topUp('zero', '0')).err, /above zero/)
  })

  it('each command explains itself', async () => {
    for (const name of ['show', 'top-up', 'adjust']) {
      const { code, out } = await credit(name, '--help')
      equal(code, 0)
      ok(out.includes('<agreement>'), name)
    }
  })
})
