// Section 12, items 3 to 7, server side: what the network asks, what applications answer.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createSocket } from 'node:dgram'
import { Dialog } from '../../../src/sip/dialog.ts'
import { screenPeers } from '../../../src/sip/engine/screening.ts'
import { tagOf } from '../../../src/sip/hop.ts'
import { makeRequest, printMessage } from '../../../src/sip/message.ts'
import { EngineBench } from '../../support/engine-bench.ts'
import { portOf, RawApp, sdp } from '../../support/engine.ts'
import { parsed, startPeer } from '../../support/sip-peer.ts'
import type { Exchange } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

const bench = new EngineBench('invite', 'options', 'message', 'register', 'info', 'subscribe')
const { answersWith, heard, invite, ok, respond } = bench
beforeEach(() => bench.begin())
afterEach(() => bench.end())

describe('a new request', () => {
  it('goes up with where it came from, where it was received and the verified peer, after 100', async () => {
    await bench.again({ screen: () => ({ peerId: 'operator-1' }) })
    const exchange = invite([['Subject', 'hello']])
    await exchange.response(100)
    const { tokens, message } = await bench.app.sip('INVITE')
    const time = expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{6}$/)
    const size = String(Buffer.byteLength(message))
    expect(tokens.slice(1, 8)).toEqual(['sip', 'network', size, 'udp', '127.0.0.1', String(bench.peer.port), time])
    expect(tokens[8]).toMatch(/^[0-9a-f-]{36}$/)
    expect(tokens.slice(9)).toEqual(['', '127.0.0.1', String(bench.port), 'operator-1'])
  })

  it('goes up as it is: repeated fields stay apart and in order, unknown ones stay', async () => {
    const identities = ['eyJ.a.b;info=<https://a>', 'eyJ.c.d;info=<https://b>']
    invite([
      ['Identity', identities[0]!],
      ['X-Odd', 'a, b'],
      ['Identity', identities[1]!]
    ])
    const message = parsed((await bench.app.sip('INVITE')).message)
    const lines = message.headers.lines().map(({ name, value }) => `${name}: ${value}`)
    const at = lines.indexOf(`Identity: ${identities[0]}`)
    expect(lines.slice(at, at + 3)).toEqual([`Identity: ${identities[0]}`, 'X-Odd: a, b', `Identity: ${identities[1]}`])
    expect(message.headers.get('Via')).toContain(`;rport=${bench.peer.port}`)
    expect(message.body.toString()).toBe(sdp())
  })

  it('retransmissions are absorbed while the application thinks', async () => {
    const strict = await startPeer('udp', { timers: { T1: 10, T2: 40, T4: 50 } })
    const exchange = strict.ask(bench.port, { method: 'OPTIONS' })
    const { tokens } = await bench.app.sip('OPTIONS')
    const sent = (): number => strict.log.filter(({ direction }) => direction === 'out').length
    await until(() => sent() >= 4)
    await respond(tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await exchange.response(200)
    expect(bench.app.frames.filter(({ message }) => message.startsWith('OPTIONS'))).toEqual([])
    await strict.close()
  })

  it.each([
    ['INVITE', 481],
    ['BYE', 481],
    ['UPDATE', 481],
    ['PRACK', 481],
    ['INFO', 481]
  ])('%s with an unknown To tag is answered %i', async (method, status) => {
    const to = `<sip:hub@127.0.0.1:${bench.port}>;tag=unknown`
    expect((await bench.peer.ask(bench.port, { method, headers: [['To', to]] }).final()).status).toBe(status)
  })

  it.each([
    ['BYE', 481],
    ['UPDATE', 481],
    ['PRACK', 481],
    ['REFER', 405],
    ['FROBNICATE', 501],
    ['PUBLISH', 503],
    ['NOTIFY', 503]
  ])('%s outside a dialog is answered %i by the engine', async (method, status) => {
    const response = await bench.peer.ask(bench.port, { method }).final()
    expect(response.status).toBe(status)
    if (status === 405 || status === 501) expect(response.headers.get('Allow')).toBe('INVITE')
    expect(bench.app.frames).toEqual([])
  })

  it('a body that is not UTF-8 could not be handed up whole: 415', async () => {
    const request = makeRequest({
      method: 'MESSAGE',
      uri: `sip:hub@127.0.0.1:${bench.port}`,
      headers: [
        ['From', '<sip:a@b>;tag=1'],
        ['To', '<sip:hub@b>'],
        ['Call-ID', 'binary'],
        ['CSeq', '1 MESSAGE'],
        ['Content-Type', 'application/octet-stream']
      ],
      body: Buffer.from([0xff, 0xfe, 0x00])
    })
    const to = { transport: 'udp', host: '127.0.0.1', port: bench.port } as const
    expect((await bench.peer.send(request, to).final()).status).toBe(415)
    expect(bench.app.frames).toEqual([])
  })

  it('when too many wait the network hears 503, and not to stay away (OVL-05)', async () => {
    await bench.again({ limits: { waitingMax: 1 } })
    invite()
    await heard('INVITE')
    const refused = await invite().final()
    expect([refused.status, refused.headers.has('Retry-After')]).toEqual([503, false])
  })
})

