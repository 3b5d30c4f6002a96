// An island's link against Prosody and ejabberd themselves: connection, discovery, presence, messages, faults.
// needs: prosody ejabberd

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { createHash } from 'node:crypto'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { startEjabberd } from '../support/ejabberd.ts'
import { startProsody } from '../support/prosody.ts'
import { eventually } from '../support/hub.ts'
import { until } from '../support/until.ts'
import { outgoing, startAdapter } from '../support/xmpp-adapter.ts'
import type { AdapterUnderTest } from '../support/xmpp-adapter.ts'
import type { XmppServer } from '../support/xmpp-server.ts'
import { openXmppUser, presence } from '../support/xmpp-user.ts'
import type { XmppUser } from '../support/xmpp-user.ts'

jest.setTimeout(60_000)

const domain = 'ott.test'
const gateway = 'ims.ott.test'
const number = `+4930123456@${gateway}`
const users = { alice: 'pw-alice', bob: 'pw-bob', line: 'pw-line', line2: 'pw-line2' }

const disco = 'http://jabber.org/protocol/disco'
const info = (to: string, node?: string): Element =>
  xml('iq', { type: 'get', to }, xml('query', { xmlns: `${disco}#info`, node }))
const roster = (): Element => xml('iq', { type: 'get' }, xml('query', { xmlns: 'jabber:iq:roster' }))
const get = (to: string, name: string, xmlns: string): Element => xml('iq', { type: 'get', to }, xml(name, { xmlns }))
const message = (to: string, id: string, ...children: readonly Element[]): Element =>
  xml('message', { to, id, type: 'chat' }, ...children)
const body = (text: string): Element => xml('body', {}, text)
const conditionIn = (stanza: Element): string =>
  stanza.getChild('error')?.getChildElements()[0]?.getName() ?? stanza.toString()
const wordsIn = (stanza: Element): string => stanza.getChild('error')?.getChildText('text') ?? ''
const isMessage = (stanza: Element, id: string): boolean => stanza.is('message') && stanza.attrs['id'] === id

