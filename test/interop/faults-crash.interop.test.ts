// `kill -9` of the whole hub in the middle of calls: what the records and the money say after the next start.

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import type { CdrRecord } from '../../src/events/cdr.ts'
import type { SipCall } from '../../src/sip/call.ts'
import { moneyFaults, recordFaults } from '../support/books.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess, HubProcessOptions } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, sdpAt, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'
import { until } from '../support/until.ts'

const chance = mulberry32(seedFromEnvironment)
let postgres: TestPostgres
let north: Phone
let south: Phone
let hub: HubProcess | null = null
let onCall = (call: SipCall): void => call.answer({ body: sdpAt(hosts.south) })

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
  await hub?.stop()
  hub = null
}, 60_000)

afterAll(async () => {
  await north.close()
  await south.close()
  await postgres.stop()
}, 60_000)

async function start(more: Partial<HubProcessOptions> = {}): Promise<HubProcess> {
  const config = { ...operators({ ports: { south: south.port } }), events: { heartbeatMs: 100 } }
  hub = await startHubProcess({ config, ...more })
  return hub
}

/** Every final is cleared, and then nothing is wrong. */
async function booksAreRight(running: HubProcess): Promise<void> {
  const database = await running.database()
  let records: readonly CdrRecord[] = []
  // What a life before has left may come into the log at any moment: then both are looked at once more.
  await eventually('every final is cleared, and the books are right', async () => {
    records = await running.records()
    return records.some(({ kind }) => kind === 'final') && (await moneyFaults(database, records)).length === 0
  })
  equal(recordFaults(records), [])
}

describe('kill -9 in a call', () => {
  it('closes both legs as incomplete, once, billed to the last heartbeat; those of a call that only rang cost nothing', async () => {
    const first = await start()
    const ringing = async (): Promise<void> => {
      onCall = () => undefined
      const call = north.call(numbers.south, first.sipPort('udp'))
      await until(() => call.statuses.includes(180))
      onCall = call => call.answer({ body: sdpAt(hosts.south) })
    }
    const call = north.call(numbers.south, first.sipPort('udp'))
    await answered(call)
    await ringing()
    const starts = await eventually('both start records', async () => {
      const records = await first.records()
      return records.length === 2 && records.every(({ kind }) => kind === 'start') && records
    })
    // A few heartbeats.
    const answeredAt = starts[0]?.t_answer ?? 0
    await until(() => Date.now() - answeredAt > 1_200)
    const killedAt = Date.now()
    await first.crash()

    const second = await start({ folder: first.folder })
    const finals = await eventually('both finals', async () => {
      const records = (await second.records()).filter(({ kind }) => kind === 'final')
      return records.length >= 4 && records
    })
    const byKind = Map.groupBy(finals, ({ t_answer }) => (t_answer === null ? 'rang' : 'talked'))
    const [talked = [], rang = []] = [byKind.get('talked'), byKind.get('rang')]
    for (const legs of [talked, rang]) equal(legs.map(({ leg }) => leg).sort(), ['egress', 'ingress'])
    equal(
      rang.map(r => [r.duration_ms, r.units, r.cause_closing, r.partial_seq]),
      rang.map(() => [0, 0, 'unsuccessful', 0])
    )
    ok(rang.every(({ t_request, t_end }) => t_request <= t_end && t_end <= killedAt))
    equal(
      finals.map(r => [r.incomplete, r.cause, r.reason, r.release_side]),
      finals.map(() => [true, 'internal', 'hub stopped during the call', 'hub'])
    )
    for (const { t_end, t_answer, duration_ms, units } of talked) {
      ok(t_answer !== null && t_end > t_answer && t_end <= killedAt, `${t_answer} ${t_end} ${killedAt}`)
      equal([duration_ms, units], [t_end - t_answer, Math.ceil((t_end - t_answer) / 1_000)])
    }
    await booksAreRight(second)
    const database = await second.database()
    const { rows } = await database.query<{ side: string; billed: bigint; paid: boolean }>(
      'select side, billed_units as billed, amount_micros > 0 as paid from charge order by paid, side'
    )
    equal(
      rows.map(({ side, billed, paid }) => [side, Number(billed), paid]),
      [false, true].flatMap(paid => ['buy', 'sell'].map(side => [side, paid ? talked[0]?.units : 0, paid]))
    )
    const before = await second.records()

    // Dying again changes nothing, and the peers learn that the call is gone.
    await second.crash()
    const third = await start({ folder: first.folder })
    const again = north.call(numbers.south, third.sipPort('udp'))
    await answered(again)
    again.call.bye()
    await ended(again)
    await eventually('the records of the new call', async () => (await third.records()).length >= before.length + 4)
    equal((await third.records()).slice(0, before.length), before)
    await booksAreRight(third)
  }, 90_000)

  it('again and again, at any moment of twenty calls: every leg that was started is closed once and charged once', async () => {
    const env = { DATABASE_URL: await postgres.freshUrl() }
    onCall = call => void wait(chance(150)).then(() => call.answer({ body: sdpAt(hosts.south) }))
    let folder: string | null = null
    for (let life = 0; life < 5; life++) {
      const running: HubProcess = await start(folder === null ? { env } : { env, folder })
      folder = running.folder
      const enough = 1 + chance(40)
      let events = 0
      const port = running.sipPort('udp')
      const calls = Array.from({ length: 20 }, () =>
        north.call(numbers.south, port, {
          answered: () => {
            events++
            if (chance(3) > 0)
              void wait(chance(400)).then(() => calls.forEach(one => chance(8) === 0 && one.call.bye()))
          },
          ended: () => void events++
        })
      )
      await until(() => events >= Math.min(enough, 20))
      await wait(chance(60))
      await running.crash()
      hub = null
    }
    const last = await start({ env, folder: folder ?? '' })
    await eventually('the journal is empty', async () => recordFaults(await last.records()).length === 0)
    await booksAreRight(last)
    const records = await last.records()
    const incomplete = records.filter(record => record.incomplete)
    ok(incomplete.length > 0 && records.length > 40, `${incomplete.length} of ${records.length}`)
    equal(new Set(records.map(({ node_id }) => node_id)).size, 1)
  }, 120_000)
})
