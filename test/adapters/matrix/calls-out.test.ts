// Calls to users: the room, the invitation, the answer of one of several devices, glare, and how each may end.

import { beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { SendFailed } from '../../../src/adapters/matrix/link.ts'
import { notices } from '../../../src/adapters/matrix/notices.ts'
import type { LegRef, Release } from '../../../src/session/model.ts'
import { bareSdp, callWorld, device, sdpOf } from '../../support/matrix-fake-calls.ts'
import type { CallWorld } from '../../support/matrix-fake-calls.ts'
import { alice, phoneGhost, roomEvent, roomId } from '../../support/matrix-fakes.ts'
import { settle } from '../../support/world.ts'

let world: CallWorld
beforeEach(() => {
  world = callWorld()
})
const ends = (leg?: LegRef): readonly unknown[] => world.inbox.all('ended', leg).map(({ reason }) => reason.cause)
const release = (cause: Release['cause']): Release => ({ cause, from: 'caller' })
const answers = (leg: LegRef, content: object = {}): void =>
  world.hears('answer', { call_id: world.idOf(leg), answer: { type: 'answer', sdp: sdpOf(2) }, ...content })
/** The call is under way to the room, and not further. */
async function opening(): Promise<LegRef> {
  world.link.room = { roomId, encrypted: false, joined: false }
  const leg = world.invite()
  await world.clock.advance(0)
  await settle()
  return leg
}

describe('a call to a user', () => {
  it('stands in her room as an invitation, and rings once it does', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    world.link.hold = promise
    const leg = world.invite({ id: 'session' })
    await world.clock.advance(0)
    await settle()
    expect(world.inbox.all('alerting')).toEqual([])
    resolve()
    await settle()
    expect(world.inbox.all('alerting', leg)).toHaveLength(1)
    const invite = world.link.last('m.call.invite')
    expect(invite).toMatchObject({
      call_id: 'session-1',
      version: '1',
      lifetime: limits.ringMs,
      invitee: alice,
      offer: { type: 'offer' },
      capabilities: { 'm.call.transferee': false, 'm.call.dtmf': false }
    })
    const [stream = ''] = Object.keys(invite['sdp_stream_metadata'] as object)
    expect((invite['offer'] as { readonly sdp: string }).sdp).toContain(`a=msid:${stream} `)
    expect(world.link.sent[0]).toMatchObject({ ghost: phoneGhost, roomId, expiresAt: limits.ringMs })
    expect(world.inbox.all('learned', leg)[0]?.facts).toMatchObject({ dialogId: 'session-1' })
  })

  it('rings for the 90 seconds at least that the specification asks for', () => {
    expect(limits.ringMs).toBeGreaterThanOrEqual(90_000)
  })

  it('has a name at once, and ends later where it cannot be', async () => {
    const legs = [world.invite({ uri: 'sip:alice@elsewhere.example' }), world.invite({ sdp: null })]
    expect(ends()).toEqual([])
    await world.clock.advance(0)
    expect(legs.map(leg => ends(leg)[0])).toEqual(['not-found', 'incompatible-media'])
    world.calls.drain()
    const late = world.invite()
    await world.clock.advance(0)
    expect(ends(late)).toEqual(['unavailable'])
  })

  it('waits for her to join, rings when she has, and is not placed when she does not', async () => {
    const leg = await opening()
    expect(world.link.sent).toEqual([])
    world.link.join(true)
    await settle()
    expect(world.link.said).toEqual(['m.call.invite'])
    expect(world.inbox.all('alerting', leg)).toHaveLength(1)
    const never = await opening()
    world.link.join(false)
    await settle()
    expect(ends(never)).toEqual(['unavailable'])
    expect(world.link.said).toEqual(['m.call.invite'])
  })

  it('to an encrypted room is not placed: she is told why, the caller hears that she is unavailable', async () => {
    world.link.room = { roomId, encrypted: true, joined: true }
    const leg = await world.ringing()
    expect(world.link.said).toEqual([notices.encryptedCall])
    expect(world.inbox.all('ended', leg)[0]?.reason).toMatchObject({ cause: 'unavailable' })
  })

  it('that has no room, or whose invitation is not taken, ends with what is behind it', async () => {
    const causes = {
      forbidden: 'unavailable',
      'too-large': 'incompatible-media',
      limited: 'congestion',
      down: 'unreachable',
      'queue-full': 'congestion',
      refused: 'peer-failed',
      'not-found': 'not-found'
    } as const
    for (const [why, cause] of Object.entries(causes)) {
      const error = new SendFailed(why as keyof typeof causes, 'because')
      world.link.room = error
      expect(ends(await world.ringing())).toEqual([cause])
      world.link.room = { roomId, encrypted: false, joined: true }
      world.link.fails = error
      expect(ends(await world.ringing())).toEqual([cause])
      world.link.fails = null
    }
    world.link.directRoom = () => Promise.reject(new Error('a bug'))
    expect(ends(await world.ringing())).toEqual(['internal'])
  })

  it('that nobody answers ends after its time, and leaves word, also that not every client can ring', async () => {
    const leg = await world.ringing()
    await world.clock.advance(limits.ringMs - 1)
    expect(ends()).toEqual([])
    await world.clock.advance(1)
    await settle()
    expect(ends(leg)).toEqual(['unavailable'])
    expect(world.link.said).toEqual(['m.call.invite', 'm.call.hangup', notices.unheard])
    expect(notices.unheard).toMatch(/missed.*MatrixRTC/)
    expect(world.link.last('m.call.hangup')['reason']).toBe('invite_timeout')
  })

  it('that its caller gives up stops ringing and leaves word; one answered elsewhere leaves none', async () => {
    world.calls.end(await world.ringing(), release('cancelled'))
    await settle()
    expect(world.link.said).toEqual(['m.call.invite', 'm.call.hangup', notices.missed])
    world.link.sent.length = 0
    world.calls.end(await world.ringing(), release('answered-elsewhere'))
    await settle()
    expect(world.link.said).toEqual(['m.call.invite', 'm.call.hangup'])
    expect(world.link.last('m.call.hangup')['reason']).toBe('answered_elsewhere')
    expect(ends()).toEqual([])
  })

  it('that is given up before it stands in a room never stands there', async () => {
    const leg = await opening()
    world.calls.end(leg, release('cancelled'))
    world.link.join(true)
    await settle()
    const early = world.invite()
    world.calls.end(early, release('cancelled'))
    world.link.room = { roomId, encrypted: false, joined: true }
    await world.clock.advance(0)
    await settle()
    expect([world.link.sent, ends()]).toEqual([[], []])
  })

  it('beyond the calls of an island is refused', async () => {
    for (let n = 0; n < limits.callsMax; n++) world.invite()
    const last = world.invite()
    await world.clock.advance(0)
    expect(ends(last)).toEqual(['unavailable'])
  })
})

