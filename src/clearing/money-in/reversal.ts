// A payment taken back: everything it did is reversed by its exact opposite, and what it paid is open again (COM-06).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { addAllocations, lockMoney } from './open-items.ts'

export interface ReversalAsked {
  readonly paymentId: string
  readonly reason: string
  readonly day: string
  readonly by: string
}

/** `sql` is a transaction. Throws HUB_CONFIG where there is nothing to take back. */
export async function reversePayment(sql: Sql, { paymentId, reason, day, by }: ReversalAsked): Promise<void> {
  await lockMoney(sql)
  const { rows } = await sql.query<{ top_ups: number; orders: number; reversed: number }>(
    `select (select count(*) from payment_top_up t where t.payment_id = p.payment_id)::int as top_ups,
       (select count(*) from payment_order_end e where e.payment_id = p.payment_id)::int as orders,
       (select count(*) from payment_reversal r where r.payment_id = p.payment_id)::int as reversed
     from payment p where payment_id = $1`,
    [paymentId]
  )
  const found = rows[0]
  if (found === undefined) throw wrong(`there is no payment ${paymentId}`)
  if (found.reversed > 0) throw wrong(`payment ${paymentId} is reversed already`)
  if (found.top_ups > 0)
    throw wrong(`payment ${paymentId} topped up a prepaid account: correct it by an adjustment there`)
  if (found.orders > 0)
    throw wrong(`payment ${paymentId} carried out an order of ours: money that comes back is a line of its own`)
  if (reason.trim() === '') throw wrong('a reversal needs a reason')
  await sql.query('insert into payment_reversal (payment_id, reason, day, reversed_by) values ($1, $2, $3, $4)', [
    paymentId,
    reason,
    day,
    by
  ])
  await takeBackAllocations(sql, `payment/${paymentId}`, day, by)
  await sql.query(
    `insert into payment_rest (payment_id, party, reason, detail, amount_micros, day, made_by)
     select payment_id, party, 'reversed', $2, -amount_micros, $3::date, $4 from payment_open where payment_id = $1`,
    [paymentId, reason, day, by]
  )
  await reverseEntries(sql, `payment/${paymentId}/`, day)
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

/** What a source set off is open again. */
export async function takeBackAllocations(sql: Sql, source: string, day: string, by: string): Promise<void> {
  const { rows } = await sql.query<{ item_id: string; amount: bigint }>(
    `select item_id, sum(amount_micros)::bigint as amount from allocation
     where source = $1 group by item_id having sum(amount_micros) <> 0 order by item_id`,
    [source]
  )
  const back = rows.map(({ item_id, amount }) => ({ itemId: item_id, amountMicros: -amount, source, day }))
  await addAllocations(sql, back, by)
}

/** The exact opposite of all entries whose ids begin so; those that were reversed already stay. */
export async function reverseEntries(sql: Sql, prefix: string, day: string): Promise<void> {
  const { rows } = await sql.query<{
    entry_id: string
    debit: string
    credit: string
    amount_micros: bigint
    currency: string
  }>(
    `select entry_id, debit, credit, amount_micros, currency from posting t
     where cdr_id is null and starts_with(entry_id, $1) and not entry_id like '%/reversed'
       and not exists (select from posting r where r.cdr_id is null and r.entry_id = t.entry_id || '/reversed')
     order by entry_id`,
    [prefix]
  )
  const postings: Posting[] = rows.map(({ entry_id, debit, credit, amount_micros, currency }) => ({
    entryId: `${entry_id}/reversed`,
    debit: credit,
    credit: debit,
    amountMicros: amount_micros,
    currency,
    day
  }))
  await postTransfers(sql, postings)
}
