// Records as a hub would have numbered and chained them.

import { chained, genesis } from '../../src/events/chain.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'

/** The same records in the chain of one node, from its first number on. */
export function chainOf(records: readonly CdrRecord[], nodeId?: string): readonly CdrRecord[] {
  let previous = genesis
  return records.map((record, n) => {
    const { schema_version: _v, hub_id: hubId, node_id, seq: _s, prev_hash: _p, hash: _h, ...body } = record
    const made = chained(body, { hubId, nodeId: nodeId ?? node_id, seq: n + 1, previous }).record
    previous = made.hash
    return made
  })
}
