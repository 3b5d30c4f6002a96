// From Kafka to the ledger, exactly once: a topic filled beforehand, `isthmus clearing` in processes of its own, the
// broker and a durable PostgreSQL on the same cores, decks of 100,000 prefixes; and what each stage of it costs.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { activateDeck } from '../../src/clearing/decks/activate.ts'
import { importDeck } from '../../src/clearing/decks/store.ts'
import { takeIn } from '../../src/clearing/intake.ts'
import { chargesOf } from '../../src/clearing/postings.ts'
import { ledgerMigrations } from '../../src/compose-book.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { ensureTopics } from '../../src/events/kafka-topics.ts'
import { createTopicWriter } from '../../src/events/kafka-writer.ts'
import type { Entry } from '../../src/events/kafka-writer.ts'
import { topics } from '../../src/events/kafka.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import { bookOf, callRecords, clearingConfig } from '../support/clearing.ts'
import { trafficAgreements } from '../support/clearing-traffic.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import { deckRow, sheetOfRows } from '../support/decks.ts'
import { startKafka } from '../support/kafka.ts'
import { clientOf, kafkaConfig, startClearingProcess } from '../support/kafka-tools.ts'
import { mulberry32 } from '../support/random.ts'
import { costBelow, costOf } from './processes.ts'

const partitions = 6
const chunk = 5_000
const prefixes = 100_000

export interface KafkaFigures {
  readonly records: number
  readonly bytesPerRecord: number
  /** Of each of the two decks that price the calls. */
  readonly prefixes: number
  readonly processes: number
  readonly filledPerSecond: number
  readonly clearedPerSecond: number
  /** What two cores with nothing else to do could carry, by the CPU time that was used. */
  readonly perSecondOfTwoCores: number
  /** Microseconds of CPU time for each record. */
  readonly cpuUs: { readonly clearing: number; readonly database: number; readonly broker: number }
  /** The same inside the clearing process, measured in this one. */
  readonly stagesUs: { readonly parse: number; readonly schema: number; readonly rating: number }
  /** Of the largest clearing process. */
  readonly memoryMb: number
}

