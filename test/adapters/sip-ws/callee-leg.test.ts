import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import type { LegRef } from '../../../src/session/model.ts'
import type { SipCall } from '../../../src/sip/call.ts'
import { printMessage } from '../../../src/sip/message.ts'
import { until } from '../../support/until.ts'
import { openIsland, request, sdp } from '../../support/ws-island.ts'
import type { Island } from '../../support/ws-island.ts'
import type { WsUser } from '../../support/ws-user.ts'

let island: Island
beforeEach(async () => {
  island = await openIsland()
})
afterEach(() => island.close())

const line = (name: string, value: string) => ({ name, value })
const elsewhere = 'SIP;cause=200;text="Call completed elsewhere"'
const lateAnswer = (call: SipCall): void => {
  call.on = {}
  call.ring()
}

const callOf = async (user: WsUser, nth = 1): Promise<SipCall> => {
  await until(() => user.calls.length >= nth)
  return user.calls[nth - 1]!
}

async function talking(user: WsUser): Promise<{ leg: LegRef; call: SipCall }> {
  const leg = island.invite('alice')
  const call = await callOf(user)
  call.answer({ body: sdp('answer') })
  await island.inbox.wait('answered', leg)
  await until(() => call.state === 'confirmed')
  return { leg, call }
}

describe('a call into an island', () => {
  it('rings the device, is answered by it and hung up', async () => {
    const alice = await island.user('alice')
    const leg = island.invite('alice')
    const call = await callOf(alice)
    expect(call.invite.uri).toBe(alice.contact)
    expect(call.invite.body.toString()).toBe(sdp('offer'))
    await island.inbox.wait('alerting', leg)
    call.answer({ body: sdp('answer') })
    expect(await island.inbox.wait('answered', leg)).toMatchObject({
      sdp: sdp('answer'),
      party: {
        asserted: ['tel:+493012345601', 'sip:alice@island.example'],
        presented: 'tel:+493012345601',
        display: 'Alice',
        privacy: [],
        trust: 'network'
      }
    })
    await until(() => call.state === 'confirmed')
    expect(island.inbox.all('learned', leg)[0]?.facts.dialogId).toBe(call.id)
    call.bye()
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({ cause: 'normal' })
  })

  it('shows the caller and nothing of where it came from', async () => {
    const alice = await island.user('alice')
    island.invite('alice', {
      from: {
        asserted: ['sip:+4930900100@ims.operator.example;user=phone'],
        presented: 'sip:+4930900100@pcscf.ims.operator.example:5066'
      }
    })
    const { invite } = await callOf(alice)
    expect(invite.headers.get('From')).toMatch(/^"Caller" <sip:\+4930900100@hub.example;user=phone>;tag=/)
    expect(invite.headers.get('P-Asserted-Identity')).toBe('<sip:+4930900100@hub.example;user=phone>')
    expect(invite.headers.get('To')).toBe('<sip:alice@island.example>')
    expect(invite.headers.get('Contact')).toBe('<sip:isthmus@hub.example;transport=ws>')
    expect(printMessage(invite).toString()).not.toMatch(/operator|icid/)
  })

  it('of a withheld caller comes from nobody, even where the core was told who', async () => {
    const alice = await island.user('alice')
    island.invite('alice', { from: { privacy: ['id'] } })
    const { invite } = await callOf(alice)
    expect(invite.headers.get('From')).toMatch(/^"Anonymous" <sip:anonymous@anonymous.invalid>;tag=/)
    expect(printMessage(invite).toString()).not.toMatch(/4930900100|Caller/)
  })

  it('to a user without a device ends at once', async () => {
    const leg = island.invite('alice')
    expect(island.inbox.heard).toEqual([])
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({
      cause: 'unavailable',
      text: 'no device of the user is connected'
    })
  })

  it('to nobody ends at once', async () => {
    const leg = island.invite('nobody')
    expect((await island.inbox.wait('ended', leg)).reason.cause).toBe('not-found')
  })

  it('is given up by the caller: the device stops ringing and sees why', async () => {
    const alice = await island.user('alice')
    const leg = island.invite('alice')
    const call = await callOf(alice)
    await island.inbox.wait('alerting', leg)
    await island.adapter.end(leg, { cause: 'cancelled', from: 'caller' })
    const cancel = await request(alice, 'CANCEL')
    expect(cancel.headers.get('Reason')).toBe('SIP;cause=487;text="the caller has given up"')
    await until(() => call.state === 'ended')
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('given up in the moment of the answer is acknowledged and hung up', async () => {
    const alice = await island.user('alice')
    const leg = island.invite('alice')
    const call = await callOf(alice)
    await island.inbox.wait('alerting', leg)
    call.answer({ body: sdp('answer') })
    await island.adapter.end(leg, { cause: 'cancelled', from: 'caller' })
    await request(alice, 'ACK')
    await request(alice, 'BYE')
    expect(island.inbox.all('answered')).toEqual([])
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('may come without an offer: the device makes one and hears the answer', async () => {
    const alice = await island.user('alice')
    const leg = island.invite('alice', { sdp: null })
    const call = await callOf(alice)
    expect(call.invite.body).toHaveLength(0)
    call.answer({ body: sdp('offer of the device') })
    expect((await island.inbox.wait('answered', leg)).sdp).toBe(sdp('offer of the device'))
    await island.adapter.acknowledge(leg, sdp('answer of the caller'))
    const ack = await request(alice, 'ACK')
    expect(ack.body.toString()).toBe(sdp('answer of the caller'))
  })

  it('ends with the connection of the device, ringing or in conversation', async () => {
    const alice = await island.user('alice')
    const { leg } = await talking(alice)
    alice.socket.terminate()
    expect((await island.inbox.wait('ended', leg)).reason.cause).toBe('unreachable')
    const again = await island.user('alice')
    const second = island.invite('alice')
    await island.inbox.wait('alerting', second)
    again.socket.terminate()
    expect((await island.inbox.wait('ended', second)).reason.cause).toBe('unreachable')
  })

  it('is hung up by the other side', async () => {
    const alice = await island.user('alice')
    const { leg } = await talking(alice)
    await island.adapter.end(leg, { cause: 'media-lost', from: 'hub' })
    expect((await request(alice, 'BYE')).headers.get('Reason')).toBe('SIP;cause=504;text="the media has stopped"')
  })

  it('re-offers travel both ways', async () => {
    const alice = await island.user('alice')
    const { leg, call } = await talking(alice)
    const answers: string[] = []
    call.reinvite(
      { body: sdp('hold') },
      { answered: ({ body }) => void answers.push(body.toString()), refused: () => {} }
    )
    expect((await island.inbox.wait('reoffered', leg)).sdp).toBe(sdp('hold'))
    await island.adapter.answerReoffer(leg, sdp('held'))
    await until(() => answers.length === 1)
    expect(answers).toEqual([sdp('held')])
    call.on = { reoffered: reoffer => reoffer.answer({ body: sdp('resumed') }) }
    await island.adapter.reoffer(leg, { exchange: 7, sdp: sdp('resume') })
    expect(await island.inbox.wait('reofferAnswered', leg)).toMatchObject({ exchange: 7, sdp: sdp('resumed') })
  })

  it('a re-offer of the hub before any device has media is refused as crossing', async () => {
    const alice = await island.user('alice')
    const leg = island.invite('alice')
    await callOf(alice)
    await island.inbox.wait('alerting', leg)
    await island.adapter.reoffer(leg, { exchange: 3, sdp: sdp('again') })
    expect(await island.inbox.wait('reofferRefused', leg)).toMatchObject({ exchange: 3, why: 'glare' })
  })

  it('a device on a connection with too many calls is passed over', async () => {
    const alice = await island.user('alice')
    for (let n = 0; n < limits.callsPerConnectionMax; n++) island.invite('alice')
    await until(() => alice.calls.length === limits.callsPerConnectionMax)
    const leg = island.invite('alice')
    expect((await island.inbox.wait('ended', leg)).reason.cause).toBe('limit-reached')
  })
})

describe('several devices', () => {
  it('all ring, the first answer wins and the others hear that somebody else has answered', async () => {
    const [phone, desk] = [await island.user('alice'), await island.user('alice')]
    const leg = island.invite('alice')
    const [winner, loser] = [await callOf(desk), await callOf(phone)]
    await until(() => desk.heard.length > 0 && phone.heard.length > 0)
    await island.inbox.wait('alerting', leg)
    winner.answer({ body: sdp('from the desk') })
    expect((await island.inbox.wait('answered', leg)).sdp).toBe(sdp('from the desk'))
    const cancel = await request(phone, 'CANCEL')
    expect(cancel.headers.get('Reason')).toBe(elsewhere)
    await until(() => loser.state === 'ended' && winner.state === 'confirmed')
    expect(island.inbox.all('alerting')).toHaveLength(1)
    expect(island.inbox.all('ended')).toEqual([])
    expect(island.inbox.all('learned', leg).at(-1)?.facts.dialogId).toBe(winner.id)
  })

  it('two answers at once: one has the call, the other is acknowledged and hung up', async () => {
    const incoming = (call: SipCall): void => call.answer({ body: sdp('quick') })
    const users = [await island.user('alice', { incoming }), await island.user('alice', { incoming })]
    const leg = island.invite('alice')
    await island.inbox.wait('answered', leg)
    await until(() => users.flatMap(({ calls }) => calls).filter(({ state }) => state === 'confirmed').length === 1)
    const hungUp = users.find(({ calls: [call] }) => call?.state !== 'confirmed')!
    await request(hungUp, 'ACK')
    await request(hungUp, 'BYE')
    expect(island.inbox.all('answered')).toHaveLength(1)
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('one that is busy does not stop the other; when all refuse the best reason is told', async () => {
    const [first, second] = [await island.user('alice'), await island.user('alice')]
    const leg = island.invite('alice')
    ;(await callOf(first)).refuse(486, { headers: [line('Reason', 'SIP;cause=486;text="in a meeting"')] })
    const other = await callOf(second)
    await island.inbox.wait('alerting', leg)
    expect(island.inbox.all('ended')).toEqual([])
    other.refuse(480)
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({ cause: 'busy', sip: 486, text: 'in a meeting' })
  })

  it('a decline for all devices ends the ringing of the others at once', async () => {
    const [first, second] = [await island.user('alice'), await island.user('alice')]
    const leg = island.invite('alice')
    const other = await callOf(second)
    await island.inbox.wait('alerting', leg)
    ;(await callOf(first)).refuse(603)
    expect((await island.inbox.wait('ended', leg)).reason).toEqual({ cause: 'declined', sip: 603 })
    await request(second, 'CANCEL')
    await until(() => other.state === 'ended')
    expect(island.inbox.all('ended')).toHaveLength(1)
  })

  it('the first early media stands; the answer of another device brings its own', async () => {
    const [first, second] = [
      await island.user('alice', { incoming: lateAnswer }),
      await island.user('alice', { incoming: lateAnswer })
    ]
    const leg = island.invite('alice')
    const [one, two] = [await callOf(first), await callOf(second)]
    one.ring({ status: 183, body: sdp('early one') })
    expect(await island.inbox.wait('progressed', leg)).toMatchObject({ sdp: sdp('early one'), reliable: false })
    two.ring({ status: 183, body: sdp('early two') })
    two.answer({ body: sdp('answer two') })
    expect((await island.inbox.wait('answered', leg)).sdp).toBe(sdp('answer two'))
    expect(island.inbox.all('progressed')).toHaveLength(1)
  })

  it('reliable early media without SDP in the answer stands as the answer', async () => {
    const alice = await island.user('alice', { incoming: lateAnswer })
    const leg = island.invite('alice')
    const call = await callOf(alice)
    call.ring({ status: 183, body: sdp('early'), reliable: true })
    await island.inbox.wait('progressed', leg)
    await request(alice, 'PRACK')
    call.answer()
    expect((await island.inbox.wait('answered', leg)).sdp).toBe(sdp('early'))
  })

  it('one whose connection is lost leaves the others ringing', async () => {
    const [first, second] = [await island.user('alice'), await island.user('alice')]
    const leg = island.invite('alice')
    await callOf(first)
    const other = await callOf(second)
    first.socket.terminate()
    await until(() => island.adapter.registered('island', 'alice') === 1)
    other.answer({ body: sdp('answer') })
    await island.inbox.wait('answered', leg)
    expect(island.inbox.all('ended')).toEqual([])
  })

  it('the same device on a new connection rings once', async () => {
    const before = await island.user('alice', { instance: 'phone' })
    const after = await island.user('alice', { instance: 'phone' })
    island.invite('alice')
    await callOf(after)
    expect(before.calls).toEqual([])
    expect(island.adapter.registered('island', 'alice')).toBe(1)
  })
})
