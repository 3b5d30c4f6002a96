// A real Synapse starts with the registration that the hub writes.
// needs: synapse
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal } from 'node:assert/strict'
import { startSynapse } from '../support/synapse.ts'
import type { Synapse } from '../support/synapse.ts'

let synapse: Synapse
beforeAll(async () => {
  synapse = await startSynapse({ serverName: 'hs.test', registrations: [] })
}, 300_000)
afterAll(() => synapse.stop(), 30_000)

describe('synapse', () => {
  it('has users', async () => {
    const alice = await synapse.user('alice')
    equal(alice.userId, '@alice:hs.test')
    await synapse.crash()
    await synapse.start()
    equal((await alice.request('GET', '/_matrix/client/v3/account/whoami')).status, 200)
  }, 60_000)
})
