// A media anchor that is not there, comes, dies and comes back: calls are refused or work, the hub stays.
// needs: rtpengine

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match } from 'node:assert/strict'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { freePort } from '../support/sipp.ts'

let postgres: TestPostgres
let hub: HubProcess
let north: Phone
let south: Phone
let rtpengine: Rtpengine | null = null
let ngPort = 0

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
  ngPort = await freePort()
  hub = await startHubProcess({
    config: {
      ...operators({ ports: { south: south.port } }),
      media: { anchor: 'rtpengine', rtpengine: [{ host: '127.0.0.1', port: ngPort }] }
    },
    env: { DATABASE_URL: await postgres.freshUrl() }
  })
}, 120_000)

afterAll(async () => {
  await north.close()
  await south.close()
  equal(await hub.stop(), 0)
  await rtpengine?.stop()
  await postgres.stop()
}, 120_000)

const call = () => north.call(numbers.south, hub.sipPort('udp'))

async function isRefused(): Promise<void> {
  const rung = south.calls.length
  const placed = call()
  const { status, reason } = await refusal(placed)
  equal(Math.floor(status / 100), 5)
  match(reason, /text="media anchor not reachable"/)
  equal(south.calls.length, rung)
  const records = await eventually('its records', async () => {
    const all = (await hub.records()).filter(({ kind }) => kind === 'final')
    const own = all.find(r => r.sip_call_id === placed.call.id)
    return own && all.filter(r => r.call_id === own.call_id)
  })
  for (const { reason: why, units, release_side } of records) {
    equal([why, units, release_side], ['media anchor not reachable', 0, 'hub'])
  }
}

async function works(): Promise<void> {
  const placed = call()
  await answered(placed)
  match(placed.answered?.body.toString() ?? '', /^c=IN IP4 127\.0\.0\.1\r$/m)
  placed.call.bye()
  equal((await ended(placed)).how, 'bye')
}

const back = (times: number) =>
  eventually(
    'rtpengine is found',
    () => hub.logged().filter(({ msg }) => msg === 'rtpengine answers again').length >= times
  )

describe('the media anchor', () => {
  it('was never there: calls are refused with a reason before anything rings; the first one after it came works', async () => {
    await isRefused()
    rtpengine = await startRtpengine({ port: ngPort })
    await back(1)
    await works()
  }, 60_000)

  it('dies without a word: calls are refused, and work again with its successor', async () => {
    await rtpengine?.kill()
    await isRefused()
    rtpengine = await startRtpengine({ port: ngPort })
    await back(2)
    await works()
  }, 60_000)
})
