import { describe, expect, it } from '@jest/globals'
import { makeRequest, parseVia } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import {
  goesFirst,
  offersControl,
  OverloadClient,
  overloadClientLimits,
  part,
  stampWish
} from '../../src/sip/overload.ts'
import { mulberry32 } from '../support/random.ts'

const via = (params: string) => parseVia(`SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1${params}`)!

function request(method = 'INVITE', over: { uri?: string; toTag?: string; priority?: string } = {}): SipRequest {
  return makeRequest({
    method,
    uri: over.uri ?? 'sip:+491@b.example',
    headers: [
      ['Via', 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;oc;oc-algo="loss"'],
      ['From', '<sip:a@a.example>;tag=f'],
      ['To', `<sip:b@b.example>${over.toTag === undefined ? '' : `;tag=${over.toTag}`}`],
      ['Call-ID', 'c'],
      ['CSeq', `1 ${method}`],
      ...(over.priority === undefined ? [] : [['Resource-Priority', over.priority] as const])
    ]
  })
}

describe('who takes part', () => {
  it.each([
    [';oc', true],
    [';oc;oc-algo="loss"', true],
    [';oc;oc-algo="rate,loss"', true],
    [';oc;oc-algo="rate"', false],
    [';oc;oc-algo', false],
    [';oc=20;oc-algo="loss"', false],
    ['', false]
  ])('Via with "%s": %p', (params, offers) => expect(offersControl(via(params))).toBe(offers))
})

describe('what is told', () => {
  it('OVL-02 idle and loaded, in the Via of who asked', () => {
    const idle = request()
    stampWish(idle, null)
    expect(idle.headers.get('Via')).toBe('SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;oc=0;oc-algo="loss";oc-validity=0')
    const loaded = request()
    stampWish(loaded, { percent: 20, validityMs: 500, seq: '1282321615.782' })
    expect(loaded.headers.get('Via')).toBe(
      'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;oc=20;oc-algo="loss";oc-validity=500;oc-seq=1282321615.782'
    )
  })
})

describe('what goes first', () => {
  it.each([
    ['an ordinary call', request(), false],
    ['a message', request('MESSAGE'), false],
    ['an emergency call', request('INVITE', { uri: 'urn:service:sos' }), true],
    ['the fire brigade', request('INVITE', { uri: 'URN:service:sos.fire' }), true],
    ['another service', request('INVITE', { uri: 'urn:service:sosumi' }), false],
    ['a priority user', request('INVITE', { priority: 'wps.3' }), true],
    ['an emergency network', request('INVITE', { priority: 'q735.1, esnet.2' }), true],
    ['another namespace', request('INVITE', { priority: 'dsn.flash' }), false],
    ['what is in a dialog', request('BYE', { toTag: 't' }), true],
    ['CANCEL', request('CANCEL'), true]
  ])('OVL-06 %s: %#', (_what, one, first) => expect(goesFirst(one)).toBe(first))
})

describe('what a neighbour below asks for', () => {
  const client = () => new OverloadClient(overloadClientLimits, random())
  const random = () => {
    const next = mulberry32(1)
    return () => next(1_000_000) / 1_000_000
  }
  const sent = (below: OverloadClient, now: number, one = request(), count = 1_000): number =>
    Array.from({ length: count }, () => below.holdsBack('b', one, now)).filter(held => !held).length

  it('OVL-04 the vector: 10 of 100 with 40 % ordinary traffic is a quarter of that, and nothing of the rest', () => {
    expect([part(10, 40, false), part(10, 40, true)]).toEqual([0.25, 0])
    expect([part(70, 40, false), part(70, 40, true)]).toEqual([1, 0.5])
    expect([part(20, 80, false), part(0, 80, false), part(100, 100, true)]).toEqual([0.25, 0, 0])
    expect([part(100, 0, false), part(100, 0, true)]).toEqual([1, 1])
  })

  it('OVL-04 is held back before it is sent, ordinary requests first, and counted', () => {
    const below = client()
    below.heard('b', via(';oc=20;oc-algo="loss";oc-validity=500;oc-seq=1.1'), 0)
    // Of 80 % ordinary traffic, as long as nothing has been counted.
    expect(Math.abs(sent(below, 1) - 750)).toBeLessThan(50)
    expect(sent(below, 1, request('BYE', { toTag: 't' }))).toBe(1_000)
    expect(below.heldBack).toBeGreaterThan(200)
    expect(below.holdsBack('another', request(), 1)).toBe(false)
    below.heard('b', via(';oc=100;oc-algo="loss";oc-seq=1.2'), 1)
    expect(sent(below, 2)).toBe(0)
  })

  it('OVL-04 the share of ordinary requests is what was counted', () => {
    const below = client()
    below.heard('b', via(';oc=10;oc-validity=60000'), 0)
    for (let n = 0; n < 100; n++) below.holdsBack('b', n < 40 ? request() : request('BYE', { toTag: 't' }), 1)
    below.holdsBack('b', request(), 5_000)
    expect(Math.abs(sent(below, 5_001, request(), 4_000) - 3_000)).toBeLessThan(150)
  })

  it('OVL-02 ends with its time, half a second unless told, and with a wish for nothing', () => {
    const below = client()
    below.heard('b', via(';oc=100'), 0)
    expect([sent(below, 499), sent(below, 500)]).toEqual([0, 1_000])
    below.heard('b', via(';oc=100;oc-validity=2000'), 1_000)
    expect([sent(below, 2_999), below.size]).toEqual([0, 1])
    below.heard('b', via(';oc=0;oc-algo="loss";oc-validity=0'), 2_999)
    expect([sent(below, 2_999), below.size]).toEqual([1_000, 0])
  })

  it('an older answer than the last, another algorithm and nonsense say nothing', () => {
    const below = client()
    below.heard('b', via(';oc=100;oc-seq=2.5;oc-validity=9000'), 0)
    below.heard('b', via(';oc=0;oc-seq=2.4;oc-validity=9000'), 1)
    expect(sent(below, 2)).toBe(0)
    for (const said of [';oc=101', ';oc=-1', ';oc', ';oc=100;oc-algo="rate"', ';oc=x']) {
      const other = client()
      other.heard('b', via(said), 0)
      expect([said, other.size]).toEqual([said, 0])
    }
  })

  it('remembers a bounded number of neighbours, and no wish for longer than the bound', () => {
    const below = new OverloadClient({ ...overloadClientLimits, heededMax: 3, validityMsMax: 1_000 }, () => 0)
    for (const one of ['a', 'b', 'c', 'd']) below.heard(one, via(';oc=100;oc-validity=99999999'), 0)
    expect(below.size).toBe(3)
    expect([below.holdsBack('a', request(), 1), below.holdsBack('d', request(), 999)]).toEqual([false, true])
    expect(below.holdsBack('d', request(), 1_000)).toBe(false)
  })
})
