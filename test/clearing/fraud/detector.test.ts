import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { fraud } from '../../../src/config/fraud.ts'

import { createDetector } from '../../../src/clearing/fraud/detector.ts'
import type { Detector } from '../../../src/clearing/fraud/detector.ts'
import { factsOf } from '../../../src/clearing/fraud/facts.ts'
import type { CallFacts, Signal } from '../../../src/clearing/fraud/model.ts'
import { bookOf, failedCall, record } from '../../support/clearing.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

const minuteMs = 60_000
const start = Date.parse('2026-11-02T12:00:00Z')
const call = (over: Partial<CallFacts> = {}): CallFacts => ({
  leg: 'ingress',
  at: start,
  provider: 'island',
  calling: '4930100',
  called: '4989200',
  code: '49',
  answered: true,
  rangMs: null,
  setupMs: 5_000,
  alerted: true,
  durationMs: 60_000,
  endedByCaller: true,
  silent: false,
  price: { currency: 'EUR', amountMicros: 1_000_000n },
  ...over
})
const only = (rule: 'irsf' | 'wangiri' | 'fas' | 'spike', over: Readonly<Record<string, unknown>> = {}): Detector => {
  const off = {
    irsf: { enabled: false },
    wangiri: { enabled: false },
    fas: { enabled: false },
    spike: { enabled: false }
  }
  return createDetector(fraud.parse({ ...off, [rule]: over }))
}
const feed = (detector: Detector, calls: readonly CallFacts[]): readonly Signal[] =>
  calls.flatMap(one => detector.see(one))
const many = (count: number, of: (n: number) => Partial<CallFacts>): readonly CallFacts[] =>
  Array.from({ length: count }, (_, n) => call({ at: start + n * 1_000, ...of(n) }))

describe('international revenue share', () => {
  it('FRD-01 money that one provider spends on one destination is told with its sum, its bound and its window', () => {
    const detector = only('irsf', { fiveMinutes: '50' })
    equal(
      feed(
        detector,
        many(50, () => ({}))
      ).length,
      0
    )
    const [signal, ...more] = detector.see(call({ at: start + 50_000 }))
    deepEqual(more, [])
    deepEqual(signal?.counters, { spent: '51.000000', most: '50.000000', currency: 'EUR' })
    deepEqual([signal?.rule, signal?.windowMs], ['irsf-money', 5 * minuteMs])
    deepEqual(signal?.scope, { from: 'island', to: null, callingPrefix: null, calledPrefix: '49' })
    equal(signal?.text, 'island spent 51.000000 EUR on +49 within 5 minutes, more than 50.000000')
  })

  it('says the same once a window, and again when it goes on', () => {
    const detector = only('irsf', { fiveMinutes: '10' })
    const signals = feed(
      detector,
      many(900, () => ({}))
    )
    equal(signals.length, 3)
  })

  it('slow spending shows over an hour and a day', () => {
    const detector = only('irsf', { fiveMinutes: '10', hour: '20', day: '1000' })
    const calls = many(30, n => ({ at: start + n * minuteMs }))
    const [first] = feed(detector, calls)
    deepEqual([first?.windowMs, first?.counters['spent']], [60 * minuteMs, '21.000000'])
  })

  it('destinations, providers and currencies are counted apart', () => {
    const detector = only('irsf', { fiveMinutes: '10' })
    const apart = many(40, n => ({
      code: n % 2 === 0 ? '49' : '33',
      provider: n % 4 < 2 ? 'a' : 'b',
      price: { currency: n % 8 < 4 ? 'EUR' : 'USD', amountMicros: 1_000_000n }
    }))
    deepEqual(feed(detector, apart), [])
  })

  it('calls to ranges that are known count without any price', () => {
    const detector = only('irsf', { ranges: ['+8835100', '+88'], rangeCalls: 3 })
    const calls = many(3, n => ({ called: `8835100${n}`, answered: false, price: null }))
    const [signal] = feed(detector, calls)
    deepEqual([signal?.rule, signal?.scope.calledPrefix, signal?.counters['calls']], ['irsf-range', '8835100', '3'])
    deepEqual(
      feed(
        detector,
        many(3, () => ({ called: '49891', price: null }))
      ),
      []
    )
  })
})

