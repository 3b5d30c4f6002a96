// The columns of a partner's file, and its cells as calls or as sums per destination. Pure.

import { spelt } from '../decks/columns.ts'
import { parseScaled } from '../money.ts'
import type { Zone } from '../zone.ts'
import type { TheirCall } from './model.ts'
import { normalised } from './number.ts'

/** `call`: one line a call. `declared`: one line a destination, with units and perhaps an amount (SET-01). */
export const columns = [
  'cdr_id',
  'called',
  'calling',
  't_answer',
  'duration_s',
  'duration_ms',
  'units',
  'minutes',
  'calls',
  'amount',
  'rate',
  'dest_code',
  'destination_name',
  'currency',
  'service'
] as const
export type Column = (typeof columns)[number]

/** Other names that files use, after lower-casing and with `_` for what is no letter or digit. */
const synonyms: Readonly<Record<string, Column>> = {
  id: 'cdr_id',
  called_number: 'called',
  b_number: 'called',
  bnumber: 'called',
  destination_number: 'called',
  dialed_number: 'called',
  calling_number: 'calling',
  a_number: 'calling',
  anumber: 'calling',
  cli: 'calling',
  caller: 'calling',
  answer_time: 't_answer',
  start_time: 't_answer',
  start: 't_answer',
  connect_time: 't_answer',
  timestamp: 't_answer',
  duration: 'duration_s',
  duration_sec: 'duration_s',
  seconds: 'duration_s',
  billed_units: 'units',
  billed_seconds: 'units',
  billed_duration: 'units',
  messages: 'units',
  billed_minutes: 'minutes',
  attempts: 'calls',
  cdr_count: 'calls',
  charge: 'amount',
  cost: 'amount',
  net_amount: 'amount',
  price: 'rate',
  code: 'dest_code',
  prefix: 'dest_code',
  destination: 'destination_name'
}

export type FileKind = 'calls' | 'declaration'

export interface Header {
  readonly kind: FileKind
  readonly at: ReadonlyMap<Column, number>
  readonly hasAmounts: boolean
}

/** `mapping`: our column by the name that the file has for it. A text says what is wrong with the header. */
export function readHeader(cells: readonly string[], mapping: ReadonlyMap<string, Column>): Header | string {
  const byName = new Map([...mapping].map(([name, column]) => [spelt(name), column]))
  const mapped = new Set(byName.values())
  const known = new Map<string, Column>(columns.map(name => [name, name]))
  const at = new Map<Column, number>()
  for (const [n, cell] of cells.entries()) {
    const name = spelt(cell)
    const chosen = byName.get(name)
    const column = chosen ?? known.get(name) ?? synonyms[name]
    // What is named by hand goes before what only sounds like it; other columns are the partner's own business.
    if (column === undefined || (chosen === undefined && mapped.has(column))) continue
    if (at.has(column)) return `the column ${column} appears twice; say --map ${column}=NAME`
    at.set(column, n)
  }
  for (const [name, column] of mapping) {
    if (!at.has(column)) return `there is no column "${name.slice(0, 40)}" for ${column}`
  }
  const has = (...names: readonly Column[]): boolean => names.some(name => at.has(name))
  const hasAmounts = at.has('amount')
  if (has('called') && has('t_answer')) return { kind: 'calls', at, hasAmounts }
  if (has('dest_code', 'destination_name') && has('units', 'minutes', 'duration_s')) {
    return { kind: 'declaration', at, hasAmounts }
  }
  const [calls, sums] = ['called and t_answer (a file of calls)', 'destination_name or dest_code with units (sums)']
  return `it has neither ${calls} nor ${sums}`
}

/** What a file is held against, and how it writes times and numbers. */
export interface FileOf {
  readonly currency: string
  readonly service: string
  /** Of times without an offset. */
  readonly zone: Zone
  readonly decimal: '.' | ','
}

