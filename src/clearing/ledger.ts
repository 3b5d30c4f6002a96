// The book: one batch of the event log becomes charges, transfers, balances and the new position, in one transaction.

import { strict as assert } from 'node:assert'
import type { Sql } from '../store/sql.ts'
import type { AgreementBook } from './agreements.ts'
import { chargeOf } from './charging.ts'
import type { Chargeable, Charge, SuspenseReason, Transfer } from './charging.ts'
import { rejection, storable, takeIn } from './intake.ts'
import type { Arrival, Final, Rejection } from './intake.ts'

export interface Batch {
  readonly topic: string
  /** The position these records follow; they are posted only if the ledger stands there. */
  readonly after: bigint
  readonly position: bigint
  readonly records: readonly unknown[]
}

export interface Posted {
  readonly charged: number
  readonly suspended: number
  readonly rejected: number
  /** Finals that were here already: an ordinary answer to a redelivery. */
  readonly repeated: number
}

/** Where the ledger stands in a topic. */
export async function positionOf(sql: Sql, topic: string): Promise<bigint> {
  const { rows } = await sql.query<{ position: bigint }>('select position from clearing_position where topic = $1', [
    topic
  ])
  return rows[0]?.position ?? 0n
}

/**
 * Posts a batch. `sql` is one transaction, so that position and money move together or not at all (EOS-02).
 * Null: somebody else has posted it; read on from where the ledger stands now.
 */
export async function postBatch(sql: Sql, batch: Batch, book: AgreementBook): Promise<Posted | null> {
  if (!(await takePosition(sql, batch))) return null
  const { finals, rejected, arrived } = takeIn(batch.records)
  await addArrivals(sql, arrived)
  const fresh = await addFinals(sql, finals)
  const doubtful = finals.filter(final => !fresh.has(final))
  const refused = doubtful.length === 0 ? [] : await refusedOf(sql, doubtful)
  await addRejected(sql, batch.topic, [...rejected, ...refused])
  const { charged, suspended } = await chargeAll(
    sql,
    [...fresh].map(({ record }) => record),
    book
  )
  return {
    charged,
    suspended,
    rejected: rejected.length + refused.length,
    repeated: doubtful.length - refused.length
  }
}

/** Charges what could not be priced before and now can: at most `max` records after `from`, by id. */
export async function releaseSuspense(
  sql: Sql,
  book: AgreementBook,
  { from, max }: { readonly from: string; readonly max: number }
): Promise<{ readonly looked: number; readonly charged: number; readonly last: string }> {
  await sql.query('select pg_advisory_xact_lock($1)', [releaseLock])
  const { rows } = await sql.query<SuspendedRow>(
    `select f.cdr_id, f.leg, f.service, f.provider, f.other_provider, f.called, f.dialled, f.duration_ms, f.cause,
       f.release_side, f.emergency, f.t_request, f.t_answer
     from suspense s join cdr_final f using (cdr_id) left join charge c using (cdr_id)
     where c.cdr_id is null and s.cdr_id > $1 order by s.cdr_id limit $2`,
    [from, max]
  )
  const records = rows.map(chargeableOf)
  const { charged } = await chargeAll(
    sql,
    records.filter(record => chargeOf(record, book).charged),
    book
  )
  return { looked: rows.length, charged, last: rows.at(-1)?.cdr_id ?? from }
}

/** Any number that stays the same: of two that release suspense, the second finds it released. */
const releaseLock = 4_970_132_203n

type SuspendedRow = Omit<Chargeable, 'duration_ms' | 't_request' | 't_answer'> & {
  readonly duration_ms: bigint
  readonly t_request: Date
  readonly t_answer: Date | null
}
const chargeableOf = (row: SuspendedRow): Chargeable => ({
  ...row,
  duration_ms: Number(row.duration_ms),
  t_request: row.t_request.getTime(),
  t_answer: row.t_answer?.getTime() ?? null
})

