// Calls of users: which invitations are taken, what the core is offered, and how each call may end before its answer.

import { beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { SendFailed } from '../../../src/adapters/matrix/link.ts'
import { notices } from '../../../src/adapters/matrix/notices.ts'
import type { Release } from '../../../src/session/model.ts'
import { bareSdp, callWorld, sdpOf, theirCall } from '../../support/matrix-fake-calls.ts'
import type { CallWorld } from '../../support/matrix-fake-calls.ts'
import { alice, phoneGhost, serverName } from '../../support/matrix-fakes.ts'
import { settle } from '../../support/world.ts'

let world: CallWorld
beforeEach(() => {
  world = callWorld()
})
const offers = (): number => world.inbox.all('offered').length
const ends = (): readonly unknown[] => world.inbox.all('ended').map(({ reason }) => reason.cause)
const invites = (content: object = {}, more: Parameters<CallWorld['hears']>[2] = {}): void =>
  world.hears('invite', { lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() }, ...content }, more)
const release = (cause: Release['cause'], text?: string): Release => ({
  cause,
  from: 'callee',
  ...(text === undefined ? {} : { text })
})

describe('an invitation', () => {
  it('is offered with who calls, whom, and the description', () => {
    world.placed({ invitee: phoneGhost })
    expect(world.inbox.all('offered')[0]?.call).toMatchObject({
      caller: { access: 'matrix', peerId: 'rooms', party: { presented: 'tel:+4930111001' }, media: 'webrtc' },
      called: 'tel:+4989123456',
      service: 'voice',
      sdp: sdpOf(),
      facts: { dialogId: theirCall, calledRaw: phoneGhost, neighbour: world.neighbour }
    })
    invites({ call_id: 'video', offer: { type: 'offer', sdp: sdpOf(1, 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:1') } })
    expect(world.inbox.all('offered')[1]?.call.service).toBe('video')
  })

  it('for somebody else in the room, of a stranger, of a ghost, or without a ghost is not the hub’s', () => {
    invites({ invitee: alice })
    invites({}, { sender: '@mallory:elsewhere.example' })
    invites({}, { sender: phoneGhost })
    invites({}, { ghost: null })
    expect(offers()).toBe(0)
    // It was never taken, so the same one may still come for the ghost.
    invites({ invitee: phoneGhost })
    expect(offers()).toBe(1)
  })

  it('that comes again rings once, also after its end', () => {
    const leg = world.placed()
    invites()
    world.calls.end(leg, release('normal'))
    invites()
    expect(offers()).toBe(1)
  })

  it('that is over by its age is none', () => {
    invites({}, { ageMs: 60_000 - limits.ringMsMin + 1 })
    expect(offers()).toBe(0)
    world.placed({ call_id: 'c2' }, { ageMs: 60_000 - limits.ringMsMin })
  })

  it('ends by itself when its time is over', async () => {
    world.placed({}, { ageMs: 50_000 })
    await world.clock.advance(9_999)
    expect(ends()).toEqual([])
    await world.clock.advance(1)
    expect(ends()).toEqual(['expired'])
  })

  it('without candidates waits for the first of them, which stand in the offer', async () => {
    invites({ offer: { type: 'offer', sdp: bareSdp } })
    expect(offers()).toBe(0)
    const candidate = 'candidate:7 1 udp 1 192.0.2.7 9 typ host'
    world.hears('candidates', { candidates: [{ candidate: '' }] })
    expect(offers()).toBe(0)
    world.hears('candidates', { candidates: [{ candidate, sdpMid: '0' }] })
    world.hears('candidates', { candidates: [{ candidate, sdpMid: '0' }] })
    expect(offers()).toBe(1)
    expect(world.inbox.all('offered')[0]?.call.sdp).toContain(`a=${candidate}`)
    await world.clock.advance(limits.candidatesMs)
    expect(offers()).toBe(1)
  })

  it('whose candidates never come is offered without them; one that has ended by then is not', async () => {
    invites({ offer: { type: 'offer', sdp: bareSdp } })
    invites({ call_id: 'c2', offer: { type: 'offer', sdp: bareSdp } })
    world.hears('hangup', { call_id: 'c2' })
    await world.clock.advance(limits.candidatesMs)
    expect(world.inbox.all('offered').map(({ call }) => call.sdp)).toEqual([bareSdp])
  })

  it('to nobody, or for help without a way there, is rejected in words', async () => {
    invites({}, { ghost: `@_isthmus_112:${serverName}` })
    await settle()
    expect(offers()).toBe(0)
    expect(world.link.said).toEqual(['m.call.reject', expect.stringMatching(/112 cannot be reached from here/)])
    expect(world.link.last('m.call.reject')).toMatchObject({ call_id: theirCall, version: '1', reason: 'user_hangup' })
  })

  it('while the hub is shutting down, or beyond its calls, is rejected', async () => {
    for (let n = 0; n < limits.callsMax; n++) world.placed({ call_id: `c${n}` })
    invites()
    expect(offers()).toBe(limits.callsMax)
    expect(world.link.last('m.call.reject')['reason']).toBe('unknown_error')
    const draining = callWorld()
    draining.calls.drain()
    draining.hears('invite', { lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() } })
    await settle()
    expect([draining.inbox.all('offered').length, draining.link.said[0]]).toEqual([0, 'm.call.reject'])
  })
})

describe('a call of a user that is not answered', () => {
  it('ends with her hangup, by the words she gives', () => {
    for (const [reason, cause] of [
      [undefined, 'cancelled'],
      ['invite_timeout', 'cancelled'],
      ['answered_elsewhere', 'answered-elsewhere']
    ] as const) {
      const one = callWorld()
      one.placed()
      one.hears('hangup', { reason })
      one.hears('hangup', { reason })
      expect(one.inbox.all('ended').map(({ reason: why }) => why)).toEqual([{ cause }])
      expect(one.link.sent).toEqual([])
    }
  })

  it('does not end by another device, another user, another room, another call, or a reject', () => {
    world.placed()
    world.hears('hangup', { party_id: 'OTHER' })
    world.hears('hangup', {}, { sender: `@bob:${serverName}` })
    world.hears('hangup', {}, { roomId: '!other' })
    world.hears('hangup', { call_id: 'other' })
    world.hears('reject')
    world.hears('select_answer', { selected_party_id: 'somebody' })
    world.hears('negotiate', { description: { type: 'offer', sdp: sdpOf(3) } })
    world.hears('answer', { answer: { type: 'answer', sdp: sdpOf(3) } })
    world.hears('hangup', { version: 'x', party_id: undefined })
    expect(ends()).toEqual([])
    expect(world.inbox.heard).toHaveLength(1)
  })

  it('is rejected with what the core says: busy as such, everything else in words too', async () => {
    const rows: readonly (readonly [Release, string, string | null])[] = [
      [release('busy'), 'user_busy', null],
      [release('declined'), 'user_hangup', 'the called party has declined'],
      [release('not-found', 'no operator serves +49'), 'user_hangup', 'no operator serves +49'],
      [release('unreachable'), 'unknown_error', 'the way to the called party is interrupted'],
      [release('incompatible-media'), 'user_media_failed', 'the two sides have no media in common']
    ]
    for (const [index, [why, reason, words]] of rows.entries()) {
      const leg = world.placed({ call_id: `c${index}` })
      world.link.sent.length = 0
      world.calls.end(leg, why)
      world.calls.end(leg, why)
      await settle()
      const notice = words === null ? [] : [notices.callFailed(words)]
      expect(world.link.said).toEqual(['m.call.reject', ...notice])
      expect(world.link.last('m.call.reject')['reason']).toBe(reason)
    }
    // Nobody asked the core to be told of what it has done itself.
    expect(ends()).toEqual([])
  })

  it('ends when she or the ghost leaves the room', () => {
    world.placed()
    world.calls.onGone('!other', alice)
    world.calls.onGone('!room', '@bob:x')
    expect(ends()).toEqual([])
    world.calls.onGone('!room', alice)
    world.placed({ call_id: 'c2' })
    world.calls.onGone('!room', phoneGhost)
    expect(ends()).toEqual(['cancelled', 'cancelled'])
  })
})

describe('an answer to a user', () => {
  it('names its stream, its party, and is confirmed once it stands in the room', async () => {
    const leg = world.placed()
    const { promise, resolve } = Promise.withResolvers<void>()
    world.link.hold = promise
    world.calls.answer(leg, { sdp: sdpOf(2), connected: null })
    await settle()
    expect(world.inbox.all('acknowledged')).toEqual([])
    resolve()
    await settle()
    expect(world.inbox.all('acknowledged')).toEqual([{ type: 'acknowledged', leg, sdp: null }])
    const answer = world.link.last('m.call.answer')
    expect(answer).toMatchObject({ call_id: theirCall, version: '1', answer: { type: 'answer' } })
    expect(String(answer['party_id'])).toMatch(/^isthmus-.{8,}$/)
    const [stream = ''] = Object.keys(answer['sdp_stream_metadata'] as object)
    expect((answer['answer'] as { readonly sdp: string }).sdp).toContain(`a=msid:${stream} `)
    // It rang long enough: nothing ends it any more.
    await world.clock.advance(120_000)
    expect(ends()).toEqual([])
  })

  it('is what was said early where it says nothing itself', async () => {
    const leg = world.placed()
    world.calls.alert(leg)
    world.calls.progress(leg, { sdp: sdpOf(5), reliable: true })
    world.calls.progress(leg, { sdp: null, reliable: false })
    world.calls.answer(leg, { sdp: null, connected: null })
    await settle()
    // Neither ringing nor early media has a word in Matrix.
    expect(world.link.said).toEqual(['m.call.answer'])
    expect(JSON.stringify(world.link.last('m.call.answer'))).toContain('o=- 1 5 IN')
  })

  it('says who is really there, under both names that clients know', async () => {
    const leg = world.placed()
    const connected = { asserted: [], presented: 'tel:+4989777', display: 'Carol', privacy: [] }
    world.calls.answer(leg, { sdp: sdpOf(2), connected })
    await settle()
    const identity = { id: `@_isthmus_4989777:${serverName}`, display_name: 'Carol' }
    for (const type of ['m.call.asserted_identity', 'org.matrix.call.asserted_identity']) {
      expect(world.link.last(type)).toMatchObject({ call_id: theirCall, asserted_identity: identity })
    }
    const same = world.placed({ call_id: 'c2' })
    world.link.sent.length = 0
    world.calls.answer(same, { sdp: sdpOf(2), connected: { ...connected, presented: 'tel:+4989123456' } })
    await settle()
    expect(world.link.said).toEqual(['m.call.answer'])
  })

  it('that cannot be told ends the call, with what is behind it', async () => {
    const causes = { forbidden: 'unavailable', down: 'unreachable', 'too-large': 'incompatible-media' } as const
    for (const [why, cause] of Object.entries(causes)) {
      world.link.fails = null
      const leg = world.placed({ call_id: why })
      world.link.fails = new SendFailed(why as keyof typeof causes, 'because')
      world.calls.answer(leg, { sdp: sdpOf(2), connected: null })
      await settle()
      expect(world.inbox.all('ended', leg).map(({ reason }) => reason)).toEqual([{ cause, text: 'because' }])
    }
    expect(world.inbox.all('acknowledged')).toEqual([])
  })

  it('that another party of the room was chosen over ends it as answered elsewhere', async () => {
    await world.talking('from-user')
    const party = world.link.newId()
    world.hears('select_answer', { selected_party_id: party })
    expect(ends()).toEqual(['answered-elsewhere'])
  })

  it('that was chosen goes on', async () => {
    const leg = world.placed()
    world.calls.answer(leg, { sdp: sdpOf(2), connected: null })
    await settle()
    world.hears('select_answer', { selected_party_id: world.link.last('m.call.answer')['party_id'] })
    expect(ends()).toEqual([])
  })
})

describe('a client of version 0', () => {
  const old = { version: 0, party_id: undefined }

  it('calls, hears answers in its own words, and hangs up without a party', async () => {
    const leg = world.placed(old)
    world.calls.answer(leg, { sdp: sdpOf(2), connected: null })
    await settle()
    const answer = world.link.last('m.call.answer')
    expect([answer['version'], 'party_id' in answer]).toEqual([0, false])
    world.hears('hangup', old)
    expect(ends()).toEqual(['normal'])
  })

  it('knows no reject: a refusal is a hangup', async () => {
    world.calls.end(world.placed(old), release('busy'))
    await settle()
    expect(world.link.said).toEqual(['m.call.hangup'])
    expect(world.link.last('m.call.hangup')).toEqual({ call_id: theirCall, version: 0, reason: 'user_busy' })
  })

  it('cannot change a call: what the core offers is refused at once', async () => {
    const leg = world.placed(old)
    world.calls.answer(leg, { sdp: sdpOf(2), connected: null })
    world.calls.reoffer(leg, { exchange: 4, sdp: sdpOf(3) })
    expect(world.inbox.all('reofferRefused')).toEqual([
      { type: 'reofferRefused', leg, exchange: 4, why: 'unacceptable' }
    ])
  })
})
