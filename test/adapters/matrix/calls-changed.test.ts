// Answered calls: offers of either side, both at once, refused or late ones, and the end.

import { beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { SendFailed } from '../../../src/adapters/matrix/link.ts'
import { notices } from '../../../src/adapters/matrix/notices.ts'
import type { LegRef, ReleaseCause } from '../../../src/session/model.ts'
import { callWorld, sdpOf, theirCall } from '../../support/matrix-fake-calls.ts'
import type { CallWorld } from '../../support/matrix-fake-calls.ts'
import { alice, roomId } from '../../support/matrix-fakes.ts'
import { settle } from '../../support/world.ts'

let world: CallWorld
let leg: LegRef
const heard = (): readonly string[] => world.inbox.heard.map(({ type }) => type).filter(type => type !== 'learned')
/** The client's negotiate, in the call that there is. */
function negotiates(type: 'offer' | 'answer', version: number, more: object = {}): void {
  const call_id = world.idOf(leg) === '' ? theirCall : world.idOf(leg)
  world.hears('negotiate', { call_id, lifetime: 60_000, description: { type, sdp: sdpOf(version) }, ...more })
}
const said = (): { readonly type: string; readonly sdp: string } =>
  world.link.last('m.call.negotiate')['description'] as { readonly type: string; readonly sdp: string }

for (const direction of ['from-user', 'to-user'] as const) {
  describe(`an answered call ${direction === 'from-user' ? 'of' : 'to'} a user`, () => {
    beforeEach(async () => {
      world = callWorld()
      leg = await world.talking(direction)
    })

    it('is changed by her: the core hears the offer, she the answer', async () => {
      negotiates('offer', 3)
      expect(world.inbox.all('reoffered')).toEqual([{ type: 'reoffered', leg, sdp: sdpOf(3) }])
      // A second one before the answer is not a second offer.
      negotiates('offer', 4)
      world.calls.answerReoffer(leg, sdpOf(5))
      world.calls.answerReoffer(leg, sdpOf(6))
      await settle()
      expect(world.link.said).toEqual(['m.call.negotiate'])
      expect(said()).toMatchObject({ type: 'answer', sdp: expect.stringContaining('o=- 1 5 IN') })
      const [stream = ''] = Object.keys(world.link.last('m.call.negotiate')['sdp_stream_metadata'] as object)
      expect(said().sdp).toContain(`a=msid:${stream} `)
    })

    it('stays as it is where the core refuses: she hears what was said before', async () => {
      const before = direction === 'from-user' ? 2 : 1
      negotiates('offer', 3)
      world.calls.refuseReoffer(leg, 'unacceptable')
      world.calls.refuseReoffer(leg, 'unacceptable')
      await settle()
      expect(world.link.said).toEqual(['m.call.negotiate'])
      expect(said()).toMatchObject({ type: 'answer', sdp: expect.stringContaining(`o=- 1 ${before} IN`) })
      // And she may try again.
      negotiates('offer', 4)
      expect(world.inbox.all('reoffered')).toHaveLength(2)
    })

    it('is changed by the core: she hears the offer, the core the answer', async () => {
      world.calls.reoffer(leg, { exchange: 7, sdp: sdpOf(3) })
      await settle()
      expect(said().type).toBe('offer')
      expect(world.link.last('m.call.negotiate')['lifetime']).toBe(limits.negotiateMs)
      negotiates('answer', 4)
      negotiates('answer', 5)
      expect(world.inbox.all('reofferAnswered')).toEqual([{ type: 'reofferAnswered', leg, exchange: 7, sdp: sdpOf(4) }])
      await world.clock.advance(limits.negotiateMs)
      expect(heard()).toEqual(['reofferAnswered'])
    })

    it('is not changed by an offer that nobody answers in time, or that cannot be told', async () => {
      world.calls.reoffer(leg, { exchange: 7, sdp: sdpOf(3) })
      await world.clock.advance(limits.negotiateMs)
      negotiates('answer', 4)
      world.link.fails = new SendFailed('down', 'away')
      world.calls.reoffer(leg, { exchange: 8, sdp: sdpOf(5) })
      await settle()
      await world.clock.advance(limits.negotiateMs)
      expect(world.inbox.all('reofferRefused')).toEqual([
        { type: 'reofferRefused', leg, exchange: 7, why: 'timeout' },
        { type: 'reofferRefused', leg, exchange: 8, why: 'timeout' }
      ])
      expect(heard()).toHaveLength(2)
    })

    it('knows one offer at a time: while hers is open the core’s is refused', () => {
      negotiates('offer', 3)
      world.calls.reoffer(leg, { exchange: 7, sdp: sdpOf(4) })
      expect(world.inbox.all('reofferRefused')).toEqual([{ type: 'reofferRefused', leg, exchange: 7, why: 'glare' }])
    })

    it('with offers of both at once keeps the caller’s, and the callee’s gives way', async () => {
      world.calls.reoffer(leg, { exchange: 7, sdp: sdpOf(3) })
      negotiates('offer', 4)
      if (direction === 'from-user') {
        // She is the caller: hers stays.
        expect(heard()).toEqual(['reofferRefused', 'reoffered'])
        expect(world.inbox.all('reofferRefused')[0]).toMatchObject({ exchange: 7, why: 'glare' })
        world.calls.answerReoffer(leg, sdpOf(5))
        await settle()
        expect(said().type).toBe('answer')
      } else {
        expect(heard()).toEqual([])
        negotiates('answer', 6)
        expect(heard()).toEqual(['reofferAnswered'])
      }
    })

    it('hears no offer of another device, without a description, or after the end', () => {
      negotiates('offer', 3, { party_id: 'OTHER' })
      negotiates('offer', 3, { description: { type: 'offer' } })
      negotiates('answer', 3)
      world.hears('sdp_stream_metadata_changed', { sdp_stream_metadata: {} })
      world.calls.answerReoffer(leg, sdpOf(9))
      world.calls.refuseReoffer(leg, 'glare')
      world.calls.sendTone(leg, { digit: '1', durationMs: 100 })
      world.calls.acknowledge(leg, sdpOf(9))
      expect([heard(), world.link.sent]).toEqual([[], []])
      world.calls.end(leg, { cause: 'normal', from: 'callee' })
      negotiates('offer', 4)
      world.calls.reoffer(leg, { exchange: 9, sdp: sdpOf(4) })
      expect(heard()).toEqual([])
    })

    it('ends with her hangup, and with what it says about it', async () => {
      const rows: readonly (readonly [string | undefined, ReleaseCause, number])[] = [
        [undefined, 'normal', 16],
        ['user_hangup', 'normal', 16],
        ['ice_failed', 'media-lost', 41],
        ['ice_timeout', 'media-lost', 41],
        ['invite_timeout', 'no-answer', 19],
        ['unknown_error', 'peer-failed', 41]
      ]
      for (const [reason, cause, q850] of rows) {
        world = callWorld()
        leg = await world.talking(direction)
        const call_id = world.idOf(leg) === '' ? theirCall : world.idOf(leg)
        world.hears('hangup', { call_id, party_id: 'OTHER', reason })
        world.hears('reject', { call_id, reason })
        expect(heard()).toEqual([])
        world.hears('hangup', { call_id, reason })
        expect(world.inbox.all('ended').map(one => one.reason)).toEqual([{ cause, q850 }])
        expect(world.link.sent).toEqual([])
      }
    })

    it('ends when she leaves the room, as if she had hung up', () => {
      world.calls.onGone(roomId, alice)
      world.calls.onGone(roomId, alice)
      expect(world.inbox.all('ended').map(one => one.reason)).toEqual([{ cause: 'normal', q850: 16 }])
    })

    it('ends with the core’s hangup, in words where she would wonder', async () => {
      world.calls.end(leg, { cause: 'normal', from: 'callee' })
      await settle()
      expect(world.link.said).toEqual(['m.call.hangup'])
      expect(world.link.last('m.call.hangup')['reason']).toBe('user_hangup')
      leg = await world.talking('to-user')
      world.calls.end(leg, { cause: 'media-lost', from: 'hub' })
      await settle()
      expect(world.link.said).toEqual(['m.call.hangup', notices.callEnded('the media has stopped')])
      expect(world.link.last('m.call.hangup')['reason']).toBe('ice_failed')
    })

    it('that ends with an offer open leaves no timer behind', async () => {
      world.calls.reoffer(leg, { exchange: 7, sdp: sdpOf(3) })
      world.calls.end(leg, { cause: 'normal', from: 'callee' })
      await settle()
      expect(world.clock.timers).toBe(0)
    })
  })
}
