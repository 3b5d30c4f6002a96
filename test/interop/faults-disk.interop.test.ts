// The whole hub on a disk that is really full: the database there, the journal there, both there from the beginning.

import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok, rejects } from 'node:assert/strict'
import { stringify } from 'yaml'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { parseConfig } from '../../src/config.ts'
import { cleared, moneyFaults, recordFaults } from '../support/books.ts'
import { payIn, standing } from '../support/credit.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'
import { openSmallDisk } from '../support/small-disk.ts'
import type { SmallDisk } from '../support/small-disk.ts'

const generousMs = 120_000
const callsMax = 400
let north: Phone
let south: Phone
let west: Phone
let disk: SmallDisk
let hub: HubProcess | null = null
let postgres: TestPostgres | null = null

beforeAll(async () => {
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
  west = await startPhone({ host: hosts.west })
}, generousMs)

afterEach(async () => {
  const code = await hub?.stop()
  const said = JSON.stringify(hub?.logged().slice(-20))
  hub = null
  await postgres?.stop()
  postgres = null
  disk.close()
  ok(code === 0 || code === undefined, said)
}, generousMs)

afterAll(async () => {
  for (const phone of [north, south, west]) await phone.close()
}, generousMs)

/** `west` pays in advance. */
const configOf = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => {
  const given = operators({ ports: { south: south.port } })
  const rates = [{ prefix: '+', destination: 'Germany', rate: '0.06' }]
  const prepaid = { id: 'west-hub', buyer: 'west', seller: 'hub', model: 'prepaid', rates }
  return { ...given, agreements: [...(given['agreements'] as object[]), prepaid], ...more }
}
const prepaidAgreement = () =>
  createAgreementBook(parseConfig(stringify(configOf())).agreements, createNumberOf([])).agreements.find(
    ({ id }) => id === 'west-hub'
  )!

const place = (running: HubProcess, by = north, from: string = numbers.north): Placed =>
  by.call(numbers.south, running.sipPort('udp'), {}, from)
async function hangUp(call: Placed): Promise<void> {
  call.call.bye()
  equal((await ended(call)).how, 'bye')
}
const outcomeOf = (call: Placed): Promise<'answered' | 'refused'> =>
  answered(call).then(
    () => 'answered',
    () => 'refused'
  )

/** Whole calls, until one is refused: how many there were, and the refusal. */
async function callUntilRefused(running: HubProcess): Promise<{ readonly calls: number; readonly refused: Placed }> {
  for (let calls = 0; calls < callsMax; calls++) {
    const call = place(running)
    if ((await outcomeOf(call)) === 'refused') return { calls, refused: call }
    await hangUp(call)
  }
  throw new Error(`none of ${callsMax} calls was refused`)
}

/** Calls are taken again: that one, whole. */
async function callsAgain(running: HubProcess): Promise<void> {
  await eventually(
    'a call is taken again',
    async () => {
      const call = place(running)
      if ((await outcomeOf(call)) === 'refused') return false
      await hangUp(call)
      return true
    },
    generousMs
  )
}

/** Every final of so many answered calls is there and cleared, once. */
async function allCharged(running: HubProcess, calls: number): Promise<void> {
  const database = await running.database()
  await eventually(
    'every answered call is cleared',
    async () => {
      const { rows } = await database.query<{ n: bigint }>(
        'select count(distinct call_id) as n from cdr_final where t_answer is not null'
      )
      return Number(rows[0]?.n) >= calls
    },
    generousMs
  )
  const records = await running.records()
  await eventually('every record', async () => (await cleared(database)) === finals(records), generousMs)
  equal(recordFaults(records), [])
  equal(await moneyFaults(database, records), [])
  equal(new Set(records.filter(({ t_answer }) => t_answer !== null).map(({ call_id }) => call_id)).size, calls)
}
const finals = (records: Awaited<ReturnType<HubProcess['records']>>): number =>
  records.filter(({ kind }) => kind === 'final').length