describe('her devices', () => {
  it('answer: the first one has the call, and all are told which', async () => {
    const leg = await world.ringing()
    answers(leg)
    answers(leg, { party_id: 'OTHER', answer: { type: 'answer', sdp: sdpOf(3) } })
    await settle()
    expect(world.inbox.all('answered')).toEqual([{ type: 'answered', leg, sdp: sdpOf(2), party: null }])
    expect(world.link.last('m.call.select_answer')).toMatchObject({ selected_party_id: device })
    // The other one hangs up as it was told, and the call goes on.
    world.hears('hangup', { call_id: world.idOf(leg), party_id: 'OTHER', reason: 'answered_elsewhere' })
    world.hears('reject', { call_id: world.idOf(leg) })
    expect(ends()).toEqual([])
    await world.clock.advance(limits.ringMs)
    expect(ends()).toEqual([])
  })

  it('answer even before we hear that the invitation stands', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    world.link.hold = promise
    const leg = await world.ringing()
    answers(leg)
    resolve()
    await settle()
    expect(world.inbox.heard.map(({ type }) => type)).toEqual(['learned', 'answered'])
  })

  it('answer with candidates that came before or beside', async () => {
    const leg = await world.ringing()
    const candidate = 'candidate:7 1 udp 1 192.0.2.7 9 typ host'
    world.hears('candidates', { call_id: world.idOf(leg), candidates: [{ candidate, sdpMLineIndex: 0 }] })
    answers(leg, { answer: { type: 'answer', sdp: bareSdp } })
    expect(world.inbox.all('answered')[0]?.sdp).toContain(`a=${candidate}`)
  })

  it('of version 0 answer without a party, and nobody is selected', async () => {
    const leg = await world.ringing()
    answers(leg, { version: 0, party_id: undefined })
    await settle()
    expect(world.inbox.all('answered', leg)).toHaveLength(1)
    expect(world.link.said).toEqual(['m.call.invite'])
    world.hears('hangup', { call_id: world.idOf(leg), version: 0, party_id: undefined })
    expect(ends(leg)).toEqual(['normal'])
  })

  it('reject or hang up: the call is declined or busy, by their word', async () => {
    const rows = [
      ['reject', undefined, 'declined'],
      ['reject', 'user_busy', 'busy'],
      ['hangup', undefined, 'declined'],
      ['hangup', 'user_busy', 'busy'],
      ['hangup', 'ice_failed', 'peer-failed'],
      ['hangup', 'user_media_failed', 'unavailable']
    ] as const
    for (const [type, reason, cause] of rows) {
      const leg = await world.ringing()
      world.hears(type, { call_id: world.idOf(leg), party_id: 'ANY', reason })
      expect([type, reason, ends(leg)]).toEqual([type, reason, [cause]])
    }
  })

  it('are nobody else’s: another user, room or call changes nothing', async () => {
    const leg = await world.ringing()
    const id = world.idOf(leg)
    const other = { call_id: id, answer: { type: 'answer', sdp: sdpOf(2) } }
    world.hears('answer', other, { sender: '@bob:rooms.example' })
    world.hears('answer', other, { roomId: '!other' })
    world.hears('answer', { ...other, call_id: 'other' })
    world.hears('reject', { call_id: id }, { sender: '@bob:rooms.example' })
    world.hears('answer', { call_id: id, answer: { type: 'offer', sdp: 'x' } })
    world.hears('select_answer', { call_id: id, selected_party_id: 'x' })
    world.hears('invite', { call_id: id, lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() } })
    expect(world.inbox.heard.map(({ type }) => type)).toEqual(['learned', 'alerting'])
  })

  it('leave the room: before the answer she has declined, also before she ever joined', async () => {
    const leg = await world.ringing()
    world.calls.onGone(roomId, alice)
    expect(ends(leg)).toEqual(['declined'])
    const never = world.invite()
    await world.clock.advance(0)
    world.calls.onGone(roomId, '@bob:x')
    expect(ends(never)).toEqual([])
  })
})

