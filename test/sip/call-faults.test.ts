import { afterEach, describe, expect, it } from '@jest/globals'
import { glareMs } from '../../src/sip/call.ts'
import { Dialog } from '../../src/sip/dialog.ts'
import { makeResponse, newBranch } from '../../src/sip/message.ts'
import type { SipRequest, SipResponse } from '../../src/sip/message.ts'
import type { ServerTransaction } from '../../src/sip/stack.ts'
import { answer, Heard, ladder, offer, Outcome, startSide } from '../support/calls.ts'
import type { Side } from '../support/calls.ts'
import { startPeer } from '../support/sip-peer.ts'
import type { Exchange, SipPeer } from '../support/sip-peer.ts'
import { until } from '../support/until.ts'

const open: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

/** A user agent and a peer whose every message the test writes. */
async function versus(transport: 'udp' | 'tcp' = 'udp'): Promise<{ side: Side; peer: SipPeer; port: number }> {
  const side = startSide(transport)
  const peer = await startPeer(transport)
  await side.agent.start()
  open.push(
    () => side.agent.close(),
    () => peer.close()
  )
  return { side, peer, port: side.agent.stack.listening[0]!.port }
}

function place(side: Side, peer: SipPeer): Heard {
  const heard = new Heard()
  heard.call = side.agent.place({
    uri: peer.uri,
    from: '<sip:alice@example.org>',
    to: { transport: peer.transport, host: '127.0.0.1', port: peer.port },
    body: offer,
    on: heard.handler()
  })
  return heard
}

/** Answers again under another To tag, as a proxy does that forked. */
function fork(peer: SipPeer, tx: ServerTransaction, status: number, toTag: string): SipResponse {
  const headers = [
    ['Contact', peer.contact],
    ['Content-Type', 'application/sdp']
  ] as const
  const response = makeResponse(tx.request, status, { toTag, headers, body: answer })
  tx.respond(response)
  return response
}

/** A call of the user agent, answered by the peer. */
async function called(transport: 'udp' | 'tcp' = 'udp') {
  const { side, peer, port } = await versus(transport)
  const caller = place(side, peer)
  const tx = await peer.next('INVITE')
  const response = peer.answer(tx, 200, [], answer)
  await peer.ack()
  return { side, peer, port, caller, tx, response, dialog: Dialog.uas(tx.request, response) }
}

/** A call of the peer, answered by the user agent and acknowledged. */
async function calling(transport: 'udp' | 'tcp' = 'udp') {
  const { side, peer, port } = await versus(transport)
  const exchange = peer.ask(port, { method: 'INVITE', body: offer })
  await until(() => side.incoming.length === 1)
  const callee = side.incoming[0]!
  callee.call.answer({ body: answer })
  const dialog = peer.acknowledge(exchange, await exchange.final())
  await until(() => callee.acks.length === 1)
  return { side, peer, port, callee, exchange, dialog }
}

const finalStatus = async (exchange: Exchange): Promise<number> => (await exchange.final()).status

describe('forks', () => {
  it('the first 2xx makes the call; every further one is acknowledged and ended, however often it comes', async () => {
    const { side, peer } = await versus()
    const caller = place(side, peer)
    const tx = await peer.next('INVITE')
    fork(peer, tx, 180, 'one')
    fork(peer, tx, 183, 'two')
    await until(() => caller.provisionals.length === 2)
    expect(caller.provisionals.map(({ tag }) => tag)).toEqual(['one', 'two'])
    fork(peer, tx, 200, 'two')
    fork(peer, tx, 200, 'three')
    const bye = await peer.next('BYE')
    expect(bye.request.headers.get('To')).toContain(';tag=three')
    peer.answer(bye, 200)
    fork(peer, tx, 200, 'three')
    fork(peer, tx, 200, 'two')
    const ackTags = (): readonly string[] => peer.acks.map(({ headers }) => headers.get('To')!.split('tag=')[1]!)
    await until(
      () => ackTags().filter(tag => tag === 'three').length === 2 && ackTags().filter(tag => tag === 'two').length === 2
    )
    expect([caller.answers.length, caller.call.dialog?.remoteTag, caller.call.state]).toEqual([1, 'two', 'confirmed'])
    expect(peer.waiting.map(({ request }) => request.method)).toEqual([])
  })

  it('more early dialogs than the bound are not followed', async () => {
    const { side, peer } = await versus()
    const caller = place(side, peer)
    const tx = await peer.next('INVITE')
    for (let n = 0; n < 20; n++) fork(peer, tx, 180, `t${n}`)
    fork(peer, tx, 486, 'busy')
    await caller.ended()
    expect(caller.provisionals.length).toBe(16)
  })

  it('a 2xx that comes again is acknowledged again, also after the call has ended', async () => {
    const { peer, caller, tx, response } = await called()
    tx.respond(response)
    await peer.ack()
    caller.call.bye()
    peer.answer(await peer.next('BYE'), 200)
    tx.respond(response)
    await peer.ack()
    expect(caller.answers.length).toBe(1)
  })
})

