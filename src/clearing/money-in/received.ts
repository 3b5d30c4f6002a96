// The invoices of those who sell to the hub (COM-06): read, held against our own statement of the period, and booked as
// far as they are accepted. Each number counts once.

import { HubError } from '../../errors.ts'
import type { AgreementConfig } from '../../config.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { readCsv } from '../decks/read-csv.ts'
import { Problems } from '../decks/sheet.ts'
import { parseAmount, parseRate } from '../money.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { bilateralUnbilled, cost, roundingDifference, taxInput, unbilledOf } from './accounts.ts'
import { minorStep, printMoney, toMinor } from './currency.ts'
import { addDays, isDay } from './days.ts'
import { documentOfStatement, insertDocument } from './document.ts'
import type { Document, DocumentLine } from './document.ts'
import { taxTermsOf, writerOf } from './invoice.ts'
import { matchInvoice } from './match.ts'
import type { Claim, Match, MatchOutcome } from './match.ts'
import { debtPostings, exactJson, lockMoney } from './open-items.ts'
import type { PartyBook } from './parties.ts'
import { readBilled, readBilledLines } from './statement-read.ts'
import type { BilledStatement } from './statement-read.ts'
import { readTable } from './table.ts'
import { taxOn } from './tax.ts'

const columns = ['destination', 'units', 'amount'] as const

export const limits = {
  /** Lines of one file. */
  rowsMax: 100_000,
  fileBytesMax: 16 * 1024 * 1024,
  numberCharsMax: 80,
  /** Of one line, and of an invoice. */
  amountMicrosMax: 1_000_000_000_000_000_000n
} as const

/**
 * The lines of a partner's invoice: columns destination and amount, and units where it tells them. Throws HUB_CONFIG
 * with every problem and its line.
 */
export function readClaims(name: string, bytes: Buffer): readonly Claim[] {
  const table = readTable(name, readCsv(name, bytes, limits.rowsMax), columns, ['destination', 'amount'])
  const problems = new Problems()
  const claims = table.flatMap(({ line, cell }): readonly Claim[] => {
    const [destination, units, amount] = [cell('destination'), cell('units'), cell('amount')]
    if (destination === '') problems.add(line, 'destination: it is empty')
    else if (!/^([0-9]{1,18})?$/.test(units)) problems.add(line, `units: "${units.slice(0, 40)}" is no whole number`)
    else {
      try {
        const netMicros = parseAmount(amount)
        if (isTooLarge(netMicros)) throw new RangeError('it is too large')
        return [{ destination, units: units === '' ? null : BigInt(units), netMicros }]
      } catch (error) {
        problems.add(line, `amount: ${(error as RangeError).message}`)
      }
    }
    return []
  })
  if (table.length === 0) problems.add(null, 'it has no lines')
  problems.check(name)
  return claims
}

const isTooLarge = (micros: bigint): boolean => micros > limits.amountMicrosMax || -micros > limits.amountMicrosMax

export interface ReceiveAsked {
  readonly statementId: string
  readonly agreement: AgreementConfig
  readonly parties: PartyBook
  /** As the seller numbers it. */
  readonly number: string
  readonly issuedOn: string
  /** Before tax; null: the sum of the lines. */
  readonly netMicros: bigint | null
  readonly taxMicros: bigint
  /** Null: by the agreement's payment term. */
  readonly dueOn: string | null
  /** Empty: it has a sum only. */
  readonly claims: readonly Claim[]
  /** What is not accepted is disputed, not merely paid short. */
  readonly disputes: boolean
  readonly by: string
}

