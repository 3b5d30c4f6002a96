// Reads final records from Kafka into the ledger: each partition in its own transactions, with its own position.

import type { Kafka } from 'kafkajs'
import { HubError, messageOf } from '../errors.ts'
import { cdrTopic } from '../events/event-log.ts'
import { KafkaReader } from '../events/kafka-reader.ts'
import type { ReaderLimits, ReaderStatus, Slice } from '../events/kafka-reader.ts'
import type { Logger } from '../log.ts'
import type { Database } from '../store/database.ts'
import { isUniqueViolation } from '../store/sql.ts'
import type { AgreementBook } from './agreements.ts'
import type { StoredBases } from './bases.ts'
import { tell } from './consumer.ts'
import { mergeArrivals, positionOf, postBatch } from './ledger.ts'
import type { Posted } from './ledger.ts'
import { pause } from './pause.ts'
import { releaseAll } from './release.ts'

export const kafkaConsumerLimits = {
  /** Batches between two merges of arrivals, for each process. */
  mergeEvery: 50,
  /** The same id from two partitions at once: the second finds the first when it tries again. */
  collisionsMax: 5,
  releasePageMax: 500,
  releaseRetryMs: 5_000
} as const

/** So many records that wait are a backlog. */
const busyRecords = 10_000n

export interface KafkaConsumerOptions {
  readonly kafka: Kafka
  readonly group: string
  readonly database: Database
  readonly book: AgreementBook
  readonly log: Logger
  /** Leaves charges and rejected records in the outbox of their topics. */
  readonly publish: boolean
  readonly onFault: (error: unknown) => void
  readonly limits?: Partial<ReaderLimits>
}

/** What a process has posted since it began, and how far it is behind. */
export interface KafkaConsumerStatus extends ReaderStatus, Omit<Posted, 'suspenseAlarm'> {
  readonly read: number
  readonly batches: number
  /** A backlog waits. */
  readonly isBusy: boolean
}

export interface KafkaConsumer {
  readonly status: KafkaConsumerStatus
  /** Charges what suspense holds and can now be priced, and joins the group. */
  start(): void
  /** Resolves at the edge of the batches under way. */
  stop(): Promise<void>
}

export function createKafkaConsumer(options: KafkaConsumerOptions): KafkaConsumer {
  const { kafka, group, database, book, log, publish, onFault, limits = {} } = options
  const topic = cdrTopic
  const stopping = new AbortController()
  const stored: StoredBases = new WeakSet()
  const totals = { read: 0, batches: 0, charged: 0, suspended: 0, rejected: 0, repeated: 0, losses: 0 }

  async function take({ partition, after, position, records }: Slice): Promise<bigint> {
    const batch = { topic, shard: partition, after, position, records }
    const posted = await colliding(() => database.transaction(sql => postBatch(sql, batch, book, { publish, stored })))
    if (posted === null) return positionOf(database, topic, partition)
    totals.read += records.length
    totals.batches += 1
    for (const name of ['charged', 'suspended', 'rejected', 'repeated', 'losses'] as const) totals[name] += posted[name]
    tell(log, topic, posted)
    if (totals.batches % kafkaConsumerLimits.mergeEvery === 0) await database.transaction(mergeArrivals)
    return position
  }

  const reader = new KafkaReader({
    kafka,
    topic,
    group,
    log,
    positionOf: partition => positionOf(database, topic, partition),
    take,
    onFault,
    limits
  })

  async function release(): Promise<void> {
    const how = { pageMax: kafkaConsumerLimits.releasePageMax, signal: stopping.signal, publish }
    while (!stopping.signal.aborted) {
      try {
        const charged = await releaseAll(database, book, how)
        if (charged > 0) log.info({ topic, charged }, 'suspended calls charged')
        return
      } catch (error) {
        if (!(error instanceof HubError && error.retryable)) return onFault(error)
        log.warn({ topic, reason: messageOf(error) }, 'suspended calls cannot be looked at, trying again')
        await pause(kafkaConsumerLimits.releaseRetryMs, stopping.signal)
      }
    }
  }

  let releasing: Promise<void> | null = null
  return {
    get status() {
      const { behind } = reader.status
      return { ...reader.status, ...totals, isBusy: behind !== null && behind > busyRecords }
    },
    start() {
      releasing ??= release()
      reader.start()
    },
    async stop() {
      stopping.abort()
      await reader.stop()
      await releasing
    }
  }
}

async function colliding<T>(post: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await post()
    } catch (error) {
      if (!isUniqueViolation(error) || tries >= kafkaConsumerLimits.collisionsMax) throw error
    }
  }
}
