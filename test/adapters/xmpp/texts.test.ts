import { afterEach, describe, expect, it } from '@jest/globals'
import type { TextBody } from '../../../src/session/text.ts'
import { until } from '../../support/until.ts'
import { outgoing, startAdapter } from '../../support/xmpp-adapter.ts'
import type { AdapterUnderTest } from '../../support/xmpp-adapter.ts'
import { islandAt, startFakeServer } from '../../support/xmpp-fake-server.ts'
import type { FakeServer } from '../../support/xmpp-fake-server.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close()
})

interface Island {
  readonly server: FakeServer
  readonly adapter: AdapterUnderTest
  /** A text of alice's; what follows the body. */
  readonly says: (id: string, inside: string, more?: string) => void
  /** Answers the question that went out behind a message. */
  readonly fence: () => Promise<void>
  readonly heardAnswer: (id: string) => Promise<string>
}

async function island(limits: NonNullable<Parameters<typeof startAdapter>[1]>['limits'] = {}): Promise<Island> {
  const server = await startFakeServer()
  open.push(server)
  const adapter = await startAdapter([islandAt(server.port)], { limits: { bounceMs: 20, ...limits } })
  open.push(adapter)
  await adapter.ready('ott')
  let fenced = 0
  return {
    server,
    adapter,
    says: (id, inside, more = '') =>
      server.write(
        `<message from='alice@ott.test/a' to='+49301@gw.ott.test' id='${id}' type='chat' ${more}>${inside}</message>`
      ),
    fence: async () => {
      const pings = () => [...server.heard.matchAll(/<iq [^>]*id="([^"]+)"[^>]*><ping/g)]
      await until(() => pings().length > fenced)
      const id = pings()[fenced]?.[1]
      fenced += 1
      server.write(`<iq from='ott.test' to='+4930123456@gw.ott.test/gw' type='result' id='${id}'/>`)
    },
    heardAnswer: async id => (await server.says(new RegExp(`<message [^>]*id="${id}"[^>]*>.*?</message>`)))[0]
  }
}

const to = 'sip:alice@ott.test'
const sentId = (server: FakeServer): string => /<message [^>]*id="([^"]+)"/.exec(server.heard)?.[1] ?? ''

describe('messages from an island', () => {
  it('of a size beyond the bound are refused in words', async () => {
    const { says, heardAnswer, adapter } = await island({ textBytesMax: 10 })
    says('long', '<body>12345678901</body>')
    expect(await heardAnswer('long')).toMatch(/at most 10 bytes/)
    expect(adapter.inbox.texts).toEqual([])
  })
  it.each(["type='chat'", "type='normal'", ''])('of whatever kind of talk (%s) are messages', async type => {
    const { server, adapter } = await island()
    server.write(`<message from='alice@ott.test/a' to='+49301@gw.ott.test' id='n1' ${type}><body>x</body></message>`)
    await until(() => adapter.inbox.texts.length === 1)
    expect(adapter.inbox.texts[0]).toMatchObject({ called: 'tel:+49301', body: { type: 'text/plain', text: 'x' } })
  })
  it('that were refused may come again with the same id; those that were taken are taken once', async () => {
    const { says, heardAnswer, adapter } = await island()
    adapter.inbox.verdict = async () => ({ taken: false, release: { cause: 'unreachable', from: 'callee' } })
    says('again', '<body>x</body>')
    expect(await heardAnswer('again')).toMatch(/remote-server-timeout/)
    adapter.inbox.verdict = async () => ({ taken: true })
    says('again', '<body>x</body>')
    says('again', '<body>x</body>')
    says('last', '<body>y</body>')
    await until(() => adapter.inbox.texts.length === 3)
    expect(adapter.inbox.texts.map(({ facts }) => facts.dialogId)).toEqual(['again', 'again', 'last'])
  })
  it('the memory of what was heard has a bound: the oldest is forgotten first', async () => {
    const { says, adapter } = await island({ textsRememberedMax: 2 })
    for (const id of ['a', 'b', 'c', 'c', 'b', 'a']) says(id, `<body>${id}</body>`)
    await until(() => adapter.inbox.texts.length === 4)
    expect(adapter.inbox.texts.map(({ facts }) => facts.dialogId)).toEqual(['a', 'b', 'c', 'a'])
  })
  it('two users may use the same id', async () => {
    const { says, server, adapter } = await island()
    says('same', '<body>of alice</body>')
    server.write(`<message from='bob@ott.test/b' to='+49301@gw.ott.test' id='same'><body>of bob</body></message>`)
    await until(() => adapter.inbox.texts.length === 2)
  })
  it('to rooms, as headlines, as copies of others and as errors go nowhere', async () => {
    const { says, heardAnswer, adapter, server } = await island()
    const forwarded = `<forwarded xmlns='urn:xmpp:forward:0'><message><body>copy</body></message></forwarded>`
    says('copy', `<received xmlns='urn:xmpp:carbons:2'>${forwarded}</received><body>copy</body>`)
    const write = (type: string, id: string): void =>
      server.write(
        `<message from='alice@ott.test/a' to='+49301@gw.ott.test' id='${id}' type='${type}'><body>x</body></message>`
      )
    write('headline', 'headline')
    write('error', 'error')
    write('groupchat', 'room')
    expect(await heardAnswer('room')).toMatch(/service-unavailable/)
    expect(adapter.inbox.texts).toEqual([])
    expect(server.heard).not.toMatch(/id="(headline|error|copy)"/)
  })
  it('a private one that is marked as such is no copy', async () => {
    const { says, adapter } = await island()
    says('p', `<private xmlns='urn:xmpp:carbons:2'/><body>private</body>`)
    await until(() => adapter.inbox.texts.length === 1)
  })
  it('receipts go only to who asked for them; a late failure is an error to its sender', async () => {
    const { says, server, adapter, heardAnswer } = await island()
    says('plain', '<body>x</body>')
    await until(() => adapter.inbox.texts.length === 1)
    const ref = adapter.inbox.texts[0]!.ref
    await adapter.xmpp.sendReceipt(ref, 'delivered')
    await adapter.xmpp.sendReceipt(ref, 'read')
    await adapter.xmpp.sendReceipt(ref, 'failed')
    expect(await heardAnswer('plain')).toMatch(/type="error".*recipient-unavailable/)
    expect(server.heard).not.toMatch(/urn:xmpp:receipts|chat-markers/)
    await adapter.xmpp.sendReceipt('xmpp ott unknown' as never, 'failed')
    await adapter.xmpp.sendReceipt('other' as never, 'failed')
  })
})