/** One destination of a declaration. */
export interface Declared {
  readonly line: number
  readonly code: string | null
  readonly destination: string | null
  readonly calls: bigint | null
  readonly units: bigint
  readonly amountMicros: bigint | null
}

class Wrong extends Error {}

/** Runs a reader of cells; a text says what is wrong with the line. */
function readWith<T>(work: () => T): T | string {
  try {
    return work()
  } catch (error) {
    if (error instanceof Wrong) return error.message
    throw error
  }
}

const cellCharsMax = 512
type Cell = (column: Column) => string

function cellOf(cells: readonly string[], { at }: Header, of: FileOf): Cell {
  for (const text of cells) {
    if (text.length > cellCharsMax) throw new Wrong(`a cell of more than ${cellCharsMax} characters`)
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) throw new Wrong('a cell with control characters')
  }
  const cell = (column: Column): string => (cells[at.get(column) ?? -1] ?? '').trim()
  for (const column of ['currency', 'service'] as const) {
    const found = cell(column)
    if (found !== '' && found.toLowerCase() !== of[column].toLowerCase()) {
      throw new Wrong(`${column}: "${shown(found)}" is not that of the agreement, ${of[column]}`)
    }
  }
  return cell
}

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export const readCall = (line: number, cells: readonly string[], header: Header, of: FileOf): TheirCall | string =>
  readWith(() => {
    const cell = cellOf(cells, header, of)
    const number = normalised(cell('called'))
    if (number === '') throw new Wrong('called: it is empty')
    const id = cell('cdr_id')
    const amount = cell('amount')
    return {
      line,
      number,
      calling: normalised(cell('calling')) || null,
      at: momentOf(cell('t_answer'), of.zone),
      durationMs: durationOf(cell),
      units: unitsOf(cell, of),
      amountMicros: amount === '' ? null : microsOf('amount', amount, of.decimal),
      amountDigits: (/[.,]([0-9]+)$/.exec(amount)?.[1] ?? '').length,
      rateNanos: cell('rate') === '' ? null : numberOf('rate', cell('rate'), of.decimal, 9),
      code: codeOf(cell),
      destination: cell('destination_name') || null,
      cdrId: uuidShape.test(id) ? id.toLowerCase() : null
    }
  })

export const readDeclared = (line: number, cells: readonly string[], header: Header, of: FileOf): Declared | string =>
  readWith(() => {
    const cell = cellOf(cells, header, of)
    const [code, destination] = [codeOf(cell), cell('destination_name') || null]
    if (code === null && destination === null) throw new Wrong('neither dest_code nor destination_name says where to')
    const seconds = durationOf(cell)
    const units = unitsOf(cell, of) ?? (seconds === null ? null : BigInt(Math.ceil(seconds / 1_000)))
    if (units === null) throw new Wrong('units: it is empty')
    const amount = cell('amount')
    return {
      line,
      code,
      destination,
      calls: cell('calls') === '' ? null : wholeOf('calls', cell('calls')),
      units,
      amountMicros: amount === '' ? null : microsOf('amount', amount, of.decimal)
    }
  })

const shown = (text: string): string => text.slice(0, 40)

function codeOf(cell: Cell): string | null {
  const code = cell('dest_code').replace(/^\+/, '')
  if (code !== '' && !/^[0-9]{1,15}$/.test(code)) throw new Wrong(`dest_code: "${shown(code)}" is no code`)
  return code === '' ? null : code
}

function wholeOf(column: Column, text: string): bigint {
  if (!/^[0-9]{1,15}$/.test(text)) throw new Wrong(`${column}: "${shown(text)}" is no whole number`)
  return BigInt(text)
}

/** Seconds or messages; minutes as they are billed, in decimals. */
function unitsOf(cell: Cell, { decimal }: FileOf): bigint | null {
  if (cell('units') !== '') return wholeOf('units', cell('units'))
  if (cell('minutes') === '') return null
  return (numberOf('minutes', cell('minutes'), decimal, 6) * 60n + 500_000n) / 1_000_000n
}

