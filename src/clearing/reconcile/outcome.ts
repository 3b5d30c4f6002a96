// What a difference is made of: of one pair first its length at our rate, then where it went, then the rate at their
// units, and the rest is rounding, so that all parts together are the difference exactly (SET-03). Pure.

import { nothing } from './model.ts'
import type { Item, OwnCall, Part, Pricer, TheirCall, Volume } from './model.ts'

const unknownDestination = 'unknown'

/** A call that only we have. `repeated`: we have it twice. */
export function onlyOurs(own: OwnCall, repeated: boolean): Item {
  const outcome = own.onEdge ? 'period-edge' : repeated ? 'duplicate' : 'only-ours'
  const { units, amountMicros } = own
  const parts: readonly Part[] = [{ outcome, units: -units, amountMicros: -amountMicros }]
  return { own, their: null, destination: destinationOf(own), ours: { units, amountMicros }, theirs: nothing, parts }
}

/** A call that only they have; what their file does not say of it, our rates say. */
export function onlyTheirs(their: TheirCall, repeated: boolean, pricer: Pricer): Item {
  const { destination, ...theirs } = pricer.foreign(their)
  const parts: readonly Part[] = [{ outcome: repeated ? 'duplicate' : 'only-theirs', ...theirs }]
  const name = destination ?? their.destination ?? unknownDestination
  return { own: null, their, destination: name, ours: nothing, theirs, parts }
}

/** One call that both have. */
export function pairOf(own: OwnCall, their: TheirCall, pricer: Pricer): Item {
  const units = their.units ?? (their.durationMs === null ? own.units : pricer.units(own, their.durationMs))
  const longer = units === own.units ? 0n : byLength(own, units, pricer)
  const base = own.amountMicros + longer
  const code = their.code !== null && !pricer.isSameRow(own, their.code) ? their.code : null
  const elsewhere = code === null ? null : pricer.price(own, units, code)
  const here = pricer.price(own, units, null)
  const moved = elsewhere === null || here === null ? 0n : elsewhere - here
  const amountMicros = their.amountMicros ?? base + moved
  const theirs: Volume = { units, amountMicros }
  const destination = destinationOf(own)
  if (!own.inPeriod) {
    return { own, their, destination, ours: nothing, theirs, parts: [{ outcome: 'period-edge', ...theirs }] }
  }
  const rest = amountMicros - base - moved
  const unpricedElsewhere = (code !== null && elsewhere === null) || (code === null && isNamedElsewhere(own, their))
  const rate = rateOf(own, their, { units, rest, code, pricer })
  const parts: readonly Part[] = [
    { outcome: 'duration-diff', units: units - own.units, amountMicros: longer },
    { outcome: 'destination-diff', units: 0n, amountMicros: moved + (unpricedElsewhere ? rate : 0n) },
    { outcome: 'rate-diff', units: 0n, amountMicros: unpricedElsewhere ? 0n : rate },
    { outcome: 'rounding', units: 0n, amountMicros: rest - rate }
  ]
  const ours = { units: own.units, amountMicros: own.amountMicros }
  return { own, their, destination, ours, theirs, parts: parts.filter(isSomething) }
}

const isSomething = ({ units, amountMicros }: Part): boolean => units !== 0n || amountMicros !== 0n

const destinationOf = ({ destination }: OwnCall): string => destination ?? unknownDestination

/** What more or less of it costs by our row; where nothing prices it now, all of it is a matter of the rate. */
function byLength(own: OwnCall, units: bigint, pricer: Pricer): bigint {
  const [then, now] = [pricer.price(own, units, null), pricer.price(own, own.units, null)]
  return then === null || now === null ? 0n : then - now
}

/** They name another place, and no code that our deck could price. */
const isNamedElsewhere = (own: OwnCall, their: TheirCall): boolean =>
  their.code === null &&
  their.destination !== null &&
  own.destination !== null &&
  their.destination.trim().toLowerCase() !== own.destination.trim().toLowerCase()

interface Rest {
  readonly units: bigint
  /** What neither length nor destination explains. */
  readonly rest: bigint
  readonly code: string | null
  readonly pricer: Pricer
}

/** How much of the rest their rate explains; all of it unless it is less than their amounts are precise. */
function rateOf(own: OwnCall, their: TheirCall, { units, rest, code, pricer }: Rest): bigint {
  const precise = precisionOf(their)
  const ours = pricer.rate(own, code)
  if (their.rateNanos !== null && ours !== null) {
    const explained = ((their.rateNanos - ours) * units) / (own.isText ? 1_000n : 60_000n)
    if (abs(rest - explained) <= precise) return explained
  }
  return abs(rest) <= precise ? 0n : rest
}

/** Micros that may be lost where an amount is written with fewer digits than ours. */
const precisionOf = ({ amountDigits }: TheirCall): bigint => 10n ** BigInt(6 - Math.min(amountDigits, 6)) / 2n + 1n
const abs = (n: bigint): bigint => (n < 0n ? -n : n)
