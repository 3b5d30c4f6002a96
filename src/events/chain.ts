// The audit chain of a node's records (EOS-04): each hash covers the record and the hash before it.

import { hash as digest } from 'node:crypto'
import { asWritten, newestRecord, schemaVersion, streamRecord } from './cdr.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'

/** What the first record of a node follows. */
export const genesis = '0'.repeat(64)

/** JSON with sorted keys and no spaces: the same text whatever order a store gave the keys back in (RFC 8785). */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const fields = value as Readonly<Record<string, unknown>>
  let text = ''
  // The default order of sort is that of UTF-16 code units, as RFC 8785 asks.
  for (const name of Object.keys(fields).sort()) {
    text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${canonical(fields[name])}`
  }
  return text === '' ? '{}' : `${text}}`
}

type Fields = Readonly<Record<string, unknown>>

/** Nothing in every field, names in order: a copy of it, filled, is what JSON.stringify is fastest with. */
const blankOf = (names: readonly string[]): Fields => {
  const text = [...names].sort().map(name => `${JSON.stringify(name)}:null`)
  const blank = JSON.parse(`{${text.join(',')}}`) as Record<string, unknown>
  for (const name of names) blank[name] = undefined
  return blank
}
const blankRecord = blankOf(Object.keys(newestRecord.shape).filter(name => name !== 'hash' && name !== 'prev_hash'))
const blankStream = blankOf(Object.keys(streamRecord.shape))

function inOrder(fields: Fields, blank: Fields): Record<string, unknown> {
  const ordered: Record<string, unknown> = { ...blank }
  for (const name of Object.keys(fields)) ordered[name] = fields[name]
  return ordered
}

/** What `canonical` says of a new record, seven times as fast. */
function textOf(numbered: Fields, media: CdrBody['media']): string {
  const ordered = inOrder(numbered, blankRecord)
  ordered['media'] = media.map(stream => inOrder(stream, blankStream))
  return JSON.stringify(ordered)
}

const hashed = (previous: string, text: string): string => digest('sha256', previous + text, 'hex')

export interface Place {
  readonly hubId: string
  readonly nodeId: string
  readonly seq: number
  readonly previous: string
}

/** A body in its place in the chain; `json` is the whole record as text. */
export function chained(body: CdrBody, { hubId, nodeId, seq, previous }: Place): { record: CdrRecord; json: string } {
  const numbered = { schema_version: schemaVersion, hub_id: hubId, node_id: nodeId, seq, ...body } as const
  const text = textOf(numbered, body.media)
  const hash = hashed(previous, text)
  return {
    record: { ...numbered, prev_hash: previous, hash },
    json: `{"hash":"${hash}","prev_hash":"${previous}",${text.slice(1)}`
  }
}

/** Whether a record is what its hash says, of whatever version. */
export function isIntact(record: CdrRecord): boolean {
  const { hash, prev_hash: previous, ...numbered } = asWritten(record)
  return hashed(previous, canonical(numbered)) === hash
}

/** Null, or the first thing wrong with consecutive records of one node, in words. */
export function chainFault(records: readonly CdrRecord[]): string | null {
  let last: CdrRecord | null = null
  for (const record of records) {
    if (!isIntact(record)) return `record ${record.seq} was changed`
    const why = last === null ? null : linkFault(last, record)
    if (why !== null) return why
    last = record
  }
  return null
}

/** What of a record makes it a link, also where the rest of it was erased (EOS-05). */
export type ChainLink = Pick<CdrRecord, 'node_id' | 'seq' | 'prev_hash' | 'hash'>

/** Null, or why one record of a node does not follow the other. */
export function linkFault(last: ChainLink, next: ChainLink): string | null {
  if (next.seq !== last.seq + 1) return `records are missing between ${last.seq} and ${next.seq}`
  return next.prev_hash === last.hash ? null : `record ${next.seq} does not follow ${last.seq}`
}
