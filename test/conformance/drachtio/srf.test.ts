// drachtio-srf itself drives the engine: its own parser sees every message, its own classes build every dialog.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import type { Engine } from '../../../src/sip/engine/engine.ts'
import { portOf, sdp, startEngine } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { Exchange, SipPeer } from '../../support/sip-peer.ts'
import { connectSrf } from '../../support/srf.ts'
import type { SrfApp, SrfDialog, SrfMessage, SrfRequest, SrfResponse } from '../../support/srf.ts'
import { until } from '../../support/until.ts'

let engine: Engine
let caller: SipPeer
let callee: SipPeer
let srf: SrfApp
/** What the handlers of one test do with a request. */
let handle: (req: SrfRequest, res: SrfResponse) => void

beforeEach(async () => {
  engine = await startEngine({ screen: () => ({ peerId: 'operator-1' }) })
  caller = await startPeer()
  callee = await startPeer()
  handle = (_, res) => res.send(404)
  srf = await connectSrf(engine, app => {
    for (const method of ['invite', 'register', 'options', 'message', 'subscribe'] as const) {
      app.use(method, (req, res) => handle(req, res))
    }
  })
})
afterEach(async () => {
  srf.disconnect()
  await Promise.all([caller.close(), callee.close()])
  await engine.close()
})

const invite = (headers: readonly (readonly [string, string])[] = []): Exchange =>
  caller.ask(portOf(engine), { method: 'INVITE', uri: 'sip:+4930123@hub.example', headers, body: sdp() })
/** What a handler makes of the next request. */
const handled = <T>(run: (req: SrfRequest, res: SrfResponse) => Promise<T>): Promise<T> =>
  new Promise(done => {
    handle = (req, res) => done(run(req, res))
  })
const destroyed = (dialog: SrfDialog): Promise<string> =>
  new Promise(done => dialog.on('destroy', (_, reason) => done(reason)))

/** A call answered by createUAS. */
async function answered(): Promise<{ dialog: SrfDialog; peer: Dialog; exchange: Exchange }> {
  const dialog = handled((req, res) => srf.createUAS(req, res, { localSdp: sdp(2) }))
  const exchange = invite()
  const peer = caller.acknowledge(exchange, await exchange.response(200))
  return { dialog: await dialog, peer, exchange }
}

/** A call placed by createUAC. */
async function placed(opts: Record<string, unknown> = {}): Promise<{ dialog: SrfDialog; peer: Dialog }> {
  const dialog = srf.createUAC(callee.uri, { localSdp: sdp(2), headers: {}, ...opts })
  const tx = await callee.next('INVITE')
  const peer = Dialog.uas(tx.request, callee.answer(tx, 200, [], sdp(3)))
  await callee.ack()
  return { dialog: await dialog, peer }
}

