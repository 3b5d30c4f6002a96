// Charged records on their accounts, in the transaction that posts them: what the call held is let go, what it costs is
// taken, once (COM-03). So an account and the ledger can never say two things.

import type { CopyValue } from '../../store/binary-copy.ts'
import type { Sql } from '../../store/sql.ts'
import { hasAccount, hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import type { RateRow } from '../rating.ts'
import { costOf } from './price.ts'
import { quotaKey, quotaPeriod } from './steps.ts'
import type { Held, Quota } from './steps.ts'
import { heldBy, lockAccounts, movementTable, openAccounts, quotasOf, writeQuotas } from './store.ts'

/** What one charged record means for an account. */
export interface Debit {
  readonly cdrId: string
  readonly callId: string
  readonly agreement: Agreement
  /** Null: no row priced it. */
  readonly row: RateRow | null
  readonly isText: boolean
  /** The moment that decided its price, and how long it lasted. */
  readonly at: number
  readonly durationMs: number
  readonly micros: bigint
}

/** What of a charged record `debitOf` looks at. */
export interface Charged {
  readonly record: {
    readonly cdr_id: string
    readonly call_id: string
    readonly leg: string
    readonly service: string
    readonly emergency: boolean
    readonly t_answer: number | null
    readonly t_request: number
    readonly duration_ms: number
  }
  readonly charge: {
    readonly agreement: Agreement | null
    readonly row: RateRow | null
    readonly amountMicros: bigint
  }
}

/** Null: no account has to do with it. The caller's side pays, so the other leg never does. */
export function debitOf({ record, charge }: Charged): Debit | null {
  const { agreement, row, amountMicros: micros } = charge
  if (record.leg !== 'ingress' || record.emergency || agreement === null || !hasAccount(agreement)) return null
  return {
    cdrId: record.cdr_id,
    callId: record.call_id,
    agreement,
    row,
    isText: record.service === 'message',
    at: record.t_answer ?? record.t_request,
    durationMs: record.duration_ms,
    micros
  }
}

/** Takes debits of one batch. `sql` is the transaction that adds their charges, before it adds them to the day sums. */
export async function takeDebits(sql: Sql, debits: readonly Debit[]): Promise<void> {
  if (debits.length === 0) return
  const callIds = [...new Set(debits.map(({ callId }) => callId))]
  const agreements = new Map(debits.map(({ agreement }) => [agreement.id, agreement]))
  // An earlier attempt may hold something by another agreement.
  const holders = await heldBy(sql, callIds)
  const accountIds = [...new Set([...agreements.keys(), ...holders.map(held => held.agreementId)])].sort()
  await lockOrOpen(sql, accountIds, agreements)
  // Again: what was read before the lock may have changed.
  const held = holders.length === 0 ? [] : await heldBy(sql, callIds)
  const heldOf = Map.groupBy(held, ({ callId }) => callId)
  const quotas = new Quotas(await quotasOf(sql, quotasWanted(debits, held)))
  const moved = new Map<string, { balance: bigint; reserved: bigint }>(
    accountIds.map(id => [id, { balance: 0n, reserved: 0n }])
  )
  const rows = debits.flatMap(debit => {
    const own = heldOf.get(debit.callId) ?? []
    heldOf.delete(debit.callId)
    const { micros, freeUnits } = finalCost(debit, own, quotas)
    for (const { agreementId, micros: amount } of own) {
      const account = moved.get(agreementId)
      if (account !== undefined) account.reserved -= amount
    }
    const account = moved.get(debit.agreement.id)
    if (account !== undefined) account.balance -= micros
    // Of a price that the order decides nothing may be left to take: that is remembered too.
    if (micros === 0n && (debit.row === null || debit.agreement.model !== 'freemium')) return []
    return [[`${debit.cdrId}/1`, debit.agreement.id, 'debit', -micros, debit.cdrId, freeUnits, '', '']]
  })
  await write(sql, { moved, rows, quotas: quotas.changed, held })
}

async function lockOrOpen(sql: Sql, ids: readonly string[], agreements: ReadonlyMap<string, Agreement>): Promise<void> {
  const locked = new Set((await lockAccounts(sql, ids)).map(({ agreementId }) => agreementId))
  const missing = [...agreements.values()].filter(({ id }) => !locked.has(id))
  if (missing.length === 0) return
  // Locks are taken in the order of the ids: those taken so far go on with the rest, which nobody else has seen yet.
  await openAccounts(sql, missing)
  await lockAccounts(sql, ids)
}

/** What a record costs with the free units that its call holds, or else with those that are left (COM-02). */
function finalCost(
  debit: Debit,
  own: readonly Held[],
  quotas: Quotas
): { readonly micros: bigint; readonly freeUnits: bigint } {
  const { agreement, row, isText, at, durationMs, micros } = debit
  const holding = own.filter(({ period }) => period !== '')
  for (const { agreementId, period, freeUnits } of holding) quotas.of(agreementId, period).reservedUnits -= freeUnits
  if (agreement.model !== 'freemium' || row === null) return { micros, freeUnits: 0n }
  const holder = holding.find(({ agreementId }) => agreementId === agreement.id)
  const period = holder?.period ?? quotaPeriod(agreement, at)
  const quota = quotas.of(agreement.id, period)
  const left = agreement.freeUnits - quota.usedUnits - quota.reservedUnits
  const mine = holder?.freeUnits ?? (left > 0n ? left : 0n)
  const cost = costOf({ agreement, row, isText }, at, durationMs, mine)
  quota.usedUnits += cost.freeUnits
  return { micros: cost.micros, freeUnits: cost.freeUnits }
}

interface Changing {
  readonly agreementId: string
  readonly period: string
  usedUnits: bigint
  reservedUnits: bigint
}

class Quotas {
  readonly #known: Map<string, Changing>

  constructor(quotas: readonly Quota[]) {
    this.#known = new Map(quotas.map(quota => [quotaKey(quota.agreementId, quota.period), { ...quota }]))
  }

  of(agreementId: string, period: string): Changing {
    const key = quotaKey(agreementId, period)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const quota = { agreementId, period, usedUnits: 0n, reservedUnits: 0n }
    this.#known.set(key, quota)
    return quota
  }

  get changed(): readonly Quota[] {
    return [...this.#known.values()]
  }
}

const quotasWanted = (
  debits: readonly Debit[],
  held: readonly Held[]
): readonly Pick<Quota, 'agreementId' | 'period'>[] => [
  ...new Map(
    [
      ...held.filter(({ period }) => period !== ''),
      ...debits.flatMap(({ agreement, at }) =>
        agreement.model === 'freemium' ? [{ agreementId: agreement.id, period: quotaPeriod(agreement, at) }] : []
      )
    ].map(({ agreementId, period }) => [quotaKey(agreementId, period), { agreementId, period }])
  ).values()
]

interface Written {
  readonly moved: ReadonlyMap<string, { readonly balance: bigint; readonly reserved: bigint }>
  readonly rows: readonly (readonly CopyValue[])[]
  readonly quotas: readonly Quota[]
  readonly held: readonly Held[]
}

async function write(sql: Sql, { moved, rows, quotas, held }: Written): Promise<void> {
  if (rows.length > 0) await sql.copy(movementTable, rows)
  await writeQuotas(sql, quotas)
  const accounts = [...moved].map(([id, { balance, reserved }]) => ({
    id,
    balance: balance.toString(),
    reserved: reserved.toString()
  }))
  await sql.query(
    `with a as (
       update credit_account x
       set balance_micros = x.balance_micros + v.balance, reserved_micros = x.reserved_micros + v.reserved
       from json_to_recordset($1::json) as v(id text, balance bigint, reserved bigint) where x.agreement_id = v.id
     )
     delete from credit_reservation r using json_to_recordset($2::json) as v(call uuid, attempt int)
     where r.call_id = v.call and r.attempt = v.attempt`,
    [JSON.stringify(accounts), JSON.stringify(held.map(({ callId, attempt }) => ({ call: callId, attempt })))]
  )
}

/** A charge that was made again: what the record owed by which agreement, and what it owes now. */
export interface Recharged {
  readonly cdrId: string
  readonly beforeId: string | null
  readonly beforeMicros: bigint
  readonly now: Agreement | null
  readonly nowMicros: bigint
}

/**
 * Brings accounts to what records owe by the ledger now; what they owe already changes nothing, so twice is once. Free
 * units were given in the order of calls as they came; here they follow the order of answers (COM-07).
 */
export async function takeRecharges(
  sql: Sql,
  recharged: readonly Recharged[],
  accountIds: ReadonlySet<string>,
  { reason, by }: { readonly reason: string; readonly by: string }
): Promise<void> {
  if (recharged.length === 0) return
  const ids = new Set(recharged.flatMap(({ beforeId, now }) => [beforeId ?? hub, now?.id ?? hub]))
  await lockAccounts(sql, [...ids].filter(id => accountIds.has(id)).sort())
  const { rows } = await sql.query<{ cdr_id: string; agreement_id: string; taken: string; n: bigint }>(
    `select cdr_id, agreement_id, -sum(amount_micros) as taken, count(*) as n from credit_movement
     where cdr_id = any($1::uuid[]) group by 1, 2`,
    [recharged.map(({ cdrId }) => cdrId)]
  )
  const taken = new Map(rows.map(row => [`${row.cdr_id} ${row.agreement_id}`, row]))
  const counts = new Map<string, number>()
  for (const { cdr_id, n } of rows) counts.set(cdr_id, (counts.get(cdr_id) ?? 0) + Number(n))
  const moved = new Map<string, { balance: bigint; reserved: bigint }>()
  const movements: CopyValue[][] = []
  for (const { cdrId, beforeId, beforeMicros, now, nowMicros } of recharged) {
    for (const id of new Set([beforeId, now?.id ?? null])) {
      if (id === null || !accountIds.has(id)) continue
      const known = taken.get(`${cdrId} ${id}`)
      // Of a charge older than its account the opening balance has taken what it owed.
      const before = known === undefined ? (id === beforeId ? beforeMicros : 0n) : BigInt(known.taken)
      const difference = before - (id === now?.id ? nowMicros : 0n)
      if (difference === 0n) continue
      const n = (counts.get(cdrId) ?? 0) + 1
      counts.set(cdrId, n)
      movements.push([`${cdrId}/${n}`, id, 'recharge', difference, cdrId, 0n, reason, by])
      const account = moved.get(id) ?? { balance: 0n, reserved: 0n }
      moved.set(id, { ...account, balance: account.balance + difference })
    }
  }
  await write(sql, { moved, rows: movements, quotas: [], held: [] })
}
