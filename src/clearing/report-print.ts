// The settlement report for people, for programs and for spreadsheets.

import { stringify } from 'csv-stringify/sync'
import type { NodeCompleteness, ReportLine, SettlementReport } from './report.ts'

export const reportFormats = ['text', 'json', 'csv'] as const
export type ReportFormat = (typeof reportFormats)[number]

type Column = readonly [heading: string, value: (line: ReportLine) => string | number | null]

const columns: readonly Column[] = [
  ['from', line => line.fromProvider],
  ['to', line => line.toProvider],
  ['service', line => line.service],
  ['currency', line => line.currency],
  ['attempts', line => line.attempts],
  ['answered', line => line.answered],
  ['min sold', line => line.minutesSold],
  ['min bought', line => line.minutesBought],
  ['msg sold', line => line.messagesSold],
  ['msg bought', line => line.messagesBought],
  ['sell', line => line.sell],
  ['cost', line => line.cost],
  ['margin', line => line.margin],
  ['direct', line => line.direct],
  ['suspended', line => line.suspended]
]
/** The rest are numbers: their points stand below each other. */
const wordColumns = 4

export const printReport = {
  /** One JSON object; amounts are decimal strings. */
  json: report => `${JSON.stringify(report, null, 2)}\n`,
  csv: ({ lines }) =>
    stringify([csvHeadings, ...lines.map(cellsOf('')).map(row => [...row])], { record_delimiter: 'windows' }),
  text: report => `${[...head(report), '', ...table(report), '', ...tail(report)].join('\n')}\n`
} as const satisfies Record<ReportFormat, (report: SettlementReport) => string>

const csvHeadings = columns.map(([heading]) =>
  heading.replace('min ', 'minutes ').replace('msg ', 'messages ').replaceAll(' ', '_')
)

const cellsOf =
  (none: string) =>
  (line: ReportLine): readonly string[] =>
    columns.map(([, value]) => String(value(line) ?? none))

const head = ({ period: { from, to } }: SettlementReport): readonly string[] => [
  `Settlement from ${from} to ${to} (that day excluded; days in the time zone of each agreement)`
]

function table({ lines, totals }: SettlementReport): readonly string[] {
  if (lines.length === 0) return ['Nothing was cleared in this period.']
  const money = ['sell', 'cost', 'margin', 'direct'] as const
  const sums = totals.map(total =>
    columns.map(([heading]) => {
      const name = money.find(name => name === heading)
      if (name !== undefined) return total[name]
      return heading === 'from' ? 'total' : heading === 'currency' ? total.currency : ''
    })
  )
  const rows = [columns.map(([heading]) => heading), ...lines.map(cellsOf('-')), ...sums]
  const widths = columns.map((_, n) => Math.max(...rows.map(row => row[n]?.length ?? 0)))
  const print = (row: readonly string[]): string =>
    row
      .map((cell, n) => (n < wordColumns ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))
      .join('  ')
      .trimEnd()
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  const printed = rows.map(print)
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