describe('messages to an island', () => {
  it('are taken once the server has passed them, and the same one is sent once', async () => {
    const { server, adapter, fence } = await island()
    const text = outgoing('ott', to, 'hello')
    const both = [adapter.xmpp.sendText(text), adapter.xmpp.sendText(text)]
    await fence()
    for (const outcome of both)
      expect(await outcome).toMatchObject({ taken: true, facts: { dialogId: sentId(server) } })
    expect(server.heard.match(/<body>hello<\/body>/g)).toHaveLength(1)
    expect(sentId(server)).toContain(text.id)
  })
  it('an error from their reader refuses them by its own words; from anybody else it counts for nothing', async () => {
    const { server, adapter, fence } = await island()
    const outcome = adapter.xmpp.sendText(outgoing('ott', to, 'hello'))
    await server.says(/<body>hello/)
    const error = (from: string, condition: string): string =>
      `<message from='${from}' to='+4930123456@gw.ott.test/gw' id='${sentId(server)}' type='error'>` +
      `<body>hello</body><error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>` +
      `<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not today</text></error></message>`
    server.write(error('eve@ott.test', 'item-not-found'))
    server.write(error('alice@ott.test', 'policy-violation'))
    await fence()
    expect(await outcome).toMatchObject({ taken: false, reason: { cause: 'forbidden', text: 'not today' } })
    expect(adapter.inbox.texts).toEqual([])
    expect(adapter.inbox.all('received')).toHaveLength(1)
  })
  it('one device that bounces what another has is no failure', async () => {
    const { server, adapter, fence } = await island()
    const outcome = adapter.xmpp.sendText(outgoing('ott', to, 'hello'))
    await fence()
    await outcome
    const id = sentId(server)
    const gw = '+4930123456@gw.ott.test/gw'
    server.write(
      `<message from='alice@ott.test/dead' to='${gw}' id='${id}' type='error'><error type='wait'/></message>`
    )
    server.write(
      `<message from='alice@ott.test/b' to='${gw}' id='r'><received xmlns='urn:xmpp:receipts' id='${id}'/></message>`
    )
    await until(() => adapter.inbox.all('received').length > 0)
    expect(adapter.inbox.all('received').map(({ receipt }) => receipt)).toEqual(['delivered'])
  })
  it('are refused when the server does not answer in time', async () => {
    const { adapter } = await island({ iqReplyMs: 20 })
    const outcome = await adapter.xmpp.sendText(outgoing('ott', to, 'hello'))
    expect(outcome).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
  })
  it('of a size beyond the bound, or without text, are refused', async () => {
    const { adapter } = await island({ textBytesMax: 10 })
    expect(await adapter.xmpp.sendText(outgoing('ott', to, 'x'.repeat(11)))).toMatchObject({
      taken: false,
      reason: { cause: 'forbidden' }
    })
    const body: TextBody = { type: 'message/cpim', text: 'nothing' }
    const outcome = await adapter.xmpp.sendText({ ...outgoing('ott', to, ''), body })
    expect(outcome).toMatchObject({ taken: false, reason: { cause: 'incompatible-media' } })
    const nowhere = await adapter.xmpp.sendText({ ...outgoing('none', to, 'x') })
    expect(nowhere).toMatchObject({ taken: false, reason: { cause: 'not-found' } })
  })
  it('of somebody who wants to be nobody come from the anonymous address, which nobody can write to', async () => {
    const { server, adapter, heardAnswer } = await island()
    const outcome = adapter.xmpp.sendText(outgoing('ott', to, 'psst', { presented: null, privacy: ['id'] }))
    await server.says(/from="anonymous@gw\.ott\.test\/gw"/)
    server.write(`<message from='alice@ott.test/a' to='anonymous@gw.ott.test' id='back'><body>who?</body></message>`)
    expect(await heardAnswer('back')).toMatch(/cannot be called back/)
    const id = /<iq [^>]*id="([^"]+)"/.exec(server.heard)?.[1]
    server.write(`<iq from='ott.test' to='anonymous@gw.ott.test/gw' type='result' id='${id}'/>`)
    expect(await outcome).toMatchObject({ taken: true })
  })
})
