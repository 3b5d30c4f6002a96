import { deepEqual, equal, match, notEqual, ok, rejects, throws } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { Client } from 'pg'
import { parseConfig } from '../../src/config.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { cutOffs, eraseNumbers } from '../../src/clearing/privacy.ts'
import { pseudonymsOf } from '../../src/clearing/pseudonym.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import { chained, genesis } from '../../src/events/chain.ts'
import { eventMigrations, createTableLog } from '../../src/events/embedded.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { bookOf, cascade, dumpOf, record, uuid } from '../support/clearing.ts'
import { startTestPostgres } from '../support/database.ts'
import { bookOfYaml, closed, post } from '../support/settlement.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop())

const dayMs = 86_400_000
const now = Date.parse('2026-11-22T00:00:00Z')
const privacy = (yaml: string) => parseConfig(`privacy: ${yaml}`).privacy

/** An ingress record that ended so many days ago. */
const call = (n: number, daysAgo: number, over: Partial<CdrRecord> = {}): CdrRecord => {
  const at = now - daysAgo * dayMs
  const times = { t_request: at - 9_000, t_alert: at - 8_000, t_answer: at - 7_000, t_end: at }
  return record({ seq: n, call_id: uuid(900 + n), ...times, ...over })
}
async function withCalls(records: readonly CdrRecord[]): Promise<TestDatabase> {
  const database = await postgres.fresh([...eventMigrations, ...clearingMigrations])
  await createTableLog(database).append(records)
  await database.transaction(sql =>
    postBatch(sql, { topic: cdrTopic, after: 0n, position: BigInt(records.length), records }, bookOf())
  )
  return database
}
const numbersOf = async (database: TestDatabase): Promise<readonly unknown[]> =>
  (
    await database.query<{ calling: string; called: string; dialled: string }>(
      'select calling, called, dialled from cdr_final order by cdr_id'
    )
  ).rows.map(({ calling, called, dialled }) => [calling, called, dialled])
const erased = [null, 'erased', 'erased']
const kept = ['tel:+4930100', 'tel:+4989200', 'tel:+4989200']

