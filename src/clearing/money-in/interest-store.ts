// Interest on late payment in the book: what it comes to by now, and a document of its own for what is not charged yet.

import type { AgreementConfig } from '../../config.ts'
import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import { parseAmount, parseScaled } from '../money.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { interestIncome, roundingDifference, taxOutput } from './accounts.ts'
import { toMinor } from './currency.ts'
import { addDays, isDay } from './days.ts'
import { insertDocument } from './document.ts'
import type { Document, DocumentLine } from './document.ts'
import { interestOn } from './interest.ts'
import type { Change, InterestTerms } from './interest.ts'
import { withRounding } from './invoice.ts'
import { takeNumber } from './numbering.ts'
import { debtPostings, exactJson, lockMoney } from './open-items.ts'
import type { PartyBook } from './parties.ts'
import { taxOn } from './tax.ts'
import type { TaxTerms } from './tax.ts'

export const limits = {
  /** Invoices that are looked at together. */
  invoicesMax: 100_000
} as const

/** What one invoice bears until a day. */
export interface Accrued {
  readonly invoiceId: string
  readonly agreementId: string
  readonly debtor: string
  readonly creditor: string
  readonly currency: string
  readonly days: number
  readonly micros: bigint
  /** By documents before; one that was credited since stays charged. */
  readonly chargedMicros: bigint
}

type Terms = NonNullable<AgreementConfig['invoicing']['interest']>

const termsOf = ({ rates, dayCount, graceDays, disputed }: Terms): InterestTerms => ({
  rates: rates.map(({ from, percent }) => ({ from, percentMicros: parseScaled(percent, 6) })),
  dayCount,
  graceDays,
  disputed
})

export interface AccruedAsked {
  /** Those without `invoicing.interest` bear none. */
  readonly agreements: readonly AgreementConfig[]
  readonly party: string | null
  readonly until: string
}

interface Row {
  readonly invoice_id: string
  readonly agreement_id: string
  readonly debtor: string
  readonly creditor: string
  readonly currency: string
  readonly due_on: string
  readonly owed_micros: bigint
  readonly paid: readonly { readonly day: string; readonly micros: string }[]
  readonly held: Row['paid']
  readonly credited: Row['paid']
  readonly charged: bigint
}

/** Of invoices that the hub wrote and others owe; the oldest first. Throws HUB_LIMIT above `invoicesMax`. */
export async function readAccrued(sql: Sql, { agreements, party, until }: AccruedAsked): Promise<readonly Accrued[]> {
  const terms = new Map(
    agreements.flatMap(({ id, invoicing: { interest } }): readonly [string, InterestTerms][] =>
      interest === undefined ? [] : [[id, termsOf(interest)]]
    )
  )
  if (terms.size === 0) return []
  const { rows } = await sql.query<Row>(accruedSql, [[...terms.keys()], party, until, limits.invoicesMax + 1])
  if (rows.length > limits.invoicesMax) throw new HubError('HUB_LIMIT', `more than ${limits.invoicesMax} late invoices`)
  return rows.flatMap((row): readonly Accrued[] => {
    const by = terms.get(row.agreement_id)
    if (by === undefined) return []
    const item = {
      owedMicros: row.owed_micros,
      dueOn: row.due_on,
      paid: row.paid.map(changeOf),
      credited: row.credited.map(changeOf),
      held: row.held.map(changeOf)
    }
    const { days, micros } = interestOn(item, by, until)
    const { invoice_id: invoiceId, agreement_id: agreementId, debtor, creditor, currency, charged } = row
    return [{ invoiceId, agreementId, debtor, creditor, currency, days, micros, chargedMicros: charged }]
  })
}

const changeOf = ({ day, micros }: { readonly day: string; readonly micros: string }): Change => ({
  day,
  amountMicros: BigInt(micros)
})

const changes = (of: string, which: string): string => `
    (select coalesce(json_agg(json_build_object('day', day, 'micros', amount_micros::text) order by id), '[]')
     from ${of} c where c.item_id = i.invoice_id and ${which})`

/** There is no interest on interest: its documents have no statement. */
const accruedSql = `
  select i.invoice_id, i.agreement_id, i.debtor, i.creditor, i.currency, i.due_on::text as due_on, i.owed_micros,
    ${changes('allocation', "source not like 'credit-note/%'")} as paid,
    ${changes('allocation', "source like 'credit-note/%'")} as credited,
    ${changes('item_hold', 'true')} as held,
    (select coalesce(sum(amount_micros), 0)::bigint from interest_line l where l.item_id = i.invoice_id) as charged
  from invoice i
  where i.agreement_id = any($1::text[]) and ($2::text is null or i.debtor = $2) and i.due_on < $3::date
    and i.kind = 'invoice' and i.origin = 'issued' and i.statement_id is not null and i.debtor <> '${hub}'
    and (exists (select from open_item o where o.item_id = i.invoice_id)
      or exists (select from allocation a where a.item_id = i.invoice_id and a.day > i.due_on))
  order by i.agreement_id, i.currency, i.due_on, i.invoice_id limit $4`

export interface ChargeAsked {
  readonly agreement: AgreementConfig
  readonly parties: PartyBook
  readonly party: string | null
  /** The last day that is charged. */
  readonly until: string
  /** Of the document. */
  readonly day: string
  readonly by: string
}

