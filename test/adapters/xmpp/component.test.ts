import { afterEach, describe, expect, it } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Limits } from '../../../src/adapters/xmpp/limits.ts'
import { islandAt, startFakeServer } from '../../support/xmpp-fake-server.ts'
import type { FakeServer, FakeServerOptions } from '../../support/xmpp-fake-server.ts'
import { until } from '../../support/until.ts'
import { outgoing, startAdapter } from '../../support/xmpp-adapter.ts'
import type { AdapterUnderTest } from '../../support/xmpp-adapter.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close()
})

const quick = { backOffMs: 5, backOffMsMax: 20 }

async function linked(
  limits: Partial<Limits> = {},
  options: FakeServerOptions = {}
): Promise<{ readonly server: FakeServer; readonly adapter: AdapterUnderTest }> {
  const server = await startFakeServer(options)
  open.push(server)
  const adapter = await startAdapter([islandAt(server.port)], { limits: { ...quick, ...limits } })
  open.push(adapter)
  await server.links(1)
  return { server, adapter }
}

const message = (id: string, text: string): string =>
  `<message from='alice@ott.test/phone' to='+4930123456@gw.ott.test' id='${id}' type='chat'><body>${text}</body></message>`
const bodies = (adapter: AdapterUnderTest): readonly string[] => adapter.inbox.texts.map(({ body }) => body.text)
const warned = (adapter: AdapterUnderTest): readonly unknown[] =>
  adapter.told.filter(({ level }) => level === 'warn').map(({ facts }) => facts['why'])