describe.each([
  ['Prosody', startProsody],
  ['ejabberd', startEjabberd]
] as const)('an island on %s', (name, startServer) => {
  let server: XmppServer
  let adapter: AdapterUnderTest
  let alice: XmppUser

  const island = (more: Readonly<Record<string, unknown>> = {}) => ({
    id: 'ott',
    domain,
    gateway,
    connection: { kind: 'component', host: '127.0.0.1', port: server.componentPort, secret: 's3cr3t' },
    users: [
      { name: 'alice', number: '+4930222001', display: 'Alice' },
      { name: 'bob', number: '+4930222002' }
    ],
    ...more
  })
  const logIn = (user: keyof typeof users, more: Partial<Parameters<typeof openXmppUser>[0]> = {}) =>
    openXmppUser({ service: server.tcp, domain, name: user, password: users[user], ...more })

  beforeAll(async () => {
    server = await startServer({ domain, components: [{ domain: gateway }], users })
    adapter = await startAdapter([island()])
    await adapter.ready('ott')
    alice = await logIn('alice')
    // A server passes subscriptions on to those alone who have asked for their roster.
    await alice.ask(roster())
    await alice.send(presence())
  })
  afterAll(async () => {
    await alice?.close()
    await adapter?.close()
    await server?.stop()
  })

  describe('discovery', () => {
    it('the gateway says that it is one, and a number that it is a phone that takes calls', async () => {
      const itself = await alice.ask(info(gateway))
      expect(itself.getChild('query')?.getChild('identity')?.attrs).toMatchObject({ category: 'gateway', type: 'sip' })
      for (const jid of [number, `${number}/gw`]) {
        const features = (await alice.ask(info(jid))).getChild('query')?.getChildren('feature') ?? []
        const names = features.map(({ attrs }) => attrs['var'])
        expect(names).toContain('urn:xmpp:jingle:apps:rtp:audio')
        expect(names).toContain('urn:xmpp:jingle-message:0')
      }
    })
    it('the caps hash equals the answer to the question about it', async () => {
      await alice.send(presence({ to: number, type: 'subscribe' }))
      const shown = await alice.wait('presence with caps', stanza => stanza.getChild('c') !== undefined)
      expect(shown.attrs['from']).toBe(`${number}/gw`)
      const { node, ver, hash } = shown.getChild('c')?.attrs ?? {}
      expect(hash).toBe('sha-1')
      const query = (await alice.ask(info(`${number}/gw`, `${node}#${ver}`))).getChild('query')
      expect(query?.attrs['node']).toBe(`${node}#${ver}`)
      const identities = (query?.getChildren('identity') ?? []).map(
        ({ attrs }) => `${attrs['category']}/${attrs['type']}/${attrs['xml:lang'] ?? ''}/${attrs['name'] ?? ''}<`
      )
      const features = (query?.getChildren('feature') ?? []).map(({ attrs }) => `${attrs['var']}<`).sort()
      const hashed = createHash('sha1')
        .update([...identities, ...features].join(''))
        .digest('base64')
      expect(hashed).toBe(ver)
    })
    it('a node that nobody has is not found', async () => {
      const reply = await alice.ask(info(`${number}/gw`, 'https://example.org/#nothing'))
      expect(conditionIn(reply)).toBe('item-not-found')
    })
    it('ping, version and last activity are answered; what nobody knows is refused as such', async () => {
      expect((await alice.ask(get(gateway, 'ping', 'urn:xmpp:ping'))).attrs['type']).toBe('result')
      const version = await alice.ask(get(`${number}/gw`, 'query', 'jabber:iq:version'))
      expect(version.getChild('query')?.getChildText('name')).toBe('Isthmus')
      expect(version.getChild('query')?.getChildText('version')).toBe('1.2.3')
      const last = await alice.ask(get(`${number}/gw`, 'query', 'jabber:iq:last'))
      expect(last.getChild('query')?.attrs['seconds']).toBe('0')
      const items = await alice.ask(get(gateway, 'query', `${disco}#items`))
      expect(items.attrs['type']).toBe('result')
      const unknown = await alice.ask(get(`${number}/gw`, 'query', 'urn:example:nothing'))
      expect(conditionIn(unknown)).toBe('service-unavailable')
    })
    it('what is no address of anybody is not found', async () => {
      expect(conditionIn(await alice.ask(info(`nobody@${gateway}`)))).toBe('item-not-found')
    })
  })

  describe('presence', () => {
    it('a subscription is granted and asked for in turn; who logs in again is told that the number is there', async () => {
      const bob = await logIn('bob')
      await bob.ask(roster())
      await bob.send(presence())
      await bob.send(presence({ to: number, type: 'subscribe' }))
      await bob.wait('subscribed', stanza => stanza.attrs['type'] === 'subscribed')
      await bob.wait('subscribe', stanza => stanza.attrs['type'] === 'subscribe')
      await bob.send(presence({ to: number, type: 'subscribed' }))
      await bob.wait('presence', stanza => stanza.is('presence') && stanza.attrs['from'] === `${number}/gw`)
      await bob.close()
      const again = await logIn('bob', { resource: 'again' })
      await again.send(presence())
      await again.wait('presence', stanza => stanza.is('presence') && stanza.attrs['from'] === `${number}/gw`)
      await again.close()
    })
    it('nobody can subscribe to what cannot be called', async () => {
      await alice.send(presence({ to: `anonymous@${gateway}`, type: 'subscribe' }))
      const refused = await alice.wait(
        'unsubscribed',
        stanza => stanza.attrs['type'] === 'unsubscribed' && stanza.attrs['from'] === `anonymous@${gateway}`
      )
      expect(refused.is('presence')).toBe(true)
    })
    it('the devices of a user and what they can do are known once they show it', async () => {
      const features = ['urn:xmpp:jingle:1', 'urn:xmpp:jingle:apps:rtp:audio']
      const identity = { category: 'client', type: 'pc', name: 'test' }
      const ver = createHash('sha1')
        .update(`client/pc//test<${features.map(feature => `${feature}<`).join('')}`)
        .digest('base64')
      const answer = (): Element =>
        xml(
          'query',
          { xmlns: `${disco}#info` },
          xml('identity', identity),
          ...features.map(feature => xml('feature', { var: feature }))
        )
      const bob = await logIn('bob', {
        resource: 'caps',
        onIq: iq => (iq.getChild('query', `${disco}#info`) ? xml('iq', { type: 'result' }, answer()) : null)
      })
      const caps = xml('c', { xmlns: 'http://jabber.org/protocol/caps', hash: 'sha-1', node: 'https://test', ver })
      await bob.send(presence())
      await bob.send(xml('presence', { to: number }, xml('priority', {}, '7'), caps))
      const { presences } = adapter.calls('ott').parts
      const device = () => presences.devices(`bob@${domain}`).find(({ jid }) => jid.endsWith('/caps'))
      await until(() => device()?.features !== null && device() !== undefined)
      expect([...(device()?.features ?? [])]).toEqual(features)
      expect(device()?.priority).toBe(7)
      await bob.close()
      await until(() => device() === undefined)
    })
  })

  describe('messages', () => {
    it('reach the core word for word, with who sent them', async () => {
      const text = `<b>&amp; "quoted" 'it'</b> ]]> 😀 Grüße ${'ж中é'.repeat(3_000)}`.slice(0, 8_000)
      await alice.send(message(number, 'm-1', body(text), xml('request', { xmlns: 'urn:xmpp:receipts' })))
      await until(() => adapter.inbox.texts.some(({ facts }) => facts.dialogId === 'm-1'))
      const heard = adapter.inbox.texts.find(({ facts }) => facts.dialogId === 'm-1')
      expect(heard?.body).toEqual({ type: 'text/plain', text })
      expect(heard?.called).toBe('tel:+4930123456')
      expect(heard?.caller).toMatchObject({ access: 'xmpp', peerId: 'ott', party: { trust: 'network' } })
      expect(heard?.caller.party.asserted).toEqual(['tel:+4930222001', `sip:alice@${domain}`])
    })
    it('their receipts and markers go back to who sent them', async () => {
      const asks = [
        xml('request', { xmlns: 'urn:xmpp:receipts' }),
        xml('markable', { xmlns: 'urn:xmpp:chat-markers:0' })
      ]
      await alice.send(message(number, 'm-2', body('hello'), ...asks))
      await until(() => adapter.inbox.texts.some(({ facts }) => facts.dialogId === 'm-2'))
      const ref = adapter.inbox.texts.find(({ facts }) => facts.dialogId === 'm-2')!.ref
      await adapter.xmpp.sendReceipt(ref, 'delivered')
      await adapter.xmpp.sendReceipt(ref, 'read')
      const received = await alice.wait(
        'a receipt',
        stanza => stanza.getChild('received', 'urn:xmpp:receipts')?.attrs['id'] === 'm-2'
      )
      expect(received.attrs['from']).toBe(`${number}/gw`)
      await alice.wait('a marker', stanza => stanza.getChild('displayed')?.attrs['id'] === 'm-2')
    })
    it('what the core refuses is answered with an error and its words', async () => {
      adapter.inbox.verdict = async () => ({
        taken: false,
        release: { cause: 'no-rate', text: 'no price for +4930123456', from: 'hub' }
      })
      await alice.send(message(number, 'm-3', body('hello')))
      const error = await alice.wait('an error', stanza => isMessage(stanza, 'm-3') && stanza.attrs['type'] === 'error')
      adapter.inbox.verdict = async () => ({ taken: true })
      expect(conditionIn(error)).toBe('forbidden')
      expect(wordsIn(error)).toBe('no price for +4930123456')
      expect(error.getChild('body')).toBeUndefined()
    })
    it('the same message twice is delivered once', async () => {
      await alice.send(message(number, 'm-4', body('once')))
      await alice.send(message(number, 'm-4', body('once')))
      await alice.send(message(number, 'm-5', body('next')))
      await until(() => adapter.inbox.texts.some(({ facts }) => facts.dialogId === 'm-5'))
      expect(adapter.inbox.texts.filter(({ facts }) => facts.dialogId === 'm-4')).toHaveLength(1)
    })
    it('an encrypted one is refused by name, and its fallback body goes nowhere', async () => {
      const encrypted = xml('encrypted', { xmlns: 'eu.siacs.conversations.axolotl' }, xml('payload', {}, 'AAAA'))
      const notice = xml('encryption', {
        xmlns: 'urn:xmpp:eme:0',
        namespace: 'eu.siacs.conversations.axolotl',
        name: 'OMEMO'
      })
      await alice.send(message(number, 'm-6', encrypted, notice, body('I sent you an OMEMO encrypted message')))
      const error = await alice.wait('an error', stanza => isMessage(stanza, 'm-6') && stanza.attrs['type'] === 'error')
      expect(conditionIn(error)).toBe('not-acceptable')
      expect(wordsIn(error)).toMatch(/OMEMO/)
      expect(adapter.inbox.texts.some(({ body: { text } }) => /OMEMO/.test(text))).toBe(false)
    })
    it('reach a user word for word and are taken; what was displayed is told', async () => {
      const text = `from the phone: <x/> & "1" '2' 😀 ж中é`
      const outcome = await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, text))
      expect(outcome).toMatchObject({ taken: true })
      const heard = await alice.wait('the message', stanza => stanza.getChildText('body') === text)
      expect(heard.attrs['from']).toBe(`${number}/gw`)
      expect(heard.attrs['type']).toBe('chat')
      const { id = '' } = heard.attrs
      await alice.send(message(number, 'r-1', xml('received', { xmlns: 'urn:xmpp:receipts', id })))
      await alice.send(message(number, 'r-2', xml('displayed', { xmlns: 'urn:xmpp:chat-markers:0', id })))
      await until(() => adapter.inbox.all('received').length >= 2)
      const ref = outcome.taken ? outcome.ref : null
      expect(adapter.inbox.all('received').map(({ ref: of, receipt }) => [of, receipt])).toEqual([
        [ref, 'delivered'],
        [ref, 'read']
      ])
    })
    it('a receipt from anybody but the reader counts for nothing', async () => {
      await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, 'for alice only'))
      const { id = '' } = (await alice.wait('it', stanza => stanza.getChildText('body') === 'for alice only')).attrs
      const before = adapter.inbox.all('received').length
      const bob = await logIn('bob', { resource: 'forger' })
      await bob.send(message(number, 'r-3', xml('received', { xmlns: 'urn:xmpp:receipts', id })))
      await bob.send(message(number, 'm-7', body('after it')))
      await until(() => adapter.inbox.texts.some(({ facts }) => facts.dialogId === 'm-7'))
      expect(adapter.inbox.all('received')).toHaveLength(before)
      await bob.close()
    })
    it('a message to nobody is refused by what the server says', async () => {
      const outcome = await adapter.xmpp.sendText(outgoing('ott', `sip:nobody-here@${domain}`, 'hello'))
      expect(outcome).toMatchObject({ taken: false, reason: { cause: 'unavailable' } })
    })
    it('who is writing is told both ways', async () => {
      const states = 'http://jabber.org/protocol/chatstates'
      await alice.send(message(number, 'c-1', xml('composing', { xmlns: states })))
      await alice.send(message(number, 'c-2', xml('paused', { xmlns: states })))
      await until(() => adapter.inbox.typing.length === 2)
      expect(adapter.inbox.typing.map(({ state }) => state)).toEqual(['composing', 'idle'])
      expect(adapter.inbox.typing[0]).toMatchObject({ called: 'tel:+4930123456', caller: { peerId: 'ott' } })
      const { from, target } = outgoing('ott', `sip:alice@${domain}`, '')
      await adapter.xmpp.sendTyping?.({ from, target, state: 'composing' })
      const shown = await alice.wait('a chat state', stanza => stanza.getChild('composing', states) !== undefined)
      expect(shown.attrs['from']).toBe(`${number}/gw`)
      expect(shown.getChild('body')).toBeUndefined()
    })
    it('a message to another domain of this access is not sent', async () => {
      const outcome = await adapter.xmpp.sendText(outgoing('ott', 'sip:alice@elsewhere.test', 'hello'))
      expect(outcome).toMatchObject({ taken: false, reason: { cause: 'not-found' } })
    })
    it('characters that XML cannot write do not end the stream', async () => {
      const text = 'a\u0000b\u001fc\ud800d'
      expect(await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, text))).toMatchObject({ taken: true })
      await alice.wait('the message', stanza => stanza.getChildText('body') === 'a\ufffdb\ufffdc\ufffdd')
      expect(adapter.xmpp.ready('ott')).toBe(true)
    })
    it('an emergency number without a route gets a notice in words, and nothing reaches the core', async () => {
      const before = adapter.inbox.texts.length
      await alice.send(message(`112@${gateway}`, 'm-8', body('help')))
      const notice = await alice.wait(
        'a notice',
        stanza => stanza.attrs['from'] === `112@${gateway}/gw` && stanza.getChild('body') !== undefined
      )
      expect(notice.getChildText('body')).toMatch(/Use a phone/)
      await alice.wait('an error', stanza => isMessage(stanza, 'm-8') && stanza.attrs['type'] === 'error')
      expect(adapter.inbox.texts).toHaveLength(before)
    })
    it('a burst of a thousand is answered one by one, within bounds, and the link stays', async () => {
      adapter.inbox.verdict = () => new Promise(() => {})
      for (let n = 0; n < 1_000; n++) await alice.send(message(number, `burst-${n}`, body(`message ${n}`)))
      await alice.wait('the last refusal', stanza => isMessage(stanza, 'burst-999'))
      adapter.inbox.verdict = async () => ({ taken: true })
      const refused = alice.messages(stanza => stanza.attrs['id']?.startsWith('burst-') === true)
      expect(refused).toHaveLength(500)
      expect(new Set(refused.map(conditionIn))).toEqual(new Set(['resource-constraint']))
      expect(adapter.xmpp.ready('ott')).toBe(true)
    })
  })

  describe('plain accounts instead of a component', () => {
    it.each(['tcp', 'ws'] as const)('stand for a number each, over %s', async transport => {
      const pool = await startAdapter([
        island({
          id: 'pool',
          gateway: domain,
          connection: {
            kind: 'accounts',
            service: server[transport],
            accounts: [
              { name: 'line', secret: users.line, number: '+4930999001' },
              { name: 'line2', secret: users.line2, number: '+4930999002' }
            ]
          }
        })
      ])
      try {
        await pool.ready('pool')
        // The server may not have heard yet that the account is there; the same message again is the same message.
        await eventually('the account hears a message', async () => {
          await alice.send(message(`line2@${domain}`, `a-${transport}`, body('to a number')))
          return pool.inbox.texts.length > 0
        })
        expect(pool.inbox.texts[0]).toMatchObject({ called: 'tel:+4930999002', body: { text: 'to a number' } })
        const from = { presented: 'tel:+4930999001' }
        const text = `from a number over ${transport}`
        const sent = await pool.xmpp.sendText(outgoing('pool', `sip:alice@${domain}`, text, from))
        expect(sent).toMatchObject({ taken: true })
        const heard = await alice.wait('it', stanza => stanza.getChildText('body') === text)
        expect(heard.attrs['from']).toBe(`line@${domain}/gw`)
        const other = await pool.xmpp.sendText(
          outgoing('pool', `sip:alice@${domain}`, 'x', { presented: 'tel:+15550100' })
        )
        expect(other).toMatchObject({ taken: false, reason: { cause: 'forbidden' } })
        const features = (await alice.ask(info(`line@${domain}/gw`))).getChild('query')?.getChildren('feature') ?? []
        expect(features.map(({ attrs }) => attrs['var'])).toContain('urn:xmpp:jingle:apps:rtp:audio')
      } finally {
        await pool.close()
      }
    })
    it('a wrong password is told once and not tried again', async () => {
      const accounts = [{ name: 'line', secret: 'wrong', number: '+4930999001' }]
      const pool = await startAdapter([
        island({ id: 'pool', gateway: domain, connection: { kind: 'accounts', service: server.tcp, accounts } })
      ])
      await until(() => pool.told.some(({ level }) => level === 'error'))
      expect(pool.told.find(({ level }) => level === 'error')).toMatchObject({
        facts: { link: expect.stringContaining('line@'), why: 'not-authorized' },
        text: expect.stringContaining('not tried again')
      })
      await pool.close()
    })
  })

  describe('faults', () => {
    it('a wrong secret is told once, in words, and not tried again', async () => {
      const connection = { kind: 'component', host: '127.0.0.1', port: server.componentPort, secret: 'wrong' }
      const other = await startAdapter([island({ connection })], { limits: { backOffMs: 1, backOffMsMax: 1 } })
      await until(() => other.told.some(({ level }) => level === 'error'))
      expect(other.told).toMatchObject([
        { level: 'error', facts: { why: 'not-authorized' }, text: expect.stringContaining('not tried again') }
      ])
      expect(other.xmpp.ready('ott')).toBe(false)
      await other.close()
    })
    if (name === 'Prosody') {
      it('a second link for the same domain waits until the first is gone', async () => {
        const other = await startAdapter([island()], { limits: { backOffMs: 20, backOffMsMax: 40 } })
        await until(() => other.told.some(({ facts }) => facts['why'] === 'conflict'))
        expect(other.xmpp.ready('ott')).toBe(false)
        expect(adapter.xmpp.ready('ott')).toBe(true)
        await adapter.close()
        await other.ready('ott')
        await other.close()
        adapter = await startAdapter([island()])
        await adapter.ready('ott')
      })
    }
    it('a stanza over the limit is not sent, and the link stays', async () => {
      const { link } = adapter.calls('ott').parts
      const huge = xml('message', { from: `${number}/gw`, to: alice.jid }, body('x'.repeat(300_000)))
      expect(link.send(huge)).toBe(false)
      expect(await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, 'still here'))).toMatchObject({
        taken: true
      })
    })
    it('a sender outside the gateway is never sent, and the link stays', async () => {
      const { link } = adapter.calls('ott').parts
      expect(link.send(xml('message', { from: 'mallory@elsewhere.test', to: alice.jid }, body('x')))).toBe(false)
      expect(link.send(xml('message', { to: alice.jid }, body('x')))).toBe(false)
      expect(link.send(xml('message', { from: `${number}/gw`, to: '@nowhere' }, body('x')))).toBe(false)
      expect(await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, 'and here'))).toMatchObject({
        taken: true
      })
    })
    it('a question that nobody answers ends in time, and the reply of another counts for nothing', async () => {
      const silent = await logIn('bob', { resource: 'silent', onIq: () => 'silence' })
      const { link } = adapter.calls('ott').parts
      const ping = (to: string): Element =>
        xml('iq', { type: 'get', from: `${number}/gw`, to }, xml('ping', { xmlns: 'urn:xmpp:ping' }))
      const gone = await link.request(ping(`bob@${domain}/not-there`))
      expect(conditionIn(gone)).toBe('service-unavailable')
      const asked = ping(silent.jid)
      const waiting = link.request(asked, 1_000)
      const { id } = (await silent.wait('the question', stanza => stanza.is('iq') && stanza.attrs['type'] === 'get'))
        .attrs
      await alice.send(xml('iq', { type: 'result', to: `${number}/gw`, id }))
      await expect(waiting).rejects.toMatchObject({ name: 'IqTimeout' })
      await silent.close()
    })
    it('a server that crashes is found again when it is back', async () => {
      const calls = adapter.calls('ott')
      const waiting = adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, 'before'))
      await waiting
      await server.crash()
      await until(() => calls.told.some(told => told.startsWith('down')))
      expect(adapter.xmpp.ready('ott')).toBe(false)
      const refused = await adapter.xmpp.sendText(outgoing('ott', `sip:alice@${domain}`, 'during'))
      expect(refused).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
      await server.start()
      await adapter.ready('ott')
      expect(calls.told.at(-1)).toBe('up')
      const bob = await logIn('bob', { resource: 'after' })
      await bob.send(presence())
      await bob.wait('its own presence', stanza => stanza.is('presence') && stanza.attrs['from'] === bob.jid)
      expect(await adapter.xmpp.sendText(outgoing('ott', `sip:bob@${domain}`, 'after'))).toMatchObject({ taken: true })
      await bob.wait('it', stanza => stanza.getChildText('body') === 'after')
      await bob.close()
    })
  })
})
