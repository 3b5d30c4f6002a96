// Section 12, items 3 to 7, client side: what applications send, what comes back.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import { tagOf } from '../../../src/sip/hop.ts'
import { createHeaders, makeResponse, printMessage } from '../../../src/sip/message.ts'
import { EngineBench, from, text } from '../../support/engine-bench.ts'
import { localUdp, portOf, RawApp, sdp, startEngine } from '../../support/engine.ts'
import type { Frame } from '../../support/engine.ts'
import { parsed, startPeer } from '../../support/sip-peer.ts'
import { freePort } from '../../support/sipp.ts'
import { until } from '../../support/until.ts'

const bench = new EngineBench()
const { inside, nok, ring, send } = bench
beforeEach(() => bench.begin())
afterEach(() => bench.end())

describe('a request outside dialogs', () => {
  it('is echoed exactly as sent, before anything else about it', async () => {
    const id = bench.app.send('sip||', text('OPTIONS', bench.peer.uri))
    const tx = await bench.peer.next('OPTIONS')
    bench.peer.answer(tx, 200)
    await until(() => bench.app.frames.length === 2)
    const [echo, answer] = bench.app.frames.splice(0) as [Frame, Frame]
    expect(echo.tokens.slice(1, 5)).toEqual(['response', id, 'OK', 'application'])
    const bytes = String(Buffer.byteLength(echo.message))
    expect(echo.tokens.slice(5, 9)).toEqual([bytes, 'udp', '127.0.0.1', String(bench.peer.port)])
    expect(echo.tokens.slice(11)).toEqual(['Msg sent:', ''])
    const sent = bench.peer.log[0]!.message
    const [echoed, got] = [parsed(echo.message), parsed(printMessage(sent).toString())]
    // The receiver has stamped the source into Via.
    for (const { headers } of [echoed, got]) headers.remove('Via')
    expect(printMessage(echoed).toString()).toBe(printMessage(got).toString())
    expect(answer.tokens.slice(1, 3)).toEqual(['sip', 'network'])
    expect(answer.tokens.slice(4, 7)).toEqual(['udp', '127.0.0.1', String(bench.peer.port)])
    expect(answer.tokens.slice(8)).toEqual([echo.tokens[10], '', ''])
  })

  it('gets what it lacks: Via, Max-Forwards, tag, To, Call-ID, CSeq, Contact', async () => {
    const { message } = await send('INVITE', 'subject: x\r\n')
    const { headers } = parsed(message)
    const local = `127.0.0.1:${portOf(bench.engine)}`
    expect(headers.get('Via')).toMatch(new RegExp(`^SIP/2.0/UDP ${local};rport;branch=z9hG4bK`))
    expect(headers.get('Max-Forwards')).toBe('70')
    expect(headers.get('From')).toMatch(new RegExp(`^<sip:${local}>;tag=`))
    expect(headers.get('To')).toBe(`<${bench.peer.uri}>`)
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
    expect(got).toContain(`Contact: <sip:c@127.0.0.1:${portOf(bench.engine)};x=y>`)
  })

  it('drops what the engine alone writes', async () => {
    const { message } = await send('OPTIONS', 'via: x\r\nrecord-route: <sip:r>\r\nrseq: 1\r\n')
    const names = parsed(message)
      .headers.lines()
      .map(({ name }) => name)
    expect(names.filter(name => ['Record-Route', 'RSeq'].includes(name))).toEqual([])
    expect(names.filter(name => name === 'Via')).toHaveLength(1)
  })

  it('a retry with credentials keeps Call-ID and tag and counts up', async () => {
    const first = await send('REGISTER', 'from: sip:a@b;tag=t\r\ncall-id: same\r\ncseq: 1 REGISTER\r\n')
    bench.peer.answer(await bench.peer.next('REGISTER'), 401)
    await bench.app.sip('SIP/2.0 401')
    const second = await send('REGISTER', 'from: sip:a@b;tag=t\r\ncall-id: same\r\ncseq: 2 REGISTER\r\n')
    const tx = await bench.peer.next('REGISTER')
    expect(tx.request.headers.get('CSeq')).toBe('2 REGISTER')
    expect(second.tokens[10]).not.toBe(first.tokens[10])
    bench.peer.answer(tx, 200)
    expect((await bench.app.sip('SIP/2.0 200')).tokens[8]).toBe(second.tokens[10])
  })

  it('a body that is not SDP has to be named', async () => {
    expect(await nok('sip||', text('MESSAGE', bench.peer.uri, from, 'hello'))).toBe('missing content-type')
    const named = await send('MESSAGE', `${from}content-type: text/plain\r\n`, 'grüße')
    expect(parsed(named.message).headers.get('Content-Length')).toBe('7')
  })

  it('needs a way out: no own address, a transport that listens, a host', async () => {
    const own = `sip:x@127.0.0.1:${portOf(bench.engine)}`
    expect(await nok('sip||', text('OPTIONS', own))).toBe('can not send request to myself')
    expect(await nok('sip||', text('OPTIONS', `sip:x@localhost:${portOf(bench.engine)}`))).toBe(
      'can not send request to myself'
    )
    const other = 'requested protocol/transport not available'
    expect(await nok('sip||', text('OPTIONS', 'sip:x@127.0.0.1:9;transport=tls'))).toBe(other)
    expect(await nok('sip||', text('OPTIONS', 'sips:x@127.0.0.1'))).toBe(other)
    expect(await nok('sip||', text('INVITE', 'tel:+4930123'))).toContain('no next hop')
    expect(await nok('sip||', text('INVITE', 'urn:service:sos'))).toContain('no next hop')
    expect(await nok('sip||', text('OPTIONS', bench.peer.uri, 'from: <sip:broken\r\n'))).toContain('bad From')
    expect(await nok('sip||', text('OPTIONS', bench.peer.uri, 'to: <\r\n'))).toContain('bad To')
    expect(await nok('sip||', text('OPTIONS', 'sip:<x>', from))).not.toBe('')
    expect(bench.peer.log).toEqual([])
  })

  it.each(['tel:+4930123', 'urn:service:sos', 'sip:+4930123@ims.example;user=phone'])(
    'to %s goes to the next hop named, the Request-URI stays',
    async uri => {
      const { tokens } = await bench.app.ask(`sip|||${bench.peer.uri}`, text('INVITE', uri, from, sdp()))
      expect(tokens[3]).toBe('OK')
      const { request } = await bench.peer.next('INVITE')
      expect([request.uri, request.headers.has('Route')]).toEqual([uri, false])
    }
  )

  it('the next hop names the transport', async () => {
    const tcp = await startPeer('tcp')
    const { tokens } = await bench.app.ask(
      `sip|||sip:127.0.0.1:${tcp.port};transport=tcp`,
      text('INVITE', 'sip:+49@ims.example', from, sdp())
    )
    expect(tokens.slice(6, 9)).toEqual(['tcp', '127.0.0.1', String(tcp.port)])
    const { request } = await tcp.next('INVITE')
    expect(request.headers.get('Contact')).toBe(`<sip:127.0.0.1:${portOf(bench.engine, 'tcp')};transport=tcp>`)
    await tcp.close()
  })

  it('nobody there: 408 after a while; nothing listening: 503; both made up here', async () => {
    const nobody = await freePort()
    const { tokens } = await bench.app.ask(`sip|||sip:127.0.0.1:${nobody}`, text('OPTIONS', 'sip:x@y'))
    const late = await bench.app.sip('SIP/2.0 408')
    expect(late.tokens.slice(2, 7)).toEqual(['network', '0', '', '', '0'])
    expect(late.tokens[8]).toBe(tokens[10])
    const refused = await bench.app.ask(
      `sip|||sip:127.0.0.1:${nobody};transport=tcp`,
      text('INVITE', 'sip:x@y', from, sdp())
    )
    const gone = await bench.app.sip('SIP/2.0 503')
    expect(gone.tokens[8]).toBe(refused.tokens[10])
    expect(bench.engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('no more dialogs than the bound', async () => {
    await bench.again({ limits: { dialogsMax: 1 } })
    await ring()
    expect(await nok('sip||', text('INVITE', bench.peer.uri, from, sdp()))).toBe('too many dialogs')
  })

  it('without UDP the first listener is taken', async () => {
    await bench.again({ listen: [{ transport: 'tcp', host: '127.0.0.1', port: 0 }] })
    const tcp = await startPeer('tcp')
    await bench.app.ask('sip||', text('OPTIONS', `sip:x@127.0.0.1:${tcp.port}`))
    await tcp.next('OPTIONS')
    await tcp.close()
  })
})

describe('an INVITE of the application', () => {
  it('100 is kept back, the rest goes up with the transaction and the dialog', async () => {
    const { txn, tx } = await ring()
    bench.peer.answer(tx, 100)
    bench.peer.answer(tx, 180)
    bench.peer.answer(tx, 200, [], sdp())
    const id = `${tx.request.headers.get('Call-ID')};from-tag=${tagOf(tx.request.headers.get('From'))}`
    for (const status of [180, 200]) {
      expect((await bench.app.sip(`SIP/2.0 ${status}`)).tokens.slice(8)).toEqual([txn, id, ''])
    }
    expect(bench.app.frames).toEqual([])
  })

  it('ACK is the application, to the remote target and with the number of the INVITE', async () => {
    const { tx } = await ring()
    bench.peer.answer(tx, 200, [['Contact', `<sip:target@127.0.0.1:${bench.peer.port};x=y>`]], sdp())
    const { tokens } = await bench.app.sip('SIP/2.0 200')
    const echo = await bench.app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:anything', '', sdp(9)))
    expect(echo.tokens[3]).toBe('OK')
    const ack = await bench.peer.ack()
    expect(ack.uri).toBe(`sip:target@127.0.0.1:${bench.peer.port};x=y`)
    expect(ack.headers.get('CSeq')).toBe(tx.request.headers.get('CSeq')!.replace('INVITE', 'ACK'))
    expect([ack.body.toString(), ack.headers.get('Content-Type')]).toEqual([sdp(9), 'application/sdp'])
    expect(parsed(echo.message).kind).toBe('request')
  })

  it('a copy of the 2xx before the ACK says nothing new, one after it gets the ACK again', async () => {
    const { tx } = await ring()
    const response = bench.peer.answer(tx, 200, [], sdp())
    const { tokens } = await bench.app.sip('SIP/2.0 200')
    tx.respond(response)
    await bench.app.ask('ping')
    expect([bench.peer.acks, bench.app.frames]).toEqual([[], []])
    await bench.app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    await bench.peer.ack()
    tx.respond(response)
    await bench.peer.ack()
    expect(bench.app.frames).toEqual([])
  })

  it('a refusal goes up and is acknowledged here; the ACK of the application is told so', async () => {
    const { tx } = await ring()
    bench.peer.answer(tx, 486)
    const { tokens } = await bench.app.sip('SIP/2.0 486')
    await until(() => bench.peer.log.some(({ message }) => message.kind === 'request' && message.method === 'ACK'))
    expect(await nok(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))).toBe(
      'ACK for non-success final response is automatically generated by server'
    )
    expect(bench.engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('CANCEL waits for a provisional answer; its 200 is kept back, the 487 is not', async () => {
    const { txn, tx } = await ring()
    const echo = await bench.app.ask(
      `sip|${txn}|`,
      text('CANCEL', bench.peer.uri, 'reason: SIP;cause=200\r\nfrom: <sip:x>\r\n')
    )
    expect(echo.tokens[3]).toBe('OK')
    expect(echo.tokens[10]).not.toBe(txn)
    expect(parsed(echo.message).headers.get('From')).toBe(tx.request.headers.get('From'))
    expect(bench.peer.cancels).toEqual([])
    bench.peer.answer(tx, 180)
    await bench.app.sip('SIP/2.0 180')
    expect((await bench.app.sip('SIP/2.0 487')).tokens[8]).toBe(txn)
    expect(bench.peer.cancels[0]?.headers.get('Reason')).toBe('SIP;cause=200')
    // An INVITE that was sent again before its 180 came is answered 180 again.
    expect(bench.app.frames.filter(({ message }) => !message.startsWith('SIP/2.0 180'))).toEqual([])
    expect(await nok(`sip|${txn}|`, text('CANCEL', bench.peer.uri, ''))).toContain('unknown transaction')
  })

  it('a 2xx faster than the CANCEL: the application acknowledges, the engine says BYE', async () => {
    const { txn, tx } = await ring()
    await bench.app.ask(`sip|${txn}|`, text('CANCEL', bench.peer.uri, ''))
    bench.peer.answer(tx, 200, [], sdp())
    const { tokens } = await bench.app.sip('SIP/2.0 200')
    await bench.app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    await bench.peer.ack()
    await bench.peer.next('BYE')
    const told = await bench.app.sip('BYE')
    expect([told.tokens[2], ...told.tokens.slice(8, 10)]).toEqual(['application', 'unsolicited', tokens[9]])
    expect(await nok(`sip||${tokens[9]}`, text('BYE', 'sip:placeholder', ''))).toContain('unable to find dialog')
  })

  it('of forked answers the first makes the call, the others get ACK and BYE', async () => {
    const { tx } = await ring()
    const answerAs = (tag: string, status: number): void => {
      const headers = createHeaders([['Contact', bench.peer.contact]])
      tx.respond(makeResponse(tx.request, status, { toTag: tag, headers }))
    }
    answerAs('fork-1', 180)
    answerAs('fork-2', 180)
    answerAs('fork-2', 200)
    const { tokens, message } = await bench.app.sip('SIP/2.0 200')
    expect(tagOf(parsed(message).headers.get('To'))).toBe('fork-2')
    await bench.app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    expect(tagOf((await bench.peer.ack()).headers.get('To'))).toBe('fork-2')
    answerAs('fork-1', 200)
    expect(tagOf((await bench.peer.ack()).headers.get('To'))).toBe('fork-1')
    const bye = await bench.peer.next('BYE')
    expect(tagOf(bye.request.headers.get('To'))).toBe('fork-1')
    answerAs('fork-1', 200)
    expect(tagOf((await bench.peer.ack()).headers.get('To'))).toBe('fork-1')
    expect(bench.peer.waiting).toEqual([])
    expect(bench.engine.counts.dialogs).toBe(1)
  })

  it('a reliable provisional answer is acknowledged with PRACK inside its own fork', async () => {
    const { tx } = await ring(`${from}supported: 100rel\r\n`)
    const reliable = (tag: string, rseq: string): void => {
      const headers = createHeaders([
        ['Contact', `<sip:${tag}@127.0.0.1:${bench.peer.port}>`],
        ['Require', '100rel'],
        ['RSeq', rseq]
      ])
      tx.respond(makeResponse(tx.request, 183, { toTag: tag, headers }))
    }
    reliable('fork-1', '100')
    reliable('fork-2', '200')
    const { tokens } = await bench.app.sip('SIP/2.0 183')
    await bench.app.sip('SIP/2.0 183')
    const cseq = tx.request.headers.get('CSeq')
    const echo = await bench.app.ask(`sip||${tokens[9]}`, text('PRACK', bench.peer.uri, `RAck: 200 ${cseq}\r\n`))
    expect(echo.tokens[3]).toBe('OK')
    const prack = await bench.peer.next('PRACK')
    expect(tagOf(prack.request.headers.get('To'))).toBe('fork-2')
    expect(prack.request.uri).toBe(`sip:fork-2@127.0.0.1:${bench.peer.port}`)
    expect(prack.request.headers.get('CSeq')).toBe(`${Number.parseInt(cseq!, 10) + 1} PRACK`)
    bench.peer.answer(prack, 200)
    expect((await bench.app.sip('SIP/2.0 200')).tokens[8]).toBe(echo.tokens[10])
  })

  it('a reliable provisional answer that comes again, or skips one, goes up no more (RFC 3262, 4)', async () => {
    const { tx } = await ring(`${from}supported: 100rel\r\n`)
    const reliable = (status: number, rseq: number): void => {
      const headers = createHeaders([
        ['Contact', bench.peer.contact],
        ['Require', '100rel'],
        ['RSeq', String(rseq)]
      ])
      tx.respond(makeResponse(tx.request, status, { toTag: 'b', headers }))
    }
    for (const [status, rseq] of [
      [183, 100],
      [183, 100],
      [182, 102],
      [180, 101],
      [183, 100]
    ] as const) {
      reliable(status, rseq)
    }
    bench.peer.answer(tx, 486)
    await bench.app.sip('SIP/2.0 486')
    const told = bench.app.frames.filter(({ tokens }) => tokens[1] === 'sip').map(({ message }) => message.slice(8, 11))
    expect(told).toEqual(['183', '180'])
  })

  it('an early UPDATE of the peer goes up with the dialog and is answered', async () => {
    const { tx } = await ring()
    const early = Dialog.uas(tx.request, bench.peer.answer(tx, 183, [], sdp()))
    const { tokens } = await bench.app.sip('SIP/2.0 183')
    const update = bench.peer.inside(early, 'UPDATE', [], sdp(2))
    const up = await bench.app.sip('UPDATE')
    expect(up.tokens[9]).toBe(tokens[9])
    await bench.app.ask(`sip|${up.tokens[8]}|`, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
    await update.response(200)
  })

  it('follows the recorded route', async () => {
    const { tx } = await ring()
    const route = `<sip:127.0.0.1:${bench.peer.port};lr;p=1>`
    bench.peer.answer(tx, 200, [
      ['Record-Route', route],
      ['Contact', '<sip:far@unreachable.invalid>']
    ])
    const { tokens } = await bench.app.sip('SIP/2.0 200')
    await bench.app.ask(`sip||${tokens[9]}`, text('ACK', 'sip:x', ''))
    const ack = await bench.peer.ack()
    expect([ack.uri, ack.headers.get('Route')]).toEqual(['sip:far@unreachable.invalid', route])
    expect((await inside(tokens[9]!, 'BYE')).tokens[3]).toBe('OK')
    expect((await bench.peer.next('BYE')).request.headers.get('Route')).toBe(route)
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
