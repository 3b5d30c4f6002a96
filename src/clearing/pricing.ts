// What one answered call or message costs by the model of its agreement; prices that depend on the order of calls are
// provisional here and final when their period is priced again (COM-07). Pure.

import type { EpochMs } from '../session/model.ts'
import type { Agreement } from './agreements.ts'
import { convert, shareOf } from './models.ts'
import { printAmount, printRate } from './money.ts'
import { afterFree, rateCall, rateMessages, unchanged } from './rating.ts'
import type { Pricing, Rated, RateRow } from './rating.ts'

/** What is priced: a call's length, or one message. */
export interface Usage {
  readonly at: EpochMs
  readonly durationMs: number
  readonly isText: boolean
}

export interface Priced extends Rated {
  /** What the model adds to the explanation. */
  readonly steps: Readonly<Record<string, unknown>>
}

/** Models whose price of one call depends on the calls before it in the period. */
export const isOrderDependent = ({ model }: Pick<Agreement, 'model'>): boolean =>
  model === 'freemium' || model === 'volume'

/** Where a call stands in its period; without that its price is provisional. */
export interface Standing {
  /** Units of the period before this call. */
  readonly unitsBefore: bigint
  /** All units of the period. */
  readonly unitsTotal: bigint
}

export function rateByModel(
  agreement: Agreement,
  row: RateRow,
  usage: Usage,
  standing: Standing | null = null
): Priced {
  switch (agreement.model) {
    case 'bill-and-keep':
      return keep(rateRow(agreement, row, usage))
    case 'volume':
      return byTier(agreement, row, usage, standing)
    case 'freemium':
      return metered(agreement, row, usage, standing)
    case 'revenue-share':
      return shared(agreement, rateRow(agreement, row, usage))
    default:
      return rateRow(agreement, row, usage)
  }
}

/** By the row alone, with the uplift of the agreement's class where the row is for every class. */
function rateRow(agreement: Agreement, row: RateRow, usage: Usage): Priced {
  const { rounding } = agreement
  const uplift = upliftOf(agreement, row)
  if (uplift === 0n) {
    const { billedUnits, parts, amountMicros } = rate(pricingOf(agreement, row), usage)
    return { billedUnits, parts, amountMicros, steps: none }
  }
  const steps = { uplift: printRate(uplift), upliftOf: rounding.uplift }
  if (rounding.uplift === 'exact') {
    return { ...rate(pricingOf(agreement, row, unchanged + uplift), usage), steps }
  }
  const rated = rate(pricingOf(agreement, row), usage)
  return { ...rated, amountMicros: convert(rated.amountMicros, unchanged + uplift, rounding), steps }
}

const none: Priced['steps'] = Object.freeze({})

const rate = (pricing: Pricing, { at, durationMs, isText }: Usage): Rated =>
  isText ? rateMessages(pricing, at, 1) : rateCall(pricing, at, durationMs)

const pricingOf = ({ rounding, zone, holidays }: Agreement, row: RateRow, factorNanos = unchanged): Pricing => ({
  row,
  rounding,
  zone,
  holidays,
  factorNanos
})

function upliftOf({ qualityClass, upliftNanos }: Agreement, { quality }: RateRow): bigint {
  return qualityClass === null || quality !== null ? 0n : (upliftNanos[qualityClass] ?? 0n)
}

/** Nobody pays for one call; the units count for the balance of the two directions. */
const keep = ({ billedUnits, parts, amountMicros }: Priced): Priced => ({
  billedUnits,
  parts,
  amountMicros: 0n,
  steps: { kept: printAmount(amountMicros) }
})

function shared({ shareNanos, rounding }: Agreement, priced: Priced): Priced {
  const { providerMicros, hubMicros } = shareOf(priced.amountMicros, shareNanos ?? unchanged, rounding)
  const steps = {
    ...priced.steps,
    gross: printAmount(priced.amountMicros),
    share: printRate(shareNanos ?? unchanged),
    remainder: printAmount(hubMicros)
  }
  return { ...priced, amountMicros: providerMicros, steps }
}

/** Units of the first tier after the free ones until the order is known. */
function byTier(agreement: Agreement, row: RateRow, usage: Usage, standing: Standing | null): Priced {
  const { volume } = agreement
  const counted = rate(pricingOf(agreement, row), usage)
  const units = BigInt(counted.billedUnits)
  const { unitsBefore, unitsTotal } = standing ?? { unitsBefore: volume?.freeUnits ?? 0n, unitsTotal: units }
  const [from, to] = [unitsBefore, unitsBefore + units]
  const freeUnits = volume?.freeUnits ?? 0n
  const tiers = volume?.tiers ?? []
  const parts: { rateNanos: bigint; units: number }[] = []
  let below = freeUnits
  const total = unitsTotal > freeUnits ? unitsTotal - freeUnits : 0n
  const reached = tiers.find(({ upTo }) => upTo === null || total <= upTo)
  for (const { upTo, rateNanos } of volume?.prices === 'all' && reached ? [{ ...reached, upTo: null }] : tiers) {
    const end = upTo === null ? to : freeUnits + upTo
    const [start, stop] = [from > below ? from : below, to < end ? to : end]
    if (stop > start) parts.push({ rateNanos, units: Number(stop - start) })
    below = end
  }
  const whole = { ...counted, parts }
  const plain = { ...row, setupFeeNanos: 0n }
  const priced = afterFree(pricingOf(agreement, plain), whole, 0, usage.isText ? 1n : 60n)
  return { ...priced, steps: orderSteps(standing) }
}

/** All of it until the order is known; then without what is free of it. */
function metered(agreement: Agreement, row: RateRow, usage: Usage, standing: Standing | null): Priced {
  const whole = rateRow(agreement, row, usage)
  if (standing === null) return { ...whole, steps: { ...whole.steps, ...orderSteps(null) } }
  const left = agreement.freeUnits - standing.unitsBefore
  const free = left <= 0n ? 0 : Math.min(Number(left), whole.billedUnits)
  const steps = { ...whole.steps, ...orderSteps(standing), freeUnits: free }
  if (free === 0) return { ...whole, steps }
  const factor = unchanged + upliftOf(agreement, row)
  return { ...afterFree(pricingOf(agreement, row, factor), whole, free, usage.isText ? 1n : 60n), steps }
}

const orderSteps = (standing: Standing | null): Readonly<Record<string, unknown>> =>
  standing === null ? { provisional: true } : { unitsBefore: standing.unitsBefore.toString() }
