// From a final record to what is owed for it: the rule, the price and the transfers. Pure.

import type { CdrRecord } from '../events/cdr.ts'
import type { EpochMs } from '../session/model.ts'
import { hub } from './agreements.ts'
import type { Agreement, AgreementBook } from './agreements.ts'
import { explanationOf } from './explanation.ts'
import { rateByModel } from './pricing.ts'
import type { Priced, Standing } from './pricing.ts'
import { rateAttempt } from './rating.ts'
import type { RateRow } from './rating.ts'

/** What of a final record decides about money. */
export type Chargeable = Pick<
  CdrRecord,
  | 'cdr_id'
  | 'call_id'
  | 'leg'
  | 'service'
  | 'provider'
  | 'other_provider'
  | 'calling'
  | 'called'
  | 'dialled'
  | 'rn'
  | 'quality_class'
  | 'duration_ms'
  | 'cause'
  | 'release_side'
  | 'emergency'
  | 't_request'
  | 't_answer'
  | 't_end'
>

export const limits = {
  /** A longer call is no call: somebody has to look at it. */
  callMsMax: 31 * 86_400_000,
  /** One record that costs more is a mistake of a rate or of a clock. A thousand million currency units. */
  amountMicrosMax: 10n ** 15n
} as const

/** Whose money: a provider pays the hub, the hub pays a provider, or one provider the other past the hub. */
export const chargeSides = ['sell', 'buy', 'bilateral'] as const
export type ChargeSide = (typeof chargeSides)[number]

/**
 * `call` and `message`: by a row of the deck. `attempt`: not answered, the attempt fee. `refused`: turned away by the
 * hub itself, nothing is due. `emergency`: never charged. `with-ingress`: priced by the record of the other leg.
 * `keep`: bill and keep, counted and settled with the other direction.
 */
export const chargeRules = ['call', 'message', 'attempt', 'refused', 'emergency', 'with-ingress', 'keep'] as const
export type ChargeRule = (typeof chargeRules)[number]

/** Why an answered call waits for a person instead of being free (RATE-04). */
export const suspenseReasons = ['no-agreement', 'no-rate', 'blocked', 'too-long', 'too-expensive'] as const
export type SuspenseReason = (typeof suspenseReasons)[number]

export interface Charge {
  readonly side: ChargeSide
  readonly rule: ChargeRule
  /** Null where no agreement applies, which only a call that owes nothing may do. */
  readonly agreement: Agreement | null
  readonly row: RateRow | null
  readonly billedUnits: number
  readonly amountMicros: bigint
  /** The moment that decides rate, period and day: the answer, the acceptance, or the request of an attempt. */
  readonly at: EpochMs
  /** The local day of the agreement. */
  readonly day: string
  readonly priced: Priced
  /** How the amount came about, in words and decimal strings; made when it is asked for. */
  readonly explanation: Readonly<Record<string, unknown>>
}

/** One movement between two accounts; it cannot be out of balance. */
export interface Transfer {
  /** Made from (cdr_id, rule, n): the same record always makes the same entries (LED-03). */
  readonly entryId: string
  readonly debit: string
  readonly credit: string
  readonly amountMicros: bigint
  readonly currency: string
}

/** `transfers` are made when they are asked for. */
export type Outcome =
  | { readonly charged: true; readonly charge: Charge; readonly transfers: readonly Transfer[] }
  | { readonly charged: false; readonly reason: SuspenseReason; readonly day: string }

interface Deal {
  readonly side: ChargeSide
  readonly agreement: Agreement | null
}

/** Where a record stands in its period, for prices that depend on the order; null: nobody knows yet (COM-07). */
export type StandingOf = (agreement: Agreement, day: string) => Standing | null
const provisional: StandingOf = () => null

/** What one final record owes. */
export function chargeOf(record: Chargeable, book: AgreementBook, standingOf: StandingOf = provisional): Outcome {
  const answered = record.t_answer ?? record.t_request
  const { side, agreement } = dealOf(record, book, answered)
  const at = agreement?.periodOf === 'end' ? record.t_end : answered
  const day = agreement?.zone.day(at) ?? new Date(at).toISOString().slice(0, 10)
  const suspended = (reason: SuspenseReason): Outcome => ({ charged: false, reason, day })
  const charged = (rule: ChargeRule, row: RateRow | null, rated: Priced): Outcome => {
    if (rated.amountMicros > limits.amountMicrosMax) return suspended('too-expensive')
    return new Charged(new MadeCharge(record, { side, rule, agreement, row, at, day }, rated), record.cdr_id)
  }
  if (record.emergency) return charged('emergency', null, free)
  if (side === 'bilateral' && record.leg === 'egress') return charged('with-ingress', null, free)
  if (record.t_answer === null) {
    if (wasRefused(record)) return charged('refused', null, free)
    return charged('attempt', null, agreement === null ? free : attemptBy(agreement))
  }
  if (agreement === null) return suspended('no-agreement')
  const row = rowFor(record, book, agreement, side, answered)
  if (row === null) return suspended('no-rate')
  if (row.blocked) return suspended('blocked')
  if (record.duration_ms > limits.callMsMax) return suspended('too-long')
  const isText = record.service === 'message'
  const rule = agreement.model === 'bill-and-keep' ? 'keep' : isText ? 'message' : 'call'
  const usage = { at: answered, durationMs: record.duration_ms, isText }
  return charged(rule, row, rateByModel(agreement, row, usage, standingOf(agreement, day)))
}