describe('a component link', () => {
  it('proves that it knows the secret and then is up', async () => {
    const { server, adapter } = await linked({}, { greeting: right => (right ? '<handshake/>' : '<wrong/>') })
    await adapter.ready('ott')
    expect(server.heard).toContain("to='gw.ott.test'")
    expect(adapter.xmpp.links).toEqual([`component gw.ott.test at 127.0.0.1:${server.port}`])
  })
  it('a character that is cut in two by the network arrives whole', async () => {
    const { server, adapter } = await linked()
    const bytes = Buffer.from(message('m', 'Grüße 😀 ж'))
    for (const [n] of bytes.entries()) {
      server.write(bytes.subarray(n, n + 1))
      if (n % 16 === 0) await new Promise(next => setImmediate(next))
    }
    await until(() => adapter.inbox.texts.length > 0)
    expect(bodies(adapter)).toEqual(['Grüße 😀 ж'])
  })
  it('white space between stanzas is no stanza', async () => {
    const { server, adapter } = await linked()
    server.write(' \n \t')
    server.write(` ${message('m', 'x')} \n`)
    await until(() => adapter.inbox.texts.length > 0)
    expect(adapter.xmpp.ready('ott')).toBe(true)
  })
  it('what was written into a CDATA section is text, wherever it is cut', async () => {
    const { server, adapter } = await linked()
    const whole = message('m', '<![CDATA[a < b & <!DOCTYPE]]>')
    server.write(whole.slice(0, whole.indexOf('CDATA') + 2))
    await new Promise(next => setImmediate(next))
    server.write(whole.slice(whole.indexOf('CDATA') + 2).replace('<!DOCTYPE', 'c'))
    await until(() => adapter.inbox.texts.length > 0)
    expect(bodies(adapter)).toEqual(['a < b & c'])
  })

  const deep = `${'<a>'.repeat(40)}${'</a>'.repeat(40)}`
  const laughs = `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;">]>`
  it.each([
    ['an entity nobody knows', message('m', '&bogus;'), 'not-well-formed'],
    ['a character that XML forbids', message('m', '&#x0;'), 'not-well-formed'],
    ['a DTD with entities', `${laughs}${message('m', '&lol1;')}`, 'restricted-xml'],
    ['a comment', message('m', '<!-- -->'), 'restricted-xml'],
    ['a processing instruction', '<?php system() ?>', 'restricted-xml'],
    ['tags in the wrong order', '<message><body></message></body>', 'not-well-formed'],
    ['an end of nothing', '</iq></message>', 'not-well-formed'],
    ['text where stanzas are', 'hello', 'bad-format'],
    ['forty levels of elements', `<message>${deep}</message>`, 'policy-violation'],
    ['ten thousand elements', `<message>${'<a/>'.repeat(10_000)}</message>`, 'policy-violation']
  ])('%s ends the stream by its name, and the link is made again', async (_what, bytes, condition) => {
    const { server, adapter } = await linked()
    await adapter.ready('ott')
    server.write(bytes + (bytes === 'hello' ? '<' : ''))
    await server.links(2)
    await adapter.ready('ott')
    expect(warned(adapter)).toHaveLength(1)
    expect(server.heardBy(1)).toContain(`<stream:error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-streams"/>`)
    expect(adapter.calls('ott').told).toEqual(['up', expect.stringContaining('down: '), 'up'])
    expect(adapter.inbox.texts).toEqual([])
    server.write(message('after', 'still served'))
    await until(() => adapter.inbox.texts.length > 0)
  })
  it('ten megabytes of one stanza are not kept: the stream ends at the limit', async () => {
    const { server, adapter } = await linked()
    await adapter.ready('ott')
    server.write(`<message from='alice@ott.test/phone' to='+49301@gw.ott.test'><body>`)
    server.write(Buffer.alloc(10_000_000, 'x'))
    await server.links(2)
    expect(warned(adapter)).toEqual([expect.stringMatching(/more than 524288 bytes/)])
    expect(adapter.inbox.texts).toEqual([])
  })
  it('stanzas without addresses, from elsewhere or to elsewhere reach nobody', async () => {
    const { server, adapter } = await linked()
    server.write(`<message to='+49301@gw.ott.test'><body>no sender</body></message>`)
    server.write(`<message from='@' to='+49301@gw.ott.test'><body>bad sender</body></message>`)
    server.write(`<message from='alice@ott.test/x' to='+49301@other.test'><body>elsewhere</body></message>`)
    server.write(`<message from='eve@evil.test/x' to='+49301@gw.ott.test' id='e'><body>stranger</body></message>`)
    server.write(`<iq from='eve@evil.test/x' to='gw.ott.test' type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>`)
    server.write(message('m', 'a user'))
    await until(() => adapter.inbox.texts.length > 0)
    expect(bodies(adapter)).toEqual(['a user'])
    await server.says(/id="e"[^>]*type="error"|type="error"[^>]*id="e"/)
    await server.says(/id="i"[^>]*type="error"|type="error"[^>]*id="i"/)
  })
  it('a user whose JID only looks like one of the island is a stranger', async () => {
    const { server, adapter } = await linked()
    server.write(`<message from='eve@evilott.test/x' to='+49301@gw.ott.test' id='e1'><body>x</body></message>`)
    server.write(`<message from='eve@sub.ott.test/x' to='+49301@gw.ott.test' id='e2'><body>x</body></message>`)
    await server.says(/id="e2"/)
    expect(server.heard).toMatch(/id="e1"/)
    expect(adapter.inbox.texts).toEqual([])
  })
  it('questions are answered: none with two payloads, none without an id, none that nobody knows', async () => {
    const { server } = await linked()
    const iq = (id: string, inside: string, type = 'get') =>
      server.write(`<iq from='alice@ott.test/x' to='gw.ott.test' type='${type}' id='${id}'>${inside}</iq>`)
    iq('two', `<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>`)
    iq('none', '')
    iq('what', `<ping xmlns='urn:xmpp:ping'/>`, 'tell')
    iq('unknown', `<query xmlns='urn:example'/>`)
    iq('good', `<ping xmlns='urn:xmpp:ping'/>`)
    await server.says(/id="good"/)
    const answers = server.heard.split('<iq ').slice(1)
    expect(answers.map(answer => /bad-request|service-unavailable|type="result"/.exec(answer)?.[0])).toEqual([
      'bad-request',
      'bad-request',
      'bad-request',
      'service-unavailable',
      'type="result"'
    ])
  })
  it('calls are asked first, may answer later, and what fails in them ends no stream', async () => {
    const { server, adapter } = await linked()
    await adapter.ready('ott')
    const calls = adapter.calls('ott')
    const ask = (id: string): void =>
      server.write(`<iq from='alice@ott.test/x' to='+49301@gw.ott.test/gw' type='set' id='${id}'><j xmlns='x'/></iq>`)
    calls.reply = async iq =>
      xml('iq', { from: iq.attrs['to'], to: iq.attrs['from'], id: iq.attrs['id'], type: 'result' })
    ask('later')
    await server.says(/id="later"[^>]*type="result"|type="result"[^>]*id="later"/)
    calls.reply = async () => Promise.reject(new Error('it broke'))
    ask('broken')
    await server.says(/internal-server-error/)
    calls.reply = () => {
      throw new Error('it broke at once')
    }
    ask('thrown')
    calls.reply = () => null
    ask('fine')
    await server.says(/id="fine"/)
    expect(adapter.xmpp.ready('ott')).toBe(true)
  })
  it('a server that says nothing more is asked, and left when it does not answer', async () => {
    const { server, adapter } = await linked({ quietMs: 40, pongMs: 40 })
    await server.says(/urn:xmpp:ping/)
    await server.links(2)
    expect(warned(adapter)).toEqual([expect.stringContaining('did not answer')])
  })
  it('a server that never accepts is left, and tried again with growing waits', async () => {
    const { server, adapter } = await linked({ connectMs: 30 }, { greeting: () => ' ' })
    await until(() => server.opened >= 4)
    const waits = adapter.told.map(({ facts }) => facts['waitMs'])
    expect(waits.slice(0, 3)).toEqual([5, 10, 20])
    expect(adapter.xmpp.ready('ott')).toBe(false)
  })
  it.each(['not-authorized', 'host-unknown'])('after %s it is not tried again', async condition => {
    const streamError = `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`
    const { server, adapter } = await linked({}, { greeting: () => streamError })
    await until(() => adapter.told.length > 0)
    expect(adapter.told).toMatchObject([{ level: 'error', facts: { why: condition } }])
    expect(server.opened).toBe(1)
  })
  it('questions under way end when the link breaks', async () => {
    const { server, adapter } = await linked()
    await adapter.ready('ott')
    const { link } = adapter.calls('ott').parts
    const iq = xml(
      'iq',
      { type: 'get', from: '+49301@gw.ott.test/gw', to: 'alice@ott.test/x' },
      xml('q', { xmlns: 'x' })
    )
    const waiting = link.request(iq)
    await server.says(/xmlns="x"/)
    server.cut()
    await expect(waiting).rejects.toMatchObject({ name: 'LinkDown' })
    await server.links(2)
  })
  it('a server that does not read is left at the bound', async () => {
    const { server, adapter } = await linked({ unsentBytesMax: 1_000_000 })
    await adapter.ready('ott')
    const { link } = adapter.calls('ott').parts
    const text = 'x'.repeat(200_000)
    const sends = (): boolean =>
      link.send(xml('message', { from: '+49301@gw.ott.test/gw', to: 'alice@ott.test' }, xml('body', {}, text)))
    let sent = 0
    while (sends() && sent < 1_000) sent += 1
    expect(sent).toBeLessThan(1_000)
    await server.links(2)
    expect(warned(adapter)).toEqual([expect.stringContaining('does not read')])
  })
})

