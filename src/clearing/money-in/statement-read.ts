// What an invoice needs of a closed statement.

import type { Sql } from '../../store/sql.ts'
import type { DocumentLine } from './document.ts'

export interface BilledStatement {
  readonly statementId: string
  readonly agreementId: string
  readonly period: string
  readonly fromDay: string
  /** The last day of the period. */
  readonly lastDay: string
  readonly buyer: string
  readonly seller: string
  readonly currency: string
  /** To the last digit: what stands unbilled. */
  readonly netMicros: bigint
  /** Rounded as the agreement says. */
  readonly invoiceMicros: bigint
}

/** Null: no period was closed under this name. */
export async function readBilled(sql: Sql, statementId: string): Promise<BilledStatement | null> {
  const { rows } = await sql.query<{
    readonly agreement_id: string
    readonly period: string
    readonly from_day: string
    readonly last_day: string
    readonly buyer: string
    readonly seller: string
    readonly currency: string
    readonly net_micros: string
    readonly invoice_micros: string
  }>(
    `select agreement_id, period, from_day::text as from_day, (to_day - 1)::text as last_day, buyer, seller, currency,
       trunc(net_micros)::text as net_micros, trunc(invoice_micros)::text as invoice_micros
     from statement where statement_id = $1`,
    [statementId]
  )
  const row = rows[0]
  if (row === undefined) return null
  return {
    statementId,
    agreementId: row.agreement_id,
    period: row.period,
    fromDay: row.from_day,
    lastDay: row.last_day,
    buyer: row.buyer,
    seller: row.seller,
    currency: row.currency,
    netMicros: BigInt(row.net_micros),
    invoiceMicros: BigInt(row.invoice_micros)
  }
}

/** Closed statements without a document, oldest first. */
export async function listUnbilled(
  sql: Sql,
  { agreementId, period }: { readonly agreementId: string | null; readonly period: string | null }
): Promise<readonly { readonly statementId: string; readonly agreementId: string }[]> {
  const { rows } = await sql.query<{ statement_id: string; agreement_id: string }>(
    `select statement_id, agreement_id from statement s
     where ($1::text is null or agreement_id = $1) and ($2::text is null or period = $2)
       and not exists (select from invoice i where i.statement_id = s.statement_id and i.credits is null)
     order by from_day, statement_id limit $3`,
    [agreementId, period, limits.statementsMax]
  )
  return rows.map(row => ({ statementId: row.statement_id, agreementId: row.agreement_id }))
}

export const limits = {
  /** Statements of one run. */
  statementsMax: 10_000
} as const

/** One line a destination and kind, in their order. */
export async function readBilledLines(sql: Sql, statementId: string): Promise<readonly DocumentLine[]> {
  const { rows } = await sql.query<{
    readonly kind: string
    readonly of_period: string
    readonly destination: string | null
    readonly units: string
    readonly unit: string
    readonly net_micros: string
  }>(
    `select kind, of_period, destination, sum(billed_units)::text as units, unit,
       trunc(sum(net_micros))::text as net_micros
     from statement_line where statement_id = $1
     group by kind, of_period, destination, unit
     having sum(net_micros) <> 0 or sum(billed_units) <> 0
     order by min(line)`,
    [statementId]
  )
  return rows.map(({ kind, of_period: ofPeriod, destination, units, unit, net_micros }, n) => ({
    line: n + 1,
    kind,
    ofPeriod,
    destination,
    units,
    unit,
    netMicros: BigInt(net_micros)
  }))
}
