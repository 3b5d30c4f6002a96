// Closed statements as they stand in the database.

import type { Sql } from '../../store/sql.ts'
import type { ChargeSide } from '../charging.ts'
import type { Calendar } from '../periods.ts'
import type { ClosedStatement, LineKind, LineUnit, StatementLine } from './model.ts'
import type { Seal } from './seal.ts'

export const limits = {
  /** Statements that are listed. */
  listMax: 10_000
} as const

interface StatementRow {
  readonly statement_id: string
  readonly agreement_id: string
  readonly period: string
  readonly from_day: string
  readonly to_day: string
  readonly time_zone: string
  readonly calendar: Calendar
  readonly model: string
  readonly service: string
  readonly buyer: string
  readonly seller: string
  readonly side: ChargeSide
  readonly currency: string
  readonly minor_digits: number
  readonly due_day: string
  readonly received: bigint
  readonly expected: bigint
  readonly open_gaps: bigint
  readonly suspense_count: bigint
  readonly suspense_ms: bigint
  readonly late_count: bigint
  readonly late_micros: string
  readonly outdated_count: bigint
  readonly outdated_micros: string
  readonly cdr_count: bigint
  readonly gross_micros: string
  readonly discount_micros: string
  readonly adjustment_micros: string
  readonly net_micros: string
  readonly invoice_micros: string
  readonly account: string
  readonly account_debit_micros: string
  readonly account_credit_micros: string
  readonly before_debit_micros: string | null
  readonly before_credit_micros: string | null
  readonly terms: Readonly<Record<string, unknown>>
  readonly merkle_root: string
  readonly closed_at: Date
  readonly closed_by: string
  readonly override_reason: string | null
}

const select = `
  select s.statement_id, s.agreement_id, s.period, s.from_day::text, s.to_day::text, s.time_zone, s.calendar, s.model,
    s.service, s.buyer, s.seller, s.side, s.currency, s.minor_digits, s.due_day::text, s.received, s.expected,
    s.open_gaps, s.suspense_count, s.suspense_ms, s.late_count, s.late_micros, s.outdated_count, s.outdated_micros,
    s.cdr_count, s.gross_micros, s.discount_micros, s.adjustment_micros, s.net_micros, s.invoice_micros, s.account,
    s.account_debit_micros, s.account_credit_micros, b.account_debit_micros as before_debit_micros,
    b.account_credit_micros as before_credit_micros, s.terms, s.merkle_root, c.closed_at, c.closed_by,
    c.override_reason
  from statement s join period_close c using (statement_id) left join lateral (
    select account_debit_micros, account_credit_micros from statement e
    where e.agreement_id = s.agreement_id and e.from_day < s.from_day and e.account = s.account
    order by e.from_day desc limit 1) b on true`

/** Null: no period was closed under this name. */
export async function readStatement(sql: Sql, statementId: string): Promise<ClosedStatement | null> {
  const { rows } = await sql.query<StatementRow>(`${select} where s.statement_id = $1`, [statementId])
  return rows[0] === undefined ? null : fromRow(rows[0])
}

/** Oldest first; null: of all agreements. */
export async function listStatements(sql: Sql, agreementId: string | null): Promise<readonly ClosedStatement[]> {
  const { rows } = await sql.query<StatementRow>(
    `${select} where $1::text is null or s.agreement_id = $1 order by s.from_day, s.statement_id limit $2`,
    [agreementId, limits.listMax]
  )
  return rows.map(fromRow)
}

