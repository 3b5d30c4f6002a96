// Reconciliations in the database: the partner's lines as they came, our calls beside them, and what became of it. Only
// ever added to.

import type { CopyTable, CopyValue } from '../../store/binary-copy.ts'
import type { Sql } from '../../store/sql.ts'
import type { Item, OutcomeClass, OwnCall, TheirCall } from './model.ts'
import { limits } from './model.ts'
import { normalisedSql } from './number.ts'
import type { ClockSample } from './offset.ts'

const theirTable: CopyTable = {
  name: 'partner_call',
  columns: [
    ['reconciliation_id', 'bigint'],
    ['line', 'bigint'],
    ['number', 'text'],
    ['calling', 'text'],
    ['at', 'time'],
    ['duration_ms', 'bigint'],
    ['units', 'bigint'],
    ['amount_micros', 'bigint'],
    ['amount_digits', 'bigint'],
    ['rate_nanos', 'bigint'],
    ['code', 'text'],
    ['destination', 'text'],
    ['cdr_id', 'uuid']
  ]
}

export async function addTheirs(sql: Sql, id: bigint, calls: readonly TheirCall[]): Promise<void> {
  const rows = calls.map((call): readonly CopyValue[] => {
    const { line, number, calling, at, durationMs, units, amountMicros, amountDigits, rateNanos } = call
    const what = [id, line, number, calling, at, durationMs, units, amountMicros, amountDigits, rateNanos]
    return [...what, call.code, call.destination, call.cdrId]
  })
  await sql.copy(theirTable, rows)
}

/** What is compared: one agreement, and its local days; `to` is no part of it. */
export interface Scope {
  readonly agreementId: string
  readonly from: string
  readonly to: string
  /** The moments at which the period begins and ends. */
  readonly startsAt: number
  readonly endsAt: number
}

/** Ours of the period and, for calls that the other side counts elsewhere, of the day before and after. */
const ours = `
  select c.cdr_id, ${normalisedSql("case f.leg when 'ingress' then f.dialled else f.called end")} as number,
    ${normalisedSql('f.calling')} as calling, coalesce(f.t_answer, f.t_request) as at, f.t_end, f.duration_ms,
    c.billed_units as units, c.amount_micros, c.destination, ltrim(c.prefix, '+') as code,
    f.quality_class, f.service = 'message' as is_text,
    c.day >= $2::date and c.day < $3::date as in_period
  from charge_now c join cdr_final f using (cdr_id)
  where c.agreement_id = $1 and c.day >= $2::date - 1 and c.day < $3::date + 1
    and (c.rule in ('call', 'message', 'keep') or c.amount_micros > 0)`

interface OwnRow {
  readonly cdr_id: string
  readonly number: string
  readonly calling: string | null
  readonly at: Date
  readonly t_end: Date
  readonly duration_ms: bigint
  readonly units: bigint
  readonly amount_micros: bigint
  readonly destination: string | null
  readonly code: string | null
  readonly quality_class: string | null
  readonly is_text: boolean
  readonly in_period: boolean
}

interface TheirRow {
  readonly line: bigint
  readonly number: string
  readonly calling: string | null
  readonly at: Date
  readonly duration_ms: bigint | null
  readonly units: bigint | null
  readonly amount_micros: bigint | null
  readonly amount_digits: bigint
  readonly rate_nanos: bigint | null
  readonly code: string | null
  readonly destination: string | null
  readonly cdr_id: string | null
}

/** A call that lasts across an end of the period, or begins so near it that clocks may differ. */
function ownOf(row: OwnRow, { startsAt, endsAt }: Scope, toleranceMs: number): OwnCall {
  const [at, endAt] = [row.at.getTime(), row.t_end.getTime()]
  const across = (edge: number): boolean => at - toleranceMs < edge && endAt + toleranceMs >= edge
  return {
    cdrId: row.cdr_id,
    number: row.number,
    calling: row.calling === '' ? null : row.calling,
    at,
    endAt,
    durationMs: Number(row.duration_ms),
    units: row.units,
    amountMicros: row.amount_micros,
    code: row.code === '' ? null : row.code,
    destination: row.destination,
    quality: row.quality_class,
    isText: row.is_text,
    inPeriod: row.in_period,
    onEdge: across(startsAt) || across(endsAt)
  }
}

