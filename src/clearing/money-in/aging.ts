// How late what is owed is (COM-06): sums by party, direction and currency in bands of 30 days. Pure.

import { daysBetween } from './days.ts'

export const agingBands = ['current', '1-30', '31-60', '61-90', 'over-90'] as const
export type AgingBand = (typeof agingBands)[number]

/** Something that somebody still owes. */
export interface OpenItem {
  readonly itemId: string
  readonly kind: 'invoice' | 'received' | 'netting'
  readonly debtor: string
  readonly creditor: string
  readonly agreementId: string | null
  readonly currency: string
  readonly issuedOn: string
  readonly dueOn: string
  /** Not yet paid, credited or netted, what is held out included. */
  readonly openMicros: bigint
  /** Held out while it is disputed (SET-04). */
  readonly heldMicros: bigint
}

export interface AgingRow {
  readonly debtor: string
  readonly creditor: string
  readonly currency: string
  readonly items: number
  readonly bands: Readonly<Record<AgingBand, bigint>>
  /** In none of the bands: disputed. */
  readonly heldMicros: bigint
  readonly totalMicros: bigint
}

/** What is due on the day itself is current. */
export function bandOf(dueOn: string, asOf: string): AgingBand {
  const late = daysBetween(dueOn, asOf)
  if (late <= 0) return 'current'
  if (late <= 30) return '1-30'
  if (late <= 60) return '31-60'
  return late <= 90 ? '61-90' : 'over-90'
}

/** One row for each debtor, creditor and currency, in that order; currencies are never added up. */
export function agingOf(items: readonly OpenItem[], asOf: string): readonly AgingRow[] {
  const rows = new Map<
    string,
    { -readonly [K in keyof AgingRow]: AgingRow[K] } & { bands: Record<AgingBand, bigint> }
  >()
  for (const { debtor, creditor, currency, dueOn, openMicros, heldMicros } of items) {
    const key = `${debtor}/${creditor}/${currency}`
    let row = rows.get(key)
    if (row === undefined) {
      const bands = { current: 0n, '1-30': 0n, '31-60': 0n, '61-90': 0n, 'over-90': 0n }
      row = { debtor, creditor, currency, items: 0, bands, heldMicros: 0n, totalMicros: 0n }
      rows.set(key, row)
    }
    row.items += 1
    row.bands[bandOf(dueOn, asOf)] += openMicros - heldMicros
    row.heldMicros += heldMicros
    row.totalMicros += openMicros
  }
  return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : Number(a > b))).map(([, row]) => row)
}
