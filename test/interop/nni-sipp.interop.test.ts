// SIPp as the IMS peer on both sides of the whole hub: every kind of call, records, charges, load.
// needs: sipp
// alone: a hundred calls at twenty a second, none of which may fail

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { freePort, startSipp } from '../support/sipp.ts'
import type { SippOptions, SippResult } from '../support/sipp.ts'

// Two operators told apart by address: everything 127/8 is this machine.
const north = '127.0.0.2'
const south = '127.0.0.3'
const rates = (rate: string) => [{ prefix: '+', destination: 'Anywhere', rate }]

let ports: Record<'udp' | 'tcp', number>
const hubs: Partial<Record<'udp' | 'tcp', HubProcess>> = {}

const config = (transport: 'udp' | 'tcp', port: number) => ({
  media: { anchor: 'embedded', address: '127.0.0.1', portMin: 30_000, portMax: 33_999 },
  operators: [
    {
      id: 'north',
      address: { host: north, port: 5060, transport },
      trust: 'network',
      ioi: 'north.example',
      routes: [{ prefix: '+33' }],
      keepaliveMs: 0
    },
    {
      id: 'south',
      address: { host: south, port, transport },
      trust: 'network',
      ioi: 'south.example',
      routes: [{ prefix: '+49' }],
      keepaliveMs: 0
    }
  ],
  agreements: [
    { id: 'north-hub', buyer: 'north', seller: 'hub', rates: rates('0.06') },
    { id: 'hub-south', buyer: 'hub', seller: 'south', rates: rates('0.03') }
  ]
})

beforeAll(async () => {
  ports = { udp: await freePort(south), tcp: await freePort(south) }
  hubs.udp = await startHubProcess({ config: config('udp', ports.udp) })
  // The same without drachtio-srf in between.
  hubs.tcp = await startHubProcess({ config: { ...config('tcp', ports.tcp), nni: { link: 'direct' } } })
}, 120_000)

afterAll(async () => {
  equal(await Promise.all(Object.values(hubs).map(hub => hub.stop())), [0, 0])
}, 120_000)

interface Pair {
  readonly transport: 'udp' | 'tcp'
  readonly caller: string
  readonly callee: string
  readonly more?: Partial<SippOptions>
}

/** SIPp calls SIPp through the hub; the records that came of it, by call. */
async function through({ transport, caller, callee, more = {} }: Pair) {
  const hub = hubs[transport]!
  const before = new Set((await hub.records()).map(record => record.call_id))
  const { calls = 1 } = more
  const uas = await startSipp({
    scenario: `${callee}.xml`,
    host: south,
    port: ports[transport],
    transport,
    calls,
    pauseMs: 300
  })
  const uac = await startSipp({
    scenario: `${caller}.xml`,
    host: north,
    transport,
    remote: { host: '127.0.0.1', port: hub.sipPort(transport) },
    service: '+4930123456',
    keys: { caller: '+33145678900' },
    pauseMs: 300,
    calls,
    ...more
  })
  const results = await Promise.all([uac.done, uas.done])
  const records = await eventually('every call has its finals', async () => {
    const fresh = (await hub.records()).filter(record => !before.has(record.call_id) && record.kind === 'final')
    return fresh.length >= calls * 2 ? fresh : null
  })
  return { results, records }
}

const succeeded = (results: readonly SippResult[], calls = 1): void => {
  for (const { successful, failed, errors } of results) equal([successful, failed], [calls, 0], errors)
}
const brief = (records: readonly CdrRecord[]) =>
  [...records]
    .sort((a, b) => b.leg.localeCompare(a.leg))
    .map(r => [r.leg, r.provider, r.cause, r.release_side, r.t_answer !== null])

for (const transport of ['udp', 'tcp'] as const) {
  describe(`an operator calls another through the hub over ${transport.toUpperCase()}`, () => {
    it('answered, BYE from the caller', async () => {
      const { results, records } = await through({ transport, caller: 'ims-uac', callee: 'ims-uas' })
      succeeded(results)
      equal(brief(records), [
        ['ingress', 'north', 'normal', 'caller', true],
        ['egress', 'south', 'normal', 'caller', true]
      ])
      equal(
        [...records].sort((a, b) => b.leg.localeCompare(a.leg)).map(r => [r.calling, r.dialled, r.orig_ioi]),
        [
          ['+33145678900', '+4930123456', 'north.example'],
          ['+33145678900', '+4930123456', 'isthmus.invalid']
        ]
      )
      equal(new Set(records.map(r => r.icid)).size, 1)
    })
    it('answered, BYE from the called side', async () => {
      const { results, records } = await through({ transport, caller: 'ims-uac-bye-in', callee: 'ims-uas-bye' })
      succeeded(results)
      equal(
        brief(records).map(r => r.slice(2, 4)),
        [
          ['normal', 'callee'],
          ['normal', 'callee']
        ]
      )
    })
    it('busy', async () => {
      const { results, records } = await through({ transport, caller: 'ims-uac-refused', callee: 'ims-uas-busy' })
      succeeded(results)
      equal(
        brief(records).map(r => r.slice(2)),
        [
          ['busy', 'callee', false],
          ['busy', 'callee', false]
        ]
      )
      equal(
        records.map(r => [r.final_code, r.units]),
        [
          [486, 0],
          [486, 0]
        ]
      )
    })
    it('nobody answers', async () => {
      const { results, records } = await through({ transport, caller: 'ims-uac-refused', callee: 'ims-uas-no-answer' })
      succeeded(results)
      equal(
        records.map(r => [r.final_code, r.q850, r.t_answer]),
        [
          [480, 19, null],
          [480, 19, null]
        ]
      )
      ok(records.every(r => r.t_alert !== null))
    })
    it('the caller gives up', async () => {
      const { results, records } = await through({ transport, caller: 'ims-uac-cancel', callee: 'ims-uas-cancelled' })
      succeeded(results)
      equal(
        brief(records).map(r => r.slice(2)),
        [
          ['cancelled', 'caller', false],
          ['cancelled', 'caller', false]
        ]
      )
    })
    it('re-INVITE: hold and resume', async () => {
      const { results } = await through({ transport, caller: 'ims-uac-hold', callee: 'ims-uas-hold' })
      succeeded(results)
    })
    it('an INVITE without SDP: the called side offers, the ACK answers', async () => {
      const { results } = await through({ transport, caller: 'ims-uac-offerless', callee: 'ims-uas' })
      succeeded(results)
    })
  })
}

describe('many calls', () => {
  it('100 calls at 20 a second: none fails, every call has exactly one final record per leg, and is charged once', async () => {
    const { results, records } = await through({
      transport: 'udp',
      caller: 'ims-uac',
      callee: 'ims-uas',
      more: { calls: 100, callsPerSecond: 20, pauseMs: 1_000 }
    })
    succeeded(results, 100)
    const legs = records.map(r => `${r.call_id} ${r.leg}`)
    equal([records.length, new Set(legs).size, new Set(records.map(r => r.call_id)).size], [200, 200, 100])
    const database = await hubs.udp!.database()
    const ids = [...new Set(records.map(r => r.call_id))]
    await eventually('every record is charged', async () => {
      const { rows } = await database.query<{ n: string }>(
        'select count(*)::text as n from charge join cdr_final using (cdr_id) where call_id = any($1::uuid[])',
        [ids]
      )
      return rows[0]?.n === '200'
    })
  }, 90_000)
})