const theirOf = (row: TheirRow): TheirCall => ({
  line: Number(row.line),
  number: row.number,
  calling: row.calling,
  at: row.at.getTime(),
  durationMs: row.duration_ms === null ? null : Number(row.duration_ms),
  units: row.units,
  amountMicros: row.amount_micros,
  amountDigits: Number(row.amount_digits),
  rateNanos: row.rate_nanos,
  code: row.code,
  destination: row.destination,
  cdrId: row.cdr_id
})

/** Rows of a query page by page, in a transaction; the server keeps the rest. */
async function* pagesOf<Row>(
  sql: Sql,
  name: string,
  text: string,
  values: readonly unknown[]
): AsyncGenerator<readonly Row[]> {
  await sql.query(`declare ${name} no scroll cursor for ${text}`, values)
  for (;;) {
    const { rows } = await sql.query<Row>(`fetch ${limits.pageRows} from ${name}`)
    if (rows.length === 0) break
    yield rows
  }
  await sql.query(`close ${name}`)
}

const values = ({ agreementId, from, to }: Scope): readonly unknown[] => [agreementId, from, to]

/** Differences of the clocks, for calls that any of ours to the same number and of the same length may be. */
export async function clockSample(sql: Sql, id: bigint, scope: Scope): Promise<ClockSample> {
  const { rows } = await sql.query<{ line: bigint; delta: string }>(
    `with t as (select line, number, at, duration_ms from partner_call where reconciliation_id = $4
       order by hashint8(line) limit $5)
     select t.line, round(extract(epoch from t.at - o.at) * 1000)::text as delta
     from t join (${ours}) as o on o.number = t.number and abs(extract(epoch from t.at - o.at)) * 1000 <= $6
       and (t.duration_ms is null or abs(t.duration_ms - o.duration_ms) <= $7)
     order by hashint8(t.line), t.line, 2 limit $8`,
    [...values(scope), id, limits.offsetSamplesMax, limits.offsetMsMax, limits.offsetDurationMs, limits.offsetDeltasMax]
  )
  return { calls: new Set(rows.map(({ line }) => line)).size, deltasMs: rows.map(({ delta }) => Number(delta)) }
}

export interface Named {
  readonly own: OwnCall
  readonly their: TheirCall
  /** Of several lines that name one record: which one this is, from 1. */
  readonly nth: number
}

/** Lines that name one of our records. */
export async function* namedPairs(
  sql: Sql,
  id: bigint,
  scope: Scope,
  toleranceMs: number
): AsyncGenerator<readonly Named[]> {
  const text = `select o.*, t.line, t.number as t_number, t.calling as t_calling, t.at as t_at,
      t.duration_ms as t_duration_ms, t.units as t_units, t.amount_micros as t_amount_micros, t.amount_digits,
      t.rate_nanos, t.code as t_code, t.destination as t_destination,
      row_number() over (partition by t.cdr_id order by t.line)::int as nth
    from partner_call t join (${ours}) as o using (cdr_id) where t.reconciliation_id = $4 order by t.line`
  interface NamedRow extends OwnRow {
    readonly line: bigint
    readonly t_number: string
    readonly t_calling: string | null
    readonly t_at: Date
    readonly t_duration_ms: bigint | null
    readonly t_units: bigint | null
    readonly t_amount_micros: bigint | null
    readonly amount_digits: bigint
    readonly rate_nanos: bigint | null
    readonly t_code: string | null
    readonly t_destination: string | null
    readonly nth: number
  }
  for await (const page of pagesOf<NamedRow>(sql, 'named_pairs', text, [...values(scope), id])) {
    yield page.map(row => ({
      own: ownOf(row, scope, toleranceMs),
      their: theirOf({
        ...row,
        number: row.t_number,
        calling: row.t_calling,
        at: row.t_at,
        duration_ms: row.t_duration_ms,
        units: row.t_units,
        amount_micros: row.t_amount_micros,
        code: row.t_code,
        destination: row.t_destination
      }),
      nth: row.nth
    }))
  }
}

