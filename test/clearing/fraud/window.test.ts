import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { BoundedMap, DistinctCount, SlidingSum } from '../../../src/clearing/fraud/window.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

describe('a sum over the last minutes', () => {
  it('is that of a list of everything, to a bucket', () => {
    const random = mulberry32(seedFromEnvironment)
    const [windowMs, buckets] = [12_000, 12]
    const bucketMs = windowMs / buckets
    const sum = new SlidingSum(windowMs, buckets)
    const all: { readonly at: number; readonly value: bigint }[] = []
    let at = 1_700_000_000_000
    for (let n = 0; n < 3_000; n++) {
      at += random(4) === 0 ? random(20_000) : random(400)
      const value = BigInt(random(1_000))
      sum.add(at, value)
      all.push({ at, value })
      const newest = Math.floor(at / bucketMs)
      const expected = all
        .slice(-200)
        .filter(entry => Math.floor(entry.at / bucketMs) > newest - buckets)
        .reduce((total, entry) => total + entry.value, 0n)
      equal(sum.sum(at), expected)
    }
  })

  it('does not count what is older than the window, and late ones in their place', () => {
    const sum = new SlidingSum(12_000)
    sum.add(100_000, 1n)
    sum.add(80_000, 5n)
    sum.add(95_000, 2n)
    deepEqual([sum.sum(100_000), sum.sum(108_000), sum.sum(200_000)], [3n, 1n, 0n])
  })
})

describe('bounded memory', () => {
  it('a map forgets what was longest not asked for', () => {
    const map = new BoundedMap<{ n: number }>(2)
    map.of('a', () => ({ n: 1 })).n = 7
    map.of('b', () => ({ n: 2 }))
    map.of('a', () => ({ n: 0 }))
    map.of('c', () => ({ n: 3 }))
    deepEqual([map.size, map.of('a', () => ({ n: 0 })).n, map.of('b', () => ({ n: 0 })).n], [2, 7, 0])
  })

  it('different ones are counted up to a bound, and forgotten with the window', () => {
    const count = new DistinctCount(1_000, 3)
    for (const [at, name] of [
      [0, 'a'],
      [100, 'b'],
      [200, 'a'],
      [300, 'c'],
      [400, 'd']
    ] as const)
      count.add(at, name)
    equal(count.count(400), 3)
    ok(count.count(1_250) < 3)
    equal(count.count(5_000), 0)
  })
})
