// A statement as a table: CSV of its lines, XLSX with its header and totals too.

import { stringify } from 'csv-stringify/sync'
import writeXlsxFile from 'write-excel-file/node'
import { HubError } from '../../errors.ts'
import type { DeclaredRow } from './declared.ts'
import type { DocumentLine, StatementFile } from './document.ts'
import { sinceWords } from './since.ts'

export const limits = {
  /** Lines of an XLSX; CSV takes all. */
  xlsxRowsMax: 20_000
} as const

const lineColumns = [
  'line',
  'kind',
  'ofPeriod',
  'service',
  'destination',
  'destCode',
  'origin',
  'trunk',
  'timeClass',
  'qualityClass',
  'rateId',
  'rate',
  'effectiveFrom',
  'attempts',
  'answered',
  'asrPercent',
  'nerPercent',
  'acdSeconds',
  'rawSeconds',
  'increments',
  'billedUnits',
  'unit',
  'billedMinutes',
  'messages',
  'setupFees',
  'gross',
  'discounts',
  'net'
] as const satisfies readonly (keyof DocumentLine)[]
type LineColumn = (typeof lineColumns)[number]

/** What the counterparty has declared of a destination stands on its first line, for all of them. */
const declaredColumns = [
  'counterpartyDeclaredUnits',
  'counterpartyDeclaredAmount',
  'diffUnits',
  'diffPercent',
  'status',
  'disputeId'
] as const satisfies readonly (keyof DeclaredRow)[]

/** The cells of each line; none was declared of most. */
function declaredCells({ statement, since }: StatementFile): readonly (readonly string[])[] {
  const left = new Map((since?.declared ?? []).map(row => [row.destination, row]))
  return statement.lines.map(({ kind, destination }) => {
    const row = kind === 'usage' && destination !== null ? left.get(destination) : undefined
    if (row !== undefined) left.delete(row.destination)
    return declaredColumns.map(column => row?.[column] ?? '')
  })
}

/** `billedUnits` is `billed_units` in a file. */
const headingOf = (name: string): string => name.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

const words: ReadonlySet<LineColumn> = new Set(['destination', 'origin', 'trunk', 'qualityClass', 'rateId'])

/** A name that a spreadsheet would take for a formula says that it is none. */
const harmless = (text: string): string => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)

function cellOf(line: DocumentLine, column: LineColumn): string {
  const value = line[column]
  if (value === null) return ''
  if (column === 'destCode') return String(value).replace(/^\+(?=.)/, '')
  return words.has(column) ? harmless(String(value)) : String(value)
}

/** All lines, each with the statement and the period it belongs to; amounts to the last digit. */
export function statementCsv(file: StatementFile): string {
  const { statement } = file
  const { statementId, agreementId, period, currency } = statement
  const place = [statementId, agreementId, period.name, currency]
  const declared = declaredCells(file)
  const rows = statement.lines.map((line, n) => [
    ...place,
    ...lineColumns.map(column => cellOf(line, column)),
    ...(declared[n] ?? [])
  ])
  const columns = [...lineColumns, ...declaredColumns].map(headingOf)
  const heading = ['statement_id', 'agreement_id', 'period', 'currency', ...columns]
  return stringify([heading, ...rows])
}

const numeric: ReadonlySet<LineColumn> = new Set([
  'line',
  'attempts',
  'answered',
  'asrPercent',
  'nerPercent',
  'acdSeconds',
  'rawSeconds',
  'increments',
  'billedUnits',
  'billedMinutes',
  'messages',
  'setupFees',
  'gross',
  'discounts',
  'net'
])
/** A double holds so many digits exactly. */
const exactDigits = 15

const bold = (value: string) => ({ value, type: String, fontWeight: 'bold' as const })
const text = (value: string) => ({ value, type: String })

/** A number where a spreadsheet keeps all its digits, else the text. */
function amount(value: string) {
  const digits = value.replaceAll(/[^0-9]/g, '').replace(/^0+/, '')
  if (value === '' || digits.length > exactDigits) return text(value)
  const point = value.indexOf('.')
  const decimals = point === -1 ? 0 : value.length - point - 1
  return { value: Number(value), type: Number, format: decimals === 0 ? '#,##0' : `#,##0.${'0'.repeat(decimals)}` }
}

