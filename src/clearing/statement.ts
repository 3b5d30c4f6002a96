// All the ledger knows of one call: its records, what they cost and why, the transfers, where the accounts stand.

import type { Sql } from '../store/sql.ts'
import { printAmount } from './money.ts'

export interface StatedRecord {
  readonly cdrId: string
  readonly leg: 'ingress' | 'egress'
  readonly attempt: number
  readonly service: string
  readonly provider: string
  readonly otherProvider: string | null
  readonly calling: string | null
  readonly called: string
  readonly requestedAt: Date
  readonly alertedAt: Date | null
  readonly answeredAt: Date | null
  readonly endedAt: Date
  readonly durationMs: number
  readonly cause: string | null
  readonly finalCode: number | null
  readonly releaseSide: string | null
  readonly incomplete: boolean
  readonly emergency: boolean
  /** Null: it waits in suspense, for the reason named there. */
  readonly charge: StatedCharge | null
  readonly suspended: string | null
}

export interface StatedCharge {
  readonly side: string
  readonly rule: string
  readonly agreementId: string | null
  readonly rateId: string | null
  readonly destination: string | null
  readonly currency: string | null
  readonly billedUnits: number
  /** Decimal text. */
  readonly amount: string
  /** The local day of the agreement, such as `2026-11-02`. */
  readonly day: string
  readonly explanation: Readonly<Record<string, unknown>>
}

export interface StatedTransfer {
  readonly entryId: string
  readonly cdrId: string
  readonly debit: string
  readonly credit: string
  readonly amount: string
  readonly currency: string
}

/** Debits less credits: what an account is owed, or owes where it is below zero. */
export interface StatedBalance {
  readonly account: string
  readonly currency: string
  readonly debit: string
  readonly credit: string
  readonly balance: string
}

export interface CallStatement {
  readonly callId: string
  /** Ingress first, then the attempts. */
  readonly records: readonly StatedRecord[]
  readonly transfers: readonly StatedTransfer[]
  /** Of the accounts that the transfers moved, after everything posted so far. */
  readonly balances: readonly StatedBalance[]
}

interface RecordRow {
  readonly cdr_id: string
  readonly leg: 'ingress' | 'egress'
  readonly attempt: bigint
  readonly service: string
  readonly provider: string
  readonly other_provider: string | null
  readonly calling: string | null
  readonly called: string
  readonly t_request: Date
  readonly t_alert: Date | null
  readonly t_answer: Date | null
  readonly t_end: Date
  readonly duration_ms: bigint
  readonly cause: string | null
  readonly final_code: bigint | null
  readonly release_side: string | null
  readonly incomplete: boolean
  readonly emergency: boolean
  readonly side: string | null
  readonly rule: string | null
  readonly agreement_id: string | null
  readonly rate_id: string | null
  readonly destination: string | null
  readonly currency: string | null
  readonly billed_units: bigint | null
  readonly amount_micros: bigint | null
  readonly day: string | null
  readonly explanation: Readonly<Record<string, unknown>> | null
  readonly reason: string | null
}

/** The final records of a call that have been cleared so far; none for a call the ledger does not know. */
export async function statementOf(sql: Sql, callId: string): Promise<CallStatement> {
  const { rows } = await sql.query<RecordRow>(
    `select f.cdr_id, f.leg, f.attempt, f.service, f.provider, f.other_provider, f.calling, f.called, f.t_request,
       f.t_alert, f.t_answer, f.t_end, f.duration_ms, f.cause, f.final_code, f.release_side, f.incomplete, f.emergency,
       c.side, c.rule, c.agreement_id, c.rate_id, c.destination, c.currency, c.billed_units, c.amount_micros,
       c.day::text, c.explanation, s.reason
     from cdr_final f left join charge_now c using (cdr_id) left join suspense s using (cdr_id)
     where f.call_id = $1 order by f.leg desc, f.attempt`,
    [callId]
  )
  const ids = rows.map(({ cdr_id }) => cdr_id)
  const { rows: entries } = await sql.query<TransferRow>(
    `select entry_id, cdr_id, debit, credit, amount_micros, currency from transfer
     where cdr_id = any($1::uuid[]) order by entry_id`,
    [`{${ids.join(',')}}`]
  )
  const legOf = new Map(rows.map(({ cdr_id, leg }) => [cdr_id, leg]))
  const transfers = ['ingress', 'egress'].flatMap(leg => entries.filter(({ cdr_id }) => legOf.get(cdr_id) === leg))
  const accounts = [...new Set(transfers.flatMap(({ debit, credit }) => [debit, credit]))]
  const { rows: balances } = await sql.query<BalanceRow>(
    'select account, currency, debit_micros, credit_micros from balance where account = any($1) order by 1, 2',
    [accounts]
  )
  const currencies = new Set(transfers.map(({ currency }) => currency))
  return {
    callId,
    records: rows.map(toRecord),
    transfers: transfers.map(({ entry_id, cdr_id, debit, credit, amount_micros, currency }) => ({
      entryId: entry_id,
      cdrId: cdr_id,
      debit,
      credit,
      amount: printAmount(amount_micros),
      currency
    })),
    balances: balances.filter(({ currency }) => currencies.has(currency)).map(toBalance)
  }
}

interface TransferRow {
  readonly entry_id: string
  readonly cdr_id: string
  readonly debit: string
  readonly credit: string
  readonly amount_micros: bigint
  readonly currency: string
}

interface BalanceRow {
  readonly account: string
  readonly currency: string
  readonly debit_micros: string
  readonly credit_micros: string
}

function toBalance({ account, currency, debit_micros, credit_micros }: BalanceRow): StatedBalance {
  const [debit, credit] = [BigInt(debit_micros), BigInt(credit_micros)]
  return {
    account,
    currency,
    debit: printAmount(debit),
    credit: printAmount(credit),
    balance: printAmount(debit - credit)
  }
}

const toRecord = (row: RecordRow): StatedRecord => ({
  cdrId: row.cdr_id,
  leg: row.leg,
  attempt: Number(row.attempt),
  service: row.service,
  provider: row.provider,
  otherProvider: row.other_provider,
  calling: row.calling,
  called: row.called,
  requestedAt: row.t_request,
  alertedAt: row.t_alert,
  answeredAt: row.t_answer,
  endedAt: row.t_end,
  durationMs: Number(row.duration_ms),
  cause: row.cause,
  finalCode: row.final_code === null ? null : Number(row.final_code),
  releaseSide: row.release_side,
  incomplete: row.incomplete,
  emergency: row.emergency,
  charge: toCharge(row),
  suspended: row.side === null ? row.reason : null
})

function toCharge(row: RecordRow): StatedCharge | null {
  if (row.side === null || row.rule === null || row.day === null || row.explanation === null) return null
  return {
    side: row.side,
    rule: row.rule,
    agreementId: row.agreement_id,
    rateId: row.rate_id,
    destination: row.destination,
    currency: row.currency,
    billedUnits: Number(row.billed_units ?? 0n),
    amount: printAmount(row.amount_micros ?? 0n),
    day: row.day,
    explanation: row.explanation
  }
}
