import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import type { AgreementBook } from '../../src/clearing/agreements.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { printAmount } from '../../src/clearing/money.ts'
import { releaseAll } from '../../src/clearing/release.ts'
import { rerate } from '../../src/clearing/rerate.ts'
import type { Reratement } from '../../src/clearing/rerate.ts'
import { statementOf } from '../../src/clearing/statement.ts'
import { isSuspenseAlarming, limits, listSuspense, sumSuspense } from '../../src/clearing/suspense.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { balancesOf, bookOf, callRecords, failedCall, record, uuid } from '../support/clearing.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop())

const fresh = (): Promise<TestDatabase> => postgres.fresh(clearingMigrations)
let position = 0n
async function post(database: TestDatabase, book: AgreementBook, records: readonly unknown[]): Promise<unknown> {
  position += 1n
  const topic = `t${position}`
  return database.transaction(sql => postBatch(sql, { topic, after: 0n, position: 1n, records }, book))
}
const again = (
  database: TestDatabase,
  agreements: string,
  over: Partial<{ agreementId: string; callId: string; from: string; to: string; dryRun: boolean; reason: string }> = {}
): Promise<Reratement> => {
  const { agreementId = null, callId = null, from = '2026-11-01', to = '2026-12-01', ...how } = over
  const scope = { agreementId, from, to, callId }
  return rerate(database, bookOf(agreements), { scope, reason: 'a wrong rate', by: 'anna', dryRun: false, ...how })
}
const cascadeAt = (sell: string, prefix = '+49'): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [{ prefix: "${prefix}", destination: Germany, rate: "${sell}" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.0300" }] }
`
const entries = async (database: TestDatabase): Promise<readonly unknown[]> =>
  (
    await database.query<{ entry_id: string; debit: string; amount_micros: bigint }>(
      "select replace(entry_id, cdr_id::text, '') as entry_id, debit, amount_micros from transfer order by 1"
    )
  ).rows.map(row => [row.entry_id, row.debit, printAmount(row.amount_micros)])
const rollup = async (database: TestDatabase): Promise<readonly unknown[]> =>
  (
    await database.query(
      'select side, attempts, answered, billed_units, amount_micros from rollup where attempts <> 0 order by 1'
    )
  ).rows

describe('rating again', () => {
  it('LED-02 reverses what was charged and charges anew, with the reason, and only once', async () => {
    const database = await fresh()
    await post(database, bookOf(cascadeAt('0.06')), callRecords(1, { duration_ms: 60_000 }))
    const first = await again(database, cascadeAt('0.05'))
    deepEqual([first.looked, first.changed, first.unpriced], [2, 1, 0])
    deepEqual(first.sums, [{ agreementId: 'sell', currency: 'EUR', before: 60_000n, after: 50_000n }])
    deepEqual(await entries(database), [
      ['/call/1', 'unbilled-receivable/island', '0.060000'],
      ['/call/1', 'cost/operator', '0.030000'],
      ['/call/1/1', 'unbilled-receivable/island', '0.050000'],
      ['/call/1/reversed', 'revenue/island', '0.060000']
    ])
    equal((await again(database, cascadeAt('0.05'))).changed, 0)
    equal((await again(database, cascadeAt('0.04'))).changed, 1)
    equal((await again(database, cascadeAt('0.06'))).changed, 1)
    const { rows } = await database.query('select revision, reason, made_by, amount_micros from recharge order by 1')
    deepEqual(rows, [
      { revision: 1n, reason: 'a wrong rate', made_by: 'anna', amount_micros: 50_000n },
      { revision: 2n, reason: 'a wrong rate', made_by: 'anna', amount_micros: 40_000n },
      { revision: 3n, reason: 'a wrong rate', made_by: 'anna', amount_micros: 60_000n }
    ])
    const { stand, follow, sums } = await balancesOf(database)
    deepEqual(stand, follow)
    deepEqual(sums, [{ currency: 'EUR', sum: '0' }])
    deepEqual(await rollup(database), [
      { side: 'buy', attempts: '1', answered: '1', billed_units: '60', amount_micros: '30000' },
      { side: 'sell', attempts: '1', answered: '1', billed_units: '60', amount_micros: '60000' }
    ])
  })

  it('LED-02 leaves the same sums as charging rightly at first', async () => {
    const records = Array.from({ length: 40 }, (_, n) => callRecords(n + 1, { duration_ms: 1_000 * n + 500 })).flat()
    const [wrong, right] = [await fresh(), await fresh()]
    await post(wrong, bookOf(cascadeAt('0.0777')), records)
    await post(right, bookOf(cascadeAt('0.05')), records)
    await Promise.all([again(wrong, cascadeAt('0.05')), again(wrong, cascadeAt('0.05'))])
    const totals = 'select account, currency, debit_micros - credit_micros as sum from balance order by 1'
    deepEqual((await wrong.query(totals)).rows, (await right.query(totals)).rows)
    deepEqual(await rollup(wrong), await rollup(right))
    equal((await wrong.query('select * from recharge')).count, 40)
  })

  it('a dry run tells the difference and posts nothing', async () => {
    const database = await fresh()
    await post(database, bookOf(cascadeAt('0.06')), callRecords(1, { duration_ms: 60_000 }))
    const { sums } = await again(database, cascadeAt('0.05'), { dryRun: true })
    deepEqual([sums[0]?.before, sums[0]?.after], [60_000n, 50_000n])
    equal((await database.query('select * from recharge')).count, 0)
    equal((await entries(database)).length, 2)
  })

  it('takes only the agreement, the days and the call that are asked for', async () => {
    const database = await fresh()
    await post(database, bookOf(cascadeAt('0.06')), [...callRecords(1), ...callRecords(2)])
    equal((await again(database, cascadeAt('0.05'), { from: '2026-11-03' })).looked, 0)
    equal((await again(database, cascadeAt('0.05'), { agreementId: 'buy' })).looked, 2)
    const one = await again(database, cascadeAt('0.05'), { callId: uuid(1_000_001) })
    deepEqual([one.looked, one.changed], [2, 1])
  })

  it('what nothing prices now keeps what was charged', async () => {
    const database = await fresh()
    await post(database, bookOf(cascadeAt('0.06')), callRecords(1))
    deepEqual(
      await again(database, cascadeAt('0.05', '+33')).then(({ changed, unpriced }) => [changed, unpriced]),
      [0, 1]
    )
  })

  it('attempts, emergencies and refusals stay as they were', async () => {
    const database = await fresh()
    const records = [
      ...callRecords(1, failedCall),
      ...callRecords(2, { emergency: true }),
      ...callRecords(3, { ...failedCall, cause: 'no-credit', release_side: 'hub' })
    ]
    await post(database, bookOf(cascadeAt('0.06')), records)
    equal((await again(database, cascadeAt('0.05'))).changed, 0)
  })

  it('the statement of a call shows what it owes now, and every transfer', async () => {
    const database = await fresh()
    await post(database, bookOf(cascadeAt('0.06')), callRecords(1, { duration_ms: 60_000 }))
    await again(database, cascadeAt('0.05'))
    const { records, transfers } = await statementOf(database, uuid(1_000_001))
    deepEqual(
      records.map(({ charge }) => charge?.amount),
      ['0.050000', '0.030000']
    )
    equal(transfers.length, 4)
  })
})

describe('prices that depend on the order of calls', () => {
  const model = (more: string): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more}, rates: [{ prefix: "+49", destination: Germany, rate: "0.60" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.0300" }] }
`
  const answered = Date.parse('2026-11-02T12:00:00Z')
  /** Ingress records of a minute each; the later number was answered first. */
  const calls = (count: number): readonly CdrRecord[] =>
    Array.from({ length: count }, (_, n) =>
      record({ seq: n + 1, call_id: uuid(500 + n), duration_ms: 60_000, t_answer: answered - n * 1_000 })
    )
  const amounts = async (database: TestDatabase): Promise<readonly string[]> =>
    (await database.query<{ amount_micros: bigint }>('select amount_micros from charge_now order by cdr_id')).rows.map(
      ({ amount_micros }) => printAmount(amount_micros)
    )

  it('COM-02 what is free goes to the calls answered first, whatever the order of their arrival', async () => {
    const freemium = model('model: freemium, freemium: { freeUnits: 90 }')
    const database = await fresh()
    await post(database, bookOf(freemium), calls(3))
    deepEqual(await amounts(database), ['0.600000', '0.600000', '0.600000'])
    await again(database, freemium)
    deepEqual(await amounts(database), ['0.600000', '0.300000', '0.000000'])
    equal((await again(database, freemium)).changed, 0)
    const { stand, follow } = await balancesOf(database)
    deepEqual(stand, follow)
  })

  it('COM-07 tiers are provisional until their period is rated in order', async () => {
    const tiers = (prices: string): string =>
      model(
        `model: volume, volume: { freeUnits: 30, prices: ${prices}, tiers: [{ upTo: 60, rate: "0.60" }, { rate: "0.30" }] }`
      )
    const database = await fresh()
    await post(database, bookOf(tiers('graduated')), calls(3))
    deepEqual(await amounts(database), ['0.600000', '0.600000', '0.600000'])
    await again(database, tiers('graduated'))
    // 30 free, 60 at 0.60, then 0.30, in the order of the answers: the last record was answered first.
    deepEqual(await amounts(database), ['0.300000', '0.450000', '0.300000'])
    equal((await again(database, tiers('graduated'))).changed, 0)
    await again(database, tiers('all'))
    deepEqual(await amounts(database), ['0.300000', '0.300000', '0.150000'])
  })

  it('COM-07 are asked for by whole periods only', async () => {
    const freemium = model('model: freemium, freemium: { freeUnits: 90 }')
    const database = await fresh()
    await rejects(
      again(database, freemium, { from: '2026-11-02' }),
      /in the order of a whole month; .* 2026-11-01 to 2026-12-01/
    )
    await rejects(again(database, freemium, { callId: uuid(1) }), /whole month/)
    equal((await again(database, freemium, { agreementId: 'buy', from: '2026-11-02' })).looked, 0)
  })
})

