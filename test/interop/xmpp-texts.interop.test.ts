// Messages through the whole hub: between two XMPP islands, to and from an operator's phones, to a SIP island.
// needs: prosody ejabberd

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { eventually } from '../support/hub.ts'
import { at, openXmppWorld, people, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppWorld } from '../support/xmpp-world.ts'
import { openXmppUser, presence } from '../support/xmpp-user.ts'
import type { XmppUser } from '../support/xmpp-user.ts'

jest.setTimeout(120_000)

const states = 'http://jabber.org/protocol/chatstates'
const receipts = 'urn:xmpp:receipts'
const says = (to: string, id: string, text: string, ...more: readonly Element[]): Element =>
  xml('message', { to, id, type: 'chat' }, xml('body', {}, text), ...more)
const textIn = (text: string) => (stanza: Element) => stanza.getChildText('body') === text
const errorOf = (id: string) => (stanza: Element) => stanza.attrs['id'] === id && stanza.attrs['type'] === 'error'

describe('messages through the whole hub', () => {
  let world: XmppWorld
  let alice: XmppUser
  let carol: XmppUser

  const logIn = async (name: 'alice' | 'carol'): Promise<XmppUser> => {
    const { island, domain } = people[name]
    const user = await openXmppUser({ service: world.servers[island].tcp, domain, name, password: `pw-${name}` })
    await user.send(presence())
    await user.wait('its own presence', stanza => stanza.is('presence') && stanza.attrs['from'] === user.jid)
    return user
  }
  beforeAll(async () => {
    world = await openXmppWorld({ anchor: 'embedded' })
    ;[alice, carol] = [await logIn('alice'), await logIn('carol')]
  })
  afterAll(async () => {
    await alice?.close()
    await carol?.close()
    await world?.close()
  })

  it('from island to island: word for word, delivered once, with receipt, typing and the way back', async () => {
    const since = await world.finalCount()
    const text = `<tea> & "cake"? 😀 ж`
    await alice.send(says(at('alice', people.carol.number), 'm1', text, xml('request', { xmlns: receipts })))
    const heard = await carol.wait('the message', textIn(text))
    expect(heard.attrs['from']).toBe(`${at('carol', people.alice.number)}/gw`)
    const { id = '', from = '' } = heard.attrs
    await carol.send(xml('message', { to: from, type: 'chat', id: 'r1' }, xml('received', { xmlns: receipts, id })))
    await alice.wait('a receipt', stanza => stanza.getChild('received', receipts)?.attrs['id'] === 'm1')
    await alice.send(
      xml('message', { to: at('alice', people.carol.number), type: 'chat' }, xml('composing', { xmlns: states }))
    )
    await carol.wait('typing', stanza => stanza.getChild('composing', states) !== undefined)
    await carol.send(says(from, 'm2', 'yes'))
    await alice.wait('the answer', textIn('yes'))
    expect(carol.messages(textIn(text))).toHaveLength(1)
    const finals = await world.finals(4, since)
    expect(finals.map(({ service }) => service)).toEqual(['message', 'message', 'message', 'message'])
  })
  it('by the address of a user instead of a number', async () => {
    const address = `carol\\40${people.carol.domain}@${people.alice.gateway}`
    await alice.send(says(address, 'm3', 'by name'))
    const heard = await carol.wait('the message', textIn('by name'))
    expect(heard.attrs['from']).toBe(`${at('carol', people.alice.number)}/gw`)
  })
  it('to a phone of the operator, whose answer is the receipt; and from it', async () => {
    await alice.send(says(at('alice', phoneNumber), 'm4', 'to a phone', xml('request', { xmlns: receipts })))
    await eventually('the text', () => world.operator.messages.some(({ text }) => text === 'to a phone'))
    await alice.wait('a receipt', stanza => stanza.getChild('received', receipts)?.attrs['id'] === 'm4')
    const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
    const status = await world.operator.sendText(people.alice.number, 'from a phone', { to, from: phoneNumber })
    expect(status).toBe(200)
    const heard = await alice.wait('the text', textIn('from a phone'))
    expect(heard.attrs['from']).toBe(`${at('alice', phoneNumber)}/gw`)
  })
  it('to a user of a SIP island, and back', async () => {
    const dave = await world.dave()
    await alice.send(says(at('alice', people.dave.number), 'm5', 'to SIP'))
    await eventually('the text', () => dave.messages.some(({ text }) => text === 'to SIP'))
    expect(await dave.sendText(people.alice.number, 'from SIP')).toBe(200)
    const heard = await alice.wait('the text', textIn('from SIP'))
    expect(heard.attrs['from']).toBe(`${at('alice', people.dave.number)}/gw`)
  })
  it('to nobody, encrypted, or to an emergency number: the sender is told, and the last two leave no record', async () => {
    await alice.send(says(at('alice', '112'), 'm6', 'help'))
    const emergency = await alice.wait('an error', errorOf('m6'))
    expect(emergency.getChild('error')?.getChildText('text')).toMatch(/Use a phone/)
    const omemo = xml('encrypted', { xmlns: 'eu.siacs.conversations.axolotl' })
    await alice.send(says(at('alice', phoneNumber), 'm7', 'fallback', omemo))
    expect((await alice.wait('an error', errorOf('m7'))).getChild('error')?.getChildText('text')).toMatch(/OMEMO/)
    await alice.send(says(at('alice', '+15550100'), 'm8', 'nobody'))
    expect((await alice.wait('an error', errorOf('m8'))).getChild('error')?.getChild('item-not-found')).toBeDefined()
    expect(world.operator.messages.some(({ text }) => text === 'fallback')).toBe(false)
    const ids = await eventually('the record of the last one', async () => {
      const found = (await world.hub.records()).map(record => record.sip_call_id)
      return found.includes('m8') ? found : null
    })
    expect(ids.filter(id => id === 'm6' || id === 'm7')).toEqual([])
  })
  it('every one is in the books as it should be', async () => {
    expect(await world.faults()).toEqual([])
  })
})
