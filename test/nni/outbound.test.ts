import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import type { LegRef, Reason } from '../../src/session/model.ts'
import type { Invitation } from '../../src/session/ports.ts'
import { caller, charging, invitation, startBorder } from '../support/nni-border.ts'
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

const place = async (over: Partial<Invitation> = {}) => {
  const leg = border.nni.invite(invitation(over))
  const invite = await border.alpha.take('INVITE')
  return { leg, invite }
}
const connect = async (over: Partial<Invitation> = {}) => {
  const placed = await place(over)
  const ok = border.alpha.answer(placed.invite, 200, {
    body: sdpWith(40_000),
    headers: [['Allow', 'INVITE, INFO, BYE']]
  })
  await border.inbox.wait('answered', placed.leg)
  const ack = await border.alpha.takeAck()
  return { ...placed, ok, ack, dialog: border.alpha.calleeDialog(placed.invite, ok) }
}
const ended = async (leg: LegRef): Promise<Reason> => (await border.inbox.wait('ended', leg)).reason
const normal = { cause: 'normal', from: 'caller' } as const

describe('a call that the hub places with a peer', () => {
  it('invites with the names of the hub, rings, is answered and ended by the callee', async () => {
    const { leg, invite } = await place()
    const { headers, uri, body } = invite.request
    expect(uri).toBe('sip:+4930901820@alpha.example;user=phone')
    expect(headers.get('P-Asserted-Identity')).toBe('<sip:+441632960083@hub.example;user=phone>')
    expect(headers.get('P-Charging-Vector')).toBe(
      'icid-value=icid-77;icid-generated-at=hub.example;orig-ioi=hub.example'
    )
    expect(headers.get('Session-Expires')).toBe('1800;refresher=uac')
    expect(headers.get('Max-Forwards')).toBe('70')
    expect(body.toString()).toMatch(/^v=0\r\no=- [0-9]+ 1 IN IP4 127.0.0.1\r\ns=-\r\n/)
    expect((await border.inbox.wait('learned', leg)).facts).toMatchObject({
      dialogId: headers.get('Call-ID'),
      origIoi: 'hub.example',
      termIoi: 'alpha.example'
    })
    border.alpha.answer(invite, 180)
    await border.inbox.wait('alerting', leg)
    const ok = border.alpha.answer(invite, 200, {
      body: sdpWith(40_000),
      headers: [
        ['P-Asserted-Identity', '<tel:+4930901820>'],
        ['P-Charging-Vector', 'icid-value=icid-77;orig-ioi=hub.example;term-ioi=far.example;transit-ioi="mid.1"'],
        ['Session-ID', 'aaaabbbbccccddddaaaabbbbccccdddd;remote=0']
      ]
    })
    const answered = await border.inbox.wait('answered', leg)
    expect(answered).toMatchObject({ sdp: sdpWith(40_000), party: { asserted: ['tel:+4930901820'], trust: 'network' } })
    expect((await border.inbox.wait('learned', leg, 2)).facts).toMatchObject({
      termIoi: 'far.example',
      transitIoi: ['mid.1'],
      traceId: 'aaaabbbbccccddddaaaabbbbccccdddd'
    })
    expect((await border.alpha.takeAck()).body).toHaveLength(0)
    const dialog = border.alpha.calleeDialog(invite, ok)
    expect((await border.alpha.inside(dialog, 'BYE').final()).status).toBe(200)
    expect(await ended(leg)).toEqual({ cause: 'normal' })
  })

  it('an answer that says nothing new about the call is not told twice', async () => {
    const { leg } = await connect()
    expect(border.inbox.all('learned').filter(told => told.leg === leg)).toHaveLength(1)
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('the hub ends it with BYE', async () => {
    const { leg } = await connect()
    await border.nni.end(leg, normal)
    const bye = await border.alpha.take('BYE')
    border.alpha.answer(bye, 200)
    expect(bye.request.headers.all('Reason')).toEqual(['Q.850;cause=16'])
    await border.nni.end(leg, normal)
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
  })

  it.each([
    [486, [['Reason', 'Q.850;cause=17']], { cause: 'busy', sip: 486, q850: 17 }],
    [
      480,
      [['Reason', 'Q.850;cause=19;text="no answer"']],
      { cause: 'no-answer', sip: 480, q850: 19, text: 'no answer' }
    ],
    [404, [], { cause: 'not-found', sip: 404 }],
    [302, [['Contact', '<sip:elsewhere@192.0.2.1>']], { cause: 'unreachable', sip: 302 }],
    [401, [['WWW-Authenticate', 'Digest realm="x", nonce="y"']], { cause: 'forbidden', sip: 401 }],
    [503, [], { cause: 'congestion', sip: 503 }],
    [699, [], { cause: 'declined', sip: 699 }]
  ] as const)('a refusal with %i is told without loss', async (status, headers, reason) => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, status, { headers })
    expect(await ended(leg)).toEqual(reason)
  })

  it('a refusal after ringing with 408 means that nobody answered', async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 180)
    await border.inbox.wait('alerting', leg)
    border.alpha.answer(invite, 408)
    expect(await ended(leg)).toEqual({ cause: 'no-answer', sip: 408 })
  })

  it('an unknown peer, too many bytes: ended, after the leg has a name', async () => {
    const nobody = border.nni.invite(invitation({ target: { ...invitation().target, peerId: 'nobody' } }))
    expect(border.inbox.all('ended', nobody)).toHaveLength(0)
    expect(await ended(nobody)).toMatchObject({ cause: 'unreachable' })
    const long = border.nni.invite(invitation({ sdp: sdpWith(1).padEnd(8_193, 'x') as ReturnType<typeof sdpWith> }))
    expect(await ended(long)).toMatchObject({ cause: 'incompatible-media' })
    expect(border.alpha.requests).toHaveLength(0)
  })

  it('a session interval that is too small is offered again, once', async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 422, { headers: [['Min-SE', '3600']] })
    const second = await border.alpha.take('INVITE')
    expect(second.request.headers.get('Session-Expires')).toBe('3600;refresher=uac')
    expect(second.request.headers.get('Call-ID')).not.toBe(invite.request.headers.get('Call-ID'))
    border.alpha.answer(second, 422, { headers: [['Min-SE', '7200']] })
    expect(await ended(leg)).toMatchObject({ cause: 'peer-failed', sip: 422 })
  })
})

