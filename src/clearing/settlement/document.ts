// A statement as it is sent: header, lines and totals with amounts as decimal text, and its seal. Pure.

import { divRound, printAmount, printRate, printScaled } from '../money.ts'
import type { ClosedStatement, StatementLine } from './model.ts'
import type { Seal } from './seal.ts'

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
function accountOf(statement: ClosedStatement) {
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

/** The statement without its seal: what is digested, signed, and verified again. */
export const documentOf = (statement: ClosedStatement, lines: readonly StatementLine[]) => ({
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
  completeness: {
    received: Number(statement.received),
    expected: Number(statement.expected),
    openGaps: Number(statement.openGaps),
    suspenseCount: Number(statement.suspenseCount),
    suspenseSeconds: printScaled(statement.suspenseMs, 3)
  },
  late: { count: Number(statement.lateCount), amount: printAmount(statement.lateMicros) },
  outdated: { count: Number(statement.outdatedCount), amount: printAmount(statement.outdatedMicros) },
  terms: statement.terms,
  account: accountOf(statement),
  cdrCount: Number(statement.cdrCount),
  merkleRoot: statement.merkleRoot,
  closedAt: statement.closedAt.toISOString(),
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

/** What goes to the partner: the statement and its seal; no seal before the close. */
export interface SealedStatement {
  readonly statement: StatementDocument
  readonly seal: Seal | null
}
