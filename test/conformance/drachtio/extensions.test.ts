// What a drachtio-server cannot do and this engine must: the list "Limits" of what it was measured against.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { bodyEncoding } from '../../../src/sip/engine/body.ts'
import { frameOf } from '../../../src/sip/engine/framing.ts'
import { createHeaders, makeRequest, makeResponse, parseMessage, printMessage } from '../../../src/sip/message.ts'
import { EngineBench, from, text } from '../../support/engine-bench.ts'
import { RawApp, sdp, secret, startEngine } from '../../support/engine.ts'
import { parsed, startPeer } from '../../support/sip-peer.ts'
import { connectSrf } from '../../support/srf.ts'
import type { SrfMessage, SrfRequest } from '../../support/srf.ts'
import { until } from '../../support/until.ts'

const methods = ['invite', 'message', 'info', 'options'] as const
const bench = new EngineBench(...methods)
beforeEach(() => bench.begin())
afterEach(() => bench.end())

const local = (port: number) => ({ transport: 'udp', host: '127.0.0.1', port }) as const
const binary = Buffer.from([0xff, 0xd8, 0x00, 0x0d, 0x0a, 0x0d, 0x0a, 0xc3, 0x28])

describe('Route by the application', () => {
  it('goes out as written, names the next hop, and is repeated in CANCEL', async () => {
    const route = `<sip:127.0.0.1:${bench.peer.port};lr;orig>`
    const lines = `${from}route: ${route}, <sip:second.example;lr>\r\n`
    const { tokens } = await bench.app.ask('sip||', text('INVITE', 'sip:+49@elsewhere.invalid', lines, sdp()))
    const tx = await bench.peer.next('INVITE')
    expect(tx.request.uri).toBe('sip:+49@elsewhere.invalid')
    expect(tx.request.headers.all('Route')).toEqual([route, '<sip:second.example;lr>'])
    bench.peer.answer(tx, 180)
    await bench.app.sip('SIP/2.0 180')
    await bench.app.ask(`sip|${tokens[10]}|`, text('CANCEL', 'sip:placeholder', ''))
    await until(() => bench.peer.cancels.length === 1)
    expect(bench.peer.cancels[0]!.headers.all('Route')).toEqual([route, '<sip:second.example;lr>'])
    await bench.app.sip('SIP/2.0 487')
  })

  it('leaves the next hop to the one that the command names', async () => {
    const lines = `${from}Route: <sip:first.invalid;lr>\r\n`
    await bench.app.ask(`sip|||${bench.peer.uri}`, text('OPTIONS', 'sip:+49@elsewhere.invalid', lines))
    expect((await bench.peer.next('OPTIONS')).request.headers.get('Route')).toBe('<sip:first.invalid;lr>')
  })

  it('that no loose router would take is NOK; inside a dialog the route set is the dialog’s', async () => {
    for (const route of ['<sip:strict.example>', '<tel:+1;lr>', 'nonsense']) {
      const answer = text('OPTIONS', bench.peer.uri, `${from}Route: ${route}\r\n`)
      expect(await bench.nok(`sip|||${bench.peer.uri}`, answer)).toMatch(/^bad Route/)
    }
    const { id } = await bench.placed()
    await bench.inside(id, 'INFO', 'Route: <sip:elsewhere.invalid;lr>\r\n')
    expect((await bench.peer.next('INFO')).request.headers.all('Route')).toEqual([])
  })
})

describe('tel: and urn: (no crash, no refusal)', () => {
  it.each(['tel:+4930123456', 'tel:112;phone-context=+49', 'urn:service:sos', 'urn:service:sos.police'])(
    'a request to %s reaches the application, and the application can send one',
    async uri => {
      const exchange = bench.peer.ask(bench.port, { method: 'INVITE', uri, body: sdp() })
      const { tokens, message } = await bench.app.sip('INVITE')
      expect(message.startsWith(`INVITE ${uri} SIP/2.0\r\n`)).toBe(true)
      await bench.respond(tokens[8] ?? '', 'SIP/2.0 486 Busy Here\r\n\r\n')
      expect((await exchange.final()).status).toBe(486)
      await bench.app.ask(`sip|||${bench.peer.uri}`, text('INVITE', uri, from, sdp()))
      const tx = await bench.peer.next('INVITE')
      expect(tx.request.uri).toBe(uri)
      expect(tx.request.headers.get('To')).toBe(`<${uri}>`)
    }
  )

  it('as the Contact of who answers: the call is acknowledged, used and ended over the path there is', async () => {
    const { tx } = await bench.ring()
    tx.respond(makeResponse(tx.request, 200, { toTag: 'b', headers: [['Contact', '<tel:+4930123456>']], body: sdp() }))
    const id = (await bench.app.sip('SIP/2.0 200')).tokens[9] ?? ''
    expect((await bench.inside(id, 'ACK')).tokens[3]).toBe('OK')
    expect((await bench.peer.ack()).uri).toBe('tel:+4930123456')
    await bench.inside(id, 'BYE')
    bench.peer.answer(await bench.peer.next('BYE'), 200)
    await bench.app.sip('SIP/2.0 200')
  })

  it('as the Contact of who calls', async () => {
    const exchange = bench.invite([['Contact', '<tel:+4930123456>']])
    const { tokens } = await bench.ok(await bench.heard('INVITE'))
    bench.peer.acknowledge(exchange, await exchange.response(200))
    await bench.app.sip('ACK')
    await bench.inside(tokens[11] ?? '', 'BYE')
    expect((await bench.peer.next('BYE')).request.uri).toBe('tel:+4930123456')
  })
})