describe('suspense', () => {
  it('RATE-04 is listed with what is missing, and charged once when a rate is there', async () => {
    const database = await fresh()
    const far = { called: 'tel:+331', dialled: 'tel:+331', duration_ms: 90_000 }
    await post(database, bookOf(), [...callRecords(1, far), ...callRecords(2)])
    deepEqual(await sumSuspense(database, null), [
      {
        reason: 'no-rate',
        provider: 'island',
        otherProvider: 'operator',
        service: 'voice',
        records: 1n,
        durationMs: '90000'
      },
      {
        reason: 'no-rate',
        provider: 'operator',
        otherProvider: 'island',
        service: 'voice',
        records: 1n,
        durationMs: '90000'
      }
    ])
    deepEqual(
      (await listSuspense(database, 'no-rate', 1)).map(({ leg, called }) => [leg, called]),
      [['ingress', 'tel:+331']]
    )
    deepEqual(await listSuspense(database, 'blocked', 10), [])
    const { signal } = new AbortController()
    const release = (book: AgreementBook): Promise<number> => releaseAll(database, book, { pageMax: 1, signal })
    equal(await release(bookOf()), 0)
    equal(await release(bookOf(cascadeAt('0.06', '+'))), 1)
    equal(await release(bookOf(cascadeAt('0.06', '+'))), 0)
    equal((await listSuspense(database, null, 10)).length, 1)
  })

  it('RATE-04 is an alarm where more wait than anybody should leave alone', async () => {
    const database = await fresh()
    const far = { called: 'tel:+331', dialled: 'tel:+331' }
    const records = Array.from({ length: limits.alarmAbove / 2 }, (_, n) => callRecords(n + 1, far)).flat()
    const quiet = (await post(database, bookOf(), records)) as { readonly suspenseAlarm: boolean }
    equal(quiet.suspenseAlarm, false)
    const loud = (await post(database, bookOf(), callRecords(9_999, far))) as { readonly suspenseAlarm: boolean }
    ok(loud.suspenseAlarm)
    ok(await isSuspenseAlarming(database))
  })
})
