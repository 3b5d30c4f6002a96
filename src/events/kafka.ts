// The event log in Kafka: what the outbox relays goes to `isthmus.cdr.v1`, keyed by call.

import type { Kafka } from 'kafkajs'
import type { KafkaConfig } from '../config/events.ts'
import type { Logger } from '../log.ts'
import { asWritten, cdrRecord } from './cdr.ts'
import { cdrTopic } from './event-log.ts'
import type { EventSink } from './event-log.ts'
import { ensureTopics } from './kafka-topics.ts'
import { createTopicWriter } from './kafka-writer.ts'
import type { Entry, WriterLimits } from './kafka-writer.ts'

/** Records that clearing turned away, and charges it made: one message each, keyed by call. */
export const rejectedTopic = 'isthmus.cdr.rejected.v1'
export const chargeTopic = 'isthmus.charge.v1'
export const topics = [cdrTopic, rejectedTopic, chargeTopic] as const

export interface KafkaLogOptions {
  readonly kafka: Kafka
  readonly config: KafkaConfig
  readonly log: Logger
  readonly park: (entry: Entry, why: string) => Promise<void>
  readonly limits?: Partial<WriterLimits>
}

export interface KafkaLog extends EventSink {
  close(): Promise<void>
}

/** Kafka may be away when this is called, and any time later. */
export function createKafkaLog({ kafka, config, log, park, limits = {} }: KafkaLogOptions): KafkaLog {
  const writer = createTopicWriter({
    kafka,
    topic: cdrTopic,
    partitions: config.partitions,
    log,
    prepare: () => ensureTopics(kafka, topics, config),
    park,
    limits
  })
  return {
    async append(records) {
      const entries: Entry[] = []
      for (const record of records) {
        const written = asWritten(record)
        const { success, error } = cdrRecord.safeParse(written)
        const entry = { key: record.call_id, value: JSON.stringify(written) }
        if (success) entries.push(entry)
        else {
          const [issue] = error.issues
          const why = `no record: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`
          await park(entry, why)
          const facts = { alarm: 'record-parked', topic: cdrTopic, call: entry.key, reason: why }
          log.error(facts, 'a record that nobody could read was parked')
        }
      }
      await writer.write(entries)
    },
    close: () => writer.close()
  }
}
