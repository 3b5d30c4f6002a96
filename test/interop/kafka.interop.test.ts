// needs: kafka
// The event log in a real Kafka: topics, the writer and what it parks, TLS and SCRAM, access lists, positions.

import { randomUUID } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, it } from '@jest/globals'
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ConfigResourceTypes,
  ResourcePatternTypes
} from 'kafkajs'
import type { Admin } from 'kafkajs'
import { createKafkaConsumer } from '../../src/clearing/consumer-kafka.ts'
import type { KafkaConsumer } from '../../src/clearing/consumer-kafka.ts'
import { positionOf } from '../../src/clearing/ledger.ts'
import { createPublisher } from '../../src/clearing/publisher.ts'
import { migrations } from '../../src/compose.ts'
import { HubError } from '../../src/errors.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chargeMessage, rejectedMessage } from '../../src/events/charge.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { briefRetry, createKafkaClient } from '../../src/events/kafka-client.ts'
import { ensureTopics } from '../../src/events/kafka-topics.ts'
import { readTopic as readWhole } from '../../src/events/kafka-read.ts'
import { createTopicWriter, partitionOf } from '../../src/events/kafka-writer.ts'
import type { Entry, TopicWriter } from '../../src/events/kafka-writer.ts'
import { chargeTopic, createKafkaLog, rejectedTopic, topics } from '../../src/events/kafka.ts'
import type { KafkaLog } from '../../src/events/kafka.ts'
import { createParking } from '../../src/events/parked.ts'
import { createLog } from '../../src/log.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import { chainOf } from '../support/chains.ts'
import { bookOf, callRecords, dumpOf, failedCall, memoryLog } from '../support/clearing.ts'
import { createConsumer } from '../../src/clearing/consumer.ts'
import { traffic, trafficAgreements } from '../support/clearing-traffic.ts'
import { eventually } from '../support/child.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { scramUser, secureCaFile, startKafka } from '../support/kafka.ts'
import type { Kafka } from '../support/kafka.ts'
import { clientOf, endsOf, kafkaConfig, readTopic } from '../support/kafka-tools.ts'

const log = createLog('silent')
const generousMs = 90_000
const partitions = 3
let kafka: Kafka
let postgres: TestPostgres
let admin: Admin
let folder: string
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  folder = openTempDir('isthmus-kafka-test-')
  ;[kafka, postgres] = await Promise.all([startKafka({ secure: true }), startTestPostgres()])
  admin = clientOf(settings()).admin()
  await admin.connect()
}, 400_000)
beforeEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  const known = await admin.listTopics()
  const ours = topics.filter(name => known.includes(name))
  if (ours.length > 0) await admin.deleteTopics({ topics: ours })
  await eventually(async () => !(await admin.listTopics()).some(name => ours.includes(name as never)), generousMs)
}, 200_000)
afterAll(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await admin.disconnect()
  await kafka.stop()
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}, 120_000)

const settings = (over = {}) => kafkaConfig(kafka.brokers, { partitions, ...over })
const parkedFile = (): string => join(folder, `${randomUUID()}.ndjson`)
const parkedIn = (file: string): readonly { why: string; key: string; value: string }[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as never)

function openLog(file = parkedFile(), config = settings(), client = clientOf(config), writeMs = 20_000): KafkaLog {
  const opened = createKafkaLog({ kafka: client, config, log, park: createParking(file), limits: { writeMs } })
  closing.push(() => opened.close())
  return opened
}

const park = (entry: Entry): Promise<void> => Promise.reject(new Error(`parked ${entry.value}`))
function writerOf(topic: string = cdrTopic): TopicWriter {
  const client = clientOf(settings())
  const prepare = () => ensureTopics(client, topics, settings())
  const writer = createTopicWriter({ kafka: client, topic, partitions, log, prepare, park })
  closing.push(() => writer.close())
  return writer
}
const entriesOf = (records: readonly unknown[]): readonly Entry[] =>
  records.map(record => ({
    key: (record as { call_id?: string }).call_id ?? 'no record',
    value: JSON.stringify(record)
  }))

