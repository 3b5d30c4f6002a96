// What goes wrong around XMPP islands, against the whole hub: servers and users that vanish in a call, bursts, floods.
// needs: prosody ejabberd

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { eventually } from '../support/hub.ts'
import { hears } from '../support/stanza-user.ts'
import type { StanzaUser } from '../support/stanza-user.ts'
import { at, openXmppWorld, people, phoneHears, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppPerson, XmppWorld } from '../support/xmpp-world.ts'

const ours = 700
const theirs = 1_300
const burst = 1_000

let world: XmppWorld
let finalsSeen = 0
const users = new Map<XmppPerson, StanzaUser>()
const user = (person: XmppPerson): StanzaUser => users.get(person)!

beforeAll(async () => {
  world = await openXmppWorld({ anchor: 'embedded', portMin: 49_000, silenceMs: 5_000 })
  for (const person of ['alice', 'bob', 'carol'] as const) {
    users.set(person, await world.person(person))
    // Without JMI they are found by their presence alone.
    await user(person).subscribe(at(person, phoneNumber))
  }
}, 120_000)

afterAll(async () => {
  equal(await world.close(), 0)
}, 120_000)

afterEach(async () => {
  equal(await world.faults(), [])
  finalsSeen = await world.finalCount()
}, 60_000)

/** Gone and back: the hub's link and everybody's sessions are new. */
async function restart(server: 'ott' | 'chat', person: XmppPerson): Promise<void> {
  const from = user(person).events.length
  await world.servers[server].start()
  await user(person).wait('online', () => true, { from, ms: 40_000 })
  // The hub tells those who watch a number that it is there again; whoever logs in later asks.
  const isThere = (event: { readonly from: string }): boolean => event.from.startsWith(at(person, phoneNumber))
  await user(person).wait('available', isThere, { from, ms: 40_000 })
}

describe('a server that dies in a call', () => {
  it('media stays, the phone can end the call, and the records say who did', async () => {
    const phone = await world.phoneCalls(people.alice.number, theirs)
    const call = await user('alice').incoming()
    await call.answer(ours)
    await Promise.all([hears(call, theirs), phoneHears(phone, ours)])
    await world.servers.ott.crash()
    await user('alice').wait('disconnected')
    const { packetsReceived } = await call.stats()
    await hears(call, theirs, packetsReceived + 100)
    await phoneHears(phone, ours, phone.media.heard.packetsReceived + 100)
    phone.hangUp()
    await phone.ended
    const finals = await world.finals(2, finalsSeen)
    equal(
      finals.map(({ cause, release_side, t_answer }) => [cause, release_side, t_answer !== null]),
      [
        ['normal', 'caller', true],
        ['normal', 'caller', true]
      ]
    )
    await restart('ott', 'alice')
  }, 120_000)

  for (const placed of [true, false]) {
    it(`its user ends the call that it ${placed ? 'placed' : 'took'} before, once the server is back`, async () => {
      const full = await user('alice').subscribe(at('alice', phoneNumber))
      const taken = placed ? null : await world.phoneCalls(people.alice.number, theirs)
      const call = placed ? await user('alice').call(full, ours) : await user('alice').incoming()
      if (!placed) await call.answer(ours)
      const phone = taken ?? (await world.phone())
      await Promise.all([hears(call, placed ? ours : theirs), phoneHears(phone, ours)])
      const from = user('alice').events.length
      await world.servers.ott.crash()
      await user('alice').wait('disconnected', () => true, { from })
      await restart('ott', 'alice')
      const { packetsReceived } = await call.stats()
      await hears(call, placed ? ours : theirs, packetsReceived + 100)
      await call.end()
      await phone.ended
      const side = placed ? 'caller' : 'callee'
      const finals = await world.finals(2, finalsSeen)
      equal(
        finals.map(({ cause, release_side, t_answer }) => [cause, release_side, t_answer !== null]),
        [
          ['normal', side, true],
          ['normal', side, true]
        ]
      )
      ok(finals.every(({ duration_ms }) => duration_ms > 2_000))
    }, 120_000)
  }

  it('once the server is back its users call and are called again', async () => {
    const full = await user('alice').subscribe(at('alice', phoneNumber))
    const call = await user('alice').call(full, ours)
    const phone = await world.phone()
    await Promise.all([hears(call, ours), phoneHears(phone, ours)])
    await call.end()
    await phone.ended
    equal((await world.finals(2, finalsSeen)).length, 2)
  }, 60_000)

  it('its users cannot be called meanwhile, users of another island can', async () => {
    await world.servers.chat.crash()
    const phone = await world.phoneCalls(people.carol.number, theirs)
    equal(await phone.answered, false)
    const { message } = await phone.ended
    ok(message?.kind === 'response' && message.status >= 400)
    const other = await world.phoneCalls(people.alice.number, theirs)
    const call = await user('alice').incoming()
    await call.answer(ours)
    await hears(call, theirs)
    other.hangUp()
    await call.terminated()
    await restart('chat', 'carol')
  }, 120_000)
})

describe('a user that vanishes', () => {
  it('while it rings: the caller hears an end, and the call is recorded once', async () => {
    const phone = await world.phoneCalls(people.bob.number, theirs)
    await user('bob').incoming()
    await user('bob').vanish()
    equal(await phone.answered, false)
    const { message } = await phone.ended
    ok(message?.kind === 'response' && [408, 480].includes(message.status))
    equal((await world.finals(2, finalsSeen)).length, 2)
  }, 180_000)
})

describe('a user that vanishes in a call', () => {
  it('is missed by its media: the phone hears an end, and nobody pays for more than was spoken', async () => {
    const bob = await world.person('bob')
    await bob.subscribe(at('bob', phoneNumber))
    const phone = await world.phoneCalls(people.bob.number, theirs)
    const call = await bob.incoming()
    await call.answer(ours)
    await Promise.all([hears(call, theirs), phoneHears(phone, ours)])
    await bob.vanish()
    await phone.ended
    const finals = await world.finals(2, finalsSeen)
    equal(
      finals.map(({ cause, release_side }) => [cause, release_side]),
      [
        ['media-lost', 'hub'],
        ['media-lost', 'hub']
      ]
    )
  }, 60_000)
})

describe('a burst', () => {
  it(`of ${burst} proposals from one user is bounded, and another island calls meanwhile`, async () => {
    const from = user('alice').events.length
    const full = await user('carol').subscribe(at('carol', phoneNumber))
    const proposals = Array.from(
      { length: burst },
      (_, index) =>
        `<message xmlns="jabber:client" type="chat" id="b${index}" to="${at('alice', phoneNumber)}">` +
        `<propose xmlns="urn:xmpp:jingle-message:0" id="${randomUUID()}">` +
        '<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"/></propose></message>'
    )
    const sent = Promise.all(proposals.map(xml => user('alice').raw(xml)))
    const call = await user('carol').call(full, ours)
    const phone = await world.phone()
    await Promise.all([hears(call, ours), phoneHears(phone, ours)])
    await sent
    const answers = (word: string): number =>
      user('alice')
        .events.slice(from)
        .filter(event => event.type === 'raw' && event.direction === 'in' && event.xml.includes(`<${word} `)).length
    await eventually('every proposal is answered', () => answers('proceed') + answers('reject') >= burst)
    ok(answers('proceed') <= 8, `${answers('proceed')} proposals at once of one user`)
    await call.end()
    await phone.ended
    equal((await world.finals(2, finalsSeen)).length, 2)
  }, 120_000)
})
