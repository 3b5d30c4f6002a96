import { deepEqual, equal } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, it } from '@jest/globals'
import { positionOf, postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { parseAmount, printAmount } from '../../src/clearing/money.ts'
import { printReport } from '../../src/clearing/report-print.ts'
import { limits, settlementReport } from '../../src/clearing/report.ts'
import type { ReportLine, SettlementReport } from '../../src/clearing/report.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { bookOf, callRecords, failedCall, record, uuid } from '../support/clearing.ts'
import { traffic, trafficAgreements } from '../support/clearing-traffic.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.stop())
beforeEach(async () => {
  database = await postgres.fresh(clearingMigrations)
})

const november = { from: '2026-11-01', to: '2026-12-01' }
async function reportOf(
  records: readonly unknown[],
  agreements?: string,
  period = november
): Promise<SettlementReport> {
  const after = await positionOf(database, 'cdr')
  const batch = { topic: 'cdr', after, position: after + BigInt(records.length), records }
  await database.transaction(sql => postBatch(sql, batch, bookOf(agreements)))
  return settlementReport(database, period)
}
const line = (over: Partial<ReportLine> = {}): ReportLine => ({
  fromProvider: 'island',
  toProvider: 'operator',
  service: 'voice',
  currency: 'EUR',
  attempts: 0,
  answered: 0,
  minutesSold: '0.00',
  minutesBought: '0.00',
  messagesSold: 0,
  messagesBought: 0,
  sell: '0.000000',
  cost: '0.000000',
  margin: '0.000000',
  direct: '0.000000',
  suspended: 0,
  ...over
})

describe('the settlement report', () => {
  it('has for each pair its calls, minutes, what is owed on both sides, and the margin (R09)', async () => {
    const { lines, totals, suspended } = await reportOf([
      ...callRecords(1, { duration_ms: 125_300 }),
      ...callRecords(2, failedCall)
    ])
    const money = { sell: '0.072450', cost: '0.063000', margin: '0.009450' }
    deepEqual(lines, [line({ attempts: 2, answered: 1, minutesSold: '2.10', minutesBought: '2.10', ...money })])
    deepEqual(totals, [{ currency: 'EUR', ...money, direct: '0.000000' }])
    equal(suspended, 0)
  })

  it('counts a call once, however many targets were tried', async () => {
    const failed = record({
      leg: 'egress',
      seq: 3,
      call_id: callRecords(1)[0].call_id,
      provider: 'carrier',
      ...failedCall
    })
    const [ingress, egress] = callRecords(1)
    const { lines } = await reportOf([failed, ingress, { ...egress, attempt: 2 }])
    deepEqual(
      lines.map(({ toProvider, attempts }) => [toProvider, attempts]),
      [['operator', 1]]
    )
  })

  it('keeps currencies apart, in lines and in totals', async () => {
    const { lines, totals } = await reportOf(
      callRecords(1, { duration_ms: 60_000 }),
      `agreements:
      - { id: sell, buyer: island, seller: hub, currency: USD, rates: [{ prefix: "+", destination: d, rate: "2" }] }
      - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+", destination: d, rate: "1" }] }`
    )
    const eur = { cost: '1.000000', margin: '-1.000000' }
    const usd = { sell: '2.000000', margin: '2.000000' }
    deepEqual(lines, [
      line({ minutesBought: '1.00', ...eur }),
      line({ currency: 'USD', attempts: 1, answered: 1, minutesSold: '1.00', ...usd })
    ])
    deepEqual(totals, [
      { currency: 'EUR', sell: '0.000000', direct: '0.000000', ...eur },
      { currency: 'USD', cost: '0.000000', direct: '0.000000', ...usd }
    ])
  })

  it('shows what providers owe each other past the hub apart from the hub’s own money', async () => {
    const { lines } = await reportOf(
      callRecords(1),
      `agreements:
      [{ id: direct, buyer: island, seller: operator, rates: [{ prefix: "+", destination: d, rate: "0.06" }] }]`
    )
    deepEqual(lines, [line({ attempts: 1, answered: 1, minutesSold: '1.02', direct: '0.061000' })])
  })

  it('counts messages as messages', async () => {
    const text = { service: 'message', record_type: 'event', unit_type: 'messages', units: 1, duration_ms: 0 } as const
    const { lines } = await reportOf([...callRecords(1, text), ...callRecords(2, text)], trafficAgreements)
    const money = { sell: '0.040000', cost: '0.020000', margin: '0.020000' }
    deepEqual(lines, [
      line({ service: 'message', attempts: 2, answered: 2, messagesSold: 2, messagesBought: 2, ...money })
    ])
  })

  it('takes a call into the period in which it was answered, in the time zone of each agreement', async () => {
    const midnight = Date.parse('2026-10-31T18:45:00Z')
    const call = callRecords(1, { t_request: midnight - 1, t_answer: midnight, t_end: midnight + 61_000 })
    const { lines } = await reportOf(call, trafficAgreements)
    deepEqual(
      lines.map(({ attempts, sell, cost }) => [attempts, sell, cost]),
      [[1, '0.035075', '0.000000']]
    )
    const october = await settlementReport(database, { from: '2026-10-01', to: '2026-11-01' })
    deepEqual(
      october.lines.map(({ attempts, sell, cost }) => [attempts, sell, cost]),
      [[0, '0.000000', '0.060000']]
    )
  })

  it('shows answered calls that nothing prices, and those without any agreement', async () => {
    const elsewhere = { called: 'tel:+331', dialled: 'tel:+331' }
    const refused = record({ seq: 9, call_id: uuid(9), ...failedCall, other_provider: null, provider: 'isle' })
    const { lines, suspended } = await reportOf([...callRecords(1, elsewhere), refused])
    deepEqual(lines, [
      line({ currency: null, attempts: 1, answered: 1, suspended: 2 }),
      line({ fromProvider: 'isle', toProvider: null, currency: null, attempts: 1 })
    ])
    equal(suspended, 2)
  })

  it('what it adds up is what the ledger moved', async () => {
    const { lines, totals } = await reportOf(traffic(300), trafficAgreements, { from: '2026-10-01', to: '2026-12-01' })
    const { rows } = await database.query<{ currency: string; micros: string }>(
      'select currency, sum(amount_micros)::text as micros from transfer group by 1 order by 1'
    )
    const all = ({ sell, cost, direct }: Pick<ReportLine, 'sell' | 'cost' | 'direct'>): bigint =>
      parseAmount(sell) + parseAmount(cost) + parseAmount(direct)
    deepEqual(
      totals.map(total => [total.currency, String(all(total))]),
      rows.map(({ currency, micros }) => [currency, micros])
    )
    for (const { currency, margin } of totals) {
      const sum = lines
        .filter(line => line.currency === currency)
        .reduce((sum, line) => sum + parseAmount(line.margin), 0n)
      equal(printAmount(sum), margin)
    }
  })
})

describe('completeness', () => {
  const day = 86_400_000
  const at = (seq: number, over: Partial<CdrRecord> = {}): CdrRecord => record({ seq, call_id: uuid(seq), ...over })
  const ended = (days: number): Partial<CdrRecord> => ({ t_end: Date.parse('2026-11-01T00:00:00Z') + days * day })

  it('EOS-03 is whole where every number of every node has arrived, partial and rejected records too', async () => {
    const { completeness } = await reportOf([
      at(1, { kind: 'start', partial_seq: 0 }),
      { ...at(2), duration_ms: -1 },
      at(3),
      at(1, { node_id: 'node-2', call_id: uuid(77), cdr_id: uuid(77) })
    ])
    deepEqual(completeness, {
      received: 4,
      expected: 4,
      nodes: [
        { nodeId: 'node-1', received: 3, expected: 3, gaps: 0, missing: [] },
        { nodeId: 'node-2', received: 1, expected: 1, gaps: 0, missing: [] }
      ]
    })
  })

  it('counts and names what is missing between the first number and the last one of the period', async () => {
    const { completeness } = await reportOf([2, 3, 7, 9].map(seq => at(seq)))
    deepEqual(completeness, {
      received: 4,
      expected: 9,
      nodes: [{ nodeId: 'node-1', received: 4, expected: 9, gaps: 3, missing: ['1', '4-6', '8'] }]
    })
    const filled = await reportOf([1, 4, 5, 6, 8].map(seq => at(seq)))
    deepEqual([filled.completeness.received, filled.completeness.expected], [9, 9])
  })

  it('lays a gap to the period in which the next record was written', async () => {
    await reportOf([at(1, ended(-2)), at(2, ended(-1)), at(5, ended(1)), at(6, ended(2)), at(9, ended(31))])
    const { completeness } = await settlementReport(database, november)
    deepEqual([completeness.received, completeness.expected, completeness.nodes[0]!.missing], [2, 4, ['3-4']])
    const december = await settlementReport(database, { from: '2026-12-01', to: '2027-01-01' })
    deepEqual([december.completeness.expected, december.completeness.nodes[0]!.missing], [3, ['7-8']])
  })

  it('lists at most as many gaps as its limit and counts all', async () => {
    const report = await reportOf(Array.from({ length: limits.gapsListedMax + 5 }, (_, n) => at(2 * n + 2)))
    const [node] = report.completeness.nodes
    deepEqual([node!.gaps, node!.missing.length], [limits.gapsListedMax + 5, limits.gapsListedMax])
    equal(/missing 1, 3, .*, 39, \.\.\.$/m.test(printReport.text(report)), true)
  })
})

describe('the printed report', () => {
  const report: SettlementReport = {
    period: november,
    lines: [
      line({
        attempts: 2,
        answered: 1,
        minutesSold: '2.10',
        minutesBought: '3.00',
        sell: '0.072450',
        cost: '0.090000',
        margin: '-0.017550'
      }),
      line({ fromProvider: 'isle', toProvider: null, currency: null, attempts: 10, suspended: 1 })
    ],
    totals: [{ currency: 'EUR', sell: '0.072450', cost: '0.090000', margin: '-0.017550', direct: '0.000000' }],
    completeness: {
      received: 5,
      expected: 7,
      nodes: [{ nodeId: 'node-1', received: 5, expected: 7, gaps: 1, missing: ['3-4'] }]
    },
    suspended: 1
  }

  it('as text is a table with totals and what needs a look (negative margin: R10)', () => {
    const golden = readFileSync(new URL('fixtures/report.txt', import.meta.url), 'utf8')
    deepEqual(printReport.text(report).split('\n'), golden.split('\n'))
  })

  it('as text says so where nothing was cleared', async () => {
    const empty = printReport.text(await reportOf([]))
    const ending = 'Nothing was cleared in this period.\n\nCompleteness: 0 of 0 records received\nSuspense: empty\n'
    equal(empty.endsWith(ending), true)
  })

  it('as CSV has one row a line and no words in numbers', () => {
    deepEqual(printReport.csv(report).split('\r\n'), [
      'from,to,service,currency,attempts,answered,minutes_sold,minutes_bought,messages_sold,messages_bought,' +
        'sell,cost,margin,direct,suspended',
      'island,operator,voice,EUR,2,1,2.10,3.00,0,0,0.072450,0.090000,-0.017550,0.000000,0',
      'isle,,voice,,10,0,0.00,0.00,0,0,0.000000,0.000000,0.000000,0.000000,1',
      ''
    ])
  })

  it('as JSON is the report', () => {
    deepEqual(JSON.parse(printReport.json(report)), report)
  })
})
