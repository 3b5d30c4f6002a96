// What a hub that died left open: each leg with a start or interim record and no final gets one, billed to the last
// sign of life. Pure.

import { closingOf } from './cdr.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'
import { secondsOf } from './to-record.ts'
import { legOf } from './retention.ts'

export interface Ending {
  readonly at: number
  readonly reason: string
}

/** The last start or interim record of every leg that has no final, in the order they were written. */
export function openLegs(held: readonly CdrRecord[]): readonly CdrRecord[] {
  const open = new Map<string, CdrRecord>()
  const closed = new Set(held.flatMap(record => (record.kind === 'final' ? [legOf(record)] : [])))
  for (const record of held) {
    const name = legOf(record)
    if (closed.has(name)) continue
    const last = open.get(name)
    if (last === undefined || last.partial_seq < record.partial_seq) open.set(name, record)
  }
  return [...open.values()]
}

/** The final of a leg whose session is lost. Never before its answer or its last interim record. */
export function incompleteFinal(last: CdrRecord | CdrBody, { at, reason }: Ending, cdrId: string): CdrBody {
  const t_end = Math.max(at, last.t_answer ?? 0, last.t_end)
  const duration_ms = last.t_answer === null ? 0 : t_end - last.t_answer
  const final: CdrBody = {
    ...bodyOf(last),
    cdr_id: cdrId,
    kind: 'final',
    partial_seq: last.partial_seq + 1,
    t_end,
    duration_ms,
    units: last.unit_type === 'seconds' ? secondsOf(duration_ms) : last.units,
    cause: 'internal',
    final_code: null,
    q850: null,
    reason,
    release_side: 'hub',
    partial: false,
    incomplete: true
  }
  return { ...final, cause_closing: closingOf(final) }
}

function bodyOf(record: CdrRecord | CdrBody): CdrBody {
  if (!('hash' in record)) return record
  const { schema_version: _1, hub_id: _2, node_id: _3, seq: _4, prev_hash: _5, hash: _6, ...body } = record
  return body
}
