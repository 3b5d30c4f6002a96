// A Matrix user (matrix-js-sdk's MatrixCall in Chromium, on a real Synapse) and the phone network, through the whole hub.
// needs: synapse chromium

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { openBrowser } from '../support/browser.ts'
import type { TestBrowser } from '../support/browser.ts'
import { startMatrixPhone } from '../support/matrix-phone.ts'
import type { MatrixPhone } from '../support/matrix-phone.ts'
import { ghostOf, numbers, openMatrixHub } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import type { MatrixAccount } from '../support/synapse.ts'

let world: MatrixHub
let browser: TestBrowser
let account: MatrixAccount
let alice: MatrixPhone
let roomId = ''

beforeAll(async () => {
  browser = await openBrowser('matrix-phone.js')
  world = await openMatrixHub({ anchor: 'embedded' })
  account = await world.synapse.user('alice')
  alice = await startMatrixPhone(browser, world.synapse.url, account)
  roomId = await alice.room(ghostOf(numbers.phone))
}, 300_000)

afterAll(async () => {
  equal(await world.faults(), [])
  await alice.stop()
  equal(await world.close(), 0)
  await browser.close()
}, 120_000)

describe('a Matrix user', () => {
  it('calls a phone, both hear each other, and hangs up', async () => {
    const since = await world.finalCount()
    await alice.call(roomId, 700)
    const phone = await world.phone()
    await alice.wait('call connected')
    // The phone sends back what it hears.
    await alice.talks(700)
    await alice.hangUp()
    await phone.ended
    const finals = await world.finals(2, since)
    equal(
      finals.map(({ leg, cause, access }) => [leg, cause, access]),
      [
        ['ingress', 'normal', 'matrix'],
        ['egress', 'normal', 'nni']
      ]
    )
    ok(finals.every(({ duration_ms: ms }) => ms > 0))
  }, 90_000)
})