/** Throws HUB_LIMIT for more lines than `xlsxRowsMax`. */
export async function statementXlsx(file: StatementFile): Promise<Buffer> {
  const { statement } = file
  if (statement.lines.length > limits.xlsxRowsMax) {
    const many = `${statement.lines.length} lines are too many for XLSX (${limits.xlsxRowsMax})`
    throw new HubError('HUB_LIMIT', `${many}; ask for CSV`)
  }
  const head = headOf(file).map(([name, value]) => [bold(name), text(harmless(value))])
  const totals = Object.entries(statement.totals).map(([name, value]) => [bold(headingOf(name)), amount(value)])
  const declared = declaredCells(file)
  const lines = statement.lines.map((line, n) => [
    ...lineColumns.map(column => (numeric.has(column) ? amount(cellOf(line, column)) : text(cellOf(line, column)))),
    ...(declared[n] ?? []).map((cell, at) => (declaredColumns[at] === 'status' ? text(cell) : amount(cell)))
  ])
  const heading = [...lineColumns, ...declaredColumns].map(column => bold(headingOf(column)))
  const widths = [...lineColumns, ...declaredColumns].map(column => ({
    width: column === 'destination' || column === 'rateId' ? 28 : 14
  }))
  return writeXlsxFile([
    { data: head, sheet: 'Statement', columns: [{ width: 24 }, { width: 72 }] },
    { data: [heading, ...lines], sheet: 'Lines', columns: widths },
    { data: totals, sheet: 'Totals', columns: [{ width: 18 }, { width: 24 }] }
  ]).toBuffer()
}

/** What stands above the lines, in words. */
export function headOf({ statement, seal, draft, since }: StatementFile): readonly (readonly [string, string])[] {
  const { completeness, late, outdated, account, period, totals, currency } = statement
  const lastDay = new Date(Date.parse(`${period.to}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10)
  return [
    ['Statement', statement.statementId],
    ['State', draft === null ? `closed ${statement.closedAt ?? ''}` : `draft as of ${draft.asOf}`],
    ['Agreement', `${statement.agreementId} (${statement.model}, ${statement.service})`],
    ['Buyer', statement.buyer],
    ['Seller', statement.seller],
    ['Period', `${period.name}: ${period.from} to ${lastDay}, ${statement.timeZone}`],
    ['Currency', currency],
    ['Net amount', `${totals.net} ${currency}`],
    ['To be invoiced', `${totals.invoice} ${currency}`],
    ['Due', statement.dueDay],
    ['Records', String(statement.cdrCount)],
    ...(completeness === null
      ? []
      : ([
          ['Completeness', `${completeness.received} of ${completeness.expected}, ${completeness.openGaps} gaps`],
          ['Waiting for a price', `${completeness.suspenseCount} calls, ${completeness.suspenseSeconds} s`]
        ] as const)),
    ...(late === null ? [] : ([['Late', `${late.count} records, ${late.amount} ${currency}`]] as const)),
    ...(outdated === null || outdated.count === 0
      ? []
      : ([['Beyond back-billing', `${outdated.count} records, ${outdated.amount} ${currency}`]] as const)),
    ['Account', account.account],
    ['Previous balance', `${account.previousBalance} ${currency}`],
    ['Charged since', `${account.charged} ${currency}`],
    ['Payments since', `${account.payments} ${currency}`],
    ['Closing balance', `${account.closingBalance} ${currency}`],
    ...sinceWords(since),
    ['Terms', JSON.stringify(statement.terms)],
    ...(statement.overrideReason === null ? [] : ([['Closed in spite of', statement.overrideReason]] as const)),
    ...(statement.merkleRoot === null ? [] : ([['Merkle root', statement.merkleRoot]] as const)),
    ...(seal === null
      ? []
      : ([
          ['Seal', `${seal.number}, ${seal.hash}`],
          ['Signature', seal.signature],
          ['Public key', seal.publicKey]
        ] as const))
  ]
}
