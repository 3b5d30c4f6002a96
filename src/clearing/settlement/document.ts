// A statement as it is sent: header, lines and totals with amounts as decimal text, and its seal. Pure.

import { divRound, printAmount, printRate, printScaled } from '../money.ts'
import type { StatementData, StatementLine } from './model.ts'
import type { Seal } from './seal.ts'
import type { SinceClose } from './since.ts'

export const statementFormat = 'isthmus-statement/1'

/** What each percentage is, as it is printed with them (E.425). */
export const formulas = {
  asr: 'ASR = answered / attempts',
  ner: 'NER = (answered + busy, declined or not taken by the called user) / attempts',
  acd: 'ACD = seconds of answered calls / answered'
} as const

const percent = (part: bigint, of: bigint): string | null =>
  of <= 0n ? null : printScaled(divRound(part * 10_000n, of, 'half-up'), 2)

const lineOf = (line: StatementLine, service: string) => ({
  line: line.line,
  kind: line.kind,
  ofPeriod: line.ofPeriod,
  service,
  destination: line.destination,
  destCode: line.destCode,
  origin: line.origin,
  trunk: line.trunk,
  timeClass: line.timeClass,
  qualityClass: line.qualityClass,
  rateId: line.rateId,
  rate: line.rateNanos === null ? null : printRate(line.rateNanos),
  effectiveFrom: line.effectiveFrom?.toISOString() ?? null,
  attempts: Number(line.attempts),
  answered: Number(line.answered),
  asrPercent: percent(line.answered, line.attempts),
  nerPercent: percent(line.effective, line.attempts),
  acdSeconds: line.answered <= 0n ? null : printScaled(divRound(line.durationMs, line.answered * 100n, 'half-up'), 1),
  rawSeconds: printScaled(line.durationMs, 3),
  increments: line.increments.toString(),
  billedUnits: line.billedUnits.toString(),
  unit: line.unit,
  billedMinutes: line.unit === 'second' ? printScaled(divRound(line.billedUnits * 100n, 60n, 'half-up'), 2) : null,
  messages: line.unit === 'message' ? line.billedUnits.toString() : null,
  setupFees: printAmount(line.setupMicros),
  gross: printAmount(line.grossMicros),
  discounts: printAmount(line.discountMicros),
  net: printAmount(line.netMicros),
  detail: line.detail
})
export type DocumentLine = ReturnType<typeof lineOf>

/** What the account of the party says: what was owed before, what came to it, what was paid. */
function accountOf(statement: StatementData) {
  const { account, accountDebitMicros, accountCreditMicros, beforeDebitMicros, beforeCreditMicros } = statement
  // What the hub owes stands on the right side of its book.
  const owes = statement.side === 'buy' || account.startsWith('prepaid/')
  const [up, down] = owes ? [accountCreditMicros, accountDebitMicros] : [accountDebitMicros, accountCreditMicros]
  const [upBefore, downBefore] = owes
    ? [beforeCreditMicros, beforeDebitMicros]
    : [beforeDebitMicros, beforeCreditMicros]
  return {
    account,
    previousBalance: printAmount(upBefore - downBefore),
    charged: printAmount(up - upBefore),
    payments: printAmount(down - downBefore),
    closingBalance: printAmount(up - down)
  }
}

/** What the close has looked at; before it nobody knows. */
function checkedOf(statement: StatementData) {
  if (statement.closedAt === null) return { completeness: null, late: null, outdated: null }
  return {
    completeness: {
      received: Number(statement.received),
      expected: Number(statement.expected),
      openGaps: Number(statement.openGaps),
      suspenseCount: Number(statement.suspenseCount),
      suspenseSeconds: printScaled(statement.suspenseMs, 3)
    },
    late: { count: Number(statement.lateCount), amount: printAmount(statement.lateMicros) },
    outdated: { count: Number(statement.outdatedCount), amount: printAmount(statement.outdatedMicros) }
  }
}

/** The statement without its seal: what is digested, signed, and verified again. */
export const documentOf = (statement: StatementData, lines: readonly StatementLine[]) => ({
  format: statementFormat,
  statementId: statement.statementId,
  agreementId: statement.agreementId,
  model: statement.model,
  service: statement.service,
  side: statement.side,
  buyer: statement.buyer,
  seller: statement.seller,
  period: statement.period,
  timeZone: statement.timeZone,
  calendar: statement.calendar,
  currency: statement.currency,
  minorDigits: statement.minorDigits,
  dueDay: statement.dueDay,
  ...checkedOf(statement),
  terms: statement.terms,
  account: accountOf(statement),
  cdrCount: Number(statement.cdrCount),
  merkleRoot: statement.merkleRoot,
  closedAt: statement.closedAt?.toISOString() ?? null,
  closedBy: statement.closedBy,
  overrideReason: statement.overrideReason,
  formulas,
  lines: lines.map(line => lineOf(line, statement.service)),
  totals: {
    gross: printAmount(statement.grossMicros),
    discounts: printAmount(statement.discountMicros),
    adjustments: printAmount(statement.adjustmentMicros),
    net: printAmount(statement.netMicros),
    invoice: printAmount(statement.invoiceMicros)
  }
})
export type StatementDocument = ReturnType<typeof documentOf>

/** What an open period says besides its sums. */
export interface DraftNote {
  readonly asOf: string
  /** Prices of calls may change with the order of all of them. */
  readonly provisional: boolean
  /** Records of the hub's nodes that have not come yet, of whatever period. */
  readonly missingRecords: string
  /** What a commitment comes to if the rest of the period is like the part that has passed (COM-01). */
  readonly forecast: Readonly<Record<string, string>> | null
}

/** What goes to the partner: the statement and its seal; a draft has none. */
export interface StatementFile {
  readonly statement: StatementDocument
  readonly seal: Seal | null
  readonly draft: DraftNote | null
  /** Null before the close. */
  readonly since: SinceClose | null
}
