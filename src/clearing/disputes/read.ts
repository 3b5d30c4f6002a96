// Disputes as they stand: what is disputed, in which state, whose move it is, and what is held out.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { daysBetween } from '../money-in/days.ts'
import type { ChargeSide } from '../charging.ts'
import { stateTerms } from './states.ts'
import type { DisputeOwner, DisputeState, DisputeType } from './states.ts'

export const limits = { listMax: 10_000 } as const

export interface Dispute {
  readonly id: bigint
  readonly agreementId: string
  readonly period: string
  readonly invoiceId: string | null
  readonly raisedBy: 'us' | 'partner'
  readonly type: DisputeType
  readonly side: ChargeSide
  readonly party: string
  readonly currency: string
  /** Before tax. */
  readonly amountMicros: bigint
  readonly reason: string
  readonly reconciliationId: bigint | null
  readonly windowEnds: string
  readonly openedOn: string
  readonly openedBy: string
  readonly step: number
  readonly state: DisputeState
  readonly dueDay: string | null
  /** What was conceded so far; null: nothing is decided. */
  readonly concededMicros: bigint | null
  /** The credit note that settled it. */
  readonly document: string | null
  /** With its tax, in the currency of the dispute. */
  readonly heldMicros: bigint
  readonly calls: bigint
}

const selected = `
  select d.dispute_id as id, d.agreement_id as "agreementId", d.period, d.invoice_id as "invoiceId",
    d.raised_by as "raisedBy", d.type, d.side, d.party, d.currency, d.amount_micros as "amountMicros", d.reason,
    d.reconciliation_id as "reconciliationId", d.window_ends::text as "windowEnds", d.opened_on::text as "openedOn",
    d.opened_by as "openedBy", s.step, s.state, s.due_day::text as "dueDay",
    (select conceded_micros from dispute_step c where c.dispute_id = d.dispute_id and c.conceded_micros is not null
     order by c.step desc limit 1) as "concededMicros",
    (select document from dispute_step c where c.dispute_id = d.dispute_id and c.document is not null
     order by c.step desc limit 1) as document,
    (select coalesce(sum(amount_micros), 0)::bigint from dispute_hold h where h.dispute_id = d.dispute_id)
      as "heldMicros",
    (select count(*) from dispute_call c where c.dispute_id = d.dispute_id) as calls
  from dispute d join lateral (
    select step, state, due_day from dispute_step where dispute_step.dispute_id = d.dispute_id
    order by step desc limit 1) s on true`

/** Throws HUB_CONFIG where there is none. */
export async function readDispute(sql: Sql, id: bigint): Promise<Dispute> {
  const { rows } = await sql.query<Dispute>(`${selected} where d.dispute_id = $1`, [id])
  const [found] = rows
  if (found === undefined) throw new HubError('HUB_CONFIG', `there is no dispute ${id}`)
  return found
}

export interface DisputesAsked {
  readonly agreementId: string | null
  readonly state: DisputeState | null
  /** Also those that are over. */
  readonly all: boolean
}

/** The oldest first. */
export async function listDisputes(sql: Sql, asked: DisputesAsked): Promise<readonly Dispute[]> {
  const { rows } = await sql.query<Dispute>(
    `${selected} where ($1::text is null or d.agreement_id = $1) and ($2::text is null or s.state = $2)
       and ($3 or $2::text is not null or s.state not in ('settled', 'withdrawn'))
     order by d.opened_on, d.dispute_id limit $4`,
    [asked.agreementId, asked.state, asked.all, limits.listMax]
  )
  return rows
}

export interface DisputeStep {
  readonly step: number
  readonly state: DisputeState
  readonly concededMicros: bigint | null
  readonly document: string | null
  readonly reason: string
  readonly onDay: string
  readonly dueDay: string | null
  readonly by: string
  readonly at: Date
}

/** Everything that happened, in order. */
export async function stepsOf(sql: Sql, id: bigint): Promise<readonly DisputeStep[]> {
  const { rows } = await sql.query<DisputeStep>(
    `select step, state, conceded_micros as "concededMicros", document, reason, on_day::text as "onDay",
       due_day::text as "dueDay", moved_by as by, moved_at as at
     from dispute_step where dispute_id = $1 order by step`,
    [id]
  )
  return rows
}

export interface DisputeAge {
  /** Since it was opened. */
  readonly days: number
  /** Beyond the deadline of its state; 0: none, or not yet. */
  readonly overdueDays: number
  /** Whose move it is; null: it is over. */
  readonly owner: DisputeOwner | null
}

/** As of a day. */
export function ageOf({ openedOn, dueDay, state }: Dispute, today: string): DisputeAge {
  return {
    days: Math.max(0, daysBetween(openedOn, today)),
    overdueDays: dueDay === null ? 0 : Math.max(0, daysBetween(dueDay, today)),
    owner: stateTerms[state].owner
  }
}

export interface Evidence {
  readonly cdrId: string
  readonly called: string
  readonly calling: string | null
  readonly at: Date
  readonly durationMs: bigint
  readonly units: bigint | null
  readonly amountMicros: bigint | null
  /** Of it, what is disputed: theirs less ours. */
  readonly disputedMicros: bigint
}

/** The records of a dispute, a page after another. */
export async function* evidencePages(sql: Sql, id: bigint, pageRows = 2_000): AsyncGenerator<readonly Evidence[]> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const { rows } = await sql.query<Evidence>(
      `select e.cdr_id as "cdrId", f.dialled as called, f.calling, coalesce(f.t_answer, f.t_request) as at,
         f.duration_ms as "durationMs", c.billed_units as units, c.amount_micros as "amountMicros",
         e.amount_micros as "disputedMicros"
       from dispute_call e join cdr_final f using (cdr_id) left join charge_now c using (cdr_id)
       where e.dispute_id = $1 and e.cdr_id > $2 order by e.cdr_id limit $3`,
      [id, after, pageRows]
    )
    if (rows.length === 0) return
    after = rows.at(-1)?.cdrId ?? after
    yield rows
  }
}
