// Ghosts and rooms: made once, remembered, kept true by what the homeserver says.

import { describe, expect, it } from '@jest/globals'
import { HubError } from '../../../src/errors.ts'
import type { Asked } from '../../../src/adapters/matrix/homeserver.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { patient } from '../../../src/adapters/matrix/patience.ts'
import { Rooms } from '../../../src/adapters/matrix/rooms.ts'
import type { RawEvent } from '../../../src/adapters/matrix/store.ts'
import {
  FakeHomeserver,
  FakeStore,
  alice,
  fakeParts,
  no,
  phoneGhost,
  quiet,
  roomId,
  serverName
} from '../../support/matrix-fakes.ts'
import { FakeClock, settle } from '../../support/world.ts'

type Answers = Readonly<Record<string, object | Error | ((asked: Asked) => object | Error | Promise<object | Error>)>>
/** By the end of the path; `{}` for the rest, and no encryption. */
const answers =
  (own: Answers): FakeHomeserver['answer'] =>
  asked => {
    const path = decodeURIComponent(asked.path)
    const found = Object.entries(own).find(([end]) => path.endsWith(end))?.[1]
    if (found !== undefined) return typeof found === 'function' ? found(asked) : found
    return path.includes('m.room.encryption') ? no(404, 'M_NOT_FOUND') : {}
  }

function setUp(own: Answers = {}, store = new FakeStore()) {
  const homeserver = new FakeHomeserver()
  const clock = new FakeClock()
  const joined: string[] = []
  const gone: string[] = []
  const standard: Answers = { '/createRoom': { room_id: roomId }, '/joined_members': { joined: {} } }
  homeserver.answer = answers({ ...standard, ...own })
  const rooms = new Rooms({
    islandId: 'rooms',
    homeserver: patient({ homeserver, clock, limits }),
    addresses: fakeParts().addresses as never,
    store,
    limits,
    clock,
    log: quiet,
    joining: async (room, ghost, join) => void ((await join()) && joined.push(`${ghost} ${room}`)),
    onGone: (room, user) => void gone.push(`${user} ${room}`)
  })
  return {
    rooms,
    homeserver,
    store,
    clock,
    joined,
    gone,
    answer: (more: Answers) => (homeserver.answer = answers({ ...standard, ...more }))
  }
}
const member = (user: string, membership: string, sender = user, room = roomId): RawEvent => ({
  event_id: `$${Math.random()}`,
  room_id: room,
  type: 'm.room.member',
  sender,
  state_key: user,
  content: { membership },
  origin_server_ts: 1
})
const both = { joined: { [alice]: {}, [phoneGhost]: {} } }

describe('a ghost', () => {
  it('is registered, given a device and called by its number, once', async () => {
    const { rooms, homeserver } = setUp()
    await rooms.register(phoneGhost)
    await rooms.register(phoneGhost)
    expect(homeserver.said).toEqual([
      'POST /v3/register',
      'PUT /v3/devices/ISTHMUS',
      `PUT /v3/profile/${phoneGhost}/displayname`
    ])
    expect(homeserver.asked[0]?.body).toMatchObject({ username: '_isthmus_4989123456', inhibit_login: true })
    expect(homeserver.asked[2]?.body).toEqual({ displayname: '+4989123456' })
    expect(rooms.hasDevice(phoneGhost)).toBe(true)
    expect(rooms.ghosts).toEqual([phoneGhost])
  })

  it('that exists already, without devices, or with a name nobody takes, is one as well', async () => {
    const { rooms } = setUp({
      '/register': no(400, 'M_USER_IN_USE'),
      '/ISTHMUS': no(400, 'M_UNKNOWN'),
      '/displayname': no(403, 'M_FORBIDDEN')
    })
    await rooms.register(phoneGhost)
    expect(rooms.hasDevice(phoneGhost)).toBe(false)
  })

  it('is none where the homeserver refuses it or is away', async () => {
    for (const refusal of [no(400, 'M_EXCLUSIVE'), no(502)]) {
      const { rooms } = setUp({ '/register': refusal })
      await expect(rooms.register(phoneGhost)).rejects.toBe(refusal)
      expect(rooms.ghosts).toEqual([])
    }
  })

  it('is asked for again when a limit is over, and not for ever', async () => {
    let tries = 0
    const { rooms, clock, answer } = setUp({ '/register': () => (++tries < 3 ? no(429, 'M_LIMIT_EXCEEDED', 700) : {}) })
    const registered = rooms.register(phoneGhost)
    await settle()
    await clock.advance(1_400)
    await registered
    expect(tries).toBe(3)
    answer({ '/displayname': {}, '/register': no(429, '', limits.backOffMsMax + 1) })
    await expect(rooms.register(`${phoneGhost}0`)).rejects.toMatchObject({ kind: 'limited' })
    tries = -1_000
    answer({ '/register': () => (tries++, no(429)) })
    const never = rooms.register(`${phoneGhost}1`).catch((error: { readonly kind: string }) => error.kind)
    await settle()
    await clock.advance(limits.limitedMs * limits.limitedTriesMax)
    expect(await never).toBe('limited')
    expect(tries).toBe(-1_000 + limits.limitedTriesMax)
  })

  it('is known after a restart', async () => {
    const { rooms, store } = setUp()
    await rooms.register(phoneGhost)
    const next = setUp({}, store)
    await next.rooms.start()
    await next.rooms.register(phoneGhost)
    expect(next.homeserver.asked).toEqual([])
    expect(next.rooms.hasDevice(phoneGhost)).toBe(true)
  })
})

