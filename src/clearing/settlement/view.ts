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

export const viewOf = (row: ViewedRecord) => ({
  cdrId: row.cdr_id,
  revision: Number(row.revision),
  sign: row.sign,
  leg: row.leg,
  attempt: Number(row.attempt),
  service: row.service,
  calling: row.calling,
  called: row.called,
  dialled: row.dialled,
  trunk: row.trunk,
  requestedAt: row.t_request.toISOString(),
  answeredAt: row.t_answer?.toISOString() ?? null,
  endedAt: row.t_end.toISOString(),
  durationMs: Number(row.duration_ms),
  cause: row.cause,
  rule: row.rule,
  rateId: row.rate_id,
  destination: row.destination,
  currency: row.currency,
  billedUnits: Number(row.billed_units),
  amount: printAmount(row.amount_micros),
  day: row.day
})

/** The text that is hashed: names in order, no spaces (RFC 8785). */
export const viewText = (view: Readonly<Record<string, unknown>>): string => canonical(view)

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
