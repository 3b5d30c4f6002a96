// Races at the end of a call, through the whole hub: second and crossing BYE, CANCEL against the answer, a late answer.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { createHeaders, makeResponse } from '../../src/sip/message.ts'
import { createStack } from '../../src/sip/stack.ts'
import type { ServerTransaction, SipStack } from '../../src/sip/stack.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, sdpAt, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'
import { until } from '../support/until.ts'

let postgres: TestPostgres
let hub: HubProcess
let north: Phone
let south: Phone
/** An operator that answers what it was told to forget. */
let stubborn: SipStack
const asked: ServerTransaction[] = []
const acknowledged: string[] = []
let port = 0
/** Turns of the event loop from ringing to the answer. */
let answersAfter = (): number => 0

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({
    host: hosts.south,
    incoming: call => {
      call.ring()
      void turns(answersAfter()).then(() => call.answer({ body: sdpAt(hosts.south) }))
    }
  })
  stubborn = createStack({
    listen: [{ transport: 'udp', host: hosts.west, port: 0 }],
    handler: {
      request: tx => {
        asked.push(tx)
        if (tx.request.method !== 'INVITE') return tx.respond(makeResponse(tx.request, 200))
        tx.respond(makeResponse(tx.request, 180, { toTag: tx.localTag }))
        tx.onCancel = () => {
          const headers = createHeaders([
            ['Contact', `<sip:${hosts.west}:${stubborn.listening[0]?.port}>`],
            ['Content-Type', 'application/sdp']
          ])
          tx.respond(makeResponse(tx.request, 200, { toTag: tx.localTag, headers, body: sdpAt(hosts.west) }))
        }
      },
      ack: ack => void acknowledged.push(ack.headers.get('Call-ID') ?? '')
    }
  })
  await stubborn.start()
  const ports = { north: north.port, south: south.port, west: stubborn.listening[0]?.port ?? 0 }
  const { agreements, ...rest } = operators({ ports })
  const withWest = { id: 'hub-west', buyer: 'hub', seller: 'west', rates: [rate] }
  hub = await startHubProcess({
    config: { ...rest, agreements: [...(agreements as unknown[]), withWest] },
    env: { DATABASE_URL: await postgres.freshUrl() }
  })
  port = hub.sipPort('udp')
}, 120_000)

const rate = { prefix: '+1', destination: 'West', rate: '0.01' }

afterAll(async () => {
  await north.close()
  await south.close()
  await stubborn.close()
  equal(await hub.stop(), 0)
  await postgres.stop()
}, 120_000)

/** The finals of a call: exactly one for each of its legs. */
async function finalsOf({ call }: Placed, legs = 2): Promise<readonly CdrRecord[]> {
  const records = await eventually(`the finals of ${call.id}`, async () => {
    const all = (await hub.records()).filter(({ kind }) => kind === 'final')
    const own = all.find(r => r.sip_call_id === call.id)
    const found = own === undefined ? [] : all.filter(r => r.call_id === own.call_id)
    return found.length >= legs && found
  })
  equal(records.map(({ leg, attempt }) => `${leg} ${attempt}`).sort(), ['egress 1', 'ingress 1'].slice(2 - legs))
  return records
}

describe('the end of a call', () => {
  it('a second BYE is told that the call is gone, and ends nothing twice', async () => {
    const call = north.call(numbers.south, port)
    await answered(call)
    const { dialog } = call.call
    ok(dialog !== null)
    call.call.bye()
    await ended(call)
    await finalsOf(call)
    const again = new Promise<number>(settle => {
      north.agent.stack.send(dialog.request('BYE'), dialog.nextHop()!, {
        response: ({ status }) => settle(status),
        failed: () => settle(0)
      })
    })
    equal(await again, 481)
    const records = await finalsOf(call)
    equal(new Set(records.map(({ cause }) => cause)), new Set(['normal']))
  })

  it('both sides hang up at once: each is answered, one side is the one that ended it', async () => {
    for (let n = 0; n < 10; n++) {
      const before = south.calls.length
      const call = north.call(numbers.south, port)
      await answered(call)
      const other = south.calls[before]!
      await until(() => other.call.state === 'confirmed')
      call.call.bye()
      other.call.bye()
      const records = await finalsOf(call)
      equal(new Set(records.map(({ release_side }) => release_side)).size, 1)
      equal(
        records.every(({ cause, t_answer }) => cause === 'normal' && t_answer !== null),
        true
      )
    }
  }, 60_000)

  it('CANCEL against the answer, in every order: nobody stays in the call, and the records agree', async () => {
    const calls: Placed[] = []
    const from = south.calls.length
    // Each side acts some turns after the ringing: CANCEL and answer meet at the caller, in the hub, at the callee.
    answersAfter = () => ((south.calls.length - from) % 6) * 4
    for (let n = 0; n < 36; n++) {
      const call = north.call(numbers.south, port, {
        provisional: () => void turns(Math.floor(n / 6) * 4).then(() => call.call.end())
      })
      calls.push(call)
      await until(() => south.calls.length > from + n)
    }
    await Promise.all(calls.map(ended))
    await until(() => south.calls.slice(from).every(({ ended: end }) => end !== null))
    answersAfter = () => 0
    const causes = new Set<string | null>()
    for (const call of calls) {
      const records = await finalsOf(call)
      for (const { cause } of records) causes.add(cause)
      const both = records.map(({ t_answer, duration_ms }) => [t_answer, duration_ms])
      equal(both[0], both[1])
      equal(
        records.every(({ release_side }) => release_side === 'caller'),
        true,
        JSON.stringify(records.map(({ cause, release_side }) => [cause, release_side]))
      )
    }
    // Both came first at times.
    equal(causes, new Set(['cancelled', 'normal']))
  }, 60_000)

  it('an answer after the caller has hung up is acknowledged and ended, and not charged', async () => {
    const call = north.call(numbers.west, port)
    await until(() => call.statuses.includes(180))
    call.call.cancel()
    equal((await ended(call)).how, 'cancelled')
    await until(() => asked.some(({ request }) => request.method === 'BYE'))
    const callId = asked.find(({ request }) => request.method === 'INVITE')?.request.headers.get('Call-ID')
    ok(callId !== undefined && acknowledged.includes(callId))
    const records = await finalsOf(call)
    equal(
      records.map(({ cause, t_answer, units }) => [cause, t_answer, units]),
      [
        ['cancelled', null, 0],
        ['cancelled', null, 0]
      ]
    )
    const database = await hub.database()
    const { rows } = await database.query('select from transfer where cdr_id = any($1::uuid[])', [
      records.map(r => r.cdr_id)
    ])
    equal(rows.length, 0)
  })
})

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await nextTurn()
}
