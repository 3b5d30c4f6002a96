// The link to a real Synapse: ghosts, rooms, events in and out, and what a restart of either side loses without it.
// needs: synapse

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok, rejects } from 'node:assert/strict'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually } from '../support/hub.ts'
import { ghostOf, startMatrixWorld, tokens } from '../support/matrix-island.ts'
import type { MatrixWorld } from '../support/matrix-island.ts'
import type { MatrixAccount } from '../support/synapse.ts'

let postgres: TestPostgres
let world: MatrixWorld
let alice: MatrixAccount
const phone = ghostOf('4989123456')

beforeAll(async () => {
  postgres = await startTestPostgres()
  world = await startMatrixWorld({ postgres })
  alice = await world.synapse.user('alice')
  await eventually('the homeserver answers', () => world.island.up, 30_000)
}, 300_000)
afterAll(async () => {
  await world.close()
  await postgres.stop()
}, 60_000)

const bodies = (roomId: string): readonly unknown[] =>
  world.events
    .filter(event => event.roomId === roomId && event.type === 'm.room.message')
    .map(({ content }) => content['body'])

async function roomWith(ghost: string, preset = 'trusted_private_chat'): Promise<string> {
  const { body } = await alice.request('POST', '/_matrix/client/v3/createRoom', {
    preset,
    is_direct: true,
    invite: [ghost]
  })
  return String(body['room_id'])
}

async function members(roomId: string): Promise<readonly string[]> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/joined_members`
  return Object.keys((await alice.request('GET', path)).body['joined'] as object)
}

let texts = 0
async function says(roomId: string, body: string): Promise<string> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/t${++texts}`
  const { status, body: answer } = await alice.request('PUT', path, { msgtype: 'm.text', body })
  equal(status, 200, JSON.stringify(answer))
  return String(answer['event_id'])
}

const push = (txnId: string, events: readonly object[], token: string = tokens.hs) =>
  fetch(`${world.endpointUrl}/_matrix/app/v1/transactions/${txnId}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ events })
  })

const text = (roomId: string, body: string, txnId: string, expiresAt: number | null = null) => ({
  ghost: phone,
  roomId,
  type: 'm.room.message',
  content: { msgtype: 'm.text', body },
  txnId,
  expiresAt
})

describe('a user who writes to a ghost', () => {
  it('is heard from the first word, also what was said before the ghost had joined', async () => {
    const roomId = await roomWith(phone)
    await says(roomId, 'at once')
    await says(roomId, 'and again')
    await eventually('both are heard', () => bodies(roomId).length === 2)
    equal(bodies(roomId), ['at once', 'and again'])
    const heard = world.events.find(event => event.roomId === roomId && event.type === 'm.room.message')
    equal([heard?.sender, heard?.ghost], [alice.userId, phone])
  }, 30_000)

  it('sees it write, and what it has read', async () => {
    const { roomId } = await world.island.directRoom(phone, alice.userId, null)
    await says(roomId, 'are you there')
    const asked = await eventually('it is heard', () =>
      world.events.find(({ content }) => content['body'] === 'are you there')
    )
    await world.island.read(phone, roomId, asked.eventId)
    await world.island.typing(phone, roomId, true)
    const seen = await eventually('alice sees both', async () => {
      const { body } = await alice.request('GET', '/_matrix/client/v3/sync?timeout=0')
      const printed = JSON.stringify(body)
      return printed.includes('m.typing') && printed.includes(`"m.read":{"${phone}"`) ? printed : null
    })
    ok(seen.includes(asked.eventId))
    await alice.request(
      'PUT',
      `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/typing/${encodeURIComponent(alice.userId)}`,
      { typing: true, timeout: 10_000 }
    )
    await eventually('her typing is heard', () =>
      world.ephemeral.some(
        heard => heard.type === 'typing' && heard.users.includes(alice.userId) && heard.ghost === phone
      )
    )
  }, 30_000)
})

describe('a room with several ghosts', () => {
  it('delivers nothing, and she is told so, once', async () => {
    const roomId = await roomWith(phone, 'private_chat')
    const invited = await alice.request('POST', `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/invite`, {
      user_id: ghostOf('4989111')
    })
    equal(invited.status, 200)
    await eventually('both are in', async () => (await members(roomId)).length === 3)
    await says(roomId, 'to whom')
    await says(roomId, 'again')
    const notices = await eventually('she is told', async () => {
      const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=50`
      const { chunk } = (await alice.request('GET', path)).body as unknown as {
        chunk: readonly { content: { msgtype?: string; body?: string } }[]
      }
      const found = chunk.filter(({ content }) => content.msgtype === 'm.notice')
      return found.length > 0 ? found : null
    })
    equal(notices.length, 1)
    ok(notices[0]?.content.body?.includes('several phone contacts'))
    equal(bodies(roomId), [])
  }, 30_000)
})