interface Cleared {
  readonly consumer: KafkaConsumer
  readonly database: TestDatabase
  readonly faults: readonly string[]
}
async function clearingOf(
  over: { readonly database?: TestDatabase; readonly watchMs?: number; readonly partitionBytesMax?: number } = {}
): Promise<Cleared> {
  const database = over.database ?? (await postgres.fresh(migrations))
  const faults: string[] = []
  const consumer = createKafkaConsumer({
    kafka: clientOf(settings()),
    group: `group-${randomUUID()}`,
    database,
    book: bookOf(trafficAgreements),
    log,
    publish: true,
    onFault: error => faults.push(String(error)),
    limits: { watchMs: over.watchMs ?? 500, recordsMax: 100, partitionBytesMax: over.partitionBytesMax ?? 1_048_576 }
  })
  closing.push(() => consumer.stop())
  consumer.start()
  return { consumer, database, faults }
}
const caughtUp = async ({ database }: Pick<Cleared, 'database'>): Promise<void> => {
  const ends = await endsOf(clientOf(settings()), cdrTopic)
  const isThere = async ([partition, end]: readonly [number, bigint]): Promise<boolean> =>
    (await positionOf(database, cdrTopic, partition)) === end
  await eventually(async () => (await Promise.all([...ends].map(isThere))).every(Boolean), generousMs)
}
const isRefusal = (error: unknown): boolean =>
  error instanceof HubError && !error.retryable && /refuses us/.test(error.message)

describe('topics', () => {
  it(
    'are made with their partitions, their copies, how long they keep and how many copies must have a record',
    async () => {
      await ensureTopics(clientOf(settings()), topics, settings({ retentionHours: 5 }))
      // Again: nothing to do.
      await ensureTopics(clientOf(settings()), topics, settings())
      const { topics: made } = await admin.fetchTopicMetadata({ topics: [...topics] })
      deepEqual(
        made.map(({ partitions: all }) => all.length),
        [partitions, partitions, partitions]
      )
      const names = ['retention.ms', 'min.insync.replicas', 'cleanup.policy']
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: cdrTopic, configNames: names }]
      })
      const values = new Map(
        resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue])
      )
      deepEqual(
        names.map(name => values.get(name)),
        [String(5 * 3_600_000), '1', 'delete']
      )
      await rejects(ensureTopics(clientOf(settings()), topics, settings({ partitions: 4 })), /has 3 partitions.*says 4/)
    },
    generousMs
  )
})

describe('the writer', () => {
  it(
    'keeps the records of a call in one partition and in order, and a record once however often it is sent',
    async () => {
      const records = [...callRecords(1), ...callRecords(2), ...callRecords(3)]
      const opened = openLog()
      await opened.append(records)
      await opened.append(records.slice(0, 2))
      const kept = await readTopic(clientOf(settings()), cdrTopic)
      equal(kept.length, 8)
      for (const { key, partition, value } of kept) {
        deepEqual([key, partition], [(value as CdrRecord).call_id, partitionOf(key!, partitions)])
      }
      const seqs = kept.filter(({ key }) => key === records[2]!.call_id).map(({ value }) => (value as CdrRecord).seq)
      deepEqual(seqs, [3, 4])
      const { consumer, database } = await clearingOf()
      await caughtUp({ database })
      deepEqual([consumer.status.charged, consumer.status.repeated], [6, 2])
    },
    generousMs
  )

  it(
    'parks what Kafka will never take, and what nobody could read, and the rest goes on',
    async () => {
      await ensureTopics(clientOf(settings()), topics, settings())
      await admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: ConfigResourceTypes.TOPIC,
            name: cdrTopic,
            configEntries: [{ name: 'max.message.bytes', value: '3000' }]
          }
        ]
      })
      const [first, second] = callRecords(1)
      const huge = { ...second, reason: 'x'.repeat(5_000) }
      const wrong = { ...callRecords(2)[0], duration_ms: -1 }
      const file = parkedFile()
      const many = Array.from({ length: 20 }, (_, n) => callRecords(10 + n)).flat()
      await openLog(file).append([first, huge, wrong, ...many])
      const kept = await readTopic(clientOf(settings()), cdrTopic)
      deepEqual(
        kept.map(({ value }) => (value as CdrRecord).seq).sort((a, b) => a - b),
        [first, ...many].map(({ seq }) => seq).sort((a, b) => a - b)
      )
      const parked = parkedIn(file)
      deepEqual(new Set(parked.map(({ key }) => key)), new Set([huge.call_id, wrong.call_id]))
      deepEqual(
        new Set(parked.map(({ value }) => (JSON.parse(value) as CdrRecord).seq)),
        new Set([huge.seq, wrong.seq])
      )
      ok(parked.some(({ why }) => /duration_ms/.test(why)) && parked.some(({ why }) => /larger|large/i.test(why)))
    },
    generousMs
  )

  it('a file of parked records that is full parks no more: the record stays in the journal', async () => {
    const file = parkedFile()
    const small = createParking(file, { fileBytesMax: 10 })
    await small({ key: 'a', value: 'b' }, 'first')
    await rejects(small({ key: 'a', value: 'b' }, 'second'), /holds all the parked records it may/)
    equal(parkedIn(file).length, 1)
  })

  it(
    'while Kafka is away it says so within its bound, and what it was given is there when it is back',
    async () => {
      const opened = openLog(parkedFile(), settings(), clientOf(settings()), 2_000)
      await eventually(
        () =>
          opened.append(callRecords(1)).then(
            () => true,
            () => false
          ),
        generousMs
      )
      await kafka.nodes[0]!.kill()
      await rejects(opened.append(callRecords(2)), (error: unknown) => error instanceof HubError && error.retryable)
      await kafka.nodes[0]!.start()
      await eventually(
        () =>
          opened.append(callRecords(2)).then(
            () => true,
            () => false
          ),
        generousMs
      )
      const seqs = (await readTopic(clientOf(settings()), cdrTopic)).map(({ value }) => (value as CdrRecord).seq)
      deepEqual(new Set(seqs), new Set([1, 2, 3, 4]))
    },
    2 * generousMs
  )
})

