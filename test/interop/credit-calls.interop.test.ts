// The whole hub with an operator that pays in advance: its calls are held, refreshed, ended at zero and charged once,
// also when the hub dies in one or the database is away.

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { stringify } from 'yaml'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import type { Agreement } from '../../src/clearing/agreements.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { parseConfig } from '../../src/config.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cleared, moneyFaults, recordFaults } from '../support/books.ts'
import { payIn, standing } from '../support/credit.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'

const generousMs = 90_000
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
  await hub?.stop()
  hub = null
}, generousMs)

afterAll(async () => {
  await north.close()
  await south.close()
  await postgres.stop()
}, generousMs)

const credit = { quantumSeconds: 2, graceSeconds: 1 }
const rates = [{ prefix: '+', destination: 'Germany', rate: '0.06' }]
const configOf = (): Record<string, unknown> => {
  const given = operators({ ports: { south: south.port } })
  const others = (given['agreements'] as { id: string }[]).filter(({ id }) => id !== 'north-hub')
  const own = { id: 'north-hub', buyer: 'north', seller: 'hub', model: 'prepaid', credit, rates }
  return { ...given, agreements: [own, ...others], events: { heartbeatMs: 100 } }
}
function agreement(): Agreement {
  const { agreements } = parseConfig(stringify(configOf()))
  return createAgreementBook(agreements, createNumberOf([])).agreements[0]!
}

async function start(folder: string | null = null, url: string | null = null): Promise<HubProcess> {
  const more = { ...(folder === null ? {} : { folder }), ...(url === null ? {} : { env: { DATABASE_URL: url } }) }
  hub = await startHubProcess({ config: configOf(), ...more })
  return hub
}
const place = (running: HubProcess): Placed => north.call(numbers.south, running.sipPort('udp'))

/** Every final is charged, and account, ledger and records say the same. */
async function booksAgree(running: HubProcess, finals: number): Promise<readonly CdrRecord[]> {
  const database = await running.database()
  const records = await eventually(
    'every final is cleared',
    async () => {
      const found = await running.records()
      const count = found.filter(({ kind }) => kind === 'final').length
      return count >= finals && (await cleared(database)) === count && found
    },
    generousMs
  )
  equal(recordFaults(records), [])
  equal(await moneyFaults(database, records), [])
  const { balanceMicros, ledgerMicros, reservedMicros } = await standing(database, 'north-hub')
  equal([balanceMicros, reservedMicros], [ledgerMicros, 0n])
  const { rows } = await database.query<{ left: string }>(
    "select (credit_micros - debit_micros)::text as left from balance where account = 'prepaid/north'"
  )
  equal(rows, [{ left: balanceMicros.toString() }])
  return records
}

describe('an operator that pays in advance', () => {
  it(
    'COM-03 its call is admitted, refreshed, and ends at zero after the grace; then it is refused, until it pays',
    async () => {
      const running = await start()
      const database = await running.database()
      match((await refusal(place(running))).reason, /no credit left/)
      // Six seconds.
      await payIn(database, agreement(), '0.006')
      const call = place(running)
      await answered(call)
      equal((await ended(call)).how, 'bye')
      const records = await booksAgree(running, 4)
      const [final] = records.filter(
        ({ kind, leg, t_answer }) => kind === 'final' && leg === 'ingress' && t_answer !== null
      )
      equal([final?.cause, final?.release_side, final?.units], ['no-credit', 'hub', 6])
      equal((await standing(database, 'north-hub')).balanceMicros, 0n)
      const again = await refusal(place(running))
      equal(again.status, 402)
      await payIn(database, agreement(), '0.020', 'second')
      const more = place(running)
      await answered(more)
      more.call.bye()
      await ended(more)
      await booksAgree(running, 8)
    },
    generousMs
  )

  it(
    'kill -9 in a call: charged once, to the last heartbeat, and nothing stays held',
    async () => {
      const first = await start()
      const database = await first.database()
      await payIn(database, agreement(), '1')
      await answered(place(first))
      await eventually('the start records', async () => (await first.records()).length === 2)
      const { reservedMicros } = await standing(database, 'north-hub')
      ok(reservedMicros > 0n)
      await first.crash()
      const second = await start(first.folder)
      const records = await booksAgree(second, 2)
      const [final] = records.filter(({ kind, leg }) => kind === 'final' && leg === 'ingress')
      equal(final?.incomplete, true)
      const { balanceMicros } = await standing(await second.database(), 'north-hub')
      // Killed before a heartbeat it lasted 0 ms, which costs the first second.
      equal(balanceMicros, 1_000_000n - BigInt(Math.max(1, final?.units ?? 0)) * 1_000n)
    },
    generousMs
  )

  it(
    'the database away: its live call goes on, a new one is refused at once, and all is charged once it is back',
    async () => {
      const running = await start(null, await postgres.freshUrl())
      await payIn(await running.database(), agreement(), '1')
      const live = place(running)
      await answered(live)
      await eventually('the start records', async () => (await running.records()).length === 2)
      await postgres.away()
      const { status } = await refusal(place(running))
      ok([402, 503].includes(status), String(status))
      const asked = 'a part failed'
      await eventually(
        'more credit was asked for in vain',
        () => running.logged().some(({ msg }) => msg === asked),
        generousMs
      )
      equal(live.ended, null)
      await postgres.back()
      live.call.bye()
      await ended(live)
      await booksAgree(running, 4)
    },
    generousMs
  )
})