describe('how long numbers are kept', () => {
  it('EOS-05 numbers go when their time is over, and what was charged stays to the last digit', async () => {
    const start = call(7, 100, { kind: 'start', t_end: now - 100 * dayMs })
    const database = await withCalls([call(1, 100), call(2, 99), call(3, 10), start])
    const before = await dumpOf(database)
    const cut = cutOffs(privacy('{ retentionDays: 99 }'), now)
    deepEqual(await eraseNumbers(database, cut, { by: 'anna', pageRows: 1 }), { records: 1n, partnerCalls: 0n })
    deepEqual(await numbersOf(database), [erased, kept, kept])
    deepEqual(await dumpOf(database), before)
    const { rows } = await database.query<{ payload: CdrRecord }>('select payload from event_log order by key')
    const [{ payload } = { payload: null }] = rows
    deepEqual(payload, { erased: true, node_id: 'node-1', seq: 1, prev_hash: '0'.repeat(64), hash: call(1, 1).hash })
    deepEqual(
      rows.map(row => row.payload.dialled ?? 'erased'),
      ['erased', 'tel:+4989200', 'tel:+4989200', 'erased']
    )
    const again = await eraseNumbers(database, cut, { by: 'anna' })
    equal(again.records, 0n)
    const { rows: done } = await database.query('select records, erased_by from number_erasure order by erasure_id')
    deepEqual(done, [
      { records: 1n, erased_by: 'anna' },
      { records: 0n, erased_by: 'anna' }
    ])
  })

  it('EOS-05 countries have times of their own; of several the longest counts', async () => {
    const french = { calling: 'tel:+33145' }
    const spanish = { calling: 'tel:+34911', called: 'tel:+34912', dialled: 'tel:+34912' }
    const database = await withCalls([call(1, 50), call(2, 50, french), call(3, 50, spanish), call(4, 90, french)])
    const cut = cutOffs(privacy('{ retentionDays: 60, retentionDaysOf: { "49": 30, "33": 80 } }'), now)
    await eraseNumbers(database, cut, { by: 'anna' })
    const states = (await numbersOf(database)).map(row => (row as readonly unknown[])[1])
    deepEqual(states, ['erased', 'tel:+4989200', 'tel:+34912', 'erased'])
  })

  it('EOS-05 without a default only the countries that are named lose theirs, and with nothing named nobody does', async () => {
    const database = await withCalls([
      call(1, 500, { calling: 'tel:+33145', called: 'tel:+331', dialled: 'tel:+331' }),
      call(2, 500)
    ])
    await eraseNumbers(database, cutOffs(privacy('{ retentionDaysOf: { "49": 30 } }'), now), { by: 'anna' })
    deepEqual(
      (await numbersOf(database)).map(row => (row as readonly unknown[])[1]),
      ['tel:+331', 'erased']
    )
    throws(() => cutOffs(privacy('{}'), now), /privacy\.retentionDays is missing/)
  })

  it('EOS-05 a record that nobody has cleared yet keeps its numbers, however old it is', async () => {
    const database = await withCalls([call(1, 100)])
    await createTableLog(database).append([call(2, 100)])
    await eraseNumbers(database, cutOffs(privacy('{ retentionDays: 30 }'), now), { by: 'anna' })
    const { rows } = await database.query<{ payload: CdrRecord }>('select payload from event_log order by position')
    deepEqual(
      rows.map(({ payload }) => payload.dialled ?? 'erased'),
      ['erased', 'tel:+4989200']
    )
  })

  it('EOS-05 what an open dispute is about waits for its end', async () => {
    const database = await withCalls([call(1, 100)])
    const columns = `dispute_id, agreement_id, period, raised_by, type, side, party, currency, amount_micros, reason,
      window_ends, opened_on, opened_by`
    await database.query(`insert into dispute (${columns}) values
      (1, 'sell', '2026-08', 'us', 'fraud', 'sell', 'island', 'EUR', 1, 'x', '2026-12-01', '2026-09-01', 'anna')`)
    const step = `insert into dispute_step (dispute_id, step, state, reason, on_day, moved_by) values`
    await database.query(`${step} (1, 1, 'raised', 'x', '2026-09-01', 'anna')`)
    await database.query('insert into dispute_call values (1, $1, 1)', [uuid(1)])
    const cut = cutOffs(privacy('{ retentionDays: 30 }'), now)
    equal((await eraseNumbers(database, cut, { by: 'anna' })).records, 0n)
    await database.query(`${step} (1, 2, 'withdrawn', 'x', '2026-09-02', 'anna')`)
    equal((await eraseNumbers(database, cut, { by: 'anna' })).records, 1n)
  })

  it('EOS-05 a book whose numbers are erased still verifies, and a link of the chain that is missing is found', async () => {
    const database = await postgres.fresh([...eventMigrations, ...clearingMigrations])
    let previous = genesis
    const records = [call(1, 100), call(2, 90), call(3, 20), call(4, 80), call(5, 1)].map((made, n) => {
      const { schema_version: _v, hub_id: hubId, node_id: nodeId, seq: _s, prev_hash: _p, hash: _h, ...body } = made
      const link = chained(body, { hubId, nodeId, seq: n + 1, previous }).record
      previous = link.hash
      return link
    })
    await createTableLog(database).append(records)
    await post(database, bookOfYaml(cascade), records)
    await database.query('insert into clearing_position (topic, position) values ($1, 5)', [cdrTopic])
    await closed(database, bookOfYaml(cascade), '2026-08', { agreement: 'sell' })
    await eraseNumbers(database, cutOffs(privacy('{ retentionDays: 30 }'), now), { by: 'anna' })
    equal((await numbersOf(database)).filter(row => (row as readonly unknown[])[1] === 'erased').length, 3)
    const { rows: salts } = await database.query('select salt is null as gone from statement_leaf')
    ok(salts.length > 0 && salts.every(({ gone }) => gone === true))
    const faults = async (): Promise<readonly string[]> =>
      (await verifyLedger(database)).checks.flatMap(check => check.faults)
    deepEqual(await faults(), [])
    const owner = new Client({ connectionString: database.url })
    await owner.connect()
    await owner.query("delete from event_log where payload ->> 'seq' = '2'")
    await owner.end()
    ok((await faults()).includes('node-1: records are missing between 1 and 3'))
  })

  it('LED-03 the service role can do that and no other change', async () => {
    const database = await withCalls([call(1, 100)])
    // A table of its own that only looks like the book is not what the function reads.
    const cut = cutOffs(privacy('{ retentionDays: 30 }'), now)
    await database.transaction(async sql => {
      await sql.query('create temp table cdr_final (like public.cdr_final) on commit drop')
      const page = [cut.byDefault, '{}', '{}', '00000000-0000-0000-0000-000000000000']
      const { rows } = await sql.query('select records from erase_numbers($1, $2, $3, $4, 10)', page)
      deepEqual(rows, [{ records: 1n }])
    })
    deepEqual(await numbersOf(database), [erased])
    await rejects(database.query("update cdr_final set called = 'x'"), /permission denied/)
    await rejects(database.query('delete from number_erasure'), /permission denied/)
  })
})

describe('pseudonyms', () => {
  const of = (key: string) => {
    process.env['PSEUDONYM_TEST_KEY'] = key
    return pseudonymsOf(privacy('{ pseudonymKeyEnv: PSEUDONYM_TEST_KEY }'))
  }
  it('EOS-05 a number is the same one while the key stays, with its country and nothing else of it', () => {
    const [one, two] = [of('a key of many letters'), of('another key of letters')]
    match(one('4930100'), /^p49-[0-9a-f]{24}$/)
    equal(one('4930100'), one('4930100'))
    notEqual(one('4930100'), one('4930101'))
    notEqual(one('4930100'), two('4930100'))
    match(one('alice'), /^p-[0-9a-f]{24}$/)
  })

  it('need a key that nobody guesses', () => {
    throws(() => of('short'), /16 characters/)
    throws(() => pseudonymsOf(privacy('{}')), /pseudonymKeyEnv/)
  })
})