/** What was charged, in one document a currency; `left`: what stays below `minimum` or the smallest coin. */
export interface Charged {
  readonly documents: readonly Document[]
  readonly left: readonly Accrued[]
}

/**
 * Charges what the late invoices of an agreement bear until a day and no document has charged before. `sql` is a
 * transaction. Throws HUB_CONFIG for a day in the future of the document, or an agreement without interest.
 */
export async function chargeInterest(sql: Sql, asked: ChargeAsked): Promise<Charged> {
  const { agreement, until, day, party } = asked
  const { interest } = agreement.invoicing
  if (interest === undefined) throw new HubError('HUB_CONFIG', `agreement ${agreement.id} has no invoicing.interest`)
  if (!isDay(day) || !isDay(until) || until > day) {
    throw new HubError('HUB_CONFIG', `interest until ${until} cannot be charged on ${day}`)
  }
  await lockMoney(sql)
  const accrued = await readAccrued(sql, { agreements: [agreement], party, until })
  const due = accrued.filter(({ micros, chargedMicros }) => micros > chargedMicros)
  const documents: Document[] = []
  const left: Accrued[] = []
  const minimum = parseAmount(interest.minimum)
  for (const [currency, items] of Map.groupBy(due, item => item.currency)) {
    const sum = items.reduce((total, { micros, chargedMicros }) => total + micros - chargedMicros, 0n)
    const netMicros = toMinor(sum, currency, agreement.rounding.mode)
    if (netMicros <= 0n || netMicros < minimum) left.push(...items)
    else documents.push(await issue(sql, asked, interest, { currency, netMicros, items }))
  }
  return { documents, left }
}

interface Owing {
  readonly currency: string
  readonly netMicros: bigint
  /** Of one debtor and creditor: those of an agreement. */
  readonly items: readonly Accrued[]
}

async function issue(
  sql: Sql,
  { agreement, parties, until, day, by }: ChargeAsked,
  terms: Terms,
  { currency, netMicros, items }: Owing
): Promise<Document> {
  const { seller, buyer } = agreement
  const { category, percent, note = null } = terms.tax
  const tax: TaxTerms = { category, percentMicros: parseScaled(percent, 6), note }
  const taxMicros = taxOn(netMicros, tax, currency, agreement.rounding.mode)
  const { number, year, sequence } = await takeNumber(sql, { kind: 'invoice', seller, day })
  const document: Document = {
    invoiceId: number,
    kind: 'invoice',
    origin: 'issued',
    number,
    seller,
    buyer,
    agreementId: agreement.id,
    statementId: null,
    credits: null,
    period: null,
    periodFrom: null,
    periodTo: null,
    issuedOn: day,
    dueOn: addDays(day, agreement.paymentDays),
    currency,
    netMicros,
    taxMicros,
    grossMicros: netMicros + taxMicros,
    debtor: buyer,
    creditor: seller,
    owedMicros: netMicros + taxMicros,
    tax,
    sellerParty: parties(seller),
    buyerParty: parties(buyer),
    selfBilled: seller !== hub,
    fx: null,
    reason: `late payment, until ${until}: ${ratesText(terms, until)}, ${terms.dayCount}`,
    issuedBy: by
  }
  const lines = items.map(({ invoiceId, days, micros, chargedMicros }, n): DocumentLine => ({
    line: n + 1,
    kind: 'interest',
    ofPeriod: null,
    destination: invoiceId,
    units: String(days),
    unit: 'day',
    netMicros: micros - chargedMicros
  }))
  await insertDocument(sql, document, { year, sequence }, withRounding(lines, netMicros))
  await sql.query(
    `insert into interest_line (invoice_id, item_id, until, amount_micros)
     select $1, "invoiceId", $2::date, "netMicros"
     from json_to_recordset($3::json) as l("invoiceId" text, "netMicros" bigint)`,
    [number, until, exactJson(lines.map(line => ({ invoiceId: line.destination, netMicros: line.netMicros })))]
  )
  const exact = lines.reduce((sum, line) => sum + line.netMicros, 0n)
  await postTransfers(sql, postingsOf(document, exact))
  return document
}

/** `9.12 %`, or from which day on which rate. */
function ratesText({ rates }: Terms, until: string): string {
  const counted = rates.filter(({ from }) => from <= until)
  const [only] = counted
  if (counted.length === 1 && only !== undefined) return `${only.percent} % a year from ${only.from}`
  return `${counted.map(({ from, percent }) => `${percent} % from ${from}`).join(', ')} a year`
}

/** Receivable against income of its own, with what rounding and tax add; past the hub, a debt on both sides. */
function postingsOf(document: Document, exactMicros: bigint): readonly Posting[] {
  const { number, currency, issuedOn: day, creditor, debtor } = document
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] =>
    debtPostings(document, { entryId: `invoice/${number}/${name}`, amountMicros, currency, day, counter }, true)
  if (creditor !== hub) return part('due', document.grossMicros, '')
  return [
    ...part('interest', exactMicros, interestIncome(debtor)),
    ...part('rounding', document.netMicros - exactMicros, roundingDifference(debtor)),
    ...part('tax', document.taxMicros, taxOutput)
  ]
}
