// Messages through the whole hub: between two XMPP islands, to and from an operator's phones, to a SIP island; what is
// told of them, and who is writing, in the words of each world.
// needs: prosody ejabberd

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import { composingType, printComposing } from '../../src/sip/composing.ts'
import { cpimNotification, cpimText, cpimType, imdnType, parseCpim, parseImdn, wishesOf } from '../../src/sip/cpim.ts'
import { freePorts } from '../support/free-port.ts'
import { eventually } from '../support/hub.ts'
import { at, openXmppWorld, people, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppWorld } from '../support/xmpp-world.ts'
import { openXmppUser, presence } from '../support/xmpp-user.ts'
import type { XmppUser } from '../support/xmpp-user.ts'

jest.setTimeout(120_000)

const states = 'http://jabber.org/protocol/chatstates'
const receipts = 'urn:xmpp:receipts'
const markers = 'urn:xmpp:chat-markers:0'
const jmi = 'urn:xmpp:jingle-message:0'
const audio = xml('description', { xmlns: 'urn:xmpp:jingle:apps:rtp:1', media: 'audio' })
const ends = { from: 'sip:somebody@there.example', to: 'sip:somebody@else.example', at: '2026-01-02T03:04:05.000Z' }
const says = (to: string, id: string, text: string, ...more: readonly Element[]): Element =>
  xml('message', { to, id, type: 'chat' }, xml('body', {}, text), ...more)
const textIn = (text: string) => (stanza: Element) => stanza.getChildText('body') === text
const errorOf = (id: string) => (stanza: Element) => stanza.attrs['id'] === id && stanza.attrs['type'] === 'error'