function* finals(count: number): Iterable<Entry> {
  const draw = mulberry32(7)
  for (let n = 1; n <= count / 2; n++) {
    const call_id = `019a0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
    const duration_ms = draw(600_000)
    const called = `tel:+${1 + draw(9)}${100_000 + draw(900_000)}${10_000 + draw(90_000)}`
    for (const record of callRecords(n, { call_id, called, dialled: called, duration_ms })) {
      yield { key: call_id, value: JSON.stringify(record) }
    }
  }
}

/** In force since before the calls. */
async function addDecks(url: string): Promise<void> {
  const draw = mulberry32(1)
  const codes = new Set(Array.from({ length: 9 }, (_, n) => `+${n + 1}`))
  while (codes.size < prefixes) codes.add(`+${1 + draw(9)}${String(draw(10 ** (2 + draw(6))))}`)
  const rows = [...codes].map((code, n) =>
    deckRow(code, `0.${String(1 + draw(9_999)).padStart(4, '0')}`, { destination: `destination ${n % 900}` })
  )
  const log = createLog('error')
  const database = await openDatabase({ place: { url }, poolMax: 2, migrations: ledgerMigrations, log })
  try {
    for (const config of clearingConfig(trafficAgreements).agreements) {
      if (config.id !== 'sell' && config.id !== 'buy') continue
      const given = { config, sheet: sheetOfRows(rows), mode: 'full', by: 'bench' } as const
      const { version } = await importDeck(database, { ...given, fileName: 'deck', fileSha256: '' })
      const at = Date.parse('2026-11-01T00:00:00Z')
      await activateDeck(database, { config, version, at, by: 'bench', force: 'bench', closedAreMeant: true })
    }
  } finally {
    await database.close()
  }
}

/** CPU microseconds for each of some records: the best of three rounds. */
function stages(entries: readonly Entry[]): KafkaFigures['stagesUs'] {
  const book = bookOf(trafficAgreements)
  const cpu = (work: () => void): number => {
    let best = Infinity
    for (let round = 0; round < 3; round++) {
      const from = process.cpuUsage()
      work()
      const { user, system } = process.cpuUsage(from)
      best = Math.min(best, (user + system) / entries.length)
    }
    return best
  }
  const values = entries.map(({ value }) => Buffer.from(value))
  const records = entries.map(({ value }) => JSON.parse(value) as unknown)
  const taken = takeIn(records).finals.map(({ record }) => record)
  return {
    parse: cpu(() => values.forEach(value => JSON.parse(value.toString('utf8')) as unknown)),
    schema: cpu(() => void takeIn(records)),
    rating: cpu(() => void chargesOf(taken, book))
  }
}

/** Durable: nothing of PostgreSQL's is turned off. */
const durable = ['shared_buffers=256MB', 'max_wal_size=4GB']

export async function benchKafka(records = 300_000, processes = 2): Promise<KafkaFigures> {
  const folder = openTempDir('isthmus-bench-kafka-')
  const kafka = await startKafka()
  const postgres = await startTestPostgres(durable)
  const config = kafkaConfig(kafka.brokers, { partitions, publish: false })
  const client = clientOf(config)
  const children: Awaited<ReturnType<typeof startClearingProcess>>[] = []
  try {
    const url = await postgres.freshUrl()
    const writer = createTopicWriter({
      kafka: client,
      topic: cdrTopic,
      partitions,
      log: createLog('error'),
      prepare: () => ensureTopics(client, topics, config),
      park: ({ key }) => Promise.reject(new Error(`parked ${key}`)),
      limits: { writeMs: 300_000 }
    })
    const filling = performance.now()
    let bytes = 0
    let part: Entry[] = []
    const sample: Entry[] = []
    for (const entry of finals(records)) {
      bytes += entry.value.length
      if (sample.length < 20_000) sample.push(entry)
      part.push(entry)
      if (part.length === chunk) await writer.write(part.splice(0))
    }
    await writer.write(part)
    await writer.close()
    const filledPerSecond = (records / (performance.now() - filling)) * 1_000
    const stagesUs = stages(sample)

    await addDecks(url)
    const { islands, operators, agreements } = clearingConfig(trafficAgreements)
    for (let n = 0; n < processes; n++) {
      const own = { hub: { dataDir: join(folder, String(n)) }, log: { level: 'warn' }, events: { kafka: config } }
      const whole = { ...own, islands, operators, agreements }
      children.push(await startClearingProcess(folder, { config: whole, env: { DATABASE_URL: url }, name: `n${n}` }))
    }
    for (const child of children) await child.line('{"ready":true', 240_000)
    const ledger = await postgres.open(url)
    const cost = () => ({
      clearing: children.reduce((sum, { pid }) => sum + costOf(pid).cpuMs, 0),
      database: costOf(postgres.pid).cpuMs + costBelow(postgres.pid).cpuMs,
      broker: costOf(kafka.nodes[0]?.pid ?? 0).cpuMs
    })
    const cleared = async (): Promise<number> => {
      const { rows } = await ledger.query<{ readonly n: bigint | null }>(
        'select sum(position)::bigint as n from clearing_position'
      )
      return Number(rows[0]?.n ?? 0n)
    }
    let first = 0
    while (first === 0) {
      await wait(20)
      first = await cleared()
    }
    const [began, before] = [performance.now(), cost()]
    let memoryMb = 0
    while ((await cleared()) < records) {
      memoryMb = Math.max(memoryMb, ...children.map(({ pid }) => costOf(pid).memoryMb))
      await wait(100)
    }
    const [seconds, after] = [(performance.now() - began) / 1_000, cost()]
    const us = (what: keyof typeof after): number => ((after[what] - before[what]) * 1_000) / (records - first)
    const cpuUs = { clearing: us('clearing'), database: us('database'), broker: us('broker') }
    return {
      records,
      bytesPerRecord: Math.round(bytes / records),
      prefixes,
      processes,
      filledPerSecond: Math.round(filledPerSecond),
      clearedPerSecond: Math.round((records - first) / seconds),
      perSecondOfTwoCores: Math.round(2_000_000 / (cpuUs.clearing + cpuUs.database + cpuUs.broker)),
      cpuUs,
      stagesUs,
      memoryMb
    }
  } finally {
    for (const child of children) child.process.kill('SIGTERM')
    await Promise.all(children.map(child => child.ended))
    await postgres.stop()
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [records, processes] = process.argv.slice(2).map(Number)
  console.log(await benchKafka(records, processes))
}
