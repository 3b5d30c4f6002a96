// A partner's own invoice beside our statement of what we owe (COM-06): line by line, with the agreement's tolerance.
// Pure.

import { toleranceOf } from '../models.ts'
import { toMinor } from './currency.ts'

/** What one side says of one destination; null: it does not count units. */
export interface Claim {
  readonly destination: string
  readonly units: bigint | null
  readonly netMicros: bigint
}

export interface Tolerance {
  readonly percentNanos: bigint
  /** A difference up to it is within, whatever the percentage. */
  readonly floorMicros: bigint
  readonly of: 'own' | 'larger'
}

export const lineOutcomes = ['same', 'within', 'above', 'below', 'only-ours', 'only-theirs'] as const
export type LineOutcome = (typeof lineOutcomes)[number]

export interface MatchedLine {
  readonly destination: string
  readonly ownUnits: bigint | null
  readonly theirUnits: bigint | null
  readonly ownMicros: bigint
  readonly theirMicros: bigint
  /** What is accepted of theirs. */
  readonly acceptedMicros: bigint
  readonly outcome: LineOutcome
}

/**
 * `accepted`: within the tolerance as a whole, so the biller's figure stands (SET-02). `under-billed`: less than we
 * owe, what is missing stays unbilled. `short-paid`: above it, only our own figure is paid.
 */
export const matchOutcomes = ['accepted', 'under-billed', 'short-paid', 'disputed'] as const
export type MatchOutcome = (typeof matchOutcomes)[number]

export interface Match {
  readonly outcome: Exclude<MatchOutcome, 'disputed'>
  readonly ownMicros: bigint
  readonly theirMicros: bigint
  /** In 10^-6 of a percent. */
  readonly percentMicros: bigint
  readonly within: boolean
  readonly acceptedMicros: bigint
  /** Theirs, not accepted. */
  readonly refusedMicros: bigint
  /** Ours, not billed. */
  readonly leftMicros: bigint
  readonly lines: readonly MatchedLine[]
}

const isWithin = (own: bigint, theirs: bigint, { percentNanos, floorMicros, of }: Tolerance): boolean => {
  const difference = own > theirs ? own - theirs : theirs - own
  return difference <= floorMicros || toleranceOf({ own, theirs, percentNanos, of }).within
}

/** `theirs`: lines, or one line without a destination for an invoice that has only a sum. */
export function matchInvoice(
  ours: readonly Claim[],
  theirs: readonly Claim[],
  tolerance: Tolerance,
  currency: string
): Match {
  const [ownMicros, theirMicros] = [sumOf(ours), sumOf(theirs)]
  const { percentMicros } = toleranceOf({ own: ownMicros, theirs: theirMicros, ...tolerance })
  // Their sum has minor units only: what rounding alone makes of ours is no difference.
  const within = toMinor(ownMicros, currency) === theirMicros || isWithin(ownMicros, theirMicros, tolerance)
  const lines = linesOf(ours, theirs, tolerance, within)
  const whole = theirMicros < ownMicros ? theirMicros : toMinor(ownMicros, currency)
  const byLines = toMinor(sumOf(lines.map(line => ({ netMicros: line.acceptedMicros }))), currency)
  const bySum = theirs.length === 1 && theirs[0]?.destination === ''
  const stands = bySum ? whole : byLines
  const accepted = within || stands > theirMicros ? theirMicros : stands
  const refusedMicros = theirMicros - accepted
  const left = toMinor(ownMicros, currency) > accepted && !within ? ownMicros - accepted : 0n
  const outcome = within ? 'accepted' : refusedMicros > 0n ? 'short-paid' : 'under-billed'
  const sums = { ownMicros, theirMicros, percentMicros, within, acceptedMicros: accepted, refusedMicros }
  return { outcome, ...sums, leftMicros: left, lines }
}

const sumOf = (claims: readonly Pick<Claim, 'netMicros'>[]): bigint =>
  claims.reduce((sum, { netMicros }) => sum + netMicros, 0n)

/** Names are compared without regard to case and spaces. */
const keyOf = (destination: string): string => destination.trim().toLowerCase().replaceAll(/\s+/g, ' ')

function grouped(claims: readonly Claim[]): ReadonlyMap<string, Claim> {
  const found = new Map<string, Claim>()
  for (const { destination, units, netMicros } of claims) {
    const key = keyOf(destination)
    const known = found.get(key)
    const sum = known === undefined || known.units === null || units === null ? units : known.units + units
    found.set(key, {
      destination: known?.destination ?? destination,
      units: sum,
      netMicros: (known?.netMicros ?? 0n) + netMicros
    })
  }
  return found
}

function linesOf(
  ours: readonly Claim[],
  theirs: readonly Claim[],
  tolerance: Tolerance,
  allAccepted: boolean
): readonly MatchedLine[] {
  const [own, their] = [grouped(ours), grouped(theirs)]
  const keys = [...new Set([...own.keys(), ...their.keys()])].sort()
  return keys.map(key => {
    const [a, b] = [own.get(key), their.get(key)]
    const [ownMicros, theirMicros] = [a?.netMicros ?? 0n, b?.netMicros ?? 0n]
    const outcome = outcomeOf(a, b, tolerance)
    const stands = allAccepted || outcome !== 'above' ? theirMicros : ownMicros
    return {
      destination: a?.destination ?? b?.destination ?? '',
      ownUnits: a?.units ?? null,
      theirUnits: b?.units ?? null,
      ownMicros,
      theirMicros,
      acceptedMicros: !allAccepted && outcome === 'only-theirs' ? 0n : stands,
      outcome
    }
  })
}

function outcomeOf(own: Claim | undefined, theirs: Claim | undefined, tolerance: Tolerance): LineOutcome {
  if (own === undefined) return 'only-theirs'
  if (theirs === undefined) return 'only-ours'
  if (own.netMicros === theirs.netMicros) return 'same'
  if (isWithin(own.netMicros, theirs.netMicros, tolerance)) return 'within'
  return theirs.netMicros > own.netMicros ? 'above' : 'below'
}
