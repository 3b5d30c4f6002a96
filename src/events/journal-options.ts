// What the journal is told, and its bounds.

import type { Logger } from '../log.ts'
import type { Disk } from './slots.ts'

export const journalLimits = {
  /** Of one write. */
  recordsMax: 512,
  emptiedMax: 1_024,
  /** How long a note may wait for a write to go with; most attempts have said something by then. */
  noteMs: 20,
  /** From one write to the next: under load a few records go to the disk together, the first never waits. */
  gatherMs: 20,
  /** Durable records kept in memory until they are relayed; more are read from the file again. */
  cacheMax: 4_096,
  /** After a failed write, doubled each time up to the maximum: the same bytes again. */
  retryMs: 100,
  retryMsMax: 5_000,
  /** How long `close` waits for a disk that fails. */
  closeMs: 10_000
} as const
export type JournalLimits = { readonly [Name in keyof typeof journalLimits]: number }

export interface JournalOptions {
  readonly dir: string
  /** At least so many; a file that has more keeps them. */
  readonly slots: number
  readonly hubId: string
  /** The node's name; a new journal adds an incarnation to it, and the journal remembers both. */
  readonly node: string
  readonly heartbeatMs: number
  readonly now: () => number
  /** Milliseconds of a clock that nobody sets, since any moment of this process. */
  readonly elapsed?: () => number
  readonly log: Logger
  readonly limits?: Partial<JournalLimits>
  readonly disk?: (path: string) => Promise<Disk>
}
