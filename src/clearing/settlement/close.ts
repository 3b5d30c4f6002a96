// Closes a period of an agreement: prices that wait for the order of calls become final, what no single call owes is
// posted, and the statement is written and sealed. One transaction: all of it or nothing, and once.

import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import type { EpochMs } from '../../session/model.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { accountsOf } from '../charging.ts'
import { totalOf } from '../models.ts'
import { minorDigits } from '../money-in/currency.ts'
import { addDays } from '../money-in/days.ts'
import type { SettlementPeriod } from '../periods.ts'
import { isOrderDependent } from '../pricing.ts'
import { rerate, rerateLock } from '../rerate.ts'
import { adjustmentsOf } from './adjust.ts'
import type { Adjustment } from './adjust.ts'
import { refusalsOf } from './check.ts'
import type { Checked, Refusal } from './check.ts'
import { documentOf } from './document.ts'
import { closedDays, gather } from './gather.ts'
import type { Gathered } from './gather.ts'
import { bareLine, statementIdOf } from './model.ts'
import type { ClosedStatement, Posting, StatementLine } from './model.ts'
import { periodFactsOf } from './period-facts.ts'
import { postTransfers } from './post.ts'
import { readLastSeal, readLines, readStatement } from './read.ts'
import { digestOf, firstSeal, sealOf } from './seal.ts'
import type { SigningKey } from './seal.ts'
import { addClose, addLines, addSeal, addStatement, partyAccountOf, sideOf } from './write.ts'
import type { Closing } from './write.ts'

/** Closes go one after the other: each seal names the one before. */
const closeLock = 4_970_132_206n

export interface CloseOptions {
  readonly agreement: Agreement
  readonly period: SettlementPeriod
  readonly by: string
  /** Why it is closed in spite of gaps or of what nothing prices; null: it is not. */
  readonly override: string | null
  /** Only tells what it would come to: nothing is kept. */
  readonly dryRun: boolean
  readonly key: SigningKey
  readonly now: EpochMs
  readonly progress?: (records: number) => void
}

export type CloseOutcome =
  /** `fresh` false: it was closed before, and nothing was done. */
  | { readonly closed: true; readonly fresh: boolean; readonly statement: ClosedStatement; readonly lines: Lines }
  | { readonly closed: false; readonly refusals: readonly Refusal[] }
type Lines = readonly StatementLine[]

/** Ends a transaction that must leave nothing. */
class Undo extends Error {
  readonly outcome: CloseOutcome
  constructor(outcome: CloseOutcome) {
    super('undone')
    this.outcome = outcome
  }
}

/** Throws HUB_DATABASE, HUB_LIMIT; nothing is closed then. */
export async function closePeriod(
  database: Pick<Database, 'transaction'>,
  book: AgreementBook,
  options: CloseOptions
): Promise<CloseOutcome> {
  try {
    return await database.transaction(async sql => {
      const outcome = await closeIn(sql, book, options)
      if (options.dryRun || !outcome.closed) throw new Undo(outcome)
      return outcome
    })
  } catch (error) {
    if (error instanceof Undo) return error.outcome
    throw error
  }
}

async function closeIn(sql: Sql, book: AgreementBook, options: CloseOptions): Promise<CloseOutcome> {
  const { agreement, period, override, now } = options
  await sql.query('select pg_advisory_xact_lock($1)', [closeLock])
  await sql.query('select pg_advisory_xact_lock($1)', [rerateLock])
  const statementId = statementIdOf(agreement.id, period.name)
  const known = await readStatement(sql, statementId)
  if (known !== null) {
    return { closed: true, fresh: false, statement: known, lines: await readLines(sql, statementId) }
  }
  const checked = await refusalsOf(sql, agreement, period, now)
  const unpriced = checked.refusals.some(({ overridable }) => !overridable)
    ? []
    : await makeFinal(sql, book, options, checked.closedFrom)
  const refusals = [...checked.refusals, ...unpriced]
  if (refusals.some(({ overridable }) => !overridable || override === null)) return { closed: false, refusals }
  await write(sql, book, options, { ...checked, refusals })
  const [statement, lines] = [await readStatement(sql, statementId), await readLines(sql, statementId)]
  if (statement === null) throw new Error(`statement ${statementId} was written and is not there`)
  const last = await readLastSeal(sql)
  const seal = {
    number: (last?.number ?? 0) + 1,
    previous: last?.hash ?? firstSeal,
    statementId,
    statement: digestOf(documentOf(statement, lines)),
    merkleRoot: statement.merkleRoot
  }
  await addSeal(sql, sealOf(seal, options.key))
  return { closed: true, fresh: true, statement, lines }
}

