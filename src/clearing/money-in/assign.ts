// Money that waits is given its place by a person (COM-06): to a party, to an invoice, also of another currency at a
// dated rate. And what parties paid each other past the hub, as they declare it.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { fxDifference, fxPosition, paymentSuspense, unapplied } from './accounts.ts'
import type { OpenItem } from './aging.ts'
import { oldestFirst, spread } from './apply.ts'
import { minorDigits, printMoney } from './currency.ts'
import { convertFx } from './fx.ts'
import { fxOn } from './fx-table.ts'
import { addAllocations, debtPostings, lockMoney, readOpenItems } from './open-items.ts'
import type { SourcedAllocation } from './open-items.ts'
import { addRests } from './payments.ts'

export const limits = {
  /** How far a payment at another day's rate may fall short of its invoice and still settle it, in percent. */
  fxDifferencePercentMax: 5n
} as const

export interface AssignAsked {
  readonly paymentId: string
  readonly party: string
  /** Null: the oldest first. */
  readonly invoiceId: string | null
  /** For an invoice of another currency: whose rate, and how old it may be. `settles`: forgive what is short. */
  readonly fx: { readonly source: string; readonly daysBefore: number; readonly settles: boolean } | null
  readonly day: string
  readonly by: string
}

export interface Assigned {
  readonly paid: readonly { readonly itemId: string; readonly amountMicros: bigint; readonly currency: string }[]
  readonly unappliedMicros: bigint
  readonly currency: string
}

interface Waiting {
  readonly party: string | null
  readonly amountMicros: bigint
  readonly currency: string
  readonly bookedOn: string
}

/** `sql` is a transaction. Throws HUB_CONFIG where nothing waits, or the invoice is not the party's. */
export async function assignPayment(sql: Sql, asked: AssignAsked): Promise<Assigned> {
  const { paymentId, party, invoiceId } = asked
  await lockMoney(sql)
  const waiting = await waitingOf(sql, paymentId)
  if (waiting.party !== null && waiting.party !== party) {
    throw wrong(`payment ${paymentId} is of ${waiting.party}, not of ${party}`)
  }
  const open = await readOpenItems(sql, { creditor: hub, debtor: party })
  const item = invoiceId === null ? null : (open.find(({ itemId }) => itemId === invoiceId) ?? null)
  if (invoiceId !== null && item === null) throw wrong(`${party} owes nothing by ${invoiceId}`)
  const steps = await stepsOf(sql, paymentId)
  if (item !== null && item.currency !== waiting.currency) return assignConverted(sql, asked, waiting, item, steps)
  const items = item === null ? open.filter(({ currency }) => currency === waiting.currency).sort(oldestFirst) : [item]
  const { allocations, left } = spread(waiting.amountMicros, items)
  const paid = items.flatMap(item => {
    const found = allocations.find(({ itemId }) => itemId === item.itemId)
    return found === undefined ? [] : [{ item, amountMicros: found.amountMicros }]
  })
  const { currency } = waiting
  if (paid.length === 0 && waiting.party === party) throw wrong(`nothing is open of ${party} in ${currency}`)
  const { day, by } = asked
  const from = fromOf(waiting)
  const entry = (part: string): string => `payment/${paymentId}/assigned-${steps + 1}/${part}`
  const postings: Posting[] = paid.flatMap(({ item, amountMicros }, n) =>
    debtPostings(item, { entryId: entry(String(n + 1)), amountMicros, currency, day, counter: from }, false)
  )
  const source = `payment/${paymentId}`
  await addAllocations(
    sql,
    paid.map(({ item, amountMicros }) => ({ itemId: item.itemId, amountMicros, source, day })),
    by
  )
  const rest = { paymentId, reason: 'nothing-open' as const, currency, day }
  const detail = `assigned by ${by}`
  if (waiting.party === null) {
    await addRests(sql, [{ ...rest, party: null, detail, amountMicros: -waiting.amountMicros }], by)
    if (left > 0n) {
      await addRests(sql, [{ ...rest, party, detail, amountMicros: left }], by)
      const accounts = { debit: paymentSuspense, credit: unapplied(party) }
      postings.push({ entryId: entry('unapplied'), ...accounts, amountMicros: left, currency, day })
    }
  } else await addRests(sql, [{ ...rest, party, detail, amountMicros: left - waiting.amountMicros }], by)
  await postTransfers(sql, postings)
  const told = paid.map(({ item, amountMicros }) => ({ itemId: item.itemId, amountMicros, currency }))
  return { paid: told, unappliedMicros: left, currency }
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)
const fromOf = ({ party }: Waiting): string => (party === null ? paymentSuspense : unapplied(party))

async function waitingOf(sql: Sql, paymentId: string): Promise<Waiting> {
  const { rows } = await sql.query<{ party: string | null; amount: bigint; currency: string; booked_on: string }>(
    `select o.party, o.amount_micros as amount, p.currency, p.booked_on::text as booked_on
     from payment_open o join payment p using (payment_id)
     where payment_id = $1 and o.amount_micros > 0 order by o.party nulls first limit 1`,
    [paymentId]
  )
  const row = rows[0]
  if (row === undefined) throw wrong(`nothing of payment ${paymentId} waits to be assigned`)
  return { party: row.party, amountMicros: row.amount, currency: row.currency, bookedOn: row.booked_on }
}

