// The SQL of credit. Who changes what calls hold has locked their accounts before, in the order of their ids: so nobody
// waits for anybody in a circle, and what is read after the lock stays true until the commit.

import type { CopyTable } from '../../store/binary-copy.ts'
import { sqlStateOf } from '../../store/sql.ts'
import type { Sql } from '../../store/sql.ts'
import type { Account, Held, Ledger, Quota } from './steps.ts'

export const limits = {
  /** A reservation outlives the time that it was granted for by so much: its record may be on its way. */
  keepMs: 600_000,
  /** What a call has used is held until its record is charged; a record that was lost lets go in the end. */
  keepEndedMs: 30 * 86_400_000,
  /** What a hub held when it died, if none of its records comes. */
  orphanMs: 120_000,
  /** Where all accounts of a group are locked, how long it waits for them at once. */
  lockMs: 50,
  /** Reservations that one sweep lets go. */
  sweepMax: 1_000
} as const

/**
 * Reads accounts and keeps everybody else from them until the transaction ends; one that is not there is left out.
 * `free`: so is one that somebody else has locked, and nobody waits.
 */
export async function lockAccounts(
  sql: Sql,
  agreementIds: readonly string[],
  { free = false } = {}
): Promise<readonly Account[]> {
  const { rows } = await sql.query<{ id: string; balance: bigint; reserved: bigint }>(
    `select agreement_id as id, balance_micros as balance, reserved_micros as reserved from credit_account
     where agreement_id = any($1::text[]) order by agreement_id for update ${free ? 'skip locked' : ''}`,
    [agreementIds]
  )
  return rows.map(({ id, balance, reserved }) => ({
    agreementId: id,
    balanceMicros: balance,
    reservedMicros: reserved
  }))
}

/** Waits for locks of accounts, but not for long: what is longer under way must not hold up all the others. */
export const waitBriefly = async (sql: Sql): Promise<void> =>
  void (await sql.query(`set local lock_timeout = ${limits.lockMs}`))

/** Whether that wait was in vain. */
export const isLocked = (error: unknown): boolean => sqlStateOf(error) === '55P03'

/**
 * Makes the accounts that are missing. What was charged by an agreement before it had one is its opening balance, so
 * that account and ledger agree from the beginning.
 */
export async function openAccounts(
  sql: Sql,
  agreements: readonly { readonly id: string; readonly currency: string }[]
): Promise<void> {
  await sql.query(
    `with given as (
       select id, currency, coalesce((select sum(amount_micros) from rollup
         where agreement_id = g.id and side in ('sell', 'bilateral')), 0)::bigint as charged
       from json_to_recordset($1::json) as g(id text, currency text)
     ), opened as (
       insert into credit_account (agreement_id, currency, balance_micros)
       select id, currency, -charged from given order by id on conflict do nothing
       returning agreement_id, balance_micros
     )
     insert into credit_movement (movement_id, agreement_id, kind, amount_micros, reason)
     select 'opening/' || agreement_id, agreement_id, 'opening', balance_micros, 'charged before there was an account'
     from opened where balance_micros <> 0`,
    [JSON.stringify(agreements.map(({ id, currency }) => ({ id, currency })))]
  )
}

/** The currencies of accounts, by agreement. */
export async function currenciesOf(sql: Sql): Promise<ReadonlyMap<string, string>> {
  const { rows } = await sql.query<{ id: string; currency: string }>(
    'select agreement_id as id, currency from credit_account'
  )
  return new Map(rows.map(({ id, currency }) => [id, currency]))
}

interface HeldRow {
  readonly call_id: string
  readonly attempt: number
  readonly agreement_id: string
  readonly amount_micros: bigint
  readonly free_units: bigint
  readonly period: string
  readonly granted_ms: bigint
  readonly in_grace: boolean
  readonly ended: boolean
}
const heldOf = (row: HeldRow): Held => ({
  callId: row.call_id,
  attempt: row.attempt,
  agreementId: row.agreement_id,
  micros: row.amount_micros,
  freeUnits: row.free_units,
  period: row.period,
  grantedMs: Number(row.granted_ms),
  inGrace: row.in_grace,
  ended: row.ended
})

/** What attempts of these calls hold. */
export async function heldBy(sql: Sql, callIds: readonly string[]): Promise<readonly Held[]> {
  if (callIds.length === 0) return []
  const { rows } = await sql.query<HeldRow>(
    `select call_id, attempt, agreement_id, amount_micros, free_units, period, granted_ms, in_grace, ended
     from credit_reservation where call_id = any($1::uuid[])`,
    [callIds]
  )
  return rows.map(heldOf)
}

export async function quotasOf(
  sql: Sql,
  wanted: readonly { readonly agreementId: string; readonly period: string }[]
): Promise<readonly Quota[]> {
  if (wanted.length === 0) return []
  const { rows } = await sql.query<{ id: string; period: string; used: bigint; reserved: bigint }>(
    `select q.agreement_id as id, q.period, q.used_units as used, q.reserved_units as reserved
     from credit_quota q join json_to_recordset($1::json) as w(id text, period text)
       on q.agreement_id = w.id and q.period = w.period`,
    [JSON.stringify(wanted.map(({ agreementId, period }) => ({ id: agreementId, period })))]
  )
  return rows.map(({ id, period, used, reserved }) => ({
    agreementId: id,
    period,
    usedUnits: used,
    reservedUnits: reserved
  }))
}