describe('early media of a callee', () => {
  it('a preview is passed on, and the 200 may leave out what it said', async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 183, { body: sdpWith(40_000) })
    expect(await border.inbox.wait('progressed', leg)).toMatchObject({ sdp: sdpWith(40_000), reliable: false })
    border.alpha.answer(invite, 200)
    expect((await border.inbox.wait('answered', leg)).sdp).toBe(sdpWith(40_000))
    await border.alpha.takeAck()
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('a reliable one gets its PRACK, and UPDATE can follow both ways', async () => {
    const { leg, invite } = await place()
    const early = border.alpha.answer(invite, 183, {
      body: sdpWith(40_000),
      headers: [
        ['Require', '100rel'],
        ['RSeq', '17'],
        ['Allow', 'INVITE, PRACK, UPDATE']
      ]
    })
    const prack = await border.alpha.take('PRACK')
    expect(prack.request.headers.get('RAck')).toMatch(/^17 [0-9]+ INVITE$/)
    border.alpha.answer(prack, 200)
    expect(await border.inbox.wait('progressed', leg)).toMatchObject({ sdp: sdpWith(40_000), reliable: true })
    await border.nni.reoffer(leg, { exchange: 5, sdp: sdpWith(4_002) })
    border.alpha.answer(await border.alpha.take('UPDATE'), 200, { body: sdpWith(40_002) })
    expect((await border.inbox.wait('reofferAnswered', leg)).sdp).toBe(sdpWith(40_002))
    const dialog = border.alpha.calleeDialog(invite, early)
    const update = border.alpha.inside(dialog, 'UPDATE', { body: sdpWith(40_004) })
    expect((await border.inbox.wait('reoffered', leg)).sdp).toBe(sdpWith(40_004))
    await border.nni.answerReoffer(leg, sdpWith(4_004))
    expect((await update.final()).body.toString()).toContain('m=audio 4004')
    border.alpha.answer(invite, 200)
    expect(await border.inbox.wait('answered', leg)).toMatchObject({ party: null })
    await border.alpha.takeAck()
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('a re-offer before anything is agreed is refused here', async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 180)
    await border.inbox.wait('alerting', leg)
    await border.nni.reoffer(leg, { exchange: 2, sdp: sdpWith(4_002) })
    expect(await border.inbox.wait('reofferRefused', leg)).toMatchObject({ exchange: 2, why: 'unacceptable' })
    border.alpha.answer(invite, 486)
    await ended(leg)
  })

  it('several forks are one early dialog: the first media stands until 199 ends it', async () => {
    const { leg, invite } = await place()
    const fork = (tag: string, status: number, body = '') => {
      const to = `${invite.request.headers.get('To')};tag=${tag}`
      const response = border.alpha.makeAnswer(invite, status, { body })
      response.headers.set('To', to)
      invite.respond(response)
    }
    fork('one', 183, sdpWith(41_000))
    fork('two', 180, sdpWith(42_000))
    await border.inbox.wait('alerting', leg)
    fork('three', 183, sdpWith(43_000))
    fork('one', 199)
    fork('three', 183, sdpWith(43_000))
    await border.inbox.wait('progressed', leg, 3)
    expect(border.inbox.all('progressed', leg).map(({ sdp }) => sdp?.match(/4[0-9]000/)?.[0] ?? null)).toEqual([
      '41000',
      null,
      '43000'
    ])
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
    border.alpha.answer(invite, 486)
    await ended(leg)
  })

  it('the answer of another fork than the one whose reliable media stands replaces it', async () => {
    const { leg, invite } = await place()
    const to = invite.request.headers.get('To') ?? ''
    const send = (tag: string, status: number, headers: readonly (readonly [string, string])[], port: number) => {
      const response = border.alpha.makeAnswer(invite, status, { body: sdpWith(port), headers })
      response.headers.set('To', `${to};tag=${tag}`)
      invite.respond(response)
    }
    send(
      'one',
      183,
      [
        ['Require', '100rel'],
        ['RSeq', '1']
      ],
      41_000
    )
    border.alpha.answer(await border.alpha.take('PRACK'), 200)
    await border.inbox.wait('progressed', leg)
    send('two', 200, [], 42_000)
    await border.inbox.wait('answered', leg)
    expect((await border.inbox.wait('reoffered', leg)).sdp).toBe(sdpWith(42_000))
    await border.nni.answerReoffer(leg, sdpWith(4_002))
    await border.alpha.takeAck()
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('a flood of ringing is cut', async () => {
    const { leg, invite } = await place()
    for (let one = 0; one < 60; one++) border.alpha.answer(invite, 183)
    border.alpha.answer(invite, 486)
    await ended(leg)
    expect(border.inbox.all('progressed', leg).length).toBeLessThanOrEqual(32)
  })
})

describe('an invitation without media', () => {
  it('the offer comes in the 200, the answer goes in the ACK', async () => {
    const { leg, invite } = await place({ sdp: null })
    expect(invite.request.body).toHaveLength(0)
    expect(invite.request.headers.all('Supported')).not.toContain('100rel')
    border.alpha.answer(invite, 200, { body: sdpWith(40_000) })
    expect((await border.inbox.wait('answered', leg)).sdp).toBe(sdpWith(40_000))
    await border.nni.acknowledge(leg, sdpWith(4_000))
    expect((await border.alpha.takeAck()).body.toString()).toContain('m=audio 4000')
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('ended before the answer is known: acknowledged with no media, then BYE', async () => {
    const { leg, invite } = await place({ sdp: null })
    border.alpha.answer(invite, 200, { body: sdpWith(40_000) })
    await border.inbox.wait('answered', leg)
    await border.nni.end(leg, { cause: 'cancelled', from: 'caller' })
    expect((await border.alpha.takeAck()).body.toString()).toContain('m=audio 0 ')
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })
})

describe('giving up', () => {
  it("CANCEL with the reason; the 487 is nobody's news", async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 180)
    await border.inbox.wait('alerting', leg)
    let cancel = ''
    invite.onCancel = request => {
      cancel = request.headers.all('Reason').join()
      border.alpha.answer(invite, 487)
    }
    await border.nni.end(leg, { cause: 'answered-elsewhere', from: 'hub' })
    await border.until(() => cancel !== '')
    expect(cancel).toBe('SIP;cause=200;text="Call completed elsewhere"')
    await border.until(() => border.engine.counts.dialogs === 0)
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
  })

  it('at once, before the engine has even sent the INVITE', async () => {
    const leg = border.nni.invite(invitation())
    await border.nni.end(leg, { cause: 'cancelled', from: 'caller' })
    const invite = await border.alpha.take('INVITE')
    let cancelled = false
    invite.onCancel = () => {
      cancelled = true
      border.alpha.answer(invite, 487)
    }
    border.alpha.answer(invite, 180)
    await border.until(() => cancelled)
    expect(border.inbox.heard.filter(({ type }) => type === 'alerting' || type === 'ended')).toEqual([])
  })

  it('CANCEL and answer cross: acknowledged and ended, told to nobody', async () => {
    const { leg, invite } = await place()
    border.alpha.answer(invite, 180)
    await border.inbox.wait('alerting', leg)
    invite.onCancel = () => void border.alpha.answer(invite, 200, { body: sdpWith(40_000) })
    await border.nni.end(leg, { cause: 'cancelled', from: 'caller' })
    await border.alpha.takeAck()
    border.alpha.answer(await border.alpha.take('BYE'), 200)
    await border.until(() => border.engine.counts.dialogs === 0)
    expect(border.inbox.all('answered', leg)).toHaveLength(0)
    expect(border.inbox.all('ended', leg)).toHaveLength(0)
  })
})

describe('inside a call that the hub has placed', () => {
  it('re-offers go both ways', async () => {
    const { leg, dialog } = await connect()
    await border.nni.reoffer(leg, { exchange: 2, sdp: sdpWith(4_002, 'sendonly') })
    const invite = await border.alpha.take('INVITE')
    expect(invite.request.body.toString()).toMatch(/^o=- [0-9]+ 2 /m)
    border.alpha.answer(invite, 200, { body: sdpWith(40_000, 'recvonly') })
    expect((await border.inbox.wait('reofferAnswered', leg)).sdp).toContain('recvonly')
    await border.alpha.takeAck()
    const theirs = border.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_006) })
    await border.inbox.wait('reoffered', leg)
    await border.nni.answerReoffer(leg, sdpWith(4_006))
    expect((await theirs.final()).body.toString()).toContain('m=audio 4006')
    border.alpha.ack(dialog, theirs.cseq)
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })

  it('tones go to a peer that takes INFO', async () => {
    const { leg } = await connect()
    await border.nni.sendTone(leg, { digit: '1', durationMs: 100 })
    const info = await border.alpha.take('INFO')
    border.alpha.answer(info, 200)
    expect(info.request.headers.get('Content-Type')).toBe('application/dtmf-relay')
    await border.nni.end(leg, normal)
    border.alpha.answer(await border.alpha.take('BYE'), 200)
  })
})

