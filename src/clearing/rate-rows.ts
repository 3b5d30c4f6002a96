// Rate rows from the rates of the configuration and from the time classes that decks name.

import type { AgreementConfig, RateConfig } from '../config.ts'
import { weekdays } from '../config/agreements.ts'
import { HubError } from '../errors.ts'
import { parseRate } from './money.ts'
import { holiday } from './rating.ts'
import type { Band, RateRow } from './rating.ts'
import { unknownOrigin } from './prefixes.ts'

/** When a band holds; local time of the agreement. */
type Times = Omit<RateConfig['bands'][number], 'rate'>

const wrong = (id: string, why: string): HubError => new HubError('HUB_CONFIG', `agreement ${id}: ${why}`)

/** The rates of the configuration: version 0 of the deck. Throws HUB_CONFIG. */
export const rowsOfConfig = (config: AgreementConfig): readonly RateRow[] =>
  config.rates.map(rate => rowOf(config, rate))

function rowOf({ id: agreementId, origins }: AgreementConfig, rate: RateConfig): RateRow {
  const effectiveFrom = Date.parse(rate.effectiveFrom)
  const effectiveTo = rate.effectiveTo === undefined ? null : Date.parse(rate.effectiveTo)
  if (effectiveTo !== null && effectiveTo <= effectiveFrom) {
    throw wrong(agreementId, `the rate of ${rate.prefix} ends before it begins`)
  }
  const { prefix, destination, origin = null, quality = null, blocked } = rate
  if (origin !== null && origin !== unknownOrigin && !(origin in origins)) {
    throw wrong(agreementId, `the rate of ${prefix} is for callers of "${origin}", which origins does not name`)
  }
  const kinds = [origin, quality].flatMap(kind => (kind === null ? [] : [kind]))
  return {
    id: [agreementId, prefix, ...kinds, new Date(effectiveFrom).toISOString()].join('/'),
    version: 0,
    prefix,
    destination,
    origin,
    quality,
    effectiveFrom,
    effectiveTo,
    rateNanos: parseRate(rate.rate),
    setupFeeNanos: parseRate(rate.setupFee),
    minimumSeconds: rate.minimumSeconds,
    initialSeconds: rate.initialSeconds,
    nextSeconds: rate.nextSeconds,
    bands: rate.bands.map(band => bandOf(agreementId, band, parseRate(band.rate))),
    blocked
  }
}

const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

/** Throws HUB_CONFIG for a band of no length. */
export function bandOf(agreementId: string, { days, from, to }: Times, rateNanos: bigint): Band {
  if (from === to) throw wrong(agreementId, `a band from ${from} to ${to} has no length; a whole day is 00:00 to 24:00`)
  return {
    weekdays: new Set(days.map(day => (day === 'holiday' ? holiday : weekdays.indexOf(day)))),
    fromMinute: minuteOf(from),
    toMinute: minuteOf(to),
    rateNanos
  }
}
