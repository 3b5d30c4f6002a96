// Answered calls that nothing prices: kept, listed with what is missing, and charged once something does (RATE-04).

import type { Sql } from '../store/sql.ts'

export const limits = {
  /** More of them than this is an alarm. */
  alarmAbove: 100,
  listMax: 10_000
} as const

export interface Suspended {
  readonly cdrId: string
  readonly callId: string
  readonly reason: string
  readonly day: string
  readonly leg: 'ingress' | 'egress'
  readonly service: string
  readonly provider: string
  readonly otherProvider: string | null
  readonly calling: string | null
  readonly called: string
  readonly answeredAt: Date | null
  readonly durationMs: bigint
}

export interface SuspenseSum {
  readonly reason: string
  readonly provider: string
  readonly otherProvider: string | null
  readonly service: string
  readonly records: bigint
  readonly durationMs: string
}

const open = `from suspense s join cdr_final f using (cdr_id)
  where not exists (select from charged c where c.cdr_id = s.cdr_id) and ($1::text is null or s.reason = $1)`

/** Oldest first. */
export async function listSuspense(sql: Sql, reason: string | null, max: number): Promise<readonly Suspended[]> {
  const { rows } = await sql.query<Suspended>(
    `select s.cdr_id as "cdrId", f.call_id as "callId", s.reason, s.day::text as day, f.leg, f.service, f.provider,
       f.other_provider as "otherProvider", f.calling, f.called, f.t_answer as "answeredAt",
       f.duration_ms as "durationMs" ${open} order by s.cdr_id limit $2`,
    [reason, Math.min(max, limits.listMax)]
  )
  return rows
}

/** How many there are, by what is missing. */
export async function sumSuspense(sql: Sql, reason: string | null): Promise<readonly SuspenseSum[]> {
  const { rows } = await sql.query<SuspenseSum>(
    `select s.reason, f.provider, f.other_provider as "otherProvider", f.service, count(*) as records,
       sum(f.duration_ms)::text as "durationMs" ${open} group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    [reason]
  )
  return rows
}

/** Whether more wait than anybody should leave alone; counts no further than that. */
export async function isSuspenseAlarming(sql: Sql): Promise<boolean> {
  const { rows } = await sql.query<{ waiting: bigint }>(
    `select count(*) as waiting from (select 1 ${open} limit ${limits.alarmAbove + 1}) as w`,
    [null]
  )
  return (rows[0]?.waiting ?? 0n) > BigInt(limits.alarmAbove)
}
