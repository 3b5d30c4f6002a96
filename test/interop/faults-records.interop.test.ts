// The whole hub when its records have nowhere to go: a full journal refuses calls, a database that is away stops none.

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match } from 'node:assert/strict'
import { cleared, moneyFaults, recordFaults } from '../support/books.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'

let postgres: TestPostgres
let north: Phone
let south: Phone
let hub: HubProcess | null = null

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
}, 120_000)

afterEach(async () => {
  const code = await hub?.stop()
  equal(code, 0, JSON.stringify(hub?.logged().slice(-20)))
  hub = null
}, 60_000)

afterAll(async () => {
  await north.close()
  await south.close()
  await postgres.stop()
}, 60_000)

async function start(events: Readonly<Record<string, number>> = {}): Promise<HubProcess> {
  hub = await startHubProcess({
    config: { ...operators({ ports: { south: south.port } }), events },
    env: { DATABASE_URL: await postgres.freshUrl() }
  })
  return hub
}

const place = (running: HubProcess): Placed => north.call(numbers.south, running.sipPort('udp'))
async function hangUp(call: Placed): Promise<void> {
  call.call.bye()
  equal((await ended(call)).how, 'bye')
}

/** Fills the journal with live calls: the refusal of the first that does not fit, and those that did. */
async function fill(running: HubProcess): Promise<{ readonly calls: readonly Placed[]; readonly refused: Placed }> {
  const calls: Placed[] = []
  for (;;) {
    const call = place(running)
    const outcome = await answered(call).then(
      () => 'answered',
      () => 'refused'
    )
    if (outcome === 'refused') return { calls, refused: call }
    calls.push(call)
  }
}

async function isRefused(call: Placed): Promise<void> {
  const { status, reason } = await refusal(call)
  equal(status, 503)
  match(reason, /no room for the records of another call/)
}

/** All records have arrived, once; all finals are cleared, once. */
async function arrived(running: HubProcess, calls: number): Promise<void> {
  const database = await running.database()
  await eventually('every final is cleared', async () => (await cleared(database)) === calls * 2, 60_000)
  const records = await running.records()
  equal(records.length, calls * 4)
  equal(recordFaults(records), [])
  equal(await moneyFaults(database, records), [])
}

describe('a journal without room', () => {
  it('refuses the next call with 503 before it rings, keeps the others, and takes calls again when one has ended', async () => {
    const running = await start({ journalSlots: 64 })
    const { calls, refused } = await fill(running)
    await isRefused(refused)
    equal([calls.length > 0, south.calls.length], [true, calls.length])
    await hangUp(calls[0]!)
    const next = await eventually('a call is taken again', async () => {
      const call = place(running)
      return answered(call).then(
        () => call,
        () => null
      )
    })
    for (const call of [...calls.slice(1), next]) await hangUp(call)
    await arrived(running, calls.length + 1)
  }, 60_000)
})

describe('the database away', () => {
  it('calls go on and are recorded, as many as the journal holds; when it is back, all records arrive once', async () => {
    const running = await start({ journalSlots: 64 })
    const before = place(running)
    await answered(before)
    await postgres.away()
    const during = place(running)
    await answered(during)
    await hangUp(during)
    await hangUp(before)
    await eventually('the hub says so', () =>
      running.logged().some(({ msg }) => msg === 'the event log takes no records; the journal keeps them')
    )
    // Nothing leaves the journal now: calls are refused in the end, not lost.
    const { calls, refused } = await fill(running)
    await isRefused(refused)
    for (const call of calls) await hangUp(call)
    await isRefused(place(running))

    await postgres.back()
    await arrived(running, calls.length + 2)
    const after = place(running)
    await answered(after)
    await hangUp(after)
    await arrived(running, calls.length + 3)
  }, 120_000)
})
