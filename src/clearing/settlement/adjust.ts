// What a period owes beyond its calls: commitments (COM-01), the imbalance of bill and keep, and seconds that are
// rounded once for the whole period (RATE-08). Pure.

import type { Agreement } from '../agreements.ts'
import { commitmentPrice, convert, imbalanceOf, periodPrice, roundAmount } from '../models.ts'
import { divRound, powerOfTen, printAmount, printRate, rateScale } from '../money.ts'
import type { LineKind } from './model.ts'

/** What the stated calls of a period and rate come to. */
export interface RateSum {
  readonly rateId: string | null
  readonly rateNanos: bigint
  readonly setupNanos: bigint
  /** In 10^-9, what the class of the agreement adds; 0: nothing. */
  readonly upliftNanos: bigint
  readonly calls: bigint
  readonly billedUnits: bigint
  readonly durationMs: bigint
  readonly amountMicros: bigint
}

/** The two directions of bill and keep, this period first, then those before it. */
export interface Balance {
  readonly unitsOut: bigint
  readonly unitsIn: bigint
}

export interface PeriodFacts {
  readonly rates: readonly RateSum[]
  readonly balances: readonly Balance[]
  /** Units that were paid for in the period before and not used. */
  readonly carriedIn: bigint
}

export interface Adjustment {
  readonly kind: LineKind
  /** Below zero: the calls cost more than the period does. */
  readonly amountMicros: bigint
  readonly detail: Readonly<Record<string, unknown>>
}

export interface Adjusted {
  readonly adjustments: readonly Adjustment[]
  /** What the next period may use. */
  readonly carriedOut: bigint
}

const sum = (rates: readonly RateSum[], of: 'billedUnits' | 'amountMicros'): bigint =>
  rates.reduce((total, rate) => total + rate[of], 0n)

/** Units in what a rate is for. */
const perUnits = ({ service }: Agreement): bigint => (service === 'message' ? 1n : 60n)

export function adjustmentsOf(agreement: Agreement, facts: PeriodFacts): Adjusted {
  if (agreement.commitment !== null) return committed(agreement, agreement.commitment, facts)
  if (agreement.billAndKeep !== null) return { adjustments: balanced(agreement, facts), carriedOut: 0n }
  if (agreement.rounding.scope === 'period') return { adjustments: rounded(agreement, facts), carriedOut: 0n }
  return { adjustments: [], carriedOut: 0n }
}

/** Send or pay. What was paid for and not used may be used in the next period, where the agreement says so. */
function committed(
  agreement: Agreement,
  { units: promised, rateNanos, overageNanos, carryForward }: NonNullable<Agreement['commitment']>,
  { rates, carriedIn }: PeriodFacts
): Adjusted {
  const [units, charged] = [sum(rates, 'billedUnits'), sum(rates, 'amountMicros')]
  const over = units > promised ? units - promised : 0n
  const used = over < carriedIn ? over : carriedIn
  const price = commitmentPrice(
    { units: units - used, committed: promised, rateNanos, overageNanos },
    perUnits(agreement),
    agreement.rounding
  )
  const shortfall = units < promised ? promised - units : 0n
  const detail = {
    committedUnits: promised.toString(),
    units: units.toString(),
    shortfallUnits: shortfall.toString(),
    overUnits: (over - used).toString(),
    carriedIn: carriedIn.toString(),
    carriedOut: (carryForward ? shortfall : 0n).toString(),
    rate: printRate(rateNanos),
    overageRate: printRate(overageNanos),
    price: printAmount(price),
    charged: printAmount(charged)
  }
  const adjustment = { kind: 'commitment', amountMicros: price - charged, detail } as const
  return { adjustments: [adjustment], carriedOut: carryForward ? shortfall : 0n }
}

/** Whoever sent more pays, by the agreement for that direction, once it has been so for enough periods. */
function balanced(agreement: Agreement, { balances }: PeriodFacts): readonly Adjustment[] {
  const { billAndKeep, rounding } = agreement
  const [now] = balances
  if (billAndKeep === null || now === undefined) return []
  const { thresholdNanos, netRateNanos, pays, periods } = billAndKeep
  const of = (balance: Balance) =>
    imbalanceOf({ ...balance, thresholdNanos, netRateNanos, pays }, perUnits(agreement), rounding)
  const lasting = balances.length >= periods && balances.slice(0, periods).every(b => of(b).payer === 'out')
  const first = balances.findIndex(balance => of(balance).payer !== 'out')
  const { amountMicros, netUnits, shareNanos } = of(now)
  const detail = {
    unitsOut: now.unitsOut.toString(),
    unitsIn: now.unitsIn.toString(),
    share: printRate(shareNanos),
    threshold: printRate(thresholdNanos),
    periodsOutOfBalance: first === -1 ? balances.length : first,
    periodsNeeded: periods,
    netUnits: (lasting ? netUnits : 0n).toString(),
    netRate: printRate(netRateNanos)
  }
  return [{ kind: 'imbalance', amountMicros: lasting ? amountMicros : 0n, detail }]
}

/** The seconds of each rate are added up and rounded up to whole units once. */
function rounded(agreement: Agreement, { rates }: PeriodFacts): readonly Adjustment[] {
  const { rounding } = agreement
  const unitSeconds = BigInt(rounding.periodUnitSeconds)
  let price = 0n
  const parts = rates.map(({ rateId, rateNanos, setupNanos, upliftNanos, calls, durationMs }) => {
    const seconds = periodPrice([Number(durationMs)], { rateNanos, unitSeconds }, rounding)
    const uplifted =
      upliftNanos === 0n
        ? seconds.amountMicros
        : convert(seconds.amountMicros, powerOfTen(rateScale) + upliftNanos, rounding)
    const setup = roundAmount(divRound(setupNanos * calls, 1_000n, rounding.mode), rounding)
    price += uplifted + setup
    return { rateId, seconds: seconds.seconds.toString(), amount: printAmount(uplifted + setup) }
  })
  const charged = sum(rates, 'amountMicros')
  const detail = { unitSeconds: rounding.periodUnitSeconds, price: printAmount(price), charged: printAmount(charged) }
  return [{ kind: 'rounding', amountMicros: price - charged, detail: { ...detail, rates: parts.slice(0, 100) } }]
}
