import { afterEach, describe, expect, it } from '@jest/globals'
import type { LegRef } from '../../../src/session/model.ts'
import { invitation, number, startBorder, targetAlpha } from '../../support/nni-border.ts'
import type { Border, BorderOptions } from '../../support/nni-border.ts'
import { sdpWith } from '../../support/nni.ts'

// What is agreed with a peer (TS 29.165, annex C) is what happens: what it sends beyond that is refused, what it has
// not agreed to is not sent.

const borders: Border[] = []
afterEach(async () => {
  await Promise.all(borders.splice(0).map(border => border.close()))
})
const open = async (peer: Record<string, unknown> = {}, more: BorderOptions = {}): Promise<Border> => {
  const border = await startBorder({ peer, ...more })
  borders.push(border)
  return border
}
const offered = async (
  { alpha, inbox, nni }: Border,
  headers: readonly (readonly [string, string])[],
  uri = number
) => {
  const call = alpha.request('INVITE', uri, { headers, body: sdpWith(4_000) })
  const { leg } = await inbox.wait('offered')
  await nni.end(leg, { cause: 'busy', from: 'callee' })
  return call.final()
}

describe('methods', () => {
  it('NNI-05 a method that was not agreed on is 405 with Allow, one that nobody knows 501', async () => {
    const { alpha } = await open({ methods: [] })
    const message = await alpha
      .request('MESSAGE', number, { headers: [['Content-Type', 'text/plain']], body: 'x' })
      .final()
    expect([message.status, message.headers.get('Allow') !== undefined]).toEqual([405, true])
    expect(message.headers.all('Allow')).not.toContain('INFO')
    for (const method of ['SUBSCRIBE', 'PUBLISH', 'REFER', 'REGISTER']) {
      const refused = await alpha.request(method, 'sip:hub.example').final()
      expect([method, refused.status, refused.headers.has('Allow')]).toEqual([method, 405, true])
    }
    expect((await alpha.request('NONSENSE', number).final()).status).toBe(501)
  })

  it('NNI-05 INFO that was not agreed on is 405 inside a call, and none is sent', async () => {
    const border = await open({ methods: ['MESSAGE'] })
    const { alpha, inbox, nni } = border
    const call = alpha.request('INVITE', number, { headers: [['Allow', 'INVITE, INFO']], body: sdpWith(4_000) })
    const { leg } = await inbox.wait('offered')
    await nni.answer(leg, { sdp: sdpWith(5_000), connected: null })
    const dialog = alpha.callerDialog(call, await call.response(200))
    alpha.ack(dialog, 1)
    const info = alpha.inside(dialog, 'INFO', {
      headers: [['Content-Type', 'application/dtmf-relay']],
      body: 'Signal=1'
    })
    const refused = await info.final()
    expect([refused.status, refused.headers.all('Allow').includes('INFO')]).toEqual([405, false])
    await nni.sendTone(leg, { digit: '5', durationMs: 100 })
    await nni.end(leg, { cause: 'normal', from: 'callee' })
    const bye = await alpha.take('BYE')
    alpha.answer(bye, 200)
    expect(alpha.requests.map(({ request }) => request.method)).toEqual([])
  })

  it('NNI-05 MESSAGE goes to no peer that has not agreed on it', async () => {
    const { nni } = await open({ methods: ['INFO'] })
    const outcome = await nni.sendText({
      ...invitation(),
      body: { type: 'text/plain', text: 'x' }
    })
    expect(outcome).toMatchObject({ taken: false, reason: { cause: 'forbidden' } })
  })
})

