// What may go wrong at a Matrix island and around it, through the whole hub on a real Synapse: nothing is lost silently,
// nothing comes or is charged twice, and other islands do not notice.
// needs: synapse

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { notices } from '../../src/adapters/matrix/notices.ts'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import { parseCpim } from '../../src/sip/cpim.ts'
import { webrtcOffer } from '../support/matrix-call-events.ts'
import { ghostOf, numbers, openMatrixHub, serverName } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { openMatrixUser, roomPath } from '../support/matrix-user.ts'
import type { MatrixUser } from '../support/matrix-user.ts'
import { eventually } from '../support/until.ts'

jest.setTimeout(180_000)

const phone = ghostOf(numbers.phone)
let world: MatrixHub
let alice: MatrixUser
let dave: IslandUser
let roomId = ''

beforeAll(async () => {
  world = await openMatrixHub({
    anchor: 'embedded',
    portMin: 45_000,
    islands: [
      {
        id: 'locked-out',
        access: 'matrix',
        domain: 'elsewhere.test',
        // Nobody answers there.
        homeserver: 'http://127.0.0.1:9',
        asToken: { secret: 'as-elsewhere' },
        hsToken: { secret: 'hs-elsewhere' },
        users: [{ name: 'erin', number: '+4930444001' }]
      }
    ]
  })
  alice = openMatrixUser(await world.synapse.user('alice'))
  dave = await world.dave()
  roomId = await alice.room(phone)
}, 300_000)
afterAll(async () => {
  await alice?.close()
  await world?.close()
}, 120_000)

const words = ({ text }: { readonly text: string }): string => parseCpim(text)?.body ?? text
const atPhone = (): readonly string[] => world.operator.messages.map(words)
const reaches = (text: string, withinMs?: number) =>
  eventually(`"${text}" at the phone`, () => atPhone().includes(text), withinMs)
