// A homeserver with narrow limits for everybody, whose users join no room by themselves: what is limited comes late and
// in order, and nothing rings for somebody who is only invited.
// needs: synapse

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { ghostOf, numbers, openMatrixHub } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { openMatrixUser, roomPath } from '../support/matrix-user.ts'
import type { MatrixUser } from '../support/matrix-user.ts'
import { eventually } from '../support/until.ts'

jest.setTimeout(120_000)

let world: MatrixHub
let alice: MatrixUser

beforeAll(async () => {
  world = await openMatrixHub({
    anchor: 'embedded',
    portMin: 43_000,
    synapse: { tight: true, autoJoin: false },
    registration: text => text.replace('rate_limited: false', 'rate_limited: true')
  })
  alice = openMatrixUser(await world.synapse.user('alice'))
}, 300_000)
afterAll(async () => {
  await alice?.close()
  await world?.close()
}, 120_000)

/** The room that she is invited to by that ghost. */
const invitedBy = (ghost: string): Promise<string> =>
  eventually(`an invitation of ${ghost}`, async () => {
    const { body } = await alice.request('GET', '/_matrix/client/v3/sync?timeout=0')
    const { invite = {} } = (body['rooms'] ?? {}) as { readonly invite?: Readonly<Record<string, unknown>> }
    return Object.entries(invite).find(([, state]) => JSON.stringify(state).includes(ghost))?.[0]
  })
const join = async (roomId: string): Promise<void> => {
  await eventually(
    'she may join',
    async () => (await alice.request('POST', roomPath(roomId, 'join'), {})).status === 200
  )
}

describe('a user who has not joined yet', () => {
  it('is not rung: her devices ring once she has joined', async () => {
    const since = await world.finalCount()
    const call = await world.phoneCalls(numbers.alice, 1_000)
    const roomId = await invitedBy(ghostOf(numbers.phone))
    await join(roomId)
    const invite = await alice.wait('a call', ({ type }) => type === 'm.call.invite')
    expect(invite).toMatchObject({ roomId, sender: ghostOf(numbers.phone) })
    await eventually('she may reject', async () => {
      const content = { call_id: invite.content['call_id'], party_id: 'ALICE', version: '1', reason: 'user_busy' }
      return (await alice.send(roomId, 'm.call.reject', content).catch(() => null)) !== null
    })
    const { message } = await call.ended
    expect(message?.kind === 'response' && message.status).toBe(486)
    expect((await world.finals(2, since)).map(({ cause }) => cause)).toEqual(['busy', 'busy'])
  })
})

describe('a homeserver that limits the hub', () => {
  it('gets everything later, in order, and each once', async () => {
    const texts = Array.from({ length: 10 }, (_, n) => `limited ${n}`)
    const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
    for (const text of texts) {
      expect(await world.operator.sendText(numbers.alice, text, { to, from: numbers.phone })).toBe(200)
    }
    await alice.hears('limited 9', 60_000)
    const heard = alice.seen.map(({ content }) => content['body']).filter(body => String(body).startsWith('limited '))
    expect(heard).toEqual(texts)
  })

  it('accepts a new ghost in a new room, in the end', async () => {
    const content = { preset: 'trusted_private_chat', is_direct: true, invite: [ghostOf('+4989777')] }
    const roomId = await eventually('she may make a room', async () => {
      const { status, body } = await alice.request('POST', '/_matrix/client/v3/createRoom', content)
      return status === 200 ? String(body['room_id']) : null
    })
    await alice.joined(roomId, ghostOf('+4989777'))
  })

  it('leaves right books', async () => {
    expect(await world.faults()).toEqual([])
  })
})
