// What follows from the entries is computed again from them: balances, daily sums, and the entries of each charge
// (LED-01, LED-02).

import type { Sql } from '../../store/sql.ts'
import { printAmount } from '../money.ts'
import { Findings, limits } from './model.ts'
import type { Check } from './model.ts'

const count = async (sql: Sql, text: string): Promise<number> => {
  const { rows } = await sql.query<{ n: bigint }>(`select count(*) as n from (${text}) as counted`)
  return Number(rows[0]?.n ?? 0n)
}

/** Each balance is the sum of its entries, and all of one currency come to nothing. */
export async function checkBalances(sql: Sql): Promise<Check> {
  const found = new Findings('balances')
  found.look(await count(sql, 'select 1 from balance'))
  const { rows } = await sql.query<{
    account: string
    currency: string
    stands: string | null
    follows: string | null
  }>(
    `with follow as (
       select account, currency, sum(debit) as debit, sum(credit) as credit from (
         select debit as account, currency, amount_micros as debit, 0 as credit from transfer
         union all select credit, currency, 0, amount_micros from transfer) as sides
       group by 1, 2)
     select coalesce(f.account, b.account) as account, coalesce(f.currency, b.currency) as currency,
       trunc(b.debit_micros - b.credit_micros)::text as stands, trunc(f.debit - f.credit)::text as follows
     from follow f full join balance b on b.account = f.account and b.currency = f.currency
     where coalesce(b.debit_micros, 0) <> coalesce(f.debit, 0) or coalesce(b.credit_micros, 0) <> coalesce(f.credit, 0)
     order by 1, 2`
  )
  const amount = (micros: string | null): string => (micros === null ? 'nothing' : printAmount(BigInt(micros)))
  for (const { account, currency, stands, follows } of rows) {
    found.fault(`${account} ${currency}: stands at ${amount(stands)}, its entries come to ${amount(follows)}`)
  }
  const { rows: sums } = await sql.query<{ currency: string; sum: string }>(
    `select currency, trunc(sum(debit_micros - credit_micros))::text as sum from balance group by 1
     having sum(debit_micros) <> sum(credit_micros) order by 1`
  )
  for (const { currency, sum } of sums) found.fault(`${currency}: all accounts come to ${amount(sum)}, not to nothing`)
  return found.done()
}

/** Each daily sum is what the charges of the day come to. */
export async function checkRollups(sql: Sql): Promise<Check> {
  const found = new Findings('daily sums')
  found.look(await count(sql, 'select 1 from rollup'))
  const keys = 'day, from_provider, to_provider, service, side, agreement_id, currency, destination'
  const { rows } = await sql.query<{ at: string; stands: string; follows: string }>(
    `with follow as (
       select c.day, coalesce(case f.leg when 'ingress' then f.provider else f.other_provider end, '') as from_provider,
         coalesce(case f.leg when 'ingress' then f.other_provider else f.provider end, '') as to_provider, f.service,
         case c.rule when 'with-ingress' then 'with-ingress' else c.side end as side,
         coalesce(c.agreement_id, '') as agreement_id, coalesce(c.currency, '') as currency,
         coalesce(c.destination, '') as destination, count(*) as attempts, count(f.t_answer) as answered,
         sum(c.billed_units) as billed_units,
         coalesce(sum(f.duration_ms) filter (where f.t_answer is not null), 0) as duration_ms,
         sum(c.amount_micros) as amount_micros
       from charge_now c join cdr_final f using (cdr_id) group by 1, 2, 3, 4, 5, 6, 7, 8)
     select concat_ws(' ', day::text, from_provider, to_provider, service, side, agreement_id, destination) as at,
       concat_ws('/', trunc(r.attempts), trunc(r.answered), trunc(r.billed_units), trunc(r.duration_ms),
         trunc(r.amount_micros)) as stands,
       concat_ws('/', f.attempts, f.answered, f.billed_units, f.duration_ms, f.amount_micros) as follows
     from follow f full join rollup r using (${keys})
     where (coalesce(r.attempts, 0), coalesce(r.answered, 0), coalesce(r.billed_units, 0), coalesce(r.duration_ms, 0),
         coalesce(r.amount_micros, 0)) is distinct from
       (coalesce(f.attempts, 0), coalesce(f.answered, 0), coalesce(f.billed_units, 0), coalesce(f.duration_ms, 0),
         coalesce(f.amount_micros, 0))
     order by 1`
  )
  for (const { at, stands, follows } of rows) {
    found.fault(`${at}: stands at ${stands || 'nothing'}, the charges come to ${follows || 'nothing'}`)
  }
  return found.done()
}

/** What each charge says has been moved, between its accounts, once; and nothing else was moved for a record. */
export async function checkEntries(sql: Sql): Promise<Check> {
  const found = new Findings('entries')
  found.look(await count(sql, 'select 1 from transfer'))
  const { rows } = await sql.query<{ what: string }>(
    `with made as (
       select cdr_id, 0::bigint as revision, side, rule, agreement_id, currency, amount_micros, terms from charge
       union all
       select cdr_id, revision, side, rule, agreement_id, currency, amount_micros, explanation from recharge
     ), last as (
       select cdr_id, max(revision) as revision from made group by 1
     ), expected as (
       select m.cdr_id, m.cdr_id || '/' || m.rule || '/1' ||
           case when m.revision = 0 then '' else '/' || m.revision end as entry_id,
         m.side, m.agreement_id, m.currency, m.amount_micros, m.revision < l.revision as replaced,
         m.terms ->> 'buyer' as buyer, m.terms ->> 'seller' as seller
       from made m join last l using (cdr_id) where m.amount_micros > 0
     ), entry as (
       select cdr_id, entry_id, currency, amount_micros, debit, credit from transfer where cdr_id is not null
     ), wanted as (
       select cdr_id, entry_id, currency, amount_micros, side, agreement_id, buyer, seller, false as back from expected
       union all
       select cdr_id, entry_id || '/reversed', currency, amount_micros, side, agreement_id, buyer, seller, true
       from expected where replaced
     )
     select case when e.entry_id is null then w.entry_id || ' is missing'
         when w.entry_id is null then e.entry_id || ' belongs to no charge'
         else e.entry_id || ' moves another amount, or between other accounts, than its charge says' end as what
     from wanted w full join entry e on e.cdr_id = w.cdr_id and e.entry_id = w.entry_id
     where w.entry_id is null or e.entry_id is null or e.amount_micros <> w.amount_micros or e.currency <> w.currency
       or not case w.side
         when 'sell' then (case when w.back then e.credit else e.debit end) in
             ('unbilled-receivable/' || w.buyer, 'prepaid/' || w.buyer)
           and (case when w.back then e.debit else e.credit end) = 'revenue/' || w.buyer
         when 'buy' then (case when w.back then e.credit else e.debit end) = 'cost/' || w.seller
           and (case when w.back then e.debit else e.credit end) = 'unbilled-payable/' || w.seller
         else (case when w.back then e.credit else e.debit end) = 'bilateral/' || w.agreement_id || '/' || w.buyer
           and (case when w.back then e.debit else e.credit end) = 'bilateral/' || w.agreement_id || '/' || w.seller end
     order by 1 limit ${limits.faultsMax}`
  )
  for (const { what } of rows) found.fault(what)
  return found.done()
}
