// Credit notes: an invoice never changes, what is taken back of it is a document of its own that names it (SET-04).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { accountOf, cost, interestIncome, revenue, taxInput, taxOutput } from './accounts.ts'
import { printMoney, toMinor } from './currency.ts'
import { isDay } from './days.ts'
import { insertDocument, readDocument } from './document.ts'
import type { Document, SeriesPlace } from './document.ts'
import { takeNumber } from './numbering.ts'
import { addAllocations, debtPostings, lockMoney, readOpenItems } from './open-items.ts'
import { taxOn } from './tax.ts'

export interface CreditAsked {
  /** The invoice that it takes back a part of. */
  readonly invoiceId: string
  /** Before tax; rounded half up to the currency's minor unit. */
  readonly netMicros: bigint
  /** As the note says it: a dispute, a wrong rate. */
  readonly reason: string
  /** Of the note, such as `2026-12-20`. */
  readonly day: string
  readonly by: string
  /** Of an invoice that was received: the number of the seller's own credit note. */
  readonly number?: string
}

/**
 * Takes back a part of an invoice, with its tax. What is still open of the invoice gets less; what was paid already the
 * seller now owes. What a dispute holds of it has to be released before. `sql` is a transaction.
 * Throws HUB_CONFIG where there is no such invoice, or less of it is left than is to be credited.
 */
export async function issueCreditNote(sql: Sql, asked: CreditAsked): Promise<Document> {
  const { invoiceId, reason, day, by } = asked
  await lockMoney(sql)
  const invoice = await readDocument(sql, invoiceId)
  if (invoice === null || invoice.kind !== 'invoice') throw wrong(`there is no invoice ${invoiceId}`)
  if (!isDay(day) || day < invoice.issuedOn) throw wrong(`${day} is not on or after ${invoice.issuedOn}`)
  if (reason.trim() === '') throw wrong('a credit note needs a reason')
  const { currency, seller, buyer } = invoice
  const netMicros = toMinor(asked.netMicros, currency)
  const before = await creditedBefore(sql, invoice)
  const left = invoice.netMicros - before.netMicros
  if (netMicros <= 0n || netMicros > left) {
    const [most, wanted] = [printMoney(left, currency), printMoney(netMicros, currency)]
    throw wrong(`${wanted} ${currency} of ${invoiceId} cannot be credited; ${most} is left of it`)
  }
  const taxMicros = taxAt(left, invoice) - taxAt(left - netMicros, invoice)
  const grossMicros = netMicros + taxMicros
  const effective = bookedOf(left, left - netMicros, before, invoice)
  const open = (await readOpenItems(sql, { itemId: invoiceId }))[0]
  const due = open === undefined ? 0n : open.openMicros - open.heldMicros
  const total = effective.netMicros + effective.taxMicros
  const allocated = total < due ? total : due
  const { number, place } = await numberOf(sql, asked, invoice)
  const note: Document = {
    ...invoice,
    invoiceId: place === null ? `${seller}:${number}` : number,
    kind: 'credit-note',
    number,
    statementId: invoice.statementId,
    credits: invoiceId,
    issuedOn: day,
    dueOn: day,
    netMicros,
    taxMicros,
    grossMicros,
    debtor: seller,
    creditor: buyer,
    owedMicros: total - allocated,
    fx: null,
    reason,
    issuedBy: by
  }
  const line = { line: 1, kind: 'credit', ofPeriod: invoice.period, destination: null, units: '0', unit: 'none' }
  await insertDocument(sql, note, place, [{ ...line, netMicros }])
  const source = `credit-note/${note.invoiceId}`
  if (allocated > 0n) await addAllocations(sql, [{ itemId: invoiceId, amountMicros: allocated, source, day }], by)
  await postTransfers(sql, creditPostings(invoice, note, effective))
  return note
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

export interface Sums {
  readonly netMicros: bigint
  readonly taxMicros: bigint
}

/** What became of an invoice since it was written. */
export interface Credited {
  /** Taken back by credit notes, before tax. */
  readonly netMicros: bigint
  /** What stands of it in the book where nothing was taken back: of one that was received what was accepted. */
  readonly accepted: Sums
}

export async function creditedBefore(sql: Sql, invoice: Document): Promise<Credited> {
  const { rows } = await sql.query<{ net: bigint; accepted: bigint | null; more: bigint; more_tax: bigint }>(
    `select (select coalesce(sum(net_micros), 0)::bigint from invoice where credits = $1) as net,
       (select accepted_micros from invoice_match where invoice_id = $1) as accepted,
       coalesce(sum(net_micros), 0)::bigint as more, coalesce(sum(tax_micros), 0)::bigint as more_tax
     from invoice_acceptance where invoice_id = $1`,
    [invoice.invoiceId]
  )
  const { net = 0n, accepted = null, more = 0n, more_tax: moreTax = 0n } = rows[0] ?? {}
  const first = accepted ?? invoice.netMicros
  return { netMicros: net, accepted: { netMicros: first + more, taxMicros: invoice.owedMicros - first + moreTax } }
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** The tax on so much of an invoice; on all of it the invoice's own. */
export const taxAt = (netMicros: bigint, { netMicros: all, taxMicros, tax, currency }: Document): bigint =>
  netMicros === all ? taxMicros : least(taxMicros, taxOn(netMicros, tax, currency))

/** By how much what stands in the book gets less: of an invoice that was received only what was accepted does. */
function bookedOf(from: bigint, to: bigint, { accepted }: Credited, invoice: Document): Sums {
  const booked = { ...invoice, ...accepted }
  const [before, after] = [least(from, accepted.netMicros), least(to, accepted.netMicros)]
  return { netMicros: before - after, taxMicros: taxAt(before, booked) - taxAt(after, booked) }
}

async function numberOf(
  sql: Sql,
  { number, day }: CreditAsked,
  { origin, seller, invoiceId }: Document
): Promise<{ readonly number: string; readonly place: SeriesPlace | null }> {
  if (origin === 'issued') {
    const taken = await takeNumber(sql, { kind: 'credit-note', seller, day })
    return { number: taken.number, place: { year: taken.year, sequence: taken.sequence } }
  }
  if (number === undefined || number.trim() === '') {
    throw wrong(`${invoiceId} is of ${seller}: its credit note has a number of ${seller}, which is missing`)
  }
  const { count } = await sql.query(
    "select from invoice where seller = $1 and number = $2 and kind = 'credit-note' and origin = 'received'",
    [seller, number]
  )
  if (count > 0) throw wrong(`the credit note ${number} of ${seller} is known already`)
  return { number, place: null }
}

function creditPostings(invoice: Document, note: Document, effective: Sums) {
  const { seller, buyer, currency } = invoice
  const day = note.issuedOn
  const entry = (part: string): string => `credit-note/${note.invoiceId}/${part}`
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] =>
    debtPostings(invoice, { entryId: entry(name), amountMicros, currency, day, counter }, false)
  const sold = seller === hub
  const party = sold ? buyer : seller
  // What the hub bills without a statement is interest.
  const earned = invoice.statementId === null ? interestIncome : revenue
  const postings = [
    ...part('net', effective.netMicros, sold ? earned(party) : cost(party)),
    ...part('tax', effective.taxMicros, sold ? taxOutput : taxInput)
  ]
  const [from, to] = [accountOf(invoice), accountOf(note)]
  if (from === null || to === null || note.owedMicros === 0n) return postings
  // It was paid already: what the other side gets back is a debt of its own.
  const [debit, credit] = sold ? [from, to] : [to, from]
  return [...postings, { entryId: entry('owed'), debit, credit, amountMicros: note.owedMicros, currency, day }]
}
