import { deepEqual, equal, ok } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { Client } from 'pg'
import { createConsumer } from '../../../src/clearing/consumer.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { eraseNumbers } from '../../../src/clearing/privacy.ts'
import { rerate } from '../../../src/clearing/rerate.ts'
import { postTransfers } from '../../../src/clearing/settlement/post.ts'
import { verifyLedger } from '../../../src/clearing/verify/verify.ts'
import { recomputed } from '../../../src/clearing/verify/charges.ts'
import type { CdrRecord } from '../../../src/events/cdr.ts'
import { createTableLog, eventMigrations } from '../../../src/events/embedded.ts'
import { cdrTopic } from '../../../src/events/event-log.ts'
import { createLog } from '../../../src/log.ts'
import { chainOf } from '../../support/chains.ts'
import { traffic, trafficAgreements } from '../../support/clearing-traffic.ts'
import { failedCall } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { bookOfYaml, callAt, closed, emptied, post } from '../../support/settlement.ts'

let postgres: TestPostgres
let whole: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  whole = await postgres.fresh([...eventMigrations, ...clearingMigrations])
}, 60_000)
afterAll(() => postgres.stop())

const models = (rate: string): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, model: bulk-commitment, attemptFee: "0.002",
      commitment: { units: 600, rate: "0.01", overageRate: "0.02" },
      rates: [{ prefix: "+49", destination: Germany, rate: "${rate}", setupFee: "0.01" }] }
  - { id: free, buyer: isle, seller: hub, model: freemium, freemium: { freeUnits: 90 },
      rates: [{ prefix: "+49", destination: Germany, rate: "0.07", setupFee: "0.02" }] }
  - { id: tiers, buyer: isle, seller: hub, service: message, model: volume,
      volume: { tiers: [{ upTo: 1, rate: "0.06" }, { rate: "0.03" }] },
      rates: [{ prefix: "+", destination: all, rate: "0.05" }] }
  - { id: shared, buyer: hub, seller: operator, model: revenue-share, revenueShare: { share: "0.333" },
      qualityClass: gold, qualityUplift: { gold: "0.25" },
      rates: [{ prefix: "+49", destination: Germany, rate: "0.0333" }] }
