// What is read again after an outage: invitations of every ghost, the newest of every room, as far as it is unknown.

import { describe, expect, it } from '@jest/globals'
import { readEvent } from '../../../src/adapters/matrix/intake.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { readBack, recoverIsland } from '../../../src/adapters/matrix/recovery.ts'
import type { RecoveryParts } from '../../../src/adapters/matrix/recovery.ts'
import { FakeHomeserver, FakeStore, alice, no, phoneGhost, roomId } from '../../support/matrix-fakes.ts'

const day = 86_400_000
const now = 10 * day

function recovery() {
  const homeserver = new FakeHomeserver()
  const store = new FakeStore()
  const taken: string[] = []
  const urgent: string[] = []
  const caughtUp: (readonly string[])[] = []
  const invited: (readonly [string, string, string])[] = []
  const parts: RecoveryParts = {
    homeserver,
    store,
    limits,
    now: () => now,
    ghosts: () => [phoneGhost],
    urgent: () => urgent,
    caughtUp: (room, told) => void caughtUp.push([room, ...told.map(({ event_id: id }) => id)]),
    invited: async (room, ghost, by) => void invited.push([room, ghost, by]),
    take: async events => {
      const ids = events.flatMap(value => readEvent(value)?.event.event_id ?? [])
      taken.push(...ids)
      await store.keep(ids.map(id => ({ event: { event_id: id } as never, ageMs: 0, arrivedAt: now })))
    }
  }
  return { parts, homeserver, store, taken, invited, urgent, caughtUp }
}
const event = (id: string, more: object = {}): object => ({
  event_id: id,
  room_id: roomId,
  type: 'm.room.message',
  sender: alice,
  content: {},
  origin_server_ts: now,
  ...more
})
const invitation = event('$invited', { type: 'm.room.member', state_key: phoneGhost })
/** A room's history, the newest last, in pages of two. */
const history =
  (events: readonly object[]): FakeHomeserver['answer'] =>
  ({ query = {} }) => {
    const newest = events.toReversed()
    const from = Number(query['from'] ?? 0)
    const chunk = newest.slice(from, from + 2)
    return from + 2 < newest.length ? { chunk, end: String(from + 2) } : { chunk }
  }

describe('a room', () => {
  it('is read back to a page that is known, and handed on oldest first', async () => {
    const { parts, homeserver, taken } = recovery()
    await parts.take([event('$2'), event('$3')])
    taken.length = 0
    homeserver.answer = history(['$0', '$1', '$2', '$3', '$4', '$5'].map(id => event(id)))
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$2', '$3', '$4', '$5'])
  })

  it('is read on behind one event that came although others were lost', async () => {
    const { parts, homeserver, taken } = recovery()
    await parts.take([event('$3')])
    taken.length = 0
    homeserver.answer = history(['$1', '$2', '$3', '$4'].map(id => event(id)))
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$1', '$2', '$3', '$4'])
  })

  it("ends at the ghost's own invitation, and never before it", async () => {
    const { parts, homeserver, taken } = recovery()
    homeserver.answer = history([event('$old'), invitation, event('$1')])
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$1'])
  })

  it('ends at what is too old, by its age first and by its time stamp where there is none', async () => {
    const { parts, homeserver, taken } = recovery()
    const old = event('$old', { origin_server_ts: now - 4 * day })
    homeserver.answer = history([old, event('$1')])
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$1'])
    // The homeserver's clock is years behind, and its events are young.
    taken.length = 0
    const young = event('$young', { origin_server_ts: 1, unsigned: { age: 5 } })
    homeserver.answer = history([event('$ancient', { unsigned: { age: 4 * day } }), young])
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$young'])
  })

  it('ends after so many pages', async () => {
    const { parts, homeserver, taken } = recovery()
    homeserver.answer = ({ query = {} }) => {
      const from = Number(query['from'] ?? 0)
      return { chunk: [event(`$${from}`)], end: String(from + 1) }
    }
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toHaveLength(limits.backfillPages)
    expect(taken.at(-1)).toBe('$0')
  })

  it('that may not be read is left alone; a homeserver that is away is told', async () => {
    const { parts, homeserver, taken } = recovery()
    homeserver.answer = () => no(403, 'M_FORBIDDEN')
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual([])
    homeserver.answer = () => no(502)
    await expect(readBack(parts, roomId, phoneGhost)).rejects.toMatchObject({ kind: 'down' })
  })

  it('with odd answers hurts nobody', async () => {
    const { parts, homeserver, taken } = recovery()
    for (const answer of [{}, { chunk: [] }, { chunk: [7, null, {}], end: 'x' }]) {
      homeserver.answer = () => answer
      await readBack(parts, roomId, phoneGhost)
    }
    expect(taken).toHaveLength(0)
    // A page may be empty, because all of it is hidden, and not be the last.
    homeserver.answer = ({ query = {} }) =>
      query['from'] === undefined ? { chunk: [], end: 'x' } : { chunk: [event('$1')] }
    await readBack(parts, roomId, phoneGhost)
    expect(taken).toEqual(['$1'])
  })
})

describe('an island', () => {
  it('reads the invitations of its ghosts, each as itself, and all its open rooms', async () => {
    const { parts, homeserver, store, invited, taken } = recovery()
    const room = { roomId, ghost: phoneGhost, user: alice, encrypted: false, joined: true }
    await store.saveRoom(room)
    await store.saveRoom({ ...room, roomId: '!closed' })
    await store.closeRoom('!closed', phoneGhost)
    const member = { type: 'm.room.member', state_key: phoneGhost, sender: alice, content: { membership: 'invite' } }
    const invite = { '!new': { invite_state: { events: [{ type: 'm.room.name' }, member] } }, '!odd': {} }
    homeserver.answer = asked =>
      asked.path === '/v3/sync' ? { rooms: { invite, join: {} } } : { chunk: [event('$1')] }
    await recoverIsland(parts)
    expect(invited).toEqual([['!new', phoneGhost, alice]])
    expect(taken).toEqual(['$1'])
    expect(homeserver.asked.map(({ as }) => as)).toEqual([phoneGhost, phoneGhost])
    expect(homeserver.said.some(path => path.includes('!closed'))).toBe(false)
  })

  it('reads first where events wait for it, and tells of each room what was said in which order', async () => {
    const { parts, homeserver, store, urgent, caughtUp } = recovery()
    const room = { roomId, ghost: phoneGhost, user: alice, encrypted: false, joined: true }
    for (const id of ['!a', '!b', '!c']) await store.saveRoom({ ...room, roomId: id })
    urgent.push('!c', '!unknown')
    homeserver.answer = ({ path, query = {} }) => {
      if (path === '/v3/sync') return {}
      const id = decodeURIComponent(path).split('/')[3] ?? ''
      const answered = history([1, 2, 3].map(n => event(`${id} ${n}`)))
      return answered({ query } as never)
    }
    await recoverIsland({ ...parts, limits: { ...limits, recoverAtOnceMax: 1 } })
    const order = caughtUp.filter(([id], at) => caughtUp.findIndex(([other]) => other === id) === at)
    expect(order).toEqual([
      ['!unknown'],
      ['!c', '!c 1', '!c 2', '!c 3'],
      ['!a', '!a 1', '!a 2', '!a 3'],
      ['!b', '!b 1', '!b 2', '!b 3']
    ])
    expect(decodeURIComponent(homeserver.asked[0]!.path)).toContain('!c')
  })
})
