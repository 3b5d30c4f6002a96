// Our records of one agreement and period in the columns that a reconciliation reads: what is sent when records are
// exchanged for disputed destinations (SET-02).

import { stringify } from 'csv-stringify/sync'
import type { Sql } from '../../store/sql.ts'
import { printAmount } from '../money.ts'
import { limits } from './model.ts'
import { normalisedSql } from './number.ts'
import type { Scope } from './store.ts'

const columns = [
  'cdr_id',
  'called',
  'calling',
  't_answer',
  'duration_ms',
  'units',
  'amount',
  'dest_code',
  'destination_name'
] as const

interface ExchangeRow {
  readonly cdr_id: string
  readonly called: string
  readonly calling: string | null
  readonly at: Date
  readonly duration_ms: bigint
  readonly units: bigint
  readonly amount_micros: bigint
  readonly code: string | null
  readonly destination: string | null
}

/** `destinations`: these alone; empty: all. `hide`: how a number is shown. */
export async function* exchangeCsv(
  sql: Sql,
  { agreementId, from, to }: Scope,
  { destinations, hide }: { readonly destinations: readonly string[]; readonly hide: (number: string) => string }
): AsyncGenerator<string> {
  yield stringify([[...columns]])
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const { rows } = await sql.query<ExchangeRow>(
      `select c.cdr_id, ${normalisedSql("case f.leg when 'ingress' then f.dialled else f.called end")} as called,
         ${normalisedSql('f.calling')} as calling, coalesce(f.t_answer, f.t_request) as at, f.duration_ms,
         c.billed_units as units, c.amount_micros, ltrim(c.prefix, '+') as code, c.destination
       from charge_now c join cdr_final f using (cdr_id)
       where c.agreement_id = $1 and c.day >= $2::date and c.day < $3::date and c.cdr_id > $4
         and (c.rule in ('call', 'message', 'keep') or c.amount_micros > 0)
         and (cardinality($5::text[]) = 0 or c.destination = any($5::text[]))
       order by c.cdr_id limit $6`,
      [agreementId, from, to, after, destinations, limits.pageRows]
    )
    if (rows.length === 0) return
    after = rows.at(-1)?.cdr_id ?? after
    yield stringify(
      rows.map(row => [
        row.cdr_id,
        hide(row.called),
        row.calling === null || row.calling === '' ? '' : hide(row.calling),
        row.at.toISOString(),
        String(row.duration_ms),
        String(row.units),
        printAmount(row.amount_micros),
        row.code ?? '',
        row.destination ?? ''
      ])
    )
  }
}
