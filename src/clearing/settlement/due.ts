// Which periods of an agreement there are to close: one after the other, none before it is over.

import type { EpochMs } from '../../session/model.ts'
import type { Sql } from '../../store/sql.ts'
import type { Agreement } from '../agreements.ts'
import { periodOfDay } from '../periods.ts'
import type { SettlementPeriod } from '../periods.ts'

export const limits = {
  /** Periods of one agreement that are closed by one command: ten years of months. */
  periodsMax: 120
} as const

/** Where the statements of an agreement end. */
interface Edge {
  /** The first day that no statement covers; null: there are none yet. */
  readonly closedTo: string | null
  /** The first day with a charge; null: there is none. */
  readonly firstDay: string | null
}

async function edgeOf(sql: Sql, agreementId: string): Promise<Edge> {
  const { rows } = await sql.query<Edge>(
    `select (select max(to_day)::text from statement where agreement_id = $1) as "closedTo",
       (select min(day)::text from rollup_shard where agreement_id = $1 and side <> 'with-ingress') as "firstDay"`,
    [agreementId]
  )
  return rows[0] ?? { closedTo: null, firstDay: null }
}

/** The period that begins where the last one ended, also where the calendar of the agreement has changed since. */
const periodFrom = (day: string, { calendar }: Agreement): SettlementPeriod => ({
  ...periodOfDay(day, calendar),
  from: day
})

/** What has to be closed next; null: nothing was ever charged. */
export async function nextPeriodOf(sql: Sql, agreement: Agreement): Promise<SettlementPeriod | null> {
  const { closedTo, firstDay } = await edgeOf(sql, agreement.id)
  if (closedTo !== null) return periodFrom(closedTo, agreement)
  return firstDay === null ? null : periodOfDay(firstDay, agreement.calendar)
}

export const isOver = ({ zone }: Agreement, { to }: SettlementPeriod, now: EpochMs): boolean => zone.startOf(to) <= now

/** All that can be closed now, oldest first. */
export async function duePeriods(sql: Sql, agreement: Agreement, now: EpochMs): Promise<readonly SettlementPeriod[]> {
  const due: SettlementPeriod[] = []
  let next = await nextPeriodOf(sql, agreement)
  while (next !== null && isOver(agreement, next, now) && due.length < limits.periodsMax) {
    due.push(next)
    next = periodFrom(next.to, agreement)
  }
  return due
}
