import { deepEqual, equal, rejects } from 'node:assert/strict'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, it } from '@jest/globals'
import { limits } from '../../src/clearing/intake.ts'
import { positionOf, postBatch, releaseSuspense } from '../../src/clearing/ledger.ts'
import type { Posted } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { statementOf } from '../../src/clearing/statement.ts'
import { sqlStateOf } from '../../src/store/sql.ts'
import { balancesOf, bookOf, callRecords, failedCall, record, uuid } from '../support/clearing.ts'
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

const topic = 'cdr'
async function post(records: readonly unknown[], agreements?: string): Promise<Posted | null> {
  const after = await positionOf(database, topic)
  const batch = { topic, after, position: after + BigInt(records.length), records }
  return database.transaction(sql => postBatch(sql, batch, bookOf(agreements)))
}
const count = async (table: string): Promise<number> =>
  Number((await database.query<{ n: bigint }>(`select count(*) as n from ${table}`)).rows[0]!.n)
const nothing = { charged: 0, suspended: 0, rejected: 0, repeated: 0, losses: 0, suspenseAlarm: false }

describe('the ledger', () => {
  it('posts the cascade of R09 and shows every step of it', async () => {
    deepEqual(await post(callRecords(1, { duration_ms: 125_300 })), { ...nothing, charged: 2 })
    const { records, transfers, balances } = await statementOf(database, callRecords(1)[0].call_id)
    deepEqual(
      records.map(({ leg, charge }) => [leg, charge?.side, charge?.agreementId, charge?.billedUnits, charge?.amount]),
      [
        ['ingress', 'sell', 'sell', 126, '0.072450'],
        ['egress', 'buy', 'buy', 126, '0.063000']
      ]
    )
    deepEqual(
      transfers.map(({ debit, credit, amount, currency }) => [debit, credit, amount, currency]),
      [
        ['unbilled-receivable/island', 'revenue/island', '0.072450', 'EUR'],
        ['cost/operator', 'unbilled-payable/operator', '0.063000', 'EUR']
      ]
    )
    deepEqual(
      balances.map(({ account, balance }) => [account, balance]),
      [
        ['cost/operator', '0.063000'],
        ['revenue/island', '-0.072450'],
        ['unbilled-payable/operator', '-0.063000'],
        ['unbilled-receivable/island', '0.072450']
      ]
    )
    equal(records[0]!.charge!.rateId, 'sell/+49/2020-01-01T00:00:00.000Z')
    deepEqual(records[0]!.charge!.explanation['parts'], [{ rate: '0.0345', units: 126 }])
  })

  it('knows nothing of a call that was never cleared', async () => {
    deepEqual(await statementOf(database, uuid(9)), { callId: uuid(9), records: [], transfers: [], balances: [] })
  })

  it('charges finals only: start and interim records have no row anywhere', async () => {
    const partial = (kind: 'start' | 'interim', seq: number) => record({ kind, seq, partial_seq: seq - 1 })
    deepEqual(await post([partial('start', 1), partial('interim', 2)]), nothing)
    equal(await count('cdr_final'), 0)
    deepEqual(await post([record({ seq: 3, partial_seq: 2 })]), { ...nothing, charged: 1 })
  })

  it('a charge of nothing has a row but moves nothing', async () => {
    deepEqual(await post([record(failedCall), record({ seq: 2, call_id: uuid(2), emergency: true })]), {
      ...nothing,
      charged: 2
    })
    deepEqual([await count('charge'), await count('transfer'), await count('balance')], [2, 0, 0])
  })

  it('a repeated record is an ordinary answer, also within one batch', async () => {
    const [ingress, egress] = callRecords(1)
    deepEqual(await post([ingress, ingress, egress]), { ...nothing, charged: 2, repeated: 1 })
    deepEqual(await post([egress, ingress]), { ...nothing, repeated: 2 })
    deepEqual([await count('transfer'), await count('rejected')], [2, 0])
  })

  it('a second final of one leg is rejected, whoever writes it, and charged nowhere', async () => {
    const first = record({ duration_ms: 60_000 })
    const second = record({ seq: 7, node_id: 'node-2', duration_ms: 55_000, incomplete: true })
    deepEqual(await post([first]), { ...nothing, charged: 1 })
    deepEqual(await post([second]), { ...nothing, rejected: 1 })
    deepEqual(await post([second]), { ...nothing, rejected: 1 })
    const { rows } = await database.query('select reason, detail, record from rejected')
    deepEqual(rows, [
      {
        reason: 'second-final',
        detail: `ingress attempt 1 of call ${first.call_id} has its final`,
        record: JSON.stringify(second)
      }
    ])
    equal(await count('charge'), 1)
  })

  it('an attempt after a failed one is a record of its own', async () => {
    const attempts = [record({ leg: 'egress', ...failedCall }), record({ leg: 'egress', seq: 2, attempt: 2 })]
    deepEqual(await post(attempts), { ...nothing, charged: 2 })
    deepEqual(
      (await statementOf(database, uuid(1))).records.map(({ attempt, charge }) => [attempt, charge?.rule]),
      [
        [1, 'attempt'],
        [2, 'call']
      ]
    )
  })

  it('an id that comes back with other content is rejected', async () => {
    await post([record()])
    deepEqual(await post([record({ duration_ms: 1 })]), { ...nothing, rejected: 1 })
    deepEqual((await database.query('select reason from rejected')).rows, [{ reason: 'changed' }])
  })

  it.each([
    ['no object', 'text', /expected object/],
    ['nothing at all', undefined, /expected object/],
    ['a field too many', { ...record(), price: 1 }, /price/],
    ['a duration below zero', record({ duration_ms: -1 }), /duration_ms/],
    ['a time before there were hubs', record({ t_answer: 0 }), /t_answer: no time of a call/],
    ['a time no calendar has', record({ t_end: Number.MAX_SAFE_INTEGER }), /t_end: no time of a call/]
  ])('%s is rejected with the reason, and the batch goes on', async (_what, bad, why) => {
    deepEqual(await post([bad, record()]), { ...nothing, charged: 1, rejected: 1 })
    const { rows } = await database.query<{ detail: string }>('select detail from rejected')
    equal(why.test(rows[0]!.detail), true, rows[0]!.detail)
  })

  it('keeps at most as much of a rejected record as its limit', async () => {
    await post([{ schema_version: 2, junk: 'x'.repeat(limits.recordCharsMax * 2), ['y'.repeat(9_999)]: 1 }])
    const { rows } = await database.query('select length(record) as record, length(detail) as detail from rejected')
    deepEqual(rows, [{ record: limits.recordCharsMax, detail: limits.detailCharsMax }])
  })

  it('text that PostgreSQL cannot hold does not keep a call from being charged', async () => {
    deepEqual(await post([record({ calling: 'a\0b', trunk: '\ud800', reason: '\0' })]), { ...nothing, charged: 1 })
    const [stated] = (await statementOf(database, uuid(1))).records
    equal(stated!.calling, 'a\ufffdb')
  })

  it('an answered call that nothing prices waits in suspense, and is charged once when something does', async () => {
    const record = callRecords(1, { called: 'tel:+331', dialled: 'tel:+331' })[0]
    deepEqual(await post([record]), { ...nothing, suspended: 1 })
    equal((await statementOf(database, record.call_id)).records[0]!.suspended, 'no-rate')
    const from = uuid(0)
    const still = await database.transaction(sql => releaseSuspense(sql, bookOf(), { from, max: 10 }))
    deepEqual(still, { looked: 1, charged: 0, last: record.cdr_id })
    const priced = bookOf(
      `agreements: [{ id: a, buyer: island, seller: hub,
        rates: [{ prefix: "+33", destination: France, rate: "0.06" }] }]`
    )
    const release = () => database.transaction(sql => releaseSuspense(sql, priced, { from, max: 10 }))
    deepEqual(await release(), { looked: 1, charged: 1, last: record.cdr_id })
    deepEqual(await release(), { looked: 0, charged: 0, last: from })
    const [stated] = (await statementOf(database, record.call_id)).records
    deepEqual([stated!.charge?.amount, stated!.suspended], ['0.061000', null])
    deepEqual(await post([record]), { ...nothing, repeated: 1 })
  })

  it('two that release suspense at once charge each call once', async () => {
    await post(callRecords(1, { called: 'tel:+331', dialled: 'tel:+331' }))
    const priced = bookOf(trafficAgreements.replaceAll('"+49"', '"+33"'))
    const release = () => database.transaction(sql => releaseSuspense(sql, priced, { from: uuid(0), max: 10 }))
    const done = await Promise.all([release(), release(), release()])
    equal(done.filter(({ charged }) => charged === 2).length, 1)
    deepEqual([await count('charge'), await count('transfer')], [2, 2])
  })

  it('an id in capitals is the same id', async () => {
    const capital = record({ cdr_id: uuid(10).replace('019a', '019A'), call_id: uuid(11).replace('019a', '019A') })
    deepEqual(await post([capital]), { ...nothing, charged: 1 })
    deepEqual(await post([{ ...capital, cdr_id: uuid(10) }]), { ...nothing, repeated: 1 })
  })

  it('whatever a record says, its batch is posted and each final is charged, suspended, rejected or known', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\0', '\ud800', "'; drop table charge", '\\u0000')
    )
    const int = fc.oneof(fc.nat(), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER))
    const time = fc.oneof(int, fc.integer({ min: Date.UTC(2000), max: Date.UTC(2100) }))
    const odd = fc.record(
      {
        call_id: fc.nat({ max: 40 }).map(uuid),
        cdr_id: fc.nat({ max: 40 }).map(uuid),
        attempt: int,
        partial_seq: int,
        node_id: text,
        seq: int,
        provider: fc.constantFrom('island', 'operator', '', '\0'),
        other_provider: fc.option(text),
        trunk: text,
        calling: fc.option(text),
        called: text,
        dialled: text,
        cause: fc.option(text),
        final_code: int,
        q850: int,
        t_request: time,
        t_answer: fc.option(time),
        t_end: time,
        duration_ms: int,
        units: int,
        emergency: fc.boolean(),
        leg: fc.constantFrom('ingress' as const, 'egress' as const),
        service: fc.constantFrom('voice' as const, 'message' as const)
      },
      { requiredKeys: ['call_id', 'cdr_id'] }
    )
    await fc.assert(
      fc.asyncProperty(fc.array(odd, { minLength: 1, maxLength: 20 }), async given => {
        const records = given.map(record)
        const posted = await post(records, trafficAgreements)
        const { charged, suspended, rejected, repeated } = posted!
        equal(charged + suspended + rejected + repeated, records.length)
        equal(await count('cdr_final'), (await count('charge')) + (await count('suspense')))
      }),
      { numRuns: 40 }
    )
  })

  it('a batch that somebody else has posted changes nothing', async () => {
    await post([record()])
    const late = { topic, after: 0n, position: 2n, records: [record({ seq: 2, call_id: uuid(2) })] }
    equal(await database.transaction(sql => postBatch(sql, late, bookOf())), null)
    deepEqual([await positionOf(database, topic), await count('charge')], [1n, 1])
  })

  it('LED-01 its balances follow from its entries, and all accounts of a currency add up to zero', async () => {
    const posted = await post(traffic(400), trafficAgreements)
    equal(posted!.charged > 500 && posted!.suspended > 10 && posted!.rejected > 10, true)
    const { stand, follow, sums } = await balancesOf(database)
    equal(stand.length, 6)
    deepEqual(stand, follow)
    deepEqual(sums, [
      { currency: 'EUR', sum: '0' },
      { currency: 'USD', sum: '0' }
    ])
  })

  it('the sums of its days are the sums of its charges', async () => {
    await post(traffic(200), trafficAgreements)
    await post(traffic(300), trafficAgreements)
    const sums = (from: string) =>
      database.query(
        `select day::text, agreement_id, sum(amount) as amount, sum(units) as units, sum(n) as n from (${from}) as x
       group by 1, 2 order by 1, 2`
      )
    const { rows } = await sums(
      'select day, agreement_id, amount_micros as amount, billed_units as units, attempts as n from rollup'
    )
    deepEqual(
      rows,
      (
        await sums(`select day, coalesce(agreement_id, '') as agreement_id, amount_micros::numeric as amount,
      billed_units::numeric as units, 1::numeric as n from charge`)
      ).rows
    )
    equal(rows.length > 4, true)
  })

  it.each([
    ['posting', 'debit'],
    ['charged', 'detail'],
    ['charge_basis', 'side'],
    ['cdr_final', 'trunk'],
    ['suspense', 'reason'],
    ['rejected', 'reason']
  ])('the service role may add to %s, and neither change nor delete', async (table, column) => {
    for (const denied of [`delete from ${table}`, `update ${table} set ${column} = ${column}`, `truncate ${table}`]) {
      await rejects(database.query(denied), (error: unknown) => sqlStateOf(error) === '42501')
    }
  })

  it('refuses a transfer of nothing, and one from an account to itself', async () => {
    await post([record()])
    const insert = (credit: string, amount: number) =>
      database.query('insert into posting values ($1, $2, $3, $4, $5, $6, $7)', [
        'x',
        record().cdr_id,
        'a',
        credit,
        amount,
        'EUR',
        '2026-11-02'
      ])
    await rejects(insert('b', 0), (error: unknown) => sqlStateOf(error) === '23514')
    await rejects(insert('a', 1), (error: unknown) => sqlStateOf(error) === '23514')
  })
})
