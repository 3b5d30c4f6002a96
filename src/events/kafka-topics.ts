// The topics: made with their partitions, copies and retention where they are missing, and checked where they are not.

import type { Admin, Kafka } from 'kafkajs'
import type { KafkaConfig } from '../config/events.ts'
import { HubError } from '../errors.ts'
import { kafkaError } from './kafka-client.ts'

export type TopicShape = Pick<KafkaConfig, 'partitions' | 'replicationFactor' | 'minInsync' | 'retentionHours'>

const hourMs = 3_600_000
const createMs = 15_000

/**
 * Throws HUB_CONFIG where a topic has another number of partitions: a call's records would no longer be kept in one.
 * Throws HUB_EVENT_LOG where Kafka does not answer (retryable) or refuses.
 */
export async function ensureTopics(kafka: Kafka, names: readonly string[], shape: TopicShape): Promise<void> {
  const admin = kafka.admin({ retry: { retries: 3 } })
  try {
    await admin.connect()
    const known = new Set(await admin.listTopics())
    const missing = names.filter(name => !known.has(name))
    if (missing.length > 0) await create(admin, missing, shape)
    const { topics } = await admin.fetchTopicMetadata({ topics: [...names] })
    for (const { name, partitions } of topics) {
      if (partitions.length === shape.partitions) continue
      const why = `topic ${name} has ${partitions.length} partitions, events.kafka.partitions says ${shape.partitions}`
      throw new HubError('HUB_CONFIG', why)
    }
  } catch (error) {
    throw kafkaError('topics', error)
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

async function create(
  admin: Admin,
  names: readonly string[],
  { partitions, replicationFactor, minInsync, retentionHours }: TopicShape
): Promise<void> {
  const entries = {
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionHours * hourMs),
    'min.insync.replicas': String(Math.min(minInsync, replicationFactor)),
    'unclean.leader.election.enable': 'false'
  }
  const configEntries = Object.entries(entries).map(([name, value]) => ({ name, value }))
  // False: somebody else was faster.
  await admin.createTopics({
    waitForLeaders: true,
    timeout: createMs,
    topics: names.map(topic => ({ topic, numPartitions: partitions, replicationFactor, configEntries }))
  })
}
