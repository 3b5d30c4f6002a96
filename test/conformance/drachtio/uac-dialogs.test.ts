// Section 12, items 6 to 8, client side: requests of applications inside dialogs, registered connections.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import { tagOf } from '../../../src/sip/hop.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import { EngineBench, from, text } from '../../support/engine-bench.ts'
import { portOf, RawApp, sdp } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

const bench = new EngineBench()
const { inside, nok, placed, ring, send } = bench
beforeEach(() => bench.begin())
afterEach(() => bench.end())

describe('requests inside a dialog', () => {
  it('unknown dialogs are named so that drachtio-srf knows', async () => {
    expect(await nok('sip||nonsense', text('INFO', 'sip:placeholder', ''))).toBe(
      'Server error: unable to find dialog for dialog id provided'
    )
  })

  it('count up, go to the remote target, and their answers come under their own transaction', async () => {
    const { id, tx, txn } = await placed()
    const echo = await inside(id, 'INFO', 'content-type: text/plain\r\n', 'tone')
    const info = await bench.peer.next('INFO')
    expect(info.request.uri).toBe(bench.peer.uri)
    const number = (request: SipRequest): number => Number.parseInt(request.headers.get('CSeq')!, 10)
    expect(number(info.request)).toBe(number(tx.request) + 1)
    expect(echo.tokens[10]).not.toBe(txn)
    bench.peer.answer(info, 200)
    expect((await bench.app.sip('SIP/2.0 200')).tokens.slice(8, 10)).toEqual([echo.tokens[10], id])
    expect(await nok(`sip||${id}`, text('INFO', 'sip:placeholder', '', 'x'))).toBe('missing content-type')
    expect(await nok(`sip||${id}`, text('CANCEL', 'sip:placeholder', ''))).toContain('CANCEL')
  })

  it('BYE ends the dialog with its answer, but not with a challenge', async () => {
    const { id } = await placed()
    await inside(id, 'BYE')
    bench.peer.answer(await bench.peer.next('BYE'), 407)
    await bench.app.sip('SIP/2.0 407')
    expect(bench.engine.counts.dialogs).toBe(1)
    await inside(id, 'BYE', 'proxy-authorization: Digest x=y\r\n')
    bench.peer.answer(await bench.peer.next('BYE'), 200)
    expect((await bench.app.sip('SIP/2.0 200')).tokens[9]).toBe('')
    expect(bench.engine.counts.dialogs).toBe(0)
  })

  it('a re-INVITE goes out with Contact, comes back, is acknowledged; a refused one leaves the call', async () => {
    const { id } = await placed()
    await inside(id, 'INVITE', '', sdp(2))
    const again = await bench.peer.next('INVITE')
    expect(again.request.headers.get('Contact')).toBe(`<sip:127.0.0.1:${portOf(bench.engine)}>`)
    expect(await nok(`sip||${id}`, text('INVITE', 'sip:placeholder', '', sdp(3)))).toContain('in progress')
    bench.peer.answer(again, 200, [], sdp(2))
    await bench.app.sip('SIP/2.0 200')
    await inside(id, 'ACK')
    expect((await bench.peer.ack()).headers.get('CSeq')).toContain('ACK')
    await inside(id, 'INVITE', '', sdp(3))
    bench.peer.answer(await bench.peer.next('INVITE'), 488)
    await bench.app.sip('SIP/2.0 488')
    expect(await nok(`sip||${id}`, text('ACK', 'sip:x', ''))).toContain('ACK for non-success')
    expect(bench.engine.counts.dialogs).toBe(1)
  })

  it('a reliable 1xx to a re-INVITE that comes again, or skips one, goes up no more; each has one PRACK', async () => {
    const { id } = await placed()
    await inside(id, 'INVITE', 'supported: 100rel\r\n', sdp(2))
    const again = await bench.peer.next('INVITE')
    for (const [status, rseq] of [
      [183, 7],
      [183, 7],
      [182, 9],
      [180, 8],
      [183, 7]
    ] as const) {
      bench.peer.answer(again, status, [
        ['Require', '100rel'],
        ['RSeq', String(rseq)]
      ])
    }
    for (const [status, rseq] of [
      ['183', 7],
      ['180', 8]
    ] as const) {
      expect((await bench.app.sip('SIP/2.0 18')).message.slice(8, 11)).toBe(status)
      await inside(id, 'PRACK', `rack: ${rseq} ${again.request.headers.get('CSeq')}\r\n`)
      const prack = await bench.peer.next('PRACK')
      expect(prack.request.headers.get('RAck')).toBe(`${rseq} ${again.request.headers.get('CSeq')}`)
      bench.peer.answer(prack, 200)
      await bench.app.sip('SIP/2.0 200')
    }
    bench.peer.answer(again, 200, [], sdp(2))
    await bench.app.sip('SIP/2.0 200')
    expect(bench.app.frames.filter(({ message }) => message.startsWith('SIP/2.0 18'))).toEqual([])
    await inside(id, 'ACK')
    await bench.peer.ack()
  })

  it('crossing re-INVITEs: the one of the peer is 491', async () => {
    const { id, dialog } = await placed()
    await inside(id, 'INVITE', '', sdp(2))
    await bench.peer.next('INVITE')
    expect((await bench.peer.inside(dialog, 'INVITE', [], sdp(5)).final()).status).toBe(491)
    expect((await bench.peer.inside(dialog, 'UPDATE', [], sdp(5)).final()).status).toBe(491)
  })

  it('BYE while a re-INVITE of ours is open cancels it first', async () => {
    const { id } = await placed()
    await inside(id, 'INVITE', '', sdp(2))
    bench.peer.answer(await bench.peer.next('INVITE'), 180)
    await bench.app.sip('SIP/2.0 180')
    await inside(id, 'BYE')
    await until(() => bench.peer.cancels.length === 1)
    bench.peer.answer(await bench.peer.next('BYE'), 200)
    await bench.app.sip('SIP/2.0 487')
    await bench.app.sip('SIP/2.0 200')
    expect(bench.engine.counts).toMatchObject({ dialogs: 0, sent: 0 })
  })

  it('UPDATE refreshes the target', async () => {
    const { id } = await placed()
    await inside(id, 'UPDATE')
    bench.peer.answer(await bench.peer.next('UPDATE'), 200, [['Contact', `<sip:moved@127.0.0.1:${bench.peer.port}>`]])
    await bench.app.sip('SIP/2.0 200')
    await inside(id, 'INFO')
    expect((await bench.peer.next('INFO')).request.uri).toBe(`sip:moved@127.0.0.1:${bench.peer.port}`)
  })

  it('a Request-URI other than the placeholder is taken as it is', async () => {
    const { id } = await placed()
    await bench.app.ask(`sip||${id}`, text('REFER', 'sip:else@example.org', 'refer-to: <sip:x>\r\n'))
    const { request } = await bench.peer.next('REFER')
    expect([request.uri, request.headers.has('Contact')]).toEqual(['sip:else@example.org', true])
  })

  it('the answer of the called application to a BYE before the ACK has to wait for it', async () => {
    const callee = await RawApp.open(bench.engine, 'invite')
    const exchange = bench.peer.ask(portOf(bench.engine), { method: 'INVITE', body: sdp() })
    const { tokens } = await callee.sip('INVITE')
    const answered = await callee.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
    const bye = callee.send(`sip||${answered.tokens[11]}`, text('BYE', 'sip:placeholder', ''))
    await callee.ask('ping')
    expect(bench.peer.waiting).toEqual([])
    bench.peer.acknowledge(exchange, await exchange.response(200))
    bench.peer.answer(await bench.peer.next('BYE'), 200)
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
    bench.peer.answer(tx, 180)
    await bench.app.sip('SIP/2.0 180')
    const other = await ring()
    bench.peer.answer(other.tx, 180)
    await bench.app.sip('SIP/2.0 180')
    other.tx.onCancel = () => bench.peer.answer(other.tx, 200, [], sdp())
    bench.app.close()
    await until(() => bench.peer.cancels.length === 1)
    expect(bench.peer.cancels[0]?.headers.get('Reason')).toContain('Application gone')
    await bench.peer.ack()
    await bench.peer.next('BYE')
    await until(() => bench.engine.counts.dialogs === 0)
  })
})

