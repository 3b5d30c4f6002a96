// One write of the journal: what goes to the disk together, and is durable together.

import type { CdrRecord } from './cdr.ts'
import { encodeNote } from './notes.ts'
import type { Leaving, Noted } from './notes.ts'
import type { JournalHeader } from './replay.ts'
import type { SlotFile } from './slots.ts'

export interface Pending {
  readonly index: number
  readonly record: CdrRecord
  /** The same as text. */
  readonly json: Buffer
  /** What was noted of its leg before. */
  readonly noted: Noted | null
  readonly body: Buffer
  readonly resolve: (record: CdrRecord) => void
  readonly reject: (error: unknown) => void
}

export interface Emptied {
  readonly index: number
  readonly seq: number
  readonly done: () => void
  /** Has let a write pass: every note that went before it is gone. */
  ripe: boolean
}

export interface Round {
  readonly records: readonly Pending[]
  readonly notes: readonly Noted[]
  readonly emptied: readonly Emptied[]
  readonly leaving: readonly Leaving[]
}

/** Settles once it is durable. */
export async function writeRound(
  file: SlotFile,
  { records, notes, emptied, leaving }: Round,
  header: JournalHeader
): Promise<void> {
  const since = records[0]?.record.seq ?? 0
  const slots = [
    ...records.map(({ index, record, body }) => {
      return { index, kind: 'record', content: { seq: record.seq, since, body } } as const
    }),
    ...notes.map(note => {
      return { index: note.index, kind: 'note', content: { seq: 0, since: 0, body: encodeNote(note) } } as const
    })
  ]
  await file.write(slots.sort((a, b) => a.index - b.index))
  await file.empty([...emptied, ...leaving].map(({ index }) => index).sort((a, b) => a - b))
  await file.writeHeader(headerBody(header))
  await file.sync()
}

export const headerBody = (header: JournalHeader): Buffer => Buffer.from(JSON.stringify(header))
