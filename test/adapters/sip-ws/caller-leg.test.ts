import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { noFacts } from '../../../src/session/model.ts'
import type { LegRef } from '../../../src/session/model.ts'
import type { Reoffer, SipCall } from '../../../src/sip/call.ts'
import type { SipRequest, SipResponse } from '../../../src/sip/message.ts'
import { until } from '../../support/until.ts'
import { openIsland, request, response, sdp } from '../../support/ws-island.ts'
import type { Island } from '../../support/ws-island.ts'
import type { WsUser } from '../../support/ws-user.ts'

let island: Island
let alice: WsUser
beforeEach(async () => {
  island = await openIsland()
  alice = await island.user('alice')
})
afterEach(() => island.close())

const number = 'sip:+4930900100@island.example'
const line = (name: string, value: string) => ({ name, value })

async function offered(options: Parameters<WsUser['call']>[1] = {}): Promise<{ call: SipCall; leg: LegRef }> {
  const call = alice.call(number, { body: sdp('offer'), ...options })
  const { leg } = await island.inbox.wait('offered')
  return { call, leg }
}

async function talking(handler = {}): Promise<{ call: SipCall; leg: LegRef }> {
  const made = await offered({ on: handler })
  await island.adapter.answer(made.leg, { sdp: sdp('answer'), connected: null })
  await island.inbox.wait('acknowledged', made.leg)
  return made
}

