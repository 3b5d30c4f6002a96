// The terms of an agreement besides its prices: money, time, rounding, and what its model needs. Checked against each
// other.

import type { AgreementConfig } from '../config.ts'
import type { AgreementModel } from '../config/agreements.ts'
import { HubError } from '../errors.ts'
import type { Tier } from './models.ts'
import { parseAmount, parseRate } from './money.ts'
import type { Calendar } from './periods.ts'
import type { Rounding } from './rating.ts'
import { createZone } from './zone.ts'
import type { Zone } from './zone.ts'

/** Rounding of a call, and of the sums above it. */
export interface AgreementRounding extends Rounding {
  /** `period`: seconds are added up and rounded up to `periodUnitSeconds` once (RATE-08). */
  readonly scope: 'call' | 'period'
  readonly periodUnitSeconds: number
  /** Where an amount is rounded to the currency's minor unit. */
  readonly stage: 'line' | 'invoice'
  /** Whether an uplift or a share is taken of the exact amount or of the rounded one. */
  readonly uplift: 'exact' | 'rounded'
}

export interface AgreementTerms {
  readonly currency: string
  readonly zone: Zone
  readonly calendar: Calendar
  readonly periodOf: 'answer' | 'end'
  readonly rounding: AgreementRounding
  readonly attemptFeeNanos: bigint
  /** Local days, counted from 1970-01-01. */
  readonly holidays: ReadonlySet<number>
  readonly qualityClass: string | null
  /** In 10^-9, by class: what is added to the price of a row that is for every class. */
  readonly upliftNanos: Readonly<Record<string, bigint>>
  readonly tolerance: { readonly percentNanos: bigint; readonly floorMicros: bigint; readonly of: 'own' | 'larger' }
  readonly disputeDays: number
  readonly paymentDays: number
  /** How old a record may be that comes after its period was closed (SET-07). */
  readonly backBillingDays: number
  /** Null: no limit. */
  readonly creditLimitMicros: bigint | null
  readonly credit: CreditTerms
  /** How long before it counts an increase must be known (RATE-02). */
  readonly noticeDays: number
  readonly volume: {
    readonly freeUnits: bigint
    readonly prices: 'graduated' | 'all'
    readonly tiers: readonly Tier[]
  } | null
  readonly freeUnits: bigint
  /** The seller's share of the price, in 10^-9. */
  readonly shareNanos: bigint | null
  readonly commitment: {
    readonly units: bigint
    readonly rateNanos: bigint
    readonly overageNanos: bigint
    readonly carryForward: boolean
  } | null
  readonly billAndKeep: {
    readonly with: string
    readonly thresholdNanos: bigint
    readonly netRateNanos: bigint
    readonly pays: 'all' | 'excess'
    /** So many periods in a row must be out of balance. */
    readonly periods: number
  } | null
}

/** How an account of this agreement is asked, and what follows. */
export interface CreditTerms {
  /** Out of what was paid in before. */
  readonly advance: boolean
  readonly quantumMs: number
  readonly graceMs: number
  readonly onSilence: 'continue' | 'end'
  readonly warnPercent: bigint
  /** Null: no alarm. */
  readonly lowBalanceMicros: bigint | null
  readonly afterFree: 'money' | 'refuse'
}

const dayMs = 86_400_000

/** Throws HUB_CONFIG where the model lacks what it needs, or has what it does not. */
export function termsOf(config: AgreementConfig): AgreementTerms {
  requireTerms(config)
  const { currency, timeZone, calendar, periodOf, rounding, tolerance } = config
  return {
    currency,
    zone: createZone(timeZone),
    calendar,
    periodOf,
    rounding,
    attemptFeeNanos: parseRate(config.attemptFee),
    holidays: new Set(config.holidays.map(day => Date.parse(`${day}T00:00:00Z`) / dayMs)),
    qualityClass: config.qualityClass ?? null,
    upliftNanos: Object.fromEntries(
      Object.entries(config.qualityUplift).map(([name, part]) => [name, parseRate(part)])
    ),
    tolerance: {
      percentNanos: parseRate(tolerance.percent),
      floorMicros: parseAmount(tolerance.floor),
      of: tolerance.of
    },
    disputeDays: config.disputeDays,
    paymentDays: config.paymentDays,
    backBillingDays: config.backBillingDays,
    creditLimitMicros: config.creditLimit === undefined ? null : parseAmount(config.creditLimit),
    credit: creditTerms(config),
    noticeDays: config.noticeDays,
    ...modelTerms(config)
  }
}