/** All others of ours, by number and time. */
export async function* unnamedOurs(
  sql: Sql,
  id: bigint,
  scope: Scope,
  toleranceMs: number
): AsyncGenerator<readonly OwnCall[]> {
  const text = `select o.* from (${ours}) as o
    where not exists (select from partner_call t where t.reconciliation_id = $4 and t.cdr_id = o.cdr_id)
    order by o.number collate "C", o.at, o.cdr_id`
  for await (const page of pagesOf<OwnRow>(sql, 'unnamed_ours', text, [...values(scope), id])) {
    yield page.map(row => ownOf(row, scope, toleranceMs))
  }
}

/** All others of theirs, by number and time. */
export async function* unnamedTheirs(sql: Sql, id: bigint, scope: Scope): AsyncGenerator<readonly TheirCall[]> {
  const text = `select t.* from partner_call t left join (${ours}) as o on o.cdr_id = t.cdr_id
    where t.reconciliation_id = $4 and o.cdr_id is null order by t.number collate "C", t.at, t.line`
  for await (const page of pagesOf<TheirRow>(sql, 'unnamed_theirs', text, [...values(scope), id])) {
    yield page.map(theirOf)
  }
}

export interface OwnSum {
  readonly destination: string
  readonly code: string | null
  readonly calls: bigint
  readonly units: bigint
  readonly amountMicros: bigint
}

/** Ours of the period alone, by destination. */
export async function ownSums(sql: Sql, scope: Scope): Promise<readonly OwnSum[]> {
  const { rows } = await sql.query<{ destination: string; calls: bigint; units: string; amount: string }>(
    `select coalesce(destination, 'unknown') as destination, count(*) as calls, sum(units)::text as units,
       sum(amount_micros)::text as amount
     from (${ours}) as o where in_period group by 1 order by 1`,
    values(scope)
  )
  return rows.map(({ destination, calls, units, amount }) => ({
    destination,
    code: null,
    calls,
    units: BigInt(units),
    amountMicros: BigInt(amount)
  }))
}

const itemTable: CopyTable = {
  name: 'reconciliation_item',
  columns: [
    ['reconciliation_id', 'bigint'],
    ['item', 'bigint'],
    ['outcome', 'text'],
    ['cdr_id', 'uuid'],
    ['line', 'bigint'],
    ['destination', 'text'],
    ['units', 'bigint'],
    ['amount_micros', 'bigint']
  ]
}

export interface ItemRow {
  readonly outcome: OutcomeClass
  readonly cdrId: string | null
  readonly line: number | null
  readonly destination: string
  readonly units: bigint
  readonly amountMicros: bigint
}

/** One row a part of the difference. */
export const itemRowsOf = ({ own, their, destination, parts }: Item): readonly ItemRow[] =>
  parts.map(part => ({ ...part, cdrId: own?.cdrId ?? null, line: their?.line ?? null, destination }))

/** Numbered on from `after`. */
export async function addItems(sql: Sql, id: bigint, after: bigint, items: readonly ItemRow[]): Promise<void> {
  await sql.copy(
    itemTable,
    items.map(({ outcome, cdrId, line, destination, units, amountMicros }, n) => [
      id,
      after + BigInt(n + 1),
      outcome,
      cdrId,
      line,
      destination,
      units,
      amountMicros
    ])
  )
}
