// Interest on what is paid late (SET-01, SET-09): simple, by the day, exact until it is rounded once. Pure.

import { divRound, powerOfTen } from '../money.ts'
import { addDays, daysBetween } from './days.ts'

/** Days of a year: the actual days of the delay over so many, leap years too. */
export const dayCounts = { 'actual/365': 365n, 'actual/360': 360n } as const
export type DayCount = keyof typeof dayCounts

export interface InterestTerms {
  /** Per year, in 10^-6 of a percent, each from its day on, in order; nothing before the first. */
  readonly rates: readonly { readonly from: string; readonly percentMicros: bigint }[]
  readonly dayCount: DayCount
  /** What is paid so many days after the due day was paid in time. */
  readonly graceDays: number
  /** What a dispute holds bears interest, too. */
  readonly disputed: boolean
}

/** What changed of an item on a day; above zero: paid, credited, netted, or held out. */
export interface Change {
  readonly day: string
  readonly amountMicros: bigint
}

/** One invoice, and what became of it. */
export interface LateItem {
  readonly owedMicros: bigint
  readonly dueOn: string
  readonly paid: readonly Change[]
  /** By credit notes: was never owed, whenever the note came. */
  readonly credited: readonly Change[]
  readonly held: readonly Change[]
}

/** Days on which the same amount was late at the same rate; both days count. */
export interface Stretch {
  readonly from: string
  readonly to: string
  readonly days: number
  readonly lateMicros: bigint
  readonly percentMicros: bigint
}

export interface Interest {
  readonly stretches: readonly Stretch[]
  /** Days on which something was late and bore interest. */
  readonly days: number
  /** The exact sum, rounded half up once to 10^-6. */
  readonly micros: bigint
}

/**
 * From the day after the due day to `until`, both counted. The day of a payment still counts: one that comes p days
 * after the due day bears p days.
 */
export function interestOn(item: LateItem, terms: InterestTerms, until: string): Interest {
  const lastOfGrace = addDays(item.dueOn, terms.graceDays)
  const first = addDays(item.dueOn, 1)
  if (until <= lastOfGrace || until < first) return { stretches: [], days: 0, micros: 0n }
  const edges = edgesOf(item, terms, first, until)
  const stretches = edges.flatMap((from, n): readonly Stretch[] => {
    const next = edges[n + 1]
    const to = next === undefined ? until : addDays(next, -1)
    const lateMicros = lateOn(item, terms, lastOfGrace, from)
    const percentMicros = terms.rates.findLast(rate => rate.from <= from)?.percentMicros ?? 0n
    if (lateMicros <= 0n || percentMicros === 0n) return []
    return [{ from, to, days: daysBetween(from, to) + 1, lateMicros, percentMicros }]
  })
  const sum = stretches.reduce((total, s) => total + s.lateMicros * BigInt(s.days) * s.percentMicros, 0n)
  return {
    stretches,
    days: stretches.reduce((total, { days }) => total + days, 0),
    micros: divRound(sum, 100n * powerOfTen(6) * dayCounts[terms.dayCount], 'half-up')
  }
}

/** The days on which something is otherwise than the day before. */
function edgesOf(
  { paid, credited, held }: LateItem,
  { rates }: InterestTerms,
  first: string,
  until: string
): readonly string[] {
  const changes = [...paid, ...credited, ...held].map(({ day }) => addDays(day, 1))
  const days = [...changes, ...rates.map(({ from }) => from)].filter(day => day > first && day <= until)
  return [...new Set([first, ...days])].sort((a, b) => (a < b ? -1 : 1))
}

/** What was open in the morning of a day, less what was paid within the grace, whenever that was. */
function lateOn(
  { owedMicros, paid, credited, held }: LateItem,
  terms: InterestTerms,
  lastOfGrace: string,
  day: string
): bigint {
  const sum = (changes: readonly Change[], counts: (day: string) => boolean): bigint =>
    changes.reduce((total, change) => (counts(change.day) ? total + change.amountMicros : total), 0n)
  const gone = sum(paid, of => of < day || of <= lastOfGrace)
  const out = terms.disputed ? 0n : sum(held, of => of < day)
  const [before, later] = [sum(credited, of => of < day), sum(credited, of => of >= day)]
  // What a dispute held and a note then took back is the same amount.
  return owedMicros - gone - before - (out > later ? out : later)
}
