// Section 12, item 6, server side: requests of the network inside dialogs, and applications that die.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import { EngineBench } from '../../support/engine-bench.ts'
import { sdp } from '../../support/engine.ts'
import { parsed } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

const bench = new EngineBench('invite', 'options', 'message', 'register', 'info', 'subscribe')
const { called, heard, invite, ok, respond } = bench
beforeEach(() => bench.begin())
afterEach(() => bench.end())

describe('inside a dialog', () => {
  it('each request has its own transaction and the dialog; BYE ends it', async () => {
    const { dialog, id, txn } = await called()
    const info = bench.peer.inside(dialog, 'INFO', [['Content-Type', 'text/plain']], 'tone')
    const up = await bench.app.sip('INFO')
    expect(up.tokens.slice(9)).toEqual([id, ''])
    expect(up.tokens[8]).not.toBe(txn)
    await respond(up.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    await info.response(200)
    const bye = bench.peer.inside(dialog, 'BYE')
    const end = await bench.app.sip('BYE')
    expect(end.tokens[9]).toBe(id)
    expect(bench.engine.counts.dialogs).toBe(0)
    const { tokens } = await respond(end.tokens[8]!, 'SIP/2.0 200 OK\r\n\r\n')
    expect([tokens[3], tokens[11]]).toEqual(['OK', ''])
    await bye.response(200)
    expect((await bench.peer.inside(dialog, 'INFO').final()).status).toBe(481)
    expect((await bench.app.ask(`sip||${id}`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')).tokens[4]).toContain(
      'unable to find dialog'
    )
  })

  it('a re-INVITE is answered, its 2xx acknowledged, its own ACK told', async () => {
    const { dialog, id } = await called()
    const again = bench.peer.inside(dialog, 'INVITE', [], sdp(2, 'sendonly'))
    const up = await bench.app.sip('INVITE')
    expect(up.tokens[9]).toBe(id)
    await again.response(100)
    // A second one before the first is answered has to wait (RFC 3261, 14.2).
    const early = await bench.peer.inside(dialog, 'INVITE', [], sdp(3)).final()
    expect([early.status, early.headers.has('Retry-After')]).toEqual([500, true])
    await respond(up.tokens[8]!, `SIP/2.0 200 OK\r\n\r\n${sdp(2, 'recvonly')}`)
    bench.peer.stack.sendAck(dialog.ack(dialog.localCseq - 1), dialog.nextHop()!)
    expect((await bench.app.sip('ACK')).tokens.slice(8, 10)).toEqual([up.tokens[8], id])
    await again.response(200)
  })

  it('a re-INVITE is cancelled, the call goes on', async () => {
    const { dialog, id } = await called()
    const again = bench.peer.inside(dialog, 'INVITE', [], sdp(2))
    const up = await bench.app.sip('INVITE')
    await again.response(100)
    again.tx!.cancel()
    expect((await again.final()).status).toBe(487)
    expect((await bench.app.sip('CANCEL')).tokens.slice(8, 10)).toEqual([up.tokens[8], id])
    expect(bench.engine.counts.dialogs).toBe(1)
  })

  it('an early UPDATE and one in the call go up; a second one at once is 500', async () => {
    const exchange = invite([['Supported', '100rel']])
    const txn = await heard('INVITE')
    const reliable = await respond(txn, `SIP/2.0 183 P\r\nrequire: 100rel\r\n\r\n${sdp()}`)
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(183))
    bench.peer.inside(early, 'PRACK', [['RAck', `${parsed(reliable.message).headers.get('RSeq')} 1 INVITE`]])
    await respond(await heard('PRACK'), 'SIP/2.0 200 OK\r\n\r\n')
    const update = bench.peer.inside(early, 'UPDATE', [], sdp(2))
    const up = await bench.app.sip('UPDATE')
    expect((await bench.peer.inside(early, 'UPDATE', [], sdp(3)).final()).status).toBe(500)
    await respond(up.tokens[8]!, `SIP/2.0 200 OK\r\n\r\n${sdp(2)}`)
    expect((await update.response(200)).headers.get('Contact')).toBe(`<sip:127.0.0.1:${bench.port}>`)
    await ok(txn)
    bench.peer.stack.sendAck(early.ack(1), early.nextHop()!)
    await bench.app.sip('ACK')
    const later = bench.peer.inside(early, 'UPDATE')
    await respond(await heard('UPDATE'), 'SIP/2.0 200 OK\r\n\r\n')
    await later.response(200)
  })

  it('a request out of order is 500, one for another dialog 481', async () => {
    const { dialog, exchange } = await called()
    const late = dialog.request('INFO')
    late.headers.set('CSeq', '0 INFO')
    expect((await bench.peer.send(late, dialog.nextHop()!).final()).status).toBe(500)
    const strange = dialog.request('INFO')
    strange.headers.set('From', '<sip:other@x>;tag=other')
    expect((await bench.peer.send(strange, dialog.nextHop()!).final()).status).toBe(481)
    expect(exchange.failure).toBeNull()
  })

  it('BYE while a request is open: the open one ends too', async () => {
    const { dialog } = await called()
    const info = bench.peer.inside(dialog, 'INFO')
    const again = bench.peer.inside(dialog, 'INVITE', [], sdp(2))
    await bench.app.sip('INFO')
    await bench.app.sip('INVITE')
    bench.peer.inside(dialog, 'BYE')
    await respond(await heard('BYE'), 'SIP/2.0 200 OK\r\n\r\n')
    expect((await info.final()).status).toBe(500)
    expect((await again.final()).status).toBe(487)
    expect(bench.engine.counts).toMatchObject({ dialogs: 0, waiting: 0 })
  })

  it('a Contact that is no SIP URI does not stop the call', async () => {
    const exchange = bench.peer.ask(bench.port, {
      method: 'INVITE',
      headers: [['Contact', '<tel:+4930123>']],
      body: sdp()
    })
    const { tokens } = await ok(await heard('INVITE'))
    const answered = await exchange.response(200)
    bench.peer.acknowledge(exchange, answered)
    await bench.app.sip('ACK')
    expect((await bench.app.ask(`sip||${tokens[11]}`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')).tokens[3]).toBe('OK')
    expect((await bench.peer.next('BYE')).request.uri).toBe('tel:+4930123')
  })

  it('SUBSCRIBE makes a dialog, the last NOTIFY ends it', async () => {
    const subscribe = bench.peer.ask(bench.port, { method: 'SUBSCRIBE', headers: [['Event', 'presence']] })
    const { tokens } = await respond(await heard('SUBSCRIBE'), 'SIP/2.0 202 Accepted\r\nexpires: 60\r\n\r\n')
    await subscribe.response(202)
    const id = tokens[11]
    const lines = 'event: presence\r\nsubscription-state: terminated\r\n\r\n'
    expect((await bench.app.ask(`sip||${id}`, `NOTIFY sip:placeholder SIP/2.0\r\n${lines}`)).tokens[3]).toBe('OK')
    bench.peer.answer(await bench.peer.next('NOTIFY'), 200)
    await bench.app.sip('SIP/2.0 200')
    expect(bench.engine.counts.dialogs).toBe(0)
  })
})

describe('an application that dies', () => {
  it('leaves 503 to who waits and BYE to who talks', async () => {
    const { dialog } = await called()
    const ringing = invite()
    await respond(await heard('INVITE'), 'SIP/2.0 180 Ringing\r\n\r\n')
    await ringing.response(180)
    const unacknowledged = invite()
    await ok(await heard('INVITE'))
    const answered = await unacknowledged.response(200)
    bench.app.close()
    expect((await ringing.final()).status).toBe(503)
    const bye = await bench.peer.next('BYE')
    expect(bye.request.headers.get('Call-ID')).toBe(dialog.callId)
    expect(bye.request.headers.get('Reason')).toBe('SIP;cause=503;text="Application gone"')
    bench.peer.acknowledge(unacknowledged, answered)
    expect((await bench.peer.next('BYE')).request.headers.get('Call-ID')).toBe(answered.headers.get('Call-ID'))
    await until(() => bench.engine.counts.dialogs === 0 && bench.engine.counts.waiting === 0)
    expect((await bench.peer.ask(bench.port, { method: 'OPTIONS' }).final()).status).toBe(503)
  })

  it('many dialogs end in batches', async () => {
    await bench.again({ limits: { releasesMax: 2, releasePauseMs: 1 } })
    for (let index = 0; index < 5; index++) await called()
    bench.app.close()
    for (let index = 0; index < 5; index++) await bench.peer.next('BYE')
    expect(bench.engine.counts.dialogs).toBe(0)
  })
})
