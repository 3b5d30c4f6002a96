// What a reconciliation says: the two sides, the difference by class and destination, and whose figure stands (SET-02).

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Agreement } from '../agreements.ts'
import type { SettlementPeriod } from '../periods.ts'
import type { FileKind } from './columns.ts'
import type { OutcomeClass } from './model.ts'
import { standingOf } from './tally.ts'
import type { Standing, Sum, Tally } from './tally.ts'

export interface DestinationResult {
  readonly destination: string
  readonly ours: Sum
  readonly theirs: Sum
  readonly standing: Standing
}

export interface Reconciliation {
  readonly id: bigint
  readonly agreementId: string
  readonly period: string
  readonly kind: FileKind
  readonly fileName: string
  readonly sha256: string
  readonly currency: string
  readonly lines: number
  /** By how much their clock is ahead of ours. */
  readonly clockOffsetMs: number
  /** False: the file has units alone, and amounts follow from our rates. */
  readonly hasAmounts: boolean
  readonly matched: bigint
  readonly ours: Sum
  readonly theirs: Sum
  /** Theirs less ours; the classes add up to it exactly. */
  readonly difference: { readonly units: bigint; readonly amountMicros: bigint }
  readonly classes: Readonly<Record<OutcomeClass, Sum>>
  readonly standing: Standing
  /** How far the two are apart, in 10^-6 of a percent. */
  readonly percentMicros: bigint
  /** Whose figure stands where the difference is tolerated: the side that bills. */
  readonly biller: 'ours' | 'theirs'
  readonly destinations: readonly DestinationResult[]
  readonly by: string
}

export interface Made {
  readonly id: bigint
  readonly agreement: Agreement
  readonly period: SettlementPeriod
  readonly kind: FileKind
  readonly fileName: string
  readonly sha256: string
  readonly lines: number
  readonly offsetMs: number
  readonly hasAmounts: boolean
  readonly by: string
}

export function resultOf(tally: Tally, made: Made): Reconciliation {
  const { id, agreement, period, kind, fileName, sha256, lines, offsetMs, hasAmounts, by } = made
  const { difference, explained } = tally
  const isExact = difference.units === explained.units && difference.amountMicros === explained.amountMicros
  if (!isExact) throw new HubError('HUB_INTERNAL', 'the classes of a reconciliation do not add up to its difference')
  const compared = kind === 'declaration' && !hasAmounts ? 'units' : 'amount'
  const even = (sums: { readonly ours: Sum; readonly theirs: Sum }) => standingOf(sums, agreement.tolerance, compared)
  return {
    id,
    agreementId: agreement.id,
    period: period.name,
    kind,
    fileName,
    sha256,
    currency: agreement.currency,
    lines,
    clockOffsetMs: offsetMs,
    hasAmounts,
    matched: tally.matched,
    ours: tally.ours,
    theirs: tally.theirs,
    difference,
    classes: tally.classes,
    ...even(tally),
    // The seller bills; between two providers it is the other side's matter, and ours is only a copy.
    biller: agreement.seller === hub ? 'ours' : 'theirs',
    destinations: tally.destinations.map(sums => ({ ...sums, standing: even(sums).standing })),
    by
  }
}

/** As it was kept: amounts and counts are decimal text. Throws HUB_CONFIG where there is none of that number. */
export async function keptResult(sql: Sql, id: bigint): Promise<Reconciliation> {
  const { rows } = await sql.query<{ result: KeptJson }>(
    'select result from reconciliation where reconciliation_id = $1',
    [id]
  )
  const kept = rows[0]?.result
  if (kept === undefined) throw new HubError('HUB_CONFIG', `there is no reconciliation ${id}`)
  return revived(kept) as Reconciliation
}

type KeptJson = { readonly [key: string]: unknown }

const counted: ReadonlySet<string> = new Set(['id', 'count', 'units', 'amountMicros', 'matched', 'percentMicros'])

/** Counts are BigInt again. */
function revived(value: unknown, name = ''): unknown {
  if (counted.has(name) && typeof value === 'string') return BigInt(value)
  if (Array.isArray(value)) return value.map(item => revived(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revived(item, key)]))
}
