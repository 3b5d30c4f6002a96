// The statement of a period that is not closed, from the daily sums alone: quick however many calls there were. Sums
// know destinations, no rates.

import type { EpochMs } from '../../session/model.ts'
import type { Sql } from '../../store/sql.ts'
import type { Agreement } from '../agreements.ts'
import { totalOf } from '../models.ts'
import { divRound, printAmount } from '../money.ts'
import { minorDigits } from '../money-in/currency.ts'
import { addDays } from '../money-in/days.ts'
import type { SettlementPeriod } from '../periods.ts'
import { isOrderDependent } from '../pricing.ts'
import { adjustmentsOf } from './adjust.ts'
import type { RateSum } from './adjust.ts'
import { documentOf } from './document.ts'
import type { DraftNote, StatementFile } from './document.ts'
import { bareLine, statementIdOf } from './model.ts'
import type { StatementData, StatementLine } from './model.ts'
import { balancesOf } from './period-facts.ts'
import { partyAccountOf, sideOf, termsOf } from './write.ts'

interface Sum {
  readonly destination: string
  readonly attempts: string
  readonly answered: string
  readonly units: string
  readonly duration_ms: string
  readonly amount: string
}

/** What has been charged so far, and what that makes of the models that look at whole periods. */
export async function draftOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  now: EpochMs
): Promise<StatementFile> {
  const { rows } = await sql.query<Sum>(
    `select destination, sum(attempts)::text as attempts, sum(answered)::text as answered,
       sum(billed_units)::text as units, sum(duration_ms)::text as duration_ms, sum(amount_micros)::text as amount
     from rollup_shard
     where day >= $2::date and day < $3::date and agreement_id = $1 and side <> 'with-ingress'
     group by destination order by destination = '', destination`,
    [agreement.id, period.from, period.to]
  )
  const usage = rows.map(row => lineOf(agreement, period, row))
  const { adjustments } = adjustmentsOf(agreement, {
    rates: agreement.commitment === null ? [] : [allOf(usage)],
    balances: agreement.billAndKeep === null ? [] : await balancesOf(sql, agreement, period),
    carriedIn: await carriedInto(sql, agreement.id, period)
  })
  // Seconds of a rate are added up at the close: the sums do not know it.
  const told = agreement.rounding.scope === 'period' ? [] : adjustments
  const extra = told.map(({ kind, amountMicros, detail }) => {
    const amount = { grossMicros: amountMicros, netMicros: amountMicros }
    return { ...bareLine, kind, ofPeriod: period.name, ...amount, detail }
  })
  const lines = [...usage, ...extra].map((line, n) => ({ ...line, line: n + 1 }))
  const statement = documentOf(await dataOf(sql, agreement, period, lines), lines)
  return { statement, seal: null, draft: await noteOf(sql, agreement, period, usage, now), since: null }
}

type Line = Omit<StatementLine, 'line'>

const lineOf = ({ service }: Agreement, period: SettlementPeriod, row: Sum): Line => ({
  ...bareLine,
  kind: 'usage',
  ofPeriod: period.name,
  destination: row.destination === '' ? null : row.destination,
  attempts: BigInt(row.attempts),
  answered: BigInt(row.answered),
  effective: BigInt(row.answered),
  durationMs: BigInt(row.duration_ms),
  billedUnits: BigInt(row.units),
  unit: service === 'message' ? 'message' : 'second',
  grossMicros: BigInt(row.amount),
  netMicros: BigInt(row.amount),
  // Calls that came to nothing have no destination in the sums.
  detail: row.destination === '' ? { rule: 'unanswered' } : {}
})

const allOf = (lines: readonly Line[]): RateSum => ({
  rateId: null,
  rateNanos: 0n,
  setupNanos: 0n,
  upliftNanos: 0n,
  calls: add(lines, 'answered'),
  billedUnits: add(lines, 'billedUnits'),
  durationMs: add(lines, 'durationMs'),
  amountMicros: lines
    .filter(({ destination }) => destination !== null)
    .reduce((sum, { netMicros }) => sum + netMicros, 0n)
})

const add = (
  lines: readonly Line[],
  what: 'answered' | 'billedUnits' | 'durationMs' | 'netMicros' | 'attempts'
): bigint => lines.reduce((sum, line) => sum + line[what], 0n)

async function carriedInto(sql: Sql, agreementId: string, { from }: SettlementPeriod): Promise<bigint> {
  const { rows } = await sql.query<{ out: string }>(
    `select carried ->> 'out' as out from statement where agreement_id = $1 and to_day = $2::date`,
    [agreementId, from]
  )
  return BigInt(rows[0]?.out ?? '0')
}

