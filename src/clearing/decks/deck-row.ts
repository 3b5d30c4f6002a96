// A row of a rate deck as it is stored, and the rate rows that a whole deck makes.

import { createHash } from 'node:crypto'
import type { AgreementConfig } from '../../config.ts'
import type { EpochMs } from '../../session/model.ts'
import { bandOf } from '../rate-rows.ts'
import type { RateRow } from '../rating.ts'

export const limits = {
  /** Of a sheet, and of the deck that it makes. */
  rowsMax: 1_000_000,
  fileBytesMax: 128 * 1_048_576,
  columnsMax: 64,
  cellCharsMax: 512,
  /** That one cell may stand for: 4477[1-9], 44771-44779. */
  prefixesOfCellMax: 10_000,
  /** Problems that are told; all are counted. */
  problemsMax: 50,
  /** Of the codes of the base, in percent: more closed ones need a confirmation (SET-10). */
  closedPercentMax: 5
} as const

/** The rate where no time class of the row's prefix holds. */
export const offTime = 'off'

export interface DeckRow {
  readonly prefix: string
  readonly destination: string
  readonly origin: string | null
  readonly quality: string | null
  readonly timeClass: string
  readonly rateNanos: bigint
  readonly setupFeeNanos: bigint
  readonly minimumSeconds: number
  readonly initialSeconds: number
  readonly nextSeconds: number
  /** Null: as soon as the version is in force. */
  readonly effectiveFrom: EpochMs | null
  readonly effectiveTo: EpochMs | null
  readonly blocked: boolean
}

/** What a row prices: two rows with the same key may not hold at the same time. */
export const keyOf = ({ prefix, origin, quality, timeClass }: DeckRow): string =>
  `${prefix} ${origin ?? ''} ${quality ?? ''} ${timeClass}`

/** Rows that price the same traffic at different times of the week. */
const groupOf = ({ prefix, origin, quality }: DeckRow): string => `${prefix} ${origin ?? ''} ${quality ?? ''}`

type Of = Pick<AgreementConfig, 'id' | 'timeClasses'>

/** Of nearly all rows: one for all of them. */
const unbanded: RateRow['bands'] = Object.freeze([])

/** The rate rows of a version: the time classes of a prefix become bands of one row. */
export function rateRowsOf(agreement: Of, version: number, rows: readonly DeckRow[]): readonly RateRow[] {
  const grouped = new Map<string, DeckRow[]>()
  const made: RateRow[] = []
  const classed = new Set(rows.filter(({ timeClass }) => timeClass !== offTime).map(groupOf))
  for (const row of rows) {
    const group = classed.size === 0 ? '' : groupOf(row)
    if (!classed.has(group))
      made.push(rateRowOf(agreement, version, row, row.effectiveFrom ?? 0, row.effectiveTo, unbanded))
    else grouped.set(group, [...(grouped.get(group) ?? []), row])
  }
  for (const group of grouped.values()) made.push(...bandedRowsOf(agreement, version, group))
  return made
}

/** Between any two moments at which one of them begins or ends all stay the same: a row for each such stretch. */
function bandedRowsOf(agreement: Of, version: number, group: readonly DeckRow[]): readonly RateRow[] {
  const edges = [
    ...new Set(group.flatMap(({ effectiveFrom, effectiveTo }) => [effectiveFrom ?? 0, effectiveTo ?? Infinity]))
  ]
  edges.sort((a, b) => a - b)
  return edges.flatMap((from, n) => {
    const to = edges[n + 1]
    if (to === undefined) return []
    const valid = group.filter(row => (row.effectiveFrom ?? 0) <= from && (row.effectiveTo ?? Infinity) >= to)
    const base = valid.find(({ timeClass }) => timeClass === offTime)
    if (base === undefined) return []
    const bands = Object.entries(agreement.timeClasses).flatMap(([name, times]) => {
      const row = valid.find(({ timeClass }) => timeClass === name)
      return row === undefined ? [] : times.map(time => bandOf(agreement.id, time, row.rateNanos))
    })
    return [rateRowOf(agreement, version, base, from, to === Infinity ? null : to, bands)]
  })
}

function rateRowOf(
  { id }: Of,
  version: number,
  row: DeckRow,
  effectiveFrom: EpochMs,
  effectiveTo: EpochMs | null,
  bands: RateRow['bands']
): RateRow {
  const {
    prefix,
    destination,
    origin,
    quality,
    rateNanos,
    setupFeeNanos,
    minimumSeconds,
    initialSeconds,
    nextSeconds
  } = row
  const kinds = [origin, quality].flatMap(kind => (kind === null ? [] : [kind]))
  const from = effectiveFrom === 0 ? [] : [new Date(effectiveFrom).toISOString()]
  return {
    id: [id, `v${version}`, prefix, ...kinds, ...from].join('/'),
    version,
    prefix,
    destination,
    origin,
    quality,
    effectiveFrom,
    effectiveTo,
    rateNanos,
    setupFeeNanos,
    minimumSeconds,
    initialSeconds,
    nextSeconds,
    bands,
    blocked: row.blocked
  }
}

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
