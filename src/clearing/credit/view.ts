// What an account looks like, and whether its balance is what its movements and the ledger say.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hasAccount } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'

export const limits = { reservationsMax: 1_000, movementsMax: 1_000 } as const

export interface CreditView {
  readonly agreementId: string
  readonly currency: string
  readonly balanceMicros: bigint
  readonly reservedMicros: bigint
  /** Null: no limit, or paid in advance without one. */
  readonly limitMicros: bigint | null
  /** What the next call may use; null: as much as it likes, once its free units are used up or without any. */
  readonly leftMicros: bigint | null
  readonly reservations: readonly Reservation[]
  readonly movements: readonly Movement[]
  readonly quotas: readonly { readonly period: string; readonly used: bigint; readonly reserved: bigint }[]
  readonly agreed: Agreed
}

export interface Reservation {
  readonly callId: string
  readonly attempt: number
  readonly amountMicros: bigint
  readonly freeUnits: bigint
  readonly grantedMs: bigint
  readonly ended: boolean
  readonly node: string
  readonly expiresAt: Date
}

export interface Movement {
  readonly movementId: string
  readonly kind: string
  readonly amountMicros: bigint
  readonly cdrId: string | null
  readonly reason: string
  readonly by: string
  readonly at: Date
}

/** Three ways to the same figures. */
export interface Agreed {
  readonly balanceMicros: bigint
  /** The sum of the movements. */
  readonly movedMicros: bigint
  /** What was paid in and corrected, less what the ledger has charged. */
  readonly ledgerMicros: bigint
  readonly reservedMicros: bigint
  /** The sum of the reservations. */
  readonly heldMicros: bigint
}

/** Balances and sums at one moment; null: the account was never opened. */
export async function agreedOf(sql: Sql, agreementId: string): Promise<Agreed | null> {
  const { rows } = await sql.query<{ balance: bigint; moved: string; ledger: string; reserved: bigint; held: string }>(
    `select a.balance_micros as balance, a.reserved_micros as reserved,
       (select coalesce(sum(amount_micros), 0) from credit_movement where agreement_id = $1)::text as moved,
       ((select coalesce(sum(amount_micros), 0) from credit_movement
           where agreement_id = $1 and kind in ('top-up', 'adjustment', 'payment', 'invoice'))
         - (select coalesce(sum(amount_micros), 0) from rollup
           where agreement_id = $1 and side in ('sell', 'bilateral')))::text as ledger,
       (select coalesce(sum(amount_micros), 0) from credit_reservation where agreement_id = $1)::text as held
     from credit_account a where a.agreement_id = $1`,
    [agreementId]
  )
  const [row] = rows
  if (row === undefined) return null
  return {
    balanceMicros: row.balance,
    movedMicros: BigInt(row.moved),
    ledgerMicros: BigInt(row.ledger),
    reservedMicros: row.reserved,
    heldMicros: BigInt(row.held)
  }
}

/** Null: nothing has opened the account yet. Throws HUB_CONFIG for an agreement that has none. */
export async function viewCredit(sql: Sql, agreement: Agreement, max: number): Promise<CreditView | null> {
  const { id, currency, creditLimitMicros: limitMicros, credit, model } = agreement
  if (!hasAccount(agreement)) {
    throw new HubError('HUB_CONFIG', `agreement ${id} has no account: it is not paid in advance and has no limit`)
  }
  const agreed = await agreedOf(sql, id)
  if (agreed === null) return null
  const { balanceMicros, reservedMicros } = agreed
  const isEndless = limitMicros === null && !credit.advance
  const isMoneyless = model === 'freemium' && credit.afterFree === 'refuse'
  const left = balanceMicros - reservedMicros + (limitMicros ?? 0n)
  const { rows: reservations } = await sql.query<Reservation>(
    `select call_id as "callId", attempt, amount_micros as "amountMicros", free_units as "freeUnits",
       granted_ms as "grantedMs", ended, node, expires_at as "expiresAt"
     from credit_reservation where agreement_id = $1 order by reserved_at, call_id, attempt limit $2`,
    [id, Math.min(max, limits.reservationsMax)]
  )
  const { rows: movements } = await sql.query<Movement>(
    `select movement_id as "movementId", kind, amount_micros as "amountMicros", cdr_id as "cdrId", reason,
       made_by as by, made_at as at
     from credit_movement where agreement_id = $1 order by made_at desc, movement_id desc limit $2`,
    [id, Math.min(max, limits.movementsMax)]
  )
  const { rows: quotas } = await sql.query<{ period: string; used: bigint; reserved: bigint }>(
    `select period, used_units as used, reserved_units as reserved from credit_quota
     where agreement_id = $1 order by period desc limit 3`,
    [id]
  )
  return {
    agreementId: id,
    currency,
    balanceMicros,
    reservedMicros,
    limitMicros,
    leftMicros: isMoneyless ? 0n : isEndless ? null : left,
    reservations,
    movements,
    quotas,
    agreed
  }
}