async function dataOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  lines: readonly StatementLine[]
): Promise<StatementData> {
  const { zone, calendar, model, service, buyer, seller, currency, rounding, paymentDays } = agreement
  const account = partyAccountOf(agreement)
  const { rows } = await sql.query<{ debit: string; credit: string }>(
    `select coalesce(sum(debit_micros), 0)::text as debit, coalesce(sum(credit_micros), 0)::text as credit
     from balance_shard where account = $1 and currency = $2`,
    [account, currency]
  )
  const { rows: before } = await sql.query<{ debit: string; credit: string }>(
    `select account_debit_micros::text as debit, account_credit_micros::text as credit from statement
     where agreement_id = $1 and account = $2 order by from_day desc limit 1`,
    [agreement.id, account]
  )
  const digits = minorDigits(currency)
  const usage = lines.filter(({ kind }) => kind === 'usage')
  const [gross, net] = [add(usage, 'netMicros'), add(lines, 'netMicros')]
  const nets = lines.map(({ netMicros }) => netMicros)
  return {
    statementId: statementIdOf(agreement.id, period.name),
    agreementId: agreement.id,
    period,
    timeZone: zone.name,
    calendar,
    model,
    service,
    buyer,
    seller,
    side: sideOf(agreement),
    currency,
    minorDigits: digits,
    dueDay: addDays(period.to, paymentDays - 1),
    ...unknownYet,
    cdrCount: add(usage, 'attempts'),
    grossMicros: gross,
    discountMicros: 0n,
    adjustmentMicros: net - gross,
    netMicros: net,
    invoiceMicros: totalOf(nets, rounding.stage, { scale: digits, mode: rounding.mode }),
    account,
    accountDebitMicros: BigInt(rows[0]?.debit ?? '0'),
    accountCreditMicros: BigInt(rows[0]?.credit ?? '0'),
    beforeDebitMicros: BigInt(before[0]?.debit ?? '0'),
    beforeCreditMicros: BigInt(before[0]?.credit ?? '0'),
    terms: termsOf(agreement)
  }
}

/** What the close looks at. */
const unknownYet = {
  received: 0n,
  expected: 0n,
  openGaps: 0n,
  suspenseCount: 0n,
  suspenseMs: 0n,
  lateCount: 0n,
  lateMicros: 0n,
  outdatedCount: 0n,
  outdatedMicros: 0n,
  merkleRoot: null,
  closedAt: null,
  closedBy: null,
  overrideReason: null
} as const

async function noteOf(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  usage: readonly Line[],
  now: EpochMs
): Promise<DraftNote> {
  const { rows } = await sql.query<{ missing: string }>(
    `select coalesce(sum(upper(g) - lower(g)), 0)::text as missing
     from received, lateral (select int8multirange(int8range(1, upper(range_merge(seqs)))) - seqs as absent) a,
       lateral unnest(absent) g`
  )
  return {
    asOf: new Date(now).toISOString(),
    provisional: isOrderDependent(agreement) || agreement.rounding.scope === 'period',
    missingRecords: rows[0]?.missing ?? '0',
    forecast: forecastOf(agreement, period, allOf(usage), now)
  }
}

/** In proportion to the time that has passed; null: nothing was committed, or the period has not begun. */
export function forecastOf(
  agreement: Agreement,
  period: SettlementPeriod,
  soFar: RateSum,
  now: EpochMs
): Readonly<Record<string, string>> | null {
  const { commitment, zone } = agreement
  const [from, to] = [zone.startOf(period.from), zone.startOf(period.to)]
  if (commitment === null || now <= from) return null
  const [passed, whole] = [BigInt(Math.min(now, to) - from), BigInt(to - from)]
  const all = (part: bigint): bigint => divRound(part * whole, passed, 'half-up')
  const expected = { ...soFar, billedUnits: all(soFar.billedUnits), amountMicros: all(soFar.amountMicros) }
  const { adjustments } = adjustmentsOf(agreement, { rates: [expected], balances: [], carriedIn: 0n })
  const [adjustment] = adjustments
  const shortfall = commitment.units > expected.billedUnits ? commitment.units - expected.billedUnits : 0n
  return {
    unitsSoFar: soFar.billedUnits.toString(),
    unitsExpected: expected.billedUnits.toString(),
    committedUnits: commitment.units.toString(),
    shortfallUnits: shortfall.toString(),
    adjustment: printAmount(adjustment?.amountMicros ?? 0n)
  }
}