describe('screening', () => {
  it('an unknown peer hears nothing on UDP and 403 on TCP, the application nothing at all', async () => {
    await bench.again({ screen: screenPeers([{ id: 'other', addresses: ['192.0.2.0/24'], certificateNames: [] }]) })
    const tcp = await startPeer('tcp')
    const silent = bench.peer.ask(bench.port, { method: 'OPTIONS' })
    expect((await tcp.ask(portOf(bench.engine, 'tcp'), { method: 'OPTIONS' }).final()).status).toBe(403)
    await expect(silent.final()).rejects.toThrow('timeout')
    expect(bench.app.frames).toEqual([])
    await tcp.close()
  })

  it('a known peer is let in under its name', async () => {
    await bench.again({ screen: screenPeers([{ id: 'op-1', addresses: ['127.0.0.0/8'], certificateNames: [] }]) })
    bench.peer.ask(bench.port, { method: 'OPTIONS' })
    expect((await bench.app.sip('OPTIONS')).tokens[12]).toBe('op-1')
  })
})

describe('answers', () => {
  it('the echo is the message on the wire, To tag stable, Contact in the 2xx alone', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    const ringing = await respond(txn, 'SIP/2.0 180 Ringing\r\n\r\n')
    const answered = await ok(txn)
    await exchange.response(200)
    const from = tagOf(exchange.tx!.request.headers.get('From'))
    const id = `${exchange.tx!.request.headers.get('Call-ID')};from-tag=${from}`
    for (const { tokens, message } of [ringing, answered]) {
      expect(tokens.slice(3, 5)).toEqual(['OK', 'application'])
      expect(tokens[5]).toBe(String(Buffer.byteLength(message)))
      expect(tokens.slice(6, 9)).toEqual(['udp', '127.0.0.1', String(bench.peer.port)])
      expect(tokens.slice(10)).toEqual([txn, id, '', 'Msg sent:', ''])
    }
    expect(answersWith(180)).toEqual([ringing.message])
    expect(answersWith(200)[0]).toBe(answered.message)
    const [early, final] = [parsed(ringing.message), parsed(answered.message)]
    expect(tagOf(early.headers.get('To'))).toBe(tagOf(final.headers.get('To')))
    expect(early.headers.has('Contact')).toBe(false)
    expect(final.headers.get('Contact')).toBe(`<sip:127.0.0.1:${bench.port}>`)
    expect(final.headers.get('Content-Type')).toBe('application/sdp')
  })

  it('the application may choose the To tag with its first answer', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    await respond(txn, 'SIP/2.0 180 Ringing\r\nto: <sip:x>;tag=mine\r\n\r\n')
    await respond(txn, 'SIP/2.0 200 OK\r\nto: <sip:x>;tag=other\r\n\r\n')
    expect(tagOf((await exchange.response(180)).headers.get('To'))).toBe('mine')
    expect(tagOf((await exchange.response(200)).headers.get('To'))).toBe('mine')
  })

  it('what the engine alone writes is not taken from the application; names get their usual form', async () => {
    const exchange = invite()
    const lines = ['via: x', 'route: <sip:r>', 'record-route: <sip:r>', 'rseq: 7', 'call-id: other', 'cseq: 9 BYE']
    const more = ['from: <sip:x>', 'p-asserted-identity: <sip:a@localhost>, <sip:b@localhost>', 'x-mixed-Case: 1']
    await respond(await heard('INVITE'), `SIP/2.0 200 OK\r\n${[...lines, ...more].join('\r\n')}\r\n\r\n`)
    const { headers } = await exchange.response(200)
    expect(headers.lines().filter(({ name }) => ['Route', 'Record-Route', 'RSeq'].includes(name))).toEqual([])
    expect(headers.get('CSeq')).toBe('1 INVITE')
    expect(headers.get('Call-ID')).toBe(exchange.tx!.request.headers.get('Call-ID'))
    expect(headers.all('P-Asserted-Identity')).toEqual([
      `<sip:a@127.0.0.1:${bench.port}>`,
      `<sip:b@127.0.0.1:${bench.port}>`
    ])
    expect(headers.lines().some(({ name }) => name === 'x-mixed-Case')).toBe(true)
  })

  it('an unknown transaction and a second final answer are NOK', async () => {
    const unknown = 'Response not sent due to unknown transaction'
    expect((await respond('nonsense', 'SIP/2.0 200 OK\r\n\r\n')).tokens.slice(3)).toEqual(['NOK', unknown])
    bench.peer.ask(bench.port, { method: 'OPTIONS' })
    const txn = await heard('OPTIONS')
    expect((await respond(txn, 'SIP/2.0 200 OK\r\n\r\n')).tokens[3]).toBe('OK')
    expect((await respond(txn, 'SIP/2.0 200 OK\r\n\r\n')).tokens.slice(3)).toEqual(['NOK', unknown])
  })

  it('a refusal is acknowledged to the engine, not to the application', async () => {
    const exchange = invite()
    await respond(await heard('INVITE'), 'SIP/2.0 486 Busy Here\r\nreason: Q.850;cause=17\r\n\r\n')
    expect((await exchange.final()).headers.get('Reason')).toBe('Q.850;cause=17')
    await (await RawApp.open(bench.engine)).ask('ping')
    expect(bench.app.frames).toEqual([])
    expect(bench.engine.counts).toMatchObject({ dialogs: 0, waiting: 0 })
  })

  it('a 2xx is sent again until the ACK comes, which goes up once with the INVITE and its dialog', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    const { tokens } = await ok(txn)
    await exchange.response(200)
    await until(() => answersWith(200).length >= 3)
    const dialog = bench.peer.acknowledge(exchange, await exchange.response(200), sdp(2))
    const ack = await bench.app.sip('ACK')
    expect(ack.tokens.slice(8, 10)).toEqual([txn, tokens[11]])
    expect(ack.message.endsWith(sdp(2))).toBe(true)
    bench.peer.stack.sendAck(dialog.ack(dialog.localCseq), dialog.nextHop()!)
    const info = bench.peer.inside(dialog, 'INFO')
    await respond(await heard('INFO'), 'SIP/2.0 200 OK\r\n\r\n')
    await info.response(200)
    expect(bench.app.frames.filter(({ message }) => message.startsWith('ACK'))).toEqual([])
  })

  it('without an ACK the dialog ends with BYE, told as unsolicited', async () => {
    const exchange = invite()
    const { tokens } = await ok(await heard('INVITE'))
    await exchange.response(200)
    const bye = await bench.peer.next('BYE')
    expect(bye.request.headers.get('Reason')).toBe('SIP;cause=200;text="ACK timeout"')
    const told = await bench.app.sip('BYE')
    expect([told.tokens[2], ...told.tokens.slice(8, 10)]).toEqual(['application', 'unsolicited', tokens[11]])
    expect(bench.engine.counts.dialogs).toBe(0)
  })

  it('an application that never answers is taken out of the call', async () => {
    await bench.again({ limits: { firstAnswerMs: 50 } })
    const exchange = invite()
    const txn = await heard('INVITE')
    expect((await exchange.final()).status).toBe(480)
    expect((await bench.app.sip('CANCEL')).tokens[8]).toBe(txn)
    expect((await ok(txn)).tokens[3]).toBe('NOK')
  })
})

