// XMPP users write to phones, to the other XMPP island and to SIP over WebSocket, and back, through the whole hub.
// needs: prosody ejabberd

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal } from 'node:assert/strict'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { eventually } from '../support/hub.ts'
import type { StanzaMessage, StanzaUser } from '../support/stanza-user.ts'
import { at, openXmppWorld, people, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppPerson, XmppWorld } from '../support/xmpp-world.ts'

/** Markup, line breaks and characters of every length. */
const words = 'Grüße <b>&amp;</b> "x"\n二行目 👋🏽'

let world: XmppWorld
let dave: IslandUser
let finalsSeen = 0
const users = new Map<XmppPerson, StanzaUser>()
const user = (person: XmppPerson): StanzaUser => users.get(person)!

beforeAll(async () => {
  world = await openXmppWorld({ anchor: 'embedded', portMin: 48_000 })
  for (const person of ['alice', 'carol'] as const) users.set(person, await world.person(person, { jingle: false }))
  dave = await world.dave()
}, 120_000)

afterAll(async () => {
  equal(await world.close(), 0)
}, 120_000)

afterEach(async () => {
  equal(await world.faults(), [])
  finalsSeen = await world.finalCount()
}, 60_000)

async function recorded(from: string, to: string): Promise<readonly CdrRecord[]> {
  const finals = await world.finals(2, finalsSeen)
  equal(
    finals.map(({ service, provider, leg }) => [service, provider, leg]).sort((a, b) => (a[2]! < b[2]! ? 1 : -1)),
    [
      ['message', from, 'ingress'],
      ['message', to, 'egress']
    ]
  )
  return finals
}

const text = (to: string, more: Readonly<Record<string, unknown>> = {}) => ({
  to,
  type: 'chat',
  body: words,
  receipt: { type: 'request' },
  ...more
})
const isBody = (message: StanzaMessage): boolean => message['body'] === words
const isReceipt =
  (id: string) =>
  ({ receipt }: StanzaMessage): boolean =>
    JSON.stringify(receipt) === JSON.stringify({ type: 'received', id })
const sipTo = () => ({ host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' }) as const

for (const { person, server } of [
  { person: 'alice', server: 'Prosody' },
  { person: 'carol', server: 'ejabberd' }
] as const) {
  const { island, number } = people[person]
  describe(`a user on ${server}`, () => {
    it('writes to a phone: the words arrive as they are', async () => {
      const before = world.operator.messages.length
      await user(person).message(text(at(person, phoneNumber)))
      const message = await eventually('a message at the phone', () => world.operator.messages[before] ?? null)
      equal([message.text, message.to], [words, phoneNumber])
      await recorded(island, 'telco')
    }, 60_000)

    it('is written to by a phone', async () => {
      const before = user(person).events.length
      equal(await world.operator.sendText(number, words, { to: sipTo(), from: phoneNumber }), 200)
      const { message } = await user(person).wait('message', event => isBody(event.message), { from: before })
      equal([String(message['from']).split('/')[0], message['type']], [at(person, phoneNumber), 'chat'])
      await recorded('telco', island)
    }, 60_000)

    it('hears that nobody has the number', async () => {
      const id = await user(person).message(text(at(person, '+81312345678')))
      const message = await user(person).received('an error', sent => sent['type'] === 'error' && sent['id'] === id)
      equal((message['error'] as Record<string, unknown>)['condition'], 'item-not-found')
    }, 60_000)

    it('hears that what fits no datagram cannot go to an operator that takes no TCP', async () => {
      const before = world.operator.messages.length
      const id = await user(person).message(text(at(person, phoneNumber), { body: words.repeat(60) }))
      const message = await user(person).received('an error', sent => sent['type'] === 'error' && sent['id'] === id)
      const error = message['error'] as Record<string, unknown>
      equal([error['condition'], String(error['text']).includes('too large')], ['remote-server-timeout', true])
      equal(world.operator.messages.length, before)
    }, 60_000)

    it('hears that an encrypted message cannot be read, and its fallback goes nowhere', async () => {
      const before = world.operator.messages.length
      const id = `encrypted-${person}`
      await user(person).raw(
        `<message xmlns="jabber:client" type="chat" id="${id}" to="${at(person, phoneNumber)}"><body>fallback</body>` +
          '<encryption xmlns="urn:xmpp:eme:0" namespace="eu.siacs.conversations.axolotl" name="OMEMO"/></message>'
      )
      const message = await user(person).received('an error', sent => sent['type'] === 'error' && sent['id'] === id)
      const error = message['error'] as Record<string, unknown>
      equal([error['condition'], String(error['text']).includes('OMEMO')], ['not-acceptable', true])
      equal(world.operator.messages.length, before)
    }, 60_000)
  })
}

describe('two XMPP islands', () => {
  for (const [from, to] of [
    ['alice', 'carol'],
    ['carol', 'alice']
  ] as const) {
    it(`${from} writes to ${to}, whose client confirms: the receipt comes back once`, async () => {
      const before = user(to).events.length
      const id = await user(from).message(text(at(from, people[to].number)))
      const { message } = await user(to).wait('message', event => isBody(event.message), { from: before })
      equal(String(message['from']).split('/')[0], at(to, people[from].number))
      await user(from).received('a receipt', isReceipt(id))
      await recorded(people[from].island, people[to].island)
      const receipts = user(from).events.filter(event => event.type === 'message' && isReceipt(id)(event.message))
      equal(receipts.length, 1)
    }, 60_000)
  }

  it('what is read is told to the writer as read', async () => {
    const before = user('carol').events.length
    const marker = { type: 'markable' }
    const id = await user('alice').message(text(at('alice', people.carol.number), { marker }))
    const { message } = await user('carol').wait('message', event => isBody(event.message), { from: before })
    const read = { to: String(message['from']), type: 'chat', marker: { type: 'displayed', id: String(message['id']) } }
    await user('carol').message(read)
    await user('alice').received(
      'a marker',
      sent => JSON.stringify(sent['marker']) === `{"type":"displayed","id":"${id}"}`
    )
  }, 60_000)

  it('the same message sent twice arrives once and is charged once', async () => {
    const before = user('carol').events.length
    const id = await user('alice').message(text(at('alice', people.carol.number)))
    await user('alice').received('a receipt', isReceipt(id))
    await user('alice').message(text(at('alice', people.carol.number), { id }))
    // What comes after it shows that it has been dealt with.
    await user('alice').message(text(at('alice', people.carol.number), { body: 'after' }))
    await user('carol').wait('message', event => event.message['body'] === 'after', { from: before })
    const arrived = user('carol').events.slice(before)
    equal(arrived.filter(event => event.type === 'message' && isBody(event.message)).length, 1)
    equal((await world.finals(4, finalsSeen)).length, 4)
  }, 60_000)
})

describe('XMPP and SIP over WebSocket', () => {
  it('an XMPP user writes to a WebSocket user and is written to', async () => {
    const before = dave.messages.length
    await user('alice').message(text(at('alice', people.dave.number)))
    const message = await eventually('a message at the WebSocket user', () => dave.messages[before] ?? null)
    equal(message.text, words)
    await recorded('ott', 'acme')
    finalsSeen = await world.finalCount()
    const seen = user('carol').events.length
    equal(await dave.sendText(people.carol.number, words), 200)
    const { message: heard } = await user('carol').wait('message', event => isBody(event.message), { from: seen })
    equal(String(heard['from']).split('/')[0], at('carol', people.dave.number))
    await recorded('acme', 'chat')
  }, 60_000)
})