describe('extensions', () => {
  it('NNI-04 an option tag that was not agreed on is 420 with Unsupported, one that was is not', async () => {
    const border = await open({ options: ['timer', 'resource-priority'], resourcePriorities: ['ets.0'] })
    const refused = await border.alpha
      .request('INVITE', number, { headers: [['Require', '100rel, timer, histinfo']], body: sdpWith(1) })
      .final()
    expect([refused.status, refused.headers.all('Unsupported')]).toEqual([420, ['100rel', 'histinfo']])
    const priority = [
      ['Require', 'resource-priority'],
      ['Resource-Priority', 'dsn.flash, ETS.0']
    ] as const
    expect((await offered(border, priority)).status).toBe(486)
  })

  it('MISC-07 a required priority of a namespace that was not agreed on is 417 with those that were', async () => {
    const { alpha, inbox } = await open({ options: ['resource-priority'], resourcePriorities: ['ets.0', 'wps.1'] })
    const headers = [
      ['Require', 'resource-priority'],
      ['Resource-Priority', 'dsn.flash']
    ] as const
    const refused = await alpha.request('INVITE', number, { headers, body: sdpWith(1) }).final()
    expect([refused.status, refused.headers.all('Accept-Resource-Priority')]).toEqual([417, ['ets.0', 'wps.1']])
    expect(inbox.heard).toEqual([])
  })

  it('what the peer is told that the hub supports is what was agreed on', async () => {
    const border = await open({ options: ['timer', 'uui'] })
    border.nni.invite(invitation())
    const invite = await border.alpha.take('INVITE')
    expect(invite.request.headers.all('Supported')).toEqual(['timer', 'uui'])
    border.alpha.answer(invite, 486)
    const options = await border.alpha.request('OPTIONS', 'sip:hub.example').final()
    expect(options.headers.all('Supported')).toEqual(['timer', 'uui'])
  })
})

describe('addresses', () => {
  it('NNI-03 a traversal indication of the peer does not go on', async () => {
    const border = await open()
    const call = border.alpha.request('INVITE', 'sip:+4930901820@hub.example;user=phone;iotl=homeA-visitedB', {
      body: sdpWith(4_000)
    })
    const { call: understood, leg } = await border.inbox.wait('offered')
    expect(understood.called).toBe('tel:+4930901820')
    border.nni.invite(invitation({ origin: understood.facts, callerLeg: leg }))
    const invite = await border.alpha.take('INVITE')
    expect(border.alpha.bytes.join('')).not.toContain('iotl=homeA-visitedB@')
    expect(invite.request.uri).toBe('sip:+4930901820@alpha.example;user=phone')
    border.alpha.answer(invite, 486)
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })

  it.each([
    [['sip'], 'tel:+4930901820', 416],
    [['sip'], 'sips:+4930901820@hub.example;user=phone', 416],
    [['tel'], number, 416],
    [['sip', 'tel'], 'tel:+4930901820', 486]
  ])('NUM-01 with %j agreed on, %s is %i', async (uris, uri, status) => {
    const border = await open({ uris })
    if (status === 416) {
      const refused = await border.alpha.request('INVITE', uri, { body: sdpWith(1) }).final()
      expect([refused.status, border.inbox.heard]).toEqual([416, []])
    } else expect((await offered(border, [], uri)).status).toBe(status)
  })

  it('NNI-06 a number that is not complete is 484: signalling is en bloc', async () => {
    const { alpha, inbox } = await open()
    expect(
      (await alpha.request('INVITE', 'sip:+4930@hub.example;user=phone', { body: sdpWith(1) }).final()).status
    ).toBe(484)
    expect(inbox.heard).toEqual([])
  })
})

describe('bodies', () => {
  it('NNI-07 SDP comes alone or in a multipart; one that is longer than agreed is 413', async () => {
    const border = await open({ bodyBytesMax: 1_024 })
    const multipart = ['--b', 'Content-Type: application/sdp', '', sdpWith(4_000), '--b--', ''].join('\r\n')
    const call = border.alpha.request('INVITE', number, {
      headers: [['Content-Type', 'multipart/mixed;boundary=b']],
      body: multipart
    })
    const { call: understood, leg } = await border.inbox.wait('offered')
    expect(understood.sdp).toContain('m=audio 4000')
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
    const long = `${sdpWith(4_000)}${'a=x:y\r\n'.repeat(150)}`
    expect((await border.alpha.request('INVITE', number, { body: long }).final()).status).toBe(413)
    const text = { headers: [['Content-Type', 'text/plain'] as const], body: 'x'.repeat(1_025) }
    border.overTcp()
    expect((await border.alpha.request('MESSAGE', number, text).final()).status).toBe(413)
  })

  it('NNI-08 a body that must be understood and is not is 415 with Accept; an optional one is passed over', async () => {
    const border = await open({ mimeTypes: ['text/plain'] })
    const body = { headers: [['Content-Type', 'application/isup'] as const], body: 'x' }
    const refused = await border.alpha.request('INVITE', number, body).final()
    expect([refused.status, refused.headers.all('Accept')]).toEqual([
      415,
      ['application/sdp', 'multipart/mixed', 'multipart/related', 'multipart/alternative']
    ])
    const cpim = { headers: [['Content-Type', 'message/cpim'] as const], body: 'x' }
    const text = await border.alpha.request('MESSAGE', number, cpim).final()
    expect([text.status, text.headers.all('Accept')]).toEqual([415, ['text/plain']])
    const parts = ['--b', 'Content-Type: application/sdp', '', sdpWith(4_000), '--b', 'Content-Type: application/isup']
    const optional = [...parts, 'Content-Disposition: signal;handling=optional', '', 'x', '--b--', ''].join('\r\n')
    const call = border.alpha.request('INVITE', number, {
      headers: [['Content-Type', 'multipart/mixed;boundary=b']],
      body: optional
    })
    const { leg } = await border.inbox.wait('offered')
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })

  it('an INVITE without SDP is 488 where the peer has not agreed to offers of the hub', async () => {
    const { alpha } = await open({ allowOfferless: false })
    expect((await alpha.request('INVITE', number).final()).status).toBe(488)
  })
})

