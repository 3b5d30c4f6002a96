import { equal, match } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { faultOf, kafkaError } from '../../src/events/kafka-client.ts'
import { partitionOf } from '../../src/events/kafka-writer.ts'
import { HubError } from '../../src/errors.ts'
import { uuid } from '../support/clearing.ts'

const typed = (type: string, cause?: unknown): Error => Object.assign(new Error(type, { cause }), { type })

describe('an error of Kafka', () => {
  it.each([
    ['a record too large', typed('MESSAGE_TOO_LARGE'), 'record'],
    ['a record too large, tried for long', new Error('retries', { cause: typed('MESSAGE_TOO_LARGE') }), 'record'],
    ['a topic that is not ours', typed('TOPIC_AUTHORIZATION_FAILED'), 'refused'],
    ['a wrong password', Object.assign(new Error('x'), { name: 'KafkaJSSASLAuthenticationError' }), 'refused'],
    ['a leader that moved', typed('NOT_LEADER_FOR_PARTITION'), 'again'],
    ['too few copies', typed('NOT_ENOUGH_REPLICAS'), 'again'],
    ['no error at all', 'words', 'again'],
    ['nothing', undefined, 'again']
  ] as const)('%s means what it means', (_what, error, fault) => {
    equal(faultOf(error), fault)
  })

  it('an error that is its own cause has an end', () => {
    const error: Error & { cause?: unknown } = new Error('round')
    error.cause = error
    equal(faultOf(error), 'again')
  })

  it('is retryable to others unless Kafka refuses us; one of ours goes on as it is', () => {
    equal(kafkaError('topics', typed('NOT_LEADER_FOR_PARTITION')).retryable, true)
    const refused = kafkaError('topics', typed('TOPIC_AUTHORIZATION_FAILED'))
    equal(refused.retryable, false)
    match(refused.message, /^topics: Kafka refuses us/)
    const own = new HubError('HUB_CONFIG', 'four partitions')
    equal(kafkaError('topics', own), own)
  })
})

describe('the partition of a call', () => {
  it('is always the same, within bounds, and calls are spread over all of them', () => {
    const partitions = 6
    const counts = Array.from({ length: partitions }, () => 0)
    for (let n = 0; n < 6_000; n++) {
      const partition = partitionOf(uuid(n), partitions)
      equal(partitionOf(uuid(n), partitions), partition)
      counts[partition] = (counts[partition] ?? 0) + 1
    }
    equal(counts.length, partitions)
    equal(
      counts.every(count => count > 700 && count < 1_300),
      true,
      String(counts)
    )
  })
})