describe('Wangiri', () => {
  const rung = (n: number, over: Partial<CallFacts> = {}): Partial<CallFacts> => ({
    calling: `2521234${String(n % 10).padStart(3, '0')}`,
    called: `4989${1_000 + n}`,
    answered: false,
    rangMs: 2_000,
    price: null,
    ...over
  })
  it('FRD-01 a range of callers that rings many numbers for a moment is told, and who would call back protected', () => {
    const [signal, ...more] = feed(
      only('wangiri'),
      many(40, n => rung(n))
    )
    deepEqual(more, [])
    deepEqual(signal?.counters, { rung: '30', calls: '30', answered: '0', most: '30' })
    deepEqual(signal?.blocks, [
      { from: 'island', to: null, callingPrefix: '2521234', calledPrefix: null },
      { from: null, to: null, callingPrefix: null, calledPrefix: '2521234' }
    ])
    match(
      signal?.text ?? '',
      /callers \+2521234 of island rang 30 or more numbers for a moment within 10 minutes, 0 of 30/
    )
  })

  it.each([
    ['the same number is rung', (n: number) => rung(n, { called: '4989200' })],
    ['it rings longer', (n: number) => rung(n, { rangMs: 3_001 })],
    ['callers are not of one range', (n: number) => rung(n, { calling: `${252_000 + n}1234567` })],
    ['it is spread over hours', (n: number) => rung(n, { at: start + n * 10 * minuteMs })],
    [
      'many of its calls are answered',
      (n: number) => (n % 3 === 0 ? rung(n, { answered: true, rangMs: null }) : rung(n))
    ],
    ['nobody says who calls', (n: number) => rung(n, { calling: null })]
  ])('says nothing where %s', (_what, of) => {
    deepEqual(feed(only('wangiri'), many(60, of)), [])
  })
})

describe('false answer supervision', () => {
  const suspects: readonly (readonly [string, Partial<CallFacts>])[] = [
    ['at once and without ringing', { alerted: false, setupMs: 400 }],
    ['and given up by the caller', { durationMs: 6_000, endedByCaller: true }],
    ['in silence', { silent: true }]
  ]
  const fine: Partial<CallFacts> = { leg: 'egress', provider: 'operator', endedByCaller: false }
  it.each(suspects)('FRD-01 calls that are answered %s are told of the provider they went to', (_what, how) => {
    const calls = many(20, n => ({ ...fine, ...(n % 10 < 7 ? how : {}) }))
    const [signal] = feed(only('fas'), calls)
    equal(signal, undefined)
    const more = many(20, n => ({ ...fine, ...how, at: start + (20 + n) * 1_000 }))
    const [found] = feed(only('fas'), [...calls, ...more])
    deepEqual(found?.scope, { from: null, to: 'operator', callingPrefix: null, calledPrefix: '49' })
    ok(Number(found?.counters['suspect']) * 100 >= Number(found?.counters['answered']) * 60)
  })

  it('honest traffic with some short calls is not told', () => {
    const calls = many(400, n => ({ ...fine, ...(n % 2 === 0 ? { durationMs: 3_000, endedByCaller: true } : {}) }))
    deepEqual(feed(only('fas'), calls), [])
  })
})

