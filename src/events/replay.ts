// What a journal's file says when it is opened: the records it holds, where the chain stands, and what a crash left
// half written. Pure.

import { z } from 'zod'
import { HubError } from '../errors.ts'
import { cdrRecord } from './cdr.ts'
import type { CdrRecord } from './cdr.ts'
import { genesis, isIntact } from './chain.ts'
import { decodeNote } from './notes.ts'
import type { Note } from './notes.ts'
import type { Found, Slot } from './slots.ts'

/** Speaks of what was durable before the write that it was part of: it never knows of more than the disk holds. */
export const journalHeader = z.strictObject({
  version: z.literal(1),
  nodeId: z.string(),
  /** The last durable record. Slots are emptied only up to it. */
  seq: z.int().min(0),
  hash: z.hex().length(64),
  /** Epoch milliseconds: the hub was alive then. */
  heartbeatAt: z.int().min(0),
  /** The steady clock of its process then: wall clocks are set, and a call lasts as long as it lasted. */
  elapsedMs: z.int().min(0).nullable().default(null)
})
export type JournalHeader = z.infer<typeof journalHeader>

export interface Held {
  readonly index: number
  readonly record: CdrRecord
  /** The steady clock of its process when it was written; null in a journal of an older hub. */
  readonly elapsedMs: number | null
}

export interface HeldNote extends Note {
  readonly index: number
}

export interface Replayed {
  /** In the order of their seq. */
  readonly held: readonly Held[]
  readonly notes: readonly HeldNote[]
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
  const parsed = journalHeader.safeParse(parseJson(slot.body.toString('utf8')))
  if (!parsed.success) throw damaged('its header is of another kind or version')
  return parsed.data
}

/** Throws HUB_JOURNAL where something acknowledged is missing or was changed. */
export function replay(found: readonly Found[], header: JournalHeader): Replayed {
  const held: (Held & { readonly since: number })[] = []
  const notes: HeldNote[] = []
  const leftovers: number[] = []
  found.forEach((content, index) => {
    if (content.state === 'used') held.push({ index, since: content.slot.since, ...recordOf(content.slot, index) })
    if (content.state === 'note') {
      const note = decodeNote(content.body.toString('utf8'))
      if (note === null) leftovers.push(index)
      else notes.push({ ...note, index })
    }
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
    notes,
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

/** A slot holds the record as JSON and, on a line of its own, the steady clock when it was written. */
export const elapsedLine = (elapsedMs: number): string => `\n${elapsedMs}`

/** The two parts of a slot. */
export function partsOf(body: Buffer): { readonly json: string; readonly elapsedMs: number | null } {
  const [json = '', elapsed = ''] = body.toString('utf8').split('\n')
  return { json, elapsedMs: /^[0-9]+$/.test(elapsed) ? Number(elapsed) : null }
}

function recordOf({ seq, body }: Slot, index: number): Pick<Held, 'record' | 'elapsedMs'> {
  const { json, elapsedMs } = partsOf(body)
  const parsed = cdrRecord.safeParse(parseJson(json))
  if (!parsed.success) throw damaged(`slot ${index} holds no record`)
  if (parsed.data.seq !== seq || !isIntact(parsed.data)) throw damaged(`record ${seq} was changed`)
  return { record: parsed.data, elapsedMs }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export const firstHeader = (nodeId: string, now: number): JournalHeader => ({
  version: 1,
  nodeId,
  seq: 0,
  hash: genesis,
  heartbeatAt: now,
  elapsedMs: null
})
