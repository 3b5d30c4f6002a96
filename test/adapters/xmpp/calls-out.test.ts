// Calls from the core to a user of an XMPP island, against a device whose every word is written here.

import { describe, expect, it } from '@jest/globals'
import parseMessage from '@xmpp/xml/lib/parse.js'
import { deviceToCall } from '../../../src/adapters/xmpp/calls.ts'
import type { Device } from '../../../src/adapters/xmpp/link.ts'
import type { LegRef, Release, Sdp } from '../../../src/session/model.ts'
import {
  bundleXml,
  candidateXml,
  contentXml,
  infoXml,
  invitation,
  jmiXml,
  openIsland,
  phone,
  proposeXml,
  reasonXml,
  sdp,
  settle,
  shape,
  tablet,
  transportXml
} from '../../support/xmpp-island.ts'
import type { Island } from '../../support/xmpp-island.ts'

const release = (cause: Release['cause']): Release => ({ cause, from: 'caller' })
const jmiLess: Device = {
  jid: phone,
  priority: 5,
  features: new Set(['urn:xmpp:jingle:1', 'urn:xmpp:jingle:apps:rtp:audio'])
}
const withJmi: Device = { ...jmiLess, features: new Set([...jmiLess.features!, 'urn:xmpp:jingle-message:0']) }

/** A call that has been answered on the phone. */
async function talking(
  island: Island,
  offer: Sdp = sdp(),
  accept: string = contentXml({ setup: 'active' })
): Promise<LegRef> {
  const leg = island.invite({ sdp: offer })
  await settle()
  island.message(jmiXml('proceed'), { to: '+4930123456@gw.island.example/gw' })
  await settle()
  expect(island.iq('session-accept', { body: accept })).toBe('result')
  await settle()
  expect(island.inbox.all('answered', leg)).toHaveLength(1)
  island.said()
  return leg
}

