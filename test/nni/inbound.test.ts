import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import type { Reason } from '../../src/session/model.ts'
import { caller, number, startBorder } from '../support/nni-border.ts'
import type { Border } from '../support/nni-border.ts'
import { sdpWith } from '../support/nni.ts'

let border: Border
beforeAll(async () => {
  border = await startBorder()
})
afterAll(() => border.close())
afterEach(() => {
  border.inbox.heard.length = 0
  border.alpha.requests.length = 0
  border.alpha.acks.length = 0
})

const abilities = [
  ['Supported', '100rel, timer'],
  ['Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO'],
  ['P-Early-Media', 'supported'],
  ['P-Charging-Vector', 'icid-value=icid-of-alpha;icid-generated-at=alpha.example;orig-ioi=far.example'],
  ['P-Asserted-Identity', '<sip:+441632960083@alpha.example;user=phone>']
] as const

const offer = async (headers: readonly (readonly [string, string])[] = abilities, body: string = sdpWith(40_000)) => {
  const before = border.inbox.all('offered').length
  const call = border.alpha.request('INVITE', number, { headers, body })
  const { leg, call: offered } = await border.inbox.wait('offered', undefined, before + 1)
  return { call, leg, offered }
}

const connect = async (headers?: readonly (readonly [string, string])[], body?: string) => {
  const made = await offer(headers, body)
  await border.nni.answer(made.leg, { sdp: sdpWith(50_000), connected: null })
  const ok = await made.call.response(200)
  const dialog = border.alpha.callerDialog(made.call, ok)
  border.alpha.ack(dialog, 1)
  return { ...made, ok, dialog }
}

const ended = async (leg: Parameters<Border['inbox']['wait']>[1]): Promise<Reason> =>
  (await border.inbox.wait('ended', leg)).reason

describe('a call that a peer brings', () => {
  it('is offered in canonical words, rung, answered and ended by the caller', async () => {
    const { call, leg, offered } = await offer()
    expect(offered).toMatchObject({
      called: 'tel:+4930901820',
      service: 'voice',
      charging: { icid: 'icid-of-alpha', generatedAt: 'alpha.example' },
      caller: {
        access: 'nni',
        peerId: 'alpha',
        media: 'rtp',
        party: { asserted: ['tel:+441632960083'], trust: 'network' }
      },
      facts: { origIoi: 'far.example', termIoi: 'hub.example', neighbour: `127.0.0.1:${border.alpha.port}` }
    })
    expect(offered.sdp).toBe(sdpWith(40_000))
    await border.nni.alert(leg)
    const ringing = await call.response(180)
    expect(ringing.headers.get('P-Charging-Vector')).toBe(
      'icid-value=icid-of-alpha;icid-generated-at=alpha.example;orig-ioi=far.example;term-ioi=hub.example'
    )
    const connected = { ...caller, asserted: ['tel:+4930901820'] }
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected })
    const ok = await call.response(200)
    expect(ok.headers.get('P-Asserted-Identity')).toBe('<sip:+4930901820@hub.example;user=phone>')
    expect(ok.headers.get('Session-Expires')).toBe('1800;refresher=uac')
    expect(ok.headers.all('Require')).toContain('timer')
    expect(ok.body.toString()).toContain('m=audio 50000')
    const dialog = border.alpha.callerDialog(call, ok)
    border.alpha.ack(dialog, 1)
    const bye = border.alpha.inside(dialog, 'BYE', { headers: [['Reason', 'Q.850;cause=16;text="done"']] })
    expect((await bye.final()).status).toBe(200)
    expect(await ended(leg)).toEqual({ cause: 'normal', q850: 16, text: 'done' })
    // A second BYE finds nothing.
    expect((await border.alpha.inside(dialog, 'BYE').final()).status).toBe(481)
    expect(border.inbox.all('ended', leg)).toHaveLength(1)
  })

  it('is ended by the hub with BYE and the reason', async () => {
    const { leg } = await connect()
    await border.nni.end(leg, { cause: 'no-credit', from: 'hub', text: 'the credit is used up' })
    const bye = await border.alpha.take('BYE')
    border.alpha.answer(bye, 200)
    expect(bye.request.headers.all('Reason')).toEqual(['Q.850;cause=21;text="the credit is used up"'])
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
  })

  it('a BYE waits for the ACK of the answer', async () => {
    const { call, leg } = await offer()
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected: null })
    await border.nni.end(leg, { cause: 'normal', from: 'callee' })
    const ok = await call.response(200)
    expect(border.alpha.requests).toHaveLength(0)
    border.alpha.ack(border.alpha.callerDialog(call, ok), 1)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it.each([
    [{ cause: 'busy', from: 'callee', sip: 486, q850: 17 } as const, 486, 'Q.850;cause=17'],
    [{ cause: 'declined', from: 'callee', sip: 603 } as const, 603, 'Q.850;cause=21'],
    [{ cause: 'unwanted', from: 'callee' } as const, 607, 'Q.850;cause=21'],
    [{ cause: 'congestion', from: 'callee', sip: 503, q850: 34 } as const, 500, 'Q.850;cause=34'],
    [{ cause: 'no-agreement', from: 'hub', text: 'no agreement' } as const, 403, 'Q.850;cause=57;text="no agreement"']
  ])('is refused: %j', async (release, status, reason) => {
    const { call, leg } = await offer()
    await border.nni.end(leg, release)
    const refused = await call.response(status)
    expect(refused.headers.all('Reason')).toEqual([reason])
    if ('text' in release) expect(refused.reason).toBe(release.text)
  })

  it('is given up by the caller, once, and an answer after that changes nothing', async () => {
    const { call, leg } = await offer()
    await border.nni.alert(leg)
    await call.response(180)
    call.tx?.cancel([{ name: 'Reason', value: 'SIP;cause=200;text="Call completed elsewhere"' }])
    expect((await call.final()).status).toBe(487)
    expect(await ended(leg)).toMatchObject({ cause: 'answered-elsewhere' })
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected: null })
    await border.nni.end(leg, { cause: 'normal', from: 'callee' })
    expect((await border.alpha.request('OPTIONS', 'sip:hub.example').final()).status).toBe(200)
    expect(call.responses.filter(({ status }) => status >= 200)).toHaveLength(1)
    expect(border.inbox.all('ended', leg)).toHaveLength(1)
  })

  it('CANCEL and answer cross: the call ends for both, told once', async () => {
    const { call, leg } = await offer()
    await border.nni.alert(leg)
    await call.response(180)
    call.tx?.cancel()
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected: null })
    const final = await call.final()
    if (final.status === 200) border.alpha.ack(border.alpha.callerDialog(call, final), 1)
    expect((await ended(leg)).cause).toBe('cancelled')
    expect(border.inbox.all('ended', leg)).toHaveLength(1)
  })

  it('the same INVITE over another path is a loop (RFC 3261, 8.2.2.2)', async () => {
    const tag = ['From', '<sip:+441632960083@alpha.example>;tag=merged'] as const
    const first = border.alpha.request('INVITE', number, { headers: [tag], body: sdpWith(1), callId: 'merged-1' })
    const { leg } = await border.inbox.wait('offered')
    const second = border.alpha.request('INVITE', number, { headers: [tag], body: sdpWith(1), callId: 'merged-1' })
    expect((await second.final()).status).toBe(482)
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await first.final()).status).toBe(486)
  })
})