`

/** Records in the chain of one node, in the event log. */
async function logged(database: TestDatabase, records: readonly CdrRecord[]): Promise<void> {
  await createTableLog(database).append(chainOf(records))
}

async function filled(): Promise<TestDatabase> {
  const database = await emptied(whole)
  const book = bookOfYaml(models('0.02'))
  const message = { service: 'message', record_type: 'event', unit_type: 'messages', units: 1 } as const
  await logged(database, [
    callAt(1, '2026-11-02T12:00:00Z', 60),
    callAt(2, '2026-11-03T12:00:00Z', 61, { leg: 'egress', provider: 'operator', other_provider: 'island' }),
    callAt(3, '2026-11-04T12:00:00Z', 0, failedCall),
    callAt(4, '2026-11-05T12:00:00Z', 60, { provider: 'isle' }),
    callAt(5, '2026-11-06T12:00:00Z', 61, { provider: 'isle' }),
    callAt(6, '2026-11-06T13:00:00Z', 0, { ...message, provider: 'isle' }),
    callAt(7, '2026-11-06T14:00:00Z', 0, { ...message, provider: 'isle' }),
    callAt(8, '2026-12-06T14:00:00Z', 90)
  ])
  const source = createTableLog(database)
  const onFault = (error: unknown): never => {
    throw error
  }
  const consumer = createConsumer({ source, database, book, log: createLog('silent'), onFault })
  await consumer.catchUp()
  for (const agreement of ['sell', 'free', 'tiers', 'shared']) await closed(database, book, '2026-11', { agreement })
  const scope = { agreementId: 'sell', from: '2026-11-01', to: '2026-12-01', callId: null }
  await rerate(database, bookOfYaml(models('0.03')), { scope, reason: 'wrong', by: 'anna', dryRun: false })
  await closed(database, bookOfYaml(models('0.03')), '2026-12', { agreement: 'sell' })
  return database
}

const names = ['balances', 'daily sums', 'entries', 'charges', 'records', 'statements'] as const

describe('the book computed again', () => {
  it('LED-02 is what stands there, of every model, charged again or not, closed or open', async () => {
    const database = await filled()
    const { ok: right, checks } = await verifyLedger(database)
    deepEqual(
      checks.flatMap(({ faults }) => faults),
      []
    )
    deepEqual(
      checks.map(({ name }) => name),
      [...names]
    )
    ok(right)
    deepEqual(
      checks.slice(3).map(({ looked, skipped }) => [looked, skipped]),
      [
        [12, null],
        [8, null],
        [5, null]
      ]
    )
  })

  it('LED-02 a mixed day of traffic verifies, and without an event log it says that the records were not read', async () => {
    const database = await postgres.fresh(clearingMigrations)
    await post(database, bookOfYaml(trafficAgreements), traffic(400))
    const { checks } = await verifyLedger(database)
    deepEqual(
      checks.flatMap(({ faults }) => faults),
      []
    )
    equal(checks[4]?.skipped, 'the event log is not in this database')
    ok((checks[3]?.looked ?? 0) > 600)
  })

  it('EOS-04 whatever is changed is found, and what is changed back is right again', async () => {
    const database = await filled()
    await database.transaction(sql => postTransfers(sql, [posting]))
    const owner = new Client({ connectionString: database.url })
    await owner.connect()
    try {
      for (const [check, change, back] of tampers) {
        await owner.query(change)
        const { checks } = await verifyLedger(database)
        const found = checks.filter(({ wrong }) => wrong > 0).map(({ name }): string => name)
        ok(found.includes(check), `${change}: found by ${found.join(', ') || 'nobody'}, not by ${check}`)
        await owner.query(back)
      }
      deepEqual(
        (await verifyLedger(database)).checks.flatMap(({ faults }) => faults),
        []
      )
    } finally {
      await owner.end()
    }
  })

  it('EOS-05 what was erased keeps its place in the chain and in the statements', async () => {
    const database = await filled()
    const { records } = await eraseNumbers(database, { byDefault: new Date('2026-11-04'), byCode: [] }, { by: 'anna' })
    equal(records, 2n)
    const { checks } = await verifyLedger(database)
    deepEqual(
      checks.flatMap(({ faults }) => faults),
      []
    )
    equal(checks[4]?.looked, 8)
  })

  it('records of nodes that the event log does not know are counted, and no fault', async () => {
    const database = await filled()
    await post(database, bookOfYaml(models('0.03')), [callAt(9, '2026-12-02T12:00:00Z', 60, { node_id: 'other' })])
    const { ok: right, checks } = await verifyLedger(database)
    deepEqual([right, checks[4]?.skipped], [true, '1 records are of nodes that this event log does not know'])
  })

  it('RATE-06 an explanation that lacks something comes to nothing', () => {
    equal(recomputed('call', {}), null)
    equal(recomputed('call', { rounding: { scale: 6, mode: 'sideways' }, parts: [] }), null)
    equal(recomputed('attempt', {}), 0n)
    const rounding = { scale: 2, mode: 'up' }
    equal(recomputed('attempt', { rounding, attemptFee: '0.001' }), 10_000n)
  })
})

const posting = {
  entryId: 'test/1',
  debit: 'bank',
  credit: 'receivable/island',
  amountMicros: 5n,
  currency: 'EUR',
  day: '2026-12-01'
}
/** A change to one column of some rows, and back. */
const swap = (table: string, column: string, where: string, to: string, from: string): readonly [string, string] => [
  `update ${table} set ${column} = ${to} where ${where}`,
  `update ${table} set ${column} = ${from} where ${where}`
]
const first = 'cdr_id = (select cdr_id from cdr_final where seq = 1)'
const second = 'cdr_id = (select cdr_id from cdr_final where seq = 2)'
const terms = "agreement_id = 'shared' and rule = 'call'"
const accounts = `update charge_basis set debit = 'cost/operator', credit = 'unbilled-payable/operator' where ${terms}`
const nobody = '00000000-0000-0000-0000-000000000000'
const lost = `cdr_id = '${nobody}'`
const again = `${first} and debit like 'revenue/%'`
const statement = "statement_id = 'free/2026-11'"
const plus = (column: string): readonly [string, string] => [`${column} + 1`, `${column} - 1`]
const flip = (column: string): readonly [string, string] => {
  const flipped = `set_byte(${column}, 0, 255 - get_byte(${column}, 0))`
  return [flipped, flipped]
}
const commitment = "entry_id = 'statement/sell/2026-11/commitment/2026-11'"
const length = (ms: number): string => `jsonb_set(payload, '{duration_ms}', '${ms}')`
const tampers: readonly (readonly [check: (typeof names)[number], change: string, back: string])[] = [
  ['balances', ...swap('balance_shard', 'debit_micros', "account = 'bank'", ...plus('debit_micros'))],
  ['balances', ...swap('posting', 'amount_micros', "entry_id = 'test/1'", ...plus('amount_micros'))],
  ['balances', ...swap('posting', 'debit', "entry_id = 'test/1'", "'till'", "'bank'")],
  ['daily sums', ...swap('rollup_shard', 'attempts', 'shard = 0', ...plus('attempts'))],
  ['daily sums', ...swap('charged', 'day', second, "'2026-11-20'", "'2026-11-03'")],
  ['entries', ...swap('posting', 'entry_id', again, "entry_id || 'x'", 'left(entry_id, -1)')],
  ['entries', ...swap('posting', 'amount_micros', again, ...plus('amount_micros'))],
  [
    'entries',
    ...swap('charge_basis', 'credit', terms, "replace(credit, 'operator', 'x')", "replace(credit, '/x', '/operator')")
  ],
  ['entries', `update charge_basis set debit = null, credit = null where ${terms}`, accounts],
  ['charges', ...swap('charged', 'amount_micros', second, ...plus('amount_micros'))],
  ['charges', ...swap('charged', 'billed_units', second, ...plus('billed_units'))],
  ['charges', ...swap('charged', 'duration_ms', second, ...plus('duration_ms'))],
  ['charges', ...swap('charge_basis', 'rate', terms, "'9'", "'0.0333'")],
  [
    'charges',
    ...swap('charged', 'basis_id', second, `'${nobody}'`, `(select basis_id from charge_basis where ${terms})`)
  ],
  ['charges', `update charged set cdr_id = '${nobody}' where ${second}`, `update charged set ${second} where ${lost}`],
  ['charges', `update posting set cdr_id = '${nobody}' where ${again}`, `update posting set ${first} where ${lost}`],
  ['charges', `update recharge set cdr_id = '${nobody}' where ${first}`, `update recharge set ${first} where ${lost}`],
  ['charges', ...swap('cdr_final', 'duration_ms', 'seq = 2', '1', '61000')],
  ['records', ...swap('cdr_final', 'trunk', 'seq = 1', "'other'", "'island'")],
  ['records', ...swap('event_log', 'payload', "payload ->> 'seq' = '2'", length(1), length(61_000))],
  ['records', ...swap('event_log', 'topic', "payload ->> 'seq' = '2'", "'away'", `'${cdrTopic}'`)],
  ['records', ...swap('event_log', 'topic', "payload ->> 'seq' = '1'", "'away'", `'${cdrTopic}'`)],
  ['records', ...swap('event_log', 'topic', "payload ->> 'seq' = '8'", "'away'", `'${cdrTopic}'`)],
  [
    'records',
    ...swap('event_log', 'payload', "payload ->> 'seq' = '3'", "payload - 'leg'", `payload || '{"leg": "ingress"}'`)
  ],
  ['statements', ...swap('statement', 'cdr_count', statement, ...plus('cdr_count'))],
  ['statements', ...swap('statement', 'buyer', statement, "'x'", "'isle'")],
  ['statements', ...swap('statement_line', 'attempts', statement, ...plus('attempts'))],
  ['statements', ...swap('statement_leaf', 'leaf', first, ...flip('leaf'))],
  ['statements', ...swap('statement_leaf', 'salt', first, ...flip('salt'))],
  ['statements', ...swap('statement_leaf', 'statement_id', second, "'sell/2026-11'", "'shared/2026-11'")],
  ['statements', ...swap('cdr_final', 'called', 'seq = 1', "'tel:+491'", "'tel:+4989200'")],
  ['statements', ...swap('statement_seal', 'previous', 'number = 2', "'0' || previous", 'substr(previous, 2)')],
  ['statements', ...swap('statement_seal', 'number', "statement_id = 'sell/2026-12'", '6', '5')],
  ['statements', ...swap('period_close', 'closed_by', statement, "'bert'", "'anna'")],
  ['statements', ...swap('posting', 'amount_micros', commitment, ...plus('amount_micros'))]
]
