// What a journal's file says when it is opened: the records it holds, where the chain stands, and what a crash left
// half written. Pure.

import { z } from 'zod'
import { HubError } from '../errors.ts'
import { cdrRecord } from './cdr.ts'
import type { CdrRecord } from './cdr.ts'
import { genesis, isIntact } from './chain.ts'
import type { Found, Slot } from './slots.ts'

/** Speaks of what was durable before the write that it was part of: it never knows of more than the disk holds. */
export const journalHeader = z.strictObject({
  version: z.literal(1),
  nodeId: z.string(),
  /** The last durable record. Slots are emptied only up to it. */
  seq: z.int().min(0),
  hash: z.hex().length(64),
  /** Epoch milliseconds: the hub was alive then. */
  heartbeatAt: z.int().min(0)
})
export type JournalHeader = z.infer<typeof journalHeader>

export interface Held {
  readonly index: number
  readonly record: CdrRecord
}

export interface Replayed {
  /** In the order of their seq. */
  readonly held: readonly Held[]
  readonly seq: number
  readonly hash: string
  /** Slots with something that was never acknowledged, or not wholly emptied. */
  readonly leftovers: readonly number[]
}

const damaged = (what: string): HubError =>
  new HubError('HUB_JOURNAL', `the journal is damaged: ${what}; records that were acknowledged may be lost`)

/** Throws HUB_JOURNAL where something acknowledged is missing or was changed. */
export function readHeader(slot: Slot | null, found: readonly Found[]): JournalHeader | null {
  if (slot === null) {
    if (found.some(({ state }) => state === 'used')) throw damaged('it has records but no header')
    return null
  }
  const parsed = journalHeader.safeParse(parseJson(slot.body))
  if (!parsed.success) throw damaged('its header is of another kind or version')
  return parsed.data
}

/** Throws HUB_JOURNAL where something acknowledged is missing or was changed. */
export function replay(found: readonly Found[], header: JournalHeader): Replayed {
  const held: (Held & { readonly since: number })[] = []
  const leftovers: number[] = []
  found.forEach((content, index) => {
    if (content.state === 'used') held.push({ index, since: content.slot.since, record: recordOf(content.slot, index) })
    if (content.state !== 'broken') return
    const { seq, halfEmptied } = content
    // A record up to the header's was durable, unless its slot was being emptied.
    if (seq !== null && seq <= header.seq && !halfEmptied)
      throw damaged(`slot ${index} with record ${seq} is unreadable`)
    leftovers.push(index)
  })
  held.sort((a, b) => a.record.seq - b.record.seq)
  requireChain(
    held.filter(({ record }) => record.seq <= header.seq),
    header
  )
  const fresh = held.filter(({ record }) => record.seq > header.seq)
  let { seq, hash } = header
  let kept = 0
  for (const { record } of fresh) {
    if (record.seq !== seq + 1 || record.prev_hash !== hash) break
    seq = record.seq
    hash = record.hash
    kept += 1
  }
  for (const { index, record, since } of fresh.slice(kept)) {
    // A write is acknowledged as a whole: what shares it with a missing record was not; a later write proves damage.
    if (since > seq + 1) throw damaged(`record ${seq + 1} is missing, but ${record.seq} was written after it`)
    leftovers.push(index)
  }
  const dropped = new Set(leftovers)
  return {
    held: held.filter(({ index }) => !dropped.has(index)),
    seq,
    hash,
    leftovers: leftovers.sort((a, b) => a - b)
  }
}

function requireChain(settled: readonly Held[], header: JournalHeader): void {
  let last: CdrRecord | null = null
  for (const { record } of settled) {
    const follows: boolean =
      last === null || record.seq > last.seq + 1 || (record.seq === last.seq + 1 && record.prev_hash === last.hash)
    if (!follows) throw damaged(`record ${record.seq} does not follow the one before it`)
    last = record
  }
  if (last !== null && last.seq === header.seq && last.hash !== header.hash) throw damaged('its last hash is another')
}

function recordOf({ seq, body }: Slot, index: number): CdrRecord {
  const parsed = cdrRecord.safeParse(parseJson(body))
  if (!parsed.success) throw damaged(`slot ${index} holds no record`)
  if (parsed.data.seq !== seq || !isIntact(parsed.data)) throw damaged(`record ${seq} was changed`)
  return parsed.data
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return null
  }
}

export const firstHeader = (nodeId: string, now: number): JournalHeader => ({
  version: 1,
  nodeId,
  seq: 0,
  hash: genesis,
  heartbeatAt: now
})
