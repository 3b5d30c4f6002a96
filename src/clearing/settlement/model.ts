// What settlement says: closed statements, their lines and totals, as the program sees them. Amounts are micros.

import type { ChargeSide } from '../charging.ts'
import type { Calendar, SettlementPeriod } from '../periods.ts'

/**
 * What a line of a statement is. `usage`: traffic of the period. `late`: of a closed period, came after its close or
 * was charged again since. `commitment`, `imbalance`, `rounding`: what no single call owes (COM-01, bill and keep,
 * RATE-08).
 */
export const lineKinds = ['usage', 'late', 'commitment', 'imbalance', 'rounding'] as const
export type LineKind = (typeof lineKinds)[number]

/** What is counted. `none`: the line is an amount alone. */
export const lineUnits = ['second', 'message', 'none'] as const
export type LineUnit = (typeof lineUnits)[number]

export interface StatementLine {
  /** From 1, as printed. */
  readonly line: number
  readonly kind: LineKind
  /** The name of the period that the traffic belongs to. */
  readonly ofPeriod: string
  readonly destination: string | null
  readonly destCode: string | null
  readonly origin: string | null
  readonly trunk: string | null
  /** `any`, or `banded` where the time decided the rate; null: not known from sums. */
  readonly timeClass: string | null
  readonly qualityClass: string | null
  readonly rateId: string | null
  /** Null: several, or none. */
  readonly rateNanos: bigint | null
  readonly effectiveFrom: Date | null
  /** Counts and amounts of a late line may be below zero: what was charged again is taken back. */
  readonly attempts: bigint
  readonly answered: bigint
  /** Answered, or ended by the called user: the numerator of NER (E.425). */
  readonly effective: bigint
  readonly durationMs: bigint
  readonly increments: bigint
  readonly billedUnits: bigint
  readonly unit: LineUnit
  readonly setupMicros: bigint
  readonly grossMicros: bigint
  readonly discountMicros: bigint
  /** Gross less discounts. */
  readonly netMicros: bigint
  readonly detail: Readonly<Record<string, unknown>>
}

/** The totals of a statement: `net = gross - discount + adjustment`. */
export interface StatementTotals {
  readonly grossMicros: bigint
  readonly discountMicros: bigint
  readonly adjustmentMicros: bigint
  readonly netMicros: bigint
  /** The net amount in the currency's minor unit, rounded by the agreement per line or once: what is invoiced. */
  readonly invoiceMicros: bigint
}

/** How much of what the nodes wrote in the period has arrived (EOS-03). */
export interface StatementCompleteness {
  readonly received: bigint
  readonly expected: bigint
  readonly openGaps: bigint
  readonly suspenseCount: bigint
  readonly suspenseMs: bigint
}

/** One closed period of one agreement, as it stands in the table `statement`; nothing of it changes any more. */
export interface ClosedStatement extends StatementTotals, StatementCompleteness {
  /** `<agreement>/<period>`, such as `sell/2026-11`. */
  readonly statementId: string
  readonly agreementId: string
  readonly period: SettlementPeriod
  readonly timeZone: string
  readonly calendar: Calendar
  readonly model: string
  readonly service: string
  readonly buyer: string
  readonly seller: string
  /** `sell`: the buyer owes the hub. `buy`: the hub owes the seller. `bilateral`: the buyer owes the seller. */
  readonly side: ChargeSide
  readonly currency: string
  /** Digits of the currency's minor unit. */
  readonly minorDigits: number
  /** The day by which it is to be paid, counted from the end of the period. */
  readonly dueDay: string
  readonly lateCount: bigint
  readonly lateMicros: bigint
  /** Came after the back-billing limit: told, not stated. */
  readonly outdatedCount: bigint
  readonly outdatedMicros: bigint
  readonly cdrCount: bigint
  /** The party's account with the hub and what had passed through it at the close. */
  readonly account: string
  readonly accountDebitMicros: bigint
  readonly accountCreditMicros: bigint
  /** The same at the close before; 0 where this is the first one. */
  readonly beforeDebitMicros: bigint
  readonly beforeCreditMicros: bigint
  readonly terms: Readonly<Record<string, unknown>>
  readonly merkleRoot: string
  readonly closedAt: Date
  readonly closedBy: string
  readonly overrideReason: string | null
}

/** What a statement says, closed or not yet: before the close nobody has closed it, and nothing proves its records. */
export type StatementData = Omit<ClosedStatement, 'merkleRoot' | 'closedAt' | 'closedBy'> & {
  readonly merkleRoot: string | null
  readonly closedAt: Date | null
  readonly closedBy: string | null
}

/** A movement that no call made: an adjustment, an invoice, a payment. */
export interface Posting {
  /** Says what it is and for which document, such as `statement/sell/2026-11/commitment/1`; the same one posts once. */
  readonly entryId: string
  readonly debit: string
  readonly credit: string
  /** Above zero: what goes the other way has its accounts exchanged. */
  readonly amountMicros: bigint
  readonly currency: string
  /** Such as `2026-11-30`. */
  readonly day: string
}

export const statementIdOf = (agreementId: string, period: string): string => `${agreementId}/${period}`

/** A line that is an amount alone. */
export const bareLine = {
  destination: null,
  destCode: null,
  origin: null,
  trunk: null,
  timeClass: null,
  qualityClass: null,
  rateId: null,
  rateNanos: null,
  effectiveFrom: null,
  attempts: 0n,
  answered: 0n,
  effective: 0n,
  durationMs: 0n,
  increments: 0n,
  billedUnits: 0n,
  unit: 'none',
  setupMicros: 0n,
  discountMicros: 0n
} as const