describe('the answer and its ACK', () => {
  it('on UDP is sent again until the ACK; without one the call ends by BYE after 64*T1', async () => {
    const { side, peer, port } = await versus()
    const exchange = peer.ask(port, { method: 'INVITE', body: offer })
    await until(() => side.incoming.length === 1)
    side.incoming[0]!.call.answer({ body: answer })
    await exchange.final()
    await until(() => peer.strays.length >= 3)
    const bye = await peer.next('BYE')
    peer.answer(bye, 200)
    expect(await side.incoming[0]!.ended()).toBe('timeout by remote')
    const sent = side.log.filter(({ direction, message }) => direction === 'out' && message.kind === 'response')
    expect(sent.length).toBeGreaterThanOrEqual(4)
  })

  it('on TCP is sent once; without an ACK the call ends all the same', async () => {
    const { side, peer, port } = await versus('tcp')
    const exchange = peer.ask(port, { method: 'INVITE', body: offer })
    await until(() => side.incoming.length === 1)
    side.incoming[0]!.call.answer({ body: answer })
    await exchange.final()
    await peer.next('BYE')
    expect([await side.incoming[0]!.ended(), peer.strays.length]).toEqual(['timeout by remote', 0])
  })

  it('a hang-up before the ACK is told at once and sent after it (RFC 3261, 15)', async () => {
    const { side, peer, port } = await versus()
    const exchange = peer.ask(port, { method: 'INVITE', body: offer })
    await until(() => side.incoming.length === 1)
    const callee = side.incoming[0]!
    callee.call.answer({ body: answer })
    callee.call.bye()
    expect(await callee.ended()).toBe('bye by local')
    const response = await exchange.final()
    expect(ladder(side)).not.toContain('out BYE')
    peer.acknowledge(exchange, response)
    peer.answer(await peer.next('BYE'), 200)
    expect(callee.acks.length).toBe(0)
  })

  it('a hang-up before an ACK that never comes is sent after 64*T1', async () => {
    const { side, peer, port } = await versus()
    const exchange = peer.ask(port, { method: 'INVITE', body: offer })
    await until(() => side.incoming.length === 1)
    side.incoming[0]!.call.answer({ body: answer })
    side.incoming[0]!.call.bye()
    await exchange.final()
    await peer.next('BYE')
    expect(side.incoming[0]!.ends.length).toBe(1)
  })

  it('the hang-up of a caller whose answer is still owed acknowledges first', async () => {
    const { side, peer } = await versus()
    const heard = new Heard()
    heard.call = side.agent.place({
      uri: peer.uri,
      from: '<sip:alice@example.org>',
      to: { transport: 'udp', host: '127.0.0.1', port: peer.port },
      on: heard.handler()
    })
    peer.answer(await peer.next('INVITE'), 200, [], offer)
    await until(() => heard.answers.length === 1)
    expect(heard.answers[0]?.needsAnswer).toBe(true)
    heard.call.bye()
    await peer.ack()
    await peer.next('BYE')
    expect(await heard.ended()).toBe('bye by local')
  })
})