describe('messages through the whole hub', () => {
  let world: XmppWorld
  let alice: XmppUser
  let carol: XmppUser
  let dave: IslandUser

  const logIn = async (name: 'alice' | 'carol'): Promise<XmppUser> => {
    const { island, domain } = people[name]
    const user = await openXmppUser({ service: world.servers[island].tcp, domain, name, password: `pw-${name}` })
    await user.send(presence())
    await user.wait('its own presence', stanza => stanza.is('presence') && stanza.attrs['from'] === user.jid)
    return user
  }
  beforeAll(async () => {
    const [port = 0] = await freePorts(1)
    world = await openXmppWorld({
      anchor: 'embedded',
      operator: { transports: ['udp', 'tcp'], port },
      telco: { mimeTypes: ['text/plain', 'message/cpim', imdnType, composingType] }
    })
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
  /** From the operator's phones to alice. */
  const fromPhone = (text: string, type?: string) => {
    const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
    const own = type === undefined ? {} : { type }
    return world.operator.sendText(people.alice.number, text, { to, from: phoneNumber, ...own })
  }
  const shows = (to: string, child: Element): Promise<void> => alice.send(xml('message', { to, type: 'chat' }, child))
  const composing = xml('composing', { xmlns: states })
  const marked = (stanza: Element): boolean => stanza.getChild('composing', states) !== undefined
  const saidIn = (body: string) => parseImdn(parseCpim(body)?.body ?? '')

  it('to a phone of the operator: delivered and read are what its notifications say', async () => {
    const to = at('alice', phoneNumber)
    const asks = [xml('request', { xmlns: receipts }), xml('markable', { xmlns: markers })]
    await alice.send(says(to, 'm4', 'to a phone', ...asks))
    const cpim = await eventually('the text', () => {
      const found = world.operator.messages.map(({ text }) => parseCpim(text))
      return found.find(one => one?.body === 'to a phone')
    })
    const about = wishesOf(cpim)?.id ?? ''
    const receiptOf = (stanza: Element): boolean => stanza.getChild('received', receipts)?.attrs['id'] === 'm4'
    expect(await fromPhone(cpimNotification(ends, 'n1', { about, said: 'delivered' }), cpimType)).toBe(200)
    await alice.wait('a receipt', receiptOf)
    expect(await fromPhone(cpimNotification(ends, 'n2', { about, said: 'displayed' }), cpimType)).toBe(200)
    await alice.wait('a marker', stanza => stanza.getChild('displayed', markers)?.attrs['id'] === 'm4')
    expect(alice.messages(receiptOf)).toHaveLength(1)
  })
  it('from a phone that asks to be told: its notifications are what the reader says', async () => {
    expect(await fromPhone(cpimText(ends, 'p1', 'from a phone'), cpimType)).toBe(200)
    const heard = await alice.wait('the text', textIn('from a phone'))
    const { id = '', from = '' } = heard.attrs
    expect(from).toBe(`${at('alice', phoneNumber)}/gw`)
    await shows(from, xml('received', { xmlns: receipts, id }))
    await shows(from, xml('displayed', { xmlns: markers, id }))
    for (const said of ['delivered', 'displayed'] as const) {
      await eventually(said, () => world.operator.messages.some(({ text }) => saidIn(text)?.said === said))
    }
    expect(world.operator.messages.flatMap(({ text }) => saidIn(text)?.id ?? [])).toEqual(['p1', 'p1'])
  })
  it('who is writing is shown to the phone and by it, once they have written', async () => {
    await shows(at('alice', phoneNumber), composing)
    await eventually('typing', () => world.operator.messages.some(({ text }) => text === printComposing('active')))
    const before = alice.messages(marked).length
    expect(await fromPhone(printComposing('active'), composingType)).toBe(200)
    await eventually('typing', () => alice.messages(marked).length > before)
  })
  it('more than fits a datagram goes to the operator by TCP, whole', async () => {
    const text = `long ${'Grüße '.repeat(500)}`
    await alice.send(says(at('alice', phoneNumber), 'm-long', text))
    await eventually('the text', () => world.operator.messages.some(one => parseCpim(one.text)?.body === text))
  })
  it('to a user of a SIP island, and back', async () => {
    dave = await world.dave()
    await alice.send(says(at('alice', people.dave.number), 'm5', 'to SIP'))
    await eventually('the text', () => dave.messages.some(({ text }) => text === 'to SIP'))
    expect(await dave.sendText(people.alice.number, 'from SIP')).toBe(200)
    const heard = await alice.wait('the text', textIn('from SIP'))
    expect(heard.attrs['from']).toBe(`${at('alice', people.dave.number)}/gw`)
  })
  it('a SIP user that knows notifications and typing gets and gives them', async () => {
    const to = at('alice', people.dave.number)
    expect(await dave.sendText(people.alice.number, cpimText(ends, 'd1', 'read this'), cpimType)).toBe(200)
    const { id = '' } = (await alice.wait('the text', textIn('read this'))).attrs
    await shows(to, xml('displayed', { xmlns: markers, id }))
    await eventually('a notification', () => dave.messages.some(({ text }) => saidIn(text)?.said === 'displayed'))
    await alice.send(says(to, 'm9', 'and this', xml('markable', { xmlns: markers })))
    const cpim = await eventually('the text', () =>
      dave.messages.map(({ text }) => parseCpim(text)).find(one => one?.body === 'and this')
    )
    const about = wishesOf(cpim)?.id ?? ''
    const told = cpimNotification(ends, 'n3', { about, said: 'displayed' })
    expect(await dave.sendText(people.alice.number, told, cpimType)).toBe(200)
    await alice.wait('a marker', stanza => stanza.getChild('displayed', markers)?.attrs['id'] === 'm9')
    const before = alice.messages(marked).length
    expect(await dave.sendText(people.alice.number, printComposing('active'), composingType)).toBe(200)
    await eventually('typing', () => alice.messages(marked).length > before)
    await shows(to, composing)
    await eventually('typing', () => dave.messages.some(({ text }) => text === printComposing('active')))
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
  it('a call to an emergency number without a route: the caller is told in words, and it leaves no record', async () => {
    const since = await world.finalCount()
    const to = at('carol', '112')
    const propose = xml('propose', { xmlns: jmi, id: 'e1' }, audio)
    await carol.send(xml('message', { to, id: 'e1', type: 'chat' }, propose))
    const from = `${to}/gw`
    const notice = await carol.wait('a notice', one => one.attrs['from'] === from && one.getChild('body') !== undefined)
    expect(notice.getChildText('body')).toMatch(/Use a phone/)
    await carol.wait('a rejection', one => one.getChild('reject', jmi)?.attrs['id'] === 'e1')
    await alice.send(says(at('alice', people.carol.number), 'after', 'after'))
    await carol.wait('the message', textIn('after'))
    expect((await world.finals(2, since)).map(({ service }) => service)).toEqual(['message', 'message'])
  })
  it('a user and a phone call each other at the same moment: the call with the lower id stays, the other is busy', async () => {
    const since = await world.finalCount()
    const say = (kind: string, id: string, ...more: readonly Element[]): Promise<void> => {
      const word = xml(kind, { xmlns: jmi, id }, ...more)
      return carol.send(xml('message', { to: at('carol', phoneNumber), id: `${kind}-${id}`, type: 'chat' }, word))
    }
    const heard = async (kind: string, isIt: (id: string) => boolean): Promise<Element> => {
      const idOf = (one: Element): string | undefined => one.getChild(kind, jmi)?.attrs['id']
      const stanza = await carol.wait(`a ${kind}`, one => isIt(idOf(one) ?? '') && idOf(one) !== undefined)
      return stanza.getChild(kind, jmi) ?? stanza
    }
    const first = await world.phoneCalls(people.carol.number, 440)
    const { id: ours = '' } = (await heard('propose', () => true)).attrs
    await say('propose', '~higher', audio)
    expect((await heard('reject', id => id === '~higher')).getChild('tie-break')).toBeDefined()
    first.hangUp()
    await heard('retract', id => id === ours)

    const second = await world.phoneCalls(people.carol.number, 440)
    const { id: next = '' } = (await heard('propose', id => id !== ours)).attrs
    await say('propose', '!lower', audio)
    expect((await heard('retract', id => id === next)).getChild('tie-break')).toBeDefined()
    await heard('proceed', id => id === '!lower')
    const { message } = await second.ended
    expect(message?.kind === 'response' && message.status).toBe(486)
    await say('retract', '!lower')
    const finals = await world.finals(4, since)
    expect(finals.map(({ cause }) => cause)).toEqual(['cancelled', 'cancelled', 'busy', 'busy'])
  })
  it('every one is in the books as it should be', async () => {
    expect(await world.faults()).toEqual([])
  })
})
