// The tables of an island, on a real PostgreSQL.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { readEvent } from '../../../src/adapters/matrix/intake.ts'
import { createStore, matrixMigrations } from '../../../src/adapters/matrix/store.ts'
import type { Store, Waiting } from '../../../src/adapters/matrix/store.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestPostgres } from '../../support/database.ts'
import { alice, phoneGhost, roomId } from '../../support/matrix-fakes.ts'

let postgres: TestPostgres
let store: Store
let other: Store
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 120_000)
beforeEach(async () => {
  const database = await postgres.fresh(matrixMigrations)
  store = createStore(database, 'rooms')
  other = createStore(database, 'other')
})
afterAll(() => postgres.stop(), 60_000)

const waiting = (id: string, more: object = {}, arrivedAt = 1_000): Omit<Waiting, 'seq'> => {
  const base = { event_id: id, room_id: roomId, type: 'm.test', sender: alice, content: {}, origin_server_ts: 1 }
  const read = readEvent({ ...base, ...more })
  if (read === null) throw new Error('no event')
  return { ...read, arrivedAt }
}
const ids = (found: readonly { readonly event: { readonly event_id: string } }[]): readonly string[] =>
  found.map(({ event }) => event.event_id)

describe('events', () => {
  it('are kept once, in their order, whole, and for their island alone', async () => {
    const first = waiting('$2', { content: { body: 'ж 😀 \u0000' }, age: 7, state_key: '' })
    expect(ids(await store.keep([first, waiting('$1'), waiting('$2')]))).toEqual(['$2', '$1'])
    expect(ids(await store.keep([waiting('$1'), waiting('$3')]))).toEqual(['$3'])
    expect(ids(await other.keep([waiting('$1')]))).toEqual(['$1'])
    const [kept] = await store.waiting(10)
    expect(kept).toMatchObject({ event: first.event, ageMs: 7, arrivedAt: 1_000 })
    expect(ids(await store.waiting(2))).toEqual(['$2', '$1'])
    expect(await store.keep([])).toEqual([])
  })

  it('that are handled wait no more, and are known until they are forgotten', async () => {
    await store.keep([waiting('$1'), waiting('$2', {}, 5_000)])
    await store.handled(['$1'])
    await store.handled([])
    expect(ids(await store.waiting(10))).toEqual(['$2'])
    expect([...(await store.known(['$1', '$2', '$3']))].toSorted()).toEqual(['$1', '$2'])
    expect([...(await other.known(['$1']))]).toEqual([])
    // Only what is handled, and old enough.
    await store.prune(2_000)
    await store.prune(9_000)
    expect([...(await store.known(['$1', '$2']))]).toEqual(['$2'])
  })

  it('are begun once, also by two at the same time', async () => {
    await store.keep([waiting('$1')])
    const began = await Promise.all(Array.from({ length: 4 }, () => store.begin('$1')))
    expect(began.filter(Boolean)).toHaveLength(1)
    expect(await store.begin('$unknown')).toBe(false)
  })
})

describe('ghosts and rooms', () => {
  const room = { roomId, ghost: phoneGhost, user: alice, encrypted: false, joined: false }

  it('are remembered as they were last', async () => {
    await store.saveGhost(phoneGhost, 'a', false)
    await store.saveGhost(phoneGhost, 'b', true)
    expect(await store.ghosts(10)).toEqual([{ userId: phoneGhost, onDevice: true }])
    expect(await other.ghosts(10)).toEqual([])
  })

  it('are found by their two members: joined before invited, the newest first, closed ones never', async () => {
    await store.saveRoom(room, 1)
    await store.saveRoom({ ...room, roomId: '!newer' }, 2)
    expect((await store.direct(phoneGhost, alice))?.roomId).toBe('!newer')
    await store.saveRoom({ ...room, joined: true, encrypted: true }, 1)
    expect(await store.direct(phoneGhost, alice)).toEqual({ ...room, joined: true, encrypted: true })
    await store.closeRoom(roomId, phoneGhost)
    expect((await store.direct(phoneGhost, alice))?.roomId).toBe('!newer')
    expect(await store.room(roomId)).toEqual([])
    expect((await store.rooms(10)).map(each => each.roomId)).toEqual(['!newer'])
    expect(await other.direct(phoneGhost, alice)).toBeNull()
    // She comes back to it.
    await store.saveRoom(room, 3)
    expect(await store.room(roomId)).toEqual([room])
  })
})
