// A reconciliation as it adds up: per outcome class and per destination, and whether the two sides may call it even.

import { toleranceOf } from '../models.ts'
import { limits, outcomeClasses } from './model.ts'
import type { Item, OutcomeClass, Part } from './model.ts'

export interface Sum {
  count: bigint
  units: bigint
  amountMicros: bigint
}
export const noSum = (): Sum => ({ count: 0n, units: 0n, amountMicros: 0n })

export interface DestinationSum {
  readonly destination: string
  readonly ours: Sum
  readonly theirs: Sum
}

/** What beyond `destinationsMax` destinations is counted as. */
export const otherDestinations = 'other'

export class Tally {
  readonly ours = noSum()
  readonly theirs = noSum()
  readonly classes: Record<OutcomeClass, Sum> = {
    'only-ours': noSum(),
    'only-theirs': noSum(),
    'duration-diff': noSum(),
    'destination-diff': noSum(),
    'rate-diff': noSum(),
    duplicate: noSum(),
    'period-edge': noSum(),
    rounding: noSum()
  }
  /** Calls of both sides with nothing between them. */
  matched = 0n
  readonly #destinations = new Map<string, DestinationSum>()

  add({ own, their, destination, ours, theirs, parts }: Item): void {
    const sum = this.destination(destination)
    if (own !== null && (own.inPeriod || their === null)) for (const side of [this.ours, sum.ours]) grow(side, ours)
    if (their !== null) for (const side of [this.theirs, sum.theirs]) grow(side, theirs)
    if (parts.length === 0) this.matched += 1n
    for (const part of parts) this.part(part)
  }

  part({ outcome, units, amountMicros }: Part, count = 1n): void {
    grow(this.classes[outcome], { units, amountMicros }, count)
  }

  destination(destination: string): DestinationSum {
    const known = this.#destinations.get(destination)
    if (known !== undefined) return known
    const isFull = this.#destinations.size >= limits.destinationsMax && destination !== otherDestinations
    if (isFull) return this.destination(otherDestinations)
    const sum = { destination, ours: noSum(), theirs: noSum() }
    this.#destinations.set(destination, sum)
    return sum
  }

  get destinations(): readonly DestinationSum[] {
    return [...this.#destinations.values()].toSorted((a, b) => (a.destination < b.destination ? -1 : 1))
  }

  /** Theirs less ours: what all classes together are, to the last digit (SET-03). */
  get difference(): Omit<Sum, 'count'> {
    return {
      units: this.theirs.units - this.ours.units,
      amountMicros: this.theirs.amountMicros - this.ours.amountMicros
    }
  }

  /** What all classes come to. */
  get explained(): Omit<Sum, 'count'> {
    const all = noSum()
    for (const outcome of outcomeClasses) grow(all, this.classes[outcome])
    return { units: all.units, amountMicros: all.amountMicros }
  }
}

export function grow(
  sum: Sum,
  { units, amountMicros }: { readonly units: bigint; readonly amountMicros: bigint },
  count = 1n
): void {
  sum.count += count
  sum.units += units
  sum.amountMicros += amountMicros
}

/** `matched`: no difference. `within`: what the agreement tolerates. `above`: records are exchanged, or a dispute. */
export type Standing = 'matched' | 'within' | 'above'

export interface ToleranceTerms {
  readonly percentNanos: bigint
  readonly floorMicros: bigint
  readonly of: 'own' | 'larger'
}

/** In units where no amounts were declared; the floor is of money only. */
export function standingOf(
  { ours, theirs }: { readonly ours: Sum; readonly theirs: Sum },
  { percentNanos, floorMicros, of }: ToleranceTerms,
  by: 'amount' | 'units'
): { readonly standing: Standing; readonly percentMicros: bigint } {
  const [own, their] = by === 'amount' ? [ours.amountMicros, theirs.amountMicros] : [ours.units, theirs.units]
  const { percentMicros, within } = toleranceOf({ own, theirs: their, percentNanos, of })
  const difference = own > their ? own - their : their - own
  if (difference === 0n && ours.units === theirs.units) return { standing: 'matched', percentMicros }
  const isSmall = by === 'amount' && difference <= floorMicros
  return { standing: within || isSmall ? 'within' : 'above', percentMicros }
}
