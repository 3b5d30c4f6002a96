// Section 12, items 3 to 7, server side: what the network asks, what applications answer.

import { createSocket } from 'node:dgram'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import type { Engine, EngineOptions } from '../../../src/sip/engine/engine.ts'
import { tagOf } from '../../../src/sip/hop.ts'
import { printMessage } from '../../../src/sip/message.ts'
import { portOf, RawApp, sdp, startEngine } from '../../support/engine.ts'
import { parsed, startPeer } from '../../support/sip-peer.ts'
import type { Exchange, SipPeer } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

let engine: Engine
let app: RawApp
let peer: SipPeer
let port: number

const begin = async (over: Partial<EngineOptions> = {}): Promise<void> => {
  engine = await startEngine(over)
  app = await RawApp.open(engine, 'invite', 'options', 'message', 'register', 'info', 'subscribe')
  peer = await startPeer()
  port = portOf(engine)
}
beforeEach(() => begin())
afterEach(async () => {
  app.close()
  await peer.close()
  await engine.close()
})

const invite = (headers: readonly (readonly [string, string])[] = []): Exchange =>
  peer.ask(port, { method: 'INVITE', headers, body: sdp() })
/** The transaction of the next request of that method, as the application hears it. */
const heard = async (method: string): Promise<string> => (await app.sip(method)).tokens[8] ?? ''
const respond = (txn: string, text: string) => app.ask(`sip|${txn}|`, text)
const ok = (txn: string) => respond(txn, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
const sentBy = (status: number): readonly string[] =>
  peer.log
    .filter(({ direction, message }) => direction === 'in' && message.kind === 'response' && message.status === status)
    .map(({ message }) => printMessage(message).toString())

/** An answered and acknowledged call. */
async function call(): Promise<{ exchange: Exchange; dialog: Dialog; txn: string; id: string }> {
  const exchange = invite()
  const txn = await heard('INVITE')
  const { tokens } = await ok(txn)
  const dialog = peer.acknowledge(exchange, await exchange.response(200))
  await app.sip('ACK')
  return { exchange, dialog, txn, id: tokens[11] ?? '' }
}

describe('a new request', () => {
  it('goes up with where it came from, where it was received and the verified peer, after 100', async () => {
    await Promise.all([app.close(), engine.close(), peer.close()])
    await begin({ screen: () => ({ peerId: 'operator-1' }) })
    const exchange = invite([['Subject', 'hello']])
    await exchange.response(100)
    const { tokens, message } = await app.sip('INVITE')
    const time = expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{6}$/)
    const size = String(Buffer.byteLength(message))
    expect(tokens.slice(1, 8)).toEqual(['sip', 'network', size, 'udp', '127.0.0.1', String(peer.port), time])
    expect(tokens[8]).toMatch(/^[0-9a-f-]{36}$/)
    expect(tokens.slice(9)).toEqual(['', '127.0.0.1', String(port), 'operator-1'])
  })

  it('goes up as it is: repeated fields stay apart and in order, unknown ones stay', async () => {
    const identities = ['eyJ.a.b;info=<https://a>', 'eyJ.c.d;info=<https://b>']
    invite([
      ['Identity', identities[0]!],
      ['X-Odd', 'a, b'],
      ['Identity', identities[1]!]
    ])
    const message = parsed((await app.sip('INVITE')).message)
    const lines = message.headers.lines().map(({ name, value }) => `${name}: ${value}`)
    const at = lines.indexOf(`Identity: ${identities[0]}`)
    expect(lines.slice(at, at + 3)).toEqual([`Identity: ${identities[0]}`, 'X-Odd: a, b', `Identity: ${identities[1]}`])
    expect(message.headers.get('Via')).toContain(`;rport=${peer.port}`)
    expect(message.body.toString()).toBe(sdp())
  })

  it('retransmissions are absorbed while the application thinks', async () => {
    const strict = await startPeer('udp', { timers: { T1: 10, T2: 40, T4: 50 } })
    const exchange = strict.ask(port, { method: 'OPTIONS' })
    const { tokens } = await app.sip('OPTIONS')
    const sent = (): number => strict.log.filter(({ direction }) => direction === 'out').length
    await until(() => sent() >= 4)
    await respond(tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await exchange.response(200)
    expect(app.frames.filter(({ message }) => message.startsWith('OPTIONS'))).toEqual([])
    await strict.close()
  })

  it.each([
    ['INVITE', 481],
    ['BYE', 481],
    ['UPDATE', 481],
    ['PRACK', 481],
    ['INFO', 481]
  ])('%s with an unknown To tag is answered %i', async (method, status) => {
    const to = `<sip:hub@127.0.0.1:${port}>;tag=unknown`
    expect((await peer.ask(port, { method, headers: [['To', to]] }).final()).status).toBe(status)
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
    const response = await peer.ask(port, { method }).final()
    expect(response.status).toBe(status)
    if (status === 405 || status === 501) expect(response.headers.get('Allow')).toBe('INVITE')
    expect(app.frames).toEqual([])
  })

  it('when too many wait the network hears 503 and when to come back', async () => {
    await Promise.all([app.close(), engine.close(), peer.close()])
    await begin({ limits: { waitingMax: 1 } })
    invite()
    await heard('INVITE')
    const refused = await invite().final()
    expect([refused.status, refused.headers.has('Retry-After')]).toEqual([503, true])
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
      expect(tokens.slice(6, 9)).toEqual(['udp', '127.0.0.1', String(peer.port)])
      expect(tokens.slice(10)).toEqual([txn, id, '', 'Msg sent:', ''])
    }
    expect(sentBy(180)).toEqual([ringing.message])
    expect(sentBy(200)[0]).toBe(answered.message)
    const [early, final] = [parsed(ringing.message), parsed(answered.message)]
    expect(tagOf(early.headers.get('To'))).toBe(tagOf(final.headers.get('To')))
    expect(early.headers.has('Contact')).toBe(false)
    expect(final.headers.get('Contact')).toBe(`<sip:127.0.0.1:${port}>`)
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
    expect(headers.all('P-Asserted-Identity')).toEqual([`<sip:a@127.0.0.1:${port}>`, `<sip:b@127.0.0.1:${port}>`])
    expect(headers.lines().some(({ name }) => name === 'x-mixed-Case')).toBe(true)
  })

  it('an unknown transaction and a second final answer are NOK', async () => {
    const unknown = 'Response not sent due to unknown transaction'
    expect((await respond('nonsense', 'SIP/2.0 200 OK\r\n\r\n')).tokens.slice(3)).toEqual(['NOK', unknown])
    peer.ask(port, { method: 'OPTIONS' })
    const txn = await heard('OPTIONS')
    expect((await respond(txn, 'SIP/2.0 200 OK\r\n\r\n')).tokens[3]).toBe('OK')
    expect((await respond(txn, 'SIP/2.0 200 OK\r\n\r\n')).tokens.slice(3)).toEqual(['NOK', unknown])
  })

  it('a refusal is acknowledged to the engine, not to the application', async () => {
    const exchange = invite()
    await respond(await heard('INVITE'), 'SIP/2.0 486 Busy Here\r\nreason: Q.850;cause=17\r\n\r\n')
    expect((await exchange.final()).headers.get('Reason')).toBe('Q.850;cause=17')
    await (await RawApp.open(engine)).ask('ping')
    expect(app.frames).toEqual([])
    expect(engine.counts).toMatchObject({ dialogs: 0, waiting: 0 })
  })

  it('a 2xx is sent again until the ACK comes, which goes up once with the INVITE and its dialog', async () => {
    const exchange = invite()
    const txn = await heard('INVITE')
    const { tokens } = await ok(txn)
    await exchange.response(200)
    await until(() => sentBy(200).length >= 3)
    const dialog = peer.acknowledge(exchange, await exchange.response(200), sdp(2))
    const ack = await app.sip('ACK')
    expect(ack.tokens.slice(8, 10)).toEqual([txn, tokens[11]])
    expect(ack.message.endsWith(sdp(2))).toBe(true)
    peer.stack.sendAck(dialog.ack(dialog.localCseq), dialog.nextHop()!)
    const info = peer.inside(dialog, 'INFO')
    await respond(await heard('INFO'), 'SIP/2.0 200 OK\r\n\r\n')
    await info.response(200)
    expect(app.frames.filter(({ message }) => message.startsWith('ACK'))).toEqual([])
  })

  it('without an ACK the dialog ends with BYE, told as unsolicited', async () => {
    const exchange = invite()
    const { tokens } = await ok(await heard('INVITE'))
    await exchange.response(200)
    const bye = await peer.next('BYE')
    expect(bye.request.headers.get('Reason')).toBe('SIP;cause=200;text="ACK timeout"')
    const told = await app.sip('BYE')
    expect([told.tokens[2], ...told.tokens.slice(8, 10)]).toEqual(['application', 'unsolicited', tokens[11]])
    expect(engine.counts.dialogs).toBe(0)
  })

  it('an application that never answers is taken out of the call', async () => {
    await Promise.all([app.close(), engine.close(), peer.close()])
    await begin({ limits: { firstAnswerMs: 50 } })
    const exchange = invite()
    const txn = await heard('INVITE')
    expect((await exchange.final()).status).toBe(480)
    expect((await app.sip('CANCEL')).tokens[8]).toBe(txn)
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
    const { tokens, message } = await app.sip('CANCEL')
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
    expect((await app.sip('CANCEL')).tokens.slice(8, 10)).toEqual([txn, tokens[11]])
    expect((await respond(txn, 'SIP/2.0 487 Request Terminated\r\n\r\n')).tokens[3]).toBe('NOK')
    expect(engine.counts.dialogs).toBe(0)
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
    socket.send(printMessage(cancel), port, '127.0.0.1')
    expect((await reply).toString()).toMatch(/^SIP\/2.0 200 /)
    socket.close()
    expect(peer.waiting).toEqual([])
    peer.acknowledge(exchange, answered)
    expect((await peer.next('BYE')).request.headers.get('Reason')).toContain('CANCEL after 200 OK')
    expect((await app.sip('BYE')).tokens[8]).toBe('unsolicited')
  })

  it('for no INVITE: 481', async () => {
    expect((await peer.ask(port, { method: 'CANCEL' }).final()).status).toBe(481)
  })
})

