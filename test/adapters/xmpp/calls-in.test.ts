// Calls from a user of an XMPP island to the core, against a device whose every word is written here.

import { describe, expect, it } from '@jest/globals'
import parseXml from '@xmpp/xml/lib/parse.js'
import type { Release } from '../../../src/session/model.ts'
import {
  bundleXml,
  candidateXml,
  contentXml,
  infoXml,
  jmiXml,
  openIsland,
  phone,
  proposeXml,
  reasonXml,
  replied,
  sdp,
  settle,
  shape,
  tablet,
  transportXml
} from '../../support/xmpp-island.ts'
import type { Island } from '../../support/xmpp-island.ts'

const release = (cause: Release['cause'], more: Partial<Release> = {}): Release => ({ cause, from: 'callee', ...more })
const initiate = (island: Island, body = contentXml()): string => island.iq('session-initiate', { body })
const answered = sdp({ setup: 'passive' })

describe('a call from a user', () => {
  it('proposed: may begin at once, and the core hears of it with its media', async () => {
    const island = openIsland()
    island.message(proposeXml())
    await settle()
    expect(island.said()).toEqual(['proceed'])
    expect(island.link.sent[0]!.attrs).toMatchObject({ from: '+4930123456@gw.island.example/gw', to: phone })
    expect(island.inbox.all('offered')).toEqual([])
    expect(initiate(island)).toBe('result')
    await settle()
    const [offered] = island.inbox.all('offered')
    expect(offered!.call).toMatchObject({
      called: 'tel:+4930123456',
      service: 'voice',
      caller: {
        access: 'xmpp',
        peerId: 'island',
        media: 'webrtc',
        party: { presented: 'tel:+49301', trust: 'network' }
      },
      facts: { dialogId: 'sid-1', neighbour: '127.0.0.1:5347' }
    })
    expect(shape(offered!.call.sdp)).toEqual(['audio sendrecv'])
    const { leg } = offered!
    island.calls.alert(leg)
    island.calls.progress(leg, { sdp: answered, reliable: false })
    island.calls.alert(leg)
    island.calls.answer(leg, { sdp: answered, connected: null })
    await settle()
    expect(island.said()).toEqual(['session-info ringing', 'session-accept'])
    const accept = island.jingle('session-accept')
    expect(accept.responder).toBe('+4930123456@gw.island.example/gw')
    expect(accept.contents[0]).toMatchObject({ name: '0', creator: 'initiator', senders: 'both' })
    expect(accept.contents[0]!.transport!.getChild('fingerprint')!.attrs['setup']).toBe('passive')
    expect(island.inbox.all('acknowledged', leg)).toHaveLength(1)
    expect(island.clock.waiting).toBe(0)
    island.calls.end(leg, release('normal'))
    await settle()
    expect(island.said()).toEqual(['session-terminate(success)', 'finish(success)'])
  })

  it('without a proposal, from a client that knows no JMI: the same, and no messages', async () => {
    const island = openIsland()
    expect(initiate(island)).toBe('result')
    await settle()
    const [{ leg } = { leg: null }] = island.inbox.all('offered')
    island.calls.end(leg!, release('busy', { sip: 486 }))
    await settle()
    expect(island.said()).toEqual(['session-terminate(busy)'])
    expect(island.calls.count).toBe(0)
  })

  it.each([
    ['declined', 'decline'],
    ['not-found', 'gone'],
    ['no-answer', 'timeout'],
    ['incompatible-media', 'incompatible-parameters'],
    ['forbidden', 'security-error'],
    ['congestion', 'general-error']
  ] as const)('refused as %s it ends with %s', async (cause, word) => {
    const island = openIsland()
    initiate(island)
    await settle()
    island.calls.end(island.inbox.all('offered')[0]!.leg, release(cause))
    await settle()
    expect(island.said()).toEqual([`session-terminate(${word})`])
  })

  it('the reliable early answer stands where the final one repeats nothing', async () => {
    const island = openIsland()
    initiate(island)
    await settle()
    const { leg } = island.inbox.all('offered')[0]!
    island.calls.progress(leg, { sdp: answered, reliable: true })
    island.calls.reoffer(leg, { exchange: 2, sdp: sdp({ setup: 'passive' }) })
    island.calls.answer(leg, { sdp: null, connected: null })
    await settle()
    expect(island.said()).toEqual(['session-info ringing', 'session-accept'])
    expect(shape(island.inbox.all('reofferAnswered', leg)[0]!.sdp)).toEqual(['audio sendrecv'])
  })

  it('an answer that leaves DTLS open never reaches the user so', async () => {
    const island = openIsland()
    initiate(island)
    await settle()
    island.calls.answer(island.inbox.all('offered')[0]!.leg, { sdp: sdp(), connected: null })
    await settle()
    expect(island.jingle('session-accept').contents[0]!.transport!.getChild('fingerprint')!.attrs['setup']).toBe(
      'active'
    )
  })

  it('without candidates it waits for them, a moment only', async () => {
    const late = openIsland()
    expect(initiate(late, contentXml({ candidate: false }))).toBe('result')
    await settle()
    expect(late.inbox.all('offered')).toEqual([])
    const info = `<content creator="initiator" name="0"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="usr1" pwd="p">${candidateXml}</transport></content>`
    expect(late.iq('transport-info', { body: info })).toBe('result')
    await settle()
    expect(late.inbox.all('offered')[0]!.call.sdp).toContain('a=candidate:1 1 udp 9 192.0.2.9 5000')
    const never = openIsland()
    initiate(never, contentXml({ candidate: false }))
    await never.clock.pass(250)
    expect(never.inbox.all('offered')[0]!.call.sdp).not.toContain('a=candidate')
  })

  it('with sound and pictures apart it waits for candidates of each, or to hear that there are no more', async () => {
    const both =
      contentXml({ candidate: false }) + contentXml({ name: '1', media: 'video', candidate: false, ufrag: 'usr2' })
    const trickled = (name: string, ufrag: string, child = candidateXml): string =>
      `<content creator="initiator" name="${name}"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="${ufrag}">${child}</transport></content>`
    const heard = async (...infos: readonly string[]): Promise<readonly boolean[]> => {
      const island = openIsland()
      initiate(island, both)
      const offered: boolean[] = []
      for (const body of infos) {
        expect(island.iq('transport-info', { body })).toBe('result')
        await settle()
        offered.push(island.inbox.all('offered').length === 1)
      }
      return offered
    }
    expect(await heard(trickled('0', 'usr1'), trickled('1', 'usr2'))).toEqual([false, true])
    expect(await heard(trickled('0', 'usr1'), trickled('0', 'usr1', '<gathering-complete/>'))).toEqual([false, true])
  })

  it('candidates that come before the session belong to it', async () => {
    const island = openIsland()
    const info = `<content creator="initiator" name="0"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="usr1" pwd="p">${candidateXml}</transport></content>`
    for (let times = 0; times < 3; times += 1) expect(island.iq('transport-info', { body: info })).toBe('result')
    expect(initiate(island, contentXml({ candidate: false }))).toBe('result')
    await settle()
    expect(island.inbox.all('offered')[0]!.call.sdp).toContain('a=candidate:1 1 udp 9 192.0.2.9 5000')
  })

  it('candidates too early are forgotten after five seconds', async () => {
    const island = openIsland()
    const info = `<content creator="initiator" name="0"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1">${candidateXml}</transport></content>`
    island.iq('transport-info', { body: info })
    await island.clock.pass(5_100)
    initiate(island, contentXml({ candidate: false }))
    await island.clock.pass(250)
    expect(island.inbox.all('offered')[0]!.call.sdp).not.toContain('a=candidate')
  })

  it('a proposal that is taken back, or never becomes a session, leaves nothing', async () => {
    const island = openIsland()
    island.message(proposeXml())
    await settle()
    island.message(jmiXml('retract'))
    await settle()
    expect(island.calls.count).toBe(0)
    island.message(proposeXml('sid-2'))
    await island.clock.pass(30_100)
    expect(island.said()).toEqual(['proceed', 'proceed', 'finish(expired)'])
    expect(island.calls.count).toBe(0)
    expect(island.inbox.heard).toEqual([])
    expect(island.clock.waiting).toBe(0)
  })

  it.each([
    ['session-terminate', 'cancel', 'cancelled'],
    ['session-terminate', 'success', 'cancelled'],
    ['session-terminate', 'connectivity-error', 'incompatible-media'],
    ['retract', '', 'cancelled']
  ])('given up by the user with %s %s it ends as %s', async (how, word, cause) => {
    const island = openIsland()
    island.message(proposeXml())
    initiate(island)
    await settle()
    if (how === 'retract') island.message(jmiXml('retract'))
    else island.iq('session-terminate', { body: reasonXml(word) })
    await settle()
    expect(island.inbox.all('ended').map(each => each.reason.cause)).toEqual([cause])
    expect(island.calls.count).toBe(0)
  })

  it('what comes twice is taken once; what comes too early is out of order', async () => {
    const island = openIsland()
    initiate(island)
    expect(initiate(island)).toBe('result')
    await settle()
    expect(island.inbox.all('offered')).toHaveLength(1)
    expect(island.iq('content-add', { body: contentXml({ name: 'x' }) })).toBe('unexpected-request out-of-order')
    expect(island.iq('session-accept')).toBe('unexpected-request out-of-order')
    expect(island.iq('session-info', { body: infoXml('ringing') })).toBe('result')
    expect(island.iq('session-info', { body: '<x xmlns="y"/>' })).toBe('feature-not-implemented unsupported-info')
    expect(
      island.iq('transport-info', { body: `<content creator="initiator" name="0">${transportXml()}</content>` })
    ).toBe('result')
  })

  it('an unknown session is unknown, an ended one is quiet', async () => {
    const island = openIsland()
    for (const action of ['session-accept', 'session-info', 'session-terminate', 'content-add'] as const)
      expect(island.iq(action)).toBe('item-not-found unknown-session')
    initiate(island)
    island.iq('session-terminate', { body: reasonXml('success') })
    await settle()
    for (const action of ['session-accept', 'session-info', 'session-terminate', 'transport-info'] as const)
      expect(island.iq(action)).toBe('result')
    await island.clock.pass(60_100)
    expect(island.iq('session-terminate')).toBe('item-not-found unknown-session')
  })

  it('only a full JID of the island calls, and only where something answers', async () => {
    const island = openIsland()
    const from = (jid: string): string => island.iq('session-initiate', { from: jid, body: contentXml() })
    expect(from('stranger@elsewhere.example/x')).toBe('forbidden')
    expect(from('user@island.example')).toBe('item-not-found')
    const to = (jid: string): string => island.iq('session-initiate', { to: jid, body: contentXml() })
    expect(to('gw.island.example')).toBe('item-not-found')
    expect(to('12345@gw.island.example')).toBe('item-not-found')
    expect(to('+4930123456@gw.island.example')).toBe('result')
    expect(island.iq('session-initiate', { sid: 'empty' })).toBe('bad-request')
    expect(island.iq('session-initiate', { sid: '' })).toBe('bad-request')
    expect(island.iq('session-initiate', { sid: 'x'.repeat(300), body: contentXml() })).toBe('bad-request')
    expect(island.iq('session-dance' as never)).toBe('bad-request')
    expect(island.iq('session-initiate', { sid: 'twice', body: contentXml() + contentXml() })).toBe('bad-request')
    const get = parseXml(
      `<iq type="get" id="1" from="${phone}" to="+49301@gw.island.example"><ping xmlns="urn:xmpp:ping"/></iq>`
    )
    expect(island.calls.onIq(get)).toBeNull()
    expect(replied(island.calls.onIq(get) as null)).toBe('nothing')
  })

  it.each([
    ['security', contentXml().replace(/<fingerprint.*?<\/fingerprint>/, '')],
    [
      'transport',
      contentXml().replace(/<transport.*<\/transport>/, '<transport xmlns="urn:xmpp:jingle:transports:s5b:1"/>')
    ],
    [
      'description',
      '<content creator="initiator" name="f"><description xmlns="urn:xmpp:jingle:apps:file-transfer:5"/></content>'
    ]
  ])('what lacks a usable %s is taken and ended, and the core never hears of it', async (what, body) => {
    const island = openIsland()
    expect(initiate(island, body)).toBe('result')
    await settle()
    expect(island.said()).toEqual([
      `session-terminate(${what === 'description' ? 'unsupported-applications' : 'incompatible-parameters'})`
    ])
    expect(island.inbox.heard).toEqual([])
    expect(island.calls.count).toBe(0)
  })

  it('a file beside the call is removed, the call goes on', async () => {
    const island = openIsland()
    const file =
      '<content creator="initiator" name="f"><description xmlns="urn:xmpp:jingle:apps:file-transfer:5"/></content>'
    initiate(island, contentXml() + file)
    await settle()
    island.calls.answer(island.inbox.all('offered')[0]!.leg, { sdp: answered, connected: null })
    await settle()
    expect(island.said()).toEqual(['content-remove', 'session-accept'])
    expect(island.jingle('content-remove').contents.map(({ name }) => name)).toEqual(['f'])
  })

  it('video that nobody takes stays in the answer, silent, where all share one transport; else it is removed', async () => {
    const both = contentXml() + contentXml({ name: '1', media: 'video' })
    const answer = sdp({ media: ['audio', 'no-video'], setup: 'passive' })
    const browser = openIsland()
    initiate(browser, bundleXml('0', '1') + both)
    await settle()
    expect(browser.inbox.all('offered')[0]!.call.service).toBe('video')
    browser.calls.answer(browser.inbox.all('offered')[0]!.leg, { sdp: answer, connected: null })
    await settle()
    expect(browser.said()).toEqual(['session-accept'])
    const { contents, groups } = browser.jingle('session-accept')
    expect(contents.map(({ name, senders }) => [name, senders])).toEqual([
      ['0', 'both'],
      ['1', 'none']
    ])
    expect(groups).toEqual([{ semantics: 'BUNDLE', names: ['0', '1'] }])
    const plain = openIsland()
    initiate(plain, both)
    await settle()
    plain.calls.answer(plain.inbox.all('offered')[0]!.leg, { sdp: answer, connected: null })
    await settle()
    expect(plain.said()).toEqual(['content-remove', 'session-accept'])
  })

  it('DTLS and SDES offered together mean DTLS', async () => {
    const island = openIsland()
    const key =
      '<encryption><crypto tag="1" crypto-suite="AES_CM_128_HMAC_SHA1_80" key-params="inline:k"/></encryption>'
    initiate(island, contentXml().replace('<rtcp-mux/>', `${key}<rtcp-mux/>`))
    await settle()
    const { sdp: offered } = island.inbox.all('offered')[0]!.call
    expect(offered).toContain('a=fingerprint')
    expect(offered).not.toContain('a=crypto')
  })

  it.each([
    ['timeout', 'peer-failed'],
    ['item-not-found', 'not-found']
  ] as const)('a session-accept answered by %s ends the leg as %s', async (reply, cause) => {
    const island = openIsland()
    island.link.reply = ({ action }) => (action === 'session-accept' ? reply : 'ok')
    initiate(island)
    await settle()
    const { leg } = island.inbox.all('offered')[0]!
    island.calls.answer(leg, { sdp: answered, connected: null })
    await settle()
    expect(island.inbox.all('ended', leg).map(each => each.reason.cause)).toEqual([cause])
    expect(island.calls.count).toBe(0)
  })

  it('a proposal to nowhere, for nothing or from nobody is rejected with a reason', async () => {
    const island = openIsland()
    island.message(proposeXml('a'), { to: '12345@gw.island.example' })
    island.message(jmiXml('propose', 'b'))
    island.message(proposeXml('c'), { from: 'stranger@elsewhere.example/x' })
    island.message(proposeXml('d'), { from: 'user@island.example' })
    await settle()
    expect(island.link.sent.slice(0, 2).map(each => each.getChild('reject')!.attrs['id'])).toEqual(['a', 'b'])
    expect(island.calls.count).toBe(0)
  })

  it('a proposal kept by the server, repeated, or inside an error rings nobody', async () => {
    const island = openIsland()
    island.message(`${proposeXml()}<delay xmlns="urn:xmpp:delay" stamp="2026-01-01T00:00:00Z"/>`)
    island.message(proposeXml(), { attrs: 'type="error"' })
    await settle()
    expect(island.said()).toEqual([])
    island.message(proposeXml())
    island.message(proposeXml())
    await settle()
    expect(island.said()).toEqual(['proceed'])
    island.iq('session-terminate')
    island.message(jmiXml('retract'))
    island.message(proposeXml())
    await settle()
    expect(island.said()).toEqual([])
  })

  it('another device of the same user cannot begin, retract or end the call', async () => {
    const island = openIsland()
    island.message(proposeXml())
    await settle()
    island.message(jmiXml('retract'), { from: tablet })
    expect(island.iq('session-initiate', { from: tablet, body: contentXml() })).toBe('item-not-found unknown-session')
    expect(island.calls.count).toBe(1)
    expect(initiate(island)).toBe('result')
  })

  it('calls beyond the bound are refused, sessions and proposals, and all goes on after a flood', async () => {
    const island = openIsland({ limits: { sessionsMax: 3, proposalsPerUserMax: 2 } })
    for (let at = 0; at < 1_000; at += 1) island.message(proposeXml(`p${at}`))
    await settle()
    expect(island.said().filter(each => each === 'proceed')).toHaveLength(2)
    expect(island.calls.count).toBe(2)
    expect(island.iq('session-initiate', { sid: 'one', body: contentXml() })).toBe('result')
    expect(island.iq('session-initiate', { sid: 'two', body: contentXml() })).toBe('resource-constraint')
    await island.clock.pass(30_100)
    expect(island.calls.count).toBe(1)
    expect(island.iq('session-initiate', { sid: 'three', body: contentXml() })).toBe('result')
  })

  it('drained, it takes no new calls and keeps the old', async () => {
    const island = openIsland()
    initiate(island)
    await settle()
    island.calls.drain()
    expect(island.iq('session-initiate', { sid: 'new', body: contentXml() })).toBe('resource-constraint')
    island.message(proposeXml('newer'))
    await settle()
    expect(island.said()).toEqual(['reject(general-error)'])
    expect(island.calls.count).toBe(1)
  })
})