function creditTerms({ model, credit }: AgreementConfig): CreditTerms {
  const { paid, quantumSeconds, graceSeconds, onSilence, warnPercent, lowBalance, afterFree } = credit
  return {
    advance: (paid ?? (model === 'prepaid' ? 'advance' : 'later')) === 'advance',
    quantumMs: quantumSeconds * 1_000,
    graceMs: graceSeconds * 1_000,
    onSilence,
    warnPercent: BigInt(warnPercent),
    lowBalanceMicros: lowBalance === undefined ? null : parseAmount(lowBalance),
    afterFree
  }
}

function modelTerms({ volume, freemium, revenueShare, commitment, billAndKeep }: AgreementConfig) {
  return {
    volume:
      volume === undefined
        ? null
        : {
            freeUnits: BigInt(volume.freeUnits),
            prices: volume.prices,
            tiers: volume.tiers.map(({ upTo, rate }) => ({
              upTo: upTo === undefined ? null : BigInt(upTo),
              rateNanos: parseRate(rate)
            }))
          },
    freeUnits: BigInt(freemium?.freeUnits ?? 0),
    shareNanos: revenueShare === undefined ? null : parseRate(revenueShare.share),
    commitment:
      commitment === undefined
        ? null
        : {
            units: BigInt(commitment.units),
            rateNanos: parseRate(commitment.rate),
            overageNanos: parseRate(commitment.overageRate),
            carryForward: commitment.carryForward
          },
    billAndKeep:
      billAndKeep === undefined
        ? null
        : {
            with: billAndKeep.with,
            thresholdNanos: parseRate(billAndKeep.threshold),
            netRateNanos: parseRate(billAndKeep.netRate),
            pays: billAndKeep.pays,
            periods: billAndKeep.periods
          }
  }
}

/** The key that a model needs, and that no other model takes. */
const keyOfModel = {
  volume: 'volume',
  freemium: 'freemium',
  'revenue-share': 'revenueShare',
  'bulk-commitment': 'commitment',
  'bill-and-keep': 'billAndKeep'
} as const satisfies Partial<Record<AgreementModel, keyof AgreementConfig>>

/** Models with a price of their own for what a period comes to. */
const periodModels: readonly AgreementModel[] = [
  'volume',
  'freemium',
  'revenue-share',
  'bulk-commitment',
  'bill-and-keep'
]

/** What a row may call itself without being declared. */
const reserved = ['any', 'off', 'unknown'] as const

function requireTerms(config: AgreementConfig): void {
  const { id, model, service } = config
  const wrong = (why: string): HubError => new HubError('HUB_CONFIG', `agreement ${id}: ${why}`)
  for (const [name, key] of Object.entries(keyOfModel)) {
    if (name === model && config[key] === undefined) throw wrong(`the model ${name} needs the key ${key}`)
    if (name !== model && config[key] !== undefined) throw wrong(`the key ${key} is for the model ${name}`)
  }
  if (model === 'per-message' && service !== 'message') throw wrong('the model per-message is for service: message')
  const { scope } = config.rounding
  if (scope === 'period' && service === 'message') throw wrong('rounding.scope: period is for calls')
  if (scope === 'period' && periodModels.some(name => name === model)) {
    throw wrong(`rounding.scope: period is for prices by the row, and the model ${model} has a price of its own`)
  }
  if (scope === 'period' && config.rates.some(({ bands }) => bands.length > 0)) {
    throw wrong('rounding.scope: period cannot tell time bands apart')
  }
  const { attemptFee, creditLimit, credit, tolerance } = config
  if (model === 'prepaid' && credit.paid === 'later') throw wrong('the model prepaid is paid in advance')
  if (credit.afterFree === 'refuse' && model !== 'freemium') throw wrong('credit.afterFree is for the model freemium')
  if (credit.paid === 'advance' && config.buyer === 'hub') throw wrong('credit is kept for buyers other than the hub')
  for (const amount of [creditLimit ?? '0', credit.lowBalance ?? '0', tolerance.floor]) {
    if (/\.[0-9]{6}0*[1-9]/.test(amount)) throw wrong(`${amount} has more than 6 digits after the point`)
  }
  if (parseRate(attemptFee) > 0n && model === 'bill-and-keep') throw wrong('bill and keep has no attempt fee')
  for (const name of reserved) {
    if (name in config.timeClasses || name in config.origins) throw wrong(`"${name}" means something already`)
  }
  const { tiers = [] } = config.volume ?? {}
  for (const [n, { upTo }] of tiers.entries()) {
    const last = n === tiers.length - 1
    const below = tiers[n - 1]?.upTo ?? 0
    if (last !== (upTo === undefined)) throw wrong('volume.tiers: the last tier, and only it, has no upTo')
    if (upTo !== undefined && upTo <= below) throw wrong(`volume.tiers: ${upTo} is not above ${below}`)
  }
}
