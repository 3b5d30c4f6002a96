// The columns of a deck sheet (`charging.md` 5.4), and one line of text cells as deck rows. Pure.

import { parseRate } from '../money.ts'
import { unknownOrigin } from '../prefixes.ts'
import type { Zone } from '../zone.ts'
import { limits, offTime } from './deck-row.ts'
import type { DeckRow } from './deck-row.ts'
import { prefixesOf } from './ranges.ts'

/** In the order of an export. */
export const columns = [
  'prefix',
  'destination_name',
  'orig_set',
  'rate',
  'currency',
  'unit',
  'setup_fee',
  'min_seconds',
  'initial_increment',
  'next_increment',
  'time_class',
  'tz',
  'effective_from',
  'effective_to',
  'change',
  'blocked',
  'quality_class',
  'provider',
  'direction',
  'service'
] as const
export type Column = (typeof columns)[number]

/** Other names that sheets use, after lower-casing and with `_` for what is no letter or digit. */
const synonyms: Readonly<Record<string, Column>> = {
  code: 'prefix',
  codes: 'prefix',
  dial_code: 'prefix',
  dialcode: 'prefix',
  destination_code: 'prefix',
  destination: 'destination_name',
  name: 'destination_name',
  origin: 'orig_set',
  origin_set: 'orig_set',
  price: 'rate',
  rate_per_minute: 'rate',
  setup: 'setup_fee',
  connection_fee: 'setup_fee',
  minimum_seconds: 'min_seconds',
  initial: 'initial_increment',
  next: 'next_increment',
  effective: 'effective_from',
  effective_date: 'effective_from',
  expires: 'effective_to',
  quality: 'quality_class'
}
/** What a sheet may say of itself and nobody needs. */
const ignored = new Set(['deck_id', 'version', 'rounding', 'comment', 'comments'])
const needed = ['prefix', 'destination_name', 'rate'] as const

/** What the cells of a sheet are held against. */
export interface SheetOf {
  readonly agreementId: string
  readonly service: string
  readonly currency: string
  readonly zone: Zone
  readonly timeClasses: readonly string[]
  readonly origins: readonly string[]
  /** The party that is not the hub (or the seller), and whether the hub buys or sells there. */
  readonly provider: string
  readonly direction: 'buy' | 'sell'
  readonly decimal: '.' | ','
}

/** The name of a column without case, and with `_` for what is no letter or digit. */
export const spelt = (cell: string): string =>
  cell
    .trim()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '')

/** Where each column stands; a text says what is wrong with the header. */
export function readHeader(cells: readonly string[]): ReadonlyMap<Column, number> | string {
  const found = new Map<Column, number>()
  const known = new Map<string, Column>(columns.map(name => [name, name]))
  for (const [at, cell] of cells.entries()) {
    const name = spelt(cell)
    if (name === '' || ignored.has(name)) continue
    const column = known.get(name) ?? synonyms[name]
    if (column === undefined) return `there is no column "${shown(cell)}"; there are ${columns.join(', ')}`
    if (found.has(column)) return `the column ${column} appears twice`
    found.set(column, at)
  }
  const missing = needed.filter(name => !found.has(name))
  return missing.length > 0 ? `the column ${missing.join(' and ')} is missing` : found
}

const shown = (text: string): string => text.slice(0, 40)

export interface ReadLine {
  readonly rows: readonly DeckRow[]
  /** The codes are closed by this line (`change: delete`). */
  readonly deletes: boolean
}

class Wrong extends Error {}

/** One line; a text says what is wrong with it. */
export function readLine(cells: readonly string[], at: ReadonlyMap<Column, number>, of: SheetOf): ReadLine | string {
  const cell = (column: Column): string => (cells[at.get(column) ?? -1] ?? '').trim()
  try {
    for (const text of cells) plain(text)
    sameAs(cell, of)
    const deletes = /^(delete|deleted|closed)$/i.test(cell('change'))
    const { prefixes, problem } = prefixesOf(cell('prefix'))
    if (problem !== null) throw new Wrong(`prefix: ${problem}`)
    const row = rowOf(cell, of, deletes)
    return { rows: prefixes.map(prefix => ({ ...row, prefix })), deletes }
  } catch (error) {
    if (error instanceof Wrong) return error.message
    throw error
  }
}

/** A formula is never computed here, and never handed on to a spreadsheet. */
function plain(text: string): void {
  if (text.length > limits.cellCharsMax) throw new Wrong(`a cell of more than ${limits.cellCharsMax} characters`)
  if (/^\s*[=@]/.test(text)) throw new Wrong(`"${shown(text)}" looks like a formula`)
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) throw new Wrong('a cell with control characters')
}

type Cell = (column: Column) => string

