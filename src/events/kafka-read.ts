// Reads a topic from its first record to the last there was at the beginning, once, by positions: for looking, not for
// clearing. What it reads is not marked as read for anybody.

import { randomUUID } from 'node:crypto'
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { HubError } from '../errors.ts'
import { briefRetry, kafkaError } from './kafka-client.ts'
import { sliceOf } from './kafka-slice.ts'

export const readLimits = {
  /** Records that are handed over together. */
  recordsMax: 2_000,
  /** Of one partition at a time: what is in memory. */
  partitionBytesMax: 1_048_576,
  /** Without a record for so long nothing more will come. */
  stallMs: 60_000
} as const
export type ReadLimits = { readonly [Name in keyof typeof readLimits]: number }

export interface ReadOptions {
  /** Made with `briefRetry`. */
  readonly kafka: Kafka
  readonly topic: string
  /** What the name of the reader's own group begins with; access lists may ask for it. */
  readonly group: string
  /** Records of one partition in order; the next are read when it is done with them. */
  readonly take: (records: readonly unknown[]) => Promise<void>
  readonly limits?: Partial<ReadLimits>
}

/** Returns, in words, where records are missing within the topic. Throws HUB_EVENT_LOG. */
export async function readTopic(options: ReadOptions): Promise<readonly string[]> {
  const { kafka, topic, group } = options
  const bounds = { ...readLimits, ...options.limits }
  const ends = await endsOf(kafka.admin({ retry: briefRetry }), topic)
  const reading = new Reading(options, bounds, ends)
  if (reading.isDone) return []
  const consumer = kafka.consumer({
    groupId: `${group}-look-${randomUUID()}`,
    maxBytesPerPartition: bounds.partitionBytesMax,
    maxBytes: bounds.partitionBytesMax,
    retry: briefRetry
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await reading.run(consumer)
  } catch (error) {
    throw kafkaError(`reading ${topic}`, error)
  } finally {
    await consumer.disconnect().catch(() => undefined)
  }
  return reading.missing
}

interface End {
  readonly low: bigint
  readonly high: bigint
}

async function endsOf(admin: Admin, topic: string): Promise<ReadonlyMap<number, End>> {
  try {
    await admin.connect()
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]))
  } catch (error) {
    throw kafkaError(`reading ${topic}`, error)
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

class Reading {
  readonly missing: string[] = []
  readonly #options: ReadOptions
  readonly #limits: ReadLimits
  readonly #places: Map<number, bigint>
  readonly #ends: ReadonlyMap<number, End>
  #settle: { done(): void; failed(error: unknown): void } | null = null
  #moved = performance.now()

  constructor(options: ReadOptions, limits: ReadLimits, ends: ReadonlyMap<number, End>) {
    this.#options = options
    this.#limits = limits
    this.#ends = ends
    this.#places = new Map([...ends].filter(([, { low, high }]) => low < high).map(([at, { low }]) => [at, low]))
  }

  get isDone(): boolean {
    return this.#places.size === 0
  }

  async run(consumer: Consumer): Promise<void> {
    const { stallMs } = this.#limits
    const ended = new Promise<void>((done, failed) => (this.#settle = { done, failed }))
    const watch = setInterval(() => {
      if (performance.now() - this.#moved < stallMs) return
      this.#settle?.failed(new HubError('HUB_EVENT_LOG', `nothing came for ${stallMs} ms`, { retryable: true }))
    }, stallMs / 10)
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      // Else kafkajs tries again by itself, for as long as the watch allows.
      if (!restart) this.#settle?.failed(error)
    })
    try {
      const eachBatch = (payload: EachBatchPayload): Promise<void> => this.#take(payload)
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch })
      await ended
    } finally {
      clearInterval(watch)
    }
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload
    const { partition } = batch
    const high = this.#ends.get(partition)?.high ?? 0n
    let place = this.#places.get(partition)
    try {
      while (place !== undefined && payload.isRunning() && !payload.isStale()) {
        const left = high - place
        const slice = sliceOf(
          batch,
          place,
          Number(left < BigInt(this.#limits.recordsMax) ? left : this.#limits.recordsMax)
        )
        if (slice === null) break
        if (slice === 'gap') place = this.#jump(partition, place, batch.messages)
        else {
          await this.#options.take(slice.records)
          place = slice.position
        }
        this.#moved = performance.now()
        this.#places.set(partition, place)
        payload.resolveOffset(String(place - 1n))
        await payload.heartbeat()
        if (place >= high) place = this.#finish(partition, payload)
      }
    } catch (error) {
      // Not one of Kafka: trying again would not mend it.
      payload.pause()
      this.#settle?.failed(error)
    }
  }

  /** Over what is not there. */
  #jump(partition: number, place: bigint, messages: EachBatchPayload['batch']['messages']): bigint {
    const next = messages.map(({ offset }) => BigInt(offset)).find(offset => offset > place) ?? place + 1n
    // Retention may have taken the first of them since the beginning.
    if (place !== this.#ends.get(partition)?.low) this.missing.push(`partition ${partition}: ${place} to ${next - 1n}`)
    return next
  }

  #finish(partition: number, payload: EachBatchPayload): undefined {
    payload.pause()
    this.#places.delete(partition)
    if (this.isDone) this.#settle?.done()
  }
}
