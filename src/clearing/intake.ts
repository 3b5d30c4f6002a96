// What came from the event log, sorted: finals to charge, partial records, and what no record can be. Pure.

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { cdrRecord } from '../events/cdr.ts'
import type { CdrRecord } from '../events/cdr.ts'

export const limits = {
  /** No hub ran before, and nobody rates so far ahead: a time outside is a broken clock. */
  earliestMs: Date.UTC(2000),
  latestMs: Date.UTC(2100),
  /** Of a rejected record, what is kept. */
  recordCharsMax: 65_536,
  detailCharsMax: 1_024
} as const

export interface Final {
  readonly record: CdrRecord
  /** The same record always has the same one, whoever delivers it. */
  readonly contentHash: string
}

/** `second-final`: its leg and attempt have one already. `changed`: its id came before with other content. */
export type RejectionReason = 'invalid' | 'second-final' | 'changed'

export interface Rejection {
  readonly contentHash: string
  readonly reason: RejectionReason
  readonly detail: string
  /** The record as JSON. */
  readonly record: string
}

/** A number of a node's journal that has arrived, whatever was in the record. */
export interface Arrival {
  readonly nodeId: string
  readonly seq: number
}

export interface Intake {
  readonly finals: readonly Final[]
  readonly rejected: readonly Rejection[]
  readonly arrived: readonly Arrival[]
}

const numbered = z.looseObject({ node_id: z.string(), seq: z.int().min(1) })

export function takeIn(records: readonly unknown[]): Intake {
  const finals: Final[] = []
  const rejected: Rejection[] = []
  const arrived: Arrival[] = []
  for (const raw of records) {
    const { success, data } = numbered.safeParse(raw)
    if (success) arrived.push({ nodeId: storable(data.node_id), seq: data.seq })
    const parsed = cdrRecord.safeParse(raw)
    const why = parsed.success ? implausible(parsed.data) : detailOf(parsed.error)
    if (!parsed.success || why !== null) rejected.push(rejection(raw, 'invalid', why ?? ''))
    else if (parsed.data.kind === 'final') finals.push(finalOf(parsed.data))
  }
  return { finals, rejected, arrived }
}

/** An id has one spelling, as the database has (RFC 9562, 4). */
function finalOf(parsed: CdrRecord): Final {
  const record = { ...parsed, cdr_id: parsed.cdr_id.toLowerCase(), call_id: parsed.call_id.toLowerCase() }
  return { record, contentHash: contentHashOf(record) }
}

export function rejection(record: unknown, reason: RejectionReason, detail: string): Rejection {
  const text = JSON.stringify(record) ?? String(record)
  return {
    contentHash: contentHashOf(record),
    reason,
    detail: storable(detail.slice(0, limits.detailCharsMax)),
    record: text.slice(0, limits.recordCharsMax)
  }
}

/** PostgreSQL's text takes neither NUL nor half a character; that must not keep a call from being charged. */
export const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD')

const contentHashOf = (record: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(record) ?? String(record))
    .digest('hex')

function implausible({ t_request, t_alert, t_answer, t_end }: CdrRecord): string | null {
  for (const [name, at] of Object.entries({ t_request, t_alert, t_answer, t_end })) {
    if (at !== null && (at < limits.earliestMs || at >= limits.latestMs)) return `${name}: no time of a call: ${at}`
  }
  return null
}

const detailOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`).join('; ')
