import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import type { StoredBases } from '../../src/clearing/bases.ts'
import { chargeOf } from '../../src/clearing/charging.ts'
import { takeIn } from '../../src/clearing/intake.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { rerate } from '../../src/clearing/rerate.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import type { Sql } from '../../src/store/sql.ts'
import { createLog } from '../../src/log.ts'
import { dumpOf } from '../support/clearing.ts'
import { traffic, trafficAgreements } from '../support/clearing-traffic.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { bookOfYaml, callAt, post } from '../support/settlement.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.stop())

/** Every model whose explanation has something of its own, over the traffic of a day. */
const models = `
agreements:
  - { id: sell, buyer: island, seller: hub, model: freemium, freemium: { freeUnits: 500 },
      origins: { near: ["+49"] }, rates: [
        { prefix: "+49", destination: Germany, rate: "0.0345", setupFee: "0.01", origin: near },
        { prefix: "+4915", destination: Germany mobile, rate: "0.09", initialSeconds: 30, nextSeconds: 6 }] }
  - { id: buy, buyer: hub, seller: operator, model: revenue-share, revenueShare: { share: "0.333" },
      qualityClass: gold, qualityUplift: { gold: "0.25" }, rates: [
        { prefix: "+49", destination: Germany, rate: "0.03", bands: [
          { days: [mon, tue, wed, thu, fri], from: "00:00", to: "12:00", rate: "0.01" }] }] }
  - { id: direct, buyer: isle, seller: carrier, currency: USD, model: bill-and-keep,
      billAndKeep: { with: back, threshold: "0.6", netRate: "0.01" },
      rates: [{ prefix: "+", destination: all, rate: "0.5" }] }
  - { id: back, buyer: carrier, seller: isle, currency: USD, model: bill-and-keep,
      billAndKeep: { with: direct, threshold: "0.6", netRate: "0.01" },
      rates: [{ prefix: "+", destination: all, rate: "0.5" }] }
  - { id: text, buyer: island, seller: hub, service: message, model: volume,
      volume: { freeUnits: 2, tiers: [{ upTo: 5, rate: "0.06" }, { rate: "0.03" }] },
      rates: [{ prefix: "+", destination: all, rate: "0.02" }] }
`

const beforeCharge =
  'cdr_id, side, rule, agreement_id, rate_id, destination, currency, billed_units, amount_micros, day, explanation'
const tables = [
  ['cdr_final', '*'],
  ['suspense', '*'],
  ['rejected', '*'],
  ['charge', beforeCharge],
  ['recharge', '*'],
  ['transfer', '*'],
  ['balance_shard', '*'],
  ['rollup_shard', '*']
] as const

