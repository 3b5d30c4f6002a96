// XMPP users on Prosody and on ejabberd, phones and a SIP-over-WebSocket user call each other through the whole hub,
// with audio both ways, over the embedded anchor and over rtpengine.
// needs: prosody ejabberd rtpengine

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { eventually } from '../support/hub.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { hears } from '../support/stanza-user.ts'
import type { StanzaUser } from '../support/stanza-user.ts'
import { at, openXmppWorld, people, phoneHears, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppPerson, XmppWorld } from '../support/xmpp-world.ts'

const ours = 700
const theirs = 1_300
/** The only tone a SIP-over-WebSocket user of the sandbox plays unless told. */
const daves = 1_000

const setups = [
  { name: 'the embedded anchor', anchor: 'embedded', codecs: 'pcma', spoken: ['PCMA', 'PCMA'], portMin: 44_000 },
  { name: 'rtpengine, Opus to PCMA', anchor: 'rtpengine', codecs: 'opus', spoken: ['opus', 'PCMA'], portMin: 45_000 }
] as const

const islands = [
  { person: 'alice', server: 'Prosody' },
  { person: 'carol', server: 'ejabberd' }
] as const

for (const { name, anchor, codecs, spoken, portMin } of setups) {
  describe(`calls over ${name}`, () => {
    let world: XmppWorld
    let rtpengine: Rtpengine | null = null
    let dave: IslandUser
    const users = new Map<XmppPerson, StanzaUser>()
    const user = (person: XmppPerson): StanzaUser => users.get(person)!
    let finalsSeen = 0

    beforeAll(async () => {
      rtpengine = anchor === 'rtpengine' ? await startRtpengine() : null
      world = await openXmppWorld({ anchor, codecs, portMin, ...(rtpengine === null ? {} : { rtpengine }) })
      for (const { person } of islands) users.set(person, await world.person(person))
      dave = await world.dave()
    }, 120_000)

    afterAll(async () => {
      const left = await world.close()
      await rtpengine?.stop()
      equal(left, 0)
    }, 120_000)

    afterEach(async () => {
      equal(await world.faults(), [])
      finalsSeen = await world.finalCount()
    }, 60_000)

    /** Both legs of the one call since the last look: answered, ended by that side, with their packets. */
    async function records(from: string, to: string, side: 'caller' | 'callee'): Promise<readonly CdrRecord[]> {
      // Only the second attempt may transcode.
      const refused = codecs === 'opus' && (from === 'telco' || to === 'telco') ? 1 : 0
      const all = await world.finals(2 + refused, finalsSeen)
      const [one, other, more] = all.filter(({ leg, attempt }) => leg === 'ingress' || attempt === 1 + refused)
      ok(one !== undefined && other !== undefined && more === undefined && all.length === 2 + refused)
      const [ingress, egress] = one.leg === 'ingress' ? [one, other] : [other, one]
      equal([ingress.provider, egress.provider, ingress.call_id], [from, to, egress.call_id])
      for (const { t_answer, release_side, cause, media } of [ingress, egress]) {
        ok(t_answer !== null)
        equal([release_side, cause], [side, 'normal'])
        for (const { pkts_received, pkts_sent } of media) ok(pkts_received > 100 && pkts_sent > 100)
      }
      return [ingress, egress]
    }

    for (const { person, server } of islands) {
      it(`a user on ${server} calls a phone: both hear each other, each leg is recorded once and charged`, async () => {
        const caller = user(person)
        const number = await caller.subscribe(at(person, phoneNumber))
        const call = await caller.call(number, ours)
        const phone = await world.phone()
        await call.wait('ringing')
        await call.wait('accepted')
        // The phone echoes: what the user hears is its own tone.
        await Promise.all([hears(call, ours), phoneHears(phone, ours)])
        const { codec } = await call.stats()
        equal(codec?.toLowerCase(), spoken[0].toLowerCase())
        await call.end()
        await phone.ended
        const [ingress, egress] = await records(people[person].island, 'telco', 'caller')
        equal([ingress?.calling, ingress?.called], [people[person].number, phoneNumber])
        equal(
          [ingress, egress].map(record => record?.media.map(stream => stream.codec)),
          spoken.map(name => [name])
        )
      }, 60_000)

      it(`a phone calls a user on ${server}, who answers, and hangs up`, async () => {
        const phone = await world.phoneCalls(people[person].number, theirs)
        const call = await user(person).incoming()
        equal(call.peer.split('/')[0], at(person, phoneNumber))
        await call.ring()
        await call.answer(ours)
        equal(await phone.answered, true)
        await Promise.all([hears(call, theirs), phoneHears(phone, ours)])
        phone.hangUp()
        equal((await call.terminated()).reason, 'success')
        await records('telco', people[person].island, 'caller')
      }, 60_000)
    }

    it('two XMPP islands call each other, hold and resume: no SIP in between', async () => {
      const number = await user('alice').subscribe(at('alice', people.carol.number))
      const call = await user('alice').call(number, ours)
      const called = await user('carol').incoming()
      equal(called.peer.split('/')[0], at('carol', people.alice.number))
      await called.answer(theirs)
      await call.wait('accepted')
      await Promise.all([hears(call, theirs), hears(called, ours)])
      await call.hold()
      await called.wait('hold')
      await call.resume()
      await called.wait('resumed')
      await Promise.all([hears(call, theirs, 200), hears(called, ours, 200)])
      await called.end()
      equal((await call.terminated()).reason, 'success')
      await records('ott', 'chat', 'callee')
    }, 60_000)

    if (anchor === 'embedded') {
      it('an XMPP user calls a SIP-over-WebSocket user and is called by it', async () => {
        const number = await user('alice').subscribe(at('alice', people.dave.number))
        const call = await user('alice').call(number, ours)
        await call.wait('accepted')
        const there = await eventually('a call at the other side', () => dave.calls[0] ?? null)
        await Promise.all([hears(call, daves), phoneHears(there, ours)])
        await call.end()
        await there.ended
        await records('ott', 'acme', 'caller')
        finalsSeen = await world.finalCount()

        const back = await dave.call(people.carol.number)
        const called = await user('carol').incoming()
        await called.answer(ours)
        equal(await back.answered, true)
        await Promise.all([hears(called, daves), phoneHears(back, ours)])
        back.hangUp()
        await called.terminated()
        await records('acme', 'chat', 'caller')
      }, 60_000)

      const refusals = [
        { number: '+4989000486', reason: 'busy', about: 'is busy' },
        { number: '+4989000603', reason: 'decline', about: 'declines' },
        { number: '+4989000404', reason: 'gone', about: 'is not there' }
      ] as const
      for (const { number, reason, about } of refusals) {
        it(`a phone that ${about} is told to the XMPP caller as ${reason}`, async () => {
          const full = await user('alice').subscribe(at('alice', number))
          const call = await user('alice').call(full, ours)
          equal((await call.terminated()).reason, reason)
          equal((await world.finals(2, finalsSeen)).length, 2)
        }, 60_000)
      }

      it('a user that declines ends the call of the phone', async () => {
        const phone = await world.phoneCalls(people.carol.number, theirs)
        const call = await user('carol').incoming()
        await call.end('decline')
        equal(await phone.answered, false)
        const { message } = await phone.ended
        equal(message?.kind === 'response' && message.status, 603)
        equal((await world.finals(2, finalsSeen)).length, 2)
      }, 60_000)

      it('a phone that gives up stops the ringing', async () => {
        const phone = await world.phoneCalls(people.carol.number, theirs)
        const call = await user('carol').incoming()
        await call.ring()
        phone.hangUp()
        equal((await call.terminated()).reason, 'cancel')
        equal((await world.finals(2, finalsSeen)).length, 2)
      }, 60_000)
    }
  })
}
