import { deepEqual, equal, throws } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { printAmount } from '../../../src/clearing/money.ts'
import type { StatementLine } from '../../../src/clearing/settlement/model.ts'
import { balancesOf } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { bookOfYaml, callAt, closed, post, emptied } from '../../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

const fresh = (): Promise<TestDatabase> => emptied(database)
const row = 'rates: [{ prefix: "+49", destination: Germany, rate: "0.0123" }]'
const sold = (more: string, rates = row): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more} ${rates} }
`
const shown = (lines: readonly StatementLine[]): readonly unknown[] =>
  lines.map(({ kind, ofPeriod, netMicros }) => [kind, ofPeriod, printAmount(netMicros)])
/** What the buyer owes by the book. */
async function owed(database: TestDatabase, account = 'unbilled-receivable/island'): Promise<string> {
  const { stand, follow, sums } = await balancesOf(database)
  deepEqual(stand, follow)
  for (const sum of sums) equal((sum as { sum: string }).sum, '0')
  const { rows } = await database.query<{ owed: string }>(
    'select (debit_micros - credit_micros)::text as owed from balance where account = $1',
    [account]
  )
  return printAmount(BigInt(rows[0]?.owed ?? '0'))
}

describe('what a period owes beyond its calls', () => {
  it('RATE-08 seconds are added up over the period and rounded up to a minute once', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold('rounding: { scope: period },'))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 45), callAt(2, '2026-11-03T12:00:00Z', 60)])
    const { lines, statement } = await closed(database, book, '2026-11')
    // 105 s are two minutes of 0.0123; each call by itself was 0.009225 and 0.0123.
    deepEqual(shown(lines), [
      ['usage', '2026-11', '0.021525'],
      ['rounding', '2026-11', '0.003075']
    ])
    equal(printAmount(statement.netMicros), '0.024600')
    equal(await owed(database), '0.024600')
  })

  it('RATE-08 is for prices by the row: a model with a price of its own is refused with it', () => {
    throws(
      () => bookOfYaml(sold('model: freemium, freemium: { freeUnits: 1 }, rounding: { scope: period },')),
      /the model freemium has a price of its own/
    )
  })

  it('COM-01 who uses less than was committed pays the shortfall', async () => {
    const commitment = 'model: bulk-commitment, commitment: { units: 600, rate: "0.01", overageRate: "0.02" },'
    const [database, book] = [await fresh(), bookOfYaml(sold(commitment, row.replace('0.0123', '0.01')))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 120)])
    const { lines } = await closed(database, book, '2026-11')
    deepEqual(shown(lines), [
      ['usage', '2026-11', '0.020000'],
      ['commitment', '2026-11', '0.080000']
    ])
    equal(lines[1]?.detail['shortfallUnits'], '480')
    equal(await owed(database), '0.100000')
    // Without any traffic the next one is all shortfall, and what is over costs its own rate in the one after.
    deepEqual(shown((await closed(database, book, '2026-12')).lines), [['commitment', '2026-12', '0.100000']])
    await post(database, book, [callAt(2, '2027-01-02T12:00:00Z', 900)])
    deepEqual(shown((await closed(database, book, '2027-01')).lines), [
      ['usage', '2027-01', '0.150000'],
      ['commitment', '2027-01', '0.050000']
    ])
    equal(await owed(database), '0.400000')
  })

  it('COM-01 units that were paid for and not used are used in the next period, where agreed', async () => {
    const commitment =
      'model: bulk-commitment, commitment: { units: 600, rate: "0.01", overageRate: "0.02", carryForward: true },'
    const [database, book] = [await fresh(), bookOfYaml(sold(commitment, row.replace('0.0123', '0.01')))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 120), callAt(2, '2026-12-02T12:00:00Z', 1_200)])
    await closed(database, book, '2026-11')
    const { lines } = await closed(database, book, '2026-12')
    // 1200 - 600 are over, 480 of them were paid for in November; 120 at 0.02 a minute.
    equal(lines[1]?.detail['overUnits'], '120')
    deepEqual(shown(lines), [
      ['usage', '2026-12', '0.200000'],
      ['commitment', '2026-12', '-0.060000']
    ])
  })

  it('COM-01 a late call makes the shortfall of its period smaller in the next statement', async () => {
    const commitment = 'model: bulk-commitment, commitment: { units: 600, rate: "0.01", overageRate: "0.02" },'
    const [database, book] = [await fresh(), bookOfYaml(sold(commitment, row.replace('0.0123', '0.01')))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 120)])
    await closed(database, book, '2026-11')
    await post(database, book, [callAt(2, '2026-11-03T12:00:00Z', 60), callAt(3, '2026-12-03T12:00:00Z', 600)])
    deepEqual(shown((await closed(database, book, '2026-12')).lines), [
      ['usage', '2026-12', '0.100000'],
      ['late', '2026-11', '0.010000'],
      ['commitment', '2026-11', '-0.010000'],
      ['commitment', '2026-12', '0.000000']
    ])
    equal(await owed(database), '0.200000')
  })

  it('COM-07 the first units by the order of answers are free, whatever the order they came in', async () => {
    const freemium = 'model: freemium, freemium: { freeUnits: 100 },'
    const [database, book] = [await fresh(), bookOfYaml(sold(freemium, row.replace('0.0123', '0.06')))]
    await post(database, book, [callAt(2, '2026-11-03T12:00:00Z', 60), callAt(1, '2026-11-02T12:00:00Z', 60)])
    equal(await owed(database), '0.120000')
    const { lines } = await closed(database, book, '2026-11')
    equal(printAmount(lines.reduce((sum, { netMicros }) => sum + netMicros, 0n)), '0.020000')
    equal(await owed(database), '0.020000')
    const { rows } = await database.query('select cdr_id, reason from recharge order by 1')
    deepEqual(
      rows.map(({ reason }) => reason),
      ['close of 2026-11', 'close of 2026-11']
    )
    // A late one before them uses the quota up: all of the period is priced again, the difference stated.
    await post(database, book, [callAt(3, '2026-11-01T12:00:00Z', 60)])
    const december = await closed(database, book, '2026-12')
    equal(printAmount(december.statement.netMicros), '0.060000')
    equal(await owed(database), '0.080000')
    deepEqual([december.statement.lateCount, december.statement.cdrCount], [1n, 1n])
  })

  it('COM-07 tiers price by the units of the whole period', async () => {
    const volume = 'model: volume, volume: { prices: all, tiers: [{ upTo: 100, rate: "0.06" }, { rate: "0.03" }] },'
    const [database, book] = [await fresh(), bookOfYaml(sold(volume, row))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60), callAt(2, '2026-11-03T12:00:00Z', 60)])
    equal(await owed(database), '0.120000')
    equal(printAmount((await closed(database, book, '2026-11')).statement.netMicros), '0.060000')
    equal(await owed(database), '0.060000')
  })

  it('bill and keep: who sent more pays the imbalance, by its own statement, after enough periods', async () => {
    const keep = (id: string, buyer: string, seller: string, other: string): string => `
  - { id: ${id}, buyer: ${buyer}, seller: ${seller}, model: bill-and-keep,
      billAndKeep: { with: ${other}, threshold: "0.6", netRate: "0.004", pays: all, periods: 2 }, ${row} }`
    const book = bookOfYaml(`
