// What keeps a period from being closed: it is not over or not the next one, records are missing (EOS-03), or answered
// calls wait for a price.

import type { EpochMs } from '../../session/model.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import type { SettlementPeriod } from '../periods.ts'
import { completenessOf } from '../report.ts'
import { isOver, nextPeriodOf } from './due.ts'
import type { StatementCompleteness } from './model.ts'

export interface Refusal {
  readonly reason: 'not-over' | 'not-next' | 'gaps' | 'suspense' | 'unpriced'
  readonly detail: string
  /** By a named person with a reason that is kept. */
  readonly overridable: boolean
}

export interface Checked extends StatementCompleteness {
  readonly refusals: readonly Refusal[]
  /** The first day that is closed, or came too late to be; null: nothing is closed yet. */
  readonly closedFrom: string | null
  /** Charges made again up to this one have been seen by the close before. */
  readonly rechargeSeen: bigint
}

export async function refusalsOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  now: EpochMs
): Promise<Checked> {
  const refusals: Refusal[] = []
  if (!isOver(agreement, period, now)) {
    refusals.push({
      reason: 'not-over',
      detail: `it ends with ${period.to} in ${zoneOf(agreement)}`,
      overridable: false
    })
  }
  const next = await nextPeriodOf(sql, agreement)
  if (next !== null && (next.name !== period.name || next.from !== period.from)) {
    refusals.push({ reason: 'not-next', detail: `${next.name} has to be closed first`, overridable: false })
  }
  const completeness = await completenessIn(sql, agreement, period)
  if (completeness.openGaps > 0n) {
    const missing = completeness.expected - completeness.received
    const detail = `${missing} records of ${completeness.expected} are missing, in ${completeness.openGaps} gaps`
    refusals.push({ reason: 'gaps', detail, overridable: true })
  }
  if (completeness.suspenseCount > 0n) {
    const detail = `${completeness.suspenseCount} answered calls wait for a price: isthmus suspense list`
    refusals.push({ reason: 'suspense', detail, overridable: true })
  }
  const { rows } = await sql.query<{ first: string | null; seen: bigint | null }>(
    `select least(min(from_day), (
         select min(day) from rollup_shard where agreement_id = $1 and side <> 'with-ingress')
       )::text as first, max(recharge_seen) as seen
     from statement where agreement_id = $1 having count(*) > 0`,
    [agreement.id]
  )
  return { ...completeness, refusals, closedFrom: rows[0]?.first ?? null, rechargeSeen: rows[0]?.seen ?? 0n }
}

const zoneOf = ({ zone }: Agreement): string => zone.name

async function completenessIn(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod
): Promise<StatementCompleteness> {
  const { zone, buyer, seller, service } = agreement
  const [from, to] = [new Date(zone.startOf(period.from)), new Date(zone.startOf(period.to))]
  const nodes = await completenessOf(sql, from, to)
  const { rows } = await sql.query<{ count: bigint; ms: bigint }>(
    `select count(*) as count, coalesce(sum(f.duration_ms), 0)::bigint as ms
     from suspense s join cdr_final f using (cdr_id)
     where s.day >= $1::date and s.day < $2::date and f.service = $3
       and not exists (select from charged c where c.cdr_id = s.cdr_id)
       and case when $5 = $6 then f.leg = 'ingress' and f.provider = $4
                when $4 = $6 then f.leg = 'egress' and f.provider = $5
                else f.leg = 'ingress' and f.provider = $4 and f.other_provider = $5 end`,
    [period.from, period.to, service, buyer, seller, hub]
  )
  const sum = (of: 'received' | 'expected' | 'gaps'): bigint =>
    nodes.reduce((total, node) => total + BigInt(node[of]), 0n)
  return {
    received: sum('received'),
    expected: sum('expected'),
    openGaps: sum('gaps'),
    suspenseCount: rows[0]?.count ?? 0n,
    suspenseMs: rows[0]?.ms ?? 0n
  }
}
