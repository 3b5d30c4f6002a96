// What came from the event log, sorted: finals to charge, partial records, and what no record can be. Pure.

import { hash } from 'node:crypto'
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
  /** Of the record's own hash and all that is kept of it: the same record has the same one, whoever delivers it. */
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

/** Numbers of a node's journal that have arrived, whatever was in the records: ranges with both ends in them. */
export interface Arrival {
  readonly nodeId: string
  readonly ranges: readonly (readonly [first: number, last: number])[]
}

export interface Intake {
  readonly finals: readonly Final[]
  readonly rejected: readonly Rejection[]
  readonly arrived: readonly Arrival[]
}

const numbered = z.looseObject({ node_id: z.string(), seq: z.int().min(1) })

/** `own`: records that this process has made and holds still; all that can be wrong with them is their time. */
export function takeIn(records: readonly unknown[], own: readonly CdrRecord[] = []): Intake {
  const finals: Final[] = []
  const rejected: Rejection[] = []
  const seqs = new Map<string, number[]>()
  const arrive = ({ node_id, seq }: { readonly node_id: string; readonly seq: number }): void => {
    const known = seqs.get(node_id)
    if (known === undefined) seqs.set(node_id, [seq])
    else known.push(seq)
  }
  for (const record of own) {
    arrive(record)
    const why = implausible(record)
    if (why !== null) rejected.push(rejection(record, 'invalid', why))
    else if (record.kind === 'final') finals.push(finalOf(record))
  }
  for (const raw of records) {
    const parsed = cdrRecord.safeParse(raw)
    if (parsed.success) arrive(parsed.data)
    else {
      const { success, data } = numbered.safeParse(raw)
      if (success) arrive(data)
    }
    const why = parsed.success ? implausible(parsed.data) : detailOf(parsed.error)
    if (!parsed.success || why !== null) rejected.push(rejection(raw, 'invalid', why ?? ''))
    else if (parsed.data.kind === 'final') finals.push(finalOf(parsed.data))
  }
  const arrived = [...seqs].map(([nodeId, numbers]) => ({ nodeId: storable(nodeId), ranges: rangesOf(numbers) }))
  return { finals, rejected, arrived }
}

function rangesOf(numbers: readonly number[]): Arrival['ranges'] {
  const ranges: [number, number][] = []
  for (const seq of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && seq <= last[1] + 1) last[1] = seq
    else ranges.push([seq, seq])
  }
  return ranges
}

/** An id has one spelling, as the database has (RFC 9562, 4). */
function finalOf(parsed: CdrRecord): Final {
  const [cdr_id, call_id] = [parsed.cdr_id.toLowerCase(), parsed.call_id.toLowerCase()]
  const isSpelt = cdr_id === parsed.cdr_id && call_id === parsed.call_id
  const record = isSpelt ? parsed : { ...parsed, cdr_id, call_id }
  return { record, contentHash: hash('sha256', contentOf(record), 'base64url') }
}

/** These bytes are what ledgers have hashes of: they never change. */
function contentOf(r: CdrRecord): string {
  const leg = `${r.hash} ${r.call_id} ${r.leg} ${r.incomplete} ${r.emergency} ${r.attempt} ${r.seq}`
  const times = `${r.t_request} ${r.t_alert ?? ''} ${r.t_answer ?? ''} ${r.t_end} ${r.duration_ms}`
  const end = `${r.final_code ?? ''} ${r.q850 ?? ''}`
  const who = told(r.node_id) + told(r.service) + told(r.provider) + told(r.other_provider) + told(r.trunk)
  const numbers = told(r.access) + told(r.calling) + told(r.called) + told(r.dialled)
  const why = told(r.cause) + told(r.release_side) + told(r.rn) + told(r.quality_class)
  return `${leg} ${times} ${end}${who}${numbers}${why}`
}

/** Whatever a text holds: its length stands before it. */
const told = (text: string | null): string => (text === null ? ' -' : ` ${text.length}:${text}`)

export function rejection(record: unknown, reason: RejectionReason, detail: string): Rejection {
  const text = JSON.stringify(record) ?? String(record)
  return {
    contentHash: hash('sha256', text, 'hex'),
    reason,
    detail: storable(detail.slice(0, limits.detailCharsMax)),
    record: text.slice(0, limits.recordCharsMax)
  }
}

/** PostgreSQL's text takes neither NUL nor half a character; that must not keep a call from being charged. */
export const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD')

function implausible(record: CdrRecord): string | null {
  for (const name of times) {
    const at = record[name]
    if (at !== null && (at < limits.earliestMs || at >= limits.latestMs)) return `${name}: no time of a call: ${at}`
  }
  return null
}
const times = ['t_request', 't_alert', 't_answer', 't_end'] as const

const detailOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`).join('; ')