/** Prices that depend on the order of calls, of this period and of closed ones to which calls came since (COM-07). */
async function makeFinal(
  sql: Sql,
  book: AgreementBook,
  { agreement, period, by }: CloseOptions,
  closedFrom: string | null
): Promise<readonly Refusal[]> {
  if (!isOrderDependent(agreement)) return []
  // All in this transaction, as one step of it.
  const pages = { ...sql, transaction: <T>(work: (sql: Sql) => Promise<T>): Promise<T> => work(sql) }
  const { late } = closedDays(agreement, period, closedFrom)
  const { rows } = await sql.query<{ from: string; to: string }>(
    `select from_day::text as "from", to_day::text as "to" from statement s
     where agreement_id = $1 and from_day >= $2::date and
       (select coalesce(sum(attempts), 0) from rollup_shard r where r.agreement_id = $1
          and r.side <> 'with-ingress' and r.day >= s.from_day and r.day < s.to_day) <>
       (select coalesce(sum(l.attempts), 0) from statement_line l join statement o using (statement_id)
        where o.agreement_id = $1 and l.of_period = s.period)
     order by 1`,
    [agreement.id, late?.from ?? period.from]
  )
  let unpriced = 0
  for (const { from, to } of [...rows, period]) {
    const scope = { agreementId: agreement.id, from, to, callId: null }
    const done = await rerate(pages, book, { scope, reason: `close of ${period.name}`, by, dryRun: false })
    unpriced += done.unpriced
  }
  if (unpriced === 0) return []
  return [{ reason: 'unpriced', detail: `${unpriced} charges that nothing prices any more`, overridable: true }]
}

async function write(
  sql: Sql,
  book: AgreementBook,
  options: CloseOptions,
  checked: Checked & { readonly refusals: readonly Refusal[] }
): Promise<void> {
  const { agreement, period, progress = () => undefined } = options
  const statementId = statementIdOf(agreement.id, period.name)
  const { closedFrom, rechargeSeen } = checked
  const gathered = await gather(sql, book, { agreement, period, statementId, closedFrom, rechargeSeen, progress })
  const adjusted = await adjust(sql, agreement, period, { statementId, gathered })
  await postTransfers(sql, postingsOf(agreement, period, statementId, adjusted.lines))
  const lines = [...gathered.lines, ...adjusted.lines].map((line, n) => ({ ...line, line: n + 1 }))
  const { carried } = adjusted
  await addStatement(sql, await closingOf(sql, options, { statementId, checked, gathered, lines, carried }))
  await addLines(sql, statementId, lines)
  await addClose(sql, { statementId, agreement, period, by: options.by, now: options.now }, options.override, [
    ...checked.refusals
  ])
}

interface Made {
  readonly statementId: string
  readonly checked: Checked
  readonly gathered: Gathered
  readonly lines: Lines
  readonly carried: Carried
}

async function closingOf(
  sql: Sql,
  { agreement, period }: CloseOptions,
  { statementId, checked, gathered, lines, carried }: Made
): Promise<Closing> {
  const { rounding, currency } = agreement
  const add = (of: readonly StatementLine[], what: 'grossMicros' | 'discountMicros' | 'netMicros'): bigint =>
    of.reduce((sum, line) => sum + line[what], 0n)
  const usage = lines.filter(({ kind }) => kind === 'usage' || kind === 'late')
  const adjustments = lines.filter(({ kind }) => kind !== 'usage' && kind !== 'late')
  const digits = minorDigits(currency)
  const nets = lines.map(({ netMicros }) => netMicros)
  const { rows } = await sql.query<{ seen: bigint }>('select coalesce(max(id), 0) as seen from recharge')
  return {
    statementId,
    agreement,
    period,
    side: sideOf(agreement),
    minorDigits: digits,
    dueDay: addDays(period.to, agreement.paymentDays - 1),
    checked,
    gathered,
    grossMicros: add(usage, 'grossMicros'),
    discountMicros: add(usage, 'discountMicros'),
    adjustmentMicros: add(adjustments, 'netMicros'),
    netMicros: add(lines, 'netMicros'),
    invoiceMicros: totalOf(nets, rounding.stage, { scale: digits, mode: rounding.mode }),
    account: partyAccountOf(agreement),
    carried: { in: carried.in.toString(), out: carried.out.toString() },
    rechargeSeen: rows[0]?.seen ?? 0n
  }
}