describe('createUAS', () => {
  it('answers; the request says who the peer is and where it came in', async () => {
    let seen: SrfRequest | null = null
    const dialog = handled((req, res) => {
      seen = req
      return srf.createUAS(req, res, { localSdp: sdp(2) })
    })
    const exchange = invite()
    const response = await exchange.response(200)
    expect(response.body.toString()).toBe(sdp(2))
    caller.acknowledge(exchange, response)
    const { sip, local, remote } = await dialog
    expect(sip.callId).toBe(response.headers.get('Call-ID'))
    expect(local.uri).toBe(`sip:127.0.0.1:${portOf(engine)}`)
    expect(remote.uri).toBe(caller.uri)
    expect(seen!).toMatchObject({
      sessionToken: 'operator-1',
      receivedOn: `127.0.0.1:${portOf(engine)}`,
      source_address: '127.0.0.1',
      source_port: caller.port,
      protocol: 'udp',
      source: 'network'
    })
  })

  it('the peer hangs up', async () => {
    const { dialog, peer } = await answered()
    const ended = destroyed(dialog)
    expect((await caller.inside(peer, 'BYE').final()).status).toBe(200)
    expect(await ended).toBe('normal release')
  })

  it('the application hangs up', async () => {
    const { dialog } = await answered()
    const ended = dialog.destroy()
    caller.answer(await caller.next('BYE'), 200)
    await ended
    await until(() => engine.counts.dialogs === 0)
  })

  it('an unsolicited BYE says why', async () => {
    const dialog = handled((req, res) => srf.createUAS(req, res, { localSdp: sdp(2) }))
    await invite().response(200)
    expect(await destroyed(await dialog)).toBe('ACK timeout')
    await caller.next('BYE')
  })

  it('re-INVITE, UPDATE and INFO of the peer arrive, hold and all', async () => {
    const { dialog, peer } = await answered()
    const seen: string[] = []
    dialog.on('modify', (_, res) => {
      seen.push('modify')
      res.send(200, { body: sdp(4) })
    })
    dialog.on('info', (req, res) => {
      seen.push(`info ${req.body}`)
      res.send(200)
    })
    dialog.on('update', (_, res) => {
      seen.push('update')
      res.send(200)
    })
    const again = caller.inside(peer, 'INVITE', [], sdp(3, 'sendonly'))
    expect((await again.response(200)).body.toString()).toBe(sdp(4))
    caller.stack.sendAck(peer.ack(peer.localCseq), peer.nextHop()!)
    await caller.inside(peer, 'INFO', [['Content-Type', 'text/plain']], 'tone').response(200)
    await caller.inside(peer, 'UPDATE').response(200)
    expect(seen).toEqual(['modify', 'info tone', 'update'])
  })

  it('the application modifies and asks inside the dialog', async () => {
    const { dialog } = await answered()
    const modified = dialog.modify(sdp(5))
    const again = await caller.next('INVITE')
    expect(again.request.body.toString()).toBe(sdp(5))
    caller.answer(again, 200, [], sdp(6))
    expect(await modified).toBe(sdp(6))
    await until(() => caller.acks.length > 0)
    const info = dialog.request({ method: 'INFO', headers: { 'Content-Type': 'text/plain' }, body: 'x' })
    caller.answer(await caller.next('INFO'), 200)
    expect((await info).status).toBe(200)
  })

  it('the caller gives up: the application hears it, the promise fails with 487', async () => {
    const failed = handled(async (req, res) => {
      res.send(180)
      await new Promise<void>(cancelled => req.on('cancel', () => cancelled()))
      return srf.createUAS(req, res, { localSdp: sdp() }).catch((error: unknown) => error)
    })
    const exchange = invite()
    await exchange.response(180)
    exchange.tx!.cancel()
    expect((await exchange.final()).status).toBe(487)
    expect(String(await failed)).toContain('unknown transaction')
  })
})

