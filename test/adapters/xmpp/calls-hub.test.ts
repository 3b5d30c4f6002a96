// Two XMPP islands on the session core itself: whole calls from a user of one to a user of the other, without SIP.

import { describe, expect, it } from '@jest/globals'
import { Hub } from '../../../src/session/hub.ts'
import type { Cdr, LegRef, MediaStats, Sdp, Target } from '../../../src/session/model.ts'
import type { SignallingAdapter } from '../../../src/session/ports.ts'
import {
  contentXml,
  infoXml,
  jmiXml,
  openIsland,
  proposeXml,
  reasonXml,
  sdp,
  shape
} from '../../support/xmpp-island.ts'
import type { Island } from '../../support/xmpp-island.ts'
import { FakeClock } from '../../support/world.ts'
import { until } from '../../support/until.ts'
import type { Inbox } from '../../../src/session/ports.ts'

const alice = 'user@alpha.example/phone'
const bob = 'user@beta.example/phone'
const toBob = 'user\\40beta.example@gw.alpha.example'
const aliceThere = '+49301@gw.beta.example/gw'

/** The anchor that lets everything through as it is. */
function twoIslands(start: 'A' | 'B' = 'A') {
  const cdrs: Cdr[] = []
  const faults: unknown[] = []
  const anchored: string[] = []
  const through = (what: string) => async (_: unknown, side: string, text: Sdp) => {
    anchored.push(`${what} ${side}`)
    return { anchored: true, sdp: text } as const
  }
  const islands = new Map<string, Island>()
  const of = (leg: LegRef): Island['calls'] => islands.get(leg.split(' ')[1]!)!.calls
  const xmpp: SignallingAdapter = {
    access: 'xmpp',
    start: async () => {},
    drain: async () => {},
    invite: invitation => islands.get(invitation.target.peerId)!.calls.invite(invitation),
    alert: async leg => of(leg).alert(leg),
    progress: async (leg, early) => of(leg).progress(leg, early),
    answer: async (leg, answer) => of(leg).answer(leg, answer),
    acknowledge: async (leg, text) => of(leg).acknowledge(leg, text),
    reoffer: async (leg, offer) => of(leg).reoffer(leg, offer),
    answerReoffer: async (leg, text) => of(leg).answerReoffer(leg, text),
    refuseReoffer: async (leg, why) => of(leg).refuseReoffer(leg, why),
    sendTone: async (leg, tone) => of(leg).sendTone(leg, tone),
    end: async (leg, release) => of(leg).end(leg, release),
    sendText: async () => {
      throw new Error('no messages here')
    },
    sendReceipt: async () => {}
  }
  const target: Target = {
    access: 'xmpp',
    peerId: 'beta',
    uri: 'sip:user@beta.example',
    trust: 'user',
    media: 'webrtc',
    needsOffer: true
  }
  const grant = {
    id: 'g',
    bandwidthKbpsMax: 100,
    dscp: 46,
    codecs: ['opus'],
    callerCodecs: ['opus'],
    chargingKey: 'k',
    terms: null,
    credit: null
  }
  const hub = new Hub({
    adapters: [xmpp],
    router: { route: async () => ({ targets: [target] }) },
    policy: {
      decide: async () => ({ admit: true, grant }),
      decideText: async () => ({ admit: true, grant }),
      free: async () => {}
    },
    credit: { reserve: async () => 'no-credit' as const, refresh: async () => 'no-credit', settle: async () => {} },
    media: {
      start: async () => {},
      offer: through('offer'),
      answer: through('answer'),
      makeOffer: async () => ({ anchored: true, sdp: sdp() }),
      abandon: async () => {},
      release: async (): Promise<MediaStats> => ({ caller: [], callee: [] })
    },
    cdrs: { admit: () => true, note: () => {}, write: async cdr => void cdrs.push(cdr), release: () => {} },
    chargingHost: 'hub.example',
    sessionsMax: 10,
    clock: new FakeClock(),
    onFault: fault => void faults.push(fault)
  })
  const inbox: Inbox = hub.inbox
  const open = (id: string, more = {}): Island => {
    const config = { id, domain: `${id}.example`, gateway: `gw.${id}.example`, ...more }
    const island = openIsland({ config, inbox, sid: `${id}-sid` })
    islands.set(id, island)
    return island
  }
  const [alpha, beta] = [open('alpha', { start }), open('beta')]
  const said = async (island: Island, what: string): Promise<void> =>
    until(() => {
      seen.get(island)!.push(...island.said())
      return seen.get(island)!.includes(what)
    }).catch(() => {
      throw new Error(`never "${what}", but ${seen.get(island)!.join(', ')}; ${JSON.stringify(faults)}`)
    })
  const seen = new Map<Island, string[]>([alpha, beta].map(island => [island, []]))
  return { hub, alpha, beta, cdrs, faults, anchored, said, seen }
}

const iq = (island: Island, action: Parameters<Island['iq']>[0], sid: string, body = ''): string =>
  island === undefined
    ? ''
    : island.iq(action, {
        sid,
        body,
        from: sid === 'alpha-call' ? alice : bob,
        to: sid === 'alpha-call' ? `${toBob}/gw` : aliceThere
      })