async function takePosition(sql: Sql, { topic, after, position }: Batch): Promise<boolean> {
  await sql.query('insert into clearing_position values ($1, 0) on conflict do nothing', [topic])
  const { count } = await sql.query('update clearing_position set position = $3 where topic = $1 and position = $2', [
    topic,
    after,
    position
  ])
  return count === 1
}

async function addArrivals(sql: Sql, arrived: readonly Arrival[]): Promise<void> {
  if (arrived.length === 0) return
  await sql.query(
    `insert into received as r (node_id, seqs)
     select "nodeId", range_agg(int8range(seq, seq, '[]'))
     from json_to_recordset($1::json) as a("nodeId" text, seq bigint) group by "nodeId" order by "nodeId"
     on conflict (node_id) do update set seqs = r.seqs + excluded.seqs`,
    [JSON.stringify(arrived)]
  )
}

/** Which of them are new; a record that is there already, by its id or by its natural key, stays as it was. */
async function addFinals(sql: Sql, finals: readonly Final[]): Promise<ReadonlySet<Final>> {
  if (finals.length === 0) return new Set()
  const { rows } = await sql.query<{ cdr_id: string; content_hash: string }>(
    `insert into cdr_final
     select cdr_id, content_hash, call_id, leg, attempt, node_id, seq, service, provider, other_provider, trunk, access,
       calling, called, dialled, t_request, t_alert, t_answer, t_end, duration_ms, cause, final_code, q850,
       release_side, incomplete, emergency
     from json_populate_recordset(null::cdr_final, $1::json)
     on conflict do nothing returning cdr_id, content_hash`,
    [JSON.stringify(finals.map(rowOf))]
  )
  const added = new Set(rows.map(({ cdr_id, content_hash }) => `${cdr_id} ${content_hash}`))
  // The same record twice in one batch is new once.
  const fresh = new Set(finals.filter(({ record, contentHash }) => added.delete(`${record.cdr_id} ${contentHash}`)))
  assert(fresh.size === rows.length, 'what was added is what will be charged')
  return fresh
}

const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

function rowOf({ record, contentHash }: Final): Readonly<Record<string, unknown>> {
  const { t_request, t_alert, t_answer, t_end } = record
  const times = { t_request: iso(t_request), t_alert: iso(t_alert), t_answer: iso(t_answer), t_end: iso(t_end) }
  const columns = Object.entries({ ...record, media: null, transit_ioi: null, ...times, content_hash: contentHash })
  return Object.fromEntries(columns.map(([name, value]) => [name, typeof value === 'string' ? storable(value) : value]))
}

/** Of finals that were not new: those that are not simply repeated. */
async function refusedOf(sql: Sql, doubtful: readonly Final[]): Promise<readonly Rejection[]> {
  const { rows } = await sql.query<{ cdr_id: string; content_hash: string }>(
    'select cdr_id, content_hash from cdr_final where cdr_id = any($1)',
    [doubtful.map(({ record }) => record.cdr_id)]
  )
  const known = new Map(rows.map(({ cdr_id, content_hash }) => [cdr_id, content_hash]))
  return doubtful.flatMap(({ record, contentHash }) => {
    const before = known.get(record.cdr_id)
    if (before === contentHash) return []
    const { call_id, leg, attempt, cdr_id } = record
    return before === undefined
      ? [rejection(record, 'second-final', `${leg} attempt ${attempt} of call ${call_id} has its final`)]
      : [rejection(record, 'changed', `record ${cdr_id} came before with other content`)]
  })
}

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

interface Due {
  readonly record: Chargeable
  readonly charge: Charge
  readonly transfers: readonly Transfer[]
}

async function chargeAll(
  sql: Sql,
  records: readonly Chargeable[],
  book: AgreementBook
): Promise<{ readonly charged: number; readonly suspended: number }> {
  const due: Due[] = []
  const waiting: { readonly cdr_id: string; readonly reason: SuspenseReason; readonly day: string }[] = []
  for (const record of records) {
    const outcome = chargeOf(record, book)
    if (outcome.charged) due.push({ record, ...outcome })
    else waiting.push({ cdr_id: record.cdr_id, reason: outcome.reason, day: outcome.day })
  }
  if (due.length > 0) {
    await addCharges(sql, due)
    await addTransfers(sql, due)
    await addToRollup(sql, due)
  }
  if (waiting.length > 0) {
    await sql.query('insert into suspense select * from json_populate_recordset(null::suspense, $1::json)', [
      JSON.stringify(waiting)
    ])
  }
  return { charged: due.length, suspended: waiting.length }
}

