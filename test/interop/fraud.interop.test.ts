// The whole hub under fraud: a rule that may block refuses further calls, says why to the caller and in the record, and
// lets them go again when a person says so.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { activeBlocks, listSignals, releaseBlock } from '../../src/clearing/fraud/store.ts'
import { cleared } from '../support/books.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'

let postgres: TestPostgres
let north: Phone
let south: Phone
let hub: HubProcess

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
  const irsf = { ranges: ['+493012'], rangeCalls: 2, block: true }
  hub = await startHubProcess({
    config: { ...operators({ ports: { south: south.port } }), fraud: { irsf } },
    env: { DATABASE_URL: await postgres.freshUrl() }
  })
}, 180_000)

afterAll(async () => {
  await hub.stop()
  await north.close()
  await south.close()
  await postgres.stop()
}, 60_000)

describe('a hub whose rules may block', () => {
  it('FRD-01 refuses calls to a range after too many, explained in dialect and record, until it is released', async () => {
    for (let n = 0; n < 2; n++) {
      const call = north.call(numbers.south, hub.sipPort('udp'))
      await answered(call)
      call.call.bye()
      await ended(call)
    }
    const database = await hub.database()
    const block = await eventually('the rule blocks', async () => (await activeBlocks(database))[0])
    const [signal] = await listSignals(database, { rule: 'irsf-range', max: 1 })
    equal(signal?.text, 'north made 2 calls to the range +493012 within an hour')
    equal([block.signalId, block.from, block.calledPrefix], [signal?.id, 'north', '493012'])
    // The hub has made the block itself; in its memory it is a moment later.
    const refused = await eventually('a call is refused', async () => {
      const call = north.call(numbers.south, hub.sipPort('udp'))
      const outcome = await answered(call).then(
        () => 'answered',
        () => 'refused'
      )
      if (outcome === 'refused') return call
      call.call.bye()
      await ended(call)
      return null
    })
    const { status, reason } = await refusal(refused)
    equal(status, 403)
    match(reason, /blocked by irsf-range until 20[0-9TZ-]+ \(block 1\)/)
    const record = await eventually('the record of the refused call', async () =>
      (await hub.records()).find(
        ({ kind, leg, cause }) => kind === 'final' && leg === 'ingress' && cause === 'forbidden'
      )
    )
    match(record.reason ?? '', /blocked by irsf-range until .* \(block 1\)/)
    equal([record.duration_ms, record.t_answer, record.release_side], [0, null, 'hub'])
    await eventually('it is charged nothing', async () => {
      const { rows } = await database.query<{ rule: string; amount_micros: bigint }>(
        'select rule, amount_micros from charge where cdr_id = $1',
        [record.cdr_id]
      )
      return rows[0]?.rule === 'refused' && rows[0].amount_micros === 0n
    })

    await releaseBlock(database, { id: block.id, reason: 'a test', by: 'anna' })
    for (const { id } of (await activeBlocks(database)).values()) {
      await releaseBlock(database, { id, reason: 'a test', by: 'anna' })
    }
    const call = await eventually('a call is let in again', async () => {
      const again = north.call(numbers.south, hub.sipPort('udp'))
      return answered(again).then(
        () => again,
        () => null
      )
    })
    call.call.bye()
    await ended(call)
    ok((await cleared(database)) > 0)
  }, 180_000)
})