describe('CANCEL from the network', () => {
  it('before any answer: 200 and 487, told with the INVITE and no dialog; a late answer is NOK', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    await exchange.response(100)
    exchange.tx!.cancel([{ name: 'Reason', value: 'SIP;cause=200;text="elsewhere"' }])
    expect((await exchange.final()).status).toBe(487)
    const { tokens, message } = await bench.app.sip('CANCEL')
    expect(tokens.slice(8, 10)).toEqual([txn, ''])
    expect(message).toContain('elsewhere')
    expect((await ok(txn)).tokens[3]).toBe('NOK')
  })

  it('after a provisional answer: the same, with the dialog', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    const { tokens } = await respond(txn, 'SIP/2.0 180 Ringing\r\n\r\n')
    await exchange.response(180)
    exchange.tx!.cancel()
    expect((await exchange.final()).status).toBe(487)
    expect((await bench.app.sip('CANCEL')).tokens.slice(8, 10)).toEqual([txn, tokens[11]])
    expect((await respond(txn, 'SIP/2.0 487 Request Terminated\r\n\r\n')).tokens[3]).toBe('NOK')
    expect(bench.engine.counts.dialogs).toBe(0)
  })

  it('after the 2xx: the call stands, is acknowledged and ended with BYE', async () => {
    const exchange = invite()
    await ok(await heard('INVITE'))
    const answered = await exchange.response(200)
    // A stack does not cancel what is answered, so the CANCEL that crossed the 2xx is written by hand.
    const { request } = exchange.tx!
    const cancel = { ...request, method: 'CANCEL', headers: request.headers.clone() }
    cancel.headers.set('CSeq', '1 CANCEL')
    const socket = createSocket('udp4')
    const reply = new Promise<Buffer>(done => socket.once('message', done))
    socket.send(printMessage(cancel), bench.port, '127.0.0.1')
    expect((await reply).toString()).toMatch(/^SIP\/2.0 200 /)
    socket.close()
    expect(bench.peer.waiting).toEqual([])
    bench.peer.acknowledge(exchange, answered)
    expect((await bench.peer.next('BYE')).request.headers.get('Reason')).toContain('CANCEL after 200 OK')
    expect((await bench.app.sip('BYE')).tokens[8]).toBe('unsolicited')
  })

  it('for no INVITE: 481', async () => {
    expect((await bench.peer.ask(bench.port, { method: 'CANCEL' }).final()).status).toBe(481)
  })
})