describe('createUAC', () => {
  it('places a call, localhost filled in', async () => {
    const { dialog, peer } = await placed({ callingNumber: '+4915', callingName: 'Ann' })
    expect(peer.remote).toMatch(`"Ann" <sip:+4915@127.0.0.1:${portOf(engine)}>;tag=`)
    expect(dialog.remote.sdp).toBe(sdp(3))
    const ended = destroyed(dialog)
    expect((await callee.inside(peer, 'BYE').final()).status).toBe(200)
    await ended
  })

  it('takes a next hop with its transport', async () => {
    const tcp = await startPeer('tcp')
    const proxy = `sip:127.0.0.1:${tcp.port};transport=tcp`
    const dialog = srf.createUAC('sip:+49@ims.example', { localSdp: sdp(), proxy, headers: {} })
    const tx = await tcp.next('INVITE')
    expect(tx.request.uri).toBe('sip:+49@ims.example')
    tcp.answer(tx, 200, [], sdp())
    await tcp.ack()
    const bye = (await dialog).destroy()
    tcp.answer(await tcp.next('BYE'), 200)
    await bye
    await tcp.close()
  })

  it('a refusal, no answer and a wrong way are errors', async () => {
    const refused = srf.createUAC(callee.uri, { localSdp: sdp(), headers: {} })
    callee.answer(await callee.next('INVITE'), 486)
    await expect(refused).rejects.toMatchObject({ status: 486 })
    await expect(srf.createUAC(`sip:x@127.0.0.1:${portOf(engine)}`, { localSdp: sdp(), headers: {} })).rejects.toThrow(
      'can not send request to myself'
    )
  })

  it('is cancelled', async () => {
    let sent: SrfRequest | null = null
    const failed = srf.createUAC(
      callee.uri,
      { localSdp: sdp(), headers: {} },
      {
        cbRequest: (_, req) => {
          sent = req
        }
      }
    )
    const outcome = expect(failed).rejects.toMatchObject({ status: 487 })
    callee.answer(await callee.next('INVITE'), 180)
    await until(() => sent !== null)
    sent!.cancel(() => undefined)
    await outcome
    expect(callee.cancels).toHaveLength(1)
  })

  it('acknowledges reliable provisional answers by itself', async () => {
    const provisional: number[] = []
    const dialog = srf.createUAC(
      callee.uri,
      { localSdp: sdp(), headers: { Supported: '100rel' } },
      { cbProvisional: res => provisional.push(res.status) }
    )
    const tx = await callee.next('INVITE')
    const reliable = [
      ['Require', '100rel'],
      ['RSeq', '17']
    ] as const
    callee.answer(tx, 183, reliable, sdp(3))
    const prack = await callee.next('PRACK')
    expect(prack.request.headers.get('RAck')).toBe(`17 ${tx.request.headers.get('CSeq')}`)
    callee.answer(prack, 200)
    callee.answer(tx, 200, [], '')
    await callee.ack()
    await dialog
    expect(provisional).toEqual([183])
  })

  it('an offer in the 200 is answered in the ACK', async () => {
    const promise = srf.createUAC(callee.uri, { noAck: true, headers: {} }) as unknown as Promise<{
      sdp: string
      ack(sdp: string): Promise<SrfDialog>
    }>
    const tx = await callee.next('INVITE')
    expect(tx.request.body).toHaveLength(0)
    callee.answer(tx, 200, [], sdp(3))
    const offer = await promise
    expect(offer.sdp).toBe(sdp(3))
    await offer.ack(sdp(4))
    expect((await callee.ack()).body.toString()).toBe(sdp(4))
  })

  it('a dialog that is gone is ENODIALOG', async () => {
    const { dialog, peer } = await placed()
    await callee.inside(peer, 'BYE').final()
    await expect(dialog.request({ method: 'INFO' })).rejects.toMatchObject({ code: 'ENODIALOG' })
  })

  it('authenticates with digest: same Call-ID and tag, CSeq one more', async () => {
    const dialog = srf.createUAC(callee.uri, {
      localSdp: sdp(),
      headers: {},
      auth: { username: 'u', password: 'p' }
    })
    const first = await callee.next('INVITE')
    const challenge = 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'
    callee.answer(first, 401, [['WWW-Authenticate', challenge]])
    const second = await callee.next('INVITE')
    const [one, two] = [first.request.headers, second.request.headers]
    expect(two.get('Call-ID')).toBe(one.get('Call-ID'))
    expect(two.get('From')).toBe(one.get('From'))
    expect(Number.parseInt(two.get('CSeq')!, 10)).toBe(Number.parseInt(one.get('CSeq')!, 10) + 1)
    expect(two.get('Authorization')).toContain('username="u"')
    callee.answer(second, 200, [], sdp())
    await callee.ack()
    await dialog
    expect(engine.counts.dialogs).toBe(1)
  })
})