describe('transports and timers', () => {
  it('NNI-04 a request by a transport that was not agreed on is refused', async () => {
    const { alpha, overTcp } = await open({ transports: ['udp'] })
    expect((await alpha.request('OPTIONS', 'sip:hub.example').final()).status).toBe(200)
    overTcp()
    const refused = await alpha.request('OPTIONS', 'sip:hub.example').final()
    expect([refused.status, refused.reason]).toEqual([403, 'Transport Not Agreed'])
  })

  it('RTE-10 a session shorter than agreed is 422 with Min-SE; what the hub offers is what was agreed on', async () => {
    const border = await open({ timers: { minSeSeconds: 600, sessionExpiresSeconds: 900 } })
    const headers = [['Session-Expires', '599'] as const, ['Supported', 'timer'] as const]
    const refused = await border.alpha.request('INVITE', number, { headers, body: sdpWith(1) }).final()
    expect([refused.status, refused.headers.get('Min-SE')]).toEqual([422, '600'])
    border.nni.invite(invitation())
    const invite = await border.alpha.take('INVITE')
    expect(invite.request.headers.get('Session-Expires')).toBe('900;refresher=uac')
    expect(invite.request.headers.get('Min-SE')).toBe('600')
    border.alpha.answer(invite, 486)
  })

  it('RTE-06 without an answer in the time agreed the next route is tried; a late ringing is cancelled', async () => {
    const border = await open({ timers: { firstAnswerMs: 200 } })
    let cancelled = false
    border.alpha.onRequest = tx => {
      tx.onCancel = () => void (cancelled = true)
      return false
    }
    const leg: LegRef = border.nni.invite(invitation())
    const { reason } = await border.inbox.wait('ended', leg)
    expect(reason).toEqual({ cause: 'unreachable', text: 'the operator did not answer in time' })
    const invite = await border.alpha.take('INVITE')
    border.alpha.answer(invite, 180)
    await border.until(() => cancelled)
    border.alpha.answer(invite, 487)
  })

  it('RTE-06 a late answer is acknowledged and ended', async () => {
    const border = await open({ timers: { firstAnswerMs: 200 } })
    const leg = border.nni.invite(invitation())
    await border.inbox.wait('ended', leg)
    const invite = await border.alpha.take('INVITE')
    border.alpha.answer(invite, 200, { body: sdpWith(5_000) })
    await border.alpha.takeAck()
    border.alpha.answer(await border.alpha.take('BYE'), 200)
    expect(border.inbox.all('answered', leg)).toEqual([])
  })
})

describe('challenges', () => {
  it.each([
    [401, 'WWW-Authenticate'],
    [407, 'Proxy-Authenticate']
  ])('NNI-10 a %i of the peer is a refusal for the core and reaches nobody', async (status, field) => {
    const border = await open()
    const leg = border.nni.invite(invitation({ target: targetAlpha }))
    border.alpha.answer(await border.alpha.take('INVITE'), status, {
      headers: [[field, 'Digest realm="x", nonce="y"']]
    })
    const { reason } = await border.inbox.wait('ended', leg)
    expect(reason).toMatchObject({ cause: 'forbidden', sip: status })
    const call = border.alpha.request('INVITE', number, { body: sdpWith(4_000) })
    const { leg: came } = await border.inbox.wait('offered')
    await border.nni.end(came, { ...reason, from: 'callee' })
    const refused = await call.final()
    expect([refused.status, refused.headers.has(field)]).toEqual([403, false])
  })
})