describe('a direct room', () => {
  it('is made once, however many ask at once, and found after a restart', async () => {
    const { rooms, homeserver, store } = setUp()
    const [one, two] = await Promise.all([
      rooms.direct(phoneGhost, alice, 'Bob'),
      rooms.direct(phoneGhost, alice, null)
    ])
    expect([one, two]).toEqual([one, one])
    expect(one).toMatchObject({ roomId, encrypted: false, joined: false })
    const made = homeserver.asked.filter(({ path }) => path === '/v3/createRoom')
    expect(made).toMatchObject([{ as: phoneGhost, body: { is_direct: true, invite: [alice] } }])
    const next = setUp({}, store)
    expect((await next.rooms.direct(phoneGhost, alice, null)).roomId).toBe(roomId)
    expect(next.homeserver.said).not.toContain('POST /v3/createRoom')
  })

  it('has its user at once where the homeserver has accepted for her', async () => {
    const { rooms } = setUp({ '/joined_members': both })
    expect((await rooms.direct(phoneGhost, alice, null)).joined).toBe(true)
    expect(await rooms.joined(roomId, alice, 1_000)).toBe(true)
  })

  it('is waited for until she joins, or for so long', async () => {
    const { rooms, clock } = setUp()
    await rooms.direct(phoneGhost, alice, null)
    const [soon, never] = [rooms.joined(roomId, alice, 5_000), rooms.joined(roomId, '@bob:x', 5_000)]
    await rooms.prepare(member(alice, 'join'))
    expect(await soon).toBe(true)
    await clock.advance(5_000)
    expect(await never).toBe(false)
    expect(clock.timers).toBe(0)
  })

  it('cannot be had where the homeserver says no, limits us, or is away; the next one asks again', async () => {
    const whys: readonly (readonly [Error, string])[] = [
      [no(403, 'M_FORBIDDEN'), 'forbidden'],
      [no(400, 'M_BAD_JSON'), 'refused'],
      [no(502), 'down'],
      [no(429, '', limits.backOffMsMax + 1), 'limited'],
      [new HubError('HUB_DATABASE', 'away'), 'down']
    ]
    const { rooms, answer } = setUp()
    for (const [error, why] of whys) {
      answer({ '/createRoom': error })
      await expect(rooms.direct(phoneGhost, alice, null)).rejects.toMatchObject({ name: 'SendFailed', why })
    }
    answer({})
    expect((await rooms.direct(phoneGhost, alice, null)).roomId).toBe(roomId)
  })

  it('is the one that she has just made, once the ghost has joined it', async () => {
    const { promise, resolve } = Promise.withResolvers<object>()
    const { rooms, homeserver } = setUp({ '/joined_members': both, '/join/!hers': () => promise })
    const accepted = rooms.prepare(member(phoneGhost, 'invite', alice, '!hers'))
    const room = rooms.direct(phoneGhost, alice, null)
    await settle()
    resolve({})
    await accepted
    expect((await room).roomId).toBe('!hers')
    expect(homeserver.said).not.toContain('POST /v3/createRoom')
  })

  it('is made for nobody whom the homeserver does not know', async () => {
    const { rooms, homeserver, answer } = setUp({ [`/profile/${alice}`]: no(404, 'M_NOT_FOUND') })
    await expect(rooms.direct(phoneGhost, alice, null)).rejects.toMatchObject({ why: 'not-found' })
    expect(homeserver.said).not.toContain('POST /v3/createRoom')
    // Where profiles are not shown, nobody can tell.
    answer({ [`/profile/${alice}`]: no(403, 'M_FORBIDDEN') })
    expect((await rooms.direct(phoneGhost, alice, null)).roomId).toBe(roomId)
  })

  it('is another one after she has left: the ghost leaves too, and who calls her hears of it', async () => {
    for (const how of ['leave', 'ban']) {
      const { rooms, homeserver, gone, answer } = setUp({ '/joined_members': both })
      await rooms.direct(phoneGhost, alice, null)
      await rooms.prepare(member(alice, how, how === 'ban' ? '@admin:x' : alice))
      expect(gone[0]).toBe(`${alice} ${roomId}`)
      expect(homeserver.said).toContain(`POST /v3/rooms/${roomId}/leave`)
      answer({ '/createRoom': { room_id: '!next' } })
      expect((await rooms.direct(phoneGhost, alice, null)).roomId).toBe('!next')
    }
  })

  it('is another one after the ghost was kicked, was forbidden to write, or the room was replaced', async () => {
    const tombstone = {
      ...member(alice, ''),
      type: 'm.room.tombstone',
      state_key: '',
      content: { replacement_room: '!x' }
    }
    const ends = [
      (rooms: Rooms) => rooms.prepare(member(phoneGhost, 'leave', alice)),
      (rooms: Rooms) => rooms.forbidden(roomId, phoneGhost),
      (rooms: Rooms) => rooms.prepare(tombstone)
    ]
    for (const end of ends) {
      const { rooms, gone, answer } = setUp()
      await rooms.direct(phoneGhost, alice, null)
      await end(rooms)
      expect(gone).toEqual([`${phoneGhost} ${roomId}`])
      expect(await rooms.ghostIn(roomId)).toBeNull()
      answer({ '/createRoom': { room_id: '!next' } })
      expect((await rooms.direct(phoneGhost, alice, null)).roomId).toBe('!next')
    }
  })

  it('becomes encrypted', async () => {
    const { rooms } = setUp()
    await rooms.direct(phoneGhost, alice, null)
    await rooms.prepare({ ...member(alice, ''), type: 'm.room.encryption', state_key: '' })
    expect((await rooms.direct(phoneGhost, alice, null)).encrypted).toBe(true)
  })
})

