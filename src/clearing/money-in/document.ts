// Invoices and credit notes as they stand in the book: written once, never changed (SET-04).

import type { Sql } from '../../store/sql.ts'
import type { TaxCategory } from '../../config/money.ts'
import type { DocumentKind } from './numbering.ts'
import type { PartyFields } from './parties.ts'
import type { TaxTerms } from './tax.ts'

/** The rate by which a document came to be in another currency than its agreement (SET-06). */
export interface DocumentFx {
  readonly base: string
  readonly quote: string
  readonly rate: string
  /** The amount was divided by the rate. */
  readonly inverse: boolean
  readonly fixedOn: string
  readonly source: string
  /** The exact net amount in the agreement's currency, and which that is. */
  readonly from: string
  readonly fromCurrency: string
}

export interface DocumentLine {
  readonly line: number
  readonly kind: string
  readonly ofPeriod: string | null
  readonly destination: string | null
  readonly units: string
  readonly unit: string
  /** To the last digit; of a credit below zero. */
  readonly netMicros: bigint
}

export interface Document {
  /** Its number; of a document that was received `<seller>:<number>`. */
  readonly invoiceId: string
  readonly kind: DocumentKind
  readonly origin: 'issued' | 'received'
  readonly number: string
  readonly seller: string
  readonly buyer: string
  readonly agreementId: string
  readonly statementId: string | null
  /** The invoice that a credit note takes back a part of. */
  readonly credits: string | null
  readonly period: string | null
  readonly periodFrom: string | null
  readonly periodTo: string | null
  readonly issuedOn: string
  readonly dueOn: string
  readonly currency: string
  readonly netMicros: bigint
  readonly taxMicros: bigint
  readonly grossMicros: bigint
  readonly debtor: string
  readonly creditor: string
  /** What it makes the debtor owe. */
  readonly owedMicros: bigint
  readonly tax: TaxTerms
  readonly sellerParty: PartyFields
  readonly buyerParty: PartyFields
  readonly selfBilled: boolean
  readonly fx: DocumentFx | null
  readonly reason: string | null
  readonly issuedBy: string
}

/** Where it stands in its seller's series; null: it was received. */
export interface SeriesPlace {
  readonly year: number
  readonly sequence: number
}

export async function insertDocument(
  sql: Sql,
  document: Document,
  place: SeriesPlace | null,
  lines: readonly DocumentLine[]
): Promise<void> {
  const d = document
  const row = {
    invoice_id: d.invoiceId,
    kind: d.kind,
    origin: d.origin,
    number: d.number,
    seller: d.seller,
    buyer: d.buyer,
    year: place?.year ?? null,
    sequence: place?.sequence ?? null,
    agreement_id: d.agreementId,
    statement_id: d.statementId,
    credits: d.credits,
    period: d.period,
    period_from: d.periodFrom,
    period_to: d.periodTo,
    issued_on: d.issuedOn,
    due_on: d.dueOn,
    currency: d.currency,
    net_micros: d.netMicros,
    tax_micros: d.taxMicros,
    gross_micros: d.grossMicros,
    debtor: d.debtor,
    creditor: d.creditor,
    owed_micros: d.owedMicros,
    tax_category: d.tax.category,
    tax_percent_micros: d.tax.percentMicros,
    tax_note: d.tax.note,
    seller_party: JSON.stringify(d.sellerParty),
    buyer_party: JSON.stringify(d.buyerParty),
    self_billed: d.selfBilled,
    fx: d.fx === null ? null : JSON.stringify(d.fx),
    reason: d.reason,
    issued_by: d.issuedBy
  }
  const names = Object.keys(row)
  const places = names.map((_name, n) => `$${n + 1}`).join(', ')
  await sql.query(`insert into invoice (${names.join(', ')}) values (${places})`, Object.values(row))
  await sql.query(
    `insert into invoice_line (invoice_id, line, kind, of_period, destination, units, unit, net_micros)
     select $1, line, kind, "ofPeriod", destination, units, unit, "netMicros" from json_to_recordset($2::json)
       as l(line int, kind text, "ofPeriod" text, destination text, units numeric, unit text, "netMicros" bigint)`,
    [d.invoiceId, JSON.stringify(lines.map(line => ({ ...line, netMicros: line.netMicros.toString() })))]
  )
}

