// Looks now and then at which records Kafka has of a topic: how far a reader is behind, and whether its place exists.

import type { Admin, Kafka } from 'kafkajs'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'

export type Ends = ReadonlyMap<number, { readonly low: bigint; readonly high: bigint }>

export interface WatchOptions {
  readonly kafka: Kafka
  readonly topic: string
  readonly log: Logger
  readonly everyMs: number
  /** Returns how many records wait. */
  readonly look: (ends: Ends) => Promise<bigint>
}

export interface Watch {
  /** As of the last look. */
  readonly behind: bigint | null
  start(): void
  stop(): Promise<void>
}

/** A look that fails is made again the next time: Kafka is away then, and the reader says so. */
export function createWatch({ kafka, topic, log, everyMs, look }: WatchOptions): Watch {
  let behind: bigint | null = null
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()
  let stopped = false
  let admin: Admin | null = null

  async function once(): Promise<void> {
    try {
      if (admin === null) {
        admin = kafka.admin({ retry: { retries: 2 } })
        await admin.connect()
      }
      const offsets = await admin.fetchTopicOffsets(topic)
      const ends = new Map(
        offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }] as const)
      )
      behind = await look(ends)
    } catch (error) {
      log.debug({ topic, reason: messageOf(error) }, 'cannot see how far clearing is behind')
      const gone = admin
      admin = null
      await gone?.disconnect().catch(() => undefined)
    }
  }
  function later(): void {
    if (stopped) return
    timer = setTimeout(() => {
      looking = once().then(later)
    }, everyMs)
  }

  return {
    get behind() {
      return behind
    },
    start: later,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await looking
      await admin?.disconnect().catch(() => undefined)
    }
  }
}
