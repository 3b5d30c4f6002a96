// From a closed statement to an invoice (COM-05, LED-01): once, with the next number of its seller, and what was
// unbilled becomes owed. A statement below zero becomes a credit note.

import { HubError } from '../../errors.ts'
import type { AgreementConfig } from '../../config.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { parseScaled, printAmount } from '../money.ts'
import type { RoundingMode } from '../money.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { bilateralUnbilled, fxPosition, roundingDifference, taxInput, taxOutput, unbilledOf } from './accounts.ts'
import { addDays, isDay } from './days.ts'
import { documentOfStatement, insertDocument } from './document.ts'
import type { Document, DocumentFx, DocumentLine } from './document.ts'
import { convertFx, printFx } from './fx.ts'
import type { FxUse } from './fx.ts'
import { fxOn } from './fx-table.ts'
import { minorDigits } from './currency.ts'
import { takeNumber } from './numbering.ts'
import { debtPostings, lockMoney } from './open-items.ts'
import type { PartyBook } from './parties.ts'
import { readBilled, readBilledLines } from './statement-read.ts'
import type { BilledStatement } from './statement-read.ts'
import { taxOn } from './tax.ts'
import type { TaxTerms } from './tax.ts'

export interface IssueAsked {
  readonly statementId: string
  readonly agreement: AgreementConfig
  readonly parties: PartyBook
  /** Of the document, such as `2026-12-03`. */
  readonly day: string
  readonly by: string
}

/** Why no document came of it: it has one, there is nothing to bill, or the seller writes its own (COM-06). */
export const notIssued = ['already', 'nothing', 'seller-writes', 'paid-in-advance'] as const
export type Issued =
  | { readonly outcome: 'issued'; readonly document: Document }
  | { readonly outcome: (typeof notIssued)[number]; readonly document: Document | null }

/** Percent as text to 10^-6 of a percent. */
export const taxTermsOf = ({ invoicing: { tax } }: AgreementConfig): TaxTerms => ({
  category: tax.category,
  percentMicros: parseScaled(tax.percent, 6),
  note: tax.note ?? null
})

/** Who writes invoices by an agreement. */
export const writerOf = ({ invoicing, buyer }: AgreementConfig): 'hub' | 'seller' =>
  invoicing.by ?? (buyer === hub ? 'seller' : 'hub')

const isPaidInAdvance = ({ model, credit }: AgreementConfig): boolean =>
  model === 'prepaid' || credit.paid === 'advance'

/** Issues the invoice of one closed statement. `sql` is a transaction. Throws HUB_CONFIG. */
export async function issueInvoice(sql: Sql, asked: IssueAsked): Promise<Issued> {
  const { statementId, agreement, day } = asked
  if (!isDay(day)) throw new HubError('HUB_CONFIG', `${day} is no day such as 2026-12-03`)
  await lockMoney(sql)
  const statement = await readBilled(sql, statementId)
  if (statement === null) {
    throw new HubError('HUB_CONFIG', `there is no closed statement ${statementId}; close its period first`)
  }
  if (statement.agreementId !== agreement.id) {
    throw new HubError('HUB_CONFIG', `statement ${statementId} is of agreement ${statement.agreementId}`)
  }
  const known = await documentOfStatement(sql, statementId)
  if (known !== null) return { outcome: 'already', document: known }
  if (writerOf(agreement) === 'seller') return { outcome: 'seller-writes', document: null }
  if (isPaidInAdvance(agreement)) return { outcome: 'paid-in-advance', document: null }
  if (statement.netMicros === 0n) return { outcome: 'nothing', document: null }
  if (day < statement.lastDay) {
    throw new HubError('HUB_CONFIG', `${day} is before the end of the period, ${statement.lastDay}`)
  }
  const document = await issue(sql, statement, asked)
  return { outcome: 'issued', document }
}

interface Amounts {
  readonly currency: string
  /** Rounded to what can be paid; as the statement's, below zero for a credit. */
  readonly netMicros: bigint
  readonly fx: DocumentFx | null
  readonly use: FxUse | null
}

