// Writes one topic in the only way that was seen to lose nothing: an idempotent producer for each partition, one open
// send on it, the partition named; after a rejection the producer is given up and a new one sends the same again.

import { setTimeout as wait } from 'node:timers/promises'
import type { Kafka, Producer } from 'kafkajs'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { faultOf, kafkaError, patientRetry } from './kafka-client.ts'

export const writerLimits = {
  /** Of one request to Kafka; well below the topic's own maximum of a million. */
  requestBytesMax: 524_288,
  requestRecordsMax: 1_000,
  /** How long Kafka waits for its copies. */
  ackMs: 4_000,
  /** Of one `write`, with all that is tried again in it. */
  writeMs: 10_000,
  /** Before a producer that was given up is followed by the next. */
  retryMs: 250,
  /** Of saying goodbye. */
  closeMs: 5_000
} as const
export type WriterLimits = { readonly [Name in keyof typeof writerLimits]: number }

export interface Entry {
  readonly key: string
  readonly value: string
}

export interface TopicWriter {
  /**
   * Resolves once every entry is kept, or parked because it never can be. Entries of one key keep their order. Throws
   * HUB_EVENT_LOG, retryable unless Kafka refuses us: some may have been kept, write them all again.
   */
  write(entries: readonly Entry[]): Promise<void>
  close(): Promise<void>
}

export interface WriterOptions {
  readonly kafka: Kafka
  readonly topic: string
  readonly partitions: number
  readonly log: Logger
  /** Before the first write; again until it succeeds. */
  readonly prepare: () => Promise<void>
  /** Puts aside what can never be written, durably. */
  readonly park: (entry: Entry, why: string) => Promise<void>
  readonly limits?: Partial<WriterLimits>
}

/** Connects when there is something to write. */
export function createTopicWriter(options: WriterOptions): TopicWriter {
  const { topic, partitions, prepare } = options
  const limits: WriterLimits = { ...writerLimits, ...options.limits }
  const lanes = Array.from({ length: partitions }, (_, partition) => new Lane(options, limits, partition))
  let prepared = false
  let last: Promise<unknown> = Promise.resolve()

  async function write(entries: readonly Entry[]): Promise<void> {
    const until = performance.now() + limits.writeMs
    if (!prepared) await within(prepare(), until, topic)
    prepared = true
    const shares = new Map<number, Entry[]>()
    for (const entry of entries) {
      const partition = partitionOf(entry.key, partitions)
      const share = shares.get(partition)
      if (share === undefined) shares.set(partition, [entry])
      else share.push(entry)
    }
    const done = await Promise.allSettled(lanes.map(lane => lane.write(shares.get(lane.partition) ?? [], until)))
    for (const result of done) if (result.status === 'rejected') throw kafkaError(topic, result.reason)
  }

  return {
    write: entries => {
      // One after the other: a lane has one open send.
      const writing = last.then(() => write(entries))
      last = writing.catch(() => undefined)
      return writing
    },
    async close() {
      await Promise.race([last, wait(limits.closeMs, undefined, { ref: false })])
      await Promise.all(lanes.map(lane => lane.drop()))
    }
  }
}

/** FNV-1a: the same key always comes to the same partition of a topic. */
export function partitionOf(key: string, partitions: number): number {
  let hash = 0x81_1c_9d_c5
  for (let n = 0; n < key.length; n++) hash = Math.imul(hash ^ key.charCodeAt(n), 0x01_00_01_93)
  // The low bits of FNV are weak: fold the high ones in.
  return ((hash ^ (hash >>> 15)) >>> 0) % partitions
}

class Lane {
  readonly #options: WriterOptions
  readonly #limits: WriterLimits
  readonly partition: number
  #producer: Producer | null = null

  constructor(options: WriterOptions, limits: WriterLimits, partition: number) {
    this.#options = options
    this.#limits = limits
    this.partition = partition
  }

  async write(entries: readonly Entry[], until: number): Promise<void> {
    for (const part of this.#parts(entries)) await this.#sendSplit(part, until)
  }

  /** Gives the producer up; whatever it still does is repeated by the next one. */
  async drop(): Promise<void> {
    const producer = this.#producer
    this.#producer = null
    if (producer === null) return
    const gone = producer.disconnect().catch(() => undefined)
    await Promise.race([gone, wait(this.#limits.closeMs, undefined, { ref: false })])
  }

  *#parts(entries: readonly Entry[]): Iterable<readonly Entry[]> {
    let part: Entry[] = []
    let bytes = 0
    for (const entry of entries) {
      const size = entry.value.length + entry.key.length
      const isFull = part.length >= this.#limits.requestRecordsMax || bytes + size > this.#limits.requestBytesMax
      if (isFull && part.length > 0) {
        yield part
        part = []
        bytes = 0
      }
      part.push(entry)
      bytes += size
    }
    if (part.length > 0) yield part
  }

  /** Halves what Kafka will never take, down to the records that are to blame. */
  async #sendSplit(entries: readonly Entry[], until: number): Promise<void> {
    const fault = await this.#send(entries, until)
    if (fault === null) return
    const [only] = entries
    if (entries.length === 1 && only !== undefined) {
      const { topic, log, park } = this.#options
      await park(only, fault)
      log.error(
        { topic, alarm: 'record-parked', call: only.key, reason: fault },
        'a record that Kafka will never take was parked'
      )
      return
    }
    const half = Math.ceil(entries.length / 2)
    await this.#sendSplit(entries.slice(0, half), until)
    await this.#sendSplit(entries.slice(half), until)
  }

  /** Null: kept. A text: why Kafka will never take all of them together. */
  async #send(entries: readonly Entry[], until: number): Promise<string | null> {
    const { topic, log } = this.#options
    const partition = this.partition
    const messages = entries.map(({ key, value }) => ({ key, value, partition }))
    for (;;) {
      try {
        const producer = await within(this.#connected(), until, topic)
        await within(producer.send({ topic, acks: -1, timeout: this.#limits.ackMs, messages }), until, topic)
        return null
      } catch (error) {
        // After any rejection its numbering is in doubt, and so is the next send on it.
        void this.drop()
        const fault = faultOf(error)
        if (fault === 'record') return messageOf(error)
        if (fault === 'refused' || performance.now() + this.#limits.retryMs >= until) throw error
        log.debug({ topic, partition, reason: messageOf(error) }, 'kafka: sending again by a new producer')
        await wait(this.#limits.retryMs)
      }
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#producer !== null) return this.#producer
    const producer = this.#options.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry: patientRetry,
      createPartitioner: () => () => this.partition
    })
    this.#producer = producer
    await producer.connect()
    return producer
  }
}

async function within<T>(work: Promise<T>, until: number, topic: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new HubError('HUB_EVENT_LOG', `Kafka did not answer (${topic})`, { retryable: true })
    timer = setTimeout(() => reject(error), Math.max(until - performance.now(), 0))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    // Whoever loses the race must not end the process.
    work.catch(() => undefined)
  }
}
