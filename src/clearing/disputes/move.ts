// A dispute goes on: each step says who and why, of two at once one wins, and money moves with the state (SET-09).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { isUniqueViolation } from '../../store/sql.ts'
import { issueCreditNote } from '../money-in/credit-note.ts'
import { addDays } from '../money-in/days.ts'
import { lockMoney } from '../money-in/open-items.ts'
import { printMoney, toMinor } from '../money-in/currency.ts'
import { hold, invoiceOf, release, requireCurrency } from './hold.ts'
import { readDispute } from './read.ts'
import type { Dispute } from './read.ts'
import { decisionOf, isDecision, stateTerms } from './states.ts'
import type { DisputeState } from './states.ts'

export interface MoveAsked {
  readonly id: bigint
  readonly state: DisputeState
  readonly reason: string
  readonly day: string
  readonly by: string
  /** Of a decision: how much of the amount is conceded, before tax. */
  readonly concededMicros?: bigint | null
  /** Of an invoice that was received: the number of the seller's credit note. */
  readonly number?: string | undefined
  /** The step that was looked at; another one since is an error. */
  readonly after?: number
}

/** `sql` is a transaction. Throws HUB_CONFIG for a move that the state does not allow or somebody else has made. */
export async function moveDispute(sql: Sql, asked: MoveAsked): Promise<Dispute> {
  const { id, state, reason, day, by } = asked
  // One after the other: the second one sees what the first one did.
  await lockMoney(sql)
  const dispute = await readDispute(sql, id)
  if (asked.after !== undefined && asked.after !== dispute.step) {
    throw wrong(`dispute ${id} is ${dispute.state} by now: somebody else has moved it`)
  }
  const { next } = stateTerms[dispute.state]
  if (!next.includes(state)) {
    const may = next.length === 0 ? 'it is over' : `it can become ${next.join(', ')}`
    throw wrong(`dispute ${id} is ${dispute.state} and cannot become ${state}; ${may}`)
  }
  if (reason.trim() === '') throw wrong('a move needs a reason')
  if (state === 'raised' && day > dispute.windowEnds) {
    throw wrong(`it could be raised until ${dispute.windowEnds}; now the invoice stands`)
  }
  const concededMicros = concededBy(dispute, asked)
  const document = state === 'settled' ? await settle(sql, dispute, asked) : null
  const { days, holds } = stateTerms[state]
  await addStep(sql, dispute, { ...asked, concededMicros, document, dueDay: days === null ? null : addDays(day, days) })
  if (holds) await hold(sql, dispute, { day, by })
  else await release(sql, dispute, { day, by })
  return readDispute(sql, id)
}

const wrong = (why: string): HubError => new HubError('HUB_CONFIG', why)

/** Null where the step decides nothing. */
function concededBy({ amountMicros, currency }: Dispute, { state, concededMicros }: MoveAsked): bigint | null {
  if (!isDecision(state)) {
    if (concededMicros !== undefined && concededMicros !== null) throw wrong('only a decision concedes an amount')
    return null
  }
  const usual = state === 'accepted' ? amountMicros : state === 'rejected' ? 0n : null
  const conceded = concededMicros ?? usual
  if (conceded === null) throw wrong('partly needs the amount that is conceded')
  if (decisionOf(conceded, amountMicros) !== state || conceded < 0n || conceded > amountMicros) {
    const all = `${printMoney(amountMicros, currency)} ${currency}`
    throw wrong(`${printMoney(conceded, currency)} of ${all} is not ${state}`)
  }
  return conceded
}

/** What was conceded becomes a credit note; what was held goes back first. Null: nothing was conceded. */
async function settle(sql: Sql, dispute: Dispute, { day, by, number }: MoveAsked): Promise<string | null> {
  const conceded = dispute.concededMicros ?? 0n
  const invoice = await invoiceOf(sql, dispute)
  if (conceded > 0n && invoice === null) {
    throw wrong(`what is conceded is credited: ${dispute.agreementId}, ${dispute.period} has to be invoiced first`)
  }
  if (invoice !== null && conceded > 0n) requireCurrency(dispute, invoice)
  await release(sql, dispute, { day, by })
  if (invoice === null || toMinor(conceded, invoice.currency) === 0n) return null
  const reason = `dispute ${dispute.id}: ${dispute.reason}`
  const asked = { invoiceId: invoice.invoiceId, netMicros: conceded, reason, day, by }
  const note = await issueCreditNote(sql, number === undefined ? asked : { ...asked, number })
  return note.invoiceId
}

interface Step extends MoveAsked {
  readonly concededMicros: bigint | null
  readonly document: string | null
  readonly dueDay: string | null
}

async function addStep(sql: Sql, { id, step, state: before }: Dispute, made: Step): Promise<void> {
  const { state, concededMicros, document, reason, day, dueDay, by } = made
  try {
    await sql.query(
      `insert into dispute_step (dispute_id, step, state, conceded_micros, document, reason, on_day, due_day, moved_by)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [id, step + 1, state, concededMicros, document, reason, day, dueDay, by]
    )
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    throw new HubError('HUB_CONFIG', `dispute ${id} is no longer ${before}: somebody else has moved it`, {
      cause: error
    })
  }
}

export interface ResolveAsked extends Omit<MoveAsked, 'state' | 'concededMicros'> {
  readonly concededMicros: bigint
}

/** Decides and settles at once: what both sides have agreed. `sql` is a transaction. */
export async function resolveDispute(sql: Sql, asked: ResolveAsked): Promise<Dispute> {
  const { concededMicros, after, ...rest } = asked
  const dispute = await readDispute(sql, asked.id)
  // What was decided as both have agreed needs no second decision.
  const isDecided = isDecision(dispute.state) && dispute.concededMicros === concededMicros
  if (!isDecided) {
    const state = decisionOf(concededMicros, dispute.amountMicros)
    await moveDispute(sql, { ...rest, ...(after === undefined ? {} : { after }), state, concededMicros })
  }
  return moveDispute(sql, { ...rest, state: 'settled' })
}

/** Lets the hold follow an invoice that was issued since. `sql` is a transaction. Returns what is held. */
export async function holdAgain(sql: Sql, { id, day, by }: Pick<MoveAsked, 'id' | 'day' | 'by'>): Promise<Dispute> {
  const dispute = await readDispute(sql, id)
  if (stateTerms[dispute.state].holds) await hold(sql, dispute, { day, by })
  return readDispute(sql, id)
}
