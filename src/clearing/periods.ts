// The periods by which an agreement settles: months, quarters or weeks of its own time zone.

import type { EpochMs } from '../session/model.ts'
import type { Zone } from './zone.ts'

export const calendars = ['month', 'quarter', 'week'] as const
export type Calendar = (typeof calendars)[number]

export interface SettlementPeriod {
  /** `2026-11`, `2026-Q4`, or the week by ISO 8601: `2026-W45`. */
  readonly name: string
  /** Local days; `to` is no part of the period. */
  readonly from: string
  readonly to: string
}

const dayMs = 86_400_000
const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** The period that a local day, such as `2026-11-01`, belongs to. */
export function periodOfDay(day: string, calendar: Calendar): SettlementPeriod {
  const at = new Date(`${day}T00:00:00Z`)
  if (Number.isNaN(at.getTime())) throw new RangeError(`not a day: ${day}`)
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()]
  switch (calendar) {
    case 'month':
      return { name: day.slice(0, 7), from: dayOf(Date.UTC(year, month)), to: dayOf(Date.UTC(year, month + 1)) }
    case 'quarter': {
      const quarter = Math.floor(month / 3)
      const [from, to] = [Date.UTC(year, quarter * 3), Date.UTC(year, quarter * 3 + 3)]
      return { name: `${year}-Q${quarter + 1}`, from: dayOf(from), to: dayOf(to) }
    }
    default: {
      const monday = at.getTime() - ((at.getUTCDay() + 6) % 7) * dayMs
      // A week is of the year that its Thursday is in.
      const thursday = new Date(monday + 3 * dayMs)
      const first = Date.UTC(thursday.getUTCFullYear(), 0)
      const week = Math.floor((thursday.getTime() - first) / (7 * dayMs)) + 1
      const name = `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`
      return { name, from: dayOf(monday), to: dayOf(monday + 7 * dayMs) }
    }
  }
}

/** The period of a moment in a time zone. */
export const periodOf = (at: EpochMs, calendar: Calendar, zone: Zone): SettlementPeriod =>
  periodOfDay(zone.day(at), calendar)
