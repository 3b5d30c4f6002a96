// The book: one batch of the event log becomes charges, transfers, balances and the new position, in one transaction.

import type { CdrRecord } from '../events/cdr.ts'
import type { CopyTable, CopyValue } from '../store/binary-copy.ts'
import { copyIfNew } from '../store/sql.ts'
import type { Sql } from '../store/sql.ts'
import type { AgreementBook } from './agreements.ts'
import type { StoredBases } from './bases.ts'
import { chargeOf } from './charging.ts'
import type { Chargeable } from './charging.ts'
import { rejection, takeIn } from './intake.ts'
import type { Arrival, Final, Rejection } from './intake.ts'
import { addMarginAlarms } from './margin.ts'
import { addCharged, addWaiting, chargesOf, shardOfNone } from './postings.ts'
import { isSuspenseAlarming } from './suspense.ts'

export interface Batch {
  readonly topic: string
  /** The partition they came from, which alone adds to the sums of that number; 0 for a log without partitions. */
  readonly shard?: number
  /** The position these records follow; they are posted only if the ledger stands there. */
  readonly after: bigint
  readonly position: bigint
  readonly records: readonly unknown[]
  /** Those of them that this process has made, which nobody need check. */
  readonly own?: readonly CdrRecord[]
}

export interface Posted {
  readonly charged: number
  readonly suspended: number
  readonly rejected: number
  /** Finals that were here already: an ordinary answer to a redelivery. */
  readonly repeated: number
  /** Calls that cost more than they bring. */
  readonly losses: number
  /** More records wait for a price than anybody should leave alone; looked at when one more does. */
  readonly suspenseAlarm: boolean
}

export interface PostOptions {
  /** Leaves a row in the outbox of the topics that tell others of charges and rejected records. */
  readonly publish?: boolean
  /** What is known of the database from batch to batch. */
  readonly stored?: StoredBases
}

/** Where the ledger stands in a topic, or in a partition of it. */
export async function positionOf(sql: Sql, topic: string, shard = 0): Promise<bigint> {
  const { rows } = await sql.query<{ position: bigint }>(
    'select position from clearing_position where topic = $1 and shard = $2',
    [topic, shard]
  )
  return rows[0]?.position ?? 0n
}

/**
 * Posts a batch. `sql` is one transaction, so that position and money move together or not at all (EOS-02).
 * Null: somebody else has posted it; read on from where the ledger stands now. Throws HUB_DATABASE with the state 23505
 * where another partition posts the same id at the same moment: tried again, it is found.
 */
export async function postBatch(
  sql: Sql,
  batch: Batch,
  book: AgreementBook,
  { publish = false, stored }: PostOptions = {}
): Promise<Posted | null> {
  if (!(await takePosition(sql, batch))) return null
  const { topic, shard = 0 } = batch
  const { finals, rejected, arrived } = takeIn(batch.records, batch.own)
  await addArrivals(sql, arrived)
  const { fresh, refused, repeated } = await addFinals(sql, finals)
  const allRejected = [...rejected, ...refused]
  await addRejected(sql, topic, allRejected)
  const records = fresh.map(({ record }) => record)
  await book.prepare(sql, records.map(momentOf))
  const { due, waiting } = chargesOf(records, book)
  await addWaiting(sql, waiting)
  const suspenseAlarm = waiting.length > 0 && (await isSuspenseAlarming(sql))
  if (publish && due.length + allRejected.length > 0) {
    await sql.query('insert into topic_outbox (cdr_ids, content_hashes) values ($1::uuid[], $2::text[])', [
      arrayOf(due.map(({ record }) => record.cdr_id)),
      arrayOf(allRejected.map(({ contentHash }) => contentHash))
    ])
  }
  const losses = await addMarginAlarms(sql, due)
  // Last: balances and sums are what others may be waiting for.
  await addCharged(sql, due, shard, stored)
  const counts = { charged: due.length, suspended: waiting.length, rejected: allRejected.length, repeated }
  return { ...counts, losses, suspenseAlarm }
}

