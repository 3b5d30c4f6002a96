// The whole hub told to stop: SIGTERM and Ctrl-C drain, a second Ctrl-C hurries, and every record is durable before it leaves.

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match } from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { CdrRecord } from '../../src/events/cdr.ts'
import type { SipCall } from '../../src/sip/call.ts'
import { cleared, moneyFaults, recordFaults } from '../support/books.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, sdpAt, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'
import { until } from '../support/until.ts'

const patientMs = 60_000
let postgres: TestPostgres
let north: Phone
let south: Phone
let hub: HubProcess | null = null
const answers = (call: SipCall): void => call.answer({ body: sdpAt(hosts.south) })
let onCall = answers

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({
    host: hosts.south,
    incoming: call => {
      call.ring()
      onCall(call)
    }
  })
}, 120_000)

afterEach(async () => {
  onCall = answers
  await hub?.stop()
  hub = null
}, 60_000)

afterAll(async () => {
  await north.close()
  await south.close()
  await postgres.stop()
}, 60_000)

let env: { readonly DATABASE_URL: string }
async function start(drainMs: number, more: { folder?: string; terminal?: boolean } = {}): Promise<HubProcess> {
  if (more.folder === undefined) env = { DATABASE_URL: await postgres.freshUrl() }
  const config = { ...operators({ ports: { south: south.port } }), hub: { drainMs } }
  hub = await startHubProcess({ config, env, ...more })
  return hub
}

async function connected(running: HubProcess): Promise<Placed> {
  const call = north.call(numbers.south, running.sipPort('udp'))
  await answered(call)
  return call
}

const draining = (running: HubProcess, what = 'draining'): Promise<unknown> =>
  eventually(what, () => running.logged().some(({ msg }) => msg === what))

/** A re-offer through the call: it lives from end to end. */
const reaches = (call: Placed): Promise<number> =>
  new Promise((settle, failed) => {
    call.call.reinvite(
      { body: sdpAt(hosts.north, 6_100) },
      {
        answered: ({ status }) => settle(status),
        refused: response => failed(new Error(`the call does not live: ${response?.status ?? 'it has ended'}`))
      }
    )
  })

/** What the next hub on that folder finds: complete finals, each leg once, all charged. */
async function isComplete(old: HubProcess, calls: number): Promise<readonly CdrRecord[]> {
  const next = await start(1_000, { folder: old.folder })
  const database = await next.database()
  await eventually('every final is cleared', async () => (await cleared(database)) === calls * 2)
  const records = await next.records()
  equal(recordFaults(records), [])
  equal(await moneyFaults(database, records), [])
  const finals = records.filter(({ kind }) => kind === 'final')
  equal([finals.length, finals.filter(({ incomplete }) => incomplete)], [calls * 2, []])
  return finals
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`)

describe('SIGTERM', () => {
  it('takes no new calls, lets the live one finish, and leaves with 0 as soon as it has', async () => {
    const running = await start(patientMs)
    const call = await connected(running)
    running.signal('SIGTERM')
    await draining(running)
    const late = await refusal(north.call(numbers.south, running.sipPort('udp')))
    equal(late.status, 503)
    equal(await reaches(call), 200)
    call.call.bye()
    await ended(call)
    equal(await running.left, 0)
    const finals = await isComplete(running, 1)
    equal(new Set(finals.map(({ cause }) => cause)), new Set(['normal']))
  }, 60_000)

  it('ends what is still there after hub.drainMs: talking, ringing; both sides are told, the records say why', async () => {
    const running = await start(300)
    const call = await connected(running)
    const other = south.calls.at(-1)!
    onCall = () => undefined
    const ringing = north.call(numbers.south, running.sipPort('udp'))
    await until(() => ringing.statuses.includes(180))
    running.signal('SIGTERM')
    equal((await ended(call)).how, 'bye')
    equal((await ended(other)).how, 'bye')
    const { status, reason } = await refusal(ringing)
    equal(status, 480)
    match(reason, /the hub is shutting down/)
    equal(await running.left, 0)
    const finals = await isComplete(running, 2)
    equal(
      finals.map(({ cause, release_side, reason: why }) => [cause, release_side, why]),
      finals.map(() => ['unavailable', 'hub', 'the hub is shutting down'])
    )
  }, 60_000)
})

describe('Ctrl-C in a terminal', () => {
  it('drains; the second one ends live calls at once; every record is there', async () => {
    const running = await start(patientMs, { terminal: true })
    const call = await connected(running)
    running.signal('SIGINT')
    await draining(running)
    // npm passes on what the terminal has sent to everybody already: that is no second Ctrl-C.
    equal(await reaches(call), 200)
    // A second one is told from that by the time between them.
    await eventually('the call is ended', () => {
      if (call.ended === null) running.signal('SIGINT')
      return call.ended !== null
    })
    equal(call.ended?.how, 'bye')
    await running.left
    // npm does not wait for what it has passed the signal on to.
    await eventually('the hub has left', () => !isAlive(running.pid))
    await isComplete(running, 1)
  }, 60_000)

  it('with no call alive it leaves at once', async () => {
    const running = await start(patientMs)
    const call = await connected(running)
    call.call.bye()
    await ended(call)
    running.signal('SIGINT')
    equal(await running.left, 0)
    await isComplete(running, 1)
  }, 60_000)
})