describe('createB2BUA', () => {
  const bridge = (opts: Record<string, unknown> = {}): Promise<{ uas: SrfDialog; uac: SrfDialog }> =>
    handled((req, res) => srf.createB2BUA(req, res, callee.uri, { headers: {}, ...opts }))

  it('joins two legs and ends them', async () => {
    const bridged = bridge()
    const exchange = invite()
    const tx = await callee.next('INVITE')
    callee.answer(tx, 180)
    await exchange.response(180)
    const far = Dialog.uas(tx.request, callee.answer(tx, 200, [], sdp(3)))
    const near = caller.acknowledge(exchange, await exchange.response(200))
    await callee.ack()
    const { uas, uac } = await bridged
    uac.on('destroy', () => void uas.destroy())
    await callee.inside(far, 'BYE').response(200)
    const bye = await caller.next('BYE')
    expect(bye.request.headers.get('Call-ID')).toBe(near.callId)
    caller.answer(bye, 200)
    await until(() => engine.counts.dialogs === 0)
  })

  it('passes on CANCEL with its reason', async () => {
    const failed = bridge().catch((error: unknown) => error)
    const exchange = invite()
    callee.answer(await callee.next('INVITE'), 180)
    await exchange.response(180)
    exchange.tx!.cancel([{ name: 'Reason', value: 'SIP;cause=200;text="elsewhere"' }])
    expect((await exchange.final()).status).toBe(487)
    expect(await failed).toMatchObject({ status: 487 })
    expect(callee.cancels[0]?.headers.get('Reason')).toContain('elsewhere')
    await until(() => engine.counts.dialogs === 0 && engine.counts.sent === 0)
  })

  it('carries reliable provisional answers through, PRACK on both legs', async () => {
    const bridged = bridge({ proxyRequestHeaders: ['supported'], proxyResponseHeaders: ['require'] })
    const exchange = invite([['Supported', '100rel']])
    const tx = await callee.next('INVITE')
    const reliable = [
      ['Require', '100rel'],
      ['RSeq', '5']
    ] as const
    callee.answer(tx, 183, reliable, sdp(3))
    callee.answer(await callee.next('PRACK'), 200)
    const progress = await exchange.response(183)
    const early = Dialog.uac(exchange.tx!.request, progress)
    const rack = ['RAck', `${progress.headers.get('RSeq')} 1 INVITE`] as const
    await caller.inside(early, 'PRACK', [rack]).response(200)
    callee.answer(tx, 200, [], '')
    await exchange.response(200)
    caller.stack.sendAck(early.ack(1), early.nextHop()!)
    await bridged
  })

  it('passes on a refusal', async () => {
    const failed = bridge().catch((error: unknown) => error)
    const exchange = invite()
    callee.answer(await callee.next('INVITE'), 603)
    expect((await exchange.final()).status).toBe(603)
    expect(await failed).toMatchObject({ status: 603 })
  })
})

describe('requests without a dialog', () => {
  it('REGISTER, OPTIONS and MESSAGE are answered', async () => {
    handle = (req, res) => res.send(req.method === 'MESSAGE' ? 202 : 200, { headers: { 'X-Method': req.method } })
    for (const method of ['REGISTER', 'OPTIONS', 'MESSAGE']) {
      const response = await caller.ask(portOf(engine), { method }).final()
      expect([response.status, response.headers.get('X-Method')]).toEqual([method === 'MESSAGE' ? 202 : 200, method])
    }
  })

  it('MESSAGE and OPTIONS are sent, urn: and tel: to a next hop', async () => {
    const proxy = callee.uri
    for (const [uri, method] of [
      [callee.uri, 'MESSAGE'],
      ['urn:service:sos', 'OPTIONS'],
      ['tel:+4930', 'OPTIONS']
    ] as const) {
      const req = await srf.request(uri, { method, proxy, headers: { 'Content-Type': 'text/plain' }, body: 'grüße' })
      const status = new Promise<number>(done => req.on('response', (res: SrfMessage) => done(res.status)))
      const tx = await callee.next(method)
      expect([tx.request.uri, tx.request.body.toString()]).toEqual([uri, 'grüße'])
      callee.answer(tx, 200)
      expect(await status).toBe(200)
    }
  })

  it('what nobody handles is 404', async () => {
    expect((await caller.ask(portOf(engine), { method: 'SUBSCRIBE' }).final()).status).toBe(404)
  })
})
