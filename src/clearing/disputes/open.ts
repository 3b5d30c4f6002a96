// A new dispute: about an invoice or a period that is still to be billed, within its window, above what the agreement
// tolerates, with the records that are its evidence (SET-09).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import { toleranceOf } from '../models.ts'
import { addDays } from '../money-in/days.ts'
import type { Document } from '../money-in/document.ts'
import { printMoney } from '../money-in/currency.ts'
import { periodNamed } from '../periods.ts'
import type { SettlementPeriod } from '../periods.ts'
import type { OutcomeClass } from '../reconcile/model.ts'
import { normalisedSql } from '../reconcile/number.ts'
import { keptResult } from '../reconcile/result.ts'
import { hold, invoiceOf, partyOf } from './hold.ts'
import { readDispute } from './read.ts'
import type { Dispute } from './read.ts'
import { stateTerms } from './states.ts'
import type { DisputeType } from './states.ts'

/** Calls to a range within a time: moved to Disputed in one action (FRD-02). */
export interface CallRange {
  /** Digits; empty: every number. */
  readonly prefix: string
  readonly from: number
  /** No part of it. */
  readonly to: number
}

export interface DisputeAsked {
  readonly agreement: Agreement
  readonly period: string
  /** Ours or the partner's; null: that of the period, if there is one. */
  readonly invoiceId: string | null
  readonly raisedBy: 'us' | 'partner'
  readonly type: DisputeType
  /** Before tax; null: what the evidence comes to. */
  readonly amountMicros: bigint | null
  readonly reason: string
  readonly evidence:
    | { readonly kind: 'none' }
    | { readonly kind: 'reconciliation'; readonly id: bigint }
    | { readonly kind: 'calls'; readonly range: CallRange }
  /** Stays a draft: nothing is held out, and the partner is not told. */
  readonly draft: boolean
  readonly day: string
  readonly by: string
}

export const limits = {
  /** Records of one dispute. */
  callsMax: 2_000_000
} as const

/** Which classes of a reconciliation a dispute of a type is about. */
const classesOf: Readonly<Record<DisputeType, readonly OutcomeClass[]>> = {
  volume: ['duration-diff', 'only-ours', 'only-theirs'],
  rate: ['rate-diff'],
  destination: ['destination-diff'],
  duplicate: ['duplicate'],
  period: ['period-edge'],
  fraud: []
}

