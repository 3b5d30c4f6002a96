// From a sheet and the deck in force to a whole new deck: modes full, country and partial (SET-10), rows that stay
// until the new ones begin, and what a complete deck must hold. Pure.

import type { EpochMs } from '../../session/model.ts'
import { countryOf } from './countries.ts'
import { keyOf, offTime } from './deck-row.ts'
import type { DeckRow } from './deck-row.ts'
import { Problems } from './sheet.ts'
import type { Sheet } from './sheet.ts'

export const deckModes = ['full', 'country', 'partial'] as const
export type DeckMode = (typeof deckModes)[number]

export interface Merged {
  readonly rows: readonly DeckRow[]
  readonly warnings: readonly string[]
}

export const warningsMax = 100

/**
 * `full`: what is not in the sheet is closed. `country`: the same, for the countries in it. `partial`: only what is in
 * it changes. `now` decides which rows of the base still matter. Throws HUB_CONFIG with line numbers.
 */
export function mergeDeck(name: string, sheet: Sheet, base: readonly DeckRow[], mode: DeckMode, now: EpochMs): Merged {
  const problems = new Problems()
  const fresh = Map.groupBy(sheet.rows, keyOf)
  const known = Map.groupBy(
    base.filter(({ effectiveTo }) => effectiveTo === null || effectiveTo > now),
    keyOf
  )
  const countries = mode === 'country' ? new Set(sheet.rows.map(({ prefix }) => countryOf(prefix))) : null
  for (const key of sheet.deleted) {
    if (fresh.has(key)) problems.add(null, `${key.trim()} is priced and deleted by the same sheet`)
    else if (!known.has(key)) problems.add(null, `${key.trim()} is deleted, but the deck in force does not have it`)
  }
  const rows: DeckRow[] = []
  for (const [key, old] of known) {
    const next = fresh.get(key)
    if (next !== undefined) rows.push(...until(old, startOf(next), now))
    else if (stays(key, old, mode, countries, sheet)) rows.push(...old)
  }
  for (const [key, own] of fresh) {
    checkOverlaps(key, own, sheet, problems)
    rows.push(...own)
  }
  checkGroups(rows, sheet, problems)
  problems.check(name)
  return { rows, warnings: [...gapsInTime(fresh), ...gapsInCodes(rows)].slice(0, warningsMax) }
}

function stays(
  key: string,
  [row]: readonly DeckRow[],
  mode: DeckMode,
  countries: ReadonlySet<string | null> | null,
  sheet: Sheet
): boolean {
  if (sheet.deleted.has(key) || row === undefined) return false
  if (mode === 'full') return false
  return countries === null || !countries.has(countryOf(row.prefix))
}

/** Null: as soon as the version is in force. */
function startOf(rows: readonly DeckRow[]): EpochMs | null {
  const starts = rows.map(({ effectiveFrom }) => effectiveFrom)
  return starts.includes(null) ? null : Math.min(...starts.map(start => start ?? 0))
}

/** Old rows hold until the new ones begin. */
function until(old: readonly DeckRow[], start: EpochMs | null, now: EpochMs): readonly DeckRow[] {
  if (start === null || start <= now) return []
  return old.flatMap(row => {
    if ((row.effectiveFrom ?? 0) >= start) return []
    return [{ ...row, effectiveTo: Math.min(row.effectiveTo ?? Infinity, start) }]
  })
}

const spanOf = ({ effectiveFrom, effectiveTo }: DeckRow): readonly [number, number] => [
  effectiveFrom ?? 0,
  effectiveTo ?? Infinity
]
const byStart = (a: DeckRow, b: DeckRow): number => (a.effectiveFrom ?? 0) - (b.effectiveFrom ?? 0)

function checkOverlaps(key: string, own: readonly DeckRow[], sheet: Sheet, problems: Problems): void {
  if (own.length < 2) return
  const sorted = own.toSorted(byStart)
  for (const [n, row] of sorted.entries()) {
    const before = sorted[n - 1]
    if (before === undefined || spanOf(before)[1] <= spanOf(row)[0]) continue
    const [line = 0, other = 0] = [sheet.lineOf.get(row), sheet.lineOf.get(before)]
    problems.add(Math.max(line, other), `${key.trim()} is priced already by line ${Math.min(line, other)}`)
  }
}

/** Time classes share everything but the rate, and need a rate for the other times. */
function checkGroups(rows: readonly DeckRow[], sheet: Sheet, problems: Problems): void {
  const classed = rows.filter(({ timeClass }) => timeClass !== offTime)
  if (classed.length === 0) return
  const bases = Map.groupBy(
    rows.filter(({ timeClass }) => timeClass === offTime),
    keyOf
  )
  for (const row of classed) {
    const line = sheet.lineOf.get(row) ?? null
    const [from, to] = spanOf(row)
    const own = bases.get(keyOf({ ...row, timeClass: offTime })) ?? []
    const covering = own.filter(base => spanOf(base)[0] < to && spanOf(base)[1] > from).sort(byStart)
    let covered = from
    for (const base of covering) if (spanOf(base)[0] <= covered) covered = Math.max(covered, spanOf(base)[1])
    if (covered < to) problems.add(line, `${row.prefix} has a rate for ${row.timeClass}, but not always one for off`)
    const differs = covering.find(base => !sameTerms(base, row))
    if (differs !== undefined) {
      problems.add(line, `${row.prefix}: set-up fee, minimum and increments of ${row.timeClass} are not those of off`)
    }
  }
}

const sameTerms = (a: DeckRow, b: DeckRow): boolean =>
  a.setupFeeNanos === b.setupFeeNanos &&
  a.minimumSeconds === b.minimumSeconds &&
  a.initialSeconds === b.initialSeconds &&
  a.nextSeconds === b.nextSeconds &&
  a.blocked === b.blocked

function gapsInTime(fresh: ReadonlyMap<string, readonly DeckRow[]>): readonly string[] {
  const gaps: string[] = []
  for (const [key, own] of fresh) {
    if (own.length < 2) continue
    const sorted = own.toSorted(byStart)
    for (const [n, row] of sorted.entries()) {
      const end = sorted[n - 1]?.effectiveTo ?? null
      if (end === null || end >= (row.effectiveFrom ?? 0)) continue
      const times = [end, row.effectiveFrom ?? 0].map(at => new Date(at).toISOString())
      gaps.push(`${key.trim()} has no rate from ${times.join(' to ')}`)
    }
  }
  return gaps
}

/** Codes that nothing prices while most of their neighbours have a rate. */
function gapsInCodes(rows: readonly DeckRow[]): readonly string[] {
  const codes = new Set(rows.map(({ prefix }) => prefix))
  const parents = new Map<string, number>()
  for (const code of codes) {
    const parent = code.slice(0, -1)
    if (parent.length > 1) parents.set(parent, (parents.get(parent) ?? 0) + 1)
  }
  const gaps: string[] = []
  for (const [parent, children] of parents) {
    if (children < 7 || children > 9 || isPriced(parent, codes)) continue
    const missing = Array.from({ length: 10 }, (_, digit) => `${parent}${digit}`).filter(code => !codes.has(code))
    const open = missing.filter(code => !hasLonger(code, parents))
    if (open.length > 0) gaps.push(`${open.join(', ')}: nothing prices what its neighbours have a rate for`)
  }
  return gaps
}

const isPriced = (code: string, codes: ReadonlySet<string>): boolean =>
  Array.from({ length: code.length }, (_, n) => code.slice(0, n + 1)).some(prefix => codes.has(prefix))
const hasLonger = (code: string, parents: ReadonlyMap<string, number>): boolean => parents.has(code)
