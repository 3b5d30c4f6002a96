// Postings that no call made, and the balances they move, in the caller's transaction: the same entry counts once.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { shardOfNone } from '../postings.ts'
import type { Posting } from './model.ts'

export const limits = {
  /** Postings of one call. */
  postingsMax: 10_000
} as const

/** Nobody else's text ends where a call's id does. */
const entryShape = /^[a-z][a-z-]*\/[^\0]{1,300}$/

/**
 * Adds postings and their balances. `sql` is a transaction. Returns how many were new: those that are there already,
 * the same in all parts, are an ordinary repeat and change nothing.
 * Throws HUB_INTERNAL where an entry id is there with another content, and for what no posting can be; HUB_LIMIT above
 * `postingsMax`. Nothing is posted then, once the caller's transaction is rolled back.
 */
export async function postTransfers(sql: Sql, postings: readonly Posting[]): Promise<number> {
  if (postings.length === 0) return 0
  if (postings.length > limits.postingsMax) {
    throw new HubError('HUB_LIMIT', `${postings.length} postings at once, more than ${limits.postingsMax}`)
  }
  for (const posting of postings) requirePosting(posting)
  // In the order of their ids, so that two writers never wait for each other in a circle.
  const { rows } = await sql.query<{ added: bigint }>(
    `with given as (
       select * from json_to_recordset($1::json)
         as g(entry_id text, debit text, credit text, amount_micros bigint, currency text, day date)
     ), added as (
       insert into posting (entry_id, cdr_id, debit, credit, amount_micros, currency, day)
       select entry_id, null, debit, credit, amount_micros, currency, day from given order by entry_id
       on conflict (cdr_id, entry_id) do nothing
       returning entry_id, debit, credit, amount_micros, currency
     ), moved as (
       insert into balance_shard as b (shard, account, currency, debit_micros, credit_micros)
       select $2::int, account, currency, sum(debit), sum(credit) from (
         select debit as account, currency, amount_micros as debit, 0 as credit from added
         union all select credit, currency, 0, amount_micros from added) as sides
       group by account, currency order by account, currency
       on conflict (shard, account, currency) do update
         set debit_micros = b.debit_micros + excluded.debit_micros,
             credit_micros = b.credit_micros + excluded.credit_micros
       returning 1
     )
     select (select count(*) from added) as added, (select count(*) from moved) as moved`,
    [jsonOf(postings), shardOfNone]
  )
  await requireSame(sql, postings)
  return Number(rows[0]?.added ?? 0n)
}

function requirePosting({ entryId, debit, credit, amountMicros, currency }: Posting): void {
  const wrong = (why: string): HubError => new HubError('HUB_INTERNAL', `posting ${entryId}: ${why}`)
  if (!entryShape.test(entryId)) throw wrong('its id is not like invoice/2026-0001')
  if (amountMicros <= 0n) throw wrong(`its amount is ${amountMicros}, not above zero`)
  if (debit === credit || debit === '' || credit === '') throw wrong('it moves nothing from one account to another')
  if (!/^[A-Z]{3}$/.test(currency)) throw wrong(`${currency} is no currency`)
}

/** What stands there under these ids must be what was given. */
async function requireSame(sql: Sql, postings: readonly Posting[]): Promise<void> {
  const { rows } = await sql.query<{ entry_id: string }>(
    `select g.entry_id from json_to_recordset($1::json)
       as g(entry_id text, debit text, credit text, amount_micros bigint, currency text, day date)
     left join posting t on t.cdr_id is null and t.entry_id = g.entry_id
     where (t.debit, t.credit, t.amount_micros, t.currency, t.day)
       is distinct from (g.debit, g.credit, g.amount_micros, g.currency, g.day)
     order by 1 limit 1`,
    [jsonOf(postings)]
  )
  const other = rows[0]
  if (other === undefined) return
  throw new HubError('HUB_INTERNAL', `posting ${other.entry_id} is in the book with other accounts, amount or day`)
}

const jsonOf = (postings: readonly Posting[]): string =>
  JSON.stringify(
    postings.map(({ entryId, debit, credit, amountMicros, currency, day }) => ({
      entry_id: entryId,
      debit,
      credit,
      amount_micros: amountMicros.toString(),
      currency,
      day
    }))
  )