/** `sql` is a transaction. Throws HUB_CONFIG for what cannot be disputed, with the reason. */
export async function openDispute(sql: Sql, asked: DisputeAsked): Promise<Dispute> {
  const { agreement, reason, type, day } = asked
  if (reason.trim() === '') throw wrong('a dispute needs a reason')
  const period = periodNamed(asked.period, agreement.calendar)
  const about = { invoiceId: asked.invoiceId, agreementId: agreement.id, period: period.name }
  const invoice = await invoiceOf(sql, about)
  requireInvoice(asked, invoice, period)
  const windowEnds = addDays(invoice?.issuedOn ?? addDays(period.to, -1), agreement.disputeDays)
  if (day > windowEnds) throw wrong(`it could be disputed until ${windowEnds}; now the invoice stands`)
  const { rows } = await sql.query<{ id: bigint }>("select nextval('dispute_number') as id")
  const id = rows[0]?.id ?? 0n
  const evidence = await evidenceOf(sql, asked, period)
  const currency = invoice?.currency ?? agreement.currency
  const amountMicros = asked.amountMicros ?? (evidence.micros < 0n ? -evidence.micros : evidence.micros)
  if (asked.amountMicros === null && currency !== agreement.currency) {
    throw wrong(`the invoice is in ${currency}, the evidence in ${agreement.currency}: say the amount`)
  }
  if (amountMicros <= 0n) throw wrong('there is nothing to dispute: name an amount, or evidence that comes to one')
  const base = invoice?.netMicros ?? (await chargedMicros(sql, agreement, period))
  if (amountMicros > base) throw wrong(`${printMoney(base, currency)} ${currency} is all that there is to dispute`)
  requireAboveTolerance(type, amountMicros, base, agreement)
  await sql.query(
    `insert into dispute (dispute_id, agreement_id, period, invoice_id, raised_by, type, side, party, currency,
       amount_micros, reason, reconciliation_id, window_ends, opened_on, opened_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
    [
      id,
      agreement.id,
      period.name,
      asked.invoiceId,
      asked.raisedBy,
      type,
      sideOf(agreement),
      partyOf(agreement),
      currency,
      amountMicros,
      reason,
      asked.evidence.kind === 'reconciliation' ? asked.evidence.id : null,
      windowEnds,
      day,
      asked.by
    ]
  )
  await evidence.keep(id)
  const state = asked.draft ? 'draft' : 'raised'
  const dueDay = asked.draft ? windowEnds : addDays(day, stateTerms.raised.days ?? 0)
  await sql.query(
    `insert into dispute_step (dispute_id, step, state, reason, on_day, due_day, moved_by)
     values ($1, 1, $2, $3, $4, $5, $6)`,
    [id, state, reason, day, dueDay, asked.by]
  )
  const dispute = await readDispute(sql, id)
  if (stateTerms[state].holds) await hold(sql, dispute, { day, by: asked.by })
  return readDispute(sql, id)
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

const sideOf = ({ buyer, seller }: Agreement): Dispute['side'] =>
  seller === hub ? 'sell' : buyer === hub ? 'buy' : 'bilateral'

function requireInvoice({ agreement, invoiceId }: DisputeAsked, invoice: Document | null, period: SettlementPeriod) {
  if (invoiceId === null) return
  if (invoice === null || invoice.kind !== 'invoice') throw wrong(`there is no invoice ${invoiceId}`)
  if (invoice.agreementId !== agreement.id || (invoice.period ?? period.name) !== period.name) {
    throw wrong(`invoice ${invoiceId} is of ${invoice.agreementId}, ${invoice.period ?? 'no period'}`)
  }
}

/** A call that was billed twice, and fraud, are disputed however small. */
function requireAboveTolerance(type: DisputeType, amountMicros: bigint, base: bigint, { tolerance }: Agreement): void {
  if (type === 'duplicate' || type === 'fraud') return
  const { percentNanos, floorMicros, of } = tolerance
  const { within } = toleranceOf({ own: base, theirs: base - amountMicros, percentNanos, of })
  if (!within && amountMicros > floorMicros) return
  throw wrong("it is within the tolerance of the agreement: the biller's figure stands")
}

/** What was charged in the period so far. */
async function chargedMicros(sql: Sql, { id }: Agreement, { from, to }: SettlementPeriod): Promise<bigint> {
  const { rows } = await sql.query<{ sum: string }>(
    `select coalesce(sum(amount_micros), 0)::text as sum from rollup
     where agreement_id = $1 and day >= $2::date and day < $3::date`,
    [id, from, to]
  )
  return BigInt(rows[0]?.sum ?? 0)
}

interface Gathered {
  /** Theirs less ours; of calls alone what was charged. */
  readonly micros: bigint
  readonly keep: (disputeId: bigint) => Promise<void>
}

async function evidenceOf(sql: Sql, asked: DisputeAsked, period: SettlementPeriod): Promise<Gathered> {
  switch (asked.evidence.kind) {
    case 'none':
      return { micros: 0n, keep: () => Promise.resolve() }
    case 'reconciliation':
      return reconciled(sql, asked, asked.evidence.id, period)
    default:
      return ranged(sql, asked.agreement, asked.evidence.range, period)
  }
}

async function reconciled(
  sql: Sql,
  { agreement, type }: DisputeAsked,
  id: bigint,
  period: SettlementPeriod
): Promise<Gathered> {
  const found = await keptResult(sql, id)
  if (found.agreementId !== agreement.id || found.period !== period.name) {
    throw wrong(`reconciliation ${id} is of ${found.agreementId}, ${found.period}`)
  }
  const classes = classesOf[type]
  if (classes.length === 0) throw wrong(`a reconciliation says nothing of ${type}; name the calls`)
  if (found.standing !== 'above' && type !== 'duplicate') {
    throw wrong(`reconciliation ${id} is within the tolerance of the agreement: the biller's figure stands`)
  }
  return {
    micros: classes.reduce((sum, outcome) => sum + found.classes[outcome].amountMicros, 0n),
    keep: async disputeId => {
      await sql.query(
        `insert into dispute_call (dispute_id, cdr_id, amount_micros)
         select $1, cdr_id, sum(amount_micros)::bigint from reconciliation_item
         where reconciliation_id = $2 and outcome = any($3::text[]) and cdr_id is not null
         group by cdr_id limit $4`,
        [disputeId, id, classes, limits.callsMax]
      )
    }
  }
}

const rangeSql = `from charge_now c join cdr_final f using (cdr_id)
  where c.agreement_id = $1 and c.day >= $2::date and c.day < $3::date and c.amount_micros > 0
    and starts_with(${normalisedSql("case f.leg when 'ingress' then f.dialled else f.called end")}, $4)
    and coalesce(f.t_answer, f.t_request) >= to_timestamp($5::float8 / 1000)
    and coalesce(f.t_answer, f.t_request) < to_timestamp($6::float8 / 1000)
    and not exists (
      select from dispute_call e join dispute_step s using (dispute_id) where e.cdr_id = c.cdr_id
        and s.step = (select max(step) from dispute_step l where l.dispute_id = e.dispute_id)
        and s.state <> 'withdrawn')`

/** Calls that nobody disputes yet. */
async function ranged(sql: Sql, { id }: Agreement, range: CallRange, period: SettlementPeriod): Promise<Gathered> {
  const values = [id, period.from, period.to, range.prefix, range.from, range.to]
  const { rows } = await sql.query<{ calls: bigint; sum: string }>(
    `select count(*) as calls, coalesce(sum(c.amount_micros), 0)::text as sum ${rangeSql}`,
    values
  )
  const { calls, sum } = rows[0] ?? { calls: 0n, sum: '0' }
  if (calls === 0n) throw wrong('no charged call is in that range and time, or all of them are disputed already')
  if (calls > limits.callsMax) throw wrong(`more than ${limits.callsMax} calls; take a shorter time`)
  return {
    micros: BigInt(sum),
    keep: async disputeId => {
      await sql.query(
        `insert into dispute_call (dispute_id, cdr_id, amount_micros)
         select $7, c.cdr_id, c.amount_micros ${rangeSql}`,
        [...values, disputeId]
      )
    }
  }
}
