// What changes a balance besides calls: money paid in, corrections, and what invoices and payments mean for an account.
// Each has an id of its own and counts once.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hasAccount, hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import { bank, bilateralUnbilled } from '../money-in/accounts.ts'
import { printAmount } from '../money.ts'
import { postTransfers } from '../settlement/post.ts'
import { lockAccounts, openAccounts } from './store.ts'

export const limits = {
  /** One movement: a thousand million currency units. */
  microsMax: 10n ** 15n,
  referenceCharsMax: 100,
  reasonCharsMax: 200
} as const

export interface Given {
  readonly agreement: Agreement
  /** Of a top-up above zero. */
  readonly micros: bigint
  /** What the giver calls it; the same one counts once. */
  readonly reference: string
  readonly reason: string
  readonly by: string
  /** Local day of the posting, such as 2026-11-30. */
  readonly day: string
}

/** Whether it counted now, or had counted before. */
export type Moved = { readonly moved: boolean; readonly balanceMicros: bigint }

/** The account of the ledger that money paid in advance stands in: a debt of the hub, or of the seller. */
export const prepaidAccount = ({ id, buyer, seller }: Agreement): string =>
  seller === hub ? `prepaid/${buyer}` : bilateralUnbilled(id, buyer)

/**
 * Money paid in: more is left, and the ledger owes it. `sql` is a transaction; `from` the account that the money comes
 * out of. Throws HUB_CONFIG where the agreement is not paid in advance, or the reference was used for another amount.
 */
export async function topUp(sql: Sql, given: Given, from: string | null = null): Promise<Moved> {
  const { agreement, micros, reference, day } = given
  const { id, seller, currency } = agreement
  if (!agreement.credit.advance || !hasAccount(agreement)) {
    throw wrong(`agreement ${id} is not paid in advance: what is paid for its invoices comes by payment import`)
  }
  if (micros <= 0n) throw wrong('a top-up is above zero')
  const source = from ?? (seller === hub ? bank : bilateralUnbilled(id, seller))
  const before = await movedBefore(sql, given, 'top-up')
  if (before !== null) return before
  const credit = prepaidAccount(agreement)
  await postTransfers(sql, [
    { entryId: `top-up/${id}/${reference}`, debit: source, credit, amountMicros: micros, currency, day }
  ])
  return move(sql, given, 'top-up')
}

/**
 * A correction by a person. Of what was paid in advance it is posted; of what is paid later only the count of what is
 * open changes, as the ledger has its own corrections (credit notes). `sql` is a transaction. Throws as `topUp` does.
 */
export async function adjust(sql: Sql, given: Given): Promise<Moved> {
  const { agreement, micros, reference, reason, day } = given
  const { id, buyer, seller, currency } = agreement
  if (!hasAccount(agreement)) throw wrong(`agreement ${id} has no account: nothing is paid in advance, and no limit`)
  if (micros === 0n) throw wrong('an adjustment of nothing')
  if (reason.trim() === '') throw wrong('an adjustment needs a reason')
  const before = await movedBefore(sql, given, 'adjustment')
  if (before !== null) return before
  if (!agreement.credit.advance) return move(sql, given, 'adjustment')
  const other = seller === hub ? `credit-adjustment/${buyer}` : bilateralUnbilled(id, seller)
  const [debit, credit] = micros > 0n ? [other, prepaidAccount(agreement)] : [prepaidAccount(agreement), other]
  const amountMicros = micros > 0n ? micros : -micros
  await postTransfers(sql, [{ entryId: `adjustment/${id}/${reference}`, debit, credit, amountMicros, currency, day }])
  return move(sql, given, 'adjustment')
}

/**
 * What an invoice adds to what is open (tax, rounding: below zero), or a payment or a credit note takes from it (above
 * zero), for an agreement that is paid later; nothing happens where it has no account. `sql` is a transaction.
 */
export async function moveOpen(sql: Sql, given: Given, kind: 'invoice' | 'payment'): Promise<void> {
  if (!hasAccount(given.agreement) || given.agreement.credit.advance || given.micros === 0n) return
  if ((await movedBefore(sql, given, kind)) === null) await move(sql, given, kind)
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

type MoveKind = 'top-up' | 'adjustment' | 'invoice' | 'payment'
const idOf = ({ agreement, reference }: Given, kind: MoveKind): string => `${kind}/${agreement.id}/${reference}`

/** Null: it has not counted yet. Throws HUB_CONFIG where it has with another amount, and for what cannot be. */
async function movedBefore(sql: Sql, given: Given, kind: MoveKind): Promise<Moved | null> {
  const { micros, reference, reason } = given
  if (reference.trim() === '' || reference.length > limits.referenceCharsMax || reference.includes('\0')) {
    throw wrong(`a reference has 1 to ${limits.referenceCharsMax} characters`)
  }
  if (reason.length > limits.reasonCharsMax) throw wrong(`a reason has at most ${limits.reasonCharsMax} characters`)
  if (micros > limits.microsMax || micros < -limits.microsMax) {
    throw wrong(`${printAmount(micros)} is more than one movement may be`)
  }
  const movementId = idOf(given, kind)
  const { rows } = await sql.query<{ amount: bigint; balance: bigint }>(
    `select m.amount_micros as amount, a.balance_micros as balance
     from credit_movement m join credit_account a using (agreement_id) where movement_id = $1`,
    [movementId]
  )
  const [known] = rows
  if (known === undefined) return null
  if (known.amount === micros) return { moved: false, balanceMicros: known.balance }
  throw wrong(`${movementId} was of ${printAmount(known.amount)} before, not of ${printAmount(micros)}`)
}

/** After the posting: everybody locks sums of the ledger before accounts. */
async function move(sql: Sql, given: Given, kind: MoveKind): Promise<Moved> {
  const { agreement, micros, reason, by } = given
  const { id, currency } = agreement
  await openAccounts(sql, [{ id, currency }])
  const [account] = await lockAccounts(sql, [id])
  if (account === undefined) throw new HubError('HUB_INTERNAL', `agreement ${id} has no account`)
  const { count } = await sql.query(
    `insert into credit_movement (movement_id, agreement_id, kind, amount_micros, reason, made_by)
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
    [idOf(given, kind), id, kind, micros, reason, by]
  )
  // Somebody else was faster: after the lock it is there to be seen.
  const before = count === 0 ? await movedBefore(sql, given, kind) : null
  if (before !== null) return before
  await sql.query('update credit_account set balance_micros = balance_micros + $2 where agreement_id = $1', [
    id,
    micros
  ])
  return { moved: true, balanceMicros: account.balanceMicros + micros }
}