type Facts = Pick<Charge, 'side' | 'rule' | 'agreement' | 'row' | 'at' | 'day'>

/** A class, because thousands are made of one batch and few are asked to explain themselves. */
class MadeCharge implements Charge {
  readonly side: ChargeSide
  readonly rule: ChargeRule
  readonly agreement: Agreement | null
  readonly row: RateRow | null
  readonly billedUnits: number
  readonly amountMicros: bigint
  readonly at: EpochMs
  readonly day: string
  readonly priced: Priced
  readonly #record: Chargeable

  constructor(record: Chargeable, { side, rule, agreement, row, at, day }: Facts, priced: Priced) {
    this.side = side
    this.rule = rule
    this.agreement = agreement
    this.row = row
    this.billedUnits = priced.billedUnits
    this.amountMicros = priced.amountMicros
    this.at = at
    this.day = day
    this.priced = priced
    this.#record = record
  }

  get explanation(): Charge['explanation'] {
    return explanationOf(this, this.#record.duration_ms)
  }
}

class Charged {
  readonly charged = true as const
  readonly charge: Charge
  readonly #cdrId: string

  constructor(charge: Charge, cdrId: string) {
    this.charge = charge
    this.#cdrId = cdrId
  }

  get transfers(): readonly Transfer[] {
    return transfersOf(this.#cdrId, this.charge)
  }
}

const free: Priced = { billedUnits: 0, parts: [], amountMicros: 0n, steps: {} }
const attemptBy = ({ attemptFeeNanos, rounding }: Agreement): Priced => ({
  ...rateAttempt(attemptFeeNanos, rounding),
  steps: {}
})

/** By its routing number (RATE-01); between two providers by what was dialled, else by where its leg went. */
export function rowFor(
  {
    called,
    dialled,
    calling,
    rn,
    quality_class: quality
  }: Pick<Chargeable, 'called' | 'dialled' | 'calling' | 'rn' | 'quality_class'>,
  book: AgreementBook,
  agreement: Agreement,
  side: ChargeSide,
  at: EpochMs
): RateRow | null {
  const own = side === 'bilateral' ? null : book.numberOf(called)
  const number = rn === null ? (own ?? book.numberOf(dialled)) : book.numberOf(rn)
  return book.rowOf(agreement, { number, calling, quality, at })
}

/** Both legs of a call find the same answer: they share who called, what was dialled and when it was answered. */
function dealOf(
  { leg, provider, other_provider, service, dialled, rn, calling }: Chargeable,
  book: AgreementBook,
  at: EpochMs
): Deal {
  const [from, to] = leg === 'ingress' ? [provider, other_provider] : [other_provider, provider]
  const bilateral = from === null ? null : book.bilateral({ from, to, service, dialled: rn ?? dialled, calling, at })
  if (bilateral !== null) return { side: 'bilateral', agreement: bilateral }
  return leg === 'ingress'
    ? { side: 'sell', agreement: book.between(provider, hub, service) }
    : { side: 'buy', agreement: book.between(hub, provider, service) }
}

/** The hub's own decision, taken before the other side heard of the call. */
const ownRefusals: ReadonlySet<string> = new Set([
  'no-agreement',
  'no-rate',
  'no-credit',
  'limit-reached',
  'forbidden',
  'identity-failed',
  'internal',
  'congestion'
])
const wasRefused = ({ release_side, cause }: Chargeable): boolean =>
  release_side === 'hub' && cause !== null && ownRefusals.has(cause)

/**
 * The accounts of a posting (LED-01): what is owed is unbilled until it is invoiced; what was paid in advance is used
 * up, and never invoiced.
 */
export function accountsOf(
  side: ChargeSide,
  { id, buyer, seller, credit }: Agreement
): readonly [debit: string, credit: string] {
  switch (side) {
    case 'sell':
      return [`${credit.advance ? 'prepaid' : 'unbilled-receivable'}/${buyer}`, `revenue/${buyer}`]
    case 'buy':
      return [`cost/${seller}`, `unbilled-payable/${seller}`]
    default:
      return [`bilateral/${id}/${buyer}`, `bilateral/${id}/${seller}`]
  }
}

function transfersOf(cdrId: string, { side, rule, agreement, amountMicros }: Charge): readonly Transfer[] {
  if (agreement === null || amountMicros === 0n) return []
  const [debit, credit] = accountsOf(side, agreement)
  return [{ entryId: `${cdrId}/${rule}/1`, debit, credit, amountMicros, currency: agreement.currency }]
}