describe('reliable provisional answers (RFC 3262)', () => {
  const progress = (status = 183): string => `SIP/2.0 ${status} P\r\nrequire: 100rel\r\n\r\n${sdp()}`
  const reliably = (): Exchange => invite([['Supported', '100rel']])
  const prack = (dialog: Dialog, rseq: string | undefined): Exchange =>
    peer.inside(dialog, 'PRACK', [['RAck', `${rseq} 1 INVITE`]])

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
    await until(() => sentBy(183).length >= 3)
    const waiting = app.send(`sip|${txn}|`, `SIP/2.0 200 OK\r\n\r\n`)
    await app.ask('ping')
    expect(sentBy(200)).toEqual([])
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    const acknowledged = prack(early, first.headers.get('RSeq'))
    const up = await app.sip('PRACK')
    expect(up.tokens[9]).toBe(tokens[11])
    expect(up.tokens[8]).not.toBe(txn)
    await respond(up.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await acknowledged.response(200)
    const answered = await app.frame(frame => frame.tokens[2] === waiting)
    expect(answered.tokens[3]).toBe('OK')
    await exchange.response(200)
  })

  it('the next one waits for the PRACK of the one before, numbers go up by one', async () => {
    const exchange = reliably()
    const txn = await heard('INVITE')
    const first = parsed((await respond(txn, progress())).message).headers.get('RSeq')!
    const waiting = app.send(`sip|${txn}|`, progress(180))
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    prack(early, first)
    const second = parsed((await app.frame(frame => frame.tokens[2] === waiting)).message)
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
    const held = app.send(`sip|${txn}|`, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await exchange.final()).status).toBe(504)
    expect((await app.frame(frame => frame.tokens[2] === held)).tokens[3]).toBe('NOK')
    expect((await app.sip('CANCEL')).tokens[8]).toBe(txn)
  })

  it('no more answers wait than the bound allows', async () => {
    await Promise.all([app.close(), engine.close(), peer.close()])
    await begin({ limits: { heldAnswersMax: 1 } })
    reliably()
    const txn = await heard('INVITE')
    await respond(txn, progress())
    app.send(`sip|${txn}|`, progress())
    expect((await respond(txn, progress())).tokens.slice(3)).toEqual(['NOK', 'too many answers wait for a PRACK'])
  })
})

