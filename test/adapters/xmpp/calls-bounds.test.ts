// What happens at each bound of calls over XMPP.

import { describe, expect, it } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import { trickle } from '../../../src/adapters/xmpp/call-media.ts'
import type { Trickled } from '../../../src/adapters/xmpp/call-model.ts'
import { parseJingle } from '../../../src/adapters/xmpp/jingle.ts'
import type { LegRef } from '../../../src/session/model.ts'
import {
  candidateXml,
  contentXml,
  jmiXml,
  openIsland,
  phone,
  proposeXml,
  sdp,
  settle,
  transportXml
} from '../../support/xmpp-island.ts'

const early = (name = '0', body = candidateXml): string =>
  `<content creator="initiator" name="${name}"><transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="usr1" pwd="p">${body}</transport></content>`
const offeredSdp = (island: ReturnType<typeof openIsland>): string => island.inbox.all('offered')[0]!.call.sdp!

describe('bounds of calls', () => {
  it('proposals of an island: the next is rejected until one is over', async () => {
    const island = openIsland({ limits: { proposalsMax: 2, proposalsPerUserMax: 9 } })
    for (const sid of ['a', 'b', 'c']) island.message(proposeXml(sid))
    island.message(jmiXml('retract', 'a'))
    island.message(proposeXml('d'))
    await settle()
    expect([...island.said()].sort()).toEqual(['proceed', 'proceed', 'proceed', 'reject(general-error)'])
    island.message(proposeXml('e'))
    await settle()
    expect(island.said()).toEqual(['reject(general-error)'])
  })

  it('sessions that were never opened: the oldest is forgotten', async () => {
    const island = openIsland({ limits: { earlyMax: 2 } })
    for (const sid of ['a', 'b', 'c']) island.iq('transport-info', { sid, body: early() })
    island.iq('session-initiate', { sid: 'a', body: contentXml({ candidate: false }) })
    await island.clock.pass(250)
    expect(offeredSdp(island)).not.toContain('a=candidate')
    island.iq('session-initiate', { sid: 'c', body: contentXml({ candidate: false }) })
    await settle()
    expect(island.inbox.all('offered')[1]!.call.sdp).toContain('a=candidate')
  })

  it('candidates of one session: what is beyond is taken without a word and dropped', async () => {
    const island = openIsland()
    const many = Array.from({ length: 40 }, (_, at) =>
      candidateXml.replace('port="5000"', `port="${6_000 + at}"`)
    ).join('')
    for (let times = 0; times < 100; times += 1)
      expect(island.iq('transport-info', { body: early('0', many) })).toBe('result')
    island.iq('session-initiate', { body: contentXml({ candidate: false }) })
    await settle()
    expect(offeredSdp(island).match(/^a=candidate/gm)).toHaveLength(64)
    // And what waits for its session is no more than that.
    let waiting: Trickled = new Map()
    const jingle = parseJingle(
      parse(`<jingle xmlns="urn:xmpp:jingle:1" action="transport-info" sid="s">${early('0', many)}</jingle>`)
    )!
    for (let times = 0; times < 100; times += 1) waiting = trickle(waiting, jingle)
    expect([...waiting.values()].flat().flatMap(transport => transport.children)).toHaveLength(64)
    const long = early('0', candidateXml.replace('foundation="1"', `foundation="${'1'.repeat(2_000)}"`))
    const big = parse(`<jingle xmlns="urn:xmpp:jingle:1" action="transport-info" sid="s">${long}</jingle>`)
    expect(trickle(new Map(), parseJingle(big)!).get('0')![0]!.children).toEqual([])
  })

  it('contents of one session, and the length of their names: a bad request', () => {
    const island = openIsland()
    const contents = (count: number): string =>
      Array.from({ length: count }, (_, at) => contentXml({ name: `c${at}` })).join('')
    expect(island.iq('session-initiate', { sid: 'many', body: contents(17) })).toBe('bad-request')
    expect(island.iq('session-initiate', { sid: 'long', body: contentXml({ name: 'n'.repeat(129) }) })).toBe(
      'bad-request'
    )
    expect(island.iq('session-initiate', { sid: 'most', body: contents(16) })).toBe('result')
  })

  it('media lines of one call: a content beyond is rejected, the call goes on', async () => {
    const island = openIsland()
    const leg = await talking(island)
    for (let at = 1; at < 16; at += 1) {
      island.iq('content-add', { body: contentXml({ name: `n${at}`, media: 'video', creator: 'responder' }) })
      await settle()
      island.calls.refuseReoffer(leg, 'unacceptable')
    }
    await settle()
    expect(island.inbox.all('reoffered')).toHaveLength(15)
    island.said()
    island.iq('content-add', { body: contentXml({ name: 'n16', media: 'video', creator: 'responder' }) })
    await settle()
    expect(island.said()).toEqual(['content-reject'])
    expect(island.inbox.all('reoffered')).toHaveLength(15)
    expect(island.calls.count).toBe(1)
  })

  it('endings that could not be sent: the first are kept', async () => {
    const island = openIsland({ limits: { owedMax: 3 } })
    const legs: LegRef[] = []
    for (let at = 0; at < 5; at += 1) legs.push(island.invite())
    await settle()
    island.said()
    island.link.connected = false
    for (const leg of legs) island.calls.end(leg, { cause: 'cancelled', from: 'caller' })
    await settle()
    island.link.connected = true
    island.calls.onUp()
    await settle()
    expect(island.said()).toEqual(['retract(cancel)', 'retract(cancel)', 'retract(cancel)'])
    island.calls.onUp()
    expect(island.said()).toEqual([])
  })

  it('sessions that are over: the oldest is unknown again', () => {
    const island = openIsland({ limits: { endedMax: 2 } })
    for (const sid of ['a', 'b', 'c']) {
      island.iq('session-initiate', { sid, body: contentXml() })
      island.iq('session-terminate', { sid })
    }
    expect(island.iq('session-info', { sid: 'a' })).toBe('item-not-found unknown-session')
    expect(island.iq('session-info', { sid: 'c' })).toBe('result')
  })

  it('SDP that is none, or too long, changes nothing', async () => {
    const island = openIsland()
    const leg = await talking(island)
    island.calls.reoffer(leg, { exchange: 2, sdp: `${sdp()}a=${'x'.repeat(70_000)}\r\n` as never })
    island.calls.reoffer(leg, { exchange: 3, sdp: 'hello' as never })
    await settle()
    expect(island.inbox.all('reofferRefused', leg).map(({ exchange, why }) => [exchange, why])).toEqual([
      [2, 'unacceptable'],
      [3, 'unacceptable']
    ])
    expect(
      island.iq('transport-info', { body: `<content creator="initiator" name="other">${transportXml('z')}</content>` })
    ).toBe('result')
    expect(island.said()).toEqual([])
  })
})

async function talking(island: ReturnType<typeof openIsland>): Promise<LegRef> {
  const leg = island.invite()
  await settle()
  island.message(jmiXml('proceed'), { from: phone })
  await settle()
  island.iq('session-accept', { body: contentXml({ setup: 'active' }) })
  await settle()
  island.said()
  return leg
}
