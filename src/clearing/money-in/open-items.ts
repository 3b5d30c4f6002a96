// What is still owed: read, set off, held out while disputed (SET-04), in the transaction of whoever does it.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { accountOf, bilateralDue, disputedAccountOf } from './accounts.ts'
import type { Debt } from './accounts.ts'
import type { OpenItem } from './aging.ts'
import type { Allocation } from './apply.ts'

/** Any number that stays the same. Whoever moves money of invoices holds it: nothing is paid or netted twice. */
const moneyLock = 4_970_132_211n

/** To be taken first by a transaction that issues, applies, nets or holds out. */
export const lockMoney = async (sql: Sql): Promise<void> => {
  await sql.query('select pg_advisory_xact_lock($1)', [moneyLock])
}

export const limits = {
  /** Open items that are looked at together. */
  itemsMax: 100_000
} as const

interface Row {
  readonly item_id: string
  readonly kind: OpenItem['kind']
  readonly debtor: string
  readonly creditor: string
  readonly agreement_id: string | null
  readonly currency: string
  readonly issued_on: string
  readonly due_on: string
  readonly open_micros: bigint
  readonly held_micros: bigint
}

export interface OpenAsked {
  readonly itemId?: string
  readonly party?: string
  readonly debtor?: string
  readonly creditor?: string
  readonly currency?: string
}

/** Oldest due first. Throws HUB_LIMIT above `itemsMax`. */
export async function readOpenItems(
  sql: Sql,
  { itemId, party, debtor, creditor, currency }: OpenAsked = {}
): Promise<readonly OpenItem[]> {
  const { rows } = await sql.query<Row>(
    `select item_id, kind, debtor, creditor, agreement_id, currency, issued_on::text as issued_on,
       due_on::text as due_on, open_micros, held_micros
     from open_item
     where ($1::text is null or item_id = $1) and ($2::text is null or debtor = $2 or creditor = $2)
       and ($3::text is null or debtor = $3) and ($4::text is null or creditor = $4)
       and ($5::text is null or currency = $5)
     order by open_item.due_on, open_item.issued_on, item_id limit $6`,
    [itemId ?? null, party ?? null, debtor ?? null, creditor ?? null, currency ?? null, limits.itemsMax + 1]
  )
  if (rows.length > limits.itemsMax) throw new HubError('HUB_LIMIT', `more than ${limits.itemsMax} open items`)
  return rows.map(row => ({
    itemId: row.item_id,
    kind: row.kind,
    debtor: row.debtor,
    creditor: row.creditor,
    agreementId: row.agreement_id,
    currency: row.currency,
    issuedOn: row.issued_on,
    dueOn: row.due_on,
    openMicros: row.open_micros,
    heldMicros: row.held_micros
  }))
}

/** An allocation, and what made it: `payment/BANK-77`. */
export interface SourcedAllocation extends Allocation {
  readonly source: string
  readonly day: string
}

/** Sets amounts off against items; below zero takes back. The postings are the caller's. */
export async function addAllocations(sql: Sql, allocations: readonly SourcedAllocation[], by: string): Promise<void> {
  if (allocations.length === 0) return
  await sql.query(
    `insert into allocation (item_id, source, amount_micros, day, made_by)
     select "itemId", source, "amountMicros", day, $2
     from json_to_recordset($1::json) as a("itemId" text, source text, "amountMicros" bigint, day date)`,
    [exactJson(allocations), by]
  )
}

/** For json_to_recordset: integers of any size go as text. */
export const exactJson = (values: readonly object[]): string =>
  JSON.stringify(values, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))

/**
 * The postings by which a debt grows (`arises`), set against `counter` on the hub's side of it; a debt past the hub
 * stands on both sides under its agreement and needs no counter.
 */
export function debtPostings(
  debt: Debt,
  { entryId, amountMicros, currency, day, counter }: Omit<Posting, 'debit' | 'credit'> & { readonly counter: string },
  arises: boolean
): readonly Posting[] {
  if (amountMicros === 0n) return []
  const account = accountOf(debt)
  const past = { debit: bilateralDue(debt, debt.debtor), credit: bilateralDue(debt, debt.creditor) }
  const owed =
    debt.creditor === hub ? { debit: account ?? '', credit: counter } : { debit: counter, credit: account ?? '' }
  const pair = account === null ? past : owed
  const grows = amountMicros > 0n === arises
  const { debit, credit } = grows ? pair : { debit: pair.credit, credit: pair.debit }
  return [{ entryId, debit, credit, amountMicros: amountMicros < 0n ? -amountMicros : amountMicros, currency, day }]
}

export interface Hold {
  readonly itemId: string
  readonly disputeId: string
  /** Above zero: held out. Below zero: released. */
  readonly amountMicros: bigint
  readonly day: string
  readonly by: string
}

/**
 * Holds a disputed amount out of what is due, or lets go of it: Receivable or Payable to Disputed and back (SET-09).
 * What is held is neither paid, nor netted, nor late. `sql` is a transaction.
 * Throws HUB_CONFIG where the item is not open by so much, or the dispute holds less than is released.
 */
export async function holdItem(sql: Sql, { itemId, disputeId, amountMicros, day, by }: Hold): Promise<void> {
  if (amountMicros === 0n) return
  await lockMoney(sql)
  const [item] = await readOpenItems(sql, { itemId })
  if (item === undefined) throw new HubError('HUB_CONFIG', `nothing is open of ${itemId}`)
  const { rows } = await sql.query<{ held: bigint; steps: number }>(
    `select coalesce(sum(amount_micros), 0)::bigint as held, count(*)::int as steps
     from item_hold where item_id = $1 and dispute_id = $2`,
    [itemId, disputeId]
  )
  const { held, steps } = rows[0] ?? { held: 0n, steps: 0 }
  if (amountMicros > item.openMicros - item.heldMicros || held + amountMicros < 0n) {
    throw new HubError(
      'HUB_CONFIG',
      `${itemId} is not open by so much that dispute ${disputeId} could hold or release it`
    )
  }
  await sql.query(
    'insert into item_hold (item_id, dispute_id, amount_micros, day, made_by) values ($1, $2, $3, $4, $5)',
    [itemId, disputeId, amountMicros, day, by]
  )
  await postTransfers(sql, holdPostings(item, `dispute/${disputeId}/${itemId}/${steps + 1}`, amountMicros, day))
}

function holdPostings(item: OpenItem, entry: string, amountMicros: bigint, day: string): readonly Posting[] {
  const [amount, back] = amountMicros < 0n ? [-amountMicros, true] : [amountMicros, false]
  const move = (entryId: string, debit: string, credit: string): Posting => ({
    entryId,
    debit: back ? credit : debit,
    credit: back ? debit : credit,
    amountMicros: amount,
    currency: item.currency,
    day
  })
  const { debtor, creditor } = item
  const account = accountOf(item)
  if (account === null) {
    return [
      move(`${entry}/debtor`, disputedAccountOf(item, debtor), bilateralDue(item, debtor)),
      move(`${entry}/creditor`, bilateralDue(item, creditor), disputedAccountOf(item, creditor))
    ]
  }
  const disputed = disputedAccountOf(item, debtor)
  return [creditor === hub ? move(entry, disputed, account) : move(entry, account, disputed)]
}