describe('TLS and SCRAM', () => {
  const secure = (mechanism: 'scram-sha-256' | 'scram-sha-512') =>
    settings({
      brokers: [...kafka.secureBrokers],
      tls: { caFile: secureCaFile },
      sasl: { mechanism, username: scramUser.username, passwordEnv: 'KAFKA_PASSWORD' }
    })
  const clientWith = (mechanism: 'scram-sha-256' | 'scram-sha-512', password: string) =>
    createKafkaClient({ config: secure(mechanism), password, clientId: 'secure', log })

  it.each(['scram-sha-256', 'scram-sha-512'] as const)(
    'records go in and come out by %s',
    async mechanism => {
      const client = clientWith(mechanism, scramUser.password)
      await openLog(parkedFile(), secure(mechanism), client).append(callRecords(1))
      equal((await readTopic(client, cdrTopic)).length, 2)
    },
    generousMs
  )

  it(
    'a wrong password is a refusal that says so, and no reason to try again at once',
    async () => {
      const client = clientWith('scram-sha-512', 'wrong')
      await rejects(openLog(parkedFile(), secure('scram-sha-512'), client).append(callRecords(1)), isRefusal)
    },
    generousMs
  )

  it(
    'an access list that forbids writing stops the writer, and when it is mended the same records go',
    async () => {
      await ensureTopics(clientOf(settings()), topics, settings())
      const denied = {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: cdrTopic,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${scramUser.username}`,
        host: '*',
        operation: AclOperationTypes.WRITE,
        permissionType: AclPermissionTypes.DENY
      }
      await admin.createAcls({ acl: [denied] })
      const opened = openLog(parkedFile(), secure('scram-sha-512'), clientWith('scram-sha-512', scramUser.password))
      // The broker learns of the list a moment after it was made.
      await eventually(() => opened.append(callRecords(2)).then(() => false, isRefusal), generousMs)
      await admin.deleteAcls({ filters: [denied] })
      await eventually(
        () =>
          opened.append(callRecords(1)).then(
            () => true,
            () => false
          ),
        generousMs
      )
      const own = (await readTopic(clientOf(settings()), cdrTopic)).filter(
        ({ key }) => key === callRecords(1)[0].call_id
      )
      equal(new Set(own.map(({ value }) => (value as CdrRecord).seq)).size, 2)
    },
    2 * generousMs
  )
})

describe('verification', () => {
  const impatient = () =>
    createKafkaClient({ config: settings(), password: null, clientId: 'look', log, retry: briefRetry })

  it(
    "EOS-04 follows each node's chain through all partitions, once, in bounded parts, and finds what was changed there",
    async () => {
      const chain = chainOf([1, 2, 3, 4, 5].flatMap(n => callRecords(n)))
      // A part of it twice, as after a lost acknowledgement.
      for (const part of [chain.slice(0, 6), chain.slice(4), chain.slice(8)]) await writerOf().write(entriesOf(part))
      const { database, consumer } = await clearingOf()
      await caughtUp({ database })
      await consumer.stop()
      let largest = 0
      const verify = () =>
        verifyLedger(
          database,
          () => undefined,
          take =>
            readWhole({
              kafka: clientOf(settings()),
              topic: cdrTopic,
              group: 'verification',
              limits: { recordsMax: 2 },
              take: records => {
                largest = Math.max(largest, records.length)
                return take(records)
              }
            })
        )
      const first = await verify()
      deepEqual(
        first.checks.map(({ name, wrong }) => [name, wrong]),
        ['balances', 'daily sums', 'entries', 'charges', 'records', 'statements'].map(name => [name, 0])
      )
      deepEqual([first.checks[4]?.looked, first.checks[4]?.skipped, largest], [14, null, 2])
      await writerOf().write(entriesOf([{ ...chain[3], called: 'tel:+4915199999' }]))
      const { checks, ok: right } = await verify()
      deepEqual([right, checks[4]?.faults], [false, [`${chain[3]?.node_id}: record 4 was changed`]])
    },
    2 * generousMs
  )

  it(
    'of an empty topic is over at once, and where Kafka is away it is an error to try again',
    async () => {
      await ensureTopics(clientOf(settings()), topics, settings())
      const read = () =>
        readWhole({
          kafka: impatient(),
          topic: cdrTopic,
          group: 'v',
          take: () => Promise.reject(new Error('no'))
        })
      // A topic that is new has no leader for a moment.
      await eventually(
        () =>
          read().then(
            missing => missing.length === 0,
            () => false
          ),
        generousMs
      )
      await kafka.nodes[0]!.kill()
      await rejects(read(), (error: unknown) => error instanceof HubError && error.retryable)
      await kafka.nodes[0]!.start()
    },
    2 * generousMs
  )
})

describe('the reader', () => {
  it(
    'makes the same ledger as one that reads a table, from a topic with all that should not be in it',
    async () => {
      const records = traffic(150)
      const writer = writerOf()
      await writer.write(entriesOf(records))
      await writer.write([{ key: 'x', value: 'no JSON {' }])
      const { database, consumer, faults } = await clearingOf()
      await caughtUp({ database })
      const compare = await postgres.fresh(migrations)
      await createConsumer({
        source: memoryLog([...records, 'no JSON {']),
        database: compare,
        book: bookOf(trafficAgreements),
        log,
        topic: cdrTopic,
        onFault: error => {
          throw error
        }
      }).catchUp()
      deepEqual(await dumpOf(database), await dumpOf(compare))
      deepEqual(faults, [])
      equal(consumer.status.partitions?.length, partitions)
    },
    generousMs
  )

  it(
    'goes on where the ledger stands, however far that is from the beginning of the topic',
    async () => {
      const writer = writerOf()
      const writeAll = async (from: number): Promise<void> => {
        for (let n = from; n < from + 40; n++) await writer.write(entriesOf(callRecords(n)))
      }
      await writeAll(1)
      const first = await clearingOf()
      await caughtUp(first)
      await first.consumer.stop()
      await writeAll(100)
      // Its first look at a partition, from the beginning, would end long before that place.
      const second = await clearingOf({ database: first.database, partitionBytesMax: 2_000 })
      await caughtUp(second)
      const { charged, repeated } = second.consumer.status
      deepEqual([charged, repeated, second.faults], [80, 0, []])
    },
    generousMs
  )

  it(
    'tells charges and rejected records to their topics, once Kafka has them the outbox is empty',
    async () => {
      const [ingress, egress] = callRecords(1)
      const second = { ...ingress, cdr_id: ingress.cdr_id.replace('019a', '019c'), seq: 9 }
      await writerOf().write(entriesOf([ingress, egress, callRecords(2, failedCall)[0], second, { no: 'record' }]))
      const { database, consumer } = await clearingOf()
      await caughtUp({ database })
      await consumer.stop()
      const [charges, rejected] = [writerOf(chargeTopic), writerOf(rejectedTopic)]
      const publisher = createPublisher({ database, charges, rejected, log, isBusy: () => false })
      publisher.start()
      await eventually(async () => (await database.query('select id from topic_outbox')).count === 0, generousMs)
      await publisher.stop()
      const told = (await readTopic(clientOf(settings()), chargeTopic)).map(({ key, value }) => {
        const { cdr_id, call_id, rule, amount } = chargeMessage.parse(value)
        equal(key, call_id)
        return [cdr_id, rule, amount]
      })
      deepEqual(
        new Set(told),
        new Set([
          [ingress.cdr_id, 'call', '0.035075'],
          [egress.cdr_id, 'call', '0.060000'],
          [callRecords(2)[0].cdr_id, 'attempt', '0.001000']
        ])
      )
      const turnedAway = (await readTopic(clientOf(settings()), rejectedTopic)).map(({ key, value }) => {
        const { reason, content_hash: hash } = rejectedMessage.parse(value)
        return [reason, reason === 'invalid' ? key === hash : key === ingress.call_id]
      })
      deepEqual(
        new Set(turnedAway),
        new Set([
          ['invalid', true],
          ['second-final', true]
        ])
      )
    },
    generousMs
  )

  it(
    'a position that Kafka no longer has stops its partition, loudly; nothing is skipped and the others go on',
    async () => {
      const writer = writerOf()
      const calls = Array.from({ length: 60 }, (_, n) => callRecords(n + 1)).flat()
      await writer.write(entriesOf(calls))
      const first = await clearingOf()
      await caughtUp(first)
      await first.consumer.stop()
      const victim = partitionOf(calls[0]!.call_id, partitions)
      const later = Array.from({ length: 60 }, (_, n) => callRecords(100 + n)).flat()
      await writer.write(entriesOf(later))
      const ends = await endsOf(clientOf(settings()), cdrTopic)
      const before = await positionOf(first.database, cdrTopic, victim)
      // kafkajs has to have looked for the leaders itself.
      await admin.fetchTopicOffsets(cdrTopic)
      await admin.deleteTopicRecords({
        topic: cdrTopic,
        partitions: [{ partition: victim, offset: String(ends.get(victim)!) }]
      })
      await writer.write(entriesOf(Array.from({ length: 60 }, (_, n) => callRecords(200 + n)).flat()))
      const second = await clearingOf({ database: first.database, watchMs: 200 })
      await eventually(() => second.consumer.status.jumped.length > 0, generousMs)
      deepEqual(second.consumer.status.jumped, [victim])
      match(second.faults.join(), new RegExp(`partition ${victim} of .* stands still, nothing is skipped`))
      const now = await endsOf(clientOf(settings()), cdrTopic)
      const others = [...now].filter(([partition]) => partition !== victim)
      await eventually(
        async () =>
          (
            await Promise.all(others.map(async ([p, end]) => (await positionOf(first.database, cdrTopic, p)) === end))
          ).every(Boolean),
        generousMs
      )
      equal(await positionOf(first.database, cdrTopic, victim), before)
      // A person who has looked sets the position: it goes on by itself.
      await first.database.query('update clearing_position set position = $2 where topic = $1 and shard = $3', [
        cdrTopic,
        ends.get(victim),
        victim
      ])
      await caughtUp(first)
      deepEqual(second.consumer.status.jumped, [])
    },
    2 * generousMs
  )

  it(
    'while the database is away nothing is lost and nothing twice',
    async () => {
      const writer = writerOf()
      await writer.write(entriesOf(Array.from({ length: 50 }, (_, n) => callRecords(n + 1)).flat()))
      const cleared = await clearingOf()
      await caughtUp(cleared)
      await postgres.away()
      await writer.write(entriesOf(Array.from({ length: 50 }, (_, n) => callRecords(100 + n)).flat()))
      await postgres.back()
      await caughtUp(cleared)
      const { rows } = await cleared.database.query('select count(*) as n from charge')
      deepEqual(rows, [{ n: 200n }])
      deepEqual(cleared.faults, [])
    },
    2 * generousMs
  )
})
