// What invoices and payments mean for accounts with a limit (COM-03, COM-04): a top-up credits what was paid in
// advance, and what is paid, credited or netted of an invoice is open no more.

import type { Sql } from '../../store/sql.ts'
import { HubError } from '../../errors.ts'
import { hasAccount, hub } from '../agreements.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { moveOpen, topUp } from '../credit/movements.ts'
import { divRound } from '../money.ts'
import type { CreditTopUp, TopUp } from './payments.ts'

export const limits = {
  /** Movements that are told at once; the next command tells the others. */
  movementsMax: 100_000
} as const

/** The agreements that parties pay the hub for in advance. */
export const prepaidOf = ({ agreements }: AgreementBook): readonly TopUp[] =>
  agreements
    .filter(agreement => agreement.credit.advance && agreement.seller === hub)
    .map(({ id, buyer, currency }) => ({ agreementId: id, party: buyer, currency }))

export const createTopUp =
  ({ agreements }: AgreementBook): CreditTopUp =>
  async (sql, { agreementId, amountMicros, reference, day, by }) => {
    const agreement = agreements.find(({ id }) => id === agreementId)
    if (agreement === undefined) throw new HubError('HUB_CONFIG', `no agreement is called ${agreementId}`)
    await topUp(sql, { agreement, micros: amountMicros, reference, reason: 'payment import', by, day })
  }

interface Row {
  readonly agreement_id: string
  readonly reference: string
  readonly amount: bigint
  readonly gross: bigint
  readonly stated: bigint
  readonly day: string
}

/**
 * Tells the accounts of agreements that are paid later what has been invoiced and paid since. `sql` is the transaction
 * of the command that did it; whatever was told before is left out, so it may be called at any time.
 */
export async function tellCredit(sql: Sql, { agreements }: AgreementBook, by: string): Promise<number> {
  const watched = new Map(
    agreements
      .filter(agreement => hasAccount(agreement) && !agreement.credit.advance)
      .map((agreement): readonly [string, Agreement] => [agreement.id, agreement])
  )
  if (watched.size === 0) return 0
  const ids = JSON.stringify([...watched.keys()])
  const invoiced = await untold(sql, 'invoice', invoicedSql, ids)
  const paid = await untold(sql, 'payment', paidSql, ids)
  for (const [kind, rows] of [['invoice', invoiced] as const, ['payment', paid] as const]) {
    for (const { agreement_id, reference, amount, gross, stated, day } of rows) {
      const agreement = watched.get(agreement_id)
      if (agreement === undefined) continue
      // In the currency of the account: of an invoice in another one the same part.
      const micros = gross === 0n ? amount : divRound(amount * stated, gross, 'half-up')
      await moveOpen(sql, { agreement, micros, reference, reason: kind, by, day }, kind)
    }
  }
  return invoiced.length + paid.length
}

async function untold(sql: Sql, kind: string, query: string, ids: string): Promise<readonly Row[]> {
  const { rows } = await sql.query<Row>(
    `select * from (${query}) as q
     where not exists (select from credit_movement m
       where m.movement_id = $2 || '/' || q.agreement_id || '/' || q.reference)
     order by q.reference limit $3`,
    [ids, kind, limits.movementsMax]
  )
  return rows
}

/** What an invoice adds to the traffic it is for: tax and rounding. In another currency nothing is added. */
const invoicedSql = `
  select i.agreement_id, i.invoice_id as reference, i.issued_on::text as day, 0::bigint as gross, 0::bigint as stated,
    (case when i.fx is not null then 0
      when i.kind = 'invoice' then trunc(s.net_micros) - i.gross_micros
      else trunc(s.net_micros) + i.gross_micros end)::bigint as amount
  from invoice i join statement s using (statement_id)
  where i.credits is null and i.agreement_id in (select jsonb_array_elements_text($1::jsonb))`

/** Set off against what the buyer owes: more is left. Paid out of what is owed to it: less. Interest is in neither. */
const paidSql = `
  select i.agreement_id, 'allocation-' || a.id as reference, a.day::text as day,
    case when i.fx is null then 0 else i.gross_micros end as gross,
    case when i.fx is null then 0 else abs(trunc(s.net_micros))::bigint end as stated,
    case when i.debtor = i.buyer then a.amount_micros else -a.amount_micros end as amount
  from allocation a join invoice i on i.invoice_id = a.item_id join statement s using (statement_id)
  where i.agreement_id in (select jsonb_array_elements_text($1::jsonb))
  union all
  select i.agreement_id, 'owed-' || i.invoice_id, i.issued_on::text, 0, 0, i.owed_micros
  from invoice i where i.credits is not null and i.owed_micros <> 0 and i.statement_id is not null
    and i.agreement_id in (select jsonb_array_elements_text($1::jsonb))`
