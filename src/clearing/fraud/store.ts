// Signals, blocks and releases in the database.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { sqlStateOf } from '../../store/sql.ts'
import { limits } from './model.ts'
import type { Block, CallScope, Signal } from './model.ts'

const scopeValues = ({ from, to, callingPrefix, calledPrefix }: CallScope): readonly (string | null)[] => [
  from,
  to,
  callingPrefix,
  calledPrefix
]

/** Returns its number. */
export async function addSignal(sql: Sql, { rule, scope, at, windowMs, counters, text }: Signal, nodeId: string) {
  const { rows } = await sql.query<{ id: bigint }>(
    `insert into fraud_signal (rule, from_provider, to_provider, calling_prefix, called_prefix, seen_from, seen_until,
       counters, explanation, node_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning signal_id as id`,
    [rule, ...scopeValues(scope), new Date(at - windowMs), new Date(at), JSON.stringify(counters), text, nodeId]
  )
  return rows[0]?.id ?? 0n
}

export interface BlockAsked extends CallScope {
  readonly rule: string
  readonly signalId: bigint | null
  readonly reason: string
  readonly minutes: number
  readonly by: string
}

/** From now on, by the clock of the database. Throws HUB_CONFIG for a block of everything. */
export async function addBlock(sql: Sql, { rule, signalId, reason, minutes, by, ...scope }: BlockAsked) {
  if (scopeValues(scope).every(value => value === null)) {
    throw new HubError('HUB_CONFIG', 'a block needs a provider or a range: nobody blocks everything')
  }
  const { rows } = await sql.query<Block>(
    `insert into fraud_block (rule, signal_id, from_provider, to_provider, calling_prefix, called_prefix, reason,
       expires_at, made_by)
     values ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(mins => $8), $9)
     returning ${blockColumns('fraud_block')}`,
    [rule, signalId, ...scopeValues(scope), reason, minutes, by]
  )
  const [block] = rows
  if (block === undefined) throw new HubError('HUB_INTERNAL', 'a block was not kept')
  return block
}

const blockColumns = (of: string): string =>
  `${of}.block_id as id, ${of}.rule, ${of}.signal_id as "signalId", ${of}.from_provider as from,
   ${of}.to_provider as to, ${of}.calling_prefix as "callingPrefix", ${of}.called_prefix as "calledPrefix",
   ${of}.reason, ${of}.starts_at as "startsAt", ${of}.expires_at as "expiresAt", ${of}.made_by as by`

/** Those in force, the oldest first; no more than `max`. */
export async function activeBlocks(sql: Sql, max: number = limits.blocksMax): Promise<readonly Block[]> {
  const { rows } = await sql.query<Block>(
    `select ${blockColumns('b')} from fraud_block b
     where b.expires_at > now() and not exists (select from fraud_release r where r.block_id = b.block_id)
     order by b.block_id limit $1`,
    [max]
  )
  return rows
}

/** Throws HUB_CONFIG where there is none, or it was released before. */
export async function releaseBlock(
  sql: Sql,
  { id, reason, by }: { readonly id: bigint; readonly reason: string; readonly by: string }
): Promise<void> {
  try {
    await sql.query('insert into fraud_release (block_id, reason, released_by) values ($1, $2, $3)', [id, reason, by])
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === '23503') throw new HubError('HUB_CONFIG', `there is no block ${id}`)
    if (state === '23505') throw new HubError('HUB_CONFIG', `block ${id} was released before`)
    throw error
  }
}

export interface KeptSignal extends CallScope {
  readonly id: bigint
  readonly rule: string
  readonly seenFrom: Date
  readonly seenUntil: Date
  readonly counters: Readonly<Record<string, string>>
  readonly text: string
  readonly toldAt: Date
}

/** The last first. */
export async function listSignals(
  sql: Sql,
  { rule, max }: { readonly rule: string | null; readonly max: number }
): Promise<readonly KeptSignal[]> {
  const { rows } = await sql.query<KeptSignal>(
    `select signal_id as id, rule, from_provider as from, to_provider as to, calling_prefix as "callingPrefix",
       called_prefix as "calledPrefix", seen_from as "seenFrom", seen_until as "seenUntil", counters,
       explanation as text, told_at as "toldAt"
     from fraud_signal where $1::text is null or rule = $1 order by signal_id desc limit $2`,
    [rule, max]
  )
  return rows
}

export interface SuspectCall {
  readonly cdrId: string
  readonly called: string
  readonly calling: string | null
  readonly endedAt: Date
  readonly durationMs: bigint
  readonly amountMicros: bigint | null
  readonly currency: string | null
  readonly agreementId: string | null
}

/** The records that a signal casts suspicion on, the first first. Throws HUB_CONFIG where there is no such signal. */
export async function suspectCalls(sql: Sql, signalId: bigint, max: number): Promise<readonly SuspectCall[]> {
  const { count } = await sql.query('select from fraud_signal where signal_id = $1', [signalId])
  if (count === 0) throw new HubError('HUB_CONFIG', `there is no signal ${signalId}`)
  const { rows } = await sql.query<SuspectCall>(
    `select x.cdr_id as "cdrId", f.dialled as called, f.calling, f.t_end as "endedAt", f.duration_ms as "durationMs",
       c.amount_micros as "amountMicros", c.currency, c.agreement_id as "agreementId"
     from fraud_call x join cdr_final f using (cdr_id) left join charge_now c using (cdr_id)
     where x.signal_id = $1 order by f.t_end, x.cdr_id limit $2`,
    [signalId, max]
  )
  return rows
}
