// The aging report from the book: what is open and how late, and the money that waits beside it.

import type { Sql } from '../../store/sql.ts'
import { agingOf } from './aging.ts'
import type { AgingRow } from './aging.ts'
import { readOpenItems } from './open-items.ts'

export interface Waiting {
  readonly paymentId: string
  /** Null: in suspense. */
  readonly party: string | null
  readonly currency: string
  readonly amountMicros: bigint
  readonly bookedOn: string
  readonly payer: string
  readonly purpose: string
  readonly reason: string
  readonly detail: string
}

export interface AgingReport {
  readonly asOf: string
  readonly rows: readonly AgingRow[]
  /** On the accounts of parties, paying nothing yet. */
  readonly unapplied: readonly { readonly party: string; readonly currency: string; readonly amountMicros: bigint }[]
}

export async function readAging(
  sql: Sql,
  { asOf, party }: { readonly asOf: string; readonly party: string | null }
): Promise<AgingReport> {
  const items = await readOpenItems(sql, party === null ? {} : { party })
  const { rows } = await sql.query<{ party: string; currency: string; amount: bigint }>(
    `select o.party, p.currency, sum(o.amount_micros)::bigint as amount
     from payment_open o join payment p using (payment_id)
     where o.party is not null and ($1::text is null or o.party = $1) group by 1, 2 order by 1, 2`,
    [party]
  )
  const unapplied = rows.map(({ party, currency, amount }) => ({ party, currency, amountMicros: amount }))
  return { asOf, rows: agingOf(items, asOf), unapplied }
}

/** Money that pays nothing yet, in suspense first, then the oldest first. */
export async function readWaiting(sql: Sql, max: number): Promise<readonly Waiting[]> {
  const { rows } = await sql.query<{
    readonly payment_id: string
    readonly party: string | null
    readonly currency: string
    readonly amount_micros: bigint
    readonly booked_on: string
    readonly payer: string
    readonly purpose: string
    readonly reason: string
    readonly detail: string
  }>(
    `select payment_id, o.party, p.currency, o.amount_micros, p.booked_on::text as booked_on, p.payer, p.purpose,
       o.reason, o.detail
     from payment_open o join payment p using (payment_id)
     order by (o.party is null) desc, p.booked_on, payment_id limit $1`,
    [max]
  )
  return rows.map(({ payment_id, amount_micros, booked_on, ...row }) => ({
    ...row,
    paymentId: payment_id,
    amountMicros: amount_micros,
    bookedOn: booked_on
  }))
}
