// Exactly once under everything that can go wrong together (EOS-02): three brokers, three clearing processes, records
// with duplicates, connections cut in mid-send, kill -9 of brokers and workers, rebalances, and everything again three
// times in random order. The ledger must be the one that a single quiet reader makes.

import { deepEqual } from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { createConsumer } from '../../src/clearing/consumer.ts'
import { migrations } from '../../src/compose.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { ensureTopics } from '../../src/events/kafka-topics.ts'
import { createTopicWriter } from '../../src/events/kafka-writer.ts'
import type { Entry } from '../../src/events/kafka-writer.ts'
import { topics } from '../../src/events/kafka.ts'
import { createLog } from '../../src/log.ts'
import type { Database } from '../../src/store/database.ts'
import type { Child } from './child.ts'
import { balancesOf, bookOf, clearingConfig, digestOf, memoryLog } from './clearing.ts'
import { traffic, trafficAgreements } from './clearing-traffic.ts'
import { openTempDir } from './database.ts'
import type { TestPostgres } from './database.ts'
import type { Kafka } from './kafka.ts'
import { breakableSockets, clientOf, endsOf, kafkaConfig, startClearingProcess } from './kafka-tools.ts'
import type { BreakableSockets } from './kafka-tools.ts'
import { mulberry32 } from './random.ts'

export interface Storm {
  readonly kafka: Kafka
  readonly postgres: TestPostgres
  /** Two finals each, and more. */
  readonly calls: number
  readonly seed: number
  readonly say?: (text: string) => void
  /** For everything to arrive in the end. */
  readonly quietMs?: number
}

export interface StormFigures {
  readonly sent: number
  readonly brokersKilled: number
  readonly workersKilled: number
  readonly workersStopped: number
  readonly cuts: number
  readonly seconds: number
}

const partitions = 6
const workersMax = 3
const chunk = 2_000
/** Of each broker: a start takes as long as many records. */
const killsOfEach = 2
/** A start beside three brokers and a database on two cores. */
const readyMs = 240_000
const again = 3