agreements:${keep('sell', 'island', 'hub', 'buy')}${keep('buy', 'hub', 'island', 'sell')}`)
    const database = await fresh()
    const call = (n: number, at: string, seconds: number, leg: 'ingress' | 'egress' = 'ingress') =>
      callAt(n, at, seconds, { leg, provider: 'island', other_provider: 'operator' })
    await post(database, book, [
      call(1, '2026-11-02T12:00:00Z', 6_000),
      call(2, '2026-11-02T13:00:00Z', 600, 'egress'),
      call(3, '2026-12-02T12:00:00Z', 6_000),
      call(4, '2026-12-02T13:00:00Z', 1_200, 'egress')
    ])
    deepEqual(shown((await closed(database, book, '2026-11')).lines), [
      ['usage', '2026-11', '0.000000'],
      ['imbalance', '2026-11', '0.000000']
    ])
    const { lines } = await closed(database, book, '2026-12')
    // (6000 - 1200) seconds are 80 minutes of 0.004.
    deepEqual(shown(lines)[1], ['imbalance', '2026-12', '0.320000'])
    deepEqual([lines[1]?.detail['periodsOutOfBalance'], lines[1]?.detail['unitsIn']], [2, '1200'])
    deepEqual([lines[0]?.grossMicros, lines[0]?.discountMicros], [1_230_000n, 1_230_000n])
    await closed(database, book, '2026-11', { agreement: 'buy' })
    const other = await closed(database, book, '2026-12', { agreement: 'buy' })
    deepEqual(shown(other.lines)[1], ['imbalance', '2026-12', '0.000000'])
    equal(await owed(database), '0.320000')
  })

  it('a share of the revenue is shown with what it is a share of', async () => {
    const shared = 'model: revenue-share, revenueShare: { share: "0.7" },'
    const [database, book] = [await fresh(), bookOfYaml(sold(shared, row.replace('0.0123', '0.10')))]
    await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60)])
    const { statement } = await closed(database, book, '2026-11')
    const { grossMicros, discountMicros, netMicros } = statement
    deepEqual([grossMicros, discountMicros, netMicros].map(printAmount), ['0.100000', '0.030000', '0.070000'])
  })
})