export interface Received {
  readonly document: Document
  readonly match: Match
  readonly outcome: MatchOutcome
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

/** Records and books an invoice. `sql` is a transaction. Throws HUB_CONFIG. */
export async function receiveInvoice(sql: Sql, asked: ReceiveAsked): Promise<Received> {
  const { statementId, agreement, claims } = asked
  await lockMoney(sql)
  const statement = await requireStatement(sql, asked)
  const { currency } = statement
  const netMicros =
    asked.netMicros ??
    toMinor(
      asked.claims.reduce((sum, claim) => sum + claim.netMicros, 0n),
      currency
    )
  requireFields(asked, netMicros, currency)
  const left = await leftOf(sql, statementId)
  const lines = await readBilledLines(sql, statementId)
  const ours = left === null ? claimsOf(lines, statement) : [{ destination: '', units: null, netMicros: left }]
  // Of the rest of a period only the sum is held against the sum.
  const sum = [{ destination: '', units: null, netMicros }]
  const theirs = left === null && claims.length > 0 ? claims : sum
  const { percent, floor, of } = agreement.tolerance
  const tolerance = { percentNanos: parseRate(percent), floorMicros: parseAmount(floor), of }
  const match = balanced(matchInvoice(ours, theirs, tolerance, currency), netMicros)
  const outcome = match.outcome === 'short-paid' && asked.disputes ? 'disputed' : match.outcome
  const document = receivedDocument(asked, statement, netMicros, match)
  const claimed = (claims.length > 0 ? claims : sum).map(({ destination, units, netMicros }, n) => ({
    line: n + 1,
    kind: 'claim',
    ofPeriod: statement.period,
    destination: destination === '' ? null : destination,
    units: (units ?? 0n).toString(),
    unit: units === null ? 'none' : 'unit',
    netMicros
  }))
  await insertDocument(sql, document, null, claimed)
  await insertMatch(sql, document.invoiceId, statementId, match, outcome)
  const stated = left ?? statement.netMicros
  await postTransfers(sql, receivePostings(document, stated, match))
  return { document, match, outcome }
}

/** As the seller wrote it; what it makes the hub owe is what was accepted, with the tax on that. */
function receivedDocument(asked: ReceiveAsked, statement: BilledStatement, netMicros: bigint, match: Match): Document {
  const { agreement, number, taxMicros, issuedOn, parties } = asked
  const { seller, buyer, currency } = statement
  const tax = taxTermsOf(agreement)
  const taxed = match.acceptedMicros === netMicros ? taxMicros : taxOn(match.acceptedMicros, tax, currency)
  return {
    invoiceId: `${seller}:${number}`,
    kind: 'invoice',
    origin: 'received',
    number,
    seller,
    buyer,
    agreementId: agreement.id,
    statementId: statement.statementId,
    credits: null,
    period: statement.period,
    periodFrom: statement.fromDay,
    periodTo: statement.lastDay,
    issuedOn,
    dueOn: asked.dueOn ?? addDays(issuedOn, agreement.paymentDays),
    currency,
    netMicros,
    taxMicros,
    grossMicros: netMicros + taxMicros,
    debtor: buyer,
    creditor: seller,
    owedMicros: match.acceptedMicros + (taxed < taxMicros ? taxed : taxMicros),
    tax,
    sellerParty: parties(seller),
    buyerParty: parties(buyer),
    selfBilled: false,
    fx: null,
    reason: null,
    issuedBy: asked.by
  }
}

async function requireStatement(sql: Sql, { statementId, agreement, number }: ReceiveAsked): Promise<BilledStatement> {
  if (writerOf(agreement) !== 'seller') {
    throw wrong(`the invoices of agreement ${agreement.id} are written by the hub (invoicing.by)`)
  }
  const statement = await readBilled(sql, statementId)
  if (statement === null) throw wrong(`there is no closed statement ${statementId} to match it with`)
  const known = await documentOfStatement(sql, statementId)
  if (known !== null && (known.origin === 'issued' || (await leftOf(sql, statementId)) === 0n)) {
    throw wrong(`${statementId} is invoiced by ${known.invoiceId} already`)
  }
  const { count } = await sql.query(
    "select from invoice where seller = $1 and number = $2 and kind = 'invoice' and origin = 'received'",
    [statement.seller, number]
  )
  if (count > 0) throw wrong(`the invoice ${number} of ${statement.seller} is known already`)
  const { currency = statement.currency } = agreement.invoicing
  if (currency !== statement.currency) {
    throw wrong(`invoices of agreement ${agreement.id} are in ${currency}, its statement in ${statement.currency}`)
  }
  if (statement.netMicros < 0n) throw wrong(`${statementId} comes to less than nothing: ${statement.seller} owes it`)
  return statement
}

/** What the seller has left unbilled of a period so far; null: it has billed nothing yet. */
async function leftOf(sql: Sql, statementId: string): Promise<bigint | null> {
  const { rows } = await sql.query<{ left: bigint }>(
    `select greatest(0, m.left_micros - coalesce((select sum(c.net_micros) from invoice_acceptance c
       where c.invoice_id = m.invoice_id), 0))::bigint as left
     from invoice_match m join invoice i using (invoice_id)
     where m.statement_id = $1 order by i.made_at desc, m.left_micros limit 1`,
    [statementId]
  )
  return rows[0]?.left ?? null
}

function requireFields(asked: ReceiveAsked, netMicros: bigint, currency: string): void {
  const { number, issuedOn, dueOn, taxMicros, claims } = asked
  if (number.trim() === '' || number.length > limits.numberCharsMax)
    throw wrong(`an invoice needs a number, up to ${limits.numberCharsMax} characters`)
  if (!isDay(issuedOn)) throw wrong(`${issuedOn} is no day such as 2026-12-05`)
  if (dueOn !== null && (!isDay(dueOn) || dueOn < issuedOn)) throw wrong(`${dueOn} is no day on or after ${issuedOn}`)
  if (netMicros < 0n || taxMicros < 0n) throw wrong('an invoice below zero is a credit note')
  for (const amount of [netMicros, taxMicros]) {
    if (isTooLarge(amount)) throw wrong('an invoice over so much cannot be recorded')
    if (toMinor(amount, currency) !== amount) throw wrong(`an invoice in ${currency} has no such fractions`)
  }
  const expected = taxOn(netMicros, taxTermsOf(asked.agreement), currency)
  const lines = BigInt(claims.length === 0 ? 1 : claims.length)
  if (apartBy(expected, taxMicros) > lines * minorStep(currency)) {
    const [theirs, ours] = [printMoney(taxMicros, currency), printMoney(expected, currency)]
    throw wrong(`the invoice asks for a tax of ${theirs} ${currency}, by the agreement it is ${ours} (invoicing.tax)`)
  }
  if (claims.length === 0) return
  const sum = toMinor(
    claims.reduce((sum, claim) => sum + claim.netMicros, 0n),
    currency
  )
  // Lines may be rounded one by one.
  if (apartBy(sum, netMicros) > lines * minorStep(currency)) {
    throw wrong('the lines of the invoice do not make up its sum; nothing was recorded')
  }
}

const apartBy = (a: bigint, b: bigint): bigint => (a > b ? a - b : b - a)

const claimsOf = (lines: readonly DocumentLine[], { period }: BilledStatement): readonly Claim[] =>
  lines.map(({ kind, ofPeriod, destination, units, netMicros }) => ({
    destination: destination ?? (ofPeriod === period ? kind : `${kind} of ${ofPeriod ?? period}`),
    units: BigInt(units.split('.')[0] ?? '0'),
    netMicros
  }))

/** Their sum is what stands on the invoice, whatever its lines round to. */
function balanced(match: Match, netMicros: bigint): Match {
  if (match.theirMicros === netMicros) return match
  const acceptedMicros = match.within || match.acceptedMicros > netMicros ? netMicros : match.acceptedMicros
  return { ...match, theirMicros: netMicros, acceptedMicros, refusedMicros: netMicros - acceptedMicros }
}

async function insertMatch(
  sql: Sql,
  invoiceId: string,
  statementId: string,
  match: Match,
  outcome: MatchOutcome
): Promise<void> {
  const { ownMicros, theirMicros, percentMicros, within, acceptedMicros, refusedMicros, leftMicros } = match
  await sql.query(
    `insert into invoice_match (invoice_id, statement_id, own_micros, their_micros, percent_micros, within, outcome,
       accepted_micros, refused_micros, left_micros)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      invoiceId,
      statementId,
      ownMicros,
      theirMicros,
      percentMicros,
      within,
      outcome,
      acceptedMicros,
      refusedMicros,
      leftMicros
    ]
  )
  await sql.query(
    `insert into invoice_match_line (invoice_id, line, destination, own_units, their_units, own_micros, their_micros,
       accepted_micros, outcome)
     select $1, n, destination, "ownUnits", "theirUnits", "ownMicros", "theirMicros", "acceptedMicros", outcome
     from json_to_recordset($2::json) as l(n int, destination text, "ownUnits" numeric, "theirUnits" numeric,
       "ownMicros" bigint, "theirMicros" bigint, "acceptedMicros" bigint, outcome text)`,
    [invoiceId, exactJson(match.lines.map((line, n) => ({ ...line, n: n + 1 })))]
  )
}

/** What is accepted leaves Unbilled payable and becomes Payable; what their figure differs by is cost or rounding. */
function receivePostings(document: Document, statedMicros: bigint, match: Match): readonly Posting[] {
  const { seller, buyer, currency, invoiceId, agreementId, debtor, creditor, issuedOn: day } = document
  const entry = (part: string): string => `received/${invoiceId}/${part}`
  const accepted = match.acceptedMicros
  // Left unbilled: what was not billed and may still come. Else all of it is settled by this invoice.
  const cleared = statedMicros - match.leftMicros
  const tax = document.owedMicros - accepted
  if (buyer !== hub) {
    const [debit, credit] = [bilateralUnbilled(agreementId, creditor), bilateralUnbilled(agreementId, debtor)]
    const due = { entryId: entry('due'), amountMicros: document.owedMicros, currency, day, counter: '' }
    const unbilled = { entryId: entry('unbilled'), debit, credit, amountMicros: cleared, currency, day }
    return [...(cleared > 0n ? [unbilled] : []), ...debtPostings(document, due, true)]
  }
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] =>
    debtPostings(document, { entryId: entry(name), amountMicros, currency, day, counter }, true)
  const difference = accepted - cleared
  const isRounding = toMinor(cleared, currency) === accepted
  return [
    ...part('unbilled', cleared, unbilledOf('buy', seller)),
    ...part('difference', difference, isRounding ? roundingDifference(seller) : cost(seller)),
    ...part('tax', tax, taxInput)
  ]
}

/** The match of an invoice that was received; null: it has none. */
export async function readMatch(sql: Sql, invoiceId: string) {
  const { rows } = await sql.query<{
    readonly outcome: MatchOutcome
    readonly own_micros: bigint
    readonly their_micros: bigint
    readonly percent_micros: bigint
    readonly accepted_micros: bigint
    readonly refused_micros: bigint
    readonly left_micros: bigint
  }>(
    `select outcome, own_micros, their_micros, percent_micros, accepted_micros, refused_micros, left_micros
     from invoice_match where invoice_id = $1`,
    [invoiceId]
  )
  const row = rows[0]
  if (row === undefined) return null
  const lines = await sql.query<{
    readonly destination: string
    readonly own_units: string | null
    readonly their_units: string | null
    readonly own_micros: bigint
    readonly their_micros: bigint
    readonly accepted_micros: bigint
    readonly outcome: string
  }>(
    `select destination, own_units::text as own_units, their_units::text as their_units, own_micros, their_micros,
       accepted_micros, outcome from invoice_match_line where invoice_id = $1 order by line`,
    [invoiceId]
  )
  return { ...row, lines: lines.rows }
}
