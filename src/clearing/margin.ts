// Calls that cost the hub more than they bring (R10): found when the second of their two sides is charged.

import type { Sql } from '../store/sql.ts'
import type { Due } from './postings.ts'

interface Sides {
  readonly currency: string
  isMixed: boolean
  sell: bigint | null
  buy: bigint | null
}

/**
 * Keeps an alarm for each call of which both sides are known now, in one currency, and the hub pays more. Returns how
 * many there are in this batch. To be called before the batch itself is added.
 */
export async function addMarginAlarms(sql: Sql, due: readonly Due[]): Promise<number> {
  const calls = new Map<string, Sides>()
  for (const { record, charge } of due) {
    if (charge.side === 'bilateral' || charge.agreement === null) continue
    addSide(calls, record.call_id, charge.side, charge.agreement.currency, charge.amountMicros)
  }
  const half: string[] = []
  for (const [callId, { sell, buy }] of calls) if (sell === null || buy === null) half.push(callId)
  for (const { call_id, side, currency, amount } of await chargedBefore(sql, half)) {
    addSide(calls, call_id, side, currency, BigInt(amount))
  }
  const losses: { callId: string; currency: string; sell: string; buy: string }[] = []
  for (const [callId, { currency, isMixed, sell, buy }] of calls) {
    if (sell === null || buy === null || buy <= sell || isMixed) continue
    losses.push({ callId, currency, sell: sell.toString(), buy: buy.toString() })
  }
  if (losses.length > 0) {
    await sql.query(
      `insert into margin_alarm (call_id, currency, sell_micros, buy_micros)
       select "callId", currency, sell, buy
       from json_to_recordset($1::json) as l("callId" uuid, currency text, sell bigint, buy bigint)
       on conflict do nothing`,
      [JSON.stringify(losses)]
    )
  }
  return losses.length
}

function addSide(
  calls: Map<string, Sides>,
  callId: string,
  side: 'sell' | 'buy',
  currency: string,
  amount: bigint
): void {
  let sides = calls.get(callId)
  if (sides === undefined) calls.set(callId, (sides = { currency, isMixed: false, sell: null, buy: null }))
  if (sides.currency !== currency) sides.isMixed = true
  sides[side] = (sides[side] ?? 0n) + amount
}

interface Charged {
  readonly call_id: string
  readonly side: 'sell' | 'buy'
  readonly currency: string
  readonly amount: string
}

async function chargedBefore(sql: Sql, callIds: readonly string[]): Promise<readonly Charged[]> {
  if (callIds.length === 0) return []
  const { rows } = await sql.query<Charged>(
    `select f.call_id, c.side, c.currency, sum(c.amount_micros)::text as amount
     from cdr_final f join charge c using (cdr_id)
     where f.call_id = any($1::uuid[]) and c.side <> 'bilateral' and c.currency is not null group by 1, 2, 3`,
    [`{${callIds.join(',')}}`]
  )
  return rows
}
