// What a hub that died left open: each leg with a start or interim record and no final gets one, billed to the last
// sign of life. Pure.

import { closingOf } from './cdr.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'
import type { Note } from './notes.ts'
import { secondsOf } from './to-record.ts'
import { legOf } from './retention.ts'

export interface Ending {
  readonly at: number
  /** The steady clock then, of the process that wrote the records; null where it did not say. */
  readonly elapsedMs: number | null
  readonly reason: string
}

/** What a leg said last, and the steady clock when it did. */
export interface Last {
  readonly record: CdrRecord | CdrBody
  readonly elapsedMs: number | null
}

/** The last start or interim record of every leg that has no final, in the order they were written. */
export function openLegs(held: readonly Last[]): readonly Last[] {
  const open = new Map<string, Last>()
  const closed = new Set(held.flatMap(({ record }) => (record.kind === 'final' ? [legOf(record)] : [])))
  for (const one of held) {
    const name = legOf(one.record)
    if (closed.has(name)) continue
    const last = open.get(name)
    if (last === undefined || last.record.partial_seq < one.record.partial_seq) open.set(name, one)
  }
  return [...open.values()]
}

/**
 * The final of a leg whose session is lost: it lasted as long as the steady clock went on, whatever was done to the
 * wall clock. Never before its answer or its last interim record.
 */
export function incompleteFinal({ record: last, elapsedMs }: Last, ending: Ending, cdrId: string): CdrBody {
  const { at, reason } = ending
  const isSteady = elapsedMs !== null && ending.elapsedMs !== null
  const aliveAt = isSteady ? last.t_end + ending.elapsedMs - elapsedMs : at
  const t_end = Math.max(aliveAt, last.t_answer ?? 0, last.t_end)
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

/** The only record of an attempt that had said nothing: never answered, never charged. */
export function unheardFinal({ body, elapsedMs }: Note, ending: Ending, cdrId: string): CdrBody {
  return { ...incompleteFinal({ record: body, elapsedMs }, ending, cdrId), partial_seq: body.partial_seq }
}

function bodyOf(record: CdrRecord | CdrBody): CdrBody {
  if (!('hash' in record)) return record
  const { schema_version: _1, hub_id: _2, node_id: _3, seq: _4, prev_hash: _5, hash: _6, ...body } = record
  return body
}