/** Units that were paid for and not used: from the period before, and for the next one. */
interface Carried {
  readonly in: bigint
  readonly out: bigint
}

/** Of this period, and of closed ones what has changed since: each comes to what it should, whatever was posted. */
async function adjust(
  sql: Sql,
  agreement: Agreement,
  period: SettlementPeriod,
  { statementId, gathered }: { readonly statementId: string; readonly gathered: Gathered }
): Promise<{ readonly lines: readonly Omit<StatementLine, 'line'>[]; readonly carried: Carried }> {
  const { rows } = await sql.query<{ period: string; from: string; to: string; in: string; out: string }>(
    `select period, from_day::text as "from", to_day::text as "to", carried ->> 'in' as "in", carried ->> 'out' as "out"
     from statement where agreement_id = $1 order by from_day`,
    [agreement.id]
  )
  const late = new Set(gathered.latePeriods.map(({ name }) => name))
  const before = rows.at(-1)
  const again = rows.filter(row => late.has(row.period) || (agreement.billAndKeep !== null && row === before))
  const lines: Omit<StatementLine, 'line'>[] = []
  let carriedIn = BigInt(before?.out ?? '0')
  for (const row of again) {
    const of = { name: row.period, from: row.from, to: row.to }
    const facts = await periodFactsOf(sql, agreement, of, { statementId, carriedIn: BigInt(row.in) })
    const { adjustments, carriedOut } = adjustmentsOf(agreement, facts)
    lines.push(...(await linesOf(sql, agreement, of, adjustments)).filter(({ netMicros }) => netMicros !== 0n))
    if (row === before) carriedIn = carriedOut
  }
  const facts = await periodFactsOf(sql, agreement, period, { statementId, carriedIn })
  const { adjustments, carriedOut } = adjustmentsOf(agreement, facts)
  lines.push(...(await linesOf(sql, agreement, period, adjustments)))
  return { lines, carried: { in: carriedIn, out: carriedOut } }
}

async function linesOf(
  sql: Sql,
  agreement: Agreement,
  of: SettlementPeriod,
  adjustments: readonly Adjustment[]
): Promise<readonly Omit<StatementLine, 'line'>[]> {
  const { rows } = await sql.query<{ kind: string; stated: string }>(
    `select l.kind, sum(l.net_micros)::text as stated from statement_line l join statement s using (statement_id)
     where s.agreement_id = $1 and l.of_period = $2 and l.kind not in ('usage', 'late') group by 1`,
    [agreement.id, of.name]
  )
  const stated = new Map(rows.map(row => [row.kind, BigInt(row.stated)]))
  return adjustments.map(({ kind, amountMicros, detail }) => {
    const netMicros = amountMicros - (stated.get(kind) ?? 0n)
    return { ...bareLine, kind, ofPeriod: of.name, grossMicros: netMicros, netMicros, detail }
  })
}

/** What the hub's book says of them: as a call's charge, or the other way where they are below zero. */
function postingsOf(
  agreement: Agreement,
  period: SettlementPeriod,
  statementId: string,
  lines: readonly Omit<StatementLine, 'line'>[]
): readonly Posting[] {
  const [debit, credit] = accountsOf(sideOf(agreement), agreement)
  return lines.flatMap(({ kind, ofPeriod, netMicros }) => {
    if (netMicros === 0n) return []
    const up = netMicros > 0n
    return [
      {
        entryId: `statement/${statementId}/${kind}/${ofPeriod}`,
        debit: up ? debit : credit,
        credit: up ? credit : debit,
        amountMicros: up ? netMicros : -netMicros,
        currency: agreement.currency,
        day: addDays(period.to, -1)
      }
    ]
  })
}