/** The same book in the tables before this step. */
async function asBefore(from: Database, url: string): Promise<void> {
  const old = clearingMigrations.slice(
    0,
    clearingMigrations.findIndex(({ name }) => name === 'clearing/015-charged')
  )
  const database = await openDatabase({ place: { url }, poolMax: 2, migrations: old, log: createLog('silent') })
  try {
    for (const [table, columns] of tables) {
      const { rows } = await from.query<{ all: string }>(
        `select coalesce(json_agg(x), '[]')::text as all from (select ${columns} from ${table}) x`
      )
      await database.query(
        `insert into ${table} overriding system value
         select * from json_populate_recordset(null::${table}, $1::json)`,
        [rows[0]?.all]
      )
    }
  } finally {
    await database.close()
  }
}
/** Until one transaction waits for another. */
async function waiting(database: Database): Promise<void> {
  const query = 'select from pg_locks where not granted'
  const end = Date.now() + 60_000
  while ((await database.query(query)).count === 0) {
    ok(Date.now() < end, 'nobody waits')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
const compared = [
  'select cdr_id, amount_micros, billed_units, duration_ms, day, detail from charged',
  'select * from posting',
  'select * from charge_now'
]

describe('charges without what repeats', () => {
  it.each([
    ['a mixed day', trafficAgreements],
    ['every model', models]
  ])('%s of an older database is carried over to the last digit, and verifies', async (_name, agreements) => {
    const now = await postgres.fresh(clearingMigrations)
    const book = bookOfYaml(agreements)
    await post(now, book, traffic(300))
    const scope = { agreementId: 'buy', from: '2026-11-02', to: '2026-11-03', callId: null }
    const dearer = bookOfYaml(agreements.replace('rate: "0.01"', 'rate: "0.02"'))
    await rerate(now, dearer, { scope, reason: 'wrong', by: 'anna', dryRun: false })
    const url = await postgres.freshUrl()
    await asBefore(now, url)
    const log = createLog('silent')
    const again = await openDatabase({ place: { url }, poolMax: 2, migrations: clearingMigrations, log })
    try {
      const [{ received: _r, ...dump }, { received: _s, ...carried }] = [await dumpOf(now), await dumpOf(again)]
      deepEqual(carried, dump)
      for (const query of compared) {
        const text = `select coalesce(string_agg(x::text, ' ' order by x::text), '') as all from (${query}) x`
        deepEqual((await again.query(text)).rows, (await now.query(text)).rows, query)
      }
      deepEqual(
        (await verifyLedger(again)).checks.flatMap(({ faults }) => faults),
        []
      )
    } finally {
      await again.close()
    }
  })

  it('the book explains every charge as charging does', async () => {
    for (const agreements of [trafficAgreements, models]) {
      const database = await postgres.fresh(clearingMigrations)
      const book = bookOfYaml(agreements)
      const records = traffic(300)
      await post(database, book, records)
      const { rows } = await database.query<{ cdr_id: string; explanation: unknown }>(
        'select cdr_id, explanation from charge'
      )
      const kept = new Map(rows.map(({ cdr_id, explanation }) => [cdr_id, explanation]))
      let looked = 0
      for (const { record } of takeIn(records).finals) {
        const outcome = chargeOf(record, book)
        if (!outcome.charged) continue
        deepEqual(kept.get(record.cdr_id), JSON.parse(JSON.stringify(outcome.charge.explanation)))
        looked += 1
      }
      ok(looked > 100)
    }
  })

  it('what charges share is kept once, also by a book that was read again', async () => {
    const database = await postgres.fresh(clearingMigrations)
    const book = bookOfYaml(trafficAgreements)
    await post(database, book, traffic(400))
    const { count } = await database.query('select from charge_basis')
    ok(count < 20)
    await post(database, bookOfYaml(trafficAgreements), traffic(500))
    equal((await database.query('select from charge_basis')).count, count)
  })

  it('what a batch that was rolled back would have kept is kept by the next one', async () => {
    const database = await postgres.fresh(clearingMigrations)
    const book = bookOfYaml(trafficAgreements)
    const stored: StoredBases = new WeakSet()
    const batch = { topic: 'again', after: 0n, position: 1n, records: traffic(50) }
    const post = (sql: Sql) => postBatch(sql, batch, book, { stored })
    await rejects(
      database.transaction(async sql => {
        await post(sql)
        throw new Error('the power went')
      }),
      /the power went/
    )
    equal((await database.query('select from charge_basis')).count, 0)
    await database.transaction(post)
    const again = { ...batch, topic: 'more', records: traffic(60) }
    await database.transaction(sql => postBatch(sql, again, book, { stored }))
    deepEqual(
      (await verifyLedger(database)).checks.flatMap(({ faults }) => faults),
      []
    )
  })

  it('of two batches that bring the same terms at once the second takes those of the first', async () => {
    const database = await postgres.fresh(clearingMigrations)
    const book = bookOfYaml(trafficAgreements)
    const batch = (shard: number, n: number) => ({
      topic: 'twice',
      shard,
      after: 0n,
      position: 1n,
      records: [callAt(n, '2026-11-02T12:00:00Z', 60)]
    })
    let second: Promise<unknown> = Promise.resolve()
    await database.transaction(async sql => {
      await postBatch(sql, batch(0, 1), book)
      // It waits at the terms for the first to end.
      second = database.transaction(other => postBatch(other, batch(1, 2), book))
      await waiting(database)
    })
    await second
    equal((await database.query('select from charge_basis')).count, 1)
    equal((await database.query('select from charge')).count, 2)
  })
})
