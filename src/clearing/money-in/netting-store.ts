// Nettings as they are proposed, confirmed and cancelled (SET-05, SET-11): of undisputed items only, in one currency.
// Confirmed, what was netted is paid and the few payments that are left are owed.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Posting } from '../settlement/model.ts'
import { limits as postLimits, postTransfers } from '../settlement/post.ts'
import { roundingDifference } from './accounts.ts'
import { addDays } from './days.ts'
import { netOf } from './netting.ts'
import type { Netting, NetPayment } from './netting.ts'
import { addAllocations, debtPostings, exactJson, lockMoney, readOpenItems } from './open-items.ts'
import { reverseEntries, takeBackAllocations } from './reversal.ts'

export const nettingStates = ['proposed', 'confirmed', 'cancelled'] as const
export type NettingState = (typeof nettingStates)[number]

export interface NettingItem {
  readonly itemId: string
  readonly agreementId: string | null
  readonly debtor: string
  readonly creditor: string
  readonly amountMicros: bigint
}

/** A payment that is left, with the name by which it is paid: `NET-2026-000001-1`. */
export interface OwedPayment extends NetPayment {
  readonly paymentId: string
}

export interface StoredNetting extends Omit<Netting, 'payments'> {
  readonly nettingId: string
  readonly kind: 'bilateral' | 'multilateral'
  readonly currency: string
  readonly parties: readonly string[]
  readonly day: string
  readonly dueOn: string
  readonly state: NettingState
  readonly items: readonly NettingItem[]
  readonly payments: readonly OwedPayment[]
  readonly history: readonly { readonly state: NettingState; readonly by: string; readonly reason: string | null }[]
}