/** Seconds with or without a fraction, or hours, minutes and seconds. */
function durationOf(cell: Cell): number | null {
  const ms = cell('duration_ms')
  if (ms !== '') return Number(wholeOf('duration_ms', ms))
  const text = cell('duration_s')
  if (text === '') return null
  const [, hours = '0', minutes = '0', seconds = '', fraction = ''] =
    /^(?:([0-9]{1,3}):)?(?:([0-9]{1,2}):)?([0-9]{1,7})(?:[.,]([0-9]{1,9}))?$/.exec(text) ?? []
  if (seconds === '') throw new Wrong(`duration_s: "${shown(text)}" is no length such as 61, 61.5 or 0:01:01`)
  // "1:05" is minutes and seconds.
  const [h, m] = /^[0-9]+:[0-9]+([.,]|$)/.test(text) ? ['0', hours] : [hours, minutes]
  const whole = Number(h) * 3_600 + Number(m) * 60 + Number(seconds)
  return whole * 1_000 + Number(fraction.slice(0, 3).padEnd(3, '0'))
}

const patterns = { '.': /^[0-9]{1,12}(\.[0-9]{1,18})?$/, ',': /^[0-9]{1,12}(,[0-9]{1,18})?$/ } as const

function numberOf(column: Column, text: string, decimal: '.' | ',', scale: number): bigint {
  if (!patterns[decimal].test(text)) {
    const comma = decimal === '.' && patterns[','].test(text)
    const hint = comma ? 'has a decimal comma; say --decimal comma' : `is no number such as 0${decimal}0123`
    throw new Wrong(`${column}: "${shown(text)}" ${hint}`)
  }
  // What their system keeps beyond our digits is rounded, half up.
  const long = parseScaled(text.replace(',', '.'), 18)
  const step = 10n ** BigInt(18 - scale)
  return (long + step / 2n) / step
}
const microsOf = (column: Column, text: string, decimal: '.' | ','): bigint => numberOf(column, text, decimal, 6)

const secondsFrom = 1e9
const secondsTo = 5e9

/** A moment with its offset, a local time of the file's zone, or seconds or milliseconds since 1970. */
function momentOf(text: string, zone: Zone): number {
  if (/^[0-9]{10}(\.[0-9]+)?$|^[0-9]{13}$/.test(text)) {
    const value = Number(text)
    return value >= secondsFrom && value < secondsTo ? Math.round(value * 1_000) : value
  }
  const [, year = '', month = '', day = '', hour = '', minute = '', second = '', rest = ''] =
    /^([0-9]{4})[-/]?([0-9]{2})[-/]?([0-9]{2})[T ]?([0-9]{2}):?([0-9]{2}):?([0-9]{2})(.*)$/.exec(text) ?? []
  const tail = /^(?:[.,]([0-9]{1,9}))?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?$/.exec(rest)
  const [, fraction = '', offset = ''] = tail ?? []
  const date = `${year}-${month}-${day}`
  const utc = year === '' ? Number.NaN : Date.parse(`${date}T${hour}:${minute}:${second}Z`)
  if (tail === null || Number.isNaN(utc) || !new Date(utc).toISOString().startsWith(date)) {
    throw new Wrong(`t_answer: "${shown(text)}" is no time such as 2026-11-02T12:00:00Z or 2026-11-02 12:00:00`)
  }
  const local = utc + Number(fraction.slice(0, 3).padEnd(3, '0'))
  if (offset === 'Z') return local
  if (offset !== '') {
    const [, sign = '', hours = '', minutes = ''] = /^([+-])([0-9]{2}):?([0-9]{2})$/.exec(offset) ?? []
    return local - (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
  }
  return local - zone.offsetMs(local - zone.offsetMs(local))
}
