// Section 12, items 3 to 8, client side: what applications send, what comes back.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import type { Engine, EngineOptions } from '../../../src/sip/engine/engine.ts'
import { tagOf } from '../../../src/sip/hop.ts'
import { createHeaders, makeResponse, printMessage } from '../../../src/sip/message.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import type { ServerTransaction } from '../../../src/sip/stack.ts'
import { localUdp, portOf, RawApp, sdp, startEngine } from '../../support/engine.ts'
import type { Frame } from '../../support/engine.ts'
import { parsed, startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { freePort } from '../../support/sipp.ts'
import { until } from '../../support/until.ts'

let engine: Engine
let app: RawApp
let peer: SipPeer

const begin = async (over: Partial<EngineOptions> = {}): Promise<void> => {
  engine = await startEngine(over)
  app = await RawApp.open(engine)
  peer = await startPeer()
}
const end = async (): Promise<void> => {
  app.close()
  await peer.close()
  await engine.close()
}
beforeEach(() => begin())
afterEach(end)

const from = 'from: sip:me@localhost\r\n'
const text = (method: string, uri: string, headers = from, body = ''): string =>
  `${method} ${uri} SIP/2.0\r\n${headers}\r\n${body}`
const send = (method: string, headers = from, body = '', proxy = ''): Promise<Frame> =>
  app.ask(`sip||${proxy === '' ? '' : `|${proxy}`}`, text(method, peer.uri, headers, body))
const inside = (id: string, method: string, headers = '', body = ''): Promise<Frame> =>
  app.ask(`sip||${id}`, text(method, 'sip:placeholder', headers, body))
const nok = async (command: string, message: string): Promise<string> => {
  const { tokens } = await app.ask(command, message)
  expect(tokens[3]).toBe('NOK')
  return tokens[4] ?? ''
}

interface Ringing {
  readonly txn: string
  readonly tx: ServerTransaction
}
async function ring(headers = from): Promise<Ringing> {
  const { tokens } = await send('INVITE', headers, sdp())
  return { txn: tokens[10] ?? '', tx: await peer.next('INVITE') }
}

/** A call that the peer has answered and the application acknowledged. */
async function call(): Promise<Ringing & { readonly id: string; readonly dialog: Dialog }> {
  const ringing = await ring()
  const response = peer.answer(ringing.tx, 200, [['Allow', 'INVITE, ACK, BYE, UPDATE']], sdp())
  const id = (await app.sip('SIP/2.0 200')).tokens[9] ?? ''
  expect((await inside(id, 'ACK')).tokens[3]).toBe('OK')
  await peer.ack()
  const dialog = Dialog.uas(ringing.tx.request, response)
  return { ...ringing, id, dialog }
}
const copiesOf = (fits: (request: SipRequest) => boolean): number =>
  peer.log.filter(({ direction, message }) => direction === 'in' && message.kind === 'request' && fits(message)).length

describe('a request outside dialogs', () => {
  it('is echoed exactly as sent, before anything else about it', async () => {
    const id = app.send('sip||', text('OPTIONS', peer.uri))
    const tx = await peer.next('OPTIONS')
    peer.answer(tx, 200)
    await until(() => app.frames.length === 2)
    const [echo, answer] = app.frames.splice(0) as [Frame, Frame]
    expect(echo.tokens.slice(1, 5)).toEqual(['response', id, 'OK', 'application'])
    const bytes = String(Buffer.byteLength(echo.message))
    expect(echo.tokens.slice(5, 9)).toEqual([bytes, 'udp', '127.0.0.1', String(peer.port)])
    expect(echo.tokens.slice(11)).toEqual(['Msg sent:', ''])
    const sent = peer.log[0]!.message
    const [echoed, got] = [parsed(echo.message), parsed(printMessage(sent).toString())]
    // The receiver has stamped the source into Via.
    for (const { headers } of [echoed, got]) headers.remove('Via')
    expect(printMessage(echoed).toString()).toBe(printMessage(got).toString())
    expect(answer.tokens.slice(1, 3)).toEqual(['sip', 'network'])
    expect(answer.tokens.slice(4, 7)).toEqual(['udp', '127.0.0.1', String(peer.port)])
    expect(answer.tokens.slice(8)).toEqual([echo.tokens[10], '', ''])
  })

  it('gets what it lacks: Via, Max-Forwards, tag, To, Call-ID, CSeq, Contact', async () => {
    const { message } = await send('INVITE', 'subject: x\r\n')
    const { headers } = parsed(message)
    const local = `127.0.0.1:${portOf(engine)}`
    expect(headers.get('Via')).toMatch(new RegExp(`^SIP/2.0/UDP ${local};rport;branch=z9hG4bK`))
    expect(headers.get('Max-Forwards')).toBe('70')
    expect(headers.get('From')).toMatch(new RegExp(`^<sip:${local}>;tag=`))
    expect(headers.get('To')).toBe(`<${peer.uri}>`)
    expect(headers.get('CSeq')).toMatch(/^\d+ INVITE$/)
    expect(headers.get('Call-ID')).not.toBe('')
    expect(headers.get('Contact')).toBe(`<sip:${local}>`)
  })

  it('keeps what the application gave: tag, Call-ID, CSeq, Max-Forwards, Contact, X names', async () => {
    const lines = [
      'From: "A" <sip:a@b>;tag=mine',
      'Call-ID: my-call',
      'CSeq: 17 INVITE',
      'max-forwards: 12',
      'x-mine: y'
    ]
    const { message } = await send('INVITE', `${[...lines, 'contact: <sip:c@localhost;x=y>'].join('\r\n')}\r\n`)
    const { headers } = parsed(message)
    const got = headers.lines().map(({ name, value }) => `${name}: ${value}`)
    for (const line of ['From: "A" <sip:a@b>;tag=mine', 'Call-ID: my-call', 'CSeq: 17 INVITE', 'Max-Forwards: 12']) {
      expect(got).toContain(line)
    }
    expect(got).toContain('x-mine: y')
    expect(got).toContain(`Contact: <sip:c@127.0.0.1:${portOf(engine)};x=y>`)
  })

  it('drops what the engine alone writes', async () => {
    const { message } = await send('OPTIONS', 'via: x\r\nroute: <sip:r>\r\nrecord-route: <sip:r>\r\nrseq: 1\r\n')
    const names = parsed(message)
      .headers.lines()
      .map(({ name }) => name)
    expect(names.filter(name => ['Route', 'Record-Route', 'RSeq'].includes(name))).toEqual([])
    expect(names.filter(name => name === 'Via')).toHaveLength(1)
  })

  it('a retry with credentials keeps Call-ID and tag and counts up', async () => {
    const first = await send('REGISTER', 'from: sip:a@b;tag=t\r\ncall-id: same\r\ncseq: 1 REGISTER\r\n')
    peer.answer(await peer.next('REGISTER'), 401)
    await app.sip('SIP/2.0 401')
    const second = await send('REGISTER', 'from: sip:a@b;tag=t\r\ncall-id: same\r\ncseq: 2 REGISTER\r\n')
    const tx = await peer.next('REGISTER')
    expect(tx.request.headers.get('CSeq')).toBe('2 REGISTER')
    expect(second.tokens[10]).not.toBe(first.tokens[10])
    peer.answer(tx, 200)
    expect((await app.sip('SIP/2.0 200')).tokens[8]).toBe(second.tokens[10])
  })

  it('a body that is not SDP has to be named', async () => {
    expect(await nok('sip||', text('MESSAGE', peer.uri, from, 'hello'))).toBe('missing content-type')
    const named = await send('MESSAGE', `${from}content-type: text/plain\r\n`, 'grüße')
    expect(parsed(named.message).headers.get('Content-Length')).toBe('7')
  })

  it('needs a way out: no own address, a transport that listens, a host', async () => {
    const own = `sip:x@127.0.0.1:${portOf(engine)}`
    expect(await nok('sip||', text('OPTIONS', own))).toBe('can not send request to myself')
    expect(await nok('sip||', text('OPTIONS', `sip:x@localhost:${portOf(engine)}`))).toBe(
      'can not send request to myself'
    )
    const other = 'requested protocol/transport not available'
    expect(await nok('sip||', text('OPTIONS', 'sip:x@127.0.0.1:9;transport=tls'))).toBe(other)
    expect(await nok('sip||', text('OPTIONS', 'sips:x@127.0.0.1'))).toBe(other)
    expect(await nok('sip||', text('INVITE', 'tel:+4930123'))).toContain('no next hop')
    expect(await nok('sip||', text('INVITE', 'urn:service:sos'))).toContain('no next hop')
    expect(await nok('sip||', text('OPTIONS', peer.uri, 'from: <sip:broken\r\n'))).toContain('bad From')
    expect(await nok('sip||', text('OPTIONS', peer.uri, 'to: <\r\n'))).toContain('bad To')
    expect(await nok('sip||', text('OPTIONS', 'sip:<x>', from))).not.toBe('')
    expect(peer.log).toEqual([])
  })

  it.each(['tel:+4930123', 'urn:service:sos', 'sip:+4930123@ims.example;user=phone'])(
    'to %s goes to the next hop named, the Request-URI stays',
    async uri => {
      const { tokens } = await app.ask(`sip|||${peer.uri}`, text('INVITE', uri, from, sdp()))
      expect(tokens[3]).toBe('OK')
      const { request } = await peer.next('INVITE')
      expect([request.uri, request.headers.has('Route')]).toEqual([uri, false])
    }
  )

  it('the next hop names the transport', async () => {
    const tcp = await startPeer('tcp')
    const { tokens } = await app.ask(
      `sip|||sip:127.0.0.1:${tcp.port};transport=tcp`,
      text('INVITE', 'sip:+49@ims.example', from, sdp())
    )
    expect(tokens.slice(6, 9)).toEqual(['tcp', '127.0.0.1', String(tcp.port)])
    const { request } = await tcp.next('INVITE')
    expect(request.headers.get('Contact')).toBe(`<sip:127.0.0.1:${portOf(engine, 'tcp')};transport=tcp>`)
    await tcp.close()
  })

  it('nobody there: 408 after a while; nothing listening: 503; both made up here', async () => {
    const nobody = await freePort()
    const { tokens } = await app.ask(`sip|||sip:127.0.0.1:${nobody}`, text('OPTIONS', 'sip:x@y'))
    const late = await app.sip('SIP/2.0 408')
    expect(late.tokens.slice(2, 7)).toEqual(['network', '0', '', '', '0'])
    expect(late.tokens[8]).toBe(tokens[10])
    const refused = await app.ask(`sip|||sip:127.0.0.1:${nobody};transport=tcp`, text('INVITE', 'sip:x@y', from, sdp()))
    const gone = await app.sip('SIP/2.0 503')
    expect(gone.tokens[8]).toBe(refused.tokens[10])
    expect(engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('no more dialogs than the bound', async () => {
    await end()
    await begin({ limits: { dialogsMax: 1 } })
    await ring()
    expect(await nok('sip||', text('INVITE', peer.uri, from, sdp()))).toBe('too many dialogs')
  })

  it('without UDP the first listener is taken', async () => {
    await end()
    await begin({ listen: [{ transport: 'tcp', host: '127.0.0.1', port: 0 }] })
    const tcp = await startPeer('tcp')
    await app.ask('sip||', text('OPTIONS', `sip:x@127.0.0.1:${tcp.port}`))
    await tcp.next('OPTIONS')
    await tcp.close()
  })
})

describe('an INVITE of the application', () => {
  it('100 is kept back, the rest goes up with the transaction and the dialog', async () => {
    const { txn, tx } = await ring()
    peer.answer(tx, 100)
    peer.answer(tx, 180)
    peer.answer(tx, 200, [], sdp())
    const id = `${tx.request.headers.get('Call-ID')};from-tag=${tagOf(tx.request.headers.get('From'))}`
    for (const status of [180, 200]) {
      expect((await app.sip(`SIP/2.0 ${status}`)).tokens.slice(8)).toEqual([txn, id, ''])
    }
    expect(app.frames).toEqual([])
  })

  it('ACK is the application, to the remote target and with the number of the INVITE', async () => {
    const { tx } = await ring()
    peer.answer(tx, 200, [['Contact', `<sip:target@127.0.0.1:${peer.port};x=y>`]], sdp())
    const { tokens } = await app.sip('SIP/2.0 200')
    const echo = await app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:anything', '', sdp(9)))
    expect(echo.tokens[3]).toBe('OK')
    const ack = await peer.ack()
    expect(ack.uri).toBe(`sip:target@127.0.0.1:${peer.port};x=y`)
    expect(ack.headers.get('CSeq')).toBe(tx.request.headers.get('CSeq')!.replace('INVITE', 'ACK'))
    expect([ack.body.toString(), ack.headers.get('Content-Type')]).toEqual([sdp(9), 'application/sdp'])
    expect(parsed(echo.message).kind).toBe('request')
  })

  it('a copy of the 2xx before the ACK says nothing new, one after it gets the ACK again', async () => {
    const { tx } = await ring()
    const response = peer.answer(tx, 200, [], sdp())
    const { tokens } = await app.sip('SIP/2.0 200')
    tx.respond(response)
    await app.ask('ping')
    expect([peer.acks, app.frames]).toEqual([[], []])
    await app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    await peer.ack()
    tx.respond(response)
    await peer.ack()
    expect(app.frames).toEqual([])
  })

  it('a refusal goes up and is acknowledged here; the ACK of the application is told so', async () => {
    const { tx } = await ring()
    peer.answer(tx, 486)
    const { tokens } = await app.sip('SIP/2.0 486')
    await until(() => copiesOf(({ method }) => method === 'ACK') === 1)
    expect(await nok(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))).toBe(
      'ACK for non-success final response is automatically generated by server'
    )
    expect(engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('CANCEL waits for a provisional answer; its 200 is kept back, the 487 is not', async () => {
    const { txn, tx } = await ring()
    const echo = await app.ask(`sip|${txn}|`, text('CANCEL', peer.uri, 'reason: SIP;cause=200\r\nfrom: <sip:x>\r\n'))
    expect(echo.tokens[3]).toBe('OK')
    expect(echo.tokens[10]).not.toBe(txn)
    expect(parsed(echo.message).headers.get('From')).toBe(tx.request.headers.get('From'))
    expect(peer.cancels).toEqual([])
    peer.answer(tx, 180)
    await app.sip('SIP/2.0 180')
    expect((await app.sip('SIP/2.0 487')).tokens[8]).toBe(txn)
    expect(peer.cancels[0]?.headers.get('Reason')).toBe('SIP;cause=200')
    expect(app.frames).toEqual([])
    expect(await nok(`sip|${txn}|`, text('CANCEL', peer.uri, ''))).toContain('unknown transaction')
  })

  it('a 2xx faster than the CANCEL: the application acknowledges, the engine says BYE', async () => {
    const { txn, tx } = await ring()
    await app.ask(`sip|${txn}|`, text('CANCEL', peer.uri, ''))
    peer.answer(tx, 200, [], sdp())
    const { tokens } = await app.sip('SIP/2.0 200')
    await app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    await peer.ack()
    await peer.next('BYE')
    const told = await app.sip('BYE')
    expect([told.tokens[2], ...told.tokens.slice(8, 10)]).toEqual(['application', 'unsolicited', tokens[9]])
    expect(await nok(`sip||${tokens[9]}`, text('BYE', 'sip:placeholder', ''))).toContain('unable to find dialog')
  })

  it('of forked answers the first makes the call, the others get ACK and BYE', async () => {
    const { tx } = await ring()
    const answerAs = (tag: string, status: number): void => {
      const headers = createHeaders([['Contact', peer.contact]])
      tx.respond(makeResponse(tx.request, status, { toTag: tag, headers }))
    }
    answerAs('fork-1', 180)
    answerAs('fork-2', 180)
    answerAs('fork-2', 200)
    const { tokens, message } = await app.sip('SIP/2.0 200')
    expect(tagOf(parsed(message).headers.get('To'))).toBe('fork-2')
    await app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    expect(tagOf((await peer.ack()).headers.get('To'))).toBe('fork-2')
    answerAs('fork-1', 200)
    expect(tagOf((await peer.ack()).headers.get('To'))).toBe('fork-1')
    const bye = await peer.next('BYE')
    expect(tagOf(bye.request.headers.get('To'))).toBe('fork-1')
    answerAs('fork-1', 200)
    expect(tagOf((await peer.ack()).headers.get('To'))).toBe('fork-1')
    expect(peer.waiting).toEqual([])
    expect(engine.counts.dialogs).toBe(1)
  })

  it('a reliable provisional answer is acknowledged with PRACK inside its own fork', async () => {
    const { tx } = await ring(`${from}supported: 100rel\r\n`)
    const reliable = (tag: string, rseq: string): void => {
      const headers = createHeaders([
        ['Contact', `<sip:${tag}@127.0.0.1:${peer.port}>`],
        ['Require', '100rel'],
        ['RSeq', rseq]
      ])
      tx.respond(makeResponse(tx.request, 183, { toTag: tag, headers }))
    }
    reliable('fork-1', '100')
    reliable('fork-2', '200')
    const { tokens } = await app.sip('SIP/2.0 183')
    await app.sip('SIP/2.0 183')
    const cseq = tx.request.headers.get('CSeq')
    const echo = await app.ask(`sip||${tokens[9]}`, text('PRACK', peer.uri, `RAck: 200 ${cseq}\r\n`))
    expect(echo.tokens[3]).toBe('OK')
    const prack = await peer.next('PRACK')
    expect(tagOf(prack.request.headers.get('To'))).toBe('fork-2')
    expect(prack.request.uri).toBe(`sip:fork-2@127.0.0.1:${peer.port}`)
    expect(prack.request.headers.get('CSeq')).toBe(`${Number.parseInt(cseq!, 10) + 1} PRACK`)
    peer.answer(prack, 200)
    expect((await app.sip('SIP/2.0 200')).tokens[8]).toBe(echo.tokens[10])
  })

  it('an early UPDATE of the peer goes up with the dialog and is answered', async () => {
    const { tx } = await ring()
    const early = Dialog.uas(tx.request, peer.answer(tx, 183, [], sdp()))
    const { tokens } = await app.sip('SIP/2.0 183')
    const update = peer.inside(early, 'UPDATE', [], sdp(2))
    const up = await app.sip('UPDATE')
    expect(up.tokens[9]).toBe(tokens[9])
    await app.ask(`sip|${up.tokens[8]}|`, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
    await update.response(200)
  })

  it('follows the recorded route', async () => {
    const { tx } = await ring()
    const route = `<sip:127.0.0.1:${peer.port};lr;p=1>`
    peer.answer(tx, 200, [
      ['Record-Route', route],
      ['Contact', '<sip:far@unreachable.invalid>']
    ])
    const { tokens } = await app.sip('SIP/2.0 200')
    await app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    const ack = await peer.ack()
    expect([ack.uri, ack.headers.get('Route')]).toEqual(['sip:far@unreachable.invalid', route])
    expect((await inside(tokens[9]!, 'BYE')).tokens[3]).toBe('OK')
    expect((await peer.next('BYE')).request.headers.get('Route')).toBe(route)
  })
})

describe('requests inside a dialog', () => {
  it('unknown dialogs are named so that drachtio-srf knows', async () => {
    expect(await nok('sip||nonsense', text('INFO', 'sip:placeholder', ''))).toBe(
      'Server error: unable to find dialog for dialog id provided'
    )
  })

  it('count up, go to the remote target, and their answers come under their own transaction', async () => {
    const { id, tx, txn } = await call()
    const echo = await inside(id, 'INFO', 'content-type: text/plain\r\n', 'tone')
    const info = await peer.next('INFO')
    expect(info.request.uri).toBe(peer.uri)
    const number = (request: SipRequest): number => Number.parseInt(request.headers.get('CSeq')!, 10)
    expect(number(info.request)).toBe(number(tx.request) + 1)
    expect(echo.tokens[10]).not.toBe(txn)
    peer.answer(info, 200)
    expect((await app.sip('SIP/2.0 200')).tokens.slice(8, 10)).toEqual([echo.tokens[10], id])
    expect(await nok(`sip||${id}`, text('INFO', 'sip:placeholder', '', 'x'))).toBe('missing content-type')
    expect(await nok(`sip||${id}`, text('CANCEL', 'sip:placeholder', ''))).toContain('CANCEL')
  })

  it('BYE ends the dialog with its answer, but not with a challenge', async () => {
    const { id } = await call()
    await inside(id, 'BYE')
    peer.answer(await peer.next('BYE'), 407)
    await app.sip('SIP/2.0 407')
    expect(engine.counts.dialogs).toBe(1)
    await inside(id, 'BYE', 'proxy-authorization: Digest x=y\r\n')
    peer.answer(await peer.next('BYE'), 200)
    expect((await app.sip('SIP/2.0 200')).tokens[9]).toBe('')
    expect(engine.counts.dialogs).toBe(0)
  })

  it('a re-INVITE goes out with Contact, comes back, is acknowledged; a refused one leaves the call', async () => {
    const { id } = await call()
    await inside(id, 'INVITE', '', sdp(2))
    const again = await peer.next('INVITE')
    expect(again.request.headers.get('Contact')).toBe(`<sip:127.0.0.1:${portOf(engine)}>`)
    expect(await nok(`sip||${id}`, text('INVITE', 'sip:placeholder', '', sdp(3)))).toContain('in progress')
    peer.answer(again, 200, [], sdp(2))
    await app.sip('SIP/2.0 200')
    await inside(id, 'ACK')
    expect((await peer.ack()).headers.get('CSeq')).toContain('ACK')
    await inside(id, 'INVITE', '', sdp(3))
    peer.answer(await peer.next('INVITE'), 488)
    await app.sip('SIP/2.0 488')
    expect(await nok(`sip||${id}`, text('ACK', 'sip:x', ''))).toContain('ACK for non-success')
    expect(engine.counts.dialogs).toBe(1)
  })

  it('crossing re-INVITEs: the one of the peer is 491', async () => {
    const { id, dialog } = await call()
    await inside(id, 'INVITE', '', sdp(2))
    await peer.next('INVITE')
    expect((await peer.inside(dialog, 'INVITE', [], sdp(5)).final()).status).toBe(491)
    expect((await peer.inside(dialog, 'UPDATE', [], sdp(5)).final()).status).toBe(491)
  })

  it('BYE while a re-INVITE of ours is open cancels it first', async () => {
    const { id } = await call()
    await inside(id, 'INVITE', '', sdp(2))
    peer.answer(await peer.next('INVITE'), 180)
    await app.sip('SIP/2.0 180')
    await inside(id, 'BYE')
    await until(() => peer.cancels.length === 1)
    peer.answer(await peer.next('BYE'), 200)
    await app.sip('SIP/2.0 487')
    await app.sip('SIP/2.0 200')
    expect(engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('UPDATE refreshes the target', async () => {
    const { id } = await call()
    await inside(id, 'UPDATE')
    peer.answer(await peer.next('UPDATE'), 200, [['Contact', `<sip:moved@127.0.0.1:${peer.port}>`]])
    await app.sip('SIP/2.0 200')
    await inside(id, 'INFO')
    expect((await peer.next('INFO')).request.uri).toBe(`sip:moved@127.0.0.1:${peer.port}`)
  })

  it('a Request-URI other than the placeholder is taken as it is', async () => {
    const { id } = await call()
    await app.ask(`sip||${id}`, text('REFER', 'sip:else@example.org', 'refer-to: <sip:x>\r\n'))
    const { request } = await peer.next('REFER')
    expect([request.uri, request.headers.has('Contact')]).toEqual(['sip:else@example.org', true])
  })

  it('the answer of the called application to a BYE before the ACK has to wait for it', async () => {
    const callee = await RawApp.open(engine, 'invite')
    const exchange = peer.ask(portOf(engine), { method: 'INVITE', body: sdp() })
    const { tokens } = await callee.sip('INVITE')
    const answered = await callee.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
    const bye = callee.send(`sip||${answered.tokens[11]}`, text('BYE', 'sip:placeholder', ''))
    await callee.ask('ping')
    expect(peer.waiting).toEqual([])
    peer.acknowledge(exchange, await exchange.response(200))
    peer.answer(await peer.next('BYE'), 200)
    await callee.frame(frame => frame.tokens[2] === bye)
    callee.close()
  })

  it('inside a dialog that is not there yet nothing can be sent', async () => {
    const { tx } = await ring()
    const id = `${tx.request.headers.get('Call-ID')};from-tag=${tagOf(tx.request.headers.get('From'))}`
    expect(await nok(`sip||${id}`, text('INFO', 'sip:placeholder', ''))).toBe('dialog is not established')
  })
})

describe('an application that dies', () => {
  it('stops what rings, and ends what was answered all the same', async () => {
    const { tx } = await ring()
    peer.answer(tx, 180)
    await app.sip('SIP/2.0 180')
    const other = await ring()
    peer.answer(other.tx, 180)
    await app.sip('SIP/2.0 180')
    other.tx.onCancel = () => peer.answer(other.tx, 200, [], sdp())
    app.close()
    await until(() => peer.cancels.length === 1)
    expect(peer.cancels[0]?.headers.get('Reason')).toContain('Application gone')
    await peer.ack()
    await peer.next('BYE')
    await until(() => engine.counts.dialogs === 0)
  })
})

describe('registered connections', () => {
  it('a Contact that registered over TCP is reached over its connection', async () => {
    const registrar = await RawApp.open(engine, 'register')
    const tcp = await startPeer('tcp')
    const contact = '<sip:alice@browser.invalid;transport=tcp>'
    const exchange = tcp.ask(portOf(engine, 'tcp'), { method: 'REGISTER', headers: [['Contact', contact]] })
    const { tokens } = await registrar.sip('REGISTER')
    const lines = `contact: ${contact};expires=60\r\n`
    await registrar.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n${lines}\r\n`)
    await exchange.response(200)
    expect(engine.counts.bindings).toBe(1)
    await app.ask('sip||', text('INVITE', 'sip:alice@browser.invalid', from, sdp()))
    const tx = await tcp.next('INVITE')
    tcp.answer(tx, 200, [['Contact', contact]], sdp())
    const id = (await app.sip('SIP/2.0 200')).tokens[9]!
    await inside(id, 'ACK')
    await tcp.ack()
    await inside(id, 'BYE')
    tcp.answer(await tcp.next('BYE'), 200)
    await app.sip('SIP/2.0 200')
    registrar.close()
    await tcp.close()
  })
})

describe('SUBSCRIBE of the application', () => {
  it('makes a dialog; its last NOTIFY ends it', async () => {
    const { tokens } = await send('SUBSCRIBE', `${from}event: presence\r\nexpires: 60\r\n`)
    const tx = await peer.next('SUBSCRIBE')
    const response = peer.answer(tx, 202, [['Expires', '60']])
    const { tokens: up } = await app.sip('SIP/2.0 202')
    expect(up[8]).toBe(tokens[10])
    const dialog = Dialog.uas(tx.request, response)
    const notify = peer.inside(dialog, 'NOTIFY', [
      ['Event', 'presence'],
      ['Subscription-State', 'terminated;reason=timeout']
    ])
    const heard = await app.sip('NOTIFY')
    expect(heard.tokens[9]).toBe(up[9])
    await app.ask(`sip|${heard.tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
    await notify.response(200)
    expect(engine.counts.dialogs).toBe(0)
  })
})

it('a wildcard listener knows its own addresses', async () => {
  const anywhere = await startEngine({ listen: [{ ...localUdp, host: '0.0.0.0', advertise: '127.0.0.1' }] })
  const client = await RawApp.open(anywhere)
  const { tokens } = await client.ask('sip||', text('OPTIONS', `sip:x@127.0.0.1:${portOf(anywhere)}`))
  expect(tokens.slice(3)).toEqual(['NOK', 'can not send request to myself'])
  client.close()
  await anywhere.close()
})