/** Alice calls, Bob's phone rings, and he takes it. */
async function connected(start: 'A' | 'B' = 'A') {
  const world = twoIslands(start)
  const { alpha, beta, said } = world
  alpha.message(proposeXml('alpha-call'), { from: alice, to: toBob })
  if (start === 'A') {
    await said(alpha, 'proceed')
    expect(iq(alpha, 'session-initiate', 'alpha-call', contentXml())).toBe('result')
  }
  await said(beta, 'propose')
  expect(beta.link.sent[0]!.attrs).toMatchObject({ to: 'user@beta.example', from: aliceThere })
  beta.message(jmiXml('ringing', 'beta-sid'), { from: bob, to: aliceThere })
  await said(alpha, start === 'A' ? 'session-info ringing' : 'ringing')
  beta.message(jmiXml('proceed', 'beta-sid'), { from: bob, to: aliceThere })
  await said(beta, 'session-initiate')
  expect(iq(beta, 'session-accept', 'beta-sid', contentXml({ setup: 'active', ufrag: 'bob1' }))).toBe('result')
  if (start === 'B') {
    await said(alpha, 'proceed')
    expect(iq(alpha, 'session-initiate', 'alpha-call', contentXml({ name: 'mic' }))).toBe('result')
  }
  await said(alpha, 'session-accept')
  return world
}

const finals = (cdrs: readonly Cdr[]): readonly Cdr[] => cdrs.filter(({ kind }) => kind === 'final')

describe('a call between two XMPP islands', () => {
  it('rings, is answered, held, resumed and hung up: one final record for each leg', async () => {
    const world = await connected()
    const { alpha, beta, said, hub, cdrs, faults } = world
    expect(alpha.jingle('session-accept').contents[0]!.transport!.attrs['ufrag']).toBe('bob1')
    expect(iq(alpha, 'session-info', 'alpha-call', infoXml('hold'))).toBe('result')
    await said(beta, 'session-info hold')
    expect(iq(alpha, 'session-info', 'alpha-call', infoXml('active'))).toBe('result')
    await said(beta, 'session-info active')
    expect(iq(beta, 'session-info', 'beta-sid', '<dtmf xmlns="urn:xmpp:jingle:dtmf:0" code="5"/>')).toBe('result')
    await said(alpha, 'session-info dtmf')
    expect(iq(beta, 'session-terminate', 'beta-sid', reasonXml('success'))).toBe('result')
    await said(alpha, 'session-terminate(success)')
    await until(() => hub.sessionCount === 0)
    expect(finals(cdrs).map(({ leg, access, peerId, release }) => [leg, access, peerId, release?.cause])).toEqual([
      ['ingress', 'xmpp', 'alpha', 'normal'],
      ['egress', 'xmpp', 'beta', 'normal']
    ])
    expect(finals(cdrs).map(({ facts }) => facts.dialogId)).toEqual(['alpha-call', 'beta-sid'])
    expect(finals(cdrs)[0]!.answeredAt).not.toBeNull()
    expect([alpha.calls.count, beta.calls.count]).toEqual([0, 0])
    expect(faults).toEqual([])
  })

  it('with the hub offering first the two sides meet as well', async () => {
    const { alpha, beta, said, hub, cdrs, faults } = await connected('B')
    expect(beta.jingle('session-initiate').contents[0]!.transport!.attrs['ufrag']).toBe('hub1')
    expect(alpha.jingle('session-accept').contents.map(({ name }) => name)).toEqual(['mic'])
    expect(iq(alpha, 'session-terminate', 'alpha-call', reasonXml('success'))).toBe('result')
    await said(beta, 'session-terminate(success)')
    await until(() => hub.sessionCount === 0)
    expect(finals(cdrs)).toHaveLength(2)
    expect(faults).toEqual([])
  })

  it('busy there is busy here', async () => {
    const { alpha, beta, said, hub, cdrs } = twoIslands()
    expect(iq(alpha, 'session-initiate', 'alpha-call', contentXml())).toBe('result')
    await said(beta, 'propose')
    beta.message(jmiXml('reject', 'beta-sid', `<reason xmlns="urn:xmpp:jingle:1"><busy/></reason>`), {
      from: bob,
      to: aliceThere
    })
    await said(alpha, 'session-terminate(busy)')
    await until(() => hub.sessionCount === 0)
    expect(finals(cdrs).map(({ release }) => release?.cause)).toEqual(['busy', 'busy'])
  })

  it('given up here is retracted there', async () => {
    const { alpha, beta, said, hub, cdrs } = twoIslands()
    iq(alpha, 'session-initiate', 'alpha-call', contentXml())
    await said(beta, 'propose')
    iq(alpha, 'session-terminate', 'alpha-call', reasonXml('cancel'))
    await said(beta, 'retract(cancel)')
    await until(() => hub.sessionCount === 0)
    expect(finals(cdrs).map(({ release }) => release?.cause)).toEqual(['cancelled', 'cancelled'])
  })

  it('video added by one is asked of the other, and what it says comes back', async () => {
    const { alpha, beta, said } = await connected()
    const video = contentXml({ name: 'cam', media: 'video' })
    expect(iq(alpha, 'content-add', 'alpha-call', video)).toBe('result')
    await said(beta, 'content-add')
    const [added] = beta.jingle('content-add').contents
    expect([added!.name, added!.creator]).toEqual(['cam', 'initiator'])
    expect(iq(beta, 'content-accept', 'beta-sid', contentXml({ name: 'cam', media: 'video', setup: 'active' }))).toBe(
      'result'
    )
    await said(alpha, 'content-accept')
    expect(iq(beta, 'content-remove', 'beta-sid', '<content creator="initiator" name="cam"/>')).toBe('result')
    await said(alpha, 'content-remove')
  })

  it('an anchor that changes nothing shows each side the other: directions and media lines agree', async () => {
    const { anchored } = await connected()
    expect(anchored).toEqual(['offer caller', 'answer callee'])
    expect(shape(sdp())).toEqual(['audio sendrecv'])
  })
})
