// What posting a batch costs, statement by statement, in this process and in a durable PostgreSQL: no Kafka, one
// connection. Figures, never assertions: node test/bench/posting.ts [RECORDS] [BATCH] [PREFIXES]

import type { AgreementBook } from '../../src/clearing/agreements.ts'
import type { StoredBases } from '../../src/clearing/bases.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import type { Sql } from '../../src/store/sql.ts'
import { bookOf, callRecords } from '../support/clearing.ts'
import { trafficAgreements } from '../support/clearing-traffic.ts'
import { startTestPostgres } from '../support/database.ts'
import { mulberry32 } from '../support/random.ts'
import { costBelow, costOf } from './processes.ts'

const durable = ['shared_buffers=256MB', 'max_wal_size=4GB']

/** Both sides of a call, answered, its numbers spread over the codes of the decks. */
function batchOf(first: number, count: number, codes: number): readonly unknown[] {
  const draw = mulberry32(first)
  const records: unknown[] = []
  for (let n = first; n < first + count / 2; n++) {
    const id = (leg: number): string =>
      `019a0000-${n.toString(16).padStart(8, '0').slice(0, 4)}-7000-8000-${leg}${n.toString(16).padStart(11, '0')}`
    const called = `tel:+49${100_000 + draw(Math.max(codes, 1))}`
    const over = { call_id: id(0), duration_ms: draw(600_000), called, dialled: called }
    const [ingress, egress] = callRecords(n, over)
    records.push({ ...ingress, cdr_id: id(1) }, { ...egress, cdr_id: id(2) })
  }
  return records
}

function bookWith(codes: number): AgreementBook {
  if (codes === 0) return bookOf(trafficAgreements)
  const rows = Array.from(
    { length: codes },
    (_, n) => `{ prefix: "+49${100_000 + n}", destination: destination ${n % 900}, rate: "0.0${1 + (n % 9)}" }`
  )
  return bookOf(`
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [${rates(rows)}] }
  - { id: buy, buyer: hub, seller: operator, rates: [${rates(rows)}] }
`)
}
const rates = (rows: readonly string[]): string => rows.join(', ')

/** The same connection, with the time of each statement added up under its first words. */
function timed(sql: Sql, times: Map<string, number>): Sql {
  const taking = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const from = performance.now()
    try {
      return await work()
    } finally {
      times.set(name, (times.get(name) ?? 0) + performance.now() - from)
    }
  }
  return {
    query: (text, values) => taking(text.trim().split(/\s+/).slice(0, 6).join(' '), () => sql.query(text, values)),
    copy: (table, rows) => taking(`copy ${table.name}`, () => sql.copy(table, rows))
  }
}

export async function benchPosting(records = 60_000, size = 5_000, codes = 0): Promise<Record<string, unknown>> {
  const postgres = await startTestPostgres(durable)
  const book = bookWith(codes)
  try {
    const database = await postgres.fresh(clearingMigrations, 1)
    const times = new Map<string, number>()
    const stored: StoredBases = new WeakSet()
    const post = async (n: number): Promise<void> => {
      const [after, position] = [BigInt(n * size), BigInt((n + 1) * size)]
      const batch = { topic: 'bench', shard: 1, after, position, records: batches[n] ?? [] }
      const from = performance.now()
      await database.transaction(sql => postBatch(timed(sql, times), batch, book, { stored }))
      times.set('all', (times.get('all') ?? 0) + performance.now() - from)
    }
    const count = Math.max(2, Math.round(records / size))
    const batches = Array.from({ length: count }, (_, n) => batchOf(1 + (n * size) / 2, size, codes))
    await post(0)
    times.clear()
    const cost = (): number => costOf(postgres.pid).cpuMs + costBelow(postgres.pid).cpuMs
    const [own, theirs, from] = [process.cpuUsage(), cost(), performance.now()]
    for (let n = 1; n < count; n++) await post(n)
    const took = performance.now() - from
    const { user, system } = process.cpuUsage(own)
    const done = (count - 1) * size
    const each = (ms: number): number => Math.round((ms * 10_000) / done) / 10
    const { rows } = await database.query<{ bytes: bigint }>("select pg_current_wal_lsn() - '0/0' as bytes")
    return {
      records: done,
      size,
      codes,
      processUs: each((user + system) / 1_000),
      databaseUs: each(cost() - theirs),
      wallUs: each(took),
      walBytes: Number(rows[0]?.bytes ?? 0n) / done,
      statementsUs: Object.fromEntries([...times].sort((a, b) => b[1] - a[1]).map(([name, ms]) => [name, each(ms)]))
    }
  } finally {
    await postgres.stop()
  }
}

if (import.meta.main) {
  const [records, size, codes] = process.argv.slice(2).map(Number)
  console.log(await benchPosting(records, size, codes))
}
