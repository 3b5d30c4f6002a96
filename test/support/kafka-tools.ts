// What tests of Kafka have in common: a configuration, a clearing process, a look into topics, connections that break.

import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { ISocketFactory, Kafka } from 'kafkajs'
import { stringify } from 'yaml'
import { kafka as kafkaSchema } from '../../src/config/events.ts'
import type { KafkaConfig } from '../../src/config/events.ts'
import { createKafkaClient, patientRetry } from '../../src/events/kafka-client.ts'
import { createLog } from '../../src/log.ts'
import { startProgram } from './child.ts'
import type { Child } from './child.ts'

const quiet = createLog('silent')
const isthmus = resolve(import.meta.dirname, '../../bin/isthmus')

/** For `events.kafka`: brokers without copies unless there are three. */
export const kafkaConfig = (brokers: readonly string[], over: Partial<KafkaConfig> = {}): KafkaConfig =>
  kafkaSchema.parse({
    brokers,
    replicationFactor: brokers.length >= 3 ? 3 : 1,
    minInsync: brokers.length >= 3 ? 2 : 1,
    ...over
  })

export const clientOf = (config: KafkaConfig, socketFactory?: ISocketFactory): Kafka =>
  createKafkaClient({
    config,
    password: null,
    clientId: 'test',
    log: quiet,
    ...(socketFactory === undefined ? {} : { socketFactory })
  })

/** `isthmus clearing` in a process of its own; `name`: of its configuration in the folder. */
export async function startClearingProcess(
  folder: string,
  { config, env, name = 'clearing' }: { config: object; env: Readonly<Record<string, string>>; name?: string }
): Promise<Child> {
  const file = join(folder, `${name}.yaml`)
  await writeFile(file, stringify(config))
  return startProgram(isthmus, ['clearing', '--config', file, '--json', '--every', '1'], {
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env }
  })
}

/** How many records each partition has had. */
export async function endsOf(kafka: Kafka, topic: string): Promise<ReadonlyMap<number, bigint>> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.map(({ partition, high }) => [partition, BigInt(high)]))
  } finally {
    await admin.disconnect()
  }
}

export interface TopicMessage {
  readonly partition: number
  readonly key: string | null
  readonly value: unknown
}

/** Everything that is in a topic now, by a group of its own. */
export async function readTopic(kafka: Kafka, topic: string): Promise<readonly TopicMessage[]> {
  const ends = await endsOf(kafka, topic)
  const left = new Map([...ends].filter(([, end]) => end > 0n))
  const messages: TopicMessage[] = []
  if (left.size === 0) return messages
  const consumer = kafka.consumer({
    groupId: `reader-${crypto.randomUUID()}`,
    maxWaitTimeInMs: 100,
    retry: patientRetry
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((done, failed) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      // A broker that has just begun may still load the group: kafkajs tries again by itself.
      if (!payload.restart) failed(payload.error)
    })
    void consumer.run({
      autoCommit: false,
      eachMessage: ({ partition, message }) => {
        messages.push({
          partition,
          key: message.key?.toString() ?? null,
          value: JSON.parse(message.value?.toString() ?? 'null')
        })
        if (BigInt(message.offset) + 1n >= (left.get(partition) ?? 0n)) left.delete(partition)
        if (left.size === 0) done()
        return Promise.resolve()
      }
    })
  })
  await consumer.disconnect()
  return messages
}

export interface BreakableSockets {
  readonly factory: ISocketFactory
  /** How many connections were cut so far. */
  readonly cuts: number
  /** Cuts one, half-way through what it is sending next. */
  cut(which: (count: number) => number): void
}

/** Connections of a client that can be cut in the middle of a request. */
export function breakableSockets(): BreakableSockets {
  const open = new Set<Socket>()
  let cuts = 0
  return {
    get cuts() {
      return cuts
    },
    factory: ({ host, port, onConnect }) => {
      const socket = connect({ host, port }, onConnect)
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      return socket
    },
    cut(which) {
      const socket = [...open][which(Math.max(open.size, 1))]
      if (socket === undefined) return
      const write = socket.write.bind(socket)
      socket.write = (chunk: Uint8Array | string): boolean => {
        cuts += 1
        const half = write(chunk.slice(0, Math.ceil(chunk.length / 2)))
        socket.destroy()
        return half
      }
    }
  }
}
