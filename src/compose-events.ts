// Composition of what stands between the hub and the ledger: the event log, in Kafka or in a table, and the clearing
// that reads it.

import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Kafka } from 'kafkajs'
import type { AgreementBook } from './clearing/agreements.ts'
import { createConsumer } from './clearing/consumer.ts'
import type { RecordSource } from './clearing/consumer.ts'
import { createKafkaConsumer } from './clearing/consumer-kafka.ts'
import type { KafkaConsumerStatus } from './clearing/consumer-kafka.ts'
import { createGapWatch } from './clearing/gap-watch.ts'
import { createPublisher } from './clearing/publisher.ts'
import { secretOf } from './config.ts'
import type { Config } from './config.ts'
import { createTableLog } from './events/embedded.ts'
import type { TableLog } from './events/embedded.ts'
import type { EventSink } from './events/event-log.ts'
import { createKafkaClient, patientRetry } from './events/kafka-client.ts'
import { chargeTopic, createKafkaLog, rejectedTopic, topics } from './events/kafka.ts'
import { ensureTopics } from './events/kafka-topics.ts'
import { createTopicWriter } from './events/kafka-writer.ts'
import type { TopicWriter } from './events/kafka-writer.ts'
import { createParking } from './events/parked.ts'
import type { Logger } from './log.ts'
import type { Database } from './store/database.ts'

/** The client of the configured Kafka; null: the table. `retry`: patient unless named. */
export function kafkaOf({ events: { kafka }, hub }: Config, log: Logger, retry = patientRetry): Kafka | null {
  if (kafka === undefined) return null
  const { sasl } = kafka
  const password = sasl === undefined ? null : secretOf({ env: sasl.passwordEnv, file: sasl.passwordFile })
  return createKafkaClient({ config: kafka, password, clientId: `isthmus-${hub.id}`, log, retry })
}

const parkingOf = ({ hub }: Config): ReturnType<typeof createParking> => {
  const folder = resolve(hub.dataDir)
  mkdirSync(folder, { recursive: true })
  return createParking(join(folder, 'parked.ndjson'))
}

/** Where the hub's records go. */
export interface OpenEventLog extends EventSink {
  /** Where clearing in the same process reads them; null: from Kafka. */
  readonly table: TableLog | null
  close(): Promise<void>
}

export function openEventLog(config: Config, database: Database, log: Logger): OpenEventLog {
  const kafka = kafkaOf(config, log)
  if (kafka === null || config.events.kafka === undefined) {
    const table = createTableLog(database)
    return { append: (records, texts) => table.append(records, texts), table, close: () => Promise.resolve() }
  }
  const topic = createKafkaLog({ kafka, config: config.events.kafka, log, park: parkingOf(config) })
  return { append: (records, texts) => topic.append(records, texts), table: null, close: () => topic.close() }
}

export interface ClearingParts {
  readonly config: Config
  readonly database: Database
  readonly book: AgreementBook
  readonly log: Logger
  readonly onFault: (error: unknown) => void
  /** The table log of a hub in this process. */
  readonly table?: TableLog | null
}

export interface Clearing {
  /** What a process that reads Kafka has done so far; null for the table. */
  readonly status: KafkaConsumerStatus | null
  start(): void
  /** Resolves at the edge of the batches under way. */
  stop(): Promise<void>
}

/** Whatever the event log is, read into the ledger. */
export function createClearing(parts: ClearingParts): Clearing {
  const { config, database, book, log, onFault } = parts
  const kafka = kafkaOf(config, log)
  const settings = config.events.kafka
  const gaps = createGapWatch({ database, log })
  if (kafka === null || settings === undefined) {
    const table = parts.table ?? createTableLog(database)
    const source: RecordSource = { read: (topic, after, max) => table.follow(topic, after, max) }
    const consumer = createConsumer({ source, database, book, log, onFault })
    return {
      status: null,
      start() {
        consumer.start()
        gaps.start()
      },
      async stop() {
        await gaps.stop()
        await consumer.stop()
      }
    }
  }
  const { group, publish, partitions } = settings
  const consumer = createKafkaConsumer({ kafka, group, database, book, log, publish, onFault })
  const park = parkingOf(config)
  const prepare = (): Promise<void> => ensureTopics(kafka, topics, settings)
  const writers: readonly TopicWriter[] = [chargeTopic, rejectedTopic].map(topic =>
    createTopicWriter({ kafka, topic, partitions, log, prepare, park })
  )
  const [charges, rejected] = writers
  const publisher =
    publish && charges !== undefined && rejected !== undefined
      ? createPublisher({ database, charges, rejected, log, isBusy: () => consumer.status.isBusy })
      : null
  return {
    get status() {
      return consumer.status
    },
    start() {
      consumer.start()
      publisher?.start()
      gaps.start()
    },
    async stop() {
      await gaps.stop()
      await consumer.stop()
      await publisher?.stop()
      await Promise.all(writers.map(writer => writer.close()))
    }
  }
}