describe('a ghost that writes to a user', () => {
  it('gets one room with her, that both keep, and is called by its number', async () => {
    const other = ghostOf('4989777')
    const [first, same] = await Promise.all([
      world.island.directRoom(other, alice.userId, null),
      world.island.directRoom(other, alice.userId, null)
    ])
    equal(first.roomId, same.roomId)
    ok(await world.island.joined(first.roomId, alice.userId, 20_000))
    equal((await world.island.directRoom(other, alice.userId, null)).roomId, first.roomId)
    const { body } = await alice.request('GET', `/_matrix/client/v3/profile/${encodeURIComponent(other)}/displayname`)
    equal(body['displayname'], '+4989777')
  }, 30_000)

  it('says nothing twice, also where the answer to the first try was lost with the homeserver', async () => {
    const { roomId } = await world.island.directRoom(phone, alice.userId, null)
    const first = await world.island.send(text(roomId, 'once', 'txn-once'))
    await world.synapse.crash()
    const again = world.island.send(text(roomId, 'once', 'txn-once'))
    await world.synapse.start()
    equal(await again, first)
  }, 60_000)

  it('is told why where it may not', async () => {
    const left = ghostOf('4989778')
    // In a room where the ghost is no second creator she may send it away.
    const roomId = await roomWith(left, 'private_chat')
    await eventually('the room is known', async () => {
      const { rows } = await world.database.query('select 1 from matrix_room where room_id = $1', [roomId])
      return rows.length === 1
    })
    equal((await world.island.directRoom(left, alice.userId, null)).roomId, roomId)
    const kick = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/kick`
    const kicked = await alice.request('POST', kick, { user_id: left })
    equal(kicked.status, 200, JSON.stringify(kicked.body))
    await eventually('it is gone', () => world.gone.some(each => each.roomId === roomId && each.user === left))
    await rejects(world.island.send({ ...text(roomId, 'hello', 'txn-kicked'), ghost: left }), { why: 'forbidden' })
    const next = await world.island.directRoom(left, alice.userId, null)
    ok(next.roomId !== roomId)
  }, 30_000)
})

describe('a homeserver that goes away', () => {
  it('loses nothing that was said in rooms or invitations while its pushes were lost', async () => {
    const roomId = await roomWith(phone)
    await eventually('the ghost is in', async () => (await members(roomId)).includes(phone))
    // The hub is away: the homeserver queues; then it is killed with its queue in memory.
    await world.halt()
    for (let n = 0; n < 12; n++) await says(roomId, `unheard ${n}`)
    const invited = await roomWith(phone)
    await says(invited, 'in a new room')
    await world.synapse.crash()
    await world.synapse.start()
    const since = ['said since', 'and more']
    const ids = [await says(roomId, 'said since'), await says(roomId, 'and more')]
    await world.restart()
    // As the homeserver pushes them, ahead of all that was lost.
    const pushed = since.map((body, at) => ({
      event_id: ids[at],
      room_id: roomId,
      type: 'm.room.message',
      sender: alice.userId,
      content: { msgtype: 'm.text', body },
      origin_server_ts: Date.now(),
      age: 1
    }))
    equal((await push('1', pushed)).status, 200)
    await eventually('all is heard', () => bodies(roomId).length >= 14 && bodies(invited).length > 0, 60_000)
    equal(bodies(roomId), [...Array.from({ length: 12 }, (_, n) => `unheard ${n}`), 'said since', 'and more'])
    equal(bodies(invited), ['in a new room'])
    // After it new events have numbers that were there before: they are no repetition.
    await says(roomId, 'after all that')
    await eventually('the next one too', () => bodies(roomId).length === 15)
  }, 120_000)
})

describe('a hub that goes away', () => {
  it('handles an event again that it had not finished, and none that it had', async () => {
    const { roomId } = await world.island.directRoom(phone, alice.userId, null)
    await says(roomId, 'finished')
    await eventually('it is handled', async () => {
      const { rows } = await world.database.query('select 1 from matrix_event where event is not null')
      return bodies(roomId).includes('finished') && rows.length === 0
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    world.hold = promise
    await says(roomId, 'not finished')
    await eventually('it is heard', () => bodies(roomId).includes('not finished'))
    await world.halt()
    world.hold = null
    await world.restart()
    await eventually('it is heard again', () => bodies(roomId).filter(body => body === 'not finished').length === 2)
    resolve()
    equal(bodies(roomId).filter(body => body === 'finished').length, 1)
  }, 60_000)
})

describe('the endpoint', () => {
  it('takes nothing without the token, and answers JSON', async () => {
    equal((await push('900', [], 'wrong')).status, 403)
    const none = await fetch(`${world.endpointUrl}/_matrix/app/v1/transactions/901`, { method: 'PUT' })
    equal([none.status, ((await none.json()) as { errcode: string }).errcode], [401, 'M_UNAUTHORIZED'])
    equal(await (await push('902', [])).text(), '{}')
  })

  it('hears a repeated event once, and a repeated transaction number as a new one', async () => {
    const event = (id: string) => ({
      event_id: id,
      room_id: '!somewhere',
      type: 'm.test',
      sender: alice.userId,
      content: {},
      origin_server_ts: Date.now(),
      age: 5
    })
    for (const id of ['$a', '$a', '$b']) equal((await push('7', [event(id), 'noise' as unknown as object])).status, 200)
    await eventually('two are heard', () => world.events.filter(({ type }) => type === 'm.test').length === 2)
  })

  it('finds the ghost of a number for a client, in any form', async () => {
    const look = async (digits: string) =>
      (
        await alice.request(
          'GET',
          `/_matrix/client/v3/thirdparty/user/m.protocol.pstn?m.id.phone=${encodeURIComponent(digits)}`
        )
      ).body as unknown as { map(run: (one: { userid: string }) => string): { join(): string } }
    const found = async (digits: string): Promise<string> => (await look(digits)).map(({ userid }) => userid).join()
    equal(await found('+49 (89) 555'), ghostOf('4989555'))
    equal(await found('089555'), ghostOf('4989555'))
    equal(await found('x'), '')
  })
})
