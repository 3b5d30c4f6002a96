// Money that arrived or went out (COM-06): lines of the bank become payments, each once; what they pay is set off, and
// what nobody can place waits in suspense with its reason. Nothing is lost.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { Problems } from '../decks/sheet.ts'
import type { Posting } from '../settlement/model.ts'
import { limits as postLimits, postTransfers } from '../settlement/post.ts'
import { bank, paymentSuspense, unapplied, underWay } from './accounts.ts'
import { applyIncoming, createPayerOf, names, OpenBook } from './apply.ts'
import type { BankLine, Payer, PayerOf, PaymentSuspense } from './apply.ts'
import { contentOf } from './bank-file.ts'
import { addAllocations, debtPostings, exactJson, lockMoney, readOpenItems } from './open-items.ts'
import type { SourcedAllocation } from './open-items.ts'
import { reversePayment } from './reversal.ts'

/** What becomes of money that a party with a prepaid agreement sent and that pays no invoice. */
export interface TopUp {
  readonly agreementId: string
  readonly party: string
  readonly currency: string
}

/** Credits a prepaid account, with its postings: Dr `debit`, Cr the liability. The reference counts once. */
export type CreditTopUp = (
  sql: Sql,
  asked: {
    readonly agreementId: string
    readonly amountMicros: bigint
    readonly reference: string
    readonly day: string
    readonly by: string
  }
) => Promise<void>

export interface ImportAsked {
  readonly fileName: string
  readonly by: string
  readonly payers: readonly Payer[]
  /** The prepaid agreements of the hub's buyers. */
  readonly prepaid: readonly TopUp[]
  readonly topUp: CreditTopUp
  readonly progress?: (done: number, of: number) => void
}

export interface Imported {
  readonly added: number
  /** Were here already, unchanged. */
  readonly repeated: number
  readonly paid: readonly { readonly paymentId: string; readonly itemId: string; readonly amountMicros: bigint }[]
  /** Payment orders that the bank has carried out. */
  readonly carriedOut: readonly string[]
  /** Payments that went back. */
  readonly returned: readonly string[]
  readonly topUps: readonly {
    readonly paymentId: string
    readonly agreementId: string
    readonly amountMicros: bigint
  }[]
  readonly rests: readonly Rest[]
}

/** Money that pays nothing yet. */
export interface Rest {
  readonly paymentId: string
  /** Null: in suspense. */
  readonly party: string | null
  readonly reason: PaymentSuspense | 'nothing-open'
  readonly detail: string
  readonly amountMicros: bigint
  readonly currency: string
}

/** Gathered line by line, written together. */
class Outcome {
  readonly allocations: SourcedAllocation[] = []
  readonly postings: Posting[] = []
  readonly rests: (Rest & { readonly day: string })[] = []
  readonly topUps: { paymentId: string; agreementId: string; amountMicros: bigint; day: string }[] = []
  readonly orders: { orderId: string; paymentId: string; day: string }[] = []
}

/**
 * Takes the lines of a file. `sql` is a transaction: all of them or none. Throws HUB_CONFIG, with the line, where a
 * reference came before with another content.
 */
export async function importPayments(sql: Sql, lines: readonly BankLine[], asked: ImportAsked): Promise<Imported> {
  const { fileName, by, progress = () => undefined } = asked
  await lockMoney(sql)
  const fresh = await unknownOf(sql, lines, fileName)
  await insertPayments(sql, fresh, asked)
  const open = new OpenBook(await readOpenItems(sql, { creditor: hub }))
  const payerOf = createPayerOf(asked.payers)
  const outcome = new Outcome()
  let done = 0
  const [arrived, left] = [fresh.filter(isIncoming), fresh.filter(line => !isIncoming(line))]
  for (const line of arrived) {
    incoming(line, open, payerOf, asked.prepaid, outcome)
    progress((done += 1), fresh.length)
  }
  await write(sql, outcome, asked)
  // Afterwards: one of them may give back what arrived by the same file.
  const going = new Outcome()
  const orders = await readOrders(sql)
  const returned: string[] = []
  for (const line of left) {
    const back = await outgoing(sql, line, orders, going, by)
    if (back !== null) returned.push(back)
    progress((done += 1), fresh.length)
  }
  await write(sql, going, asked)
  const paid = outcome.allocations.map(({ itemId, source, amountMicros }) => ({
    paymentId: source.slice('payment/'.length),
    itemId,
    amountMicros
  }))
  return {
    added: fresh.length,
    repeated: lines.length - fresh.length,
    paid,
    carriedOut: going.orders.map(({ orderId }) => orderId),
    returned,
    topUps: outcome.topUps.map(({ day: _day, ...topUp }) => topUp),
    rests: [...outcome.rests, ...going.rests].map(({ day: _day, ...rest }) => rest)
  }
}