async function issue(sql: Sql, statement: BilledStatement, asked: IssueAsked): Promise<Document> {
  const { agreement, parties, day, by } = asked
  const amounts = await amountsOf(sql, statement, agreement)
  const isCredit = amounts.netMicros < 0n || (amounts.netMicros === 0n && statement.netMicros < 0n)
  const kind = isCredit ? 'credit-note' : 'invoice'
  const { seller, buyer } = statement
  const netMicros = isCredit ? -amounts.netMicros : amounts.netMicros
  const tax = taxTermsOf(agreement)
  const taxMicros = taxOn(netMicros, tax, amounts.currency, agreement.rounding.mode)
  const { number, year, sequence } = await takeNumber(sql, { kind, seller, day })
  const [debtor, creditor] = isCredit ? [seller, buyer] : [buyer, seller]
  const document: Document = {
    invoiceId: number,
    kind,
    origin: 'issued',
    number,
    seller,
    buyer,
    agreementId: agreement.id,
    statementId: statement.statementId,
    credits: null,
    period: statement.period,
    periodFrom: statement.fromDay,
    periodTo: statement.lastDay,
    issuedOn: day,
    dueOn: addDays(day, agreement.paymentDays),
    currency: amounts.currency,
    netMicros,
    taxMicros,
    grossMicros: netMicros + taxMicros,
    debtor,
    creditor,
    owedMicros: netMicros + taxMicros,
    tax,
    sellerParty: parties(seller),
    buyerParty: parties(buyer),
    selfBilled: seller !== hub,
    fx: amounts.fx,
    reason: null,
    issuedBy: by
  }
  const lines = withRounding(await linesOf(sql, statement, amounts, agreement.rounding.mode), amounts.netMicros)
  await insertDocument(sql, document, { year, sequence }, lines)
  await postTransfers(sql, issuePostings(document, statement))
  return document
}

async function amountsOf(sql: Sql, statement: BilledStatement, agreement: AgreementConfig): Promise<Amounts> {
  const { currency = statement.currency, fx: terms } = agreement.invoicing
  if (currency === statement.currency || terms === undefined) {
    return { currency: statement.currency, netMicros: statement.invoiceMicros, fx: null, use: null }
  }
  // The fixing that counts is that of the last day of the period: it does not depend on when somebody issues.
  const asked = { from: statement.currency, to: currency, day: statement.lastDay, ...terms }
  const use = await fxOn(sql, asked)
  const { mode } = agreement.rounding
  const netMicros = convertFx({ numerator: statement.netMicros }, use, { scale: minorDigits(currency), mode })
  const { base, quote, ratePicos, fixedOn, source } = use.rate
  const from = printAmount(statement.netMicros)
  const rate = { base, quote, rate: printFx(ratePicos), inverse: use.inverse, fixedOn, source }
  return { currency, netMicros, fx: { ...rate, from, fromCurrency: statement.currency }, use }
}

async function linesOf(
  sql: Sql,
  statement: BilledStatement,
  { use }: Amounts,
  mode: RoundingMode
): Promise<readonly DocumentLine[]> {
  const lines = await readBilledLines(sql, statement.statementId)
  if (use === null) return lines
  return lines.map(line => ({
    ...line,
    netMicros: convertFx({ numerator: line.netMicros }, use, { scale: 6, mode })
  }))
}

/** What the lines are short of the rounded sum, or over it, is a line of its own: they always make up the whole. */
export function withRounding(lines: readonly DocumentLine[], netMicros: bigint): readonly DocumentLine[] {
  const difference = netMicros - lines.reduce((sum, line) => sum + line.netMicros, 0n)
  if (difference === 0n) return lines
  const rounding = { kind: 'rounding', ofPeriod: null, destination: null, units: '0', unit: 'none' }
  return [...lines, { line: lines.length + 1, ...rounding, netMicros: difference }]
}

/** Unbilled becomes Receivable or Payable, with what rounding and tax add (LED-01). */
function issuePostings(document: Document, statement: BilledStatement): readonly Posting[] {
  const { number, currency, issuedOn: day, seller, buyer, agreementId, debtor, creditor } = document
  const exact = statement.netMicros < 0n ? -statement.netMicros : statement.netMicros
  const entry = (part: string): string => `${document.kind}/${number}/${part}`
  if (seller !== hub && buyer !== hub) {
    const [debit, credit] = [bilateralUnbilled(agreementId, creditor), bilateralUnbilled(agreementId, debtor)]
    const whole = { entryId: entry('due'), amountMicros: document.grossMicros, currency, day, counter: '' }
    return [
      { entryId: entry('unbilled'), debit, credit, amountMicros: exact, currency: statement.currency, day },
      ...debtPostings(document, whole, true)
    ]
  }
  const party = seller === hub ? buyer : seller
  const unbilled = unbilledOf(seller === hub ? 'sell' : 'buy', party)
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] =>
    debtPostings(document, { entryId: entry(name), amountMicros, currency, day, counter }, true)
  const tax = part('tax', document.taxMicros, seller === hub ? taxOutput : taxInput)
  if (document.fx === null) {
    return [
      ...part('unbilled', exact, unbilled),
      ...part('rounding', document.netMicros - exact, roundingDifference(party)),
      ...tax
    ]
  }
  const [debit, credit] = creditor === hub ? [fxPosition, unbilled] : [unbilled, fxPosition]
  return [
    { entryId: entry('unbilled'), debit, credit, amountMicros: exact, currency: statement.currency, day },
    ...part('converted', document.netMicros, fxPosition),
    ...tax
  ]
}
