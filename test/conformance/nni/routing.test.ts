import { afterEach, describe, expect, it } from '@jest/globals'
import { reasonOfStatus } from '../../../src/nni/causes.ts'
import { healthAfter, keepAlive } from '../../../src/nni/keepalive.ts'
import type { Health } from '../../../src/nni/keepalive.ts'
import { limits } from '../../../src/nni/limits.ts'
import type { Control } from '../../../src/nni/control.ts'
import { peerOf } from '../../../src/nni/peers.ts'
import { makeRequest, makeResponse } from '../../../src/sip/message.ts'
import { HandClock } from '../../support/media.ts'
import { nextAttempt } from '../../../src/session/attempts.ts'
import { inWords } from '../../../src/session/plain.ts'
import { releaseCauses } from '../../../src/session/model.ts'
import { invitation, number, startBorder } from '../../support/nni-border.ts'
import { refuse, startPair } from '../../support/nni-pair.ts'
import type { Pair, PairOptions } from '../../support/nni-pair.ts'
import { hubFace, operator, sdpWith } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// Carrier selection and failover (RFC 3261, RFC 3263, RFC 4028 at the border).

const closing: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map(one => one.close()))
})
const open = async (options: PairOptions = {}): Promise<Pair> => {
  const pair = await startPair(options)
  closing.push(pair)
  return pair
}
const border = async (options: Parameters<typeof startBorder>[0] = {}) => {
  const made = await startBorder(options)
  closing.push(made)
  return made
}

describe('the reroute matrix', () => {
  const fresh = { alerted: false, earlyRelayed: false, transcoded: false }
  const next = (status: number, q850?: number, facts = fresh) =>
    nextAttempt(
      {
        ...reasonOfStatus(status, q850 === undefined ? [] : [{ protocol: 'Q.850', cause: q850, text: null }]),
        from: 'callee'
      },
      facts
    )

  it.each([408, 500, 502, 503, 504])('RTE-02 RTE-07 %i before any ringing: the next route', status => {
    expect(next(status)).toBe('next-target')
    expect(next(status, undefined, { ...fresh, earlyRelayed: true })).toBe('give-up')
  })
  it.each([34, 38, 41, 42, 47])('RTE-07 a failure of the network, Q.850 %i: the next route', q850 => {
    expect(next(480, q850)).toBe('next-target')
  })
  it.each([488, 606])('RTE-07 %i: once with other media, at the same target', status => {
    expect(next(status)).toBe('other-media')
    expect(next(status, undefined, { ...fresh, transcoded: true })).toBe('give-up')
  })
  it.each([404, 484, 410, 486, 600, 603, 604, 607, 608, 403, 433])('RTE-07 %i: the end', status => {
    expect(next(status)).toBe('give-up')
  })
  it.each([18, 19, 20])('RTE-07 480 with Q.850 %i: the end', q850 => {
    expect(next(480, q850)).toBe('give-up')
  })
})

describe('routes in order', () => {
  it('RTE-01 RTE-02 a 503 moves the call on, the caller hears only of the last route', async () => {
    const pair = await open({ others: ['gamma'] })
    const { call, tx } = await pair.invite('alpha')
    expect(tx.request.uri).toContain('@beta.example')
    pair.beta.answer(tx, 503)
    const second = await pair.beta.take('INVITE')
    expect(second.request.uri).toContain('@gamma.example')
    pair.beta.answer(second, 486)
    expect((await call.final()).status).toBe(486)
    await until(() => pair.hub.sessionCount === 0)
    const egress = pair.cdrs.filter(({ kind, leg }) => kind === 'final' && leg === 'egress')
    expect(egress.map(({ peerId, release }) => [peerId, release?.sip])).toEqual([
      ['beta', 503],
      ['gamma', 486]
    ])
  })

  it('RTE-03 Retry-After leaves the peer alone: its calls go to the next route, until then', async () => {
    const pair = await open({ others: ['gamma'] })
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 503, { headers: [['Retry-After', '60 (maintenance)']] })
    await refuse(pair, pair.beta, await pair.beta.take('INVITE'), call)
    const again = await pair.invite('alpha')
    expect(again.tx.request.uri).toContain('@gamma.example')
    await refuse(pair, pair.beta, again.tx, again.call)
    expect(pair.beta.bytes.filter(text => text.startsWith('INVITE') && text.includes('@beta.example'))).toHaveLength(1)
  })

  it('RTE-03 a 503 without Retry-After is about that call alone', async () => {
    const pair = await open({ others: ['gamma'] })
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 503)
    await refuse(pair, pair.beta, await pair.beta.take('INVITE'), call)
    const again = await pair.invite('alpha')
    expect(again.tx.request.uri).toContain('@beta.example')
    await refuse(pair, pair.beta, again.tx, again.call)
  })

  it('RTE-04 a 503 of the only route is 500 to the caller', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 503)
    expect((await call.final()).status).toBe(500)
  })

  it('RTE-07 after early media was relayed there is no other route', async () => {
    const pair = await open({ others: ['gamma'] })
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 183, { body: sdpWith(50_000) })
    await call.response(183)
    pair.beta.answer(tx, 503)
    expect((await call.final()).status).toBe(500)
    expect(pair.beta.bytes.filter(text => text.startsWith('INVITE'))).toHaveLength(1)
  })
})