describe('a call from a user where the hub offers first (start B)', () => {
  const open = (): Island => openIsland({ config: { start: 'B' } })

  it('the core is asked before the user says anything of media; its answer and the session meet', async () => {
    const island = open()
    island.message(proposeXml('sid-1', 'audio', 'video'))
    await settle()
    const [offered] = island.inbox.all('offered')
    expect(offered!.call).toMatchObject({ sdp: null, service: 'video', called: 'tel:+4930123456' })
    const { leg } = offered!
    island.calls.alert(leg)
    island.calls.progress(leg, { sdp: null, reliable: false })
    await settle()
    expect(island.said()).toEqual(['ringing'])
    island.calls.answer(leg, { sdp: sdp({ codec: '96 opus/48000/2' }), connected: null })
    await settle()
    expect(island.said()).toEqual(['proceed'])
    expect(island.inbox.all('acknowledged')).toEqual([])
    const both = contentXml({ name: 'mic' }) + contentXml({ name: 'cam', media: 'video' })
    expect(island.iq('session-initiate', { body: bundleXml('mic', 'cam') + both })).toBe('result')
    await settle()
    const [acknowledged] = island.inbox.all('acknowledged', leg)
    expect(shape(acknowledged!.sdp)).toEqual(['audio sendrecv'])
    expect(acknowledged!.sdp).toContain('a=mid:0')
    expect(acknowledged!.sdp).toContain('a=setup:active')
    const accept = island.jingle('session-accept')
    expect(accept.contents.map(({ name, senders }) => [name, senders])).toEqual([
      ['mic', 'both'],
      ['cam', 'none']
    ])
    expect(accept.contents[0]!.transport!.getChild('fingerprint')!.attrs['setup']).toBe('passive')
    expect(island.clock.waiting).toBe(0)
    island.iq('session-info', { body: infoXml('hold') })
    await settle()
    expect(shape(island.inbox.all('reoffered', leg)[0]!.sdp)).toEqual(['audio sendonly', 'video rejected'])
  })

  it('busy is a reject, given up is a cancel', async () => {
    const island = open()
    island.message(proposeXml())
    await settle()
    island.calls.end(island.inbox.all('offered')[0]!.leg, release('busy'))
    await settle()
    expect(island.said()).toEqual(['reject(busy)'])
    island.message(proposeXml('sid-2'))
    await settle()
    island.message(jmiXml('retract', 'sid-2'))
    await settle()
    expect(island.inbox.all('ended').map(each => each.reason.cause)).toEqual(['cancelled'])
  })

  it('nothing in common, or no session at all, ends the answered call', async () => {
    const island = open()
    island.message(proposeXml())
    await settle()
    const { leg } = island.inbox.all('offered')[0]!
    island.calls.answer(leg, { sdp: sdp(), connected: null })
    island.iq('session-initiate', { body: contentXml({ codec: 'id="97" name="speex" clockrate="16000"' }) })
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('incompatible-media')
    island.message(proposeXml('sid-2'))
    await settle()
    const second = island.inbox.all('offered')[1]!.leg
    island.calls.answer(second, { sdp: sdp(), connected: null })
    await island.clock.pass(30_100)
    expect(island.inbox.all('ended', second)[0]!.reason.cause).toBe('peer-failed')
    expect(island.calls.count).toBe(0)
  })
})