describe('who called', () => {
  it('a withheld number goes to a trusted peer as asserted and private, nowhere else', async () => {
    const { leg, invite } = await place({ from: { ...caller, display: 'Ann', privacy: ['id'] } })
    const { headers } = invite.request
    expect(headers.get('From')).toMatch(/^"Anonymous" <sip:anonymous@anonymous.invalid>;tag=/)
    expect(headers.get('Privacy')).toBe('id')
    expect(headers.get('P-Asserted-Identity')).toContain('+441632960083')
    border.alpha.answer(invite, 486)
    await ended(leg)
  })

  it('hops are counted across: few come in, fewer go out, and a call that comes back is a loop', async () => {
    const headers = [
      ['Max-Forwards', '5'],
      ['P-Charging-Vector', 'icid-value=looping']
    ] as const
    const call = border.alpha.request('INVITE', 'tel:+4930901820', { headers, body: sdpWith(1) })
    const { leg: came } = await border.inbox.wait('offered')
    const went = border.nni.invite(invitation({ charging: { ...charging, icid: 'looping' }, callerLeg: came }))
    const invite = await border.alpha.take('INVITE')
    expect(invite.request.headers.get('Max-Forwards')).toBe('4')
    const back = border.alpha.request('INVITE', 'tel:+4930901820', { headers, body: sdpWith(1) })
    expect((await back.final()).status).toBe(482)
    border.alpha.answer(invite, 486)
    await ended(went)
    await border.nni.end(came, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
    const again = border.alpha.request('INVITE', 'tel:+4930901820', { headers, body: sdpWith(1) })
    const { leg } = await border.inbox.wait('offered', undefined, 2)
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await again.final()).status).toBe(486)
  })
})
