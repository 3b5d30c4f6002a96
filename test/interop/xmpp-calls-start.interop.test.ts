// Islands where the hub calls before it lets the user's device begin (start B): a real client proposes, and hears how the
// phone rings, is busy or answers before anything is said about media. Through the whole hub, over both anchors.
// needs: prosody ejabberd rtpengine

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { hears } from '../support/stanza-user.ts'
import type { StanzaUser } from '../support/stanza-user.ts'
import { at, openXmppWorld, people, phoneHears, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppWorld } from '../support/xmpp-world.ts'

const ours = 700
const theirs = 1_300
const busyNumber = '+4989000486'

const setups = [
  { name: 'the embedded anchor', anchor: 'embedded', portMin: 48_000 },
  { name: 'rtpengine', anchor: 'rtpengine', portMin: 49_000 }
] as const

describe.each(setups)('a hub that offers first, over $name', ({ anchor, portMin }) => {
  let rtpengine: Rtpengine | null = null
  let world: XmppWorld
  let alice: StanzaUser
  let carol: StanzaUser
  let finalsSeen = 0

  beforeAll(async () => {
    rtpengine = anchor === 'rtpengine' ? await startRtpengine() : null
    const media = { anchor, portMin, ...(rtpengine === null ? {} : { rtpengine }) }
    world = await openXmppWorld({ ...media, island: { start: 'B' } })
    ;[alice, carol] = await Promise.all([world.person('alice'), world.person('carol')])
    await Promise.all([alice.subscribe(at('alice', phoneNumber)), carol.subscribe(at('carol', phoneNumber))])
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

  /** How each leg of the one call since the last look was recorded. */
  const ends = async (): Promise<readonly (readonly [string, string | null, boolean])[]> =>
    (await world.finals(2, finalsSeen))
      .map(({ leg, cause, t_answer }) => [leg, cause, t_answer !== null] as const)
      .sort(([a], [b]) => a.localeCompare(b))

  it('a phone that answers: ringing, then proceed, then the session, and both hear each other', async () => {
    const to = at('alice', phoneNumber)
    const sid = await alice.propose(to)
    const phone = await world.phone()
    const proceed = await alice.stanza(['<proceed', sid])
    ok(alice.events.some(event => event.type === 'raw' && event.xml.includes('<ringing') && event.xml.includes(sid)))
    const from = /from=['"]([^'"]+)['"]/.exec(proceed)?.[1] ?? ''
    const call = await alice.call(from, ours, { sid })
    await call.wait('accepted')
    await Promise.all([hears(call, ours), phoneHears(phone, ours)])
    await call.end()
    await phone.ended
    equal(await ends(), [
      ['egress', 'normal', true],
      ['ingress', 'normal', true]
    ])
  }, 60_000)

  it('a phone that is busy: a reject, and no session at all', async () => {
    const sid = await alice.propose(at('alice', busyNumber))
    await alice.stanza(['<reject', sid, '<busy'])
    equal(await ends(), [
      ['egress', 'busy', false],
      ['ingress', 'busy', false]
    ])
  }, 60_000)

  it('another island rings: the proposer gives up, and the ringing stops', async () => {
    const to = at('alice', people.carol.number)
    const sid = await alice.propose(to)
    const called = await carol.incoming()
    await called.ring()
    await alice.stanza(['<ringing', sid])
    await alice.raw(
      `<message xmlns="jabber:client" to="${to}" type="chat"><retract xmlns="urn:xmpp:jingle-message:0" id="${sid}"/></message>`
    )
    equal((await called.terminated()).reason, 'cancel')
    equal(await ends(), [
      ['egress', 'cancelled', false],
      ['ingress', 'cancelled', false]
    ])
  }, 60_000)

  it('another island answers: both hear each other, the called one hangs up', async () => {
    const sid = await alice.propose(at('alice', people.carol.number))
    const called = await carol.incoming()
    await called.ring()
    await called.answer(theirs)
    const proceed = await alice.stanza(['<proceed', sid])
    const call = await alice.call(/from=['"]([^'"]+)['"]/.exec(proceed)?.[1] ?? '', ours, { sid })
    await call.wait('accepted')
    await Promise.all([hears(call, theirs), hears(called, ours)])
    await called.end()
    equal((await call.terminated()).reason, 'success')
    equal(await ends(), [
      ['egress', 'normal', true],
      ['ingress', 'normal', true]
    ])
  }, 60_000)
})
