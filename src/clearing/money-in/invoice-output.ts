// A document as programs read it: JSON with amounts as decimal text, CSV with a line each. Pure.

import { stringify } from 'csv-stringify/sync'
import { printAmount, printScaled } from '../money.ts'
import { printMoney } from './currency.ts'
import type { Document, DocumentLine } from './document.ts'
import { categoryCodes, categoryNotes } from './tax.ts'
import type { TaxTerms } from './tax.ts'

export const invoiceFormats = ['json', 'csv', 'pdf'] as const
export type InvoiceFormat = (typeof invoiceFormats)[number]

/** `19`, `7.5`. */
export const printPercent = ({ percentMicros }: TaxTerms): string => printScaled(percentMicros, 6).replace(/\.?0+$/, '')

/** What an invoice says about its tax, in words. */
export const taxNote = ({ category, note }: TaxTerms): string | null => note ?? categoryNotes[category]

/** `minutes` where a line counts seconds: whole ones and two digits. */
export function printUnits({ units, unit }: DocumentLine): string {
  if (unit === 'none') return ''
  const whole = BigInt(units.split('.')[0] ?? '0')
  if (unit !== 'second') return whole.toString()
  return printScaled((whole * 100n + 30n) / 60n, 2)
}
export const unitNames: Readonly<Record<string, string>> = {
  second: 'min',
  message: 'messages',
  unit: 'units',
  day: 'days'
}

const lineWords: Readonly<Record<string, string>> = {
  usage: 'Traffic',
  late: 'Late records',
  commitment: 'Commitment',
  imbalance: 'Imbalance',
  rounding: 'Rounding',
  credit: 'Credit',
  interest: 'Interest',
  claim: 'Traffic'
}

/** What a line is for. */
export function describe({ kind, destination, ofPeriod }: DocumentLine, period: string | null): string {
  const what = destination ?? lineWords[kind] ?? kind
  const late = ofPeriod !== null && ofPeriod !== period ? ` (of ${ofPeriod})` : ''
  return kind === 'usage' || kind === 'claim' || destination === null
    ? `${what}${late}`
    : `${lineWords[kind] ?? kind}: ${what}${late}`
}

/** For people and programs: every amount as decimal text, none as a number. */
export function documentJson(document: Document, lines: readonly DocumentLine[]): Readonly<Record<string, unknown>> {
  const { currency, tax, fx } = document
  const money = (micros: bigint): string => printMoney(micros, currency)
  return {
    format: 'isthmus-invoice/1',
    number: document.number,
    kind: document.kind,
    origin: document.origin,
    issuedOn: document.issuedOn,
    dueOn: document.dueOn,
    seller: document.sellerParty,
    buyer: document.buyerParty,
    selfBilled: document.selfBilled,
    agreement: document.agreementId,
    statement: document.statementId,
    credits: document.credits,
    reason: document.reason,
    period: document.period,
    periodFrom: document.periodFrom,
    periodTo: document.periodTo,
    currency,
    net: money(document.netMicros),
    tax: {
      category: tax.category,
      code: categoryCodes[tax.category],
      percent: printPercent(tax),
      amount: money(document.taxMicros),
      note: taxNote(tax)
    },
    gross: money(document.grossMicros),
    debtor: document.debtor,
    creditor: document.creditor,
    owed: money(document.owedMicros),
    fx,
    lines: lines.map(line => ({
      line: line.line,
      description: describe(line, document.period),
      kind: line.kind,
      period: line.ofPeriod,
      destination: line.destination,
      units: line.units,
      unit: line.unit,
      net: printAmount(line.netMicros)
    })),
    issuedBy: document.issuedBy
  }
}

/** Text that a spreadsheet would take for a formula gets an apostrophe. */
const cell = (text: string): string => (/^[=+\-@\t]/.test(text) ? `'${text}` : text)

/** One row a line, the document's own fields on each; then what it comes to. */
export function documentCsv(document: Document, lines: readonly DocumentLine[]): string {
  const { number, kind, seller, buyer, issuedOn, dueOn, currency, tax } = document
  const money = (micros: bigint): string => printMoney(micros, currency)
  const row = (line: string, description: string, units: string, unit: string, net: string): readonly string[] => [
    number,
    kind,
    issuedOn,
    dueOn,
    cell(seller),
    cell(buyer),
    document.period ?? '',
    line,
    cell(description),
    units,
    unit,
    net,
    currency
  ]
  const header = ['number', 'kind', 'issued_on', 'due_on', 'seller', 'buyer', 'period']
  return stringify([
    [...header, 'line', 'description', 'units', 'unit', 'net', 'currency'],
    ...lines.map(line =>
      row(
        String(line.line),
        describe(line, document.period),
        printUnits(line),
        unitNames[line.unit] ?? '',
        printAmount(line.netMicros)
      )
    ),
    row('net', 'Net', '', '', money(document.netMicros)),
    row('tax', `Tax ${printPercent(tax)} % (${categoryCodes[tax.category]})`, '', '', money(document.taxMicros)),
    row('gross', 'Total', '', '', money(document.grossMicros))
  ])
}
