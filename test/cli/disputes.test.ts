import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { disputeCommand } from '../../src/cli/dispute.ts'
import { fraudCommand } from '../../src/cli/fraud.ts'
import { privacyCommand } from '../../src/cli/privacy.ts'
import { reconcileCommand } from '../../src/cli/reconcile.ts'
import { bookOf, callRecords, clearingPeers } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

const agreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, disputeDays: 700, rates: [{ prefix: "+49", destination: Germany, rate: "6.00" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "3.00" }] }
privacy: { retentionDays: 3650, pseudonymKeyFile: KEY }
`
let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-disputes-'))
const config = join(folder, 'isthmus.yaml')
const calls = 5
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(join(folder, 'key'), 'a key of many letters')
  writeFileSync(config, clearingPeers + agreements.replace('KEY', join(folder, 'key')))
  const records = Array.from({ length: calls }, (_, n) => {
    const at = Date.parse('2026-11-02T12:00:00Z') + n * 60_000
    return callRecords(n + 1, { t_request: at, t_alert: at, t_answer: at, t_end: at + 60_000, duration_ms: 60_000 })
  }).flat()
  const batch = { topic: 't', after: 0n, position: 1n, records }
  await database.transaction(sql => postBatch(sql, batch, bookOf(agreements)))
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const isthmus = (...args: readonly string[]): Promise<Ran> => {
  const place = args.includes('rules') ? [] : ['--database', database.url]
  const needs = args.includes('--help') ? [] : ['--config', config, ...place]
  return runCommands([reconcileCommand, disputeCommand, fraudCommand, privacyCommand], [...args, ...needs])
}
const json = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
  const { code, out, err } = await isthmus(...args, '--json')
  equal(code, 0, err)
  return JSON.parse(out) as Record<string, unknown>
}
const period = ['--agreement', 'sell', '--period', '2026-11'] as const

describe('the commands of reconciliation and disputes', () => {
  it('SET-02 write our records, hold them against themselves, and say that there is no difference', async () => {
    const own = join(folder, 'own.csv')
    const exported = await isthmus('reconcile', 'export', ...period, '--out', own)
    equal(exported.code, 0, exported.err)
    const { code, out, err } = await isthmus('reconcile', own, ...period, '--by', 'anna')
    equal(code, 0, err)
    match(out, /reconciliation \d+: agreement sell, 2026-11, calls in own\.csv \(5 lines\)/)
    match(out, /difference {2}0 units, 0\.000000 EUR \(0\.000000 %\): no difference/)
    const hidden = join(folder, 'hidden.csv')
    equal((await isthmus('reconcile', 'export', ...period, '--pseudonymise', '--out', hidden)).code, 0)
    const text = readFileSync(hidden, 'utf8')
    ok(/,p49-[0-9a-f]{24},/.test(text) && !text.includes('4989200'), text)
  })

  it('SET-09 what differs is shown, written as a sheet, disputed with its evidence, and withdrawn', async () => {
    const short = join(folder, 'short.csv')
    const lines = readFileSync(join(folder, 'own.csv'), 'utf8').trim().split('\n')
    writeFileSync(short, lines.slice(0, 4).join('\n'))
    const sheet = join(folder, 'differences.csv')
    const found = await json('reconcile', 'run', short, ...period, '--out', sheet)
    const id = String(found['id'])
    equal(found['standing'], 'above')
    equal(readFileSync(sheet, 'utf8').trim().split('\n').length, 3)
    const spreadsheet = join(folder, 'differences.xlsx')
    match(
      (await isthmus('reconcile', 'show', id, '--out', spreadsheet)).out,
      /only-ours +2 +-120 units, -12\.000000 EUR/
    )
    equal(readFileSync(spreadsheet).subarray(0, 2).toString('latin1'), 'PK')
    match((await isthmus('reconcile', 'list')).out, /sell 2026-11: above, calls in short\.csv/)

    const type = ['--type', 'volume', '--reason', 'two calls are not known to them', '--raised-by', 'partner'] as const
    const opened = await json('dispute', 'open', ...period, ...type, '--reconciliation', id, '--day', '2026-12-10')
    deepEqual([opened['amount'], opened['calls'], opened['state']], ['12.000000', '2', 'raised'])
    const dispute = String(opened['id'])
    const listed = await isthmus('dispute', 'list', '--day', '2026-12-20')
    match(
      listed.out,
      /sell 2026-11: raised, volume, 12\.000000 EUR, 12\.000000 held out, 10 days old; respondent until 2026-12-17, 3 days late/
    )
    const evidence = join(folder, 'evidence.csv')
    match(
      (await isthmus('dispute', 'show', dispute, '--out', evidence)).out,
      /island disputes: two calls are not known to them/
    )
    equal(readFileSync(evidence, 'utf8').trim().split('\n').length, 3)

    const moved = await isthmus('dispute', 'move', dispute, 'acknowledged', '--reason', 'seen', '--by', 'bert')
    match(moved.out, /acknowledged/)
    const refused = await isthmus('dispute', 'resolve', dispute, '--conceded', 'all', '--reason', 'ours')
    deepEqual([refused.code, /has to be invoiced first/.test(refused.err)], [1, true])
    match((await isthmus('dispute', 'hold', dispute)).out, /12\.000000 held out/)
    const resolved = await json('dispute', 'resolve', dispute, '--conceded', 'none', '--reason', 'they found them')
    deepEqual([resolved['state'], resolved['held']], ['settled', '0.000000'])
    equal((await isthmus('dispute', 'list')).out, 'none\n')
    match((await isthmus('dispute', 'list', '--all')).out, /settled/)
  })

  it('FRD-02 suspected calls are disputed by range and time in one command', async () => {
    const range = ['--range', '+4989', '--from', '2026-11-02T12:00:00Z', '--to', '2026-11-02T13:00:00Z'] as const
    const type = ['--type', 'fraud', '--reason', 'revenue share'] as const
    const opened = await json('dispute', 'open', ...period, ...type, ...range)
    // The other two were disputed before.
    deepEqual([opened['calls'], opened['amount'], opened['held']], ['3', '18.000000', '18.000000'])
    const again = await isthmus('dispute', 'open', ...period, ...type, ...range)
    deepEqual([again.code, /disputed already/.test(again.err)], [1, true])
  })

  it('FRD-01 rules are listed with their bounds; a block is made, listed and released with a reason', async () => {
    const rules = await isthmus('fraud', 'rules')
    match(rules.out, /irsf-money +tells: one provider spends much/)
    match(rules.out, /fiveMinutes 50, hour 200, day 1000/)
    const made = await json(
      'fraud',
      'block',
      '--from',
      'island',
      '--called',
      '+8835100',
      '--reason',
      'by phone',
      '--minutes',
      '5'
    )
    match(
      (await isthmus('fraud', 'list')).out,
      /block \d+: calls from island, to numbers \+8835100 until .*, manual: by phone/
    )
    const id = String(made['id'])
    equal((await isthmus('fraud', 'release', id, '--reason', 'cleared')).code, 0)
    const again = await isthmus('fraud', 'release', id, '--reason', 'cleared')
    deepEqual([again.code, /released before/.test(again.err)], [1, true])
    equal((await isthmus('fraud', 'list')).out, 'none\n')
    const nobody = await isthmus('fraud', 'block', '--from', 'nobody', '--reason', 'x')
    deepEqual([nobody.code, /no party is called nobody/.test(nobody.err)], [1, true])
    equal((await isthmus('fraud', 'calls', '77')).code, 1)
  })

  it('EOS-05 numbers whose time is over are erased by a command', async () => {
    const { records } = await json('privacy', 'purge')
    equal(records, '0')
  })

  it.each([
    [['reconcile', 'x.csv', '--agreement', 'sell']],
    [['reconcile', 'x.csv', ...period, '--tolerance', 'long']],
    [['reconcile', 'x.csv', ...period, '--map', 'nothing=x']],
    [['dispute', 'open', ...period, '--type', 'weather', '--reason', 'x']],
    [['dispute', 'move', '1', 'nowhere', '--reason', 'x']],
    [['dispute', 'show', 'one']],
    [['fraud', 'block', '--called', 'abc', '--reason', 'x']],
    [['fraud', 'list', '--max', '0']]
  ])('bad arguments leave with code 2: %j', async args => {
    const { code, err } = await isthmus(...args)
    equal(code, 2, err)
  })

  it.each([
    [['reconcile']],
    [['reconcile', 'run']],
    [['dispute', 'resolve']],
    [['fraud', 'block']],
    [['privacy', 'purge']]
  ])('every command explains itself: %j', async args => {
    equal((await isthmus(...args, '--help')).code, 0)
  })
})