describe('requests inside a call', () => {
  it('481 to one ends the call; other refusals do not', async () => {
    const { peer, caller } = await called()
    caller.call.request('INFO', {})
    peer.answer(await peer.next('INFO'), 500)
    caller.call.request('INFO', {})
    peer.answer(await peer.next('INFO'), 481)
    expect(await caller.ended()).toBe('gone by remote: 481 INFO')
  })

  it('481 to a re-INVITE refuses it and ends the call', async () => {
    const { peer, caller } = await called()
    const outcome = new Outcome()
    caller.call.reinvite({ body: offer }, outcome)
    peer.answer(await peer.next('INVITE'), 481)
    expect([await outcome.settled(), await caller.ended()]).toEqual(['refused 481', 'gone by remote: 481 INVITE'])
  })

  it('no answer to one ends the call by BYE', async () => {
    const { peer, caller } = await called()
    const failures: string[] = []
    caller.call.request('INFO', {}, { final: () => undefined, failed: why => void failures.push(why) })
    await peer.next('INFO')
    expect(await caller.ended()).toBe('timeout by remote')
    expect(failures).toEqual(['timeout'])
    await peer.next('BYE')
  })

  it('a change that is never answered ends when the call does', async () => {
    const { peer, caller, dialog } = await called()
    const outcome = new Outcome()
    caller.call.update({ body: offer }, outcome)
    await peer.next('UPDATE')
    const bye = peer.inside(dialog, 'BYE')
    expect(await outcome.settled()).toBe('refused here')
    expect([await caller.ended(), await finalStatus(bye)]).toEqual(['bye by remote: BYE', 200])
  })

  it('out of order are answered 500, of no known dialog 481', async () => {
    const { peer, port, callee, dialog } = await calling()
    expect(await finalStatus(peer.inside(dialog, 'INFO'))).toBe(200)
    const stale = dialog.request('INFO')
    stale.headers.set('CSeq', '1 INFO')
    expect(await finalStatus(peer.send(stale, { transport: 'udp', host: '127.0.0.1', port }))).toBe(500)
    for (const method of ['INFO', 'BYE', 'INVITE', 'UPDATE']) {
      const lost = dialog.request(method, { headers: [{ name: 'Contact', value: peer.contact }] })
      lost.headers.set('To', '<sip:x@example.org>;tag=nobody')
      expect(await finalStatus(peer.send(lost, { transport: 'udp', host: '127.0.0.1', port }))).toBe(481)
    }
    const alien = dialog.request('INFO')
    alien.headers.set('From', '<sip:x@example.org>;tag=somebody-else')
    expect(await finalStatus(peer.send(alien, { transport: 'udp', host: '127.0.0.1', port }))).toBe(481)
    expect(callee.call.state).toBe('confirmed')
  })

  it('a second change before the first is answered is told to try later', async () => {
    const { peer, callee, dialog } = await calling()
    const first = peer.inside(dialog, 'INVITE', [], offer)
    await until(() => callee.reoffers.length === 1)
    for (const method of ['INVITE', 'UPDATE']) {
      const response = await peer.inside(dialog, method, [], offer).final()
      expect([response.status, response.headers.has('Retry-After')]).toEqual([500, true])
    }
    callee.reoffers[0]!.answer({ body: answer })
    const response = await first.final()
    peer.stack.sendAck(dialog.ack(2), dialog.nextHop()!)
    expect(response.status).toBe(200)
    await until(() => callee.acks.length === 2)
  })

  it('a withdrawn change is told, and no longer answerable', async () => {
    const { peer, callee, dialog } = await calling()
    const exchange = peer.inside(dialog, 'INVITE', [], offer)
    await until(() => callee.reoffers.length === 1)
    exchange.tx!.cancel()
    expect(await finalStatus(exchange)).toBe(487)
    callee.reoffers[0]!.answer({ body: answer })
    expect([callee.withdrawn.length, callee.reoffers[0]!.open, callee.call.state]).toEqual([1, false, 'confirmed'])
  })

  it('a change that is open when the call ends is answered 487', async () => {
    const { peer, callee, dialog } = await calling()
    const exchange = peer.inside(dialog, 'INVITE', [], offer)
    await until(() => callee.reoffers.length === 1)
    callee.call.bye()
    expect([await finalStatus(exchange), callee.reoffers[0]!.open]).toEqual([487, false])
  })

  it('the answer to a change is sent again until its ACK, and its absence ends the call', async () => {
    const { peer, callee, dialog } = await calling()
    const exchange = peer.inside(dialog, 'INVITE', [], offer)
    await until(() => callee.reoffers.length === 1)
    callee.reoffers[0]!.answer({ body: answer })
    await exchange.final()
    await until(() => peer.strays.length >= 2)
    await peer.next('BYE')
    expect(await callee.ended()).toBe('timeout by remote')
  })

  it('follow the peer to where its Contact moves', async () => {
    const { side, callee, dialog, peer } = await calling()
    const moved = await startPeer('udp')
    open.push(() => moved.close())
    const exchange = peer.inside(dialog, 'UPDATE', [['Contact', moved.contact]], offer)
    await until(() => callee.reoffers.length === 1)
    callee.reoffers[0]!.answer({ body: answer })
    await exchange.final()
    callee.call.request('INFO', {})
    moved.answer(await moved.next('INFO'), 200)
    expect(side.incoming.length).toBe(1)
  })
})