describe('a call to a user', () => {
  it('is proposed to all devices, rings, and goes to the one that takes it', async () => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    const [propose] = island.link.sent
    expect(propose!.attrs).toMatchObject({
      to: 'user@island.example',
      from: '+4930123456@gw.island.example/gw',
      type: 'chat'
    })
    expect(propose!.getChild('store', 'urn:xmpp:hints')).toBeDefined()
    expect(
      propose!
        .getChild('propose')!
        .getChildElements()
        .map(each => each.attrs['media'])
    ).toEqual(['audio'])
    island.message(jmiXml('ringing'), { from: tablet })
    island.message(jmiXml('ringing'), { from: phone })
    await settle()
    expect(island.inbox.all('alerting', leg)).toHaveLength(1)
    island.message(jmiXml('proceed'), { from: phone })
    await settle()
    expect(island.said()).toEqual(['propose', 'session-initiate'])
    expect(island.link.sent[1]!.attrs['to']).toBe(phone)
    expect(island.jingle('session-initiate').initiator).toBe('+4930123456@gw.island.example/gw')
    expect(island.iq('session-accept', { body: contentXml({ setup: 'active' }) })).toBe('result')
    await settle()
    const [answered] = island.inbox.all('answered', leg)
    expect(shape(answered!.sdp)).toEqual(['audio sendrecv'])
    expect(answered!.party?.asserted).toEqual(['tel:+49301', 'sip:user@island.example'])
    expect(island.inbox.all('learned', leg)[0]!.facts.dialogId).toBe('sid-1')
    expect(island.clock.waiting).toBe(0)
  })

  it('a video call is proposed as one', async () => {
    const island = openIsland()
    island.invite({ sdp: sdp({ media: ['audio', 'video'] }) })
    await settle()
    const medias = island.link.sent[0]!.getChild('propose')!
      .getChildElements()
      .map(each => each.attrs['media'])
    expect(medias).toEqual(['audio', 'video'])
  })

  it('a device that says nothing is taken to ring after a moment', async () => {
    const island = openIsland()
    const leg = island.invite()
    await island.clock.pass(2_900)
    expect(island.inbox.all('alerting', leg)).toHaveLength(0)
    await island.clock.pass(200)
    expect(island.inbox.all('alerting', leg)).toHaveLength(1)
    island.message(jmiXml('ringing'))
    await settle()
    expect(island.inbox.all('alerting', leg)).toHaveLength(1)
  })

  it('the second device to accept is told that the first has the call', async () => {
    const island = openIsland()
    island.invite()
    await settle()
    island.message(jmiXml('proceed'), { from: phone })
    island.message(jmiXml('proceed'), { from: tablet })
    island.message(jmiXml('proceed'), { from: phone })
    await settle()
    expect(island.said()).toEqual(['propose', 'session-initiate', 'retract(cancel)'])
    expect(island.link.sent.map(each => each.attrs['to'])).toEqual(['user@island.example', phone, tablet])
  })

  it.each([
    ['busy', 'busy'],
    ['decline', 'declined'],
    ['', 'busy']
  ])('a reject with "%s" refuses the call as %s', async (word, cause) => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    const reason = word === '' ? '' : `<reason xmlns="urn:xmpp:jingle:1"><${word}/></reason>`
    island.message(jmiXml('reject', 'sid-1', reason))
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe(cause)
    expect(island.calls.count).toBe(0)
  })

  it('errors of dead devices never end a fork that lives, before, during and after it is answered', async () => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    const bounce = (condition: string): boolean =>
      island.calls.onMessage(
        // Some servers send back what they could not deliver: nobody looks at it.
        parseMessage(
          `<message type="error" id="jm-propose-sid-1" from="user@island.example" to="+4930123456@gw.island.example/gw">${proposeXml('sid-1')}<error type="cancel"><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`
        )
      )
    expect(bounce('recipient-unavailable')).toBe(true)
    expect(bounce('service-unavailable')).toBe(true)
    await island.clock.pass(1_900)
    island.message(jmiXml('proceed'))
    await island.clock.pass(5_000)
    bounce('service-unavailable')
    island.iq('session-accept', { body: contentXml({ setup: 'active' }) })
    bounce('item-not-found')
    await island.clock.pass(11_000)
    expect(island.inbox.all('ended', leg)).toEqual([])
    expect(island.inbox.all('answered', leg)).toHaveLength(1)
  })

  it.each([
    ['service-unavailable', 'unavailable'],
    ['item-not-found', 'not-found']
  ])('a proposal that nobody takes because of %s ends as %s two seconds later', async (condition, cause) => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    island.calls.onMessage(
      parseMessage(
        `<message type="error" id="jm-propose-sid-1" from="user@island.example" to="+4930123456@gw.island.example/gw"><error type="cancel"><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`
      )
    )
    await island.clock.pass(1_900)
    expect(island.inbox.all('ended', leg)).toEqual([])
    await island.clock.pass(200)
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe(cause)
    expect(island.inbox.all('alerting', leg)).toEqual([])
    expect(island.clock.waiting).toBe(0)
  })

  it.each(['cancelled', 'no-answer', 'answered-elsewhere'] as const)('given up as %s it is retracted', async cause => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    island.calls.end(leg, release(cause))
    await settle()
    expect(island.said()).toEqual(['propose', cause === 'no-answer' ? 'retract(timeout)' : 'retract(cancel)'])
    island.message(jmiXml('proceed'))
    await settle()
    expect(island.said()).toEqual([])
    expect(island.clock.waiting).toBe(0)
  })

  it('given up after a device has taken it the session is ended, and its end announced', async () => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    island.message(jmiXml('proceed'))
    await settle()
    island.calls.end(leg, release('cancelled'))
    await settle()
    expect(island.said()).toEqual(['propose', 'session-initiate', 'session-terminate(cancel)', 'finish(cancel)'])
    expect(island.inbox.all('ended', leg)).toEqual([])
  })

  it('a device without JMI is called at once, the one of highest priority; knowing none asks all', () => {
    const low = { ...jmiLess, jid: tablet, priority: 0 }
    const unknown = { ...jmiLess, features: null }
    const sees = { ...low, features: new Set([...low.features!, 'urn:xmpp:jingle:apps:rtp:video']) }
    expect(deviceToCall([low, jmiLess], false)).toBe(phone)
    expect(deviceToCall([sees, jmiLess], true)).toBe(tablet)
    expect(deviceToCall([low, withJmi], false)).toBeNull()
    expect(deviceToCall([unknown], false)).toBeNull()
    expect(deviceToCall([], false)).toBeNull()
  })

  it('a device without JMI hears no message at all', async () => {
    const island = openIsland()
    island.devices = [jmiLess]
    const leg = island.invite()
    await settle()
    island.iq('session-info', { body: infoXml('ringing') })
    await settle()
    expect(island.inbox.all('alerting', leg)).toHaveLength(1)
    island.iq('session-accept', { body: contentXml({ setup: 'active' }) })
    await settle()
    island.calls.end(leg, release('normal'))
    await settle()
    expect(island.said()).toEqual(['session-initiate', 'session-terminate(success)'])
  })

  it.each([
    ['service-unavailable', 'unavailable'],
    ['item-not-found', 'not-found'],
    ['timeout', 'peer-failed'],
    ['down', 'unreachable'],
    [{ condition: 'conflict', extra: 'tie-break' }, 'busy']
  ] as const)('a session-initiate answered by %j ends the leg as %s', async (reply, cause) => {
    const island = openIsland()
    island.devices = [jmiLess]
    island.link.reply = () => reply
    const leg = island.invite()
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe(cause)
    expect(island.calls.count).toBe(0)
  })

  it.each([
    ['busy', 'busy'],
    ['decline', 'declined'],
    ['cancel', 'declined'],
    ['success', 'declined'],
    ['timeout', 'no-answer'],
    ['gone', 'unavailable'],
    ['connectivity-error', 'incompatible-media'],
    ['security-error', 'forbidden'],
    ['general-error', 'peer-failed']
  ])('a session-terminate with %s before the answer ends the leg as %s', async (word, cause) => {
    const island = openIsland()
    island.devices = [jmiLess]
    const leg = island.invite()
    await settle()
    expect(island.iq('session-terminate', { body: reasonXml(word) })).toBe('result')
    expect(island.iq('session-terminate', { body: reasonXml(word) })).toBe('result')
    await settle()
    expect(island.inbox.all('ended', leg).map(each => each.reason.cause)).toEqual([cause])
  })

  it('a call that cannot be begun ends at once, and says why', async () => {
    const island = openIsland({ limits: { sessionsMax: 1 } })
    const causes = [
      island.invite({ target: { ...invitation().target, uri: 'sip:user@elsewhere.example' } }),
      island.invite({ sdp: null }),
      island.invite(),
      island.invite()
    ]
    await settle()
    expect(causes.map(leg => island.inbox.all('ended', leg)[0]?.reason.cause)).toEqual([
      'not-found',
      'internal',
      undefined,
      'congestion'
    ])
    island.link.connected = false
    const away = openIsland()
    away.link.connected = false
    const leg = away.invite()
    await settle()
    expect(away.inbox.all('ended', leg)[0]!.reason.cause).toBe('unreachable')
  })

  it('a withheld caller is one address for all', async () => {
    const island = openIsland()
    island.invite({ from: { asserted: [], presented: null, display: null, privacy: ['id'] } })
    await settle()
    expect(island.link.sent[0]!.attrs['from']).toBe('anonymous@gw.island.example/gw')
    expect(
      island.iq('session-initiate', { sid: 'back', to: 'anonymous@gw.island.example/gw', body: contentXml() })
    ).toBe('item-not-found')
  })

  it('an answer has the media lines of the offer, in its order; what the device left out is rejected', async () => {
    const island = openIsland()
    island.invite({ sdp: sdp({ media: ['audio', 'video'] }) })
    await settle()
    island.message(jmiXml('proceed'))
    await settle()
    island.iq('session-accept', { body: contentXml({ setup: 'active' }) })
    await settle()
    expect(shape(island.inbox.all('answered')[0]!.sdp)).toEqual(['audio sendrecv', 'video rejected'])
  })

  it('an answer that leaves open who begins with DTLS lets the hub begin', async () => {
    const island = openIsland()
    await talking(island, sdp(), contentXml({ setup: 'actpass' }))
    expect(island.inbox.all('answered')[0]!.sdp).toContain('a=setup:passive')
  })

  it('candidates ahead of the answer belong to it', async () => {
    const island = openIsland()
    island.invite()
    await settle()
    island.message(jmiXml('proceed'))
    await settle()
    const early = `<content creator="initiator" name="0"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="usr1" pwd="p">${candidateXml}</transport></content>`
    expect(island.iq('transport-info', { body: early })).toBe('result')
    island.iq('session-accept', { body: contentXml({ setup: 'active', candidate: false }) })
    await settle()
    expect(island.inbox.all('answered')[0]!.sdp).toContain('a=candidate:1 1 udp 9 192.0.2.9 5000 typ host')
  })

  it('an answer without DTLS ends the call', async () => {
    const island = openIsland()
    const leg = island.invite()
    await settle()
    island.message(jmiXml('proceed'))
    await settle()
    const plain = contentXml().replace(/<fingerprint.*<\/fingerprint>/, '')
    expect(island.iq('session-accept', { body: plain })).toBe('result')
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason).toMatchObject({ cause: 'incompatible-media' })
    expect(island.said()).toContain('session-terminate(incompatible-parameters)')
  })

  it('somebody else with the right sid is nobody', async () => {
    const island = openIsland()
    await talking(island)
    expect(island.iq('session-terminate', { from: tablet })).toBe('item-not-found unknown-session')
    expect(island.iq('session-terminate', { from: 'user2@island.example/phone' })).toBe(
      'item-not-found unknown-session'
    )
    await settle()
    expect(island.inbox.all('ended')).toEqual([])
  })
})

