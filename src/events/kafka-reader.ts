// Reads the partitions that a group gives to this process, from where the ledger stands and nowhere else: the group
// only shares the work out, its own positions are not used.

import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { faultOf, patientRetry } from './kafka-client.ts'
import { sliceOf } from './kafka-slice.ts'
import { createWatch } from './kafka-watch.ts'
import type { Watch } from './kafka-watch.ts'

export const readerLimits = {
  /** Records handed over at once: large batches cost the ledger least. */
  recordsMax: 8_000,
  /** Of one partition in one answer of Kafka: about as many records. */
  partitionBytesMax: 8_388_608,
  /** Of one answer, and the next is asked for when it is worked off: what a broker's records take of our memory. */
  fetchBytesMax: 12_582_912,
  /** Kafka gathers so many bytes, or so long: under load that makes batches. */
  gatherBytes: 65_536,
  gatherMs: 200,
  /** Partitions worked on at once. */
  partitionsAtOnce: 2,
  /** A member that says nothing for so long is taken for dead. */
  sessionMs: 10_000,
  rebalanceMs: 30_000,
  heartbeatMs: 1_500,
  /** Between two looks at how far the ledger is behind. */
  watchMs: 5_000,
  /** Something waits, nothing moves, nothing was said: the consumer is made anew. */
  stallMs: 60_000,
  /** After a failure, doubled each time up to the maximum. */
  retryMs: 500,
  retryMsMax: 30_000,
  /** Records that came from the wrong place, after that many tries to go to the right one: a jump. */
  seeksMax: 3,
  stopMs: 15_000
} as const
export type ReaderLimits = { readonly [Name in keyof typeof readerLimits]: number }

/** Consecutive records of one partition. */
export interface Slice {
  readonly partition: number
  /** How many records of the partition came before these. */
  readonly after: bigint
  readonly position: bigint
  /** Parsed JSON; what is no JSON comes as text. */
  readonly records: readonly unknown[]
}

export interface ReaderOptions {
  readonly kafka: Kafka
  readonly topic: string
  readonly group: string
  readonly log: Logger
  /** Where to read on in a partition. */
  readonly positionOf: (partition: number) => Promise<bigint>
  /** Takes records for good and returns where to read on, which is elsewhere if somebody else was faster. */
  readonly take: (slice: Slice) => Promise<bigint>
  /** What trying again at once will not mend; a partition that stands still because its position is gone. */
  readonly onFault: (error: unknown) => void
  readonly limits?: Partial<ReaderLimits>
}

export interface ReaderStatus {
  /** Partitions of this process; null while it is in no group. */
  readonly partitions: readonly number[] | null
  /** Records that wait in them, as of the last look; null before it. */
  readonly behind: bigint | null
  /** Partitions that stand still until somebody has looked. */
  readonly jumped: readonly number[]
  /** How many times the consumer was made anew. */
  readonly restarts: number
}