describe('early media and reliable answers', () => {
  it('a preview goes plain, and the answer says it again', async () => {
    const { call, leg } = await offer()
    await border.nni.progress(leg, { sdp: sdpWith(50_000), reliable: false })
    const early = await call.response(183)
    expect(early.headers.has('RSeq')).toBe(false)
    expect(early.headers.get('P-Early-Media')).toBe('sendrecv')
    await border.nni.answer(leg, { sdp: null, connected: null })
    const ok = await call.response(200)
    expect(ok.body.toString()).toBe(early.body.toString())
    border.alpha.ack(border.alpha.callerDialog(call, ok), 1)
    await border.nni.end(leg, { cause: 'normal', from: 'callee' })
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('a reliable early answer waits for its PRACK, and the 200 carries no second one', async () => {
    const { call, leg } = await offer()
    await border.nni.progress(leg, { sdp: sdpWith(50_000), reliable: true })
    await border.nni.answer(leg, { sdp: null, connected: null })
    const early = await call.response(183)
    expect(early.headers.all('Require')).toContain('100rel')
    const dialog = border.alpha.callerDialog(call, early)
    const rack = `${early.headers.get('RSeq')} 1 INVITE`
    expect(call.responses.some(({ status }) => status === 200)).toBe(false)
    expect((await border.alpha.inside(dialog, 'PRACK', { headers: [['RAck', rack]] }).final()).status).toBe(200)
    const ok = await call.response(200)
    expect(ok.body).toHaveLength(0)
    border.alpha.ack(dialog, 1)
    await border.nni.end(leg, { cause: 'normal', from: 'callee' })
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('an offer in the PRACK and an UPDATE are re-offers, both ways, before the answer', async () => {
    const { call, leg } = await offer()
    await border.nni.progress(leg, { sdp: sdpWith(50_000), reliable: true })
    const early = await call.response(183)
    const dialog = border.alpha.callerDialog(call, early)
    const rack = `${early.headers.get('RSeq')} 1 INVITE`
    const prack = border.alpha.inside(dialog, 'PRACK', { headers: [['RAck', rack]], body: sdpWith(40_002) })
    expect((await border.inbox.wait('reoffered', leg)).sdp).toBe(sdpWith(40_002))
    await border.nni.answerReoffer(leg, sdpWith(50_002))
    expect((await prack.final()).body.toString()).toContain('m=audio 50002')
    const update = border.alpha.inside(dialog, 'UPDATE', { body: sdpWith(40_004) })
    await border.inbox.wait('reoffered', leg, 2)
    await border.nni.refuseReoffer(leg, 'unacceptable')
    expect((await update.final()).status).toBe(488)
    await border.nni.reoffer(leg, { exchange: 7, sdp: sdpWith(50_004) })
    const ours = await border.alpha.take('UPDATE')
    border.alpha.answer(ours, 200, { body: sdpWith(40_006) })
    expect(await border.inbox.wait('reofferAnswered', leg)).toMatchObject({ exchange: 7, sdp: sdpWith(40_006) })
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })

  it('a caller that takes reliable answers only rings reliably, and gets a preview without its media', async () => {
    const { call, leg } = await offer([['Require', '100rel']])
    await border.nni.progress(leg, { sdp: sdpWith(50_000), reliable: false })
    const early = await call.response(183)
    expect(early.headers.has('RSeq')).toBe(true)
    expect(early.body).toHaveLength(0)
    const dialog = border.alpha.callerDialog(call, early)
    border.alpha.inside(dialog, 'PRACK', { headers: [['RAck', `${early.headers.get('RSeq')} 1 INVITE`]] })
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected: null })
    const ok = await call.response(200)
    expect(ok.body.toString()).toContain('m=audio 50000')
    border.alpha.ack(dialog, 1)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it('a caller without 100rel gets a reliable answer plainly, and again in the 200', async () => {
    const { call, leg } = await offer([])
    await border.nni.progress(leg, { sdp: sdpWith(50_000), reliable: true })
    expect((await call.response(183)).headers.has('RSeq')).toBe(false)
    await border.nni.answer(leg, { sdp: null, connected: null })
    const ok = await call.response(200)
    expect(ok.body.toString()).toContain('m=audio 50000')
    expect(ok.headers.get('Session-Expires')).toBe('1800;refresher=uas')
    border.alpha.ack(border.alpha.callerDialog(call, ok), 1)
    border.alpha.inside(border.alpha.callerDialog(call, ok), 'BYE')
    await ended(leg)
  })

  it('a flood of previews is cut', async () => {
    const { call, leg } = await offer()
    for (let one = 0; one < 50; one++) await border.nni.progress(leg, { sdp: null, reliable: false })
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    await call.final()
    expect(call.responses.filter(({ status }) => status === 183)).toHaveLength(32)
  })
})

describe('an INVITE without SDP', () => {
  it('gets the offer in the 200 and brings the answer in the ACK', async () => {
    const { call, leg, offered } = await offer(abilities, '')
    expect(offered.sdp).toBeNull()
    await border.nni.answer(leg, { sdp: sdpWith(50_000), connected: null })
    const ok = await call.response(200)
    const dialog = border.alpha.callerDialog(call, ok)
    border.alpha.ack(dialog, 1, sdpWith(40_000))
    expect(await border.inbox.wait('acknowledged', leg)).toMatchObject({ sdp: sdpWith(40_000) })
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })
})

describe('inside a call that a peer brought', () => {
  it('hold and resume are re-offers; the origin is the hub, its version rises', async () => {
    const { leg, dialog, ok } = await connect()
    const hold = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_000, 'sendonly') })
    expect((await border.inbox.wait('reoffered', leg)).sdp).toContain('a=sendonly')
    await border.nni.answerReoffer(leg, sdpWith(50_000, 'recvonly'))
    const held = await hold.final()
    border.alpha.ack(dialog, 2)
    const origins = [ok, held].map(({ body }) => /^o=- ([0-9]+) ([0-9]+) IN IP4 127.0.0.1\r$/m.exec(body.toString()))
    expect(origins[1]?.[1]).toBe(origins[0]?.[1])
    expect(Number(origins[1]?.[2])).toBe(Number(origins[0]?.[2]) + 1)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it('a refresh that changes nothing is answered without asking the core', async () => {
    const { leg, dialog, ok } = await connect()
    const again = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_000) })
    expect((await again.final()).body.toString()).toBe(ok.body.toString())
    border.alpha.ack(dialog, 2)
    const update = border.alpha.inside(dialog, 'UPDATE', { headers: [['Session-Expires', '1800;refresher=uac']] })
    expect((await update.final()).headers.get('Session-Expires')).toContain('1800')
    expect(border.inbox.all('reoffered', leg)).toHaveLength(0)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it('a re-INVITE without SDP gets an offer, its ACK the answer', async () => {
    const { leg, dialog } = await connect()
    const again = border.alpha.inside(dialog, 'INVITE')
    expect((await border.inbox.wait('reoffered', leg)).sdp).toBeNull()
    await border.nni.answerReoffer(leg, sdpWith(50_010))
    expect((await again.final()).body.toString()).toContain('m=audio 50010')
    border.alpha.ack(dialog, 2, sdpWith(40_010))
    expect((await border.inbox.wait('acknowledged', leg)).sdp).toBe(sdpWith(40_010))
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it.each([
    ['glare', 491],
    ['unacceptable', 488],
    ['timeout', 504]
  ] as const)('a re-offer refused as %s is answered %i and the call lives', async (why, status) => {
    const { leg, dialog } = await connect()
    const again = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_020) })
    await border.inbox.wait('reoffered', leg)
    await border.nni.refuseReoffer(leg, why)
    expect((await again.final()).status).toBe(status)
    expect((await border.alpha.inside(dialog, 'OPTIONS').final()).status).toBe(200)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it.each([
    [200, sdpWith(40_030), 'reofferAnswered', { sdp: sdpWith(40_030) }],
    [200, '', 'reofferRefused', { why: 'unacceptable' }],
    [491, '', 'reofferRefused', { why: 'glare' }],
    [488, '', 'reofferRefused', { why: 'unacceptable' }],
    [504, '', 'reofferRefused', { why: 'timeout' }]
  ] as const)('a re-offer of the hub is answered, case %#', async (status, body, type, facts) => {
    const { leg, dialog } = await connect()
    await border.nni.reoffer(leg, { exchange: 3, sdp: sdpWith(50_030) })
    const invite = await border.alpha.take('INVITE')
    expect(invite.request.body.toString()).toContain('m=audio 50030')
    border.alpha.answer(invite, status, { body })
    expect(await border.inbox.wait(type, leg)).toMatchObject({ exchange: 3, ...facts })
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it('a re-offer that crosses ours is refused 491 and both can go on', async () => {
    const { leg, dialog } = await connect()
    await border.nni.reoffer(leg, { exchange: 4, sdp: sdpWith(50_040) })
    const ours = await border.alpha.take('INVITE')
    const theirs = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_040) })
    expect((await theirs.final()).status).toBe(491)
    border.alpha.answer(ours, 200, { body: sdpWith(40_042) })
    await border.inbox.wait('reofferAnswered', leg)
    await border.alpha.takeAck()
    expect(border.inbox.all('reoffered', leg)).toHaveLength(0)
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })

  it('a dialog that the peer has forgotten ends the leg (481)', async () => {
    const { leg } = await connect()
    await border.nni.reoffer(leg, { exchange: 5, sdp: sdpWith(50_050) })
    border.alpha.answer(await border.alpha.take('INVITE'), 481)
    expect(await ended(leg)).toMatchObject({ cause: 'peer-failed', sip: 481 })
  })

  it('a re-offer that the peer takes back is put right with the old one', async () => {
    const { leg, dialog } = await connect()
    const again = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_060) })
    await border.inbox.wait('reoffered', leg)
    await again.response(100)
    again.tx?.cancel()
    expect((await again.final()).status).toBe(487)
    await border.nni.answerReoffer(leg, sdpWith(50_060))
    expect((await border.inbox.wait('reoffered', leg, 2)).sdp).toBe(sdpWith(40_000))
    await border.nni.answerReoffer(leg, sdpWith(50_062))
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
    expect(border.inbox.all('reoffered', leg)).toHaveLength(2)
  })

  it('tones cross in INFO, both ways', async () => {
    const { leg, dialog } = await connect()
    const type = ['Content-Type', 'application/dtmf-relay'] as const
    const info = border.alpha.inside(dialog, 'INFO', { headers: [type], body: 'Signal=7\r\nDuration=200\r\n' })
    expect((await info.final()).status).toBe(200)
    expect((await border.inbox.wait('toned', leg)).tone).toEqual({ digit: '7', durationMs: 200 })
    await border.nni.sendTone(leg, { digit: '#', durationMs: 120 })
    const sent = await border.alpha.take('INFO')
    border.alpha.answer(sent, 200)
    expect(sent.request.body.toString()).toBe('Signal=#\r\nDuration=120\r\n')
    const other = border.alpha.inside(dialog, 'INFO', { headers: [['Content-Type', 'text/plain']], body: 'x' })
    expect((await other.final()).status).toBe(415)
    expect((await border.alpha.inside(dialog, 'REFER', { headers: [['Refer-To', '<sip:x@y>']] }).final()).status).toBe(
      405
    )
    border.alpha.inside(dialog, 'BYE')
    await ended(leg)
  })
})