describe('a call that talks', () => {
  it.each([
    ['success', 'normal', 16],
    ['cancel', 'normal', 16],
    ['connectivity-error', 'media-lost', 41],
    ['general-error', 'peer-failed', 41],
    ['expired', 'expired', 31]
  ])('is hung up by the user with %s as %s, Q.850 %i; the end is announced once', async (word, cause, q850) => {
    const island = openIsland()
    const leg = await talking(island)
    expect(island.iq('session-terminate', { body: reasonXml(word) })).toBe('result')
    await settle()
    expect(island.inbox.all('ended', leg).map(each => each.reason)).toEqual([{ cause, q850 }])
    expect(island.said()[0]).toMatch(/^finish/)
    expect(island.iq('session-info', { body: infoXml('hold') })).toBe('result')
    island.message(jmiXml('finish'))
    await settle()
    expect(island.inbox.all('ended')).toHaveLength(1)
    expect(island.said()).toEqual([])
  })

  it('user holds and resumes: re-offers to the core, and nothing more to the user', async () => {
    const island = openIsland()
    const leg = await talking(island)
    expect(island.iq('session-info', { body: infoXml('hold') })).toBe('result')
    expect(island.iq('session-info', { body: infoXml('hold') })).toBe('result')
    await settle()
    expect(shape(island.inbox.all('reoffered', leg)[0]!.sdp)).toEqual(['audio sendonly'])
    island.calls.answerReoffer(leg, sdp({ direction: 'recvonly', setup: 'passive' }))
    expect(island.iq('session-info', { body: infoXml('active') })).toBe('result')
    await settle()
    expect(island.inbox.all('reoffered', leg).map(each => shape(each.sdp))).toEqual([
      ['audio sendonly'],
      ['audio sendrecv']
    ])
    island.calls.answerReoffer(leg, sdp({ setup: 'passive' }))
    await settle()
    expect(island.said()).toEqual([])
  })

  it('user resumes before the core has answered the hold: the core hears of it after', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.iq('session-info', { body: infoXml('hold') })
    island.iq('session-info', { body: infoXml('unhold') })
    await settle()
    expect(island.inbox.all('reoffered')).toHaveLength(1)
    island.calls.answerReoffer(leg, sdp({ direction: 'recvonly', setup: 'passive' }))
    await settle()
    expect(island.inbox.all('reoffered').map(each => shape(each.sdp)[0])).toEqual(['audio sendonly', 'audio sendrecv'])
  })

  it('the core holds and resumes: session-info, and an answer at once', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp({ direction: 'sendonly' }) })
    island.calls.reoffer(leg, { exchange: 3, sdp: sdp({ direction: 'inactive' }) })
    island.calls.reoffer(leg, { exchange: 4, sdp: sdp() })
    await settle()
    expect(island.said()).toEqual(['session-info hold', 'session-info active'])
    expect(island.inbox.all('reofferAnswered', leg).map(each => [each.exchange, ...shape(each.sdp)])).toEqual([
      [2, 'audio recvonly'],
      [3, 'audio inactive'],
      [4, 'audio sendrecv']
    ])
  })

  it('a re-offer that changes nothing for the user is answered from what it said', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp() })
    await settle()
    expect(island.said()).toEqual([])
    const [answer] = island.inbox.all('reofferAnswered', leg)
    expect(answer!.sdp).toContain('a=setup:active')
    expect(answer!.sdp).toContain('a=candidate:1 1 udp 9 192.0.2.9 5000')
  })

  it('crossing changes: what the core refuses as glare is tried again a little later, for a while', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.iq('session-info', { body: infoXml('hold') })
    await settle()
    for (let tried = 1; tried <= 5; tried += 1) {
      expect(island.inbox.all('reoffered')).toHaveLength(tried)
      island.calls.refuseReoffer(leg, 'glare')
      await island.clock.pass(1_000)
    }
    expect(island.inbox.all('reoffered')).toHaveLength(5)
    expect(island.clock.waiting).toBe(0)
  })

  it('mute, an empty session-info and description-info are only taken note of; what is unknown is refused', async () => {
    const island = openIsland()
    await talking(island)
    expect(island.iq('session-info', { body: infoXml('mute') })).toBe('result')
    expect(island.iq('session-info')).toBe('result')
    expect(island.iq('description-info', { body: contentXml() })).toBe('result')
    expect(island.iq('session-info', { body: '<x xmlns="urn:example:x"/>' })).toBe(
      'feature-not-implemented unsupported-info'
    )
    expect(island.iq('security-info')).toBe('feature-not-implemented unsupported-info')
    await settle()
    expect(island.inbox.heard.filter(each => each.type === 'reoffered')).toEqual([])
  })

  it('tones go both ways', async () => {
    const island = openIsland()
    const leg = await talking(island)
    const tone = (attrs: string): string =>
      island.iq('session-info', { body: `<dtmf xmlns="urn:xmpp:jingle:dtmf:0" ${attrs}/>` })
    expect(tone('code="5" duration="200"')).toBe('result')
    expect(tone('code="#"')).toBe('result')
    expect(tone('code="*" duration="999999"')).toBe('result')
    expect(tone('code="55"')).toBe('feature-not-implemented unsupported-info')
    island.calls.sendTone(leg, { digit: '7', durationMs: 120 })
    await settle()
    expect(island.inbox.all('toned', leg).map(each => each.tone)).toEqual([
      { digit: '5', durationMs: 200 },
      { digit: '#', durationMs: 160 },
      { digit: '*', durationMs: 8_000 }
    ])
    expect(island.jingle('session-info').rest[0]!.attrs).toMatchObject({ code: '7', duration: '120' })
  })

  it('the user adds video: accepted, or rejected, as the core says', async () => {
    const island = openIsland()
    const leg = await talking(island)
    const video = contentXml({ name: 'cam', media: 'video', creator: 'responder' })
    expect(island.iq('content-add', { body: bundleXml('0', 'cam') + video })).toBe('result')
    await settle()
    expect(shape(island.inbox.all('reoffered', leg)[0]!.sdp)).toEqual(['audio sendrecv', 'video sendrecv'])
    expect(island.inbox.all('reoffered', leg)[0]!.sdp).toContain('a=group:BUNDLE 0 cam')
    island.calls.answerReoffer(leg, sdp({ media: ['audio', 'video'], setup: 'passive' }))
    await settle()
    expect(island.said()).toEqual(['content-accept'])
    expect(island.jingle('content-accept').contents[0]).toMatchObject({ name: 'cam', creator: 'responder' })
    const other = openIsland()
    const second = await talking(other)
    other.iq('content-add', { body: video })
    await settle()
    other.calls.answerReoffer(second, sdp({ media: ['audio', 'no-video'], setup: 'passive' }))
    await settle()
    expect(other.said()).toEqual(['content-reject'])
    expect(other.iq('content-add', { body: video })).toBe('result')
    await settle()
    other.calls.refuseReoffer(second, 'unacceptable')
    await settle()
    expect(other.said()).toEqual(['content-reject'])
    other.calls.reoffer(second, { exchange: 9, sdp: sdp() })
    await settle()
    expect(shape(other.inbox.all('reofferAnswered', second)[0]!.sdp)).toEqual(['audio sendrecv'])
  })

  it('the core adds video: the device accepts, rejects, does not know how, or says nothing', async () => {
    const both = sdp({ media: ['audio', 'video'] })
    const answers = async (
      act: (island: Island) => Promise<void> | void,
      reply: Island['link']['reply'] = () => 'ok'
    ) => {
      const island = openIsland()
      const leg = await talking(island)
      island.link.reply = reply
      island.calls.reoffer(leg, { exchange: 2, sdp: both })
      await settle()
      await act(island)
      await settle()
      return {
        shape: shape(island.inbox.all('reofferAnswered', leg)[0]?.sdp ?? null),
        said: island.said(),
        island,
        leg
      }
    }
    const accepted = await answers(island => {
      const accept = contentXml({ name: '1', media: 'video', setup: 'active' })
      expect(island.iq('content-accept', { body: accept })).toBe('result')
    })
    expect(accepted).toMatchObject({ shape: ['audio sendrecv', 'video sendrecv'], said: ['content-add'] })
    const rejected = await answers(
      island => void island.iq('content-reject', { body: '<content creator="initiator" name="1"/>' })
    )
    expect(rejected).toMatchObject({ shape: ['audio sendrecv', 'video rejected'], said: ['content-add'] })
    // As stanza does it: without a word of what is rejected.
    const wordless = await answers(island => expect(island.iq('content-reject')).toBe('result'))
    expect(wordless).toMatchObject({ shape: ['audio sendrecv', 'video rejected'], said: ['content-add'] })
    const unable = await answers(
      () => undefined,
      ({ action }) => (action === 'content-add' ? 'bad-request' : 'ok')
    )
    expect(unable).toMatchObject({ shape: ['audio sendrecv', 'video rejected'] })
    const silent = await answers(island => island.clock.pass(25_100))
    expect(silent).toMatchObject({
      shape: ['audio sendrecv', 'video rejected'],
      said: ['content-add', 'content-remove']
    })
    accepted.island.calls.reoffer(accepted.leg, { exchange: 3, sdp: sdp({ media: ['audio', 'no-video'] }) })
    await settle()
    expect(accepted.island.said()).toEqual(['content-remove'])
    expect(shape(accepted.island.inbox.all('reofferAnswered')[1]!.sdp)).toEqual(['audio sendrecv', 'video rejected'])
  })

  it('both add at once: the initiator stands, the responder gives way', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp({ media: ['audio', 'video'] }) })
    await settle()
    const video = contentXml({ name: 'cam', media: 'video', creator: 'responder' })
    expect(island.iq('content-add', { body: video })).toBe('conflict tie-break')
    const loser = openIsland()
    const second = await talking(loser)
    loser.link.reply = () => ({ condition: 'conflict', extra: 'tie-break' })
    loser.calls.reoffer(second, { exchange: 2, sdp: sdp({ media: ['audio', 'video'] }) })
    await settle()
    expect(loser.inbox.all('reofferRefused', second)).toEqual([
      { type: 'reofferRefused', leg: second, exchange: 2, why: 'glare' }
    ])
    expect(loser.clock.waiting).toBe(0)
  })

  it('the user removes its video, turns it another way, and at last removes the call', async () => {
    const island = openIsland()
    const both = contentXml({ setup: 'active' }) + contentXml({ name: '1', media: 'video', setup: 'active' })
    const leg = await talking(island, sdp({ media: ['audio', 'video'] }), both)
    expect(island.iq('content-modify', { body: '<content creator="initiator" name="1" senders="initiator"/>' })).toBe(
      'result'
    )
    await settle()
    island.calls.answerReoffer(leg, sdp({ media: ['audio', 'video'], setup: 'passive', video: 'sendonly' }))
    expect(island.iq('content-remove', { body: '<content creator="initiator" name="1"/>' })).toBe('result')
    await settle()
    island.calls.answerReoffer(leg, sdp({ media: ['audio', 'no-video'], setup: 'passive' }))
    expect(island.inbox.all('reoffered').map(each => shape(each.sdp))).toEqual([
      ['audio sendrecv', 'video recvonly'],
      ['audio sendrecv', 'video rejected']
    ])
    expect(island.iq('content-remove', { body: '<content creator="initiator" name="0"/>' })).toBe('result')
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('normal')
  })

  it('new ICE credentials of the user restart its leg; candidates alone do nothing', async () => {
    const island = openIsland()
    const leg = await talking(island)
    const info = (transport: string): string => `<content creator="initiator" name="0">${transport}</content>`
    expect(island.iq('transport-info', { body: info(transportXml('usr1')) })).toBe('result')
    await settle()
    expect(island.inbox.all('reoffered')).toEqual([])
    expect(island.iq('transport-info', { body: info(transportXml('usr2')) })).toBe('result')
    await settle()
    expect(island.inbox.all('reoffered', leg)[0]!.sdp).toContain('a=ice-ufrag:usr2')
    expect(island.inbox.all('reoffered', leg)[0]!.sdp).not.toContain('usr1')
    island.calls.answerReoffer(leg, sdp({ setup: 'passive', ufrag: 'hub2' }))
    await settle()
    expect(island.said()).toEqual(['transport-info'])
    expect(island.jingle('transport-info').contents[0]!.transport!.attrs['ufrag']).toBe('hub2')
  })

  it('a replaced transport is accepted if it is ICE, else rejected', async () => {
    const island = openIsland()
    const leg = await talking(island)
    const replace = (transport: string): string =>
      island.iq('transport-replace', { body: `<content creator="initiator" name="0">${transport}</content>` })
    expect(replace('<transport xmlns="urn:xmpp:jingle:transports:s5b:1"/>')).toBe('result')
    await settle()
    expect(island.said()).toEqual(['transport-reject'])
    expect(replace(transportXml('usr3'))).toBe('result')
    await settle()
    island.calls.answerReoffer(leg, sdp({ setup: 'passive', ufrag: 'hub3' }))
    await settle()
    expect(island.said()).toEqual(['transport-accept'])
    expect(replace(transportXml('usr4'))).toBe('result')
    await settle()
    island.calls.refuseReoffer(leg, 'unacceptable')
    await settle()
    expect(island.said()).toEqual(['transport-reject'])
  })

  it('new ICE credentials of the hub wait for those of the user, not for ever', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp({ ufrag: 'hub2' }) })
    await settle()
    expect(island.said()).toEqual(['transport-info'])
    expect(island.inbox.all('reofferAnswered')).toEqual([])
    expect(
      island.iq('transport-info', { body: `<content creator="initiator" name="0">${transportXml('usr2')}</content>` })
    ).toBe('result')
    await settle()
    expect(island.inbox.all('reofferAnswered', leg)[0]!.sdp).toContain('a=ice-ufrag:usr2')
    island.calls.reoffer(leg, { exchange: 3, sdp: sdp({ ufrag: 'hub3' }) })
    await island.clock.pass(5_100)
    expect(island.inbox.all('reofferRefused', leg)[0]).toMatchObject({ exchange: 3, why: 'timeout' })
  })

  it('actions that come twice are taken once', async () => {
    const island = openIsland()
    const leg = await talking(island)
    expect(island.iq('session-accept', { body: contentXml({ setup: 'active' }) })).toBe('result')
    await settle()
    expect(island.inbox.all('answered', leg)).toHaveLength(1)
  })

  it('a device that goes offline has a while to come back', async () => {
    const island = openIsland()
    const leg = await talking(island)
    const presence = (type: string): void =>
      island.calls.onPresence(parseMessage(`<presence from="${phone}" to="+4930123456@gw.island.example"${type}/>`))
    presence(' type="unavailable"')
    await island.clock.pass(29_000)
    presence('')
    await island.clock.pass(10_000)
    expect(island.inbox.all('ended')).toEqual([])
    presence(' type="unavailable"')
    await island.clock.pass(30_100)
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('peer-failed')
    expect(island.said()[0]).toMatch(/^session-terminate/)
  })

  it('a device that has lost the session ends the call', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.link.reply = () => ({ condition: 'item-not-found', extra: 'unknown-session' })
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp({ direction: 'sendonly' }) })
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('peer-failed')
  })

  it('lives on while the server is away; its end is said when the server is back', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.link.connected = false
    island.calls.onDown('restart')
    await settle()
    expect(island.inbox.all('ended')).toEqual([])
    island.calls.end(leg, release('normal'))
    await settle()
    expect(island.said()).toEqual([])
    island.link.connected = true
    island.calls.onUp()
    await settle()
    expect([...island.said()].sort()).toEqual(['finish(success)', 'session-terminate(success)'])
  })
})
