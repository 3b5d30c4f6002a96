// Who owes whom for what: the agreements of the configuration as a frozen book, asked before ringing and at rating.

import type { AgreementConfig, RateConfig } from '../config.ts'
import { HubError } from '../errors.ts'
import type { EpochMs } from '../session/model.ts'
import type { Agreements } from '../session/ports.ts'
import { parseRate } from './money.ts'
import type { NumberOf } from './numbers.ts'
import { createPrefixTable } from './prefixes.ts'
import type { PrefixTable } from './prefixes.ts'
import type { Band, RateRow, Rounding } from './rating.ts'
import { createZone } from './zone.ts'
import type { Zone } from './zone.ts'

/** The hub as a party of an agreement (CLR-01). */
export const hub = 'hub'

export type ClearedService = AgreementConfig['service']

/** The buyer pays the seller for the traffic it sends. */
export interface Agreement {
  readonly id: string
  readonly buyer: string
  readonly seller: string
  readonly service: ClearedService
  readonly currency: string
  readonly zone: Zone
  readonly rounding: Rounding
  readonly attemptFeeNanos: bigint
  readonly deck: PrefixTable<RateRow>
}

/** The commercial parties of one session and what it is about. */
export interface Traffic {
  readonly from: string
  /** Null: it never got a target. */
  readonly to: string | null
  readonly service: ClearedService
  /** What prices it between the two providers: the number that was asked for. */
  readonly dialled: string
  readonly at: EpochMs
}

export interface AgreementBook {
  readonly agreements: readonly Agreement[]
  readonly numberOf: NumberOf
  /** The agreement by which one party buys from another. */
  between(buyer: string, seller: string, service: ClearedService): Agreement | null
  /** The agreement of the two providers themselves where it prices this call: then the hub is no party to it. */
  bilateral(traffic: Traffic): Agreement | null
}

/** Throws HUB_CONFIG for what no single key shows: two prices for one thing, a band of no length. */
export function createAgreementBook(configs: readonly AgreementConfig[], numberOf: NumberOf): AgreementBook {
  const agreements = configs.map(agreementOf)
  const byParties = new Map<string, Agreement>()
  for (const agreement of agreements) {
    const key = keyOf(agreement.buyer, agreement.seller, agreement.service)
    const other = byParties.get(key)
    if (other !== undefined) {
      const { buyer, seller, service } = agreement
      throw wrong(agreement.id, `${other.id} already prices ${service} that ${buyer} buys from ${seller}`)
    }
    byParties.set(key, agreement)
  }
  const between: AgreementBook['between'] = (buyer, seller, service) =>
    byParties.get(keyOf(buyer, seller, service)) ?? null
  return Object.freeze({
    agreements: Object.freeze(agreements),
    numberOf,
    between,
    bilateral({ from, to, service, dialled, at }: Traffic) {
      const agreement = to === null ? null : between(from, to, service)
      const row = agreement?.deck.match(numberOf(dialled), at) ?? null
      return row === null ? null : agreement
    }
  })
}

/** The port that is asked before ringing. `providerOf` names the commercial party of a peer, null for a stranger. */
export function createAgreements(book: AgreementBook, providerOf: (peerId: string) => string | null): Agreements {
  return {
    terms: ({ fromPeerId, toPeerId, service, called, at }) => {
      const [from, to] = [providerOf(fromPeerId), providerOf(toPeerId)]
      if (from === null || to === null) return Promise.resolve('no-agreement')
      const bilateral = book.bilateral({ from, to, service, dialled: called, at })
      if (bilateral !== null) return Promise.resolve(termsOf(bilateral, bilateral))
      const sell = book.between(from, hub, service)
      const buy = book.between(hub, to, service)
      if (sell === null || buy === null) {
        return Promise.resolve(book.between(from, to, service) === null ? 'no-agreement' : 'no-rate')
      }
      const number = book.numberOf(called)
      const priced = [sell, buy].every(({ deck }) => deck.match(number, at) !== null)
      return Promise.resolve(priced ? termsOf(sell, buy) : 'no-rate')
    }
  }
}

/** Prepaid agreements are not in the configuration yet: everybody pays afterwards. */
const termsOf = (ingress: Agreement, egress: Agreement) =>
  ({
    ingressAgreementId: ingress.id,
    egressAgreementId: egress.id,
    prepaid: false,
    onCreditSilence: 'continue'
  }) as const

const keyOf = (buyer: string, seller: string, service: ClearedService): string => `${buyer} ${seller} ${service}`
const wrong = (id: string, why: string): HubError => new HubError('HUB_CONFIG', `agreement ${id}: ${why}`)

function agreementOf(config: AgreementConfig): Agreement {
  const rows = config.rates.map(rate => rowOf(config.id, rate))
  const ids = new Set<string>()
  for (const { id, prefix, effectiveFrom } of rows) {
    if (ids.has(id)) throw wrong(config.id, `${prefix} has two rates from ${new Date(effectiveFrom).toISOString()}`)
    ids.add(id)
  }
  const { id, buyer, seller, service, currency, rounding } = config
  return Object.freeze({
    id,
    buyer,
    seller,
    service,
    currency,
    rounding,
    zone: createZone(config.timeZone),
    attemptFeeNanos: parseRate(config.attemptFee),
    deck: createPrefixTable(rows)
  })
}

function rowOf(agreementId: string, rate: RateConfig): RateRow {
  const effectiveFrom = Date.parse(rate.effectiveFrom)
  const effectiveTo = rate.effectiveTo === undefined ? null : Date.parse(rate.effectiveTo)
  if (effectiveTo !== null && effectiveTo <= effectiveFrom) {
    throw wrong(agreementId, `the rate of ${rate.prefix} ends before it begins`)
  }
  return {
    id: `${agreementId}/${rate.prefix}/${new Date(effectiveFrom).toISOString()}`,
    prefix: rate.prefix,
    destination: rate.destination,
    effectiveFrom,
    effectiveTo,
    rateNanos: parseRate(rate.rate),
    setupFeeNanos: parseRate(rate.setupFee),
    minimumSeconds: rate.minimumSeconds,
    initialSeconds: rate.initialSeconds,
    nextSeconds: rate.nextSeconds,
    bands: rate.bands.map(band => bandOf(agreementId, band))
  }
}

const weekdays = { sun: 0, mon: 1, tue: 2, wed: 3, thu: 4, fri: 5, sat: 6 } as const
const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

function bandOf(agreementId: string, { days, from, to, rate }: RateConfig['bands'][number]): Band {
  if (from === to) throw wrong(agreementId, `a band from ${from} to ${to} has no length; a whole day is 00:00 to 24:00`)
  return {
    weekdays: new Set(days.map(day => weekdays[day])),
    fromMinute: minuteOf(from),
    toMinute: minuteOf(to),
    rateNanos: parseRate(rate)
  }
}
