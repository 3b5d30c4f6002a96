// What the adjustments of a period are computed from, read from the book.

import type { Sql } from '../../store/sql.ts'
import type { Agreement } from '../agreements.ts'
import { parseRate } from '../money.ts'
import { addDays } from '../money-in/days.ts'
import { periodOfDay } from '../periods.ts'
import type { SettlementPeriod } from '../periods.ts'
import type { Balance, PeriodFacts, RateSum } from './adjust.ts'
import { steadily } from './stated.ts'
import type { Days } from './stated.ts'

/** Of the calls that were stated, with those of the statement that is being made. */
export async function periodFactsOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  { statementId, carriedIn }: { readonly statementId: string; readonly carriedIn: bigint }
): Promise<PeriodFacts> {
  const needsRates = agreement.commitment !== null || agreement.rounding.scope === 'period'
  return {
    rates: needsRates ? await ratesOf(sql, agreement.id, period, statementId) : [],
    balances: agreement.billAndKeep === null ? [] : await balancesOf(sql, agreement, period),
    carriedIn
  }
}

async function ratesOf(sql: Sql, agreementId: string, { from, to }: Days, statementId: string) {
  const { rows } = await steadily(sql, () =>
    sql.query<{
      rate_id: string | null
      rate: string | null
      setup: string | null
      uplift: string | null
      calls: string
      units: string
      duration_ms: string
      amount: string
    }>(
      `select x.rate_id, x.rate, x.terms ->> 'setupFee' as setup,
       x.terms ->> 'uplift' as uplift, sum(x.sign)::text as calls, sum(x.sign * x.billed_units)::text as units,
       sum(x.sign * f.duration_ms)::text as duration_ms, sum(x.sign * x.amount_micros)::text as amount
     from (
       select l.sign, l.cdr_id, coalesce(r.rate_id, c.rate_id) as rate_id, coalesce(r.rule, c.rule) as rule,
         case when r.cdr_id is null then coalesce(c.rate, c.detail -> 'parts' -> 0 ->> 'rate')
           else r.explanation -> 'parts' -> 0 ->> 'rate' end as rate,
         coalesce(r.explanation, c.terms) as terms, coalesce(r.day, c.day) as day,
         coalesce(r.billed_units, c.billed_units) as billed_units,
         coalesce(r.amount_micros, c.amount_micros) as amount_micros
       from statement_leaf l join charge c using (cdr_id)
         left join recharge r on r.cdr_id = l.cdr_id and r.revision = l.revision
       where l.statement_id = $4 or l.statement_id in (select statement_id from statement where agreement_id = $1)
     ) as x join cdr_final f using (cdr_id)
     where x.day >= $2::date and x.day < $3::date and x.rule in ('call', 'message')
     group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
      [agreementId, from, to, statementId]
    )
  )
  return rows.map((row): RateSum => ({
    rateId: row.rate_id,
    rateNanos: parseRate(row.rate ?? '0'),
    setupNanos: parseRate(row.setup ?? '0'),
    upliftNanos: parseRate(row.uplift ?? '0'),
    calls: BigInt(row.calls),
    billedUnits: BigInt(row.units),
    durationMs: BigInt(row.duration_ms),
    amountMicros: BigInt(row.amount)
  }))
}

/** This period first, then as many before it as the agreement asks for. */
export async function balancesOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod
): Promise<readonly Balance[]> {
  const balances: Balance[] = []
  let days: Days = period
  for (let left = agreement.billAndKeep?.periods ?? 0; left > 0; left--) {
    const { rows } = await sql.query<{ out: string; in: string }>(
      `select coalesce(sum(billed_units) filter (where agreement_id = $1), 0)::text as "out",
         coalesce(sum(billed_units) filter (where agreement_id = $2), 0)::text as "in"
       from rollup_shard where agreement_id in ($1, $2) and side <> 'with-ingress'
         and day >= $3::date and day < $4::date`,
      [agreement.id, agreement.billAndKeep?.with ?? '', days.from, days.to]
    )
    balances.push({ unitsOut: BigInt(rows[0]?.out ?? '0'), unitsIn: BigInt(rows[0]?.in ?? '0') })
    days = periodOfDay(addDays(days.from, -1), agreement.calendar)
  }
  return balances
}
