import { deepEqual, equal } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { printAmount } from '../../../src/clearing/money.ts'
import { duePeriods } from '../../../src/clearing/settlement/due.ts'
import { failedCall } from '../../support/clearing.ts'
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
const sold = (more: string): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more} rates: [{ prefix: "+49", destination: Germany, rate: "0.06" }] }
`
/** How many calls each period of an agreement states, when they are answered at these moments. */
async function countsOf(more: string, moments: readonly string[], periods: readonly string[]) {
  const [database, book] = [await fresh(), bookOfYaml(sold(more))]
  await post(
    database,
    book,
    moments.map((at, n) => callAt(n + 1, at, 60))
  )
  const counts: bigint[] = []
  for (const period of periods) counts.push((await closed(database, book, period)).statement.cdrCount)
  return counts
}

describe('the period of a call', () => {
  it('SET-07 at the end of a month the last millisecond belongs to it', async () => {
    const moments = ['2026-11-30T23:59:59.999Z', '2026-12-01T00:00:00.000Z']
    deepEqual(await countsOf('', moments, ['2026-11', '2026-12']), [1n, 1n])
  })

  it('SET-01 a month ends in the time zone of the agreement, half an hour off the hour too', async () => {
    const moments = ['2026-10-31T18:29:59.999Z', '2026-10-31T18:30:00.000Z', '2026-11-30T18:29:59.999Z']
    deepEqual(await countsOf('timeZone: Asia/Kolkata,', moments, ['2026-10', '2026-11']), [1n, 2n])
  })

  it('SET-01 the night in which the clock goes back ends no period twice', async () => {
    // The last day of October in Berlin 2027 has 25 hours: 02:30 comes at 00:30Z and again at 01:30Z.
    const moments = ['2027-10-31T00:30:00Z', '2027-10-31T01:30:00Z', '2027-10-31T22:59:59.999Z', '2027-10-31T23:00:00Z']
    deepEqual(await countsOf('timeZone: Europe/Berlin,', moments, ['2027-10', '2027-11']), [3n, 1n])
  })

  it('SET-01 weeks and quarters are periods as well', async () => {
    const moments = ['2026-12-27T23:00:00Z', '2026-12-28T00:00:00Z', '2027-01-03T23:00:00Z']
    deepEqual(await countsOf('calendar: week,', moments, ['2026-W52', '2026-W53']), [1n, 2n])
    deepEqual(await countsOf('calendar: quarter,', moments, ['2026-Q4', '2027-Q1']), [2n, 1n])
  })

  it('SET-01 a call that is over in the next period belongs to that of its answer, or of its end if agreed', async () => {
    const moments = ['2026-11-30T23:59:30Z']
    deepEqual(await countsOf('', moments, ['2026-11']), [1n])
    deepEqual(await countsOf('periodOf: end,', moments, ['2026-12']), [1n])
  })

  it('SET-01 what is due is every period that is over and not closed, in its order', async () => {
    const [database, book] = [await fresh(), bookOfYaml(sold(''))]
    const [agreement] = book.agreements
    await post(database, book, [callAt(1, '2026-10-31T12:00:00Z', 60)])
    const due = async (now: string) => (await duePeriods(database, agreement!, Date.parse(now))).map(({ name }) => name)
    deepEqual(await due('2026-12-31T23:59:59.999Z'), ['2026-10', '2026-11'])
    await closed(database, book, '2026-10')
    deepEqual(await due('2027-01-01T00:00:00Z'), ['2026-11', '2026-12'])
  })

  it('SET-01 a month that begins in the middle of a quarter begins where the last statement ended', async () => {
    const database = await fresh()
    const months = bookOfYaml(sold(''))
    await post(database, months, [callAt(1, '2026-10-05T12:00:00Z', 60), callAt(2, '2026-11-05T12:00:00Z', 60)])
    await closed(database, months, '2026-10')
    const quarters = bookOfYaml(sold('calendar: quarter,'))
    const [due] = await duePeriods(database, quarters.agreements[0]!, Date.parse('2027-01-01T00:00:00Z'))
    deepEqual(due, { name: '2026-Q4', from: '2026-11-01', to: '2027-01-01' })
  })
})

describe('the lines of a statement', () => {
  it('SET-01 calls that came to nothing count where they would have been priced', async () => {
    const rates = `
agreements:
  - { id: sell, buyer: island, seller: hub, attemptFee: "0.001", rates: [
      { prefix: "+49", destination: Germany, rate: "0.06", setupFee: "0.01", initialSeconds: 30, nextSeconds: 6 },
      { prefix: "+4915", destination: Germany mobile, rate: "0.12" }] }`
    const [database, book] = [await fresh(), bookOfYaml(rates)]
    const mobile = { called: 'tel:+4915112345', dialled: 'tel:+4915112345' }
    await post(database, book, [
      callAt(1, '2026-11-02T12:00:00Z', 45),
      callAt(2, '2026-11-02T12:00:00Z', 0, failedCall),
      callAt(3, '2026-11-02T12:00:00Z', 0, { ...failedCall, cause: 'unreachable' }),
      callAt(4, '2026-11-02T12:00:00Z', 60, mobile),
      callAt(5, '2026-11-02T12:00:00Z', 60, { emergency: true, called: 'urn:service:sos', dialled: 'urn:service:sos' })
    ])
    const { lines, statement } = await closed(database, book, '2026-11')
    deepEqual(
      lines.map(line => [line.destination, line.detail['rule'] ?? '', line.attempts, line.answered, line.effective]),
      [
        ['Germany', '', 3n, 1n, 2n],
        ['Germany mobile', '', 1n, 1n, 1n],
        [null, 'attempt', 0n, 0n, 0n],
        [null, 'emergency', 1n, 1n, 1n]
      ]
    )
    // 30 s, then three steps of 6 s; 0.048 and the set-up fee.
    const [germany] = lines
    deepEqual(
      [germany?.billedUnits, germany?.increments, germany?.setupMicros, germany?.netMicros],
      [48n, 4n, 10_000n, 58_000n]
    )
    equal(printAmount(statement.netMicros), '0.180000')
    equal(printAmount(statement.invoiceMicros), '0.180000')
  })

  it('SET-01 the amount to be invoiced is rounded per line or once', async () => {
    const rates = `rates: [{ prefix: "+49", destination: Germany, rate: "0.0045" },
      { prefix: "+4915", destination: Germany mobile, rate: "0.0045" }] }`
    const invoiced = async (stage: string): Promise<string> => {
      const [database, book] = [
        await fresh(),
        bookOfYaml(`
agreements:
  - { id: sell, buyer: island, seller: hub, rounding: { stage: ${stage} }, ${rates}`)
      ]
      const mobile = { called: 'tel:+4915112345', dialled: 'tel:+4915112345' }
      await post(database, book, [callAt(1, '2026-11-02T12:00:00Z', 60), callAt(2, '2026-11-02T12:00:00Z', 60, mobile)])
      return printAmount((await closed(database, book, '2026-11')).statement.invoiceMicros)
    }
    deepEqual([await invoiced('line'), await invoiced('invoice')], ['0.000000', '0.010000'])
  })
})