describe('registered connections', () => {
  it('a Contact that registered over TCP is reached over its connection', async () => {
    const registrar = await RawApp.open(bench.engine, 'register')
    const tcp = await startPeer('tcp')
    const contact = '<sip:alice@browser.invalid;transport=tcp>'
    const exchange = tcp.ask(portOf(bench.engine, 'tcp'), { method: 'REGISTER', headers: [['Contact', contact]] })
    const { tokens } = await registrar.sip('REGISTER')
    const lines = `contact: ${contact};expires=60\r\n`
    await registrar.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n${lines}\r\n`)
    await exchange.response(200)
    expect(bench.engine.counts.bindings).toBe(1)
    await bench.app.ask('sip||', text('INVITE', 'sip:alice@browser.invalid', from, sdp()))
    const tx = await tcp.next('INVITE')
    tcp.answer(tx, 200, [['Contact', contact]], sdp())
    const id = (await bench.app.sip('SIP/2.0 200')).tokens[9]!
    await inside(id, 'ACK')
    await tcp.ack()
    await inside(id, 'BYE')
    tcp.answer(await tcp.next('BYE'), 200)
    await bench.app.sip('SIP/2.0 200')
    registrar.close()
    await tcp.close()
  })
})

describe('SUBSCRIBE of the application', () => {
  it('makes a dialog; its last NOTIFY ends it', async () => {
    const { tokens } = await send('SUBSCRIBE', `${from}event: presence\r\nexpires: 60\r\n`)
    const tx = await bench.peer.next('SUBSCRIBE')
    const response = bench.peer.answer(tx, 202, [['Expires', '60']])
    const { tokens: up } = await bench.app.sip('SIP/2.0 202')
    expect(up[8]).toBe(tokens[10])
    const dialog = Dialog.uas(tx.request, response)
    const notify = bench.peer.inside(dialog, 'NOTIFY', [
      ['Event', 'presence'],
      ['Subscription-State', 'terminated;reason=timeout']
    ])
    const heard = await bench.app.sip('NOTIFY')
    expect(heard.tokens[9]).toBe(up[9])
    await bench.app.ask(`sip|${heard.tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
    await notify.response(200)
    expect(bench.engine.counts.dialogs).toBe(0)
  })
})