interface Row {
  readonly invoice_id: string
  readonly kind: DocumentKind
  readonly origin: 'issued' | 'received'
  readonly number: string
  readonly seller: string
  readonly buyer: string
  readonly agreement_id: string
  readonly statement_id: string | null
  readonly credits: string | null
  readonly period: string | null
  readonly period_from: string | null
  readonly period_to: string | null
  readonly issued_on: string
  readonly due_on: string
  readonly currency: string
  readonly net_micros: bigint
  readonly tax_micros: bigint
  readonly gross_micros: bigint
  readonly debtor: string
  readonly creditor: string
  readonly owed_micros: bigint
  readonly tax_category: TaxCategory
  readonly tax_percent_micros: bigint
  readonly tax_note: string | null
  readonly seller_party: PartyFields
  readonly buyer_party: PartyFields
  readonly self_billed: boolean
  readonly fx: DocumentFx | null
  readonly reason: string | null
  readonly issued_by: string
}

const columns = `invoice_id, kind, origin, number, seller, buyer, agreement_id, statement_id, credits, period,
  period_from::text as period_from, period_to::text as period_to, issued_on::text as issued_on, due_on::text as due_on,
  currency, net_micros, tax_micros, gross_micros, debtor, creditor, owed_micros, tax_category, tax_percent_micros,
  tax_note, seller_party, buyer_party, self_billed, fx, reason, issued_by`

const documentOf = (row: Row): Document => ({
  invoiceId: row.invoice_id,
  kind: row.kind,
  origin: row.origin,
  number: row.number,
  seller: row.seller,
  buyer: row.buyer,
  agreementId: row.agreement_id,
  statementId: row.statement_id,
  credits: row.credits,
  period: row.period,
  periodFrom: row.period_from,
  periodTo: row.period_to,
  issuedOn: row.issued_on,
  dueOn: row.due_on,
  currency: row.currency,
  netMicros: row.net_micros,
  taxMicros: row.tax_micros,
  grossMicros: row.gross_micros,
  debtor: row.debtor,
  creditor: row.creditor,
  owedMicros: row.owed_micros,
  tax: { category: row.tax_category, percentMicros: row.tax_percent_micros, note: row.tax_note },
  sellerParty: row.seller_party,
  buyerParty: row.buyer_party,
  selfBilled: row.self_billed,
  fx: row.fx,
  reason: row.reason,
  issuedBy: row.issued_by
})

export const limits = {
  /** Documents of one listing. */
  listMax: 10_000
} as const

/** One document by its id, which for issued ones is the number; null: there is none. */
export async function readDocument(sql: Sql, invoiceId: string): Promise<Document | null> {
  const { rows } = await sql.query<Row>(`select ${columns} from invoice where invoice_id = $1`, [invoiceId])
  return rows[0] === undefined ? null : documentOf(rows[0])
}

/** The document that a statement was invoiced by, the first one of a seller that billed it in parts; null: none. */
export async function documentOfStatement(sql: Sql, statementId: string): Promise<Document | null> {
  const { rows } = await sql.query<Row>(
    `select ${columns} from invoice where statement_id = $1 and credits is null order by made_at, invoice_id limit 1`,
    [statementId]
  )
  return rows[0] === undefined ? null : documentOf(rows[0])
}

export interface DocumentsAsked {
  readonly party: string | null
  readonly agreementId: string | null
  readonly period: string | null
  readonly max: number
}

/** The latest first. */
export async function listDocuments(
  sql: Sql,
  { party, agreementId, period, max }: DocumentsAsked
): Promise<readonly Document[]> {
  const { rows } = await sql.query<Row>(
    `select ${columns} from invoice
     where ($1::text is null or seller = $1 or buyer = $1) and ($2::text is null or agreement_id = $2)
       and ($3::text is null or period = $3)
     order by invoice.issued_on desc, invoice_id desc limit $4`,
    [party, agreementId, period, Math.min(max, limits.listMax)]
  )
  return rows.map(documentOf)
}

export async function readLines(sql: Sql, invoiceId: string): Promise<readonly DocumentLine[]> {
  const { rows } = await sql.query<{
    readonly line: number
    readonly kind: string
    readonly of_period: string | null
    readonly destination: string | null
    readonly units: string
    readonly unit: string
    readonly net_micros: bigint
  }>(
    `select line, kind, of_period, destination, units::text as units, unit, net_micros
     from invoice_line where invoice_id = $1 order by line`,
    [invoiceId]
  )
  return rows.map(({ of_period: ofPeriod, net_micros: netMicros, ...line }) => ({ ...line, ofPeriod, netMicros }))
}
