// The rows of a close: the statement, its lines, the act of closing, the seal.

import type { EpochMs } from '../../session/model.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import type { ChargeSide } from '../charging.ts'
import { printAmount, printScaled, rateScale } from '../money.ts'
import type { SettlementPeriod } from '../periods.ts'
import type { Checked, Refusal } from './check.ts'
import type { Gathered } from './gather.ts'
import type { StatementLine, StatementTotals } from './model.ts'
import type { Seal } from './seal.ts'

export const sideOf = ({ buyer, seller }: Pick<Agreement, 'buyer' | 'seller'>): ChargeSide =>
  seller === hub ? 'sell' : buyer === hub ? 'buy' : 'bilateral'

/** Where what is owed by this agreement stands once it is invoiced, or was paid in before. */
export function partyAccountOf(agreement: Agreement): string {
  const { id, buyer, seller, credit } = agreement
  switch (sideOf(agreement)) {
    case 'sell':
      return credit.advance ? `prepaid/${buyer}` : `receivable/${buyer}`
    case 'buy':
      return `payable/${seller}`
    default:
      return `bilateral/${id}/${buyer}`
  }
}

export interface Closing extends StatementTotals {
  readonly statementId: string
  readonly agreement: Agreement
  readonly period: SettlementPeriod
  readonly side: ChargeSide
  readonly minorDigits: number
  readonly dueDay: string
  readonly checked: Checked
  readonly gathered: Gathered
  readonly account: string
  readonly carried: Readonly<Record<string, string>>
  readonly rechargeSeen: bigint
}

/** The terms under which it was closed, as they were then. */
export function termsOf({ rounding, tolerance, disputeDays, paymentDays, backBillingDays, periodOf }: Agreement) {
  const { seconds, scope, periodUnitSeconds, scale, mode, stage } = rounding
  return {
    tolerancePercent: printScaled(tolerance.percentNanos, rateScale).replace(/\.?0+$/, ''),
    toleranceFloor: printAmount(tolerance.floorMicros),
    toleranceOf: tolerance.of,
    disputeDays,
    paymentDays,
    backBillingDays,
    periodOf,
    rounding: { seconds, scope, ...(scope === 'period' ? { periodUnitSeconds } : {}), scale, mode, stage }
  }
}

export async function addStatement(sql: Sql, closing: Closing): Promise<void> {
  const { agreement, period, checked, gathered } = closing
  const columns = {
    statement_id: closing.statementId,
    agreement_id: agreement.id,
    period: period.name,
    from_day: period.from,
    to_day: period.to,
    time_zone: agreement.zone.name,
    calendar: agreement.calendar,
    model: agreement.model,
    service: agreement.service,
    buyer: agreement.buyer,
    seller: agreement.seller,
    side: closing.side,
    currency: agreement.currency,
    minor_digits: closing.minorDigits,
    due_day: closing.dueDay,
    received: checked.received,
    expected: checked.expected,
    open_gaps: checked.openGaps,
    suspense_count: checked.suspenseCount,
    suspense_ms: checked.suspenseMs,
    late_count: gathered.lateCount,
    late_micros: gathered.lateMicros,
    outdated_count: gathered.outdatedCount,
    outdated_micros: gathered.outdatedMicros,
    cdr_count: gathered.cdrCount,
    gross_micros: closing.grossMicros,
    discount_micros: closing.discountMicros,
    adjustment_micros: closing.adjustmentMicros,
    net_micros: closing.netMicros,
    invoice_micros: closing.invoiceMicros,
    account: closing.account,
    terms: JSON.stringify({ ...termsOf(agreement), deckVersions: gathered.deckVersions }),
    carried: JSON.stringify(closing.carried),
    recharge_seen: closing.rechargeSeen,
    merkle_root: gathered.merkleRoot
  }
  const names = Object.keys(columns)
  const placeOf = (name: keyof typeof columns): string => `$${names.indexOf(name) + 1}`
  // What had passed through the account of the party by now.
  await sql.query(
    `insert into statement (${names.join(', ')}, account_debit_micros, account_credit_micros)
     select ${names.map((_, n) => `$${n + 1}`).join(', ')},
       coalesce(sum(debit_micros), 0), coalesce(sum(credit_micros), 0)
     from balance where account = ${placeOf('account')}::text and currency = ${placeOf('currency')}::text`,
    Object.values(columns)
  )
}

/** Numbered, in their order. */
export async function addLines(sql: Sql, statementId: string, lines: readonly StatementLine[]): Promise<void> {
  for (let at = 0; at < lines.length; at += linesPage) {
    const page = lines.slice(at, at + linesPage).map(line => ({
      statement_id: statementId,
      line: line.line,
      kind: line.kind,
      of_period: line.ofPeriod,
      destination: line.destination,
      dest_code: line.destCode,
      origin: line.origin,
      trunk: line.trunk,
      time_class: line.timeClass,
      quality_class: line.qualityClass,
      rate_id: line.rateId,
      rate_nanos: line.rateNanos,
      effective_from: line.effectiveFrom,
      attempts: line.attempts,
      answered: line.answered,
      effective: line.effective,
      duration_ms: line.durationMs,
      increments: line.increments,
      billed_units: line.billedUnits,
      unit: line.unit,
      setup_micros: line.setupMicros,
      gross_micros: line.grossMicros,
      discount_micros: line.discountMicros,
      net_micros: line.netMicros,
      detail: line.detail
    }))
    await sql.query(
      'insert into statement_line select * from json_populate_recordset(null::statement_line, $1::json)',
      [JSON.stringify(page, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))]
    )
  }
}
const linesPage = 5_000

export async function addClose(
  sql: Sql,
  {
    statementId,
    agreement,
    period,
    by,
    now
  }: {
    readonly statementId: string
    readonly agreement: Agreement
    readonly period: SettlementPeriod
    readonly by: string
    readonly now: EpochMs
  },
  override: string | null,
  overridden: readonly Refusal[]
): Promise<void> {
  await sql.query(
    `insert into period_close (agreement_id, period, statement_id, closed_at, closed_by, override_reason, overridden)
     values ($1, $2, $3, $4, $5, $6, $7::jsonb)`,
    [
      agreement.id,
      period.name,
      statementId,
      new Date(now),
      by,
      overridden.length === 0 ? null : override,
      JSON.stringify(overridden.map(({ reason, detail }) => ({ reason, detail })))
    ]
  )
}

export async function addSeal(sql: Sql, seal: Seal): Promise<void> {
  const { number, statementId, previous, body, hash, signature, publicKey } = seal
  await sql.query(
    `insert into statement_seal (number, statement_id, previous, body, hash, signature, public_key)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [number, statementId, previous, body, hash, signature, publicKey]
  )
}
