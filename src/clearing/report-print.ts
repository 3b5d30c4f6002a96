// The settlement report for people, for programs and for spreadsheets.

import { stringify } from 'csv-stringify/sync'
import type { NodeCompleteness, ReportLine, ReportTotal, SettlementReport } from './report.ts'

export const reportFormats = ['text', 'json', 'csv'] as const
export type ReportFormat = (typeof reportFormats)[number]

interface Column {
  readonly heading: string
  readonly of: (line: ReportLine) => string | number | null
  readonly total?: (total: ReportTotal) => string
  readonly word?: true
  /** Left out of the text where it is zero in every line. */
  readonly optional?: true
}

const columns: readonly Column[] = [
  { heading: 'from', of: line => line.fromProvider, total: () => 'total', word: true },
  { heading: 'to', of: line => line.toProvider, word: true },
  { heading: 'service', of: line => line.service, word: true },
  { heading: 'currency', of: line => line.currency, total: ({ currency }) => currency, word: true },
  { heading: 'attempts', of: line => line.attempts },
  { heading: 'answered', of: line => line.answered },
  { heading: 'minutes sold', of: line => line.minutesSold, optional: true },
  { heading: 'minutes bought', of: line => line.minutesBought, optional: true },
  { heading: 'messages sold', of: line => line.messagesSold, optional: true },
  { heading: 'messages bought', of: line => line.messagesBought, optional: true },
  { heading: 'sell', of: line => line.sell, total: ({ sell }) => sell },
  { heading: 'cost', of: line => line.cost, total: ({ cost }) => cost },
  { heading: 'margin', of: line => line.margin, total: ({ margin }) => margin },
  { heading: 'direct', of: line => line.direct, total: ({ direct }) => direct, optional: true },
  { heading: 'suspended', of: line => line.suspended, optional: true }
]

export const printReport = {
  /** One JSON object; amounts are decimal strings. */
  json: report => `${JSON.stringify(report, null, 2)}\n`,
  /** RFC 4180, one row for each line of the report, empty where there is no value. */
  csv: ({ lines }) => {
    const headings = columns.map(({ heading }) => heading.replaceAll(' ', '_'))
    const rows = lines.map(line => columns.map(({ of }) => of(line)))
    return stringify([headings, ...rows], { record_delimiter: 'windows' })
  },
  text: report => `${[...head(report), '', ...table(report), '', ...tail(report)].join('\n')}\n`
} as const satisfies Record<ReportFormat, (report: SettlementReport) => string>

const head = ({ period: { from, to } }: SettlementReport): readonly string[] => [
  `Settlement from ${from} to ${to} (that day excluded; days in the time zone of each agreement)`
]

function table({ lines, totals }: SettlementReport): readonly string[] {
  if (lines.length === 0) return ['Nothing was cleared in this period.']
  const shown = columns.filter(
    ({ optional, of }) => optional !== true || lines.some(line => /[1-9]/.test(`${of(line)}`))
  )
  const rows = [
    shown.map(({ heading }) => heading),
    ...lines.map(line => shown.map(({ of }) => `${of(line) ?? '-'}`)),
    ...totals.map(sum => shown.map(({ total }) => total?.(sum) ?? ''))
  ]
  const padded = shown.map(({ word }, n) => {
    const width = Math.max(...rows.map(row => row[n]?.length ?? 0))
    return (cell: string) => (word === true ? cell.padEnd(width) : cell.padStart(width))
  })
  const printed = rows.map(row =>
    padded
      .map((pad, n) => pad(row[n] ?? ''))
      .join('  ')
      .trimEnd()
  )
  const rule = '-'.repeat(Math.max(...printed.map(({ length }) => length)))
  return [...printed.slice(0, 1), rule, ...printed.slice(1, lines.length + 1), rule, ...printed.slice(lines.length + 1)]
}

function tail({ completeness, suspended, lines }: SettlementReport): readonly string[] {
  const { received, expected, nodes } = completeness
  const losing = lines.filter(({ margin }) => margin.startsWith('-'))
  return [
    `Completeness: ${received} of ${expected} records received`,
    ...nodes.filter(({ gaps }) => gaps > 0).map(printGaps),
    suspended === 0 ? 'Suspense: empty' : `Suspense: ${suspended} records of answered calls that nothing prices`,
    ...losing.map(
      ({ fromProvider, toProvider, service, currency, margin }) =>
        `Negative margin: ${fromProvider ?? '-'} to ${toProvider ?? '-'}, ${service}: ${margin} ${currency ?? ''}`
    )
  ]
}

const printGaps = ({ nodeId, received, expected, gaps, missing }: NodeCompleteness): string =>
  `  ${nodeId}: ${received} of ${expected}, missing ${missing.join(', ')}${gaps > missing.length ? ', ...' : ''}`
