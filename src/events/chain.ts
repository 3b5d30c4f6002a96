// The audit chain of a node's records (EOS-04): each hash covers the record and the hash before it.

import { createHash } from 'node:crypto'
import type { CdrBody, CdrRecord } from './cdr.ts'

/** What the first record of a node follows. */
export const genesis = '0'.repeat(64)

/** JSON with sorted keys and no spaces: the same text whatever order a store gave the keys back in (RFC 8785). */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`)
  return `{${fields.join(',')}}`
}

const hashed = (previous: string, text: string): string =>
  createHash('sha256').update(previous).update(text).digest('hex')

export interface Place {
  readonly hubId: string
  readonly nodeId: string
  readonly seq: number
  readonly previous: string
}

/** A body in its place in the chain; `json` is the whole record as text. */
export function chained(body: CdrBody, { hubId, nodeId, seq, previous }: Place): { record: CdrRecord; json: string } {
  const numbered = { schema_version: 1, hub_id: hubId, node_id: nodeId, seq, ...body } as const
  const text = canonical(numbered)
  const hash = hashed(previous, text)
  return {
    record: { ...numbered, prev_hash: previous, hash },
    json: `{"hash":"${hash}","prev_hash":"${previous}",${text.slice(1)}`
  }
}

/** Whether a record is what its hash says. */
export function isIntact({ hash, prev_hash: previous, ...numbered }: CdrRecord): boolean {
  return hashed(previous, canonical(numbered)) === hash
}

/** Null, or the first thing wrong with consecutive records of one node, in words. */
export function chainFault(records: readonly CdrRecord[]): string | null {
  let last: CdrRecord | null = null
  for (const record of records) {
    if (!isIntact(record)) return `record ${record.seq} was changed`
    if (last !== null && record.seq !== last.seq + 1) return `records are missing between ${last.seq} and ${record.seq}`
    if (last !== null && record.prev_hash !== last.hash) return `record ${record.seq} does not follow ${last.seq}`
    last = record
  }
  return null
}