const isIncoming = ({ amountMicros }: BankLine): boolean => amountMicros > 0n

async function write(sql: Sql, outcome: Outcome, { by, topUp }: ImportAsked): Promise<void> {
  await addAllocations(sql, outcome.allocations, by)
  await addRests(sql, outcome.rests, by)
  await endOrders(sql, outcome.orders, by)
  for (let at = 0; at < outcome.postings.length; at += postLimits.postingsMax) {
    await postTransfers(sql, outcome.postings.slice(at, at + postLimits.postingsMax))
  }
  for (const asked of outcome.topUps) await addTopUp(sql, topUp, { ...asked, by })
}

async function unknownOf(sql: Sql, lines: readonly BankLine[], fileName: string): Promise<readonly BankLine[]> {
  const { rows } = await sql.query<{ payment_id: string; content_hash: string }>(
    `select payment_id, content_hash from payment
     where payment_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(lines.map(({ reference }) => reference))]
  )
  const known = new Map(rows.map(row => [row.payment_id, row.content_hash]))
  const problems = new Problems()
  for (const line of lines) {
    const hash = known.get(line.reference)
    if (hash !== undefined && hash !== contentOf(line)) {
      problems.add(line.line, `reference: ${line.reference} was imported before with another content`)
    }
  }
  problems.check(fileName)
  return lines.filter(({ reference }) => !known.has(reference))
}

async function insertPayments(sql: Sql, lines: readonly BankLine[], { fileName, by }: ImportAsked): Promise<void> {
  const rows = lines.map(line => ({
    payment_id: line.reference,
    direction: line.amountMicros > 0n ? 'in' : 'out',
    booked_on: line.bookedOn,
    currency: line.currency,
    amount_micros: line.amountMicros > 0n ? line.amountMicros : -line.amountMicros,
    payer: line.payer,
    iban: line.iban,
    purpose: line.purpose,
    content_hash: contentOf(line),
    line: line.line
  }))
  await sql.query(
    `insert into payment (payment_id, direction, booked_on, currency, amount_micros, payer, iban, purpose, content_hash,
       line, file_name, imported_by)
     select p.*, $2, $3 from json_to_recordset($1::json) as p(payment_id text, direction text, booked_on date,
       currency text, amount_micros bigint, payer text, iban text, purpose text, content_hash text, line int)`,
    [exactJson(rows), fileName, by]
  )
}

function incoming(line: BankLine, open: OpenBook, payerOf: PayerOf, prepaid: readonly TopUp[], outcome: Outcome): void {
  const applied = applyIncoming(line, open, payerOf)
  const { reference: paymentId, currency, bookedOn: day, amountMicros } = line
  const entry = (part: string): string => `payment/${paymentId}/${part}`
  if (applied.outcome === 'suspense') {
    const { reason, detail } = applied
    outcome.rests.push({ paymentId, party: null, reason, detail, amountMicros, currency, day })
    const posting = { debit: bank, credit: paymentSuspense, amountMicros, currency, day }
    outcome.postings.push({ entryId: entry('suspense'), ...posting })
    return
  }
  for (const [n, { item, amountMicros }] of applied.paid.entries()) {
    outcome.allocations.push({ itemId: item.itemId, amountMicros, source: `payment/${paymentId}`, day })
    const posting = { entryId: entry(String(n + 1)), amountMicros, currency, day, counter: bank }
    outcome.postings.push(...debtPostings(item, posting, false))
  }
  if (applied.unappliedMicros > 0n) restOf(line, applied.party, applied.unappliedMicros, prepaid, outcome)
}

/** Of a party that pays in advance by one agreement it is a top-up; else it stays on the party's account. */
function restOf(
  { reference: paymentId, currency, bookedOn: day, purpose }: BankLine,
  party: string,
  amountMicros: bigint,
  prepaid: readonly TopUp[],
  outcome: Outcome
): void {
  const own = prepaid.filter(known => known.party === party && known.currency === currency)
  const named = own.filter(({ agreementId }) => names(purpose, agreementId))
  const [chosen] = own.length === 1 ? own : named.length === 1 ? named : []
  if (chosen !== undefined) {
    outcome.topUps.push({ paymentId, agreementId: chosen.agreementId, amountMicros, day })
    return
  }
  const detail = `nothing more is open of ${party} in ${currency}`
  outcome.rests.push({ paymentId, party, reason: 'nothing-open', detail, amountMicros, currency, day })
  const entryId = `payment/${paymentId}/unapplied`
  outcome.postings.push({ entryId, debit: bank, credit: unapplied(party), amountMicros, currency, day })
}

interface Order {
  readonly orderId: string
  readonly currency: string
  readonly amountMicros: bigint
}

/** What the bank was told to pay and has not yet shown. */
async function readOrders(sql: Sql): Promise<Order[]> {
  const { rows } = await sql.query<{ order_id: string; currency: string; amount_micros: bigint }>(
    `select order_id, currency, amount_micros from payment_order o
     where not exists (select from payment_order_end e where e.order_id = o.order_id) order by order_id`
  )
  return rows.map(row => ({ orderId: row.order_id, currency: row.currency, amountMicros: row.amount_micros }))
}

/** An order that was carried out, a payment that went back (its name), or money that left and nobody knows why. */
async function outgoing(
  sql: Sql,
  line: BankLine,
  orders: Order[],
  outcome: Outcome,
  by: string
): Promise<string | null> {
  const { reference: paymentId, currency, bookedOn: day, purpose } = line
  const amountMicros = -line.amountMicros
  const amount = { amountMicros, currency, day }
  const order = orders.find(
    known => names(purpose, known.orderId) && known.currency === currency && known.amountMicros === amountMicros
  )
  if (order !== undefined) {
    orders.splice(orders.indexOf(order), 1)
    outcome.orders.push({ orderId: order.orderId, paymentId, day })
    outcome.postings.push({ entryId: `payment/${paymentId}/order`, debit: underWay, credit: bank, ...amount })
    return null
  }
  const returned = await returnedBy(sql, line, amountMicros)
  if (returned !== null) {
    await reversePayment(sql, { paymentId: returned, reason: `returned by the bank: ${paymentId}`, day, by })
    return returned
  }
  const detail = 'it names no payment order of this amount, and no payment that it gives back'
  outcome.rests.push({
    paymentId,
    party: null,
    reason: 'unknown-outgoing',
    detail,
    ...amount,
    amountMicros: -amountMicros
  })
  outcome.postings.push({ entryId: `payment/${paymentId}/suspense`, debit: paymentSuspense, credit: bank, ...amount })
  return null
}

/** The earlier payment of this amount that a line names by its reference. */
async function returnedBy(sql: Sql, { purpose, currency }: BankLine, amountMicros: bigint): Promise<string | null> {
  const { rows } = await sql.query<{ payment_id: string }>(
    `select payment_id from payment p
     where direction = 'in' and currency = $1 and amount_micros = $2 and strpos($3, payment_id) > 0
       and not exists (select from payment_reversal r where r.payment_id = p.payment_id)
       and (exists (select from allocation a where a.source = 'payment/' || p.payment_id)
         or exists (select from payment_rest q where q.payment_id = p.payment_id))
     order by length(payment_id) desc, payment_id limit 100`,
    [currency, amountMicros, purpose]
  )
  return rows.find(({ payment_id }) => names(purpose, payment_id))?.payment_id ?? null
}

export type DatedRest = Rest & { readonly day: string }

export async function addRests(sql: Sql, rests: readonly DatedRest[], by: string): Promise<void> {
  if (rests.length === 0) return
  await sql.query(
    `insert into payment_rest (payment_id, party, reason, detail, amount_micros, day, made_by)
     select "paymentId", party, reason, detail, "amountMicros", day, $2 from json_to_recordset($1::json)
       as r("paymentId" text, party text, reason text, detail text, "amountMicros" bigint, day date)`,
    [exactJson(rests), by]
  )
}

async function endOrders(sql: Sql, orders: Outcome['orders'], by: string): Promise<void> {
  if (orders.length === 0) return
  await sql.query(
    `insert into payment_order_end (order_id, outcome, payment_id, day, made_by)
     select "orderId", 'paid', "paymentId", day, $2
     from json_to_recordset($1::json) as o("orderId" text, "paymentId" text, day date)`,
    [JSON.stringify(orders), by]
  )
}

async function addTopUp(
  sql: Sql,
  topUp: CreditTopUp,
  asked: { paymentId: string; agreementId: string; amountMicros: bigint; day: string; by: string }
): Promise<void> {
  const { paymentId, agreementId, amountMicros, day, by } = asked
  await sql.query('insert into payment_top_up (payment_id, agreement_id, amount_micros) values ($1, $2, $3)', [
    paymentId,
    agreementId,
    amountMicros
  ])
  try {
    await topUp(sql, { agreementId, amountMicros, reference: `payment/${paymentId}`, day, by })
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    throw new HubError(error.code, `payment ${paymentId} as a top-up of ${agreementId}: ${error.message}`, {
      cause: error
    })
  }
}