const fromPhone = (text: string, number: string = numbers.alice, from: string = numbers.phone) => {
  const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
  return world.operator.sendText(number, text, { to, from })
}
/** The other island works: words go from it to a phone. */
async function othersWork(text: string): Promise<void> {
  expect(await dave.sendText(numbers.phone, text)).toBe(200)
  await reaches(text)
}
const push = (events: readonly object[], txnId = 'by-hand', token = 'hs-token') =>
  fetch(`${world.hub.where('Matrix homeservers')}/_matrix/app/v1/transactions/${txnId}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ events })
  })
let made = 0
const event = (type: string, content: object, more: object = {}): object => ({
  event_id: `$by-hand-${++made}`,
  room_id: roomId,
  type,
  sender: alice.userId,
  content,
  origin_server_ts: Date.now(),
  age: 5,
  ...more
})
const invite = (callId: string, more: object = {}): object => ({
  call_id: callId,
  party_id: 'ALICE',
  version: '1',
  lifetime: 60_000,
  offer: { type: 'offer', sdp: webrtcOffer },
  ...more
})
const callEvent = (type: string, callId: string) => (seen: { readonly type: string; readonly content: object }) =>
  seen.type === `m.call.${type}` && 'call_id' in seen.content && seen.content.call_id === callId

describe('a homeserver that is killed', () => {
  it('in a call: the call goes on, the phone hangs up, and she hears of it once it is back', async () => {
    const since = await world.finalCount()
    await alice.send(roomId, 'm.call.invite', invite('killed-in-call'))
    const call = await world.phone()
    await alice.wait('an answer', callEvent('answer', 'killed-in-call'))
    await world.synapse.crash()
    call.hangUp()
    await othersWork('the others go on')
    await world.synapse.start()
    const hangup = await alice.wait('a hangup', callEvent('hangup', 'killed-in-call'), 60_000)
    expect(hangup.content['reason']).toBe('user_hangup')
    const calls = (await world.finals(4, since)).filter(({ service }) => service === 'voice')
    expect(calls.map(({ leg, cause }) => [leg, cause])).toEqual([
      ['ingress', 'normal'],
      ['egress', 'normal']
    ])
  })

  it('in a burst both ways: everything that was taken arrives, in the order of its room, and nothing twice', async () => {
    const rooms = [roomId, await alice.room(ghostOf('+4989777'))]
    await alice.says(rooms[1] ?? '', 'before the burst')
    await reaches('before the burst')
    const taken: string[] = []
    const back: string[] = []
    const writing = (async () => {
      for (let n = 0; n < 40; n++) {
        const text = `burst ${n}`
        const sent = await alice.says(rooms[n % 2] ?? '', text).catch(() => null)
        if (sent !== null) taken.push(text)
        else await new Promise(next => setTimeout(next, 100))
      }
    })()
    const answering = (async () => {
      for (let n = 0; n < 12; n++) if ((await fromPhone(`back ${n}`)) === 200) back.push(`back ${n}`)
    })()
    await eventually('half of it is under way', () => taken.length >= 12)
    await world.synapse.crash()
    await world.synapse.start()
    await Promise.all([writing, answering])
    await eventually('all is at the phone', () => taken.every(text => atPhone().includes(text)), 90_000)
    await eventually('all is in her room', () => back.every(text => alice.heardIn(roomId).includes(text)), 60_000)
    const arrived = atPhone().filter(text => text.startsWith('burst '))
    expect(new Set(arrived).size).toBe(arrived.length)
    // What the restart lost is read again, and what came since has waited for it: each room is in its order.
    for (const room of [0, 1]) {
      const numbers = arrived.map(text => Number(text.slice('burst '.length))).filter(n => n % 2 === room)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
    const heard = alice.heardIn(roomId).filter(text => String(text).startsWith('back '))
    expect(new Set(heard).size).toBe(heard.length)
    expect(back.length).toBeGreaterThan(0)
  })
})

describe('a hub that is killed', () => {
  it('with messages on their way: each arrives once or is told to be uncertain, and none is charged twice', async () => {
    const rooms = [roomId, ...(await Promise.all(['+4989701', '+4989702'].map(number => alice.room(ghostOf(number)))))]
    for (const [n, room] of rooms.entries()) await alice.says(room, `before the kill ${n}`)
    for (const n of rooms.keys()) await reaches(`before the kill ${n}`)
    const texts = Array.from({ length: 30 }, (_, n) => `kill ${n}`)
    await Promise.all(
      rooms.map(async (room, index) => {
        for (const [n, text] of texts.entries()) if (n % rooms.length === index) await alice.says(room, text)
      })
    )
    await world.crash()
    await alice.says(roomId, 'while it was away')
    await world.restart()
    await reaches('while it was away', 60_000)
    const uncertain = (): number => alice.seen.filter(({ content }) => content['body'] === notices.uncertain).length
    await eventually(
      'all of it is at the phone or uncertain',
      () => texts.filter(text => !atPhone().includes(text)).length <= uncertain(),
      60_000
    )
    for (const text of texts) expect([text, atPhone().filter(one => one === text).length <= 1]).toEqual([text, true])
    const finals = (await world.hub.records()).filter(({ kind, leg }) => kind === 'final' && leg === 'ingress')
    const charged = finals.flatMap(({ t_answer: at, sip_call_id: id }) => (at === null ? [] : [id]))
    expect(new Set(charged).size).toBe(charged.length)
    dave = await world.dave()
  })
})

describe('transactions', () => {
  it('that come again, or with a number from before, change nothing', async () => {
    const message = event('m.room.message', { msgtype: 'm.text', body: 'once and for all' })
    for (const txnId of ['900', '900', '901', '1']) expect((await push([message], txnId)).status).toBe(200)
    await reaches('once and for all')
    await alice.says(roomId, 'behind it')
    await reaches('behind it')
    expect(atPhone().filter(text => text === 'once and for all')).toHaveLength(1)
  })

  it('of a thousand events are taken whole, of sixteen megabytes and more are not', async () => {
    const noise = Array.from({ length: 990 }, () => event('m.reaction', { n: 1 }))
    const told = Array.from({ length: 10 }, (_, n) =>
      event('m.room.message', { msgtype: 'm.text', body: `of a thousand ${n}` })
    )
    expect((await push([...noise, ...told], '1000')).status).toBe(200)
    await reaches('of a thousand 9')
    // The connection may be closed before all of it is written.
    const tooLarge = push([event('m.room.message', { msgtype: 'm.text', body: 'x'.repeat(17_000_000) })])
    expect([413, null]).toContain(await tooLarge.then(({ status }) => status).catch(() => null))
    const large = event('m.room.message', { msgtype: 'm.text', body: 'x'.repeat(10_000_000) })
    expect((await push([large])).status).toBe(200)
    await alice.hears(/at most 32768 bytes/)
    await othersWork('after ten megabytes')
  })

  it('without the token of the homeserver are nobody’s', async () => {
    expect((await push([], '1', 'as-token')).status).toBe(403)
    expect(
      (await push([event('m.room.message', { msgtype: 'm.text', body: 'forged' })], '1', 'hs-elsewhere')).status
    ).toBe(200)
    await othersWork('after the forgery')
    expect(atPhone()).not.toContain('forged')
  })
})

describe('calls', () => {
  it('at once after the room was made ring', async () => {
    const content = { preset: 'trusted_private_chat', is_direct: true, invite: [ghostOf('+4989703')] }
    const { body } = await alice.request('POST', '/_matrix/client/v3/createRoom', content)
    const room = String(body['room_id'])
    await alice.send(room, 'm.call.invite', invite('at-once'))
    const call = await world.phone()
    await alice.send(room, 'm.call.hangup', { call_id: 'at-once', party_id: 'ALICE', version: '1' })
    await call.ended
  })

  it('with a description that is none are rejected, and hurt nobody', async () => {
    const hostile = ['', 'v=0', 'x'.repeat(60_000), webrtcOffer.replace('m=audio', 'm=audio 99999999'), '\u0000\n\r\n']
    for (const [n, sdp] of hostile.entries()) {
      await alice.send(roomId, 'm.call.invite', invite(`hostile-${n}`, { offer: { type: 'offer', sdp } }))
      await alice.wait(`a reject of ${n}`, callEvent('reject', `hostile-${n}`))
    }
    await othersWork('after hostile calls')
  })

  it('are as old as the homeserver says, whatever its clock', async () => {
    const hour = 3_600_000
    await push([event('m.call.invite', invite('old'), { age: hour })])
    await push([event('m.call.invite', invite('future'), { origin_server_ts: Date.now() + hour })])
    const future = await world.phone()
    await push([event('m.call.hangup', { call_id: 'future', party_id: 'ALICE', version: '1' })])
    await future.ended
    await push([event('m.call.invite', invite('past'), { origin_server_ts: Date.now() - hour })])
    const past = await world.phone()
    await push([event('m.call.hangup', { call_id: 'past', party_id: 'ALICE', version: '1' })])
    await past.ended
    // Without an age the time stamp is all there is.
    await push([event('m.call.invite', invite('no-age'), { origin_server_ts: Date.now() - hour, age: undefined })])
    await alice.says(roomId, 'after the clocks')
    await reaches('after the clocks')
    expect(world.operator.calls).toHaveLength(0)
  })
})

describe('rooms that end', () => {
  let asked = 0
  /** Where the next words of a phone appear. */
  async function roomOf(from: string = numbers.phone): Promise<string> {
    const text = `which room ${++asked}`
    expect(await fromPhone(text, numbers.alice, from)).toBe(200)
    return (await alice.hears(text)).roomId
  }
  /** The hub has heard of the end: what it says before that goes to the old room. */
  async function ended(room: string): Promise<void> {
    const database = await world.hub.database()
    await eventually('it is heard of', async () => {
      const { rows } = await database.query('select 1 from matrix_room where room_id = $1 and not closed', [room])
      return rows.length === 0
    })
  }

  it('by an upgrade, a kick, or her leaving are followed by another one that she is invited to', async () => {
    const upgraded = await roomOf()
    expect((await alice.request('POST', roomPath(upgraded, 'upgrade'), { new_version: '11' })).status).toBe(200)
    await ended(upgraded)
    const left = await roomOf()
    expect(left).not.toBe(upgraded)
    expect((await alice.request('POST', roomPath(left, 'leave'), {})).status).toBe(200)
    await ended(left)
    const last = await roomOf()
    expect([upgraded, left]).not.toContain(last)
    await alice.says(last, 'in the third room')
    await reaches('in the third room')
    const number = '+4989704'
    const kicked = await alice.room(ghostOf(number), { preset: 'private_chat' })
    expect(await roomOf(number)).toBe(kicked)
    expect((await alice.request('POST', roomPath(kicked, 'kick'), { user_id: ghostOf(number) })).status).toBe(200)
    await ended(kicked)
    expect(await roomOf(number)).not.toBe(kicked)
  })
})

describe('users', () => {
  it('that the homeserver does not know cannot be written to; deactivated ones hurt nobody', async () => {
    expect(await dave.sendText(`sip:nobody@${serverName}`, 'hello')).toBe(404)
    const bob = openMatrixUser(await world.synapse.user('bob'))
    expect(await fromPhone('hello bob', numbers.bob)).toBe(200)
    await bob.hears('hello bob')
    await bob.close()
    const auth = {
      type: 'm.login.password',
      password: 'password of bob',
      identifier: { type: 'm.id.user', user: 'bob' }
    }
    expect((await bob.request('POST', '/_matrix/client/v3/account/deactivate', { auth })).status).toBe(200)
    expect(typeof (await fromPhone('are you there', numbers.bob))).toBe('number')
    await othersWork('after bob')
  })

  it('of an island whose homeserver is away: the sender is told, and it is said in the log', async () => {
    expect(await dave.sendText('+4930444001', 'hello erin')).toBeGreaterThanOrEqual(480)
    const said = world.hub.logged().filter(({ island }) => island === 'locked-out')
    expect(said.map(({ msg }) => msg)).toContain('tried again until it answers')
  })
})

describe('the books', () => {
  it('have one final record for each leg, rated and settled', async () => {
    expect(await world.faults()).toEqual([])
  })
})