describe('calls that cross in one room', () => {
  const theirs = (id: string): void =>
    world.hears('invite', { call_id: id, lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() } })

  it('are settled by the lower id: ours stays', async () => {
    const leg = await world.ringing()
    theirs('zzz')
    expect(ends(leg)).toEqual([])
    expect(world.inbox.all('offered')).toEqual([])
  })

  it('or theirs stays, and ours gives way', async () => {
    const leg = await world.ringing()
    theirs('000')
    await settle()
    expect(world.inbox.all('ended', leg)[0]?.reason).toMatchObject({ cause: 'busy' })
    expect(world.inbox.all('offered')).toHaveLength(1)
    expect(world.link.last('m.call.hangup')).toMatchObject({ call_id: world.idOf(leg), reason: 'replaced' })
  })

  it('and not in another room, or after the answer', async () => {
    const leg = await world.ringing()
    world.hears(
      'invite',
      { call_id: '000', lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() } },
      { roomId: '!b' }
    )
    answers(leg)
    theirs('001')
    expect(ends()).toEqual([])
    expect(world.inbox.all('offered')).toHaveLength(2)
  })
})

describe('calls of another kind', () => {
  const member = { device_id: 'x' }

  it('are answered in words, once in a while for each room, and belong to nobody else', async () => {
    const type = 'org.matrix.msc3401.call.member'
    expect(world.calls.onEvent(roomEvent(type, member))).toBe(true)
    expect(world.calls.onEvent(roomEvent('org.matrix.msc4075.rtc.notification', member))).toBe(true)
    expect(world.calls.onEvent(roomEvent(type, {}))).toBe(true)
    expect(world.link.said).toEqual([notices.otherCall])
    world.calls.onEvent(roomEvent(type, member, { roomId: '!b' }))
    await world.clock.advance(limits.warningMs)
    world.calls.onEvent(roomEvent(type, member))
    expect(world.link.said).toHaveLength(3)
  })

  it('of strangers, or where no ghost is, are nobody’s; a notice that cannot be shown hurts nobody', async () => {
    world.calls.onEvent(roomEvent('m.rtc.member', member, { sender: '@m:elsewhere.example' }))
    world.calls.onEvent(roomEvent('m.rtc.member', member, { ghost: null }))
    expect(world.link.sent).toEqual([])
    world.link.fails = new SendFailed('down', 'away')
    world.calls.onEvent(roomEvent('m.rtc.member', member))
    await settle()
    expect(world.calls.onEvent(roomEvent('m.room.message', {}))).toBe(false)
    expect(world.calls.onEvent(roomEvent('m.call.unheard_of', {}))).toBe(true)
  })
})
