import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { limits } from '../../../src/clearing/reconcile/model.ts'
import type { Item, OwnCall, Part, Pricer, TheirCall } from '../../../src/clearing/reconcile/model.ts'
import { onlyOurs, onlyTheirs, pairOf } from '../../../src/clearing/reconcile/outcome.ts'
import { otherDestinations, standingOf, Tally } from '../../../src/clearing/reconcile/tally.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

/** 1,000 micros a second to 49, 2,000 to 33; nothing else is priced. */
const rates: Readonly<Record<string, bigint>> = { '49': 1_000n, '33': 2_000n }
const pricer: Pricer = {
  units: (_call, durationMs) => BigInt(Math.ceil(durationMs / 1_000)),
  price: (call, units, code) => {
    const rate = rates[code ?? call.code ?? '']
    return rate === undefined ? null : rate * units
  },
  isSameRow: (call, code) => code === call.code,
  rate: (call, code) => {
    const rate = rates[code ?? call.code ?? '']
    return rate === undefined ? null : rate * 60_000n
  },
  foreign: call => ({ units: call.units ?? 0n, amountMicros: call.amountMicros ?? 0n, destination: null })
}
const own: OwnCall = {
  cdrId: 'a',
  number: '4989',
  calling: null,
  at: 0,
  endAt: 60_000,
  durationMs: 60_000,
  units: 60n,
  amountMicros: 60_000n,
  code: '49',
  destination: 'Germany',
  quality: null,
  isText: false,
  inPeriod: true,
  onEdge: false
}
const their: TheirCall = {
  line: 2,
  number: '4989',
  calling: null,
  at: 0,
  durationMs: 60_000,
  units: null,
  amountMicros: null,
  amountDigits: 6,
  rateNanos: null,
  code: null,
  destination: null,
  cdrId: null
}
const partsOf = (over: Partial<TheirCall>, of: Partial<OwnCall> = {}): Readonly<Record<string, bigint>> =>
  Object.fromEntries(
    pairOf({ ...own, ...of }, { ...their, ...over }, pricer).parts.map((part: Part) => [
      part.outcome,
      part.amountMicros
    ])
  )

describe('one call of both sides', () => {
  it.each<[string, Partial<TheirCall>, Readonly<Record<string, bigint>>]>([
    ['the same in all', { amountMicros: 60_000n }, {}],
    ['longer', { durationMs: 90_000, amountMicros: 90_000n }, { 'duration-diff': 30_000n }],
    ['at another rate', { amountMicros: 72_000n }, { 'rate-diff': 12_000n }],
    ['to another code', { code: '33', amountMicros: 120_000n }, { 'destination-diff': 60_000n }],
    [
      'all of it, one after the other',
      { durationMs: 120_000, code: '33', amountMicros: 250_000n },
      { 'duration-diff': 60_000n, 'destination-diff': 120_000n, 'rate-diff': 10_000n }
    ],
    ['to a code that we do not price', { code: '44', amountMicros: 90_000n }, { 'destination-diff': 30_000n }],
    ['to a place of another name', { destination: 'France', amountMicros: 90_000n }, { 'destination-diff': 30_000n }],
    ['to a place of the same name', { destination: ' GERMANY ', amountMicros: 90_000n }, { 'rate-diff': 30_000n }],
    ['rounded to cents', { amountMicros: 60_000n + 4_900n, amountDigits: 2 }, { rounding: 4_900n }],
    ['beyond rounding to cents', { amountMicros: 60_000n + 5_002n, amountDigits: 2 }, { 'rate-diff': 5_002n }],
    [
      'at a rate that is told, and rounded',
      { rateNanos: 66_000_000n, amountMicros: 66_000n + 1_000n, amountDigits: 2 },
      { 'rate-diff': 6_000n, rounding: 1_000n }
    ],
    ['without an amount', { durationMs: 61_000 }, { 'duration-diff': 1_000n }]
  ])('SET-03 is %s', (_what, over, expected) => {
    deepEqual(partsOf(over), expected)
  })

  it('SET-03 what we count in another period is theirs in whole', () => {
    const item = pairOf({ ...own, inPeriod: false }, { ...their, amountMicros: 70_000n }, pricer)
    deepEqual(item.parts, [{ outcome: 'period-edge', units: 60n, amountMicros: 70_000n }])
    equal(item.ours.amountMicros, 0n)
  })

  it('what nothing prices now is a matter of the rate', () => {
    deepEqual(partsOf({ durationMs: 90_000, amountMicros: 90_000n }, { code: '81' }), {
      'duration-diff': 0n,
      'rate-diff': 30_000n
    })
  })
})