const fromRow = (row: StatementRow): ClosedStatement => ({
  statementId: row.statement_id,
  agreementId: row.agreement_id,
  period: { name: row.period, from: row.from_day, to: row.to_day },
  timeZone: row.time_zone,
  calendar: row.calendar,
  model: row.model,
  service: row.service,
  buyer: row.buyer,
  seller: row.seller,
  side: row.side,
  currency: row.currency,
  minorDigits: row.minor_digits,
  dueDay: row.due_day,
  received: row.received,
  expected: row.expected,
  openGaps: row.open_gaps,
  suspenseCount: row.suspense_count,
  suspenseMs: row.suspense_ms,
  lateCount: row.late_count,
  lateMicros: BigInt(row.late_micros),
  outdatedCount: row.outdated_count,
  outdatedMicros: BigInt(row.outdated_micros),
  cdrCount: row.cdr_count,
  grossMicros: BigInt(row.gross_micros),
  discountMicros: BigInt(row.discount_micros),
  adjustmentMicros: BigInt(row.adjustment_micros),
  netMicros: BigInt(row.net_micros),
  invoiceMicros: BigInt(row.invoice_micros),
  account: row.account,
  accountDebitMicros: BigInt(row.account_debit_micros),
  accountCreditMicros: BigInt(row.account_credit_micros),
  beforeDebitMicros: BigInt(row.before_debit_micros ?? '0'),
  beforeCreditMicros: BigInt(row.before_credit_micros ?? '0'),
  terms: row.terms,
  merkleRoot: row.merkle_root,
  closedAt: row.closed_at,
  closedBy: row.closed_by,
  overrideReason: row.override_reason
})

interface LineRow {
  readonly line: number
  readonly kind: LineKind
  readonly of_period: string
  readonly destination: string | null
  readonly dest_code: string | null
  readonly origin: string | null
  readonly trunk: string | null
  readonly time_class: string | null
  readonly quality_class: string | null
  readonly rate_id: string | null
  readonly rate_nanos: bigint | null
  readonly effective_from: Date | null
  readonly attempts: bigint
  readonly answered: bigint
  readonly effective: bigint
  readonly duration_ms: string
  readonly increments: string
  readonly billed_units: string
  readonly unit: LineUnit
  readonly setup_micros: string
  readonly gross_micros: string
  readonly discount_micros: string
  readonly net_micros: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** In their order. */
export async function readLines(sql: Sql, statementId: string): Promise<readonly StatementLine[]> {
  const { rows } = await sql.query<LineRow>('select * from statement_line where statement_id = $1 order by line', [
    statementId
  ])
  return rows.map(row => ({
    line: row.line,
    kind: row.kind,
    ofPeriod: row.of_period,
    destination: row.destination,
    destCode: row.dest_code,
    origin: row.origin,
    trunk: row.trunk,
    timeClass: row.time_class,
    qualityClass: row.quality_class,
    rateId: row.rate_id,
    rateNanos: row.rate_nanos,
    effectiveFrom: row.effective_from,
    attempts: row.attempts,
    answered: row.answered,
    effective: row.effective,
    durationMs: BigInt(row.duration_ms),
    increments: BigInt(row.increments),
    billedUnits: BigInt(row.billed_units),
    unit: row.unit,
    setupMicros: BigInt(row.setup_micros),
    grossMicros: BigInt(row.gross_micros),
    discountMicros: BigInt(row.discount_micros),
    netMicros: BigInt(row.net_micros),
    detail: row.detail
  }))
}

interface SealRow extends Omit<Seal, 'number' | 'statementId' | 'publicKey'> {
  readonly number: bigint
  readonly statement_id: string
  readonly public_key: string
}

const fromSeal = ({ number, statement_id, public_key, previous, body, hash, signature }: SealRow): Seal => ({
  number: Number(number),
  statementId: statement_id,
  previous,
  body,
  hash,
  signature,
  publicKey: public_key
})

export async function readSeal(sql: Sql, statementId: string): Promise<Seal | null> {
  const { rows } = await sql.query<SealRow>('select * from statement_seal where statement_id = $1', [statementId])
  return rows[0] === undefined ? null : fromSeal(rows[0])
}

/** The newest one; null: nothing was closed yet. */
export async function readLastSeal(sql: Sql): Promise<Seal | null> {
  const { rows } = await sql.query<SealRow>('select * from statement_seal order by number desc limit 1')
  return rows[0] === undefined ? null : fromSeal(rows[0])
}

/** All of them, in their order. */
export async function readSeals(sql: Sql): Promise<readonly Seal[]> {
  const { rows } = await sql.query<SealRow>('select * from statement_seal order by number')
  return rows.map(fromSeal)
}