describe('reliable provisional answers (RFC 3262)', () => {
  const progress = (status = 183): string => `SIP/2.0 ${status} P\r\nrequire: 100rel\r\n\r\n${sdp()}`
  const reliably = (): Exchange => invite([['Supported', '100rel']])
  const prack = (dialog: Dialog, rseq: string | undefined): Exchange =>
    bench.peer.inside(dialog, 'PRACK', [['RAck', `${rseq} 1 INVITE`]])

  it('are refused where the peer has no 100rel', async () => {
    invite()
    const { tokens } = await respond(await heard('INVITE'), progress())
    expect(tokens.slice(3)).toEqual(['NOK', 'Remote endpoint does not support 100rel'])
  })

  it('are sent again until their PRACK, which the application answers; the 2xx waits for it', async () => {
    const exchange = reliably()
    const txn = await heard('INVITE')
    const { message, tokens } = await respond(txn, progress())
    const first = parsed(message)
    expect(first.headers.get('RSeq')).toMatch(/^\d+$/)
    expect(first.headers.has('Contact')).toBe(true)
    await until(() => answersWith(183).length >= 3)
    const waiting = bench.app.send(`sip|${txn}|`, `SIP/2.0 200 OK\r\n\r\n`)
    await bench.app.ask('ping')
    expect(answersWith(200)).toEqual([])
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    const acknowledged = prack(early, first.headers.get('RSeq'))
    const up = await bench.app.sip('PRACK')
    expect(up.tokens[9]).toBe(tokens[11])
    expect(up.tokens[8]).not.toBe(txn)
    await respond(up.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await acknowledged.response(200)
    const answered = await bench.app.frame(frame => frame.tokens[2] === waiting)
    expect(answered.tokens[3]).toBe('OK')
    await exchange.response(200)
  })

  it('the next one waits for the PRACK of the one before, numbers go up by one', async () => {
    const exchange = reliably()
    const txn = await heard('INVITE')
    const first = parsed((await respond(txn, progress())).message).headers.get('RSeq')!
    const waiting = bench.app.send(`sip|${txn}|`, progress(180))
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    prack(early, first)
    const second = parsed((await bench.app.frame(frame => frame.tokens[2] === waiting)).message)
    expect(second.headers.get('RSeq')).toBe(String(Number(first) + 1))
  })

  it('a PRACK that fits nothing is answered 481 by the engine', async () => {
    const exchange = reliably()
    await respond(await heard('INVITE'), progress())
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    expect((await prack(early, '1').final()).status).toBe(481)
  })

  it('without a PRACK the INVITE is refused and the application told', async () => {
    const exchange = reliably()
    const txn = await heard('INVITE')
    await respond(txn, progress())
    const held = bench.app.send(`sip|${txn}|`, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await exchange.final()).status).toBe(504)
    expect((await bench.app.frame(frame => frame.tokens[2] === held)).tokens[3]).toBe('NOK')
    expect((await bench.app.sip('CANCEL')).tokens[8]).toBe(txn)
  })

  it('no more answers wait than the bound allows', async () => {
    await bench.again({ limits: { heldAnswersMax: 1 } })
    reliably()
    const txn = await heard('INVITE')
    await respond(txn, progress())
    bench.app.send(`sip|${txn}|`, progress())
    expect((await respond(txn, progress())).tokens.slice(3)).toEqual(['NOK', 'too many answers wait for a PRACK'])
  })
})