describe('an invitation', () => {
  it('of a user is accepted: the room is hers and the ghost, and what was said meanwhile is read', async () => {
    const { rooms, homeserver, joined } = setUp({ '/joined_members': both })
    await rooms.prepare(member(phoneGhost, 'invite', alice))
    expect(homeserver.said).toContain(`POST /v3/join/${roomId}`)
    expect(joined).toEqual([`${phoneGhost} ${roomId}`])
    expect(await rooms.ghostIn(roomId)).toBe(phoneGhost)
    expect(await rooms.direct(phoneGhost, alice, null)).toMatchObject({ roomId, joined: true, encrypted: false })
    await rooms.prepare(member(phoneGhost, 'invite', alice))
    expect(joined).toHaveLength(1)
  })

  it('to an encrypted room is accepted, and known as such', async () => {
    const { rooms } = setUp({ '/joined_members': both, '/state/m.room.encryption/': { algorithm: 'x' } })
    await rooms.prepare(member(phoneGhost, 'invite', alice))
    expect((await rooms.direct(phoneGhost, alice, null)).encrypted).toBe(true)
  })

  it('to a room of several is accepted, which is nobody’s direct room', async () => {
    const several = { joined: { [alice]: {}, '@bob:x': {}, [phoneGhost]: {} } }
    const { rooms, answer } = setUp({ '/joined_members': several })
    await rooms.prepare(member(phoneGhost, 'invite', alice))
    expect(await rooms.ghostIn(roomId)).toBe(phoneGhost)
    answer({ '/createRoom': { room_id: '!own' } })
    expect((await rooms.direct(phoneGhost, alice, null)).roomId).toBe('!own')
    // A second ghost: nobody knows any more who is meant.
    const other = `@_isthmus_4989777:${serverName}`
    await rooms.prepare(member(other, 'invite', alice))
    expect(await rooms.ghostIn(roomId)).toBeNull()
  })

  it('of a stranger is turned down, and one that has gone is let go', async () => {
    const { rooms, homeserver, joined, answer } = setUp()
    await rooms.prepare(member(phoneGhost, 'invite', '@mallory:elsewhere.example'))
    expect(homeserver.said.at(-1)).toBe(`POST /v3/rooms/${roomId}/leave`)
    answer({ [`/join/${roomId}`]: no(403, 'M_FORBIDDEN') })
    await rooms.prepare(member(phoneGhost, 'invite', alice))
    expect(joined).toEqual([])
    expect(await rooms.ghostIn(roomId)).toBeNull()
  })

  it('that could not be accepted while the homeserver is away is told, to be read again', async () => {
    const { rooms } = setUp({ [`/join/${roomId}`]: no(502) })
    await expect(rooms.prepare(member(phoneGhost, 'invite', alice))).rejects.toMatchObject({ kind: 'down' })
  })

  it('waits for the end of a limit', async () => {
    let tries = 0
    const { rooms, clock, joined } = setUp({
      '/joined_members': both,
      [`/join/${roomId}`]: () => (++tries < 2 ? no(429, 'M_LIMIT_EXCEEDED', 300) : {})
    })
    const done = rooms.prepare(member(phoneGhost, 'invite', alice))
    await settle()
    await clock.advance(300)
    await done
    expect(joined).toHaveLength(1)
  })
})
