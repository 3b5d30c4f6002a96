// A reconciliation for people: words, CSV and XLSX. Each part that differs is a row of the sheets.

import { stringify } from 'csv-stringify/sync'
import writeXlsxFile from 'write-excel-file/node'
import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { printAmount, printScaled } from '../money.ts'
import { limits as modelLimits, outcomeClasses } from './model.ts'
import type { Reconciliation } from './result.ts'
import type { Sum } from './tally.ts'

export const limits = {
  /** Rows of a sheet of differences; more go as CSV. */
  xlsxRowsMax: 20_000,
  /** Destinations in the text. */
  destinationsShown: 25
} as const

const stands = { ours: 'our figure stands', theirs: 'their figure stands' } as const

export function reconciliationText(found: Reconciliation): string {
  const { id, agreementId, period, kind, fileName, lines, currency, ours, theirs, difference, matched } = found
  const volume = (sum: Pick<Sum, 'units' | 'amountMicros'>): string =>
    `${sum.units} units, ${printAmount(sum.amountMicros)} ${currency}`
  const clock = found.clockOffsetMs === 0 ? [] : [`their clock is ${found.clockOffsetMs} ms ahead of ours`]
  const priced = found.hasAmounts ? [] : ['the file has no amounts: theirs are at our rates']
  const judged = {
    matched: 'no difference',
    within: `within the tolerance of the agreement: ${stands[found.biller]}`,
    above: 'above the tolerance of the agreement: exchange records, or open a dispute'
  }[found.standing]
  return [
    `reconciliation ${id}: agreement ${agreementId}, ${period}, ${kind} in ${fileName} (${lines} lines)`,
    `  ours        ${String(ours.count).padStart(9)} calls  ${volume(ours)}`,
    `  theirs      ${String(theirs.count).padStart(9)} calls  ${volume(theirs)}`,
    `  difference  ${volume(difference)} (${printScaled(found.percentMicros, 6)} %): ${judged}`,
    `  without any difference: ${matched}`,
    ...[...clock, ...priced].map(line => `  ${line}`),
    ...outcomeClasses
      .filter(outcome => found.classes[outcome].count > 0n)
      .map(outcome => {
        const sum = found.classes[outcome]
        return `  ${outcome.padEnd(16)} ${String(sum.count).padStart(9)}  ${volume(sum)}`
      }),
    ...destinationLines(found)
  ].join('\n')
}

/** Those above the tolerance: for these records are exchanged. */
function destinationLines({ destinations, currency }: Reconciliation): readonly string[] {
  const above = destinations.filter(({ standing }) => standing === 'above')
  const shown = above.slice(0, limits.destinationsShown).map(({ destination, ours, theirs }) => {
    const [units, amount] = [theirs.units - ours.units, theirs.amountMicros - ours.amountMicros]
    return `    ${destination}: ${units} units, ${printAmount(amount)} ${currency}`
  })
  const more = above.length > shown.length ? [`    and ${above.length - shown.length} more`] : []
  return above.length === 0 ? [] : ['  above the tolerance:', ...shown, ...more]
}

const columns = [
  'outcome',
  'destination_name',
  'line',
  'cdr_id',
  'called',
  'calling',
  't_answer',
  'our_units',
  'our_amount',
  'their_units',
  'their_amount',
  'diff_units',
  'diff_amount',
  'currency'
] as const

interface ItemRow {
  readonly outcome: string
  readonly destination: string
  readonly line: bigint | null
  readonly cdr_id: string | null
  readonly called: string | null
  readonly calling: string | null
  readonly at: Date | null
  readonly our_units: bigint | null
  readonly our_amount: bigint | null
  readonly their_units: bigint | null
  readonly their_amount: bigint | null
  readonly units: bigint
  readonly amount_micros: bigint
  readonly item: bigint
}