export class KafkaReader {
  readonly #options: ReaderOptions
  readonly #limits: ReaderLimits
  readonly #places = new Map<number, bigint>()
  readonly #misplaced = new Map<number, number>()
  readonly #jumped = new Set<number>()
  readonly #missing = new Map<number, number>()
  readonly #resuming = new Set<NodeJS.Timeout>()
  readonly #failures = new Map<number, number>()
  readonly #watch: Watch
  #assigned: readonly number[] | null = null
  #consumer: Consumer | null = null
  #lastMoved = performance.now()
  #taking = 0
  #restarts = 0
  #stopping = false
  #endRound: (why: unknown) => void = () => undefined
  #running: Promise<void> | null = null

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#limits = { ...readerLimits, ...options.limits }
    const { kafka, topic, log } = options
    this.#watch = createWatch({ kafka, topic, log, everyMs: this.#limits.watchMs, look: ends => this.#look(ends) })
  }

  get status(): ReaderStatus {
    const { behind } = this.#watch
    return {
      partitions: this.#assigned,
      behind,
      jumped: [...this.#jumped].sort((a, b) => a - b),
      restarts: this.#restarts
    }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves once what was being taken is taken, and the group knows that this process has left. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#endRound('stopped')
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, topic, onFault } = this.#options
    let failures = 0
    this.#watch.start()
    while (!this.#stopping) {
      const began = performance.now()
      const why = await this.#round()
      if (this.#stopping) break
      this.#restarts += 1
      if (performance.now() - began > this.#limits.stallMs) failures = 0
      const waitMs = Math.min(this.#limits.retryMs * 2 ** failures, this.#limits.retryMsMax)
      failures = Math.min(failures + 1, 30)
      if (faultOf(why) === 'refused') {
        onFault(new HubError('HUB_EVENT_LOG', `Kafka refuses us: ${messageOf(why)}`, { cause: why, refused: true }))
      }
      log.warn({ topic, waitMs, reason: messageOf(why) }, 'clearing joins its group again')
      await this.#pause(waitMs)
    }
    await this.#watch.stop()
    for (const timer of this.#resuming) clearTimeout(timer)
  }

  /** One consumer from its birth to its end; returns why it ended. */
  async #round(): Promise<unknown> {
    const { kafka, topic, group } = this.#options
    const limits = this.#limits
    const consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: limits.sessionMs,
      rebalanceTimeout: limits.rebalanceMs,
      heartbeatInterval: limits.heartbeatMs,
      maxBytesPerPartition: limits.partitionBytesMax,
      maxBytes: limits.fetchBytesMax,
      minBytes: limits.gatherBytes,
      maxWaitTimeInMs: limits.gatherMs,
      allowAutoTopicCreation: false,
      // A crash is answered here: the group is joined again by a consumer that knows nothing of the old one.
      retry: { ...patientRetry, retries: 10, restartOnFailure: () => Promise.resolve(false) }
    })
    this.#consumer = consumer
    const ended = new Promise<unknown>(resolve => {
      this.#endRound = resolve
      consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error))
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.#joined(consumer, payload.memberAssignment[topic] ?? [])
    })
    try {
      await Promise.race([consumer.connect(), ended])
      // From the beginning: a position that Kafka no longer has is then seen to be one.
      await consumer.subscribe({ topic, fromBeginning: true })
      this.#lastMoved = performance.now()
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: limits.partitionsAtOnce,
        eachBatch: batch => this.#take(consumer, batch)
      })
      return await ended
    } catch (error) {
      return error
    } finally {
      this.#assigned = null
      this.#consumer = null
      await Promise.race([consumer.disconnect().catch(() => undefined), quietly(limits.stopMs)])
    }
  }

  #joined(consumer: Consumer, partitions: readonly number[]): void {
    const { log, topic } = this.#options
    this.#assigned = [...partitions].sort((a, b) => a - b)
    // Somebody else may have gone on with them meanwhile.
    this.#places.clear()
    this.#misplaced.clear()
    this.#lastMoved = performance.now()
    log.info({ topic, partitions: this.#assigned }, 'clearing has these partitions')
    for (const partition of partitions) void this.#place(consumer, partition)
  }

  /** To where the ledger stands. Where that cannot be asked now, it is when the first records come. */
  async #place(consumer: Consumer, partition: number): Promise<void> {
    const { topic, positionOf, log } = this.#options
    try {
      const at = await positionOf(partition)
      if (this.#consumer === consumer) consumer.seek({ topic, partition, offset: String(at) })
    } catch (error) {
      log.debug({ topic, partition, reason: messageOf(error) }, 'the place of a partition is not known yet')
    }
  }

  async #take(consumer: Consumer, payload: EachBatchPayload): Promise<void> {
    const { partition } = payload.batch
    const { topic } = this.#options
    if (this.#jumped.has(partition)) return void payload.pause()
    const beating = setInterval(() => void payload.heartbeat().catch(() => undefined), this.#limits.heartbeatMs)
    this.#taking += 1
    try {
      const at = this.#places.get(partition) ?? (await this.#options.positionOf(partition))
      const next = await this.#takeFrom(at, payload)
      this.#failures.delete(partition)
      if (next === null) return
      this.#places.set(partition, next)
      // Whatever was not taken to its very end is fetched again, from the right place.
      if (next !== BigInt(payload.batch.lastOffset()) + 1n) {
        consumer.seek({ topic, partition, offset: String(next) })
      }
    } catch (error) {
      this.#failed(consumer, payload, error)
    } finally {
      clearInterval(beating)
      this.#taking -= 1
    }
  }

  /** Returns where to read on; null: the partition stands still. */
  async #takeFrom(at: bigint, payload: EachBatchPayload): Promise<bigint | null> {
    const { batch } = payload
    const { partition } = batch
    const [first, high] = [BigInt(batch.firstOffset() ?? '0'), BigInt(batch.highWatermark)]
    if (first > at || high < at) {
      const tries = (this.#misplaced.get(partition) ?? 0) + 1
      this.#misplaced.set(partition, tries)
      if (tries <= this.#limits.seeksMax) return at
      this.#jump(partition, `the ledger stands at ${at}, Kafka has records from ${first} to ${high}`)
      payload.pause()
      return null
    }
    let place = at
    while (payload.isRunning() && !payload.isStale()) {
      const slice = sliceOf(batch, place, this.#limits.recordsMax)
      if (slice === null) break
      if (slice === 'gap') {
        this.#jump(partition, `records are missing in Kafka after ${place}`)
        payload.pause()
        return null
      }
      this.#misplaced.delete(partition)
      const next = await this.#options.take(slice)
      this.#lastMoved = performance.now()
      if (next !== slice.position) return next
      place = next
      payload.resolveOffset(String(next - 1n))
    }
    return place
  }

  #failed(consumer: Consumer, payload: EachBatchPayload, error: unknown): void {
    const { partition } = payload.batch
    const { log, topic, onFault } = this.#options
    this.#places.delete(partition)
    const failures = this.#failures.get(partition) ?? 0
    this.#failures.set(partition, Math.min(failures + 1, 30))
    const mendable = error instanceof HubError && error.retryable
    const { retryMs, retryMsMax } = this.#limits
    const waitMs = mendable ? Math.min(retryMs * 2 ** failures, retryMsMax) : retryMsMax
    if (mendable)
      log.warn({ topic, partition, waitMs, reason: messageOf(error) }, 'clearing cannot go on, trying again')
    else onFault(error)
    const resume = payload.pause()
    consumer.seek({ topic, partition, offset: payload.batch.firstOffset() ?? '0' })
    const timer = setTimeout(() => {
      this.#resuming.delete(timer)
      if (this.#consumer === consumer) resume()
    }, waitMs)
    this.#resuming.add(timer)
  }

  #jump(partition: number, why: string): void {
    if (this.#jumped.has(partition)) return
    this.#jumped.add(partition)
    // Whoever mends it sets another place.
    this.#places.delete(partition)
    this.#misplaced.delete(partition)
    const { topic, onFault } = this.#options
    const what = `partition ${partition} of ${topic} stands still, nothing is skipped: ${why}`
    onFault(new HubError('HUB_EVENT_LOG', what, { topic, partition }))
  }

  /** What Kafka has of each partition, against where the ledger stands. Returns how many records wait. */
  async #look(ends: ReadonlyMap<number, { readonly low: bigint; readonly high: bigint }>): Promise<bigint> {
    let behind = 0n
    for (const partition of this.#assigned ?? []) {
      const end = ends.get(partition)
      if (end === undefined) continue
      const at = await this.#options.positionOf(partition)
      if (at < end.low || at > end.high) this.#missed(partition, at, end)
      else {
        behind += end.high - at
        this.#missing.delete(partition)
        if (this.#jumped.delete(partition)) this.#resume(partition, at)
      }
    }
    const idleMs = performance.now() - this.#lastMoved
    const waitsForRetry = this.#resuming.size > 0
    if (
      behind > 0n &&
      idleMs > this.#limits.stallMs &&
      this.#taking === 0 &&
      !waitsForRetry &&
      this.#jumped.size === 0
    ) {
      this.#endRound(new Error(`${behind} records wait and nothing was read for ${Math.round(idleMs)} ms`))
    }
    return behind
  }

  /** A leader that is new to its office may know of fewer records for a moment: one look is none. */
  #missed(partition: number, at: bigint, { low, high }: { readonly low: bigint; readonly high: bigint }): void {
    const looks = (this.#missing.get(partition) ?? 0) + 1
    this.#missing.set(partition, looks)
    if (looks >= this.#limits.seeksMax) {
      this.#jump(partition, `the ledger stands at ${at}, Kafka has records from ${low} to ${high}`)
    }
  }

  #resume(partition: number, at: bigint): void {
    const { topic } = this.#options
    this.#consumer?.seek({ topic, partition, offset: String(at) })
    this.#consumer?.resume([{ topic, partitions: [partition] }])
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#endRound = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#stopping) this.#endRound('stopped')
    })
  }
}

const quietly = (ms: number): Promise<void> =>
  new Promise(resolve => {
    setTimeout(resolve, ms).unref()
  })
