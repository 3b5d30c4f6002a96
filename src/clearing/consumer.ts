// Reads final records from the event log into the ledger, batch after batch, and never twice.

import { HubError, messageOf } from '../errors.ts'
import { cdrTopic } from '../events/event-log.ts'
import type { CdrRecord } from '../events/cdr.ts'
import type { Logger } from '../log.ts'
import type { Database } from '../store/database.ts'
import type { AgreementBook } from './agreements.ts'
import type { StoredBases } from './bases.ts'
import { mergeArrivals, positionOf, postBatch } from './ledger.ts'
import type { Posted } from './ledger.ts'
import { pause } from './pause.ts'
import { releaseAll } from './release.ts'

export const limits = {
  /** Records of one transaction. */
  batchMax: 500,
  /** Batches between two merges of arrivals. */
  mergeEvery: 50,
  /** Between two looks at a log whose end was reached: under load that makes batches. */
  pollMs: 200,
  /** After a failure, doubled each time up to the maximum. */
  retryMs: 500,
  retryMsMax: 30_000,
  /** After what trying again at once will not mend: somebody must look, and the records wait in the log. */
  faultMs: 30_000
} as const
export type ConsumerLimits = { readonly [Name in keyof typeof limits]: number }

/** What the consumer needs of the event log. */
export interface RecordSource {
  /** As that of `EventLog`; `own`: records in between that this process has made, which nobody need check. */
  read(
    topic: string,
    after: bigint,
    max: number
  ): Promise<{ readonly records: readonly unknown[]; readonly own?: readonly CdrRecord[]; readonly position: bigint }>
}

export interface ConsumerOptions {
  readonly source: RecordSource
  readonly database: Database
  readonly book: AgreementBook
  readonly log: Logger
  readonly topic?: string
  readonly limits?: Partial<ConsumerLimits>
  /** Something that trying again at once will not mend: clearing stands still until it is mended. */
  readonly onFault: (error: unknown) => void
}

export interface Consumer {
  /** Charges what suspense holds and can now be priced, then follows the log. */
  start(): void
  /** Posts all there is now, without starting; returns how many records it read. */
  catchUp(): Promise<number>
  /** Resolves at the edge of a batch. */
  stop(): Promise<void>
}

export function createConsumer(options: ConsumerOptions): Consumer {
  const { source, database, book, log, topic = cdrTopic, onFault } = options
  const bounds: ConsumerLimits = { ...limits, ...options.limits }
  let running: Promise<void> | null = null
  let batches = 0
  const stopping = new AbortController()
  const stored: StoredBases = new WeakSet()
  /** Where the ledger stands by what was posted last; null: it has to be asked. */
  let standsAt: bigint | null = null

  /** Returns how many records it read: 0 at the end of the log. */
  async function step(): Promise<number> {
    const after = standsAt ?? (await positionOf(database, topic))
    standsAt = null
    const { records, own = [], position } = await source.read(topic, after, bounds.batchMax)
    if (position === after) return 0
    const batch = { topic, after, position, records, own }
    const posted = await database.transaction(sql => postBatch(sql, batch, book, { stored }))
    if (posted !== null) tell(log, topic, posted)
    standsAt = posted === null ? null : position
    if (++batches % bounds.mergeEvery === 0) await database.transaction(mergeArrivals)
    return Math.max(records.length + own.length, 1)
  }

  async function release(): Promise<void> {
    const charged = await releaseAll(database, book, { pageMax: bounds.batchMax, signal: stopping.signal })
    if (charged > 0) log.info({ topic, charged }, 'suspended calls charged')
  }

  async function follow(): Promise<void> {
    let failures = 0
    let released = false
    while (!stopping.signal.aborted) {
      try {
        if (!released) await release()
        released = true
        const read = await step()
        failures = 0
        if (read < bounds.batchMax) await pause(bounds.pollMs, stopping.signal)
      } catch (error) {
        if (!(error instanceof HubError && error.retryable)) {
          onFault(error)
          await pause(bounds.faultMs, stopping.signal)
          continue
        }
        const waitMs = Math.min(bounds.retryMs * 2 ** failures, bounds.retryMsMax)
        failures += 1
        log.warn({ topic, waitMs, reason: messageOf(error) }, 'clearing cannot go on, trying again')
        await pause(waitMs, stopping.signal)
      }
    }
  }

  return {
    start() {
      running ??= follow()
    },
    async catchUp() {
      await release()
      let total = 0
      for (let read = await step(); read > 0; read = await step()) total += read
      return total
    },
    async stop() {
      stopping.abort()
      await running
    }
  }
}

/** Says what a batch came to. */
export function tell(log: Logger, topic: string, posted: Posted): void {
  log.debug({ topic, ...posted }, 'records cleared')
  if (posted.suspended > 0) log.warn({ topic, suspended: posted.suspended }, 'answered calls that nothing prices')
  if (posted.suspenseAlarm)
    log.error({ topic, alarm: 'suspense' }, 'many answered calls wait for a rate: isthmus suspense list')
  if (posted.losses > 0) {
    log.warn({ topic, alarm: 'negative-margin', calls: posted.losses }, 'calls that cost more than they bring')
  }
  if (posted.rejected > 0) {
    log.error({ topic, alarm: 'records-rejected', rejected: posted.rejected }, 'records rejected')
  }
}