const text = (value: bigint | string | null): string => (value === null ? '' : String(value))
const money = (value: bigint | null): string => (value === null ? '' : printAmount(value))
/** A spreadsheet would compute what begins like a formula. */
const plain = (value: string | null): string => (value === null ? '' : value.replace(/^[=@+\t\r-]/, "'$&"))

/** Every part of the difference, in the order of finding, page by page. */
async function* itemPages(sql: Sql, { id, currency }: Reconciliation): AsyncGenerator<readonly (readonly string[])[]> {
  let after = 0n
  for (;;) {
    const { rows } = await sql.query<ItemRow>(
      `select i.item, i.outcome, i.destination, i.line, i.cdr_id, coalesce(t.number, f.dialled) as called,
         coalesce(t.calling, f.calling) as calling, coalesce(f.t_answer, t.at) as at,
         c.billed_units as our_units, c.amount_micros as our_amount, t.units as their_units,
         t.amount_micros as their_amount, i.units, i.amount_micros
       from reconciliation_item i
       left join partner_call t on t.reconciliation_id = i.reconciliation_id and t.line = i.line
       left join cdr_final f on f.cdr_id = i.cdr_id left join charge_now c on c.cdr_id = i.cdr_id
       where i.reconciliation_id = $1 and i.item > $2 order by i.item limit $3`,
      [id, after, modelLimits.pageRows]
    )
    if (rows.length === 0) return
    after = rows.at(-1)?.item ?? after
    yield rows.map(row => [
      row.outcome,
      plain(row.destination),
      text(row.line),
      text(row.cdr_id),
      plain(row.called),
      plain(row.calling),
      row.at?.toISOString() ?? '',
      text(row.our_units),
      money(row.our_amount),
      text(row.their_units),
      money(row.their_amount),
      text(row.units),
      money(row.amount_micros),
      currency
    ])
  }
}

export async function* reconciliationCsv(sql: Sql, found: Reconciliation): AsyncGenerator<string> {
  yield stringify([[...columns]])
  for await (const page of itemPages(sql, found)) yield stringify(page.map(row => [...row]))
}

/** The sums on one sheet, the differences on another. Throws HUB_LIMIT for too many of them. */
export async function reconciliationXlsx(
  sql: Sql,
  found: Reconciliation,
  rowsMax: number = limits.xlsxRowsMax
): Promise<Buffer> {
  const rows: (readonly string[])[] = []
  for await (const page of itemPages(sql, found)) {
    rows.push(...page)
    if (rows.length > rowsMax) {
      throw new HubError('HUB_LIMIT', `more than ${rowsMax} differences are too many for XLSX; take CSV`)
    }
  }
  const cell = (value: string) => ({ value, type: String })
  const bold = (value: string) => ({ ...cell(value), fontWeight: 'bold' as const })
  const sums = [
    ['side', 'calls', 'units', 'amount', 'currency'],
    ...(['ours', 'theirs'] as const).map(side => [side, ...sumCells(found[side]), found.currency]),
    ...outcomeClasses.map(outcome => [outcome, ...sumCells(found.classes[outcome]), found.currency])
  ]
  const places = [
    ['destination_name', 'our_units', 'our_amount', 'their_units', 'their_amount', 'standing'],
    ...found.destinations.map(({ destination, ours, theirs, standing }) => [
      plain(destination),
      ...sumCells(ours).slice(1),
      ...sumCells(theirs).slice(1),
      standing
    ])
  ]
  const sheet = (lines: readonly (readonly string[])[]) =>
    lines.map((line, n) => line.map(value => (n === 0 ? bold(value) : cell(value))))
  const file = writeXlsxFile([
    { data: sheet(sums), sheet: 'Sums' },
    { data: sheet(places), sheet: 'Destinations' },
    { data: sheet([columns, ...rows]), sheet: 'Differences' }
  ])
  return file.toBuffer()
}

const sumCells = ({ count, units, amountMicros }: Sum): readonly string[] => [
  String(count),
  String(units),
  printAmount(amountMicros)
]