describe("the hub's data folder on a full disk, its PostgreSQL with it", () => {
  it(
    'calls go on upon the journal, up to the sum that may be open, and are all charged once when there is room again',
    async () => {
      disk = openSmallDisk()
      const home = join(disk.path, 'home')
      mkdirSync(home)
      hub = await startHubProcess({
        folder: home,
        config: configOf({ events: { journalSlots: 1_024 }, limits: { blindAmount: '0.02' } })
      })
      const running = hub
      const database = await running.database()
      await payIn(database, prepaidAgreement(), '1')
      const prepaid = place(running, west, numbers.west)
      await answered(prepaid)
      await hangUp(prepaid)
      const live = place(running)
      await answered(live)

      disk.fill()
      const { calls, refused } = await callUntilRefused(running)
      const { status, reason } = await refusal(refused)
      equal(status, 503)
      match(reason, /records were not cleared for calls of a larger sum than may be open/)
      ok(calls > 0)
      const logged = running.logged().map(({ alarm }) => alarm)
      ok(logged.includes('event-log-away'), JSON.stringify(running.logged().slice(-5)))
      ok([402, 503].includes((await refusal(place(running, west, numbers.west))).status))
      await hangUp(live)
      ok([402, 503].includes((await refusal(place(running, west, numbers.west))).status))
      equal((await refusal(place(running))).status, 503)
      await eventually('the probe', () => running.logged().some(({ alarm }) => alarm === 'database-away'))

      disk.free()
      await callsAgain(running)
      await allCharged(running, calls + 3)
      const { balanceMicros, ledgerMicros, reservedMicros } = await standing(database, 'west-hub')
      equal([balanceMicros, reservedMicros], [ledgerMicros, 0n])
      const again = place(running, west, numbers.west)
      await answered(again)
      await hangUp(again)
      await allCharged(running, calls + 4)
    },
    4 * generousMs
  )
})

describe('the journal on a full disk', () => {
  it(
    'whose blocks are its own refuses nothing; where each write needs a new one, calls are refused until there is room',
    async () => {
      postgres = await startTestPostgres()
      disk = openSmallDisk()
      const told: string[] = []
      const receiver = createServer((request, response) => {
        let body = ''
        request.setEncoding('utf8').on('data', (text: string) => (body += text))
        request.on('end', () => {
          told.push((JSON.parse(body) as { readonly alarm: string }).alarm)
          response.end()
        })
      })
      await new Promise<void>(done => receiver.listen(0, '127.0.0.1', done))
      const home = openTempDir('isthmus-hub-')
      const key = join(home, 'alarm-key')
      writeFileSync(key, 'a key\n')
      const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`
      const dataDir = join(disk.path, 'data')
      hub = await startHubProcess({
        folder: home,
        config: configOf({
          hub: { dataDir },
          events: { journalSlots: 256, heartbeatMs: 100 },
          alarms: { webhook: { url, secretFile: key } }
        }),
        env: { DATABASE_URL: await postgres.freshUrl() }
      })
      const running = hub

      disk.fill()
      const preallocated = place(running)
      await answered(preallocated)
      await hangUp(preallocated)
      await allCharged(running, 1)

      // What a filesystem that copies on write (btrfs, ZFS, thin volumes) does: empty blocks are nobody's. Same content.
      disk.free()
      const live = place(running)
      await answered(live)
      await allWritten(running, 6)
      execFileSync('fallocate', ['--dig-holes', join(dataDir, 'journal', 'journal')])
      disk.fill()
      const unlucky = place(running)
      const outcome = await outcomeOf(unlucky)
      await eventually('the hub says so', () => running.logged().some(({ alarm }) => alarm === 'journal-stuck'))
      match(JSON.stringify(running.logged()), /ENOSPC/)
      const { status, reason } = await refusal(place(running))
      equal(status, 503)
      match(reason, /no room for the records of another call/)
      await hangUp(live)
      if (outcome === 'answered') await hangUp(unlucky)
      equal((await refusal(place(running))).status, 503)
      await eventually('somebody is told', () => told.includes('journal-stuck'))

      disk.free()
      await callsAgain(running)
      await allCharged(running, outcome === 'answered' ? 4 : 3)
      equal(told.filter(alarm => alarm === 'journal-stuck').length, 1)
      await new Promise(done => receiver.close(done))
    },
    4 * generousMs
  )

  it(
    'from the beginning: the hub says what it needs and leaves, and starts once there is room',
    async () => {
      postgres = await startTestPostgres()
      disk = openSmallDisk()
      const env = { DATABASE_URL: await postgres.freshUrl() }
      const dataDir = join(disk.path, 'data')
      mkdirSync(dataDir)
      disk.fill()
      const home = openTempDir('isthmus-hub-')
      const config = configOf({ hub: { dataDir } })
      const start = (): Promise<HubProcess> => startHubProcess({ folder: home, config, env })
      await rejects(start, /left with 1:[^]*the journal .*: cannot lock .*: database or disk is full/)
      disk.free()
      disk.fill(1_048_576)
      await rejects(start, /left with 1:[^]*the journal .* needs 9 MiB on disk and cannot have them: ENOSPC/)
      disk.free()
      hub = await start()
      const call = place(hub)
      await answered(call)
      await hangUp(call)
      await allCharged(hub, 1)
    },
    2 * generousMs
  )
})

/** So many records have left the journal: nothing else is to be written but heartbeats. */
async function allWritten(running: HubProcess, records: number): Promise<void> {
  await eventually('the records', async () => (await running.records()).length === records, generousMs)
}
