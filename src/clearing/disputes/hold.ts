// What a dispute holds out of what is due: of an invoice, or of what is not billed yet until there is one (SET-04).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { unbilledOf } from '../money-in/accounts.ts'
import { toMinor } from '../money-in/currency.ts'
import { documentOfStatement, readDocument } from '../money-in/document.ts'
import type { Document } from '../money-in/document.ts'
import { holdItem, lockMoney, readOpenItems } from '../money-in/open-items.ts'
import { taxOn } from '../money-in/tax.ts'
import type { Posting } from '../settlement/model.ts'
import { statementIdOf } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import type { Dispute } from './read.ts'

export interface Moved {
  readonly day: string
  readonly by: string
}

/** The invoice that a dispute is about, also one that was issued since; null: there is none yet. */
export async function invoiceOf(
  sql: Sql,
  { invoiceId, agreementId, period }: Pick<Dispute, 'invoiceId' | 'agreementId' | 'period'>
): Promise<Document | null> {
  if (invoiceId !== null) return readDocument(sql, invoiceId)
  const document = await documentOfStatement(sql, statementIdOf(agreementId, period))
  return document?.kind === 'invoice' ? document : null
}

interface Held {
  readonly invoiceId: string | null
  readonly amountMicros: bigint
}

async function heldNow(sql: Sql, id: bigint): Promise<readonly Held[]> {
  const { rows } = await sql.query<Held>(
    `select invoice_id as "invoiceId", sum(amount_micros)::bigint as "amountMicros" from dispute_hold
     where dispute_id = $1 group by invoice_id having sum(amount_micros) <> 0 order by invoice_id nulls first`,
    [id]
  )
  return rows
}

/**
 * Holds what the dispute is about, where it is due now: what was held before it was billed moves to the invoice. Of an
 * invoice that is paid in part no more is held than is open. Returns what is held.
 */
export async function hold(sql: Sql, dispute: Dispute, moved: Moved): Promise<bigint> {
  await lockMoney(sql)
  const invoice = await invoiceOf(sql, dispute)
  const held = await heldNow(sql, dispute.id)
  const here = held.find(({ invoiceId }) => invoiceId === (invoice?.invoiceId ?? null))
  if (here !== undefined) return here.amountMicros
  await release(sql, dispute, moved)
  const amountMicros = await holdable(sql, dispute, invoice)
  if (amountMicros > 0n) await move(sql, dispute, invoice?.invoiceId ?? null, amountMicros, moved)
  return amountMicros
}

/** Lets everything go that the dispute holds. */
export async function release(sql: Sql, dispute: Dispute, moved: Moved): Promise<void> {
  await lockMoney(sql)
  for (const { invoiceId, amountMicros } of await heldNow(sql, dispute.id)) {
    await move(sql, dispute, invoiceId, -amountMicros, moved)
  }
}

async function holdable(sql: Sql, dispute: Dispute, invoice: Document | null): Promise<bigint> {
  const { amountMicros, side } = dispute
  // Between two providers nothing is due to the hub, and there is nothing to hold before there is an invoice.
  if (invoice === null) return side === 'bilateral' ? 0n : unbilledUpTo(sql, dispute)
  requireCurrency(dispute, invoice)
  const [item] = await readOpenItems(sql, { itemId: invoice.invoiceId })
  if (item === undefined) return 0n
  const net = toMinor(amountMicros, invoice.currency)
  const gross = net + taxOn(net, invoice.tax, invoice.currency)
  const free = item.openMicros - item.heldMicros
  return gross < free ? gross : free
}

/** An invoice may have been issued in another currency since. Throws HUB_CONFIG. */
export function requireCurrency({ id, currency }: Dispute, invoice: Document): void {
  if (currency === invoice.currency) return
  const why = `dispute ${id} is in ${currency}, invoice ${invoice.invoiceId} in ${invoice.currency}`
  throw new HubError('HUB_CONFIG', `${why}: withdraw it and open it anew`)
}

/** What stands unbilled, at most: who pays in advance has nothing there. */
async function unbilledUpTo(sql: Sql, { side, party, currency, amountMicros }: Dispute): Promise<bigint> {
  const sold = side === 'sell'
  const { rows } = await sql.query<{ owed: string }>(
    `select (debit_micros - credit_micros)::text as owed from balance where account = $1 and currency = $2`,
    [unbilledOf(sold ? 'sell' : 'buy', party), currency]
  )
  const balance = BigInt(rows[0]?.owed ?? 0)
  const owed = sold ? balance : -balance
  return owed <= 0n ? 0n : owed < amountMicros ? owed : amountMicros
}

/** Above zero: held; below: let go. */
async function move(
  sql: Sql,
  dispute: Dispute,
  invoiceId: string | null,
  amountMicros: bigint,
  { day, by }: Moved
): Promise<void> {
  const { rows } = await sql.query<{ n: number }>(
    'select count(*)::int + 1 as n from dispute_hold where dispute_id = $1',
    [dispute.id]
  )
  const n = rows[0]?.n ?? 1
  await sql.query(
    `insert into dispute_hold (dispute_id, n, invoice_id, amount_micros, on_day, made_by)
     values ($1, $2, $3, $4, $5, $6)`,
    [dispute.id, n, invoiceId, amountMicros, day, by]
  )
  if (invoiceId !== null) {
    await holdItem(sql, { itemId: invoiceId, disputeId: String(dispute.id), amountMicros, day, by })
    return
  }
  await postTransfers(sql, [unbilledPosting(dispute, n, amountMicros, day)])
}

/** Unbilled to Disputed and back, on the hub's account with the party. */
function unbilledPosting(
  { id, side, party, currency }: Dispute,
  n: number,
  amountMicros: bigint,
  day: string
): Posting {
  const sold = side === 'sell'
  const unbilled = unbilledOf(sold ? 'sell' : 'buy', party)
  const disputed = sold ? `disputed-unbilled-receivable/${party}` : `disputed-unbilled-payable/${party}`
  const [debit, credit] = sold === amountMicros > 0n ? [disputed, unbilled] : [unbilled, disputed]
  const amount = amountMicros < 0n ? -amountMicros : amountMicros
  return { entryId: `dispute/${id}/unbilled/${n}`, debit, credit, amountMicros: amount, currency, day }
}

/** Whose account with the hub an agreement is about. */
export const partyOf = ({ buyer, seller }: { readonly buyer: string; readonly seller: string }): string =>
  seller === hub ? buyer : seller