async function addCharges(sql: Sql, due: readonly Due[]): Promise<void> {
  const rows = due.map(({ record, charge }) => ({
    cdr_id: record.cdr_id,
    side: charge.side,
    rule: charge.rule,
    agreement_id: charge.agreement?.id ?? null,
    rate_id: charge.row?.id ?? null,
    destination: charge.row?.destination ?? null,
    currency: charge.agreement?.currency ?? null,
    billed_units: charge.billedUnits,
    amount_micros: charge.amountMicros.toString(),
    day: charge.day,
    explanation: charge.explanation
  }))
  await sql.query('insert into charge select * from json_populate_recordset(null::charge, $1::json)', [
    JSON.stringify(rows)
  ])
}

async function addTransfers(sql: Sql, due: readonly Due[]): Promise<void> {
  const rows = due.flatMap(({ record, charge, transfers }) =>
    transfers.map(({ entryId, debit, credit, amountMicros, currency }) => ({
      entry_id: entryId,
      cdr_id: record.cdr_id,
      debit,
      credit,
      amount_micros: amountMicros.toString(),
      currency,
      day: charge.day
    }))
  )
  if (rows.length === 0) return
  const json = [JSON.stringify(rows)]
  await sql.query('insert into transfer select * from json_populate_recordset(null::transfer, $1::json)', json)
  // In the order of their keys, so that two writers never wait for each other in a circle.
  await sql.query(
    `insert into balance as b
     select account, currency, sum(debit), sum(credit) from (
       select debit as account, currency, amount_micros as debit, 0 as credit
         from json_populate_recordset(null::transfer, $1::json)
       union all
       select credit, currency, 0, amount_micros from json_populate_recordset(null::transfer, $1::json)
     ) as sides group by account, currency order by account, currency
     on conflict (account, currency) do update
       set debit_micros = b.debit_micros + excluded.debit_micros,
           credit_micros = b.credit_micros + excluded.credit_micros`,
    json
  )
}

async function addToRollup(sql: Sql, due: readonly Due[]): Promise<void> {
  const rows = due.map(({ record, charge }) => {
    const [from, to] =
      record.leg === 'ingress' ? [record.provider, record.other_provider] : [record.other_provider, record.provider]
    return {
      day: charge.day,
      from_provider: storable(from ?? ''),
      to_provider: storable(to ?? ''),
      service: record.service,
      side: charge.rule === 'with-ingress' ? 'with-ingress' : charge.side,
      agreement_id: charge.agreement?.id ?? '',
      currency: charge.agreement?.currency ?? '',
      destination: charge.row?.destination ?? '',
      attempts: 1,
      answered: record.t_answer === null ? 0 : 1,
      billed_units: charge.billedUnits,
      duration_ms: record.t_answer === null ? 0 : record.duration_ms,
      amount_micros: charge.amountMicros.toString()
    }
  })
  await sql.query(
    `insert into rollup as r
     select day, from_provider, to_provider, service, side, agreement_id, currency, destination,
       sum(attempts), sum(answered), sum(billed_units), sum(duration_ms), sum(amount_micros)
     from json_populate_recordset(null::rollup, $1::json)
     group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8
     on conflict (day, from_provider, to_provider, service, side, agreement_id, currency, destination) do update
       set attempts = r.attempts + excluded.attempts, answered = r.answered + excluded.answered,
           billed_units = r.billed_units + excluded.billed_units, duration_ms = r.duration_ms + excluded.duration_ms,
           amount_micros = r.amount_micros + excluded.amount_micros`,
    [JSON.stringify(rows)]
  )
}