describe('repeated header fields', () => {
  const identities = ['eyJhbGciOiJFUzI1NiJ9..one;info=<https://a.example>', 'eyJhbGciOiJFUzI1NiJ9..two;ppt="div"']
  const histories = ['<sip:a@x>;index=1', '<sip:b@x>;index=1.1']

  it('stay apart and in order both ways, by hand', async () => {
    const headers = createHeaders()
    for (const value of identities) headers.add('Identity', value)
    for (const value of histories) headers.add('History-Info', value)
    bench.peer.ask(bench.port, { method: 'OPTIONS', headers: headers.lines() })
    const up = parsed((await bench.app.sip('OPTIONS')).message)
    const lines = (of: typeof up, name: string): readonly string[] =>
      of.headers
        .lines()
        .filter(line => line.name === name)
        .map(({ value }) => value)
    expect([lines(up, 'Identity'), lines(up, 'History-Info')]).toEqual([identities, histories])
    const down = [...identities.map(value => `Identity: ${value}`), ...histories.map(value => `History-Info: ${value}`)]
    await bench.send('OPTIONS', `${from}${down.join('\r\n')}\r\n`)
    const { request } = await bench.peer.next('OPTIONS')
    expect([lines(request, 'Identity'), lines(request, 'History-Info')]).toEqual([identities, histories])
  })

  it('and through drachtio-srf, which joins values: one value that brings further lines', async () => {
    const srf = await connectSrf(bench.engine)
    const value = identities.join('\r\nIdentity: ')
    await srf.request(bench.peer.uri, { method: 'OPTIONS', headers: { Identity: value } })
    const { request } = await bench.peer.next('OPTIONS')
    expect(request.headers.all('Identity')).toEqual(identities)
    srf.disconnect()
  })
})

describe('bodies that are not UTF-8', () => {
  const octets = [['Content-Type', 'application/octet-stream']] as const
  const message = (body: Buffer) =>
    makeRequest({
      method: 'MESSAGE',
      uri: `sip:hub@127.0.0.1:${bench.port}`,
      headers: [
        ['From', '<sip:a@b>;tag=1'],
        ['To', '<sip:hub@b>'],
        ['Call-ID', `call-${Math.random()}`],
        ['CSeq', '1 MESSAGE'],
        ...octets
      ],
      body
    })

  it('reach an application that asked for them, in base64, and leave it the same way', async () => {
    bench.app.close()
    bench.app = new RawApp(bench.engine.control.port)
    for (const command of [`authenticate|${secret}|some,binary-bodies`, 'route|message']) await bench.app.ask(command)
    await until(() => bench.engine.counts.dialogs === 0)
    const exchange = bench.peer.send(message(binary), local(bench.port))
    const up = await bench.app.sip('MESSAGE')
    const { headers, body } = parsed(up.message)
    expect([headers.get(bodyEncoding), body.toString()]).toEqual(['base64', binary.toString('base64')])
    const answer = ['SIP/2.0 200 OK', 'Content-Type: application/octet-stream', `${bodyEncoding}: base64`, '', '']
    const echo = await bench.respond(up.tokens[8] ?? '', `${answer.join('\r\n')}${binary.toString('base64')}`)
    expect(parsed(echo.message).headers.get(bodyEncoding)).toBe('base64')
    const response = await exchange.final()
    expect(response.body).toEqual(binary)
    expect(response.headers.has(bodyEncoding)).toBe(false)
    const lines = `${from}Content-Type: image/jpeg\r\n${bodyEncoding}: base64\r\n`
    await bench.send('MESSAGE', lines, binary.toString('base64'))
    const sent = await bench.peer.next('MESSAGE')
    expect(sent.request.body).toEqual(binary)
    expect(sent.request.headers.get('Content-Length')).toBe(String(binary.length))
    expect(sent.request.headers.has(bodyEncoding)).toBe(false)
    expect(await bench.nok('sip||', text('MESSAGE', bench.peer.uri, lines, 'no base64!'))).toBe('not a SIP message')
  })

  it('are refused with 415 where it did not ask, inside a dialog too; answers lose them with a Warning', async () => {
    expect((await bench.peer.send(message(binary), local(bench.port)).final()).status).toBe(415)
    const { dialog } = await bench.called()
    const info = dialog.request('INFO', {
      headers: [{ name: 'Content-Type', value: 'application/isup' }],
      body: binary
    })
    expect((await bench.peer.send(info, local(bench.port)).final()).status).toBe(415)
    await bench.send('MESSAGE', `${from}Content-Type: text/plain\r\n`, 'hello')
    const tx = await bench.peer.next('MESSAGE')
    tx.respond(makeResponse(tx.request, 200, { toTag: 'x', headers: octets, body: binary }))
    const { message: told } = await bench.app.sip('SIP/2.0 200')
    expect(told).toContain('Warning: 399 isthmus "the body is not UTF-8')
    expect(told.endsWith('\r\n\r\n')).toBe(true)
  })
})

