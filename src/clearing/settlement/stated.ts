// The charges that a statement is made of: what stands in a period, what came late, what is taken back. One cursor
// each, so that all of it is of one moment.

import { escapeLiteral } from 'pg'
import type { Sql } from '../../store/sql.ts'
import type { ViewedRecord } from './view.ts'

export const limits = {
  /** Records of one read. */
  pageMax: 1_000
} as const

/** A charge with its record, as it is counted in a statement. */
export interface StatedCharge extends ViewedRecord {
  readonly provider: string
  readonly other_provider: string | null
  readonly rn: string | null
  readonly quality_class: string | null
  readonly emergency: boolean
  readonly side: 'sell' | 'buy' | 'bilateral'
  /** What the call would have cost before the model of the agreement; null: no different. */
  readonly gross: string | null
  /** Null: several rates, or none. */
  readonly rate: string | null
}

export interface Days {
  readonly from: string
  readonly to: string
}

const columnsOf = (c: string, own: string): string => `${c}.side, ${c}.rule, ${c}.agreement_id, ${c}.rate_id,
  ${c}.destination, ${c}.currency, ${c}.billed_units, ${c}.amount_micros, ${c}.day,
  coalesce(${own} ->> 'gross', ${own} ->> 'kept') as gross`
const oneRate = (own: string): string =>
  `case jsonb_array_length(${own} -> 'parts') when 1 then ${own} -> 'parts' -> 0 ->> 'rate' end`

const charges = `select c.cdr_id, 0::bigint as revision, ${columnsOf('c', 'c.detail')},
  coalesce(c.rate, ${oneRate('c.detail')}) as rate from charge c`
const recharges = `select r.cdr_id, r.revision, ${columnsOf('r', 'r.explanation')},
  ${oneRate('r.explanation')} as rate from recharge r`

const recordColumns = `f.leg, f.attempt, f.service, f.provider, f.other_provider, f.calling, f.called, f.dialled, f.rn,
  f.trunk, f.quality_class, f.emergency, f.t_request, f.t_answer, f.t_end, f.duration_ms, f.cause`

const inDays = (alias: string, agreementId: string, { from, to }: Days): string =>
  `${alias}.agreement_id = ${escapeLiteral(agreementId)} and ${alias}.rule <> 'with-ingress'
   and ${alias}.day >= ${escapeLiteral(from)}::date and ${alias}.day < ${escapeLiteral(to)}::date`

/** What each record of these days owes now; nothing of the other leg's price. */
const currentIn = (agreementId: string, days: Days): string => `
  ${charges}
  where ${inDays('c', agreementId, days)} and not exists (select from recharge r where r.cdr_id = c.cdr_id)
  union all
  ${recharges}
  where ${inDays('r', agreementId, days)}
    and not exists (select from recharge l where l.cdr_id = r.cdr_id and l.revision > r.revision)`

const statement = (stated: string, sign: 1 | -1): string => `
  select x.cdr_id, x.revision, ${sign}::int as sign, x.side, x.rule, x.rate_id, x.destination, x.currency,
    x.billed_units, x.amount_micros, x.day::text as day, x.gross, x.rate, ${recordColumns}
  from (${stated}) as x join cdr_final f using (cdr_id)`

const ordered = 'order by cdr_id, revision'

/** All charges of these days. */
export const chargesIn = (agreementId: string, days: Days): string =>
  `${statement(currentIn(agreementId, days), 1)} ${ordered}`

/** Those of closed days that no statement has: they came after the close, or were charged again since. */
export const unstatedIn = (agreementId: string, days: Days): string =>
  `${statement(currentIn(agreementId, days), 1)}
   where not exists (
     select from statement_leaf l where l.cdr_id = x.cdr_id and l.revision = x.revision and l.sign = 1)
   ${ordered}`

/** Those that were stated for these days and have been charged again since: they are taken back. */
export const replacedIn = (agreementId: string, days: Days, rechargeSeen: bigint): string => {
  const stated = `
    ${charges}
    where ${inDays('c', agreementId, days)} and c.cdr_id in (select cdr_id from recharge where id > ${rechargeSeen})
    union all
    ${recharges}
    where ${inDays('r', agreementId, days)} and r.cdr_id in (select cdr_id from recharge where id > ${rechargeSeen})`
  return `${statement(stated, -1)}
    where exists (select from recharge n where n.cdr_id = x.cdr_id and n.revision > x.revision)
      and exists (
        select from statement_leaf l where l.cdr_id = x.cdr_id and l.revision = x.revision and l.sign = 1)
      and not exists (
        select from statement_leaf l where l.cdr_id = x.cdr_id and l.revision = x.revision and l.sign = -1)
    ${ordered}`
}

type Row = Omit<StatedCharge, 'sign'> & { readonly sign: number }

/**
 * A cursor whose time grows with the rows, not with their square: a database that has not looked at its tables since
 * they grew takes a million rows for a few, and then looks through all of one table for each row of another.
 */
export async function declareCursor(sql: Sql, name: string, query: string): Promise<void> {
  await steadily(sql, () => sql.query(`declare ${name} no scroll cursor for ${query}`))
}

/** The same for a statement. `sql` is a transaction. */
export async function steadily<T>(sql: Sql, work: () => Promise<T>): Promise<T> {
  await sql.query('set local enable_nestloop = off')
  const done = await work()
  await sql.query('set local enable_nestloop to default')
  return done
}

/** Hands out the rows of a query page by page. `sql` is a transaction, and one query is read at a time. */
export async function readCharges(
  sql: Sql,
  query: string,
  take: (page: readonly StatedCharge[]) => Promise<void>
): Promise<void> {
  await declareCursor(sql, 'stated', query)
  for (;;) {
    const { rows } = await sql.query<Row>(`fetch ${limits.pageMax} from stated`)
    if (rows.length > 0) await take(rows.map(row => ({ ...row, sign: row.sign < 0 ? -1 : 1 })))
    if (rows.length < limits.pageMax) break
  }
  await sql.query('close stated')
}
