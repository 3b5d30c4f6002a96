// How an amount came about, so that it can be computed again by hand: the terms, which all charges by one row of one
// agreement share, and what a record has of its own. Pure.

import type { Agreement } from './agreements.ts'
import { printAmount, printRate } from './money.ts'
import type { Priced } from './pricing.ts'
import type { RateRow } from './rating.ts'

export type Explained = Readonly<Record<string, unknown>>

/** What of a charge is explained. */
export interface Explainable {
  readonly agreement: Agreement | null
  readonly row: RateRow | null
  readonly amountMicros: bigint
  readonly billedUnits: number
  readonly priced: Pick<Priced, 'parts' | 'steps'>
}

/** Steps of a model whose values are those of one record; the others are the same for all of a row. */
const ownSteps: ReadonlySet<string> = new Set(['gross', 'kept', 'remainder', 'unitsBefore', 'freeUnits'])

/** The steps that are a record's own, or those that are not; null: none. */
function stepsOf(steps: Explained, own: boolean): Explained | null {
  let found: Record<string, unknown> | null = null
  for (const name in steps) if (ownSteps.has(name) === own) (found ??= {})[name] = steps[name]
  return found
}

/** A text that tells terms of one row apart, where a model adds something to them; mostly empty. */
export function termsMark({ steps }: Explainable['priced']): string {
  const shared = stepsOf(steps, false)
  return shared === null ? '' : JSON.stringify(shared)
}

/** What does not depend on the record. */
export function termsOf({ agreement, row, priced }: Explainable): Explained {
  if (agreement === null) return {}
  const { seconds, scale, mode, bands } = agreement.rounding
  const terms = {
    buyer: agreement.buyer,
    seller: agreement.seller,
    model: agreement.model,
    timeZone: agreement.zone.name,
    rounding: { seconds, scale, mode }
  }
  if (row === null) return { ...terms, attemptFee: printRate(agreement.attemptFeeNanos) }
  return {
    ...terms,
    deck: row.version,
    prefix: row.prefix,
    destination: row.destination,
    ...(row.origin === null ? {} : { origin: row.origin }),
    ...(row.quality === null ? {} : { quality: row.quality }),
    per: agreement.service === 'message' ? 'message' : 'minute',
    setupFee: printRate(row.setupFeeNanos),
    minimumSeconds: row.minimumSeconds,
    increments: `${row.initialSeconds}/${row.nextSeconds}`,
    ...(row.bands.length === 0 ? {} : { bands }),
    ...stepsOf(priced.steps, false)
  }
}

/** The one rate of all that was billed, in nanos; null: there are several, or something was free. */
export function oneRate({ row, billedUnits, priced: { parts } }: Explainable): bigint | null {
  const [part] = parts
  return row !== null && parts.length === 1 && part?.units === billedUnits ? part.rateNanos : null
}

const partsOf = ({ priced: { parts } }: Explainable): Explained[] =>
  parts.map(({ rateNanos, units }) => ({ rate: printRate(rateNanos), units }))

/** What is neither in the terms nor follows from amount, units, length and one rate; mostly nothing: null. */
export function detailOf(charge: Explainable): Explained | null {
  const own = stepsOf(charge.priced.steps, true)
  if (charge.row === null || oneRate(charge) !== null) return own
  return { parts: partsOf(charge), ...own }
}

/** All of it; the view `charge` says the same of what the book keeps. */
export function explanationOf(charge: Explainable, durationMs: number): Explained {
  const { agreement, row, billedUnits, amountMicros, priced } = charge
  const amount = printAmount(amountMicros)
  if (agreement === null || row === null) return { ...termsOf(charge), amount }
  const own = { durationMs, billedUnits, parts: partsOf(charge), ...stepsOf(priced.steps, true) }
  return { ...termsOf(charge), ...own, amount }
}
