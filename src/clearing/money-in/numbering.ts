// Numbers of documents without gaps (COM-05): one series for each seller, kind and year, counted by the transaction
// that issues, so that a number is used or was never taken.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'

export const documentKinds = ['invoice', 'credit-note'] as const
export type DocumentKind = (typeof documentKinds)[number]

const marks = { invoice: 'INV', 'credit-note': 'CN' } as const satisfies Record<DocumentKind, string>

export interface DocumentNumber {
  /** `INV-hub-2026-000001`. */
  readonly number: string
  readonly year: number
  readonly sequence: number
}

export const printNumber = (kind: DocumentKind, seller: string, year: number, sequence: number): string =>
  `${marks[kind]}-${seller}-${year}-${String(sequence).padStart(6, '0')}`

/**
 * The next number of a seller's series, for a document of this day. `sql` is the transaction that issues it: another
 * one that wants a number of the series waits for its end. Throws HUB_CONFIG for a day before that of the last number.
 */
export async function takeNumber(
  sql: Sql,
  { kind, seller, day }: { readonly kind: DocumentKind; readonly seller: string; readonly day: string }
): Promise<DocumentNumber> {
  const year = Number(day.slice(0, 4))
  const { rows } = await sql.query<{ last: number }>(
    `insert into document_series as s (seller, kind, year, last, last_day) values ($1, $2, $3, 1, $4::date)
     on conflict (seller, kind, year) do update set last = s.last + 1, last_day = $4::date
       where s.last_day <= $4::date
     returning last`,
    [seller, kind, year, day]
  )
  const sequence = rows[0]?.last
  if (sequence !== undefined) return { number: printNumber(kind, seller, year, sequence), year, sequence }
  const why = `the series of ${seller} has a ${kind === 'invoice' ? 'number' : 'credit note'} of a later day already`
  throw new HubError('HUB_CONFIG', `no ${kind} can be issued on ${day}: ${why}`)
}