describe('a call out of an island', () => {
  it('is offered to the core in canonical words', async () => {
    const { call, leg } = await offered({ headers: [line('Session-ID', 'ab;remote=0')] })
    const heard = island.inbox.all('offered')[0]?.call
    expect(heard).toEqual({
      leg,
      caller: {
        access: 'sip-ws',
        peerId: 'island',
        media: 'webrtc',
        party: {
          asserted: ['tel:+493012345601', 'sip:alice@island.example'],
          presented: 'tel:+493012345601',
          display: 'Alice',
          privacy: [],
          trust: 'network'
        }
      },
      called: 'tel:+4930900100',
      service: 'voice',
      sdp: sdp('offer'),
      charging: null,
      facts: {
        ...noFacts,
        calledRaw: 'sip:+4930900100@island.example',
        dialogId: call.id,
        traceId: 'ab;remote=0',
        neighbour: expect.stringMatching(/^127\.0\.0\.1:\d+$/)
      }
    })
  })

  it('rings, has early media, is answered, acknowledged and hung up by its user', async () => {
    const { call, leg } = await offered()
    await island.adapter.alert(leg)
    const ringing = await response(alice, 180)
    expect(ringing.body).toHaveLength(0)
    await island.adapter.progress(leg, { sdp: sdp('early'), reliable: false })
    expect((await response(alice, 183)).body.toString()).toBe(sdp('early'))
    await island.adapter.answer(leg, { sdp: sdp('answer'), connected: null })
    const answer = await response(alice, 200)
    expect(answer.body.toString()).toBe(sdp('answer'))
    expect(answer.headers.get('Contact')).toBe('<sip:isthmus@hub.example;transport=ws>')
    expect(answer.headers.get('To')).toBe(ringing.headers.get('To'))
    expect((await island.inbox.wait('acknowledged', leg)).sdp).toBeNull()
    call.bye()
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({ cause: 'normal' })
    await response(alice, 200, 'BYE')
  })

  it('is hung up by the other side with the reason in words', async () => {
    const { leg } = await talking()
    await island.adapter.end(leg, { cause: 'normal', q850: 16, text: 'goodbye', from: 'callee' })
    const bye = await request(alice, 'BYE')
    expect(bye.headers.all('Reason')).toEqual(['SIP;cause=480;text="goodbye"', 'Q.850;cause=16'])
    expect(island.inbox.all('ended')).toEqual([])
  })

  it.each([
    ['busy', 486, 'the called party is busy'],
    ['no-agreement', 403, 'there is no agreement with the provider of the called party'],
    ['internal', 500, 'the hub has failed']
  ] as const)('is refused as %s with %i and says why', async (cause, status, text) => {
    const { leg } = await offered()
    await island.adapter.end(leg, { cause, from: 'hub' })
    const refusal = await response(alice, status)
    expect(refusal.headers.get('Reason')).toBe(`SIP;cause=${status};text="${text}"`)
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('is given up by its user', async () => {
    const { call, leg } = await offered()
    await island.adapter.alert(leg)
    await response(alice, 180)
    call.cancel([line('Reason', 'SIP;cause=487;text="changed my mind"')])
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({ cause: 'cancelled', text: 'changed my mind' })
    await response(alice, 487)
    await island.adapter.answer(leg, { sdp: sdp('late'), connected: null })
    await island.adapter.end(leg, { cause: 'normal', from: 'hub' })
    expect(island.inbox.all('ended')).toHaveLength(1)
  })

  it('repeats in its answer the early media that went out plainly', async () => {
    const { leg } = await offered()
    await island.adapter.progress(leg, { sdp: sdp('early'), reliable: false })
    await island.adapter.answer(leg, { sdp: null, connected: null })
    expect((await response(alice, 200)).body.toString()).toBe(sdp('early'))
  })

  it('has reliable early media where its client can acknowledge it', async () => {
    const { leg } = await offered()
    await island.adapter.progress(leg, { sdp: sdp('early'), reliable: true })
    const early = await response(alice, 183)
    expect(early.headers.get('Require')).toBe('100rel')
    await response(alice, 200, 'PRACK')
    await island.adapter.answer(leg, { sdp: null, connected: null })
    expect((await response(alice, 200)).body).toHaveLength(0)
  })

  it('may come without an offer: the answer brings one and the ACK the answer to it', async () => {
    const { call, leg } = await offered({
      body: '',
      on: { answered: (_: SipResponse, needsAnswer: boolean) => needsAnswer && call.ack({ body: sdp('late answer') }) }
    })
    expect(island.inbox.all('offered')[0]?.call.sdp).toBeNull()
    await island.adapter.answer(leg, { sdp: sdp('offer of the hub'), connected: null })
    expect((await island.inbox.wait('acknowledged', leg)).sdp).toBe(sdp('late answer'))
  })

  it('learns who has answered, unless that is withheld', async () => {
    const connected = { asserted: ['tel:+4930900100'], presented: null, display: null, privacy: [] }
    const { leg } = await offered()
    await island.adapter.answer(leg, { sdp: sdp('answer'), connected })
    expect((await response(alice, 200)).headers.get('P-Asserted-Identity')).toBe(
      '<sip:+4930900100@hub.example;user=phone>'
    )
    const bob = await island.user('bob')
    bob.call(number, { body: sdp('offer') })
    const { leg: second } = await island.inbox.wait('offered', undefined, 2)
    await island.adapter.answer(second, { sdp: sdp('answer'), connected: { ...connected, privacy: ['id'] } })
    expect((await response(bob, 200)).headers.has('P-Asserted-Identity')).toBe(false)
  })

  it('ends with the connection of its user', async () => {
    const { leg } = await talking()
    alice.socket.terminate()
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({
      cause: 'unreachable',
      text: 'the connection to the device is lost'
    })
    expect(island.adapter.registered('island', 'alice')).toBe(0)
  })
})

describe('inside a call out of an island', () => {
  it('the user changes its media and gets the answer', async () => {
    const { call, leg } = await talking()
    const answers: string[] = []
    call.reinvite(
      { body: sdp('hold') },
      { answered: answer => void answers.push(answer.body.toString()), refused: () => void answers.push('refused') }
    )
    expect((await island.inbox.wait('reoffered', leg)).sdp).toBe(sdp('hold'))
    await island.adapter.answerReoffer(leg, sdp('held'))
    await until(() => answers.length === 1)
    expect(answers).toEqual([sdp('held')])
    expect(island.inbox.all('acknowledged')).toHaveLength(1)
  })

  it.each([
    ['glare', 491],
    ['unacceptable', 488],
    ['timeout', 504]
  ] as const)('a re-offer refused as %s is answered %i and the call lives on', async (why, status) => {
    const { call, leg } = await talking()
    const statuses: (number | undefined)[] = []
    call.reinvite(
      { body: sdp('video') },
      { answered: () => {}, refused: refusal => void statuses.push(refusal?.status) }
    )
    await island.inbox.wait('reoffered', leg)
    await island.adapter.refuseReoffer(leg, why)
    await until(() => statuses.length === 1)
    expect(statuses).toEqual([status])
    expect(island.inbox.all('ended')).toEqual([])
    expect(call.state).toBe('confirmed')
  })

  it('an offer in a PRACK is answered in its 200', async () => {
    const { leg } = await offered({
      delayPrack: true,
      on: { provisional: early => early.reliable && early.prack({ body: sdp('offer in PRACK') }) }
    })
    await island.adapter.progress(leg, { sdp: sdp('early'), reliable: true })
    expect((await island.inbox.wait('reoffered', leg)).sdp).toBe(sdp('offer in PRACK'))
    await island.adapter.answerReoffer(leg, sdp('answer to PRACK'))
    expect((await response(alice, 200, 'PRACK')).body.toString()).toBe(sdp('answer to PRACK'))
  })

  it('a re-offer of the hub waits for the ACK', async () => {
    const reoffered = (reoffer: Reoffer): void => reoffer.answer({ body: sdp('of the user') })
    const { call, leg } = await offered({
      body: '',
      on: { reoffered, answered: () => setImmediate(() => call.ack({ body: sdp('late') })) }
    })
    await island.adapter.answer(leg, { sdp: sdp('offer of the hub'), connected: null })
    await island.adapter.reoffer(leg, { exchange: 5, sdp: sdp('again') })
    expect((await island.inbox.wait('reofferAnswered', leg)).exchange).toBe(5)
    expect(island.inbox.all('acknowledged')).toHaveLength(1)
  })

  it('a re-INVITE without SDP gets the offer of the hub, and the ACK brings the answer', async () => {
    const { call, leg } = await talking()
    call.reinvite({}, { answered: (_, ack) => ack?.({ body: sdp('refreshed') }), refused: () => {} })
    expect((await island.inbox.wait('reoffered', leg)).sdp).toBeNull()
    await island.adapter.answerReoffer(leg, sdp('offer of the hub'))
    expect((await island.inbox.wait('acknowledged', leg, 2)).sdp).toBe(sdp('refreshed'))
  })

  it('an UPDATE with SDP is a re-offer, one without only refreshes', async () => {
    const { call, leg } = await talking()
    const statuses: number[] = []
    const result = { answered: ({ status }: SipResponse) => void statuses.push(status), refused: () => {} }
    call.update({}, result)
    await until(() => statuses.length === 1)
    expect(island.inbox.all('reoffered')).toEqual([])
    call.update({ body: sdp('new') }, result)
    await island.inbox.wait('reoffered', leg)
    await island.adapter.answerReoffer(leg, sdp('fine'))
    await until(() => statuses.length === 2)
  })

  it('the hub changes the media: answered, refused, crossed', async () => {
    let answer: 'answer' | 'refuse' | 'glare' = 'answer'
    const { leg } = await talking({
      reoffered: (reoffer: { answer(parts: object): void; refuse(status: number): void }) => {
        if (answer === 'answer') reoffer.answer({ body: sdp('of the user') })
        else reoffer.refuse(answer === 'refuse' ? 488 : 491)
      }
    })
    await island.adapter.reoffer(leg, { exchange: 2, sdp: sdp('again') })
    expect((await island.inbox.wait('reofferAnswered', leg)).exchange).toBe(2)
    expect(island.inbox.all('reofferAnswered')[0]?.sdp).toBe(sdp('of the user'))
    answer = 'refuse'
    await island.adapter.reoffer(leg, { exchange: 3, sdp: sdp('again') })
    expect(await island.inbox.wait('reofferRefused', leg)).toMatchObject({ exchange: 3, why: 'unacceptable' })
    answer = 'glare'
    await island.adapter.reoffer(leg, { exchange: 4, sdp: sdp('again') })
    expect(await island.inbox.wait('reofferRefused', leg, 2)).toMatchObject({ exchange: 4, why: 'glare' })
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('tones travel both ways', async () => {
    const { call, leg } = await talking()
    call.request('INFO', { contentType: 'application/dtmf-relay', body: 'Signal=7\r\nDuration=120\r\n' })
    expect((await island.inbox.wait('toned', leg)).tone).toEqual({ digit: '7', durationMs: 120 })
    await island.adapter.sendTone(leg, { digit: '#', durationMs: 200 })
    const info = await request(alice, 'INFO')
    expect(info.headers.get('Content-Type')).toBe('application/dtmf-relay')
    expect(info.body.toString()).toBe('Signal=#\r\nDuration=200\r\n')
  })

  it('a transfer, an unknown body and an unknown package are refused, and the call lives on', async () => {
    const { call } = await talking()
    const statuses: number[] = []
    const result = { final: ({ status }: SipResponse) => void statuses.push(status), failed: () => {} }
    call.request('REFER', { headers: [line('Refer-To', '<sip:bob@island.example>')] }, result)
    await until(() => statuses.length === 1)
    call.request('INFO', { contentType: 'application/media_control+xml', body: '<x/>' }, result)
    await until(() => statuses.length === 2)
    call.request('INFO', { headers: [line('Info-Package', 'foo')] }, result)
    await until(() => statuses.length === 3)
    expect(statuses).toEqual([405, 415, 469])
    expect(call.state).toBe('confirmed')
  })
})

describe('calls that are not taken', () => {
  const refusal = async (
    user: WsUser,
    uri: string,
    options: Parameters<WsUser['call']>[1] = {}
  ): Promise<SipResponse> => {
    const answers: SipResponse[] = []
    user.call(uri, {
      body: sdp('offer'),
      ...options,
      on: { ended: ({ message }) => message?.kind === 'response' && answers.push(message) }
    })
    await until(() => answers.length === 1)
    expect(island.inbox.all('offered')).toEqual([])
    return answers[0]!
  }

  it('of somebody who has not registered: a challenge, SHA-256 first', async () => {
    const stranger = await island.stranger('alice')
    const { status, headers } = await refusal(stranger, number)
    expect(status).toBe(407)
    expect(headers.lines().filter(({ name }) => name === 'Proxy-Authenticate')).toHaveLength(2)
  })

  it('with the From of somebody else', async () => {
    expect((await refusal(alice, number, { from: 'sip:bob@island.example' })).status).toBe(403)
    expect((await refusal(alice, number, { from: 'sip:dora@other.example' })).status).toBe(403)
  })

  it.each([
    ['sip:030900100@island.example', 484],
    ['tel:110', 484],
    ['sip:island.example', 404],
    ['urn:service:counseling', 404]
  ])('to %s: %i and why', async (uri, status) => {
    const { status: answered, headers } = await refusal(alice, uri)
    expect(answered).toBe(status)
    expect(headers.get('Reason')).toMatch(new RegExp(`^SIP;cause=${status};text=".+"$`))
  })

  it('with something else than SDP, or too much of it', async () => {
    expect((await refusal(alice, number, { contentType: 'text/plain' })).status).toBe(415)
    expect((await refusal(alice, number, { body: 'x'.repeat(limits.sdpBytesMax + 1) })).status).toBe(413)
  })

  it('while the hub is shutting down; live ones stay', async () => {
    const { call, leg } = await talking()
    island.inbox.heard.length = 0
    await island.adapter.drain()
    expect((await refusal(alice, number)).status).toBe(503)
    expect((await alice.request('MESSAGE', number, { from: alice.address, body: 'x' })).status).toBe(503)
    expect(call.state).toBe('confirmed')
    call.bye()
    await island.inbox.wait('ended', leg)
  })

  it('beyond the number of calls of one connection', async () => {
    for (let n = 0; n < limits.callsPerConnectionMax; n++) alice.call(number, { body: sdp('offer') })
    await island.inbox.wait('offered', undefined, limits.callsPerConnectionMax)
    alice.call(number, { body: sdp('offer') })
    await response(alice, 503)
    expect(island.inbox.all('offered')).toHaveLength(limits.callsPerConnectionMax)
  })
})

describe('privacy of a caller', () => {
  it('an anonymous user is known to the record alone', async () => {
    await offered({
      from: '"Anonymous" <sip:anonymous@anonymous.invalid>',
      headers: [line('Privacy', 'id')]
    })
    expect(island.inbox.all('offered')[0]?.call.caller.party).toEqual({
      asserted: ['tel:+493012345601', 'sip:alice@island.example'],
      presented: null,
      display: null,
      privacy: ['id', 'user'],
      trust: 'network'
    })
  })
})

describe('closing', () => {
  it('says goodbye to live calls and refuses those that ring', async () => {
    await talking()
    const waiting = alice.call(number, { body: sdp('offer') })
    await island.inbox.wait('offered', undefined, 2)
    await island.adapter.close()
    await request(alice, 'BYE')
    await until(() => waiting.state === 'ended')
    const methods = alice.heard.filter((message): message is SipRequest => message.kind === 'request')
    expect(methods.map(({ method }) => method)).toEqual(['BYE'])
  })
})