/** How often a payment's rest was moved: names the next move. */
async function stepsOf(sql: Sql, paymentId: string): Promise<number> {
  const { rows } = await sql.query<{ steps: number }>(
    'select count(*)::int as steps from payment_rest where payment_id = $1',
    [paymentId]
  )
  return rows[0]?.steps ?? 0
}

/** At the rate of the day on which the money arrived; all of the rest is used, or as much as the invoice needs. */
async function assignConverted(
  sql: Sql,
  asked: AssignAsked,
  waiting: Waiting,
  item: OpenItem,
  steps: number
): Promise<Assigned> {
  const { paymentId, party, fx, day, by } = asked
  const { itemId, currency } = item
  const due = item.openMicros - item.heldMicros
  if (fx === null) throw wrong(`${itemId} is in ${currency}, the payment in ${waiting.currency}; say whose rate counts`)
  const on = { day: waiting.bookedOn, source: fx.source, daysBefore: fx.daysBefore }
  const use = await fxOn(sql, { from: waiting.currency, to: currency, ...on })
  const worth = convertFx({ numerator: waiting.amountMicros }, use, { scale: minorDigits(currency), mode: 'half-up' })
  const covered = worth < due ? worth : due
  const back = { rate: use.rate, inverse: !use.inverse }
  const scale = { scale: minorDigits(waiting.currency), mode: 'half-up' } as const
  const used = worth <= due ? waiting.amountMicros : convertFx({ numerator: due }, back, scale)
  if (covered <= 0n || used <= 0n) throw wrong(`${itemId} has nothing open that ${paymentId} could pay`)
  const short = due - covered
  if (fx.settles && short * 100n > due * limits.fxDifferencePercentMax) {
    const most = `${limits.fxDifferencePercentMax} %`
    throw wrong(`${printMoney(short, currency)} ${currency} are missing, more than ${most} of what is due`)
  }
  const entry = (part: string): string => `payment/${paymentId}/assigned-${steps + 1}/${part}`
  const written = fx.settles ? short : 0n
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] =>
    debtPostings(item, { entryId: entry(name), amountMicros, currency, day, counter }, false)
  await postTransfers(sql, [
    {
      entryId: entry('converted'),
      debit: fromOf(waiting),
      credit: fxPosition,
      amountMicros: used,
      currency: waiting.currency,
      day
    },
    ...part('1', covered, fxPosition),
    ...part('fx-difference', written, fxDifference(party))
  ])
  const allocation: SourcedAllocation = { itemId, amountMicros: covered + written, source: `payment/${paymentId}`, day }
  await addAllocations(sql, [allocation], by)
  const detail = `${itemId} at the rate of ${use.rate.fixedOn} by ${use.rate.source}`
  const rest = {
    paymentId,
    party: waiting.party,
    reason: 'other-currency' as const,
    detail,
    currency: waiting.currency,
    day
  }
  await addRests(sql, [{ ...rest, amountMicros: -used }], by)
  const paid = [{ itemId, amountMicros: covered + written, currency }]
  return { paid, unappliedMicros: waiting.amountMicros - used, currency: waiting.currency }
}

export interface DeclaredAsked {
  readonly itemId: string
  readonly amountMicros: bigint
  /** The parties' own name of the payment: twice is once. */
  readonly reference: string
  readonly day: string
  readonly by: string
}

/** What one party paid another past the hub. `false`: it was declared before. Throws HUB_CONFIG. */
export async function declarePayment(sql: Sql, asked: DeclaredAsked): Promise<boolean> {
  const { itemId, amountMicros, reference, day, by } = asked
  await lockMoney(sql)
  const source = `declared/${reference}`
  const { rows } = await sql.query<{ item_id: string; amount_micros: bigint }>(
    'select item_id, amount_micros from allocation where source = $1',
    [source]
  )
  const before = rows[0]
  if (before?.item_id === itemId && before.amount_micros === amountMicros) return false
  if (before !== undefined) throw wrong(`${reference} was declared before, of another item or amount`)
  const [item] = await readOpenItems(sql, { itemId })
  if (item === undefined) throw wrong(`nothing is open of ${itemId}`)
  if (item.debtor === hub || item.creditor === hub) {
    throw wrong(`${itemId} is paid through the bank of the hub: isthmus payment import`)
  }
  if (amountMicros <= 0n || amountMicros > item.openMicros - item.heldMicros) {
    throw wrong(`${itemId} is not open by ${printMoney(amountMicros, item.currency)} ${item.currency}`)
  }
  await addAllocations(sql, [{ itemId, amountMicros, source, day }], by)
  const posting = { entryId: `${source}/1`, amountMicros, currency: item.currency, day, counter: '' }
  await postTransfers(sql, debtPostings(item, posting, false))
  return true
}
