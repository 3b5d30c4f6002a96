import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { matchCalls } from '../../../src/clearing/reconcile/match.ts'
import type { Matched } from '../../../src/clearing/reconcile/match.ts'
import type { OwnCall, TheirCall } from '../../../src/clearing/reconcile/model.ts'
import { clockOffset } from '../../../src/clearing/reconcile/offset.ts'
import { matchStreams } from '../../../src/clearing/reconcile/stream.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

const own = (id: string, at: number, over: Partial<OwnCall> = {}): OwnCall => ({
  cdrId: id,
  number: '49',
  calling: '30',
  at,
  endAt: at + 60_000,
  durationMs: 60_000,
  units: 60n,
  amountMicros: 60_000n,
  code: '49',
  destination: 'Germany',
  quality: null,
  isText: false,
  inPeriod: true,
  onEdge: false,
  ...over
})
const their = (line: number, at: number, over: Partial<TheirCall> = {}): TheirCall => ({
  line,
  number: '49',
  calling: '30',
  at,
  durationMs: 60_000,
  units: null,
  amountMicros: null,
  amountDigits: 0,
  rateNanos: null,
  code: null,
  destination: null,
  cdrId: null,
  ...over
})
const exact = { timeMs: 5_000, offsetMs: 0 }
const pairsOf = ({ pairs }: Matched): readonly string[] => pairs.map(([a, b]) => `${a.cdrId}=${b.line}`).sort()

describe('which call is which', () => {
  it('SET-02 the nearest in time are one call, one to one, within the tolerance', () => {
    const found = matchCalls(
      [own('a', 0), own('b', 4_000), own('c', 20_000)],
      [their(1, 3_800), their(2, 5_000), their(3, 25_001)],
      exact
    )
    deepEqual(pairsOf(found), ['a=2', 'b=1'])
    deepEqual([found.onlyOurs.map(({ cdrId }) => cdrId), found.onlyTheirs.map(({ line }) => line)], [['c'], [3]])
  })

  it('SET-02 who called breaks a tie, then for how long', () => {
    const ours = [own('a', 100, { calling: '31' }), own('b', 200, { durationMs: 9_000 }), own('c', 300)]
    const theirs = [their(1, 0), their(2, 0, { durationMs: 9_000 }), their(3, 0, { calling: '31' })]
    deepEqual(pairsOf(matchCalls(ours, theirs, exact)), ['a=3', 'b=2', 'c=1'])
  })

  it('but time goes before them', () => {
    const ours = [own('a', 0), own('b', 3_000, { calling: '31' })]
    deepEqual(pairsOf(matchCalls(ours, [their(1, 3_000)], exact)), ['b=1'])
  })

  it('SET-03 what is there once more, alike, is a duplicate; what only happened near it is not', () => {
    const theirs = [their(1, 0), their(2, 900), their(3, 950, { calling: '31' }), their(4, 990, { durationMs: 3_000 })]
    const found = matchCalls([own('a', 0)], theirs, exact)
    deepEqual(
      [...found.repeatedTheirs].map(({ line }) => line),
      [2]
    )
    const without = matchCalls([], theirs, exact)
    deepEqual(
      [...without.repeatedTheirs].map(({ line }) => line),
      [2]
    )
    const ours = matchCalls([own('a', 0), own('b', 10)], [], exact)
    deepEqual(
      [...ours.repeatedOurs].map(({ cdrId }) => cdrId),
      ['b']
    )
  })
})

describe('the clock of the partner', () => {
  it('SET-02 is where most of the calls agree', () => {
    const deltasMs = [3_600, 3_500, 3_550, 3_580, 3_600, -80_000, 12_000]
    equal(clockOffset({ calls: 7, deltasMs }, 1_000), 3_580)
  })
  it('SET-02 is found among all that calls to busy numbers might be', () => {
    const random = mulberry32(seedFromEnvironment)
    const noise = Array.from({ length: 5_000 }, () => random(1_800_000) - 900_000)
    const deltasMs = [...noise, ...Array.from({ length: 400 }, () => 62_000 + random(900))]
    const offset = clockOffset({ calls: 500, deltasMs }, 5_000)
    ok(Math.abs(offset - 62_500) < 1_000, String(offset))
  })

  it.each([
    ['too few calls tell', [60_000, 60_000, 60_000, 60_000]],
    ['they do not agree', [0, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000]],
    ['it is less than a second', [400, 500, 450, 480, 520]],
    ['it is further than clocks are', Array.from({ length: 9 }, () => 3_600_000)]
  ])('is taken for ours where %s', (_what, deltasMs) => {
    equal(clockOffset({ calls: deltasMs.length, deltasMs }, 5_000), 0)
  })
})

async function* pages<T>(all: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield await Promise.resolve(all.slice(at, at + size))
}
const byPlace = (a: { number: string; at: number }, b: { number: string; at: number }): number =>
  a.number === b.number ? a.at - b.at : a.number < b.number ? -1 : 1

describe('streams of calls', () => {
  it('are matched as a whole file would be, page by page, and nothing is lost', async () => {
    const random = mulberry32(seedFromEnvironment)
    const [ours, theirs]: [OwnCall[], TheirCall[]] = [[], []]
    for (let n = 0; n < 2_000; n++) {
      const [number, at] = [`49${random(40)}`, random(3_000_000)]
      if (random(10) > 0) ours.push(own(`c${n}`, at, { number, calling: `3${random(3)}` }))
      if (random(10) > 0)
        theirs.push(their(n + 1, at + 30_000 + random(6_000) - 3_000, { number, calling: `3${random(3)}` }))
    }
    ours.sort(byPlace)
    theirs.sort(byPlace)
    const tolerance = { timeMs: 5_000, offsetMs: 30_000 }
    const numbers = new Set([...ours, ...theirs].map(({ number }) => number))
    const whole = [...numbers].map(number =>
      matchCalls(
        ours.filter(call => call.number === number),
        theirs.filter(call => call.number === number),
        tolerance
      )
    )
    const found = await Array.fromAsync(matchStreams(pages(ours, 7), pages(theirs, 5), tolerance))
    deepEqual(found.flatMap(pairsOf).sort(), whole.flatMap(pairsOf).sort())
    equal(
      found.reduce((sum, { pairs, onlyOurs }) => sum + pairs.length + onlyOurs.length, 0),
      ours.length
    )
    equal(
      found.reduce((sum, { pairs, onlyTheirs }) => sum + pairs.length + onlyTheirs.length, 0),
      theirs.length
    )
  })

  it('of very many calls to one number no more than the bound is looked at together, and each is told once', async () => {
    const ours = Array.from({ length: 3_000 }, (_, n) => own(`c${n}`, n * 100))
    const theirs = Array.from({ length: 3_000 }, (_, n) => their(n + 1, n * 100 + 20))
    const [told, sizes]: [string[], number[]] = [[], []]
    for await (const matched of matchStreams(pages(ours, 100), pages(theirs, 100), exact, 200)) {
      const { pairs, onlyOurs, onlyTheirs } = matched
      sizes.push(2 * pairs.length + onlyOurs.length + onlyTheirs.length)
      told.push(...pairs.map(([a]) => a.cdrId), ...onlyOurs.map(({ cdrId }) => cdrId))
    }
    ok(Math.max(...sizes) <= 200)
    equal(told.length, 3_000)
    equal(new Set(told).size, 3_000)
  })
})
