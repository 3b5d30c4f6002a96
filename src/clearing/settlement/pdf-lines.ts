// The lines of a statement as the rows of its PDF: trunks and codes of one destination and rate added up. Pure.

import { divRound, parseScaled, printScaled } from '../money.ts'
import type { DocumentLine, StatementDocument } from './document.ts'
import { grouped, nameInFont } from './pdf-text.ts'

export interface PdfRow {
  readonly kind: string
  readonly ofPeriod: string
  readonly destination: string | null
  /** One of its codes. */
  readonly code: string | null
  readonly rate: string | null
  readonly rule: string | null
  attempts: number
  answered: number
  rawMs: bigint
  billedUnits: bigint
  netMicros: bigint
  readonly detail: Readonly<Record<string, unknown>>
}

export interface Column {
  readonly label: string
  readonly x: number
  readonly width: number
  readonly align: 'left' | 'right'
  readonly value: (row: PdfRow) => string
}

/** First by destination and rate, then, where those are too many, by destination; then only so many of them. */
export function groupLines(
  lines: readonly DocumentLine[],
  max: number
): { readonly rows: readonly PdfRow[]; readonly note: string | null } {
  const fine = groupBy(lines, ({ rate }) => rate)
  if (fine.length <= max) {
    const merged =
      fine.length < lines.length ? 'Codes and trunks of one destination and rate are added up; CSV has all.' : null
    return { rows: fine, note: merged }
  }
  const coarse = groupBy(lines, () => null)
  if (coarse.length <= max) return { rows: coarse, note: 'Rates of one destination are added up; CSV has every line.' }
  return { rows: coarse.slice(0, max), note: `The first ${max} of ${coarse.length} destinations; CSV has every line.` }
}

function groupBy(lines: readonly DocumentLine[], rateOf: (line: DocumentLine) => string | null): readonly PdfRow[] {
  const rows = new Map<string, PdfRow>()
  for (const line of lines) {
    const isUsage = line.kind === 'usage' || line.kind === 'late'
    const rate = rateOf(line)
    const rule = typeof line.detail['rule'] === 'string' ? line.detail['rule'] : null
    const key = JSON.stringify([line.kind, line.ofPeriod, line.destination, rate, rule, isUsage ? 0 : line.line])
    const { kind, ofPeriod, destination, destCode: code, detail } = line
    const row = rows.get(key) ?? { kind, ofPeriod, destination, code, rate, rule, detail, ...nothing() }
    row.attempts += line.attempts
    row.answered += line.answered
    row.rawMs += parseScaled(line.rawSeconds, 3)
    row.billedUnits += BigInt(line.billedUnits)
    row.netMicros += parseScaled(line.net, 6)
    rows.set(key, row)
  }
  return [...rows.values()]
}

const nothing = () => ({ attempts: 0, answered: 0, rawMs: 0n, billedUnits: 0n, netMicros: 0n })

const names: Readonly<Record<string, string>> = {
  commitment: 'Commitment',
  imbalance: 'Imbalance of both directions',
  rounding: 'Seconds rounded over the period',
  attempt: 'Fees for attempts',
  emergency: 'Emergency calls, free',
  unanswered: 'Not answered'
}

function nameOf({ kind, ofPeriod, destination, code, rule }: PdfRow): string {
  const name = (destination === null ? null : nameInFont(destination, code)) ?? names[rule ?? kind] ?? 'No destination'
  return kind === 'late' ? `${name} (late, ${ofPeriod})` : name
}

/** How an amount that no call owes came about, in small print. */
export function noteOfLine({ kind, detail, ofPeriod }: PdfRow): string | null {
  if (kind === 'usage' || kind === 'late') return null
  const facts = Object.entries(detail).filter(([, value]) => typeof value === 'string' || typeof value === 'number')
  const text = facts.map(([name, value]) => `${name.replaceAll(/[A-Z]/g, c => ` ${c.toLowerCase()}`)} ${String(value)}`)
  return `${ofPeriod}: ${text.join(', ')}`
}

export function columnsOf({ service, currency }: StatementDocument, width: number): readonly Column[] {
  const isText = service === 'message'
  const parts: readonly (readonly [string, number, 'left' | 'right', (row: PdfRow) => string])[] = [
    ['Destination', 0.27, 'left', nameOf],
    [isText ? `Rate / message` : `Rate / min`, 0.12, 'right', ({ rate }) => rate ?? ''],
    ['Attempts', 0.1, 'right', ({ attempts }) => (attempts === 0 ? '' : grouped(String(attempts)))],
    ['ASR %', 0.08, 'right', asrOf],
    ['ACD s', 0.08, 'right', isText ? () => '' : acdOf],
    [isText ? 'Messages' : 'Billed min', 0.15, 'right', row => unitsOf(row, isText)],
    [`Net ${currency}`, 0.2, 'right', ({ netMicros }) => grouped(printScaled(netMicros, 6))]
  ]
  let x = 0
  return parts.map(([label, share, align, value]) => {
    const column = { label, x, width: width * share, align, value }
    x += width * share
    return column
  })
}

const asrOf = ({ attempts, answered }: PdfRow): string =>
  attempts <= 0 ? '' : ((100 * answered) / attempts).toFixed(1)

const acdOf = ({ answered, rawMs }: PdfRow): string =>
  answered <= 0 ? '' : printScaled(divRound(rawMs, BigInt(answered) * 100n, 'half-up'), 1)

function unitsOf({ billedUnits }: PdfRow, isText: boolean): string {
  if (billedUnits === 0n) return ''
  return grouped(isText ? billedUnits.toString() : printScaled(divRound(billedUnits * 100n, 60n, 'half-up'), 2))
}