function sameAs(cell: Cell, of: SheetOf): void {
  const unit = of.service === 'message' ? 'msg' : 'min'
  const expected = {
    currency: of.currency,
    service: of.service,
    provider: of.provider,
    direction: of.direction,
    tz: of.zone.name,
    unit
  }
  for (const [column, wanted] of Object.entries(expected)) {
    const found = cell(column as Column)
    const same =
      found.toLowerCase() === wanted.toLowerCase() || (column === 'unit' && /^(minute|message)$/i.test(found))
    if (found !== '' && !same) throw new Wrong(`${column}: "${shown(found)}" is not that of the agreement, ${wanted}`)
  }
}

function rowOf(cell: Cell, of: SheetOf, deletes: boolean): Omit<DeckRow, 'prefix'> {
  const destination = cell('destination_name')
  if (destination === '') throw new Wrong('destination_name: it is empty')
  if (/^[+-]/.test(destination)) throw new Wrong(`destination_name: "${shown(destination)}" looks like a formula`)
  const blocked = yes(cell('blocked'))
  const rate = cell('rate')
  const effectiveFrom = momentOf('effective_from', cell('effective_from'), of.zone)
  const effectiveTo = momentOf('effective_to', cell('effective_to'), of.zone)
  if (effectiveTo !== null && effectiveTo <= (effectiveFrom ?? 0))
    throw new Wrong('effective_to: it ends before it begins')
  return {
    destination,
    origin: nameOf('orig_set', cell('orig_set'), [unknownOrigin, ...of.origins]),
    quality: nameOf('quality_class', cell('quality_class'), null),
    timeClass: nameOf('time_class', cell('time_class').replace(/^any$/i, ''), [offTime, ...of.timeClasses]) ?? offTime,
    rateNanos: (blocked || deletes) && rate === '' ? 0n : amountOf('rate', rate, of.decimal),
    setupFeeNanos: amountOf('setup_fee', cell('setup_fee') || '0', of.decimal),
    minimumSeconds: secondsOf('min_seconds', cell('min_seconds') || '0', 0),
    initialSeconds: secondsOf('initial_increment', cell('initial_increment') || '1', 1),
    nextSeconds: secondsOf('next_increment', cell('next_increment') || '1', 1),
    effectiveFrom,
    effectiveTo,
    blocked
  }
}

function yes(text: string): boolean {
  if (/^(yes|true|1|y|blocked)$/i.test(text)) return true
  if (/^(no|false|0|n|)$/i.test(text)) return false
  throw new Wrong(`blocked: "${shown(text)}" is neither yes nor no`)
}

/** `known`: what there is; null: any name will do. */
function nameOf(column: Column, text: string, known: readonly string[] | null): string | null {
  const name = text.toLowerCase()
  if (name === '') return null
  if (known === null ? !/^[a-z][a-z0-9-]{0,31}$/.test(name) : !known.includes(name)) {
    const hint = known === null ? 'a name of letters, digits and hyphens' : known.join(', ')
    throw new Wrong(`${column}: "${shown(text)}" is none of ${hint}`)
  }
  return name
}

const amountPattern = { '.': /^[0-9]{1,9}(\.[0-9]+)?$/, ',': /^[0-9]{1,9}(,[0-9]+)?$/ } as const

function amountOf(column: Column, text: string, decimal: '.' | ','): bigint {
  if (text === '') throw new Wrong(`${column}: it is empty; nothing is free by mistake, write 0`)
  if (!amountPattern[decimal].test(text)) {
    const other = decimal === '.' && amountPattern[','].test(text)
    throw new Wrong(
      other
        ? `${column}: "${shown(text)}" has a decimal comma; say --decimal comma if all of the sheet has`
        : `${column}: "${shown(text)}" is no amount such as 0${decimal}0123`
    )
  }
  try {
    return parseRate(text.replace(',', '.'))
  } catch {
    throw new Wrong(`${column}: "${shown(text)}" has more than 9 digits after the point`)
  }
}

function secondsOf(column: Column, text: string, min: number): number {
  const seconds = /^[0-9]{1,5}$/.test(text) ? Number(text) : -1
  if (seconds < min || seconds > 86_400)
    throw new Wrong(`${column}: "${shown(text)}" is no number of seconds, ${min} to 86400`)
  return seconds
}

/** A day or local time of the agreement, or a moment with its offset. */
function momentOf(column: Column, text: string, zone: Zone): number | null {
  if (text === '') return null
  const [, day = '', time = '', seconds = ':00', offset = ''] =
    /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.0+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$/.exec(
      text
    ) ?? []
  const asUtc = day === '' ? Number.NaN : Date.parse(`${day}T${time || '00:00'}${seconds.slice(0, 3)}${offset || 'Z'}`)
  if (Number.isNaN(asUtc) || !sameDay(day)) {
    throw new Wrong(`${column}: "${shown(text)}" is no date such as 2026-12-01 or 2026-12-01T00:00:00Z`)
  }
  if (offset !== '') return asUtc
  return time === '' ? zone.startOf(day) : asUtc - zone.offsetMs(asUtc - zone.offsetMs(asUtc))
}

/** February has no 30th. */
const sameDay = (day: string): boolean => new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) === day
