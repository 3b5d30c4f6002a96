// Chains of records that come from partitions: in any order, twice, from somewhere on.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual, rejects } from 'node:assert/strict'
import { Client } from 'pg'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { checkKafkaChain } from '../../../src/clearing/verify/kafka-chain.ts'
import type { LogReader } from '../../../src/clearing/verify/kafka-chain.ts'
import type { CdrRecord } from '../../../src/events/cdr.ts'
import { chainOf } from '../../support/chains.ts'
import { trafficAgreements } from '../../support/clearing-traffic.ts'
import { callRecords } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { mulberry32 } from '../../support/random.ts'
import { bookOfYaml, post } from '../../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
const calls = Array.from({ length: 20 }, (_, n) => callRecords(n + 1))
const first = chainOf(calls.slice(0, 10).flat(), 'first')
const second = chainOf(calls.slice(10).flat(), 'second')

beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  await post(database, bookOfYaml(trafficAgreements), [...first, ...second])
}, 60_000)
afterAll(() => postgres.stop())

function shuffled<T>(items: readonly T[]): readonly T[] {
  const draw = mulberry32(7)
  return items
    .map(item => ({ item, place: draw(1_000_000) }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}
/** In parts of three. */
const readerOf =
  (records: readonly unknown[], gaps: readonly string[] = []): LogReader =>
  async take => {
    for (let at = 0; at < records.length; at += 3) await take(records.slice(at, at + 3))
    return gaps
  }
const check = async (records: readonly unknown[], tail = 0, gaps: readonly string[] = []) => {
  const { faults, looked, skipped } = await checkKafkaChain(database, readerOf(records, gaps), () => undefined, tail)
  return { faults, looked, skipped }
}
const all = [...first, ...second]
const right = (looked: number, skipped: string | null = null) => ({ faults: [], looked, skipped })

describe('EOS-04 chains in a topic', () => {
  it('EOS-04 are whole in whatever order the records come, and where some come twice', async () => {
    deepEqual(await check(shuffled(all)), right(40))
    deepEqual(await check([...shuffled(all), ...all.slice(5, 30)]), right(65))
  })

  it('that begin later than the node are whole from there, and it says how much of the book is older', async () => {
    deepEqual(
      await check([...first.slice(4), ...second]),
      right(36, '4 records are older than what the event log keeps')
    )
    deepEqual(await check([]), right(0, '40 records are older than what the event log keeps'))
  })

  it('with a record missing are broken, unless it is one of the last, which may be on its way', async () => {
    const torn = all.filter(record => record !== first[7])
    deepEqual((await check(torn)).faults, [
      'first: records are missing between 7 and 9',
      `${first[7]?.cdr_id}: the event log has no such record`
    ])
    // Nobody has cleared what is on its way.
    const extra = chainOf([...calls.slice(10).flat(), ...callRecords(99), ...callRecords(98)], 'second')
    const ahead = [...first, ...extra.filter(({ seq }) => seq !== 22)]
    deepEqual(await check(ahead, 3), right(43))
    deepEqual((await check(ahead, 1)).faults, ['second: records are missing between 21 and 23'])
  })

  it('with a record changed, exchanged or foreign in it are broken', async () => {
    const changed = all.map(record => (record === first[3] ? { ...record, called: 'tel:+4915199' } : record))
    deepEqual((await check(changed)).faults, ['first: record 4 was changed'])
    // Made anew with its own hash: intact by itself.
    const [forged] = chainOf([callRecords(50)[0]], 'first')
    deepEqual((await check([...all, forged])).faults, ['first: there are two records 1'])
    deepEqual((await check([...all, { no: 'record' }])).faults, ['there is something else than a record'])
  })

  it('that the event log itself says to lack records are faults', async () => {
    deepEqual((await check(all, 0, ['partition 1: 7 to 9'])).faults, [
      'the event log lacks records: partition 1: 7 to 9'
    ])
  })

  it('that cannot be read are no verdict', async () => {
    const away: LogReader = () => Promise.reject(new Error('Kafka is away'))
    await rejects(
      checkKafkaChain(database, away, () => undefined),
      /Kafka is away/
    )
  })

  it('show where the book has kept something else than the record says', async () => {
    const [ingress] = second as readonly [CdrRecord]
    const owner = await postgres.fresh(clearingMigrations)
    await post(owner, bookOfYaml(trafficAgreements), all)
    const client = new Client({ connectionString: owner.url })
    await client.connect()
    await client.query('update cdr_final set duration_ms = duration_ms + 1 where cdr_id = $1', [ingress.cdr_id])
    await client.end()
    const { faults } = await checkKafkaChain(owner, readerOf(all), () => undefined)
    deepEqual(faults, [`${ingress.cdr_id}: the book has kept something else than the record says`])
  })
})
