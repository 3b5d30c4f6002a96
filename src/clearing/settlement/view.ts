// What a partner sees of one record in its statement: never the other side's price, provider or address. Pure.

import { randomBytes } from 'node:crypto'
import { canonical } from '../../events/chain.ts'
import { printAmount } from '../money.ts'

/** A record as a statement counts it; `sign` -1 takes back what was stated before. */
export interface ViewedRecord {
  readonly cdr_id: string
  readonly revision: bigint
  readonly sign: 1 | -1
  readonly leg: string
  readonly attempt: bigint
  readonly service: string
  readonly calling: string | null
  readonly called: string
  readonly dialled: string
  readonly trunk: string
  readonly t_request: Date
  readonly t_answer: Date | null
  readonly t_end: Date
  readonly duration_ms: bigint
  readonly cause: string | null
  readonly rule: string
  readonly rate_id: string | null
  readonly destination: string | null
  readonly currency: string | null
  readonly billed_units: bigint
  readonly amount_micros: bigint
  readonly day: string
}

export type RecordView = ReturnType<typeof viewOf>

/** In the order of their names, so that the text is that of JSON.stringify. */
export const viewOf = (row: ViewedRecord) => ({
  amount: printAmount(row.amount_micros),
  answeredAt: row.t_answer?.toISOString() ?? null,
  attempt: Number(row.attempt),
  billedUnits: Number(row.billed_units),
  called: row.called,
  calling: row.calling,
  cause: row.cause,
  cdrId: row.cdr_id,
  currency: row.currency,
  day: row.day,
  destination: row.destination,
  dialled: row.dialled,
  durationMs: Number(row.duration_ms),
  endedAt: row.t_end.toISOString(),
  leg: row.leg,
  rateId: row.rate_id,
  requestedAt: row.t_request.toISOString(),
  revision: Number(row.revision),
  rule: row.rule,
  service: row.service,
  sign: row.sign,
  trunk: row.trunk
})

/** The text that is hashed: names in order, no spaces (RFC 8785); of a view in order what JSON.stringify says. */
export function viewText(view: Readonly<Record<string, unknown>>): string {
  let last = ''
  for (const name in view) {
    const value = view[name]
    if (name <= last || (typeof value === 'object' && value !== null)) return canonical(view)
    last = name
  }
  return JSON.stringify(view)
}

const saltBytes = 16
const drawnSalts = 1_024

/** Salts, drawn many at a time: one system call for each would take longer than the hash. */
export function createSalts(): () => Buffer {
  let drawn = Buffer.alloc(0)
  let at = 0
  return () => {
    if (at >= drawn.length) {
      drawn = randomBytes(saltBytes * drawnSalts)
      at = 0
    }
    at += saltBytes
    return drawn.subarray(at - saltBytes, at)
  }
}