/** Writes what steps have changed, all in one statement. */
export async function writeLedger(sql: Sql, ledger: Ledger, node: string): Promise<void> {
  const accounts = [...ledger.touched].flatMap(id => {
    const account = ledger.accounts.get(id)
    return account === undefined ? [] : [{ id, reserved: account.reservedMicros.toString() }]
  })
  const kept: object[] = []
  const gone: object[] = []
  for (const [key, held] of ledger.changed) {
    if (held !== null) kept.push(rowOf(held))
    else {
      const slash = key.lastIndexOf('/')
      gone.push({ call: key.slice(0, slash), attempt: Number(key.slice(slash + 1)) })
    }
  }
  await writeQuotas(sql, [...ledger.quotas.values()])
  await sql.query(
    `with a as (
       update credit_account x set reserved_micros = v.reserved
       from json_to_recordset($1::json) as v(id text, reserved bigint) where x.agreement_id = v.id
     ), d as (
       delete from credit_reservation r
       using json_to_recordset($2::json) as v(call uuid, attempt int)
       where r.call_id = v.call and r.attempt = v.attempt
     )
     insert into credit_reservation as r (call_id, attempt, agreement_id, amount_micros, free_units, period, granted_ms,
       in_grace, ended, node, expires_at)
     select call, attempt, agreement, micros, free, period, granted, grace, ended, $4, now() + keep * interval '1 ms'
     from json_to_recordset($3::json) as v(call uuid, attempt int, agreement text, micros bigint, free bigint,
       period text, granted bigint, grace boolean, ended boolean, keep bigint)
     on conflict (call_id, attempt) do update set agreement_id = excluded.agreement_id,
       amount_micros = excluded.amount_micros, free_units = excluded.free_units, period = excluded.period,
       granted_ms = excluded.granted_ms, in_grace = excluded.in_grace, ended = excluded.ended,
       expires_at = excluded.expires_at`,
    [JSON.stringify(accounts), JSON.stringify(gone), JSON.stringify(kept), node]
  )
}

const rowOf = (held: Held): object => ({
  call: held.callId,
  attempt: held.attempt,
  agreement: held.agreementId,
  micros: held.micros.toString(),
  free: held.freeUnits.toString(),
  period: held.period,
  granted: Math.round(held.grantedMs),
  grace: held.inGrace,
  ended: held.ended,
  keep: held.ended ? limits.keepEndedMs : Math.round(held.grantedMs) + limits.keepMs
})

/** The account of each is locked. */
export async function writeQuotas(sql: Sql, quotas: readonly Quota[]): Promise<void> {
  if (quotas.length === 0) return
  const rows = quotas.map(({ agreementId, period, usedUnits, reservedUnits }) => ({
    id: agreementId,
    period,
    used: usedUnits.toString(),
    reserved: reservedUnits.toString()
  }))
  await sql.query(
    `insert into credit_quota (agreement_id, period, used_units, reserved_units)
     select id, period, used, reserved
     from json_to_recordset($1::json) as v(id text, period text, used bigint, reserved bigint)
     on conflict (agreement_id, period) do update
       set used_units = excluded.used_units, reserved_units = excluded.reserved_units`,
    [JSON.stringify(rows)]
  )
}

/** What a hub of this name held when it last ended goes soon, unless its records come and are charged. */
export async function orphanReservations(sql: Sql, node: string): Promise<number> {
  const { count } = await sql.query(
    `update credit_reservation set expires_at = least(expires_at, now() + $2 * interval '1 ms')
     where node = $1 and not ended`,
    [node, limits.orphanMs]
  )
  return count
}

/** Lets go what nobody has refreshed in time. `sql` is a transaction. Returns how many reservations. */
export async function sweepReservations(sql: Sql): Promise<number> {
  const { rows: due } = await sql.query<{ call_id: string; agreement_id: string }>(
    `select call_id, agreement_id from credit_reservation where expires_at < now() order by expires_at limit $1`,
    [limits.sweepMax]
  )
  if (due.length === 0) return 0
  await lockAccounts(sql, [...new Set(due.map(row => row.agreement_id))])
  // Of those that were refreshed or charged before the lock, nothing.
  const { rows } = await sql.query<{ released: bigint }>(
    `with gone as (
       delete from credit_reservation where call_id = any($1::uuid[]) and expires_at < now()
         and agreement_id = any($2::text[])
       returning agreement_id, amount_micros, free_units, period
     ), a as (
       update credit_account x set reserved_micros = x.reserved_micros - s.micros
       from (select agreement_id, sum(amount_micros)::bigint as micros from gone group by 1) as s
       where x.agreement_id = s.agreement_id
     ), q as (
       update credit_quota x set reserved_units = x.reserved_units - s.units
       from (select agreement_id, period, sum(free_units)::bigint as units from gone where period <> '' group by 1, 2) s
       where x.agreement_id = s.agreement_id and x.period = s.period
     )
     select count(*) as released from gone`,
    [due.map(row => row.call_id), [...new Set(due.map(row => row.agreement_id))]]
  )
  return Number(rows[0]?.released ?? 0n)
}

export const movementTable: CopyTable = {
  name: 'credit_movement',
  columns: [
    ['movement_id', 'text'],
    ['agreement_id', 'text'],
    ['kind', 'text'],
    ['amount_micros', 'bigint'],
    ['cdr_id', 'uuid'],
    ['free_units', 'bigint'],
    ['reason', 'text'],
    ['made_by', 'text']
  ]
}
