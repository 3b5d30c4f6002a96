// The table of exchange rates (SET-06): each with its day and its source, kept for ever, looked up and never guessed.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { readCsv } from '../decks/read-csv.ts'
import { Problems } from '../decks/sheet.ts'
import { isCurrency } from './currency.ts'
import { isDay } from './days.ts'
import { limits, parseFx, printFx } from './fx.ts'
import type { FxRate, FxUse } from './fx.ts'
import { readTable } from './table.ts'

const columns = ['date', 'base', 'quote', 'rate', 'source'] as const

/**
 * The rates of a CSV file with the columns date, base, quote, rate and, unless `source` is given, source. Throws
 * HUB_CONFIG with every problem and its line; nothing of the file is taken then.
 */
export function readFxFile(name: string, bytes: Buffer, source: string | null): readonly FxRate[] {
  const needed = source === null ? columns : columns.slice(0, 4)
  const lines = readTable(name, readCsv(name, bytes, limits.rowsMax), columns, needed)
  const problems = new Problems()
  const rates: FxRate[] = []
  const seen = new Map<string, bigint>()
  for (const { line, cell } of lines) {
    const rate = rateOf(cell, source)
    if (typeof rate === 'string') {
      problems.add(line, rate)
      continue
    }
    const before = seen.get(keyOf(rate))
    if (before !== undefined && before !== rate.ratePicos) problems.add(line, `${told(rate)} appears with another rate`)
    if (before !== undefined) continue
    seen.set(keyOf(rate), rate.ratePicos)
    rates.push(rate)
  }
  if (lines.length === 0) problems.add(null, 'it has no rates')
  problems.check(name)
  return rates
}

function rateOf(cell: (column: (typeof columns)[number]) => string, given: string | null): FxRate | string {
  const [fixedOn, base, quote] = [cell('date'), cell('base').toUpperCase(), cell('quote').toUpperCase()]
  if (!isDay(fixedOn)) return `date: "${fixedOn.slice(0, 40)}" is no day such as 2026-11-30`
  for (const [column, currency] of Object.entries({ base, quote })) {
    if (!isCurrency(currency)) return `${column}: "${currency.slice(0, 40)}" is no currency such as EUR`
  }
  if (base === quote) return `base and quote are both ${base}`
  const source = given ?? cell('source')
  if (source === '') return 'source: it is empty; who fixed the rate?'
  if (source.length > limits.sourceCharsMax) return `source: more than ${limits.sourceCharsMax} characters`
  try {
    return { base, quote, ratePicos: parseFx(cell('rate')), fixedOn, source }
  } catch (error) {
    return `rate: ${(error as RangeError).message}`
  }
}

const keyOf = ({ base, quote, fixedOn, source }: FxRate): string => `${base}/${quote}/${fixedOn}/${source}`
const told = ({ base, quote, fixedOn, source }: FxRate): string => `${base} in ${quote} of ${fixedOn} by ${source}`

/**
 * Keeps rates; those that are there already count as repeated. Throws HUB_CONFIG, and keeps nothing, where one is there
 * with another rate: what was settled by it must stay computable.
 */
export async function addFxRates(
  sql: Sql,
  rates: readonly FxRate[],
  { fileName, by }: { readonly fileName: string; readonly by: string }
): Promise<{ readonly added: number; readonly repeated: number }> {
  const given = JSON.stringify(rates.map(rate => ({ ...rate, ratePicos: rate.ratePicos.toString() })))
  const shape = 'g(base text, quote text, "fixedOn" date, source text, "ratePicos" bigint)'
  const { count: added } = await sql.query(
    `insert into fx_rate (base, quote, fixed_on, source, rate_picos, file_name, imported_by)
     select base, quote, "fixedOn", source, "ratePicos", $2, $3 from json_to_recordset($1::json) as ${shape}
     on conflict do nothing`,
    [given, fileName, by]
  )
  const { rows } = await sql.query<{ base: string; quote: string; day: string; source: string; rate: bigint }>(
    `select base, quote, f.fixed_on::text as day, source, f.rate_picos as rate
     from json_to_recordset($1::json) as ${shape}
     join fx_rate f using (base, quote, source) where f.fixed_on = "fixedOn" and f.rate_picos <> "ratePicos"
     order by f.fixed_on, base, quote limit 1`,
    [given]
  )
  const other = rows[0]
  if (other === undefined) return { added, repeated: rates.length - added }
  const what = `${other.base} in ${other.quote} of ${other.day} by ${other.source}`
  throw new HubError('HUB_CONFIG', `${what} is ${printFx(other.rate)} already, and stays so; nothing was imported`)
}

export interface FxAsked {
  readonly from: string
  readonly to: string
  /** The day for which it is needed. */
  readonly day: string
  readonly source: string
  /** For how many days a rate still counts where none was fixed on the day: weekends, holidays. */
  readonly daysBefore: number
}

/**
 * The rate of a day: as quoted, or the inverse of the opposite quotation where only that is there. Never across a third
 * currency. Throws HUB_CONFIG where there is none: nothing is converted by a guess.
 */
export async function fxOn(sql: Sql, { from, to, day, source, daysBefore }: FxAsked): Promise<FxUse> {
  const { rows } = await sql.query<{ base: string; quote: string; rate: bigint; fixed_on: string }>(
    `select base, quote, rate_picos as rate, f.fixed_on::text as fixed_on from fx_rate f
     where source = $3 and f.fixed_on <= $4::date and f.fixed_on >= $4::date - $5::int
       and ((base = $1 and quote = $2) or (base = $2 and quote = $1))
     order by f.fixed_on desc, base = $1 desc limit 1`,
    [from, to, source, day, daysBefore]
  )
  const found = rows[0]
  if (found === undefined) {
    const since = daysBefore === 0 ? '' : `, nor in the ${daysBefore} days before`
    const how = 'import it with isthmus fx import'
    throw new HubError('HUB_CONFIG', `there is no rate of ${from} in ${to} by ${source} on ${day}${since}; ${how}`)
  }
  const { base, quote, rate: ratePicos, fixed_on: fixedOn } = found
  return { rate: { base, quote, ratePicos, fixedOn, source }, inverse: base !== from }
}

/** The latest first. */
export async function listFxRates(
  sql: Sql,
  { source, max }: { readonly source: string | null; readonly max: number }
): Promise<readonly (FxRate & { readonly fileName: string; readonly importedBy: string })[]> {
  const { rows } = await sql.query<{
    base: string
    quote: string
    rate: bigint
    fixed_on: string
    source: string
    file_name: string
    imported_by: string
  }>(
    `select base, quote, rate_picos as rate, fixed_on::text as fixed_on, source, file_name, imported_by
     from fx_rate where $1::text is null or source = $1 order by fx_rate.fixed_on desc, base, quote, source limit $2`,
    [source, max]
  )
  return rows.map(({ base, quote, rate, fixed_on, source, file_name, imported_by }) => ({
    base,
    quote,
    ratePicos: rate,
    fixedOn: fixed_on,
    source,
    fileName: file_name,
    importedBy: imported_by
  }))
}
