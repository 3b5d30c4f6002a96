// Section 12, item 6: UPDATE (RFC 3311) by the application, early and in dialog, in both roles, and what it crosses.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import { EngineBench, from } from '../../support/engine-bench.ts'
import { sdp } from '../../support/engine.ts'
import { parsed } from '../../support/sip-peer.ts'

const bench = new EngineBench('invite')
beforeEach(() => bench.begin())
afterEach(() => bench.end())

describe('an early UPDATE of the application', () => {
  it('to the peer that rings: inside its early dialog, with the next number, before any 2xx', async () => {
    const { tx } = await bench.ring(`${from}supported: 100rel\r\n`)
    const reliable = [
      ['Require', '100rel'],
      ['RSeq', '7']
    ] as const
    bench.peer.answer(tx, 183, reliable, sdp())
    const id = (await bench.app.sip('SIP/2.0 183')).tokens[9] ?? ''
    const number = Number.parseInt(tx.request.headers.get('CSeq') ?? '', 10)
    await bench.inside(id, 'PRACK', `RAck: 7 ${number} INVITE\r\n`)
    bench.peer.answer(await bench.peer.next('PRACK'), 200)
    await bench.app.sip('SIP/2.0 200')
    const echo = await bench.inside(id, 'UPDATE', '', sdp(2))
    const update = await bench.peer.next('UPDATE')
    expect(update.request.headers.get('CSeq')).toBe(`${number + 2} UPDATE`)
    expect(update.request.uri).toBe(bench.peer.uri)
    expect(update.request.headers.has('Contact')).toBe(true)
    bench.peer.answer(update, 200, [], sdp(2))
    const answer = await bench.app.sip('SIP/2.0 200')
    expect(answer.tokens.slice(8, 10)).toEqual([echo.tokens[10], id])
    bench.peer.answer(tx, 200, [], sdp())
    await bench.app.sip('SIP/2.0 200')
    await bench.inside(id, 'ACK')
    expect((await bench.peer.ack()).headers.get('CSeq')).toBe(`${number} ACK`)
  })

  it('to the caller while it waits, once its PRACK has come', async () => {
    const exchange = bench.invite([['Supported', '100rel']])
    const txn = await bench.heard('INVITE')
    const reliable = await bench.respond(txn, `SIP/2.0 183 P\r\nrequire: 100rel\r\n\r\n${sdp()}`)
    const id = reliable.tokens[11] ?? ''
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    bench.peer.inside(early, 'PRACK', [['RAck', `${parsed(reliable.message).headers.get('RSeq')} 1 INVITE`]])
    await bench.respond(await bench.heard('PRACK'), 'SIP/2.0 200 OK\r\n\r\n')
    await bench.inside(id, 'UPDATE', '', sdp(2))
    const update = await bench.peer.next('UPDATE')
    expect(update.request.uri).toBe(bench.peer.uri)
    bench.peer.answer(update, 200, [], sdp(2))
    await bench.app.sip('SIP/2.0 200')
    await bench.ok(txn)
    bench.peer.acknowledge(exchange, await exchange.response(200))
    await bench.app.sip('ACK')
  })
})

describe('an UPDATE in a call', () => {
  it('of the application is answered under its own transaction; one without SDP only refreshes', async () => {
    const { id } = await bench.called()
    for (const body of [sdp(2), '']) {
      const echo = await bench.inside(id, 'UPDATE', '', body)
      const update = await bench.peer.next('UPDATE')
      expect(update.request.body.toString()).toBe(body)
      bench.peer.answer(update, 200, [], body)
      expect((await bench.app.sip('SIP/2.0 200')).tokens[8]).toBe(echo.tokens[10])
    }
    expect(bench.engine.counts.dialogs).toBe(1)
  })

  it('with SDP of the peer that crosses an INVITE of ours is 491 (RFC 3311, 5.2)', async () => {
    const { id, dialog } = await bench.placed()
    await bench.inside(id, 'INVITE', '', sdp(2))
    const invite = await bench.peer.next('INVITE')
    expect((await bench.peer.inside(dialog, 'UPDATE', [], sdp(3)).final()).status).toBe(491)
    bench.peer.answer(invite, 488)
    await bench.app.sip('SIP/2.0 488')
  })

  it('that is refused leaves the call as it was', async () => {
    const { id } = await bench.called()
    await bench.inside(id, 'UPDATE', '', sdp(2))
    bench.peer.answer(await bench.peer.next('UPDATE'), 488)
    await bench.app.sip('SIP/2.0 488')
    await bench.inside(id, 'BYE')
    bench.peer.answer(await bench.peer.next('BYE'), 200)
    await bench.app.sip('SIP/2.0 200')
    expect(bench.engine.counts.dialogs).toBe(0)
  })
})