/** Throws where the ledger is not identical. */
export async function weather(storm: Storm): Promise<StormFigures> {
  const { kafka, postgres, calls, seed, say = () => undefined } = storm
  const began = performance.now()
  const draw = mulberry32(seed)
  const records = traffic(calls)
  const expected = await quietly(postgres, records)
  say(`${records.length} records; a quiet reader has made the ledger to compare with`)
  const folder = openTempDir('isthmus-storm-')
  const url = await postgres.freshUrl()
  const settings = kafkaConfig(kafka.brokers, { partitions })
  const sockets = breakableSockets()
  const workers = new Workers(folder, url, settings)
  const writing = { done: false }
  const trouble = makeTrouble({ kafka, workers, sockets, draw, writing })
  try {
    const sending = send(clientOf(settings, sockets.factory), settings, inflate(records, draw)).finally(() => {
      writing.done = true
    })
    const [sent, killed] = await Promise.all([sending, trouble])
    say(`${sent} sent, ${sockets.cuts} connections cut, ${killed} brokers and ${workers.killed} workers killed`)
    const database = await settle(postgres, url, clientOf(settings), storm.quietMs ?? 300_000, workers)
    deepEqual(await digestOf(database), expected, `SEED=${seed}`)
    const { stand, follow, sums } = await balancesOf(database)
    deepEqual(stand, follow)
    deepEqual(
      (sums as readonly { sum: string }[]).map(({ sum }) => sum),
      sums.map(() => '0')
    )
    deepEqual(
      await workers.drain(),
      Array.from({ length: workersMax }, () => 0)
    )
    const figures = { sent, brokersKilled: killed, workersKilled: workers.killed, workersStopped: workers.stopped }
    return { ...figures, cuts: sockets.cuts, seconds: Math.round((performance.now() - began) / 1_000) }
  } finally {
    writing.done = true
    await trouble.catch(() => undefined)
    await workers.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function quietly(postgres: TestPostgres, records: readonly unknown[]): Promise<Readonly<Record<string, string>>> {
  const database = await postgres.fresh(migrations)
  const consumer = createConsumer({
    source: memoryLog(records),
    database,
    book: bookOf(trafficAgreements),
    log: createLog('silent'),
    topic: cdrTopic,
    limits: { batchMax: 2_000 },
    onFault: error => {
      throw error
    }
  })
  await consumer.catchUp()
  return digestOf(database)
}

/** Two in a hundred twice, and then everything again, shuffled, three times. */
function* inflate(records: readonly unknown[], draw: (n: number) => number): Iterable<unknown> {
  for (const [n, record] of records.entries()) {
    yield record
    if (draw(100) < 2) yield records[Math.max(n - draw(1_000), 0)]
  }
  for (let round = 0; round < again; round++) {
    const order = records.map((_, n) => n)
    for (let n = order.length - 1; n > 0; n--) {
      const other = draw(n + 1)
      ;[order[n], order[other]] = [order[other] ?? 0, order[n] ?? 0]
    }
    for (const n of order) yield records[n]
  }
}

const entryOf = (record: unknown): Entry => {
  const key = (record as { readonly call_id?: string }).call_id ?? 'no record'
  return { key, value: JSON.stringify(record) }
}

/** As the relay does: in order, and again until it is certain. */
async function send(
  kafka: ReturnType<typeof clientOf>,
  settings: ReturnType<typeof kafkaConfig>,
  records: Iterable<unknown>
): Promise<number> {
  const writer = createTopicWriter({
    kafka,
    topic: cdrTopic,
    partitions,
    log: createLog('silent'),
    prepare: () => ensureTopics(kafka, topics, settings),
    park: entry => Promise.reject(new Error(`parked ${entry.value}`))
  })
  let sent = 0
  const certainly = async (entries: readonly Entry[]): Promise<void> => {
    for (;;) {
      const done = await writer.write(entries).then(
        () => true,
        (error: unknown) => {
          if ((error as { retryable?: boolean }).retryable !== true) throw error
          return false
        }
      )
      if (done) break
      await wait(200)
    }
    sent += entries.length
  }
  let entries: Entry[] = []
  for (const record of records) {
    entries.push(entryOf(record))
    if (entries.length < chunk) continue
    await certainly(entries)
    entries = []
  }
  await certainly(entries)
  await writer.close()
  return sent
}

class Workers {
  readonly #folder: string
  readonly #url: string
  readonly #config: object
  #children: Child[] = []
  #count = 0
  killed = 0
  stopped = 0

  constructor(folder: string, url: string, kafka: object) {
    this.#folder = folder
    this.#url = url
    const { islands, operators, agreements } = clearingConfig(trafficAgreements)
    this.#config = { log: { level: 'info' }, islands, operators, agreements, events: { kafka } }
  }

  async fill(): Promise<void> {
    while (this.#children.length < workersMax) {
      this.#count += 1
      const config = { ...this.#config, hub: { dataDir: `${this.#folder}/worker-${this.#count}` } }
      const env = { DATABASE_URL: this.#url }
      const name = `worker-${this.#count}`
      const child = await startClearingProcess(this.#folder, { config, env, name })
      this.#children.push(child)
      await child.line('{"ready":true', readyMs)
    }
  }

  async lose(which: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const [child] = this.#children.splice(which % Math.max(this.#children.length, 1), 1)
    if (child === undefined) return
    if (signal === 'SIGKILL') this.killed += 1
    else this.stopped += 1
    child.process.kill(signal)
    await child.ended
  }

  /** Exit codes of all that are left. */
  async drain(): Promise<readonly unknown[]> {
    const children = this.#children
    this.#children = []
    for (const child of children) child.process.kill('SIGTERM')
    return Promise.all(children.map(child => child.ended))
  }

  async end(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      child.process.kill('SIGKILL')
      await child.ended
    }
  }

  /** The last words of each, for when something went wrong. */
  get words(): readonly string[] {
    return this.#children.map(child => child.errors)
  }
}

interface Trouble {
  readonly kafka: Kafka
  readonly workers: Workers
  readonly sockets: BreakableSockets
  readonly draw: (n: number) => number
  readonly writing: { readonly done: boolean }
}

/** Until all is written, and in any case until every broker, leader and controller among them, was killed once. */
async function makeTrouble({ kafka, workers, sockets, draw, writing }: Trouble): Promise<number> {
  const victims = [...kafka.nodes].sort(() => draw(3) - 1)
  let killed = 0
  const isOver = (): boolean => writing.done && killed >= victims.length
  const brokers = async (): Promise<void> => {
    while (!isOver() && killed < victims.length * killsOfEach) {
      await wait(500 + draw(2_000))
      const victim = victims[killed % victims.length]
      await victim?.kill()
      await wait(draw(2_000))
      await victim?.start()
      killed += 1
    }
  }
  const processes = async (): Promise<void> => {
    await workers.fill()
    while (!isOver()) {
      // Long enough to join, to read, and to be caught at it.
      await wait(2_000 + draw(6_000))
      await workers.lose(draw(workersMax), draw(2) === 0 ? 'SIGKILL' : 'SIGTERM')
      await workers.fill()
    }
  }
  const connections = async (): Promise<void> => {
    for (; !isOver(); await wait(100 + draw(400))) sockets.cut(draw)
  }
  await Promise.all([brokers(), processes(), connections()])
  return killed
}

/** Waits until the ledger stands at the end of every partition. */
async function settle(
  postgres: TestPostgres,
  url: string,
  kafka: ReturnType<typeof clientOf>,
  quietMs: number,
  workers: Workers
): Promise<Database> {
  await workers.fill()
  const database = await postgres.open(url)
  const ends = await endsOf(kafka, cdrTopic)
  for (const until = Date.now() + quietMs; ; await wait(200)) {
    const { rows } = await database.query<{ readonly shard: number; readonly position: bigint }>(
      'select shard, position from clearing_position where topic = $1',
      [cdrTopic]
    )
    const at = new Map(rows.map(({ shard, position }) => [shard, position]))
    if ([...ends].every(([partition, end]) => (at.get(partition) ?? 0n) === end)) return database
    if (Date.now() > until) {
      throw new Error(
        `not cleared in time: ${String([...ends])} against ${String([...at])}\n${workers.words.join('\n')}`
      )
    }
  }
}
