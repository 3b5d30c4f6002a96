import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { printAmount } from '../../../src/clearing/money.ts'
import { readSeals } from '../../../src/clearing/settlement/read.ts'
import { balancesOf, failedCall } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { bookOfYaml, callAt, close, closed, post, emptied } from '../../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

const fresh = (): Promise<TestDatabase> => emptied(database)
const sold = (more = '', rate = '0.06'): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more}
      rates: [{ prefix: "+49", destination: Germany, rate: "${rate}" }] }
`
const states = async (database: TestDatabase) => {
  const { stand, follow, sums } = await balancesOf(database)
  deepEqual(stand, follow)
  return sums
}

describe('closing a period', () => {
  it('SET-07 states each call of the period once, and the same again changes nothing', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [
      callAt(1, '2026-11-02T12:00:00Z', 60),
      callAt(2, '2026-11-30T23:59:59Z', 120),
      callAt(3, '2026-11-05T12:00:00Z', 0, failedCall)
    ])
    const first = await closed(database, book, '2026-11')
    equal(first.fresh, true)
    const { statement } = first
    deepEqual(
      [statement.statementId, statement.cdrCount, printAmount(statement.netMicros), statement.dueDay],
      ['sell/2026-11', 3n, '0.180000', '2026-12-30']
    )
    deepEqual(
      first.lines.map(line => [line.kind, line.destination, line.destCode, line.attempts, line.answered]),
      [['usage', 'Germany', '+49', 3n, 2n]]
    )
    const again = await closed(database, book, '2026-11')
    equal(again.fresh, false)
    deepEqual(again.statement, statement)
    equal((await readSeals(database)).length, 1)
    equal(statement.closedBy, 'anna')
  })

  it('of two closes at once one wins and the other finds it closed', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const both = await Promise.all([closed(database, book, '2026-11'), closed(database, book, '2026-11')])
    equal(both.filter(({ fresh }) => fresh).length, 1)
    equal((await readSeals(database)).length, 1)
    await states(database)
  })

  it('tells what a close would come to and keeps nothing of it', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const trial = await closed(database, book, '2026-11', { dryRun: true })
    equal(printAmount(trial.statement.netMicros), '0.060000')
    for (const table of ['statement', 'statement_line', 'statement_leaf', 'statement_seal', 'period_close']) {
      equal((await database.query(`select 1 from ${table}`)).count, 0, table)
    }
  })

  it('refuses a period that is not over, and one before which another is open', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold('timeZone: America/New_York,'))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60), callAt(2, '2026-12-02T12:00:00Z', 60)])
    const early = await close(database, book, '2026-11', { now: Date.parse('2026-12-01T04:59:59Z'), override: 'now' })
    deepEqual(early.closed ? [] : early.refusals.map(({ reason }) => reason), ['not-over'])
    const skipped = await close(database, book, '2026-12', { override: 'now' })
    deepEqual(skipped.closed ? [] : skipped.refusals, [
      { reason: 'not-next', detail: '2026-11 has to be closed first', overridable: false }
    ])
    await closed(database, book, '2026-11', { now: Date.parse('2026-12-01T05:00:00Z') })
    await closed(database, book, '2026-12')
  })

  it('EOS-03 refuses while records are missing, unless a named person says why it may close', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60), callAt(4, '2026-11-03T12:00:00Z', 60)])
    const outcome = await close(database, book, '2026-11')
    deepEqual(outcome.closed ? [] : outcome.refusals, [
      { reason: 'gaps', detail: '2 records of 4 are missing, in 1 gaps', overridable: true }
    ])
    const { statement } = await closed(database, book, '2026-11', { override: 'the disk is gone', by: 'bert' })
    deepEqual(
      [statement.received, statement.expected, statement.openGaps, statement.overrideReason, statement.closedBy],
      [2n, 4n, 1n, 'the disk is gone', 'bert']
    )
    const { rows } = await database.query('select overridden from period_close')
    deepEqual(rows, [{ overridden: [{ reason: 'gaps', detail: '2 records of 4 are missing, in 1 gaps' }] }])
  })

  it('EOS-03 keeps no reason where nothing had to be overridden', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    equal((await closed(database, book, '2026-11', { override: 'just in case' })).statement.overrideReason, null)
  })

  it('refuses while answered calls wait for a price', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    const abroad = { called: 'tel:+33123456', dialled: 'tel:+33123456' }
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60), callAt(2, '2026-11-03T12:00:00Z', 60, abroad)])
    const outcome = await close(database, book, '2026-11')
    deepEqual(outcome.closed ? [] : outcome.refusals.map(({ reason }) => reason), ['suspense'])
    const { statement } = await closed(database, book, '2026-11', { override: 'France comes later' })
    deepEqual([statement.suspenseCount, statement.suspenseMs, statement.cdrCount], [1n, 60_000n, 1n])
  })

  it('a close that dies in the middle leaves nothing, and the next one does all of it', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const dying = {
      ...database,
      transaction: <T>(work: Parameters<typeof database.transaction<T>>[0]) =>
        database.transaction<T>(async sql => {
          await work(sql)
          throw new Error('killed before the commit')
        })
    }
    await rejects(close(dying, book, '2026-11'), /killed/)
    equal((await database.query('select 1 from statement_leaf')).count, 0)
    equal((await closed(database, book, '2026-11')).fresh, true)
  })

  it('SET-07 what comes after the close goes to the next statement, flagged late', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const november = await closed(database, book, '2026-11')
    await post(database, book, [callAt(2, '2026-11-03T12:00:00Z', 120), callAt(3, '2026-12-03T12:00:00Z', 180)])
    deepEqual((await closed(database, book, '2026-11')).statement, november.statement)
    const december = await closed(database, book, '2026-12')
    deepEqual(
      december.lines.map(({ kind, ofPeriod, attempts, netMicros }) => [
        kind,
        ofPeriod,
        attempts,
        printAmount(netMicros)
      ]),
      [
        ['usage', '2026-12', 1n, '0.180000'],
        ['late', '2026-11', 1n, '0.120000']
      ]
    )
    deepEqual([december.statement.lateCount, printAmount(december.statement.lateMicros)], [1n, '0.120000'])
    const january = await closed(database, book, '2027-01')
    deepEqual([january.statement.cdrCount, january.lines.length], [0n, 0])
  })

  it('SET-07 what is posted while a period is closed is stated by this close or by the next, once', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    const batch = (from: number) =>
      Array.from({ length: 40 }, (_, n) => callAt(from + n, '2026-11-02T12:00:00Z', 60 + n))
    await post(database, book, batch(1))
    const override = 'records are on their way'
    await Promise.all([
      closed(database, book, '2026-11', { override }),
      post(database, book, batch(41)),
      post(database, book, batch(81))
    ])
    await closed(database, book, '2026-12')
    const { rows } = await database.query<{ records: string; net: string }>(
      'select sum(cdr_count)::text as records, trunc(sum(net_micros))::text as net from statement'
    )
    const { rows: charged } = await database.query<{ net: string }>(
      'select trunc(sum(amount_micros))::text as net from charge'
    )
    deepEqual(rows, [{ records: '120', net: charged[0]?.net }])
  })

  it('SET-07 a record from before the first statement is stated as late too', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    await closed(database, book, '2026-11')
    await post(database, book, [callAt(2, '2026-10-30T12:00:00Z', 60)])
    const { lines } = await closed(database, book, '2026-12')
    deepEqual(
      lines.map(({ kind, ofPeriod, attempts }) => [kind, ofPeriod, attempts]),
      [['late', '2026-10', 1n]]
    )
    equal((await closed(database, book, '2027-01')).lines.length, 0)
  })

  it('SET-07 what comes after the back-billing limit is told and not stated', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold('backBillingDays: 40,'))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    await closed(database, book, '2026-11')
    await post(database, book, [callAt(2, '2026-11-05T12:00:00Z', 60), callAt(3, '2026-11-25T12:00:00Z', 60)])
    const { statement } = await closed(database, book, '2026-12')
    deepEqual(
      [statement.lateCount, statement.outdatedCount, printAmount(statement.outdatedMicros)],
      [1n, 1n, '0.060000']
    )
  })

  it('a call charged again after the close is taken back and stated anew in the next statement', async () => {
    const { rerate } = await import('../../../src/clearing/rerate.ts')
    const database = await fresh()
    await post(database, bookOfYaml(sold()), [
      callAt(1, '2026-11-02T12:00:00Z', 60),
      callAt(2, '2026-12-02T12:00:00Z', 60)
    ])
    await closed(database, bookOfYaml(sold()), '2026-11')
    const cheaper = bookOfYaml(sold('', '0.05'))
    const scope = { agreementId: 'sell', from: '2026-11-01', to: '2026-12-01', callId: null }
    await rerate(database, cheaper, { scope, reason: 'a wrong rate', by: 'anna', dryRun: false })
    const { lines, statement } = await closed(database, cheaper, '2026-12')
    deepEqual(
      lines.map(({ kind, rateNanos, attempts, netMicros }) => [kind, rateNanos, attempts, printAmount(netMicros)]),
      [
        ['usage', 60_000_000n, 1n, '0.060000'],
        ['late', 50_000_000n, 1n, '0.050000'],
        ['late', 60_000_000n, -1n, '-0.060000']
      ]
    )
    equal(printAmount(statement.netMicros), '0.050000')
    equal((await closed(database, cheaper, '2027-01')).lines.length, 0)
    await states(database)
  })

  it('EOS-04 each seal names the one before', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold())]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    await closed(database, book, '2026-11')
    await closed(database, book, '2026-12')
    const [first, second] = await readSeals(database)
    equal(first?.previous, '0'.repeat(64))
    equal(second?.previous, first?.hash)
    deepEqual([first?.number, second?.number], [1, 2])
    match(first?.signature ?? '', /^[\w-]{86}$/)
    ok(first?.publicKey === second?.publicKey)
  })
})