/** Charges what could not be priced before and now can: at most `max` records after `from`, by id. */
export async function releaseSuspense(
  sql: Sql,
  book: AgreementBook,
  { from, max, publish = false }: { readonly from: string; readonly max: number } & PostOptions
): Promise<{ readonly looked: number; readonly charged: number; readonly last: string }> {
  await sql.query('select pg_advisory_xact_lock($1)', [releaseLock])
  const { rows } = await sql.query<ChargeableRow>(
    `select ${chargeableColumns} from suspense s join cdr_final f using (cdr_id) left join charged c using (cdr_id)
     where c.cdr_id is null and s.cdr_id > $1 order by s.cdr_id limit $2`,
    [from, max]
  )
  const records = rows.map(chargeableOf)
  await book.prepare(sql, records.map(momentOf))
  const { due } = chargesOf(
    records.filter(record => chargeOf(record, book).charged),
    book
  )
  if (publish && due.length > 0) {
    const ids = arrayOf(due.map(({ record }) => record.cdr_id))
    await sql.query("insert into topic_outbox (cdr_ids, content_hashes) values ($1::uuid[], '{}')", [ids])
  }
  await addCharged(sql, due, shardOfNone)
  return { looked: rows.length, charged: due.length, last: rows.at(-1)?.cdr_id ?? from }
}

/** Any number that stays the same: of two that release suspense, the second finds it released. */
const releaseLock = 4_970_132_203n

/** What decides which rates count. */
const momentOf = ({ t_answer, t_request }: Chargeable): number => t_answer ?? t_request

/** Of cdr_final f: what a record is charged by. */
export const chargeableColumns = `f.cdr_id, f.call_id, f.leg, f.service, f.provider, f.other_provider, f.calling,
  f.called, f.dialled, f.rn, f.quality_class, f.duration_ms, f.cause, f.release_side, f.emergency, f.t_request,
  f.t_answer, f.t_end`

export type ChargeableRow = Omit<Chargeable, 'duration_ms' | 't_request' | 't_answer' | 't_end'> & {
  readonly duration_ms: bigint
  readonly t_request: Date
  readonly t_answer: Date | null
  readonly t_end: Date
}
export const chargeableOf = (row: ChargeableRow): Chargeable => ({
  ...row,
  duration_ms: Number(row.duration_ms),
  t_request: row.t_request.getTime(),
  t_answer: row.t_answer?.getTime() ?? null,
  t_end: row.t_end.getTime()
})

async function takePosition(sql: Sql, { topic, shard = 0, after, position }: Batch): Promise<boolean> {
  const { count } =
    after === 0n
      ? await sql.query(
          `insert into clearing_position as p (topic, shard, position) values ($1, $2, $4)
           on conflict (topic, shard) do update set position = $4 where p.position = $3`,
          [topic, shard, after, position]
        )
      : await sql.query(
          'update clearing_position set position = $4 where topic = $1 and shard = $2 and position = $3',
          [topic, shard, after, position]
        )
  return count === 1
}

async function addArrivals(sql: Sql, arrived: readonly Arrival[]): Promise<void> {
  if (arrived.length === 0) return
  const rows = arrived.map(({ nodeId, ranges }) => ({
    node_id: nodeId,
    seqs: `{${ranges.map(([first, last]) => `[${first},${last}]`).join(',')}}`
  }))
  await sql.query(
    `insert into received_part (node_id, seqs)
     select node_id, seqs::int8multirange from json_to_recordset($1::json) as a(node_id text, seqs text)`,
    [JSON.stringify(rows)]
  )
}

/** Rows of arrivals that are merged at once. */
const mergeMax = 1_000

/** Makes few rows of many; nobody waits for it, and who is at it already is left alone. */
export async function mergeArrivals(sql: Sql): Promise<void> {
  await sql.query(
    `with gone as (
       delete from received_part
       where id in (select id from received_part order by id limit $1 for update skip locked) returning node_id, seqs)
     insert into received_part (node_id, seqs) select node_id, range_agg(seqs) from gone group by node_id`,
    [mergeMax]
  )
}

/**
 * Adds the finals that are new. Nearly every batch is all new, and the keys of the table say so while they are written:
 * only where they object is it looked up what is there already.
 */
async function addFinals(sql: Sql, finals: readonly Final[]): Promise<Sorted> {
  if (finals.length === 0) return { fresh: [], refused: [], repeated: 0 }
  if (await copyIfNew(sql, finalTable, finalRows(finals))) return { fresh: finals, refused: [], repeated: 0 }
  const sorted = sortOut(finals, await knownOf(sql, finals))
  await sql.copy(finalTable, finalRows(sorted.fresh))
  return sorted
}

/** What the ledger has already of some finals: by their ids, and by their legs. */
interface Known {
  readonly contentById: ReadonlyMap<string, string>
  readonly idByLeg: ReadonlyMap<string, string>
}

const legOf = ({ call_id, leg, attempt }: { call_id: string; leg: string; attempt: number | bigint }): string =>
  `${call_id}/${leg}/${attempt}`

