// What the hub pays (SET-04): the undisputed part of what is due, one order for each party, told to the bank and seen
// in its file.

import { stringify } from 'csv-stringify/sync'
import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { postTransfers } from '../settlement/post.ts'
import { underWay } from './accounts.ts'
import { printMoney } from './currency.ts'
import { addAllocations, debtPostings, lockMoney, readOpenItems } from './open-items.ts'
import type { PartyBook } from './parties.ts'
import { reverseEntries, takeBackAllocations } from './reversal.ts'

export interface PaymentOrder {
  /** What the bank is to write into the purpose: `PAY-2026-000001-1`. */
  readonly orderId: string
  readonly party: string
  readonly name: string
  readonly iban: string
  readonly currency: string
  readonly amountMicros: bigint
  readonly items: readonly { readonly itemId: string; readonly amountMicros: bigint }[]
}

export interface PaymentRun {
  /** Null: only told. */
  readonly runId: string | null
  readonly orders: readonly PaymentOrder[]
  /** Due, and not paid: whoever has no account number. */
  readonly leftOut: readonly { readonly party: string; readonly amountMicros: bigint; readonly why: string }[]
}

export interface RunAsked {
  readonly currency: string
  /** What is due until this day. */
  readonly until: string
  readonly parties: PartyBook
  readonly day: string
  readonly by: string
  readonly dryRun: boolean
}

/** `sql` is a transaction. Nothing due makes no run. */
export async function payDue(sql: Sql, { currency, until, parties, day, by, dryRun }: RunAsked): Promise<PaymentRun> {
  await lockMoney(sql)
  const items = (await readOpenItems(sql, { debtor: hub, currency })).filter(
    ({ dueOn, openMicros, heldMicros }) => dueOn <= until && openMicros > heldMicros
  )
  const { rows } = await sql.query<{ runs: number }>('select count(*)::int as runs from payment_run')
  const number = `${day.slice(0, 4)}-${String((rows[0]?.runs ?? 0) + 1).padStart(6, '0')}`
  const orders: PaymentOrder[] = []
  const leftOut: { party: string; amountMicros: bigint; why: string }[] = []
  const byParty = [...Map.groupBy(items, ({ creditor }) => creditor)].sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
  for (const [party, owed] of byParty) {
    const paid = owed.map(({ itemId, openMicros, heldMicros }) => ({ itemId, amountMicros: openMicros - heldMicros }))
    const amountMicros = paid.reduce((sum, item) => sum + item.amountMicros, 0n)
    const { name, iban } = parties(party)
    if (iban === null) leftOut.push({ party, amountMicros, why: 'it has no iban (parties, in the configuration)' })
    else {
      const orderId = `PAY-${number}-${orders.length + 1}`
      orders.push({ orderId, party, name, iban, currency, amountMicros, items: paid })
    }
  }
  if (dryRun || orders.length === 0) return { runId: null, orders, leftOut }
  const runId = `RUN-${number}`
  await sql.query('insert into payment_run (run_id, currency, due_until, day, made_by) values ($1, $2, $3, $4, $5)', [
    runId,
    currency,
    until,
    day,
    by
  ])
  const known = new Map(items.map(item => [item.itemId, item]))
  for (const order of orders) {
    const { orderId, party, name, iban, amountMicros } = order
    await sql.query(
      `insert into payment_order (order_id, run_id, party, name, iban, currency, amount_micros)
       values ($1, $2, $3, $4, $5, $6, $7)`,
      [orderId, runId, party, name, iban, currency, amountMicros]
    )
    const source = `order/${orderId}`
    await addAllocations(
      sql,
      order.items.map(item => ({ ...item, source, day })),
      by
    )
    await postTransfers(
      sql,
      order.items.flatMap(({ itemId, amountMicros }, n) => {
        const item = known.get(itemId)
        const posting = { entryId: `${source}/${n + 1}`, amountMicros, currency, day, counter: underWay }
        return item === undefined ? [] : debtPostings(item, posting, false)
      })
    )
  }
  return { runId, orders, leftOut }
}

/** For the bank: one line an order. */
export const runCsv = ({ orders }: PaymentRun): string =>
  stringify([
    ['reference', 'payee', 'iban', 'amount', 'currency'],
    ...orders.map(({ orderId, name, iban, amountMicros, currency }) => [
      orderId,
      name,
      iban,
      printMoney(amountMicros, currency),
      currency
    ])
  ])

/** An order that the bank will not carry out: what it paid is open again. Throws HUB_CONFIG. */
export async function cancelOrder(
  sql: Sql,
  asked: { readonly orderId: string; readonly reason: string; readonly day: string; readonly by: string }
): Promise<void> {
  const { orderId, reason, day, by } = asked
  await lockMoney(sql)
  if (reason.trim() === '') throw new HubError('HUB_CONFIG', 'a cancellation needs a reason')
  const { rows } = await sql.query<{ outcome: string | null }>(
    'select e.outcome from payment_order o left join payment_order_end e using (order_id) where order_id = $1',
    [orderId]
  )
  const found = rows[0]
  if (found === undefined) throw new HubError('HUB_CONFIG', `there is no payment order ${orderId}`)
  if (found.outcome !== null) throw new HubError('HUB_CONFIG', `the order ${orderId} is ${found.outcome} already`)
  await sql.query(
    `insert into payment_order_end (order_id, outcome, reason, day, made_by) values ($1, 'cancelled', $2, $3, $4)`,
    [orderId, reason, day, by]
  )
  await takeBackAllocations(sql, `order/${orderId}`, day, by)
  await reverseEntries(sql, `order/${orderId}/`, day)
}