export interface ProposeAsked {
  readonly kind: 'bilateral' | 'multilateral'
  readonly parties: readonly string[]
  readonly currency: string
  readonly day: string
  /** Until the payments are due. */
  readonly paymentDays: number
  readonly by: string
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

/** `sql` is a transaction. Nothing is moved yet. Throws HUB_CONFIG where nothing is open among the parties. */
export async function proposeNetting(sql: Sql, asked: ProposeAsked): Promise<StoredNetting> {
  const { kind, currency, day, by } = asked
  await lockMoney(sql)
  const parties = [...asked.parties].sort()
  const members = new Set(parties)
  const items = (await readOpenItems(sql, { currency })).flatMap((item): readonly NettingItem[] => {
    const { itemId, agreementId, debtor, creditor, openMicros, heldMicros } = item
    const amountMicros = openMicros - heldMicros
    const inside = members.has(debtor) && members.has(creditor) && item.kind !== 'netting' && amountMicros > 0n
    return inside ? [{ itemId, agreementId, debtor, creditor, amountMicros }] : []
  })
  if (items.length === 0) throw wrong(`nothing undisputed is open in ${currency} among ${parties.join(', ')}`)
  const { positions, payments } = netted(items, currency)
  const { rows } = await sql.query<{ nettings: number }>('select count(*)::int as nettings from netting')
  const nettingId = `NET-${day.slice(0, 4)}-${String((rows[0]?.nettings ?? 0) + 1).padStart(6, '0')}`
  await sql.query(
    `insert into netting (netting_id, kind, currency, parties, positions, day, due_on, proposed_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [nettingId, kind, currency, JSON.stringify(parties), exactJson(positions), day, addDays(day, asked.paymentDays), by]
  )
  await sql.query(
    `insert into netting_item (netting_id, item_id, agreement_id, debtor, creditor, amount_micros)
     select $1, "itemId", "agreementId", debtor, creditor, "amountMicros" from json_to_recordset($2::json)
       as i("itemId" text, "agreementId" text, debtor text, creditor text, "amountMicros" bigint)`,
    [nettingId, exactJson(items)]
  )
  const named = payments.map((payment, n) => ({ ...payment, paymentId: `${nettingId}-${n + 1}` }))
  await sql.query(
    `insert into netting_payment (payment_id, netting_id, payer, payee, exact_micros, amount_micros)
     select "paymentId", $1, payer, payee, "exactMicros", "amountMicros" from json_to_recordset($2::json)
       as p("paymentId" text, payer text, payee text, "exactMicros" bigint, "amountMicros" bigint)`,
    [nettingId, exactJson(named)]
  )
  return must(await readNetting(sql, nettingId), nettingId)
}

function netted(items: readonly NettingItem[], currency: string): Netting {
  try {
    return netOf(items, currency)
  } catch (error) {
    if (error instanceof RangeError) throw new HubError('HUB_LIMIT', error.message, { cause: error })
    throw error
  }
}

function must(netting: StoredNetting | null, nettingId: string): StoredNetting {
  if (netting === null) throw wrong(`there is no netting ${nettingId}`)
  return netting
}

interface NettingRow {
  readonly netting_id: string
  readonly kind: 'bilateral' | 'multilateral'
  readonly currency: string
  readonly parties: readonly string[]
  readonly positions: readonly { readonly party: string; readonly netMicros: string }[]
  readonly day: string
  readonly due_on: string
  readonly proposed_by: string
}

/** Null: there is none of this name. */
export async function readNetting(sql: Sql, nettingId: string): Promise<StoredNetting | null> {
  const { rows } = await sql.query<NettingRow>(
    `select netting_id, kind, currency, parties, positions, day::text as day, due_on::text as due_on, proposed_by
     from netting where netting_id = $1`,
    [nettingId]
  )
  const row = rows[0]
  if (row === undefined) return null
  const items = await sql.query<{
    readonly item_id: string
    readonly agreement_id: string | null
    readonly debtor: string
    readonly creditor: string
    readonly amount_micros: bigint
  }>(
    'select item_id, agreement_id, debtor, creditor, amount_micros from netting_item where netting_id = $1 order by 1',
    [nettingId]
  )
  const payments = await sql.query<{
    readonly payment_id: string
    readonly payer: string
    readonly payee: string
    readonly exact_micros: bigint
    readonly amount_micros: bigint
  }>(
    `select payment_id, payer, payee, exact_micros, amount_micros from netting_payment
     where netting_id = $1 order by payer, payee`,
    [nettingId]
  )
  const events = await sql.query<{ state: NettingState; made_by: string; reason: string | null }>(
    'select state, made_by, reason from netting_event where netting_id = $1 order by made_at, state desc',
    [nettingId]
  )
  const states = new Set(events.rows.map(({ state }) => state))
  return {
    nettingId,
    kind: row.kind,
    currency: row.currency,
    parties: row.parties,
    day: row.day,
    dueOn: row.due_on,
    state: states.has('cancelled') ? 'cancelled' : states.has('confirmed') ? 'confirmed' : 'proposed',
    positions: row.positions.map(({ party, netMicros }) => ({ party, netMicros: BigInt(netMicros) })),
    items: items.rows.map(({ item_id, agreement_id, debtor, creditor, amount_micros }) => ({
      itemId: item_id,
      agreementId: agreement_id,
      debtor,
      creditor,
      amountMicros: amount_micros
    })),
    payments: payments.rows.map(({ payment_id, payer, payee, exact_micros, amount_micros }) => ({
      paymentId: payment_id,
      payer,
      payee,
      exactMicros: exact_micros,
      amountMicros: amount_micros
    })),
    history: [
      { state: 'proposed', by: row.proposed_by, reason: null },
      ...events.rows.map(({ state, made_by, reason }) => ({ state, by: made_by, reason }))
    ]
  }
}

/** Names of nettings, the latest first. */
export async function listNettings(sql: Sql, max: number): Promise<readonly StoredNetting[]> {
  const { rows } = await sql.query<{ netting_id: string }>(
    'select netting_id from netting order by proposed_at desc, netting_id desc limit $1',
    [max]
  )
  const found: StoredNetting[] = []
  for (const { netting_id } of rows) found.push(must(await readNetting(sql, netting_id), netting_id))
  return found
}

export interface DecideAsked {
  readonly nettingId: string
  readonly reason: string | null
  readonly day: string
  readonly by: string
}

/**
 * Sets the items off and makes the payments owed. `sql` is a transaction.
 * Throws HUB_CONFIG where it is no proposal any more, or an item is not open and undisputed by so much any more.
 */
export async function confirmNetting(sql: Sql, { nettingId, reason, day, by }: DecideAsked): Promise<StoredNetting> {
  await lockMoney(sql)
  const netting = must(await readNetting(sql, nettingId), nettingId)
  if (netting.state !== 'proposed') throw wrong(`the netting ${nettingId} is ${netting.state} already`)
  const open = new Map((await readOpenItems(sql, { currency: netting.currency })).map(item => [item.itemId, item]))
  for (const { itemId, amountMicros } of netting.items) {
    const item = open.get(itemId)
    if (item !== undefined && item.openMicros - item.heldMicros >= amountMicros) continue
    throw wrong(`${itemId} is not open and undisputed by so much any more: propose the netting again`)
  }
  await addEvent(sql, 'confirmed', { nettingId, reason, day, by })
  const source = `netting/${nettingId}`
  await addAllocations(
    sql,
    netting.items.map(({ itemId, amountMicros }) => ({ itemId, amountMicros, source, day })),
    by
  )
  const postings = confirmPostings(netting, day)
  for (let at = 0; at < postings.length; at += postLimits.postingsMax) {
    await postTransfers(sql, postings.slice(at, at + postLimits.postingsMax))
  }
  return must(await readNetting(sql, nettingId), nettingId)
}

/** Items are paid against the netting's own account, payments are owed against it, and it comes to zero. */
function confirmPostings({ nettingId, currency, items, payments }: StoredNetting, day: string): readonly Posting[] {
  const counter = `netting/${nettingId}`
  const entry = (part: string): string => `netting/${nettingId}/${part}`
  const off = items.flatMap((item, n) => {
    const posting = { entryId: entry(`item-${n + 1}`), amountMicros: item.amountMicros, currency, day, counter }
    return debtPostings(item, posting, false)
  })
  const owed = payments.flatMap(({ payer, payee, exactMicros, amountMicros }, n) => {
    const debt = { debtor: payer, creditor: payee, agreementId: null }
    const posting = { entryId: entry(`payment-${n + 1}`), amountMicros: exactMicros, currency, day, counter }
    const other = payer === hub ? payee : payer
    const rounding = {
      entryId: entry(`rounding-${n + 1}`),
      amountMicros: amountMicros - exactMicros,
      currency,
      day,
      counter: roundingDifference(other)
    }
    return [...debtPostings(debt, posting, true), ...debtPostings(debt, rounding, true)]
  })
  return [...off, ...owed]
}

async function addEvent(
  sql: Sql,
  state: 'confirmed' | 'cancelled',
  { nettingId, reason, day, by }: DecideAsked
): Promise<void> {
  await sql.query('insert into netting_event (netting_id, state, reason, day, made_by) values ($1, $2, $3, $4, $5)', [
    nettingId,
    state,
    reason,
    day,
    by
  ])
}

/** Takes a proposal back, or reverses what was confirmed. Throws HUB_CONFIG once one of its payments is paid. */
export async function cancelNetting(sql: Sql, asked: DecideAsked): Promise<StoredNetting> {
  const { nettingId, reason, day, by } = asked
  await lockMoney(sql)
  const netting = must(await readNetting(sql, nettingId), nettingId)
  if (netting.state === 'cancelled') throw wrong(`the netting ${nettingId} is cancelled already`)
  if (reason === null || reason.trim() === '') throw wrong('a cancellation needs a reason')
  const { rows } = await sql.query<{ item_id: string }>(
    `select item_id from allocation where item_id in (select payment_id from netting_payment where netting_id = $1)
     group by item_id having sum(amount_micros) <> 0 order by 1 limit 1`,
    [nettingId]
  )
  const paid = rows[0]
  if (paid !== undefined) throw wrong(`${paid.item_id} of netting ${nettingId} is paid: it cannot be cancelled`)
  await addEvent(sql, 'cancelled', asked)
  await takeBackAllocations(sql, `netting/${nettingId}`, day, by)
  await reverseEntries(sql, `netting/${nettingId}/`, day)
  return must(await readNetting(sql, nettingId), nettingId)
}