describe('several islands', () => {
  it('one that floods and one that breaks slow no other', async () => {
    const [flooding, broken, good] = [await startFakeServer(), await startFakeServer(), await startFakeServer()]
    open.push(flooding, broken, good)
    const islands = [islandAt(flooding.port, 'flood'), islandAt(broken.port, 'broken'), islandAt(good.port, 'good')]
    const adapter = await startAdapter(islands, { limits: { ...quick, stanzasBurst: 100, stanzasPerSecond: 100 } })
    open.push(adapter)
    for (const id of ['flood', 'broken', 'good']) await adapter.ready(id)
    const flood = `<message from='eve@flood.test/x' to='+49301@gw.flood.test' type='chat'><body>flood</body></message>`
    flooding.write(flood.repeat(20_000))
    for (let n = 0; n < 5; n++) {
      broken.write('<broken></bro>')
      good.write(`<message from='al@good.test/x' to='+49301@gw.good.test' id='g${n}'><body>good ${n}</body></message>`)
      await broken.links(n + 2)
    }
    await until(() => bodies(adapter).filter(text => text.startsWith('good')).length === 5)
    // What is over the rate is not read: it waits in the other server's own buffers.
    expect(bodies(adapter).filter(text => text === 'flood').length).toBeLessThan(5_000)
    expect(adapter.calls('good').told).toEqual(['up'])
    expect(adapter.calls('flood').told).toEqual(['up'])
    const outcome = adapter.xmpp.sendText(outgoing('good', 'sip:al@good.test', 'hello'))
    const [, id = ''] = await good.says(/<iq[^>]*id="([^"]+)"/)
    good.write(`<iq from='good.test' to='+4930123456@gw.good.test/gw' type='result' id='${id}'/>`)
    expect(await outcome).toMatchObject({ taken: true })
  })
})