describe('the sum of all calls', () => {
  it('SET-03 is the difference to the last digit, whatever was paired with whatever', () => {
    const random = mulberry32(seedFromEnvironment)
    const tally = new Tally()
    const maybe = <T>(value: T): T | null => (random(3) === 0 ? null : value)
    const codes = ['49', '33', '44', '81']
    const any = (): Item => {
      const a: OwnCall = {
        ...own,
        units: BigInt(random(500)),
        amountMicros: BigInt(random(900_000)),
        code: codes[random(4)] ?? null,
        destination: maybe(`place ${random(5)}`),
        inPeriod: random(10) > 0,
        onEdge: random(10) === 0
      }
      const b: TheirCall = {
        ...their,
        durationMs: maybe(random(500_000)),
        units: maybe(BigInt(random(500))),
        amountMicros: maybe(BigInt(random(900_000))),
        amountDigits: random(7),
        rateNanos: maybe(BigInt(random(200_000_000))),
        code: maybe(codes[random(4)] ?? ''),
        destination: maybe(`place ${random(5)}`)
      }
      const kind = random(4)
      if (kind === 0) return onlyOurs({ ...a, inPeriod: true }, random(2) === 0)
      return kind === 1 ? onlyTheirs(b, random(2) === 0, pricer) : pairOf(a, b, pricer)
    }
    for (let n = 0; n < 5_000; n++) {
      tally.add(any())
      deepEqual(tally.explained, tally.difference)
    }
    const sum = (side: 'ours' | 'theirs'): bigint =>
      tally.destinations.reduce((total, destination) => total + destination[side].amountMicros, 0n)
    deepEqual([sum('ours'), sum('theirs')], [tally.ours.amountMicros, tally.theirs.amountMicros])
  })

  it('beyond so many destinations all others are one', () => {
    const tally = new Tally()
    for (let n = 0; n < limits.destinationsMax + 5; n++) tally.destination(`place ${n}`).ours.count += 1n
    equal(tally.destinations.length, limits.destinationsMax + 1)
    equal(tally.destinations.find(({ destination }) => destination === otherDestinations)?.ours.count, 5n)
  })
})

describe('whether it may be called even', () => {
  const sides = (ours: bigint, theirs: bigint) => {
    const of = (amountMicros: bigint) => ({ count: 1n, units: 10n, amountMicros })
    return { ours: of(ours), theirs: of(theirs) }
  }
  const terms = { percentNanos: 1_000_000_000n, floorMicros: 0n, of: 'own' } as const
  it('SET-02 R21 compares unrounded, with our figure or with the larger one', () => {
    const [ours, theirs] = [99_990_000n, 100_989_901n]
    const own21 = standingOf(sides(ours, theirs), terms, 'amount')
    const larger = standingOf(sides(ours, theirs), { ...terms, of: 'larger' }, 'amount')
    deepEqual([own21.standing, larger.standing], ['above', 'within'])
    ok(own21.percentMicros > 1_000_000n && larger.percentMicros < 1_000_000n)
  })

  it('SET-02 what is below the floor is even, whatever part of a small sum it is', () => {
    deepEqual(
      [10n, 11n].map(more => standingOf(sides(100n, 100n + more), { ...terms, floorMicros: 10n }, 'amount').standing),
      ['within', 'above']
    )
    equal(standingOf(sides(100n, 100n), terms, 'amount').standing, 'matched')
  })
})