describe('before the answer', () => {
  it('a BYE of the caller ends the early dialog, and its INVITE is answered 487', async () => {
    const { side, peer, port } = await versus()
    const exchange = peer.ask(port, { method: 'INVITE', body: offer })
    await until(() => side.incoming.length === 1)
    side.incoming[0]!.call.ring()
    const early = Dialog.uac(exchange.tx!.request, await exchange.response(180))
    expect(await finalStatus(peer.inside(early, 'BYE'))).toBe(200)
    expect([await side.incoming[0]!.ended(), await finalStatus(exchange)]).toEqual(['bye by remote: BYE', 487])
  })

  it('a PRACK for nothing is answered 481, and one with an offer is answered by the user', async () => {
    const { side, peer, port } = await versus()
    const exchange = peer.ask(port, { method: 'INVITE', body: offer, headers: [['Supported', '100rel']] })
    await until(() => side.incoming.length === 1)
    const { call } = side.incoming[0]!
    const pracks: SipRequest[] = []
    call.on = {
      ...call.on,
      pracked: (prack, reply) => {
        pracks.push(prack)
        reply?.({ body: answer })
      }
    }
    call.ring({ status: 183, reliable: true, body: answer })
    const response = await exchange.response(183)
    expect([response.headers.get('Require'), response.headers.get('RSeq')]).toEqual(['100rel', '1'])
    const early = Dialog.uac(exchange.tx!.request, response)
    expect(await finalStatus(peer.inside(early, 'PRACK', [['RAck', '7 1 INVITE']]))).toBe(481)
    const prack = await peer.inside(early, 'PRACK', [['RAck', '1 1 INVITE']], offer).final()
    expect([prack.status, prack.body.toString(), pracks.length]).toEqual([200, answer, 1])
  })

  it('reliable answers that skip one, or come twice, are not told', async () => {
    const { side, peer } = await versus()
    const caller = place(side, peer)
    const tx = await peer.next('INVITE')
    const reliably = (rseq: number): void => {
      peer.answer(tx, 183, [
        ['Require', '100rel'],
        ['RSeq', String(rseq)]
      ])
    }
    for (const rseq of [5, 5, 7, 6, 6]) reliably(rseq)
    for (const rack of ['5 1 INVITE', '6 1 INVITE']) {
      const prack = await peer.next('PRACK')
      expect(prack.request.headers.get('RAck')).toBe(rack)
      peer.answer(prack, 200)
    }
    expect(caller.provisionals.map(({ response }) => response.headers.get('RSeq'))).toEqual(['5', '6'])
    expect(peer.waiting.length).toBe(0)
  })

  it('a redirection or a challenge ends the call, and says so', async () => {
    for (const status of [302, 401, 407, 503, 603]) {
      const { side, peer } = await versus()
      const caller = place(side, peer)
      peer.answer(await peer.next('INVITE'), status, [['Contact', '<sip:elsewhere@example.org>']])
      expect(await caller.ended()).toBe(`refused by remote: ${status} INVITE`)
    }
  })
})

describe('a broken connection', () => {
  it('ends a call that has no answer yet', async () => {
    const { side, peer } = await versus('tcp')
    const caller = place(side, peer)
    await peer.next('INVITE')
    await peer.close()
    expect(await caller.ended()).toBe('transport by remote')
  })

  it('ends a live call with the first request that cannot be sent', async () => {
    const { peer, caller } = await called('tcp')
    await peer.close()
    const outcome = new Outcome()
    caller.call.reinvite({ body: offer }, outcome)
    expect([await outcome.settled(), await caller.ended()]).toEqual(['refused here', 'transport by remote'])
  })
})

describe('a user that throws', () => {
  it('does not take the stack down', async () => {
    const { side, peer, port } = await versus()
    const fault = (): never => {
      throw new Error('a fault of the user')
    }
    const heard = new Heard()
    heard.call = side.agent.place({
      uri: peer.uri,
      from: '<sip:alice@example.org>',
      to: { transport: 'udp', host: '127.0.0.1', port: peer.port },
      body: offer,
      on: { provisional: fault, answered: fault, ended: fault }
    })
    const tx = await peer.next('INVITE')
    peer.answer(tx, 180)
    const response = peer.answer(tx, 200, [], answer)
    await peer.ack()
    const bye = peer.inside(Dialog.uas(tx.request, response), 'BYE')
    expect(await finalStatus(bye)).toBe(200)
    const exchange = peer.ask(port, { method: 'OPTIONS', headers: [['X-Branch', newBranch()]] })
    expect(await finalStatus(exchange)).toBe(405)
  })
})

describe('waiting after a crossing (RFC 3261, 14.1)', () => {
  it('is 2.1 to 4 s for the owner of the Call-ID, up to 2 s for the other, in steps of 10 ms', () => {
    const calls: readonly (readonly [boolean, number])[] = [
      [true, 0],
      [true, 0.999],
      [false, 0],
      [false, 0.999]
    ]
    expect(calls.map(([owns, chance]) => glareMs(owns, chance))).toEqual([2_100, 3_990, 0, 1_990])
  })
})