describe('large frames', () => {
  it('1 MiB in and out, in a pipeline with others behind it', async () => {
    const large = 'x'.repeat(1_000_000)
    const tcp = await startPeer('tcp')
    const commands = Array.from({ length: 20 }, (_, n) =>
      frameOf(
        `p${n}|sip|||${tcp.uri}`,
        Buffer.from(text('MESSAGE', tcp.uri, `${from}Content-Type: text/plain\r\n`, n === 3 ? large : 'small'))
      )
    )
    bench.app.socket.write(Buffer.concat(commands))
    await until(() => tcp.waiting.length === 20)
    expect(Math.max(...tcp.waiting.map(({ request }) => request.body.length))).toBe(1_000_000)
    for (const tx of tcp.waiting.splice(0)) tcp.answer(tx, 200)
    await until(() => bench.app.frames.filter(({ tokens }) => tokens[1] === 'sip').length === 20)
    await tcp.close()
  })
})

describe('WebSockets', () => {
  it.each(['ws', 'wss'] as const)('%s is told as such, and a Contact that registered over it is reached', async of => {
    const engine = await startEngine()
    const app = await RawApp.open(engine, 'register')
    const sent: Buffer[] = []
    const flow = engine.adopt({
      transport: of,
      local: { host: '127.0.0.1', port: 443 },
      remote: { host: '127.0.0.9', port: 40_000 },
      peerId: 'browser',
      send: bytes => void sent.push(bytes),
      close: () => undefined
    })
    const register = makeRequest({
      method: 'REGISTER',
      uri: 'sip:hub.example',
      headers: [
        ['Via', `SIP/2.0/${of.toUpperCase()} x.invalid;branch=z9hG4bKreg`],
        ['From', '<sip:alice@hub.example>;tag=1'],
        ['To', '<sip:alice@hub.example>'],
        ['Call-ID', 'reg'],
        ['CSeq', '1 REGISTER'],
        ['Contact', '<sip:alice@abc.invalid;transport=ws>;expires=60']
      ]
    })
    flow.receive(printMessage(register))
    const { tokens } = await app.sip('REGISTER')
    expect(tokens.slice(4, 7)).toEqual([of, '127.0.0.9', '40000'])
    expect(tokens[12]).toBe('browser')
    const echo = await app.ask(`sip|${tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
    expect(echo.tokens[6]).toBe(of)
    const asked = await app.ask('sip||', text('OPTIONS', 'sip:alice@abc.invalid;transport=ws'))
    expect(asked.tokens.slice(6, 9)).toEqual([of, '127.0.0.9', '40000'])
    const out = parseMessage(sent.at(-1)!)
    expect(out.ok && out.message.kind === 'request' && out.message.method).toBe('OPTIONS')
    app.close()
    await engine.close()
  })
})

describe('drachtio-srf with binary bodies', () => {
  it('asks for them by its tags, and hands them on in base64', async () => {
    const engine = await startEngine()
    const heard: SrfRequest[] = []
    const srf = await connectSrf(
      engine,
      app => app.use('message', (req, res) => void [heard.push(req), res.send(200)]),
      { tags: ['binary-bodies'] }
    )
    const request = makeRequest({
      method: 'MESSAGE',
      uri: 'sip:a@b',
      headers: [
        ['From', '<sip:a@b>;tag=1'],
        ['To', '<sip:hub@b>'],
        ['Call-ID', 'srf'],
        ['CSeq', '1 MESSAGE'],
        ['Content-Type', 'image/jpeg']
      ],
      body: binary
    })
    const port = engine.listening[0]?.port ?? 0
    expect((await bench.peer.send(request, local(port)).final()).status).toBe(200)
    const got: SrfMessage | undefined = heard[0]
    expect([got?.get(bodyEncoding), Buffer.from(got?.body ?? '', 'base64')]).toEqual(['base64', binary])
    srf.disconnect()
    await engine.close()
  })
})