describe('a spike', () => {
  const perWindow = (counts: readonly number[]): readonly CallFacts[] =>
    counts.flatMap((count, window) =>
      Array.from({ length: count }, (_, n) => call({ at: start + window * 15 * minuteMs + n * 100 }))
    )
  it('FRD-01 many times what is usual is told with what is usual', () => {
    const [signal, ...more] = feed(only('spike'), perWindow([30, 30, 30, 30, 300]))
    deepEqual(more, [])
    deepEqual(signal?.counters, { calls: '150', usual: '30', factor: '5' })
  })

  it.each([
    ['there is nothing usual yet', [30, 500]],
    ['traffic grows window by window', [30, 60, 110, 200, 380]],
    ['it is much more of very little', [1, 1, 1, 1, 90]]
  ])('says nothing where %s', (_what, counts) => {
    deepEqual(feed(only('spike'), perWindow(counts)), [])
  })

  it('a quiet night makes the morning no spike that is kept for ever', () => {
    const detector = only('spike', { calls: 10 })
    feed(detector, perWindow([40, 40, 40, 40]))
    const morning = start + 60 * 15 * minuteMs
    const signals = Array.from({ length: 4 }, (_, w) =>
      Array.from({ length: 40 }, (_call, n) => call({ at: morning + w * 15 * minuteMs + n * 100 }))
    ).map(calls => feed(detector, calls).length)
    deepEqual([signals[0], signals[3]], [1, 0])
  })
})

describe('the rules together', () => {
  it('remember a bounded number of pairs, whatever is thrown at them', () => {
    const detector = createDetector(fraud.parse({ irsf: { fiveMinutes: '5' } }), 50)
    const random = mulberry32(seedFromEnvironment)
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 60_000; n++) {
      const digits = String(random(1_000_000_000))
      detector.see(
        call({ at: start + n * 10, provider: `p${random(5_000)}`, code: digits, called: digits, calling: digits })
      )
    }
    ok(process.memoryUsage().heapUsed - before < 64 * 2 ** 20)
    // What comes again and again is still found.
    equal(
      feed(
        detector,
        many(6, n => ({ at: start + 600_000 + n }))
      ).length,
      1
    )
  })

  it('see nothing where they are switched off', () => {
    const detector = createDetector(fraud.parse({ enabled: false, irsf: { fiveMinutes: '0' } }))
    deepEqual(
      feed(
        detector,
        many(200, () => ({}))
      ),
      []
    )
  })
})

describe('what rules look at of a record', () => {
  const book = bookOf()
  it('an answered call with its price by the agreement', () => {
    const facts = factsOf(record(), book)
    deepEqual([facts?.called, facts?.calling, facts?.code], ['4989200', '4930100', '49'])
    deepEqual(facts?.price, { currency: 'EUR', amountMicros: 35_075n })
    equal(factsOf(record({ leg: 'egress' }), book)?.price, null)
  })

  it('an attempt with how long it rang until its caller hung up', () => {
    const end = start + 2_000
    const rung = { ...failedCall, cause: 'cancelled', t_alert: start, t_end: end }
    equal(factsOf(record({ ...rung, release_side: 'caller' }), book)?.rangMs, 2_000)
    equal(factsOf(record({ ...rung, release_side: 'callee' }), book)?.rangMs, null)
  })

  it('FRD-01 never a call for help, nor what is not over', () => {
    equal(factsOf(record({ emergency: true }), book), null)
    equal(factsOf(record({ kind: 'start' }), book), null)
    equal(factsOf(record({ dialled: 'sip:bob@island.example' }), book), null)
  })

  it('silence only where somebody counted packets', () => {
    const stream = {
      type: 'audio' as const,
      codec: 'PCMA',
      codec_other: 'PCMA',
      transcoded: false,
      gw_inserted: true,
      pkts_received: 0,
      bytes_received: 0,
      pkts_sent: 900,
      bytes_sent: 9_000,
      pkts_lost: 0,
      jitter_ms: null,
      rtt_ms: null,
      mos: null,
      dscp: null,
      qci: null,
      auth_kbps: null
    }
    const silent = (pkts: number): boolean | null | undefined =>
      factsOf(record({ leg: 'egress', media: [{ ...stream, pkts_received: pkts }] }), book)?.silent
    deepEqual([silent(0), silent(12), factsOf(record(), book)?.silent], [true, false, null])
  })
})