describe('inside a dialog', () => {
  it('each request has its own transaction and the dialog; BYE ends it', async () => {
    const { dialog, id, txn } = await call()
    const info = peer.inside(dialog, 'INFO', [['Content-Type', 'text/plain']], 'tone')
    const up = await app.sip('INFO')
    expect(up.tokens.slice(9)).toEqual([id, ''])
    expect(up.tokens[8]).not.toBe(txn)
    await respond(up.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await info.response(200)
    const bye = peer.inside(dialog, 'BYE')
    const end = await app.sip('BYE')
    expect(end.tokens[9]).toBe(id)
    expect(engine.counts.dialogs).toBe(0)
    const { tokens } = await respond(end.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    expect([tokens[3], tokens[11]]).toEqual(['OK', ''])
    await bye.response(200)
    expect((await peer.inside(dialog, 'INFO').final()).status).toBe(481)
    expect((await app.ask(`sip||${id}`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')).tokens[4]).toContain(
      'unable to find dialog'
    )
  })

  it('a re-INVITE is answered, its 2xx acknowledged, its own ACK told', async () => {
    const { dialog, id } = await call()
    const again = peer.inside(dialog, 'INVITE', [], sdp(2, 'sendonly'))
    const up = await app.sip('INVITE')
    expect(up.tokens[9]).toBe(id)
    await again.response(100)
    // A second one before the first is answered has to wait (RFC 3261, 14.2).
    const early = await peer.inside(dialog, 'INVITE', [], sdp(3)).final()
    expect([early.status, early.headers.has('Retry-After')]).toEqual([500, true])
    await respond(up.tokens[8]!, `SIP/2.0 200 OK\r\n\r\n${sdp(2, 'recvonly')}`)
    peer.stack.sendAck(dialog.ack(dialog.localCseq - 1), dialog.nextHop()!)
    expect((await app.sip('ACK')).tokens.slice(8, 10)).toEqual([up.tokens[8], id])
    await again.response(200)
  })

  it('a re-INVITE is cancelled, the call goes on', async () => {
    const { dialog, id } = await call()
    const again = peer.inside(dialog, 'INVITE', [], sdp(2))
    const up = await app.sip('INVITE')
    await again.response(100)
    again.tx!.cancel()
    expect((await again.final()).status).toBe(487)
    expect((await app.sip('CANCEL')).tokens.slice(8, 10)).toEqual([up.tokens[8], id])
    expect(engine.counts.dialogs).toBe(1)
  })

  it('an early UPDATE and one in the call go up; a second one at once is 500', async () => {
    const exchange = invite([['Supported', '100rel']])
    const txn = await heard('INVITE')
    const reliable = await respond(txn, `SIP/2.0 183 P\r\nrequire: 100rel\r\n\r\n${sdp()}`)
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    peer.inside(early, 'PRACK', [['RAck', `${parsed(reliable.message).headers.get('RSeq')} 1 INVITE`]])
    await respond(await heard('PRACK'), 'SIP/2.0 200 OK\r\n\r\n')
    const update = peer.inside(early, 'UPDATE', [], sdp(2))
    const up = await app.sip('UPDATE')
    expect((await peer.inside(early, 'UPDATE', [], sdp(3)).final()).status).toBe(500)
    await respond(up.tokens[8]!, `SIP/2.0 200 OK\r\n\r\n${sdp(2)}`)
    expect((await update.response(200)).headers.get('Contact')).toBe(`<sip:127.0.0.1:${port}>`)
    await ok(txn)
    peer.stack.sendAck(early.ack(1), early.nextHop()!)
    await app.sip('ACK')
    const later = peer.inside(early, 'UPDATE')
    await respond(await heard('UPDATE'), 'SIP/2.0 200 OK\r\n\r\n')
    await later.response(200)
  })

  it('a request out of order is 500, one for another dialog 481', async () => {
    const { dialog, exchange } = await call()
    const late = dialog.request('INFO')
    late.headers.set('CSeq', '0 INFO')
    expect((await peer.send(late, dialog.nextHop()!).final()).status).toBe(500)
    const strange = dialog.request('INFO')
    strange.headers.set('From', '<sip:other@x>;tag=other')
    expect((await peer.send(strange, dialog.nextHop()!).final()).status).toBe(481)
    expect(exchange.failure).toBeNull()
  })

  it('BYE while a request is open: the open one ends too', async () => {
    const { dialog } = await call()
    const info = peer.inside(dialog, 'INFO')
    const again = peer.inside(dialog, 'INVITE', [], sdp(2))
    await app.sip('INFO')
    await app.sip('INVITE')
    peer.inside(dialog, 'BYE')
    await respond(await heard('BYE'), 'SIP/2.0 200 OK\r\n\r\n')
    expect((await info.final()).status).toBe(500)
    expect((await again.final()).status).toBe(487)
    expect(engine.counts).toMatchObject({ dialogs: 0, waiting: 0 })
  })

  it('a Contact that is no SIP URI does not stop the call', async () => {
    const exchange = peer.ask(port, { method: 'INVITE', headers: [['Contact', '<tel:+4930123>']], body: sdp() })
    const { tokens } = await ok(await heard('INVITE'))
    const answered = await exchange.response(200)
    peer.acknowledge(exchange, answered)
    await app.sip('ACK')
    expect((await app.ask(`sip||${tokens[11]}`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')).tokens[3]).toBe('OK')
    expect((await peer.next('BYE')).request.uri).toBe('tel:+4930123')
  })

  it('SUBSCRIBE makes a dialog, the last NOTIFY ends it', async () => {
    const subscribe = peer.ask(port, { method: 'SUBSCRIBE', headers: [['Event', 'presence']] })
    const { tokens } = await respond(await heard('SUBSCRIBE'), 'SIP/2.0 202 Accepted\r\nexpires: 60\r\n\r\n')
    await subscribe.response(202)
    const id = tokens[11]
    const lines = 'event: presence\r\nsubscription-state: terminated\r\n\r\n'
    expect((await app.ask(`sip||${id}`, `NOTIFY sip:placeholder SIP/2.0\r\n${lines}`)).tokens[3]).toBe('OK')
    peer.answer(await peer.next('NOTIFY'), 200)
    await app.sip('SIP/2.0 200')
    expect(engine.counts.dialogs).toBe(0)
  })
})

describe('an application that dies', () => {
  it('leaves 503 to who waits and BYE to who talks', async () => {
    const { dialog } = await call()
    const ringing = invite()
    await respond(await heard('INVITE'), 'SIP/2.0 180 Ringing\r\n\r\n')
    await ringing.response(180)
    const unacknowledged = invite()
    await ok(await heard('INVITE'))
    const answered = await unacknowledged.response(200)
    app.close()
    expect((await ringing.final()).status).toBe(503)
    const bye = await peer.next('BYE')
    expect(bye.request.headers.get('Call-ID')).toBe(dialog.callId)
    expect(bye.request.headers.get('Reason')).toBe('SIP;cause=503;text="Application gone"')
    peer.acknowledge(unacknowledged, answered)
    expect((await peer.next('BYE')).request.headers.get('Call-ID')).toBe(answered.headers.get('Call-ID'))
    await until(() => engine.counts.dialogs === 0 && engine.counts.waiting === 0)
    expect((await peer.ask(port, { method: 'OPTIONS' }).final()).status).toBe(503)
  })

  it('many dialogs end in batches', async () => {
    await Promise.all([app.close(), engine.close(), peer.close()])
    await begin({ limits: { releasesMax: 2, releasePauseMs: 1 } })
    for (let index = 0; index < 5; index++) await call()
    app.close()
    for (let index = 0; index < 5; index++) await peer.next('BYE')
    expect(engine.counts.dialogs).toBe(0)
  })
})
