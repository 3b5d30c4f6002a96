// The periods by which an agreement settles: months, quarters or weeks of its own time zone.

import { HubError } from '../errors.ts'
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

/** The period of a name, such as `2026-11`. Throws HUB_CONFIG for a name that the calendar does not have. */
export function periodNamed(name: string, calendar: Calendar): SettlementPeriod {
  const found = firstDayOf(name, calendar)
  const period = found === null ? null : periodOfDay(found, calendar)
  if (period?.name === name) return period
  const like = { month: '2026-11', quarter: '2026-Q4', week: '2026-W45' }[calendar]
  throw new HubError('HUB_CONFIG', `${JSON.stringify(name.slice(0, 40))} is no ${calendar} such as ${like}`)
}

/** A day in it, or null. */
function firstDayOf(name: string, calendar: Calendar): string | null {
  const [, year = '', kind = '', digits = ''] = /^([12][0-9]{3})-(W|Q)?([0-9]{1,2})$/.exec(name) ?? []
  const number = Number(digits)
  if (year === '' || number < 1) return null
  if (calendar === 'month') return number > 12 || kind !== '' || digits.length < 2 ? null : `${year}-${digits}-01`
  if (calendar === 'quarter') return number > 4 || kind !== 'Q' ? null : dayOf(Date.UTC(Number(year), number * 3 - 3))
  // The week with 4 January is the first one.
  return number > 53 || kind !== 'W' ? null : dayOf(Date.UTC(Number(year), 0, 4) + (number - 1) * 7 * dayMs)
}
