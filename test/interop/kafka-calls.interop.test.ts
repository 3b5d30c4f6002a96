// needs: kafka
// The whole hub with Kafka behind it and clearing beside it: calls through outages, and what is refused when they last.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match } from 'node:assert/strict'
import { cdrRecord } from '../../src/events/cdr.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chargeMessage } from '../../src/events/charge.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { chargeTopic } from '../../src/events/kafka.ts'
import { cleared, moneyFaults, recordFaults } from '../support/books.ts'
import type { Child } from '../support/child.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { startKafka } from '../support/kafka.ts'
import type { Kafka } from '../support/kafka.ts'
import { clientOf, kafkaConfig, readTopic, startClearingProcess } from '../support/kafka-tools.ts'
import { answered, ended, numbers, operators, refusal, startPhone, hosts } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'

const generousMs = 120_000
let postgres: TestPostgres
let kafka: Kafka
let north: Phone
let south: Phone
let hub: HubProcess | null = null
let workers: Child[] = []
let folder: string
let url: string

beforeAll(async () => {
  folder = openTempDir('isthmus-kafka-calls-')
  ;[kafka, postgres] = await Promise.all([startKafka(), startTestPostgres()])
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
}, 400_000)

afterEach(async () => {
  const code = await hub?.stop()
  equal(code, 0, JSON.stringify(hub?.logged().slice(-20)))
  hub = null
  for (const worker of workers) worker.process.kill('SIGTERM')
  equal(
    await Promise.all(workers.map(worker => worker.ended)),
    workers.map(() => 0)
  )
  workers = []
}, generousMs)

afterAll(async () => {
  await north.close()
  await south.close()
  await kafka.stop()
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}, generousMs)

const configOf = (group: string, more: object = {}) => ({
  ...operators({ ports: { south: south.port } }),
  events: { kafka: kafkaConfig(kafka.brokers, { group, partitions: 3 }) },
  ...more
})

/** A hub for calls alone, and so many clearing processes beside it. */
async function start(group: string, more: object = {}, clearing = 1): Promise<HubProcess> {
  url = await postgres.freshUrl()
  const config = configOf(group, more)
  hub = await startHubProcess({ config, env: { DATABASE_URL: url }, args: ['--role', 'hub'] })
  for (let n = 0; n < clearing; n++) {
    const own = { ...config, hub: { dataDir: join(folder, `${group}-${n}`) } }
    workers.push(await startClearingProcess(folder, { config: own, env: { DATABASE_URL: url }, name: `${group}-${n}` }))
  }
  for (const worker of workers) await worker.line('{"ready":true')
  return hub
}

const place = (running: HubProcess): Placed => north.call(numbers.south, running.sipPort('udp'))
async function whole(running: HubProcess): Promise<void> {
  const call = place(running)
  await answered(call)
  call.call.bye()
  equal((await ended(call)).how, 'bye')
}

/** Records of this hub: the topic may hold those of an earlier one. */
async function recordsOf(calls: number, node: string): Promise<readonly CdrRecord[]> {
  const kept = (await readTopic(clientOf(kafkaConfig(kafka.brokers)), cdrTopic)).map(({ value }) =>
    cdrRecord.parse(value)
  )
  const own = new Map(kept.filter(({ node_id: id }) => id.startsWith(node)).map(record => [record.cdr_id, record]))
  equal(own.size, calls * 4)
  return [...own.values()]
}

async function arrived(running: HubProcess, calls: number, node: string): Promise<void> {
  const database = await running.database()
  await eventually('every final is cleared', async () => (await cleared(database)) === calls * 2, generousMs)
  const records = await recordsOf(calls, node)
  equal(recordFaults(records), [])
  equal(await moneyFaults(database, records), [])
}

describe('calls, Kafka and clearing processes', () => {
  it(
    'calls before, while and after Kafka is away are all recorded, cleared once by two processes, and told',
    async () => {
      const running = await start('away', { hub: { node: 'away' } }, 2)
      await whole(running)
      const through = place(running)
      await answered(through)
      await kafka.nodes[0]!.kill()
      for (let n = 0; n < 3; n++) await whole(running)
      await eventually(
        'the hub says so',
        () => running.logged().some(({ msg }) => msg === 'the event log takes no records; the journal keeps them'),
        generousMs
      )
      through.call.bye()
      await ended(through)
      await kafka.nodes[0]!.start()
      await whole(running)
      await arrived(running, 6, 'away')
      const database = await running.database()
      await eventually(
        'charges are told',
        async () => (await database.query('select 1 from topic_outbox')).count === 0,
        generousMs
      )
      const told = (await readTopic(clientOf(kafkaConfig(kafka.brokers)), chargeTopic)).map(({ value }) =>
        chargeMessage.parse(value)
      )
      const ids = (await database.query<{ cdr_id: string }>('select cdr_id from charge')).rows.map(
        ({ cdr_id }) => cdr_id
      )
      equal(
        ids.filter(id => !told.some(({ cdr_id }) => cdr_id === id)),
        []
      )
    },
    4 * generousMs
  )

  it(
    'with the database away records wait in Kafka; after the minutes that are allowed new calls are refused',
    async () => {
      const running = await start('blind', { hub: { node: 'blind' }, limits: { blindMinutes: 0 } })
      await whole(running)
      const live = place(running)
      await answered(live)
      await postgres.away()
      const refused = await eventually(
        'a call is refused',
        async () => {
          const call = place(running)
          const outcome = await answered(call).then(
            () => 'answered' as const,
            () => 'refused' as const
          )
          if (outcome === 'refused') return call
          call.call.bye()
          await ended(call)
          return null
        },
        generousMs
      )
      const { status, reason } = await refusal(refused)
      equal(status, 503)
      match(reason, /records were not cleared/)
      live.call.bye()
      equal((await ended(live)).how, 'bye')
      await postgres.back()
      await eventually(
        'calls are taken again',
        () =>
          whole(running).then(
            () => true,
            () => false
          ),
        generousMs
      )
    },
    4 * generousMs
  )
})
