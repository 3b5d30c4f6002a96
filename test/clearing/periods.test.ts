import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { calendars, periodNamed, periodOfDay } from '../../src/clearing/periods.ts'

describe('the periods of an agreement', () => {
  it('have a name by which they are found again, every day of thirty years', () => {
    const end = Date.UTC(2050, 0)
    for (let at = Date.UTC(2020, 0); at < end; at += 86_400_000) {
      const day = new Date(at).toISOString().slice(0, 10)
      for (const calendar of calendars) {
        const period = periodOfDay(day, calendar)
        deepEqual(periodNamed(period.name, calendar), period)
      }
    }
  })

  it('a name that the calendar does not have is refused, with one that it has', () => {
    for (const name of ['2026-13', '2026-00', '2026-1', '2026-W01', '26-11', 'november', '']) {
      throws(() => periodNamed(name, 'month'), /no month such as 2026-11/, name)
    }
    for (const name of ['2026-Q5', '2026-Q0', '2026-04']) throws(() => periodNamed(name, 'quarter'), /no quarter/)
    throws(() => periodNamed('2026-W54', 'week'), /no week such as 2026-W45/)
    // 2026 has 53 weeks, 2027 has not (ISO 8601).
    equal(periodNamed('2026-W53', 'week').from, '2026-12-28')
    throws(() => periodNamed('2027-W53', 'week'), /no week/)
  })
})