async function knownOf(sql: Sql, finals: readonly Final[]): Promise<Known> {
  const ids = arrayOf(finals.map(({ record }) => record.cdr_id))
  const calls = arrayOf([...new Set(finals.map(({ record }) => record.call_id))])
  const { rows } = await sql.query<{
    readonly cdr_id: string
    readonly content_hash: string
    readonly call_id: string
    readonly leg: string
    readonly attempt: bigint
  }>(
    `select cdr_id, content_hash, call_id, leg, attempt from cdr_final where cdr_id = any($1::uuid[])
     union select cdr_id, content_hash, call_id, leg, attempt from cdr_final where call_id = any($2::uuid[])`,
    [ids, calls]
  )
  return {
    contentById: new Map(rows.map(({ cdr_id, content_hash }) => [cdr_id, content_hash])),
    idByLeg: new Map(rows.map(row => [legOf(row), row.cdr_id]))
  }
}

interface Sorted {
  readonly fresh: readonly Final[]
  readonly refused: readonly Rejection[]
  readonly repeated: number
}

/** A record that is there already, by its id or by its leg, stays as it was; the first of a batch counts. */
function sortOut(finals: readonly Final[], known: Known): Sorted {
  const [contentById, idByLeg] = [new Map(known.contentById), new Map(known.idByLeg)]
  const fresh: Final[] = []
  const refused: Rejection[] = []
  let repeated = 0
  for (const final of finals) {
    const { record, contentHash } = final
    const content = contentById.get(record.cdr_id)
    const key = legOf(record)
    if (content === contentHash) repeated += 1
    else if (content !== undefined) {
      refused.push(rejection(record, 'changed', `record ${record.cdr_id} came before with other content`))
    } else if (idByLeg.has(key)) {
      const { call_id, leg, attempt } = record
      refused.push(rejection(record, 'second-final', `${leg} attempt ${attempt} of call ${call_id} has its final`))
    } else {
      contentById.set(record.cdr_id, contentHash)
      idByLeg.set(key, record.cdr_id)
      fresh.push(final)
    }
  }
  return { fresh, refused, repeated }
}

/** An array of PostgreSQL, of values that need no quotes. */
const arrayOf = (values: readonly string[]): string => `{${values.join(',')}}`

async function addRejected(sql: Sql, topic: string, rejected: readonly Rejection[]): Promise<void> {
  if (rejected.length === 0) return
  await sql.query(
    `insert into rejected (content_hash, reason, detail, record, topic)
     select "contentHash", reason, detail, record, $2
     from json_to_recordset($1::json) as r("contentHash" text, reason text, detail text, record text)
     on conflict do nothing`,
    [JSON.stringify(rejected), topic]
  )
}

const finalTable: CopyTable = {
  name: 'cdr_final',
  columns: [
    ['cdr_id', 'uuid'],
    ['content_hash', 'text'],
    ['call_id', 'uuid'],
    ['leg', 'text'],
    ['attempt', 'bigint'],
    ['node_id', 'text'],
    ['seq', 'bigint'],
    ['service', 'text'],
    ['provider', 'text'],
    ['other_provider', 'text'],
    ['trunk', 'text'],
    ['access', 'text'],
    ['calling', 'text'],
    ['called', 'text'],
    ['dialled', 'text'],
    ['t_request', 'time'],
    ['t_alert', 'time'],
    ['t_answer', 'time'],
    ['t_end', 'time'],
    ['duration_ms', 'bigint'],
    ['cause', 'text'],
    ['final_code', 'bigint'],
    ['q850', 'bigint'],
    ['release_side', 'text'],
    ['incomplete', 'boolean'],
    ['emergency', 'boolean'],
    ['rn', 'text'],
    ['quality_class', 'text']
  ]
}

function* finalRows(finals: readonly Final[]): Iterable<readonly CopyValue[]> {
  for (const { record, contentHash } of finals) {
    const r = record
    // One array a row, without the parts of it.
    // prettier-ignore
    yield [
      r.cdr_id, contentHash, r.call_id, r.leg, r.attempt, r.node_id, r.seq, r.service, r.provider, r.other_provider,
      r.trunk, r.access, r.calling, r.called, r.dialled, r.t_request, r.t_alert, r.t_answer, r.t_end, r.duration_ms,
      r.cause, r.final_code, r.q850, r.release_side, r.incomplete, r.emergency, r.rn, r.quality_class
    ]
  }
}