describe('loops', () => {
  it('RTE-08 hops go down across the hub, none is 483, no breadth is 440', async () => {
    const pair = await open()
    const hops = (left: string) => ({ headers: [['Max-Forwards', left] as const], body: sdpWith(40_000) })
    const { call, tx } = await pair.invite('alpha', hops('5'))
    expect(tx.request.headers.get('Max-Forwards')).toBe('4')
    await refuse(pair, pair.beta, tx, call)
    const uri = 'sip:+4930901820@hub.example;user=phone'
    expect((await pair.alpha.request('INVITE', uri, hops('0')).final()).status).toBe(483)
    const last = await pair.alpha.request('INVITE', uri, hops('1')).final()
    expect(last.status).toBe(483)
    const narrow = { headers: [['Max-Breadth', '0'] as const], body: sdpWith(40_000) }
    expect((await pair.alpha.request('INVITE', uri, narrow).final()).status).toBe(440)
  })

  it('RTE-08 messages lose hops too', async () => {
    const pair = await open()
    const headers = [
      ['Content-Type', 'text/plain'],
      ['Max-Forwards', '3']
    ] as const
    const call = pair.alpha.request('MESSAGE', 'sip:+4930901820@hub.example;user=phone', { headers, body: 'x' })
    const tx = await pair.beta.take('MESSAGE')
    expect(tx.request.headers.get('Max-Forwards')).toBe('2')
    pair.beta.answer(tx, 200)
    expect((await call.final()).status).toBe(200)
  })

  it('RTE-08 a call that comes back with its charging identifier is a loop', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha', {
      headers: [['P-Charging-Vector', 'icid-value=round']],
      body: sdpWith(40_000)
    })
    const back = pair.beta.request('INVITE', 'sip:+4930901820@hub.example;user=phone', {
      headers: [['P-Charging-Vector', tx.request.headers.get('P-Charging-Vector') ?? '']],
      body: sdpWith(40_000)
    })
    expect((await back.final()).status).toBe(482)
    await refuse(pair, pair.beta, tx, call)
  })
})

describe('is the peer alive', () => {
  it('RTE-09 down after three misses, up after two answers, and nothing in between changes it', () => {
    const through = (answers: string): string => {
      let health: Health = { up: true, against: 0 }
      return answers
        .split('')
        .map(one => ((health = healthAfter(health, one === 'a')).up ? 'u' : 'd'))
        .join('')
    }
    expect(through('mmamma')).toBe('uuuuuu')
    expect(through('mmmammaa')).toBe('uudddddu')
    expect(limits.probesMissedMax).toBe(3)
    expect(limits.probesAnsweredMin).toBe(2)
  })

  it('RTE-09 OPTIONS is answered, with no hops left as well', async () => {
    const { alpha } = await border()
    for (const left of ['70', '0'])
      expect(
        (await alpha.request('OPTIONS', 'sip:hub.example', { headers: [['Max-Forwards', left]] }).final()).status
      ).toBe(200)
  })

  /** What the keepalive says of a peer that answers every OPTIONS with that status, or not at all. */
  const heard = (statuses: readonly (number | null)[]): readonly boolean[] => {
    const clock = new HandClock()
    const health: boolean[] = []
    let asked = 0
    const control: Control = {
      up: true,
      start: async () => {},
      close: () => {},
      send: (request, on) => {
        const status = statuses[asked++]
        const options = makeRequest({ method: request.method, uri: 'sip:x', headers: [], body: '' })
        if (status !== null && status !== undefined)
          on.answered({ message: makeResponse(options, status, {}), local: false, ack: () => {} })
        return { cancel: () => {} }
      }
    }
    const peer = peerOf(operator('op', 5060, { keepaliveMs: 30_000 }))
    const onHealth = (_: string, up: boolean): void => void health.push(up)
    keepAlive({ peer, hub: hubFace, control, clock, newId: () => 'id', onHealth })
    for (let count = 0; count < statuses.length; count++) clock.move(30_000)
    return health
  }

  it.each([200, 404, 405, 483])('RTE-09 a peer that answers OPTIONS with %i is alive', status => {
    expect(heard([status, status, status, status])).toEqual([])
  })

  it.each([408, 503, null])('RTE-09 a peer that answers OPTIONS with %j is not', status => {
    expect(heard([status, status, status])).toEqual([false])
    expect(heard([status, status, status, 200, 200])).toEqual([false, true])
    expect(heard([status, status, 200, status, status])).toEqual([])
  })
})

describe('session timers', () => {
  it('RTE-10 the hub offers 1800 s, refresher uac, and no less than 90', async () => {
    const { alpha, nni, inbox } = await border()
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    expect(invite.request.headers.get('Session-Expires')).toBe('1800;refresher=uac')
    expect(invite.request.headers.get('Min-SE')).toBe('90')
    alpha.answer(invite, 422, { headers: [['Min-SE', '3600']] })
    const again = await alpha.take('INVITE')
    expect(again.request.headers.get('Session-Expires')).toBe('3600;refresher=uac')
    alpha.answer(again, 486)
    await inbox.wait('ended', leg)
    const short = [
      ['Session-Expires', '60'],
      ['Supported', 'timer']
    ] as const
    const refused = await alpha.request('INVITE', number, { headers: short, body: sdpWith(1) }).final()
    expect([refused.status, refused.headers.get('Min-SE')]).toEqual([422, '90'])
  })
})

describe('why a call failed, in plain words', () => {
  it('every cause has words of its own', () => {
    const words = releaseCauses.map(cause => inWords({ cause, from: 'callee' }))
    expect(new Set(words).size).toBe(releaseCauses.length)
    for (const text of words) expect(text).toMatch(/^[a-z][a-z ',-]+$/)
  })

  it('who said so, and with which status, stands beside them', () => {
    expect(inWords({ cause: 'busy', from: 'callee', sip: 486, q850: 17 })).toBe(
      'the called user is busy (the called side: SIP 486, Q.850 17)'
    )
    expect(inWords({ cause: 'no-rate', from: 'hub', text: 'no rate from a to b covers +49' })).toBe(
      'no rate covers the call: no rate from a to b covers +49'
    )
  })
})
