import { beforeEach, describe, expect, it } from '@jest/globals'
import { pino } from 'pino'
import { evenLevel, Overload } from '../../../src/sip/engine/overload.ts'

let now = 0
let lines: Record<string, unknown>[] = []
let overload: Overload

const log = pino({ level: 'warn' }, { write: text => void lines.push(JSON.parse(text) as Record<string, unknown>) })

beforeEach(() => {
  now = 1_000
  lines = []
  overload = new Overload({ limits: { lagMsMax: 100 }, log, now: () => now, wallClock: () => 1_282_321_615_782 })
  overload.tick()
})

/** A second in which the peers send so much a step of 100 ms, and the loop is so late. What each was allowed. */
function second(sent: Readonly<Record<string, number>>, lateMs = 0): Record<string, number> {
  const taken: Record<string, number> = {}
  for (let step = 0; step < 10; step++) {
    // Requests of a step come evenly, whoever sends them.
    const most = Math.max(...Object.values(sent))
    for (let n = 0; n < most; n++) {
      for (const [peer, count] of Object.entries(sent)) {
        if (Math.floor((n * count) / most) === Math.floor(((n + 1) * count) / most)) continue
        taken[peer] = (taken[peer] ?? 0) + (overload.admit(peer) ? 1 : 0)
      }
      now += 100 / most
    }
    if (lateMs > 0) now = Math.max(now, now + lateMs - 80)
    overload.tick()
  }
  return taken
}

describe('overload', () => {
  it('takes everything while the loop is in time', () => {
    expect(second({ a: 200, b: 3 })).toEqual({ a: 2_000, b: 30 })
    expect([overload.active, overload.shed, lines]).toEqual([false, 0, []])
  })

  it('sheds the peer that floods first: who asks for less than an even share gets all of it', () => {
    second({ flood: 200, quiet: 1 })
    second({ flood: 200, quiet: 1 }, 250)
    expect(overload.active).toBe(true)
    const { flood, quiet } = second({ flood: 200, quiet: 1 }, 250)
    expect(quiet).toBe(10)
    expect(flood).toBeLessThan(500)
  })

  it('never takes less of a peer than its agreed least, however late the loop is', () => {
    for (let n = 0; n < 5; n++) second({ flood: 200, quiet: 1 }, 2_000)
    const { flood = 0, quiet } = second({ flood: 200, quiet: 1 }, 2_000)
    expect(quiet).toBe(10)
    // Its least is for a second, and a step lasts two.
    expect(flood).toBeGreaterThanOrEqual(100)
    expect(flood).toBeLessThanOrEqual(220)
  })

  it('begins within one turn of the loop that brings a flood after a long wait', () => {
    second({ flood: 20 })
    now += 1_500
    const taken = Array.from({ length: 3_000 }, () => overload.admit('flood')).filter(Boolean).length
    expect(taken).toBeLessThan(300)
    expect(overload.admit('quiet')).toBe(true)
  })

  it('is driven by what waits for applications too', () => {
    second({ flood: 100, quiet: 1 })
    overload.unanswered = 20_000
    second({ flood: 100, quiet: 1 })
    const { flood, quiet } = second({ flood: 100, quiet: 1 })
    expect([flood! < 600, quiet]).toEqual([true, 10])
    overload.unanswered = 0
    for (let n = 0; n < 10 && overload.active; n++) second({ flood: 100, quiet: 1 })
    expect(overload.active).toBe(false)
    expect(second({ flood: 100, quiet: 1 })).toEqual({ flood: 1_000, quiet: 10 })
  })

  it('a late loop alone costs nobody anything: a peer may always send its least', () => {
    now += 5_000
    overload.tick()
    expect(Array.from({ length: 10 }, () => overload.admit('quiet'))).toEqual(Array(10).fill(true))
  })

  it('OVL-02 tells a peer that takes part how much to hold back, each time with a higher number', () => {
    expect(overload.wishFor('a')).toBeNull()
    second({ a: 100 })
    second({ a: 100 }, 250)
    const [first, next] = [overload.wishFor('a'), overload.wishFor('a')]
    expect(first).toEqual({ percent: expect.any(Number), validityMs: 500, seq: '1282321615.78200' })
    expect(next?.seq).toBe('1282321615.78201')
    expect(first!.percent).toBeGreaterThan(40)
    expect(first!.percent).toBeLessThanOrEqual(100)
    // One that keeps to its share is told nothing.
    expect(overload.wishFor('b')).toBeNull()
  })

  it('OVL-02 a peer that obeys is told the same again, though it sends less; one that does not is refused', () => {
    overload.wishFor('a')
    second({ a: 100 })
    overload.unanswered = 12_000
    second({ a: 100 })
    const told = overload.wishFor('a')!.percent
    expect(told).toBeGreaterThan(20)
    const shed = overload.shed
    const obeyed = Math.round(100 * (1 - told / 100))
    overload.unanswered = 10_000
    expect(second({ a: obeyed })['a']).toBe(obeyed * 10)
    expect(overload.shed).toBe(shed)
    overload.unanswered = 100_000
    second({ a: 100 })
    expect(second({ a: 100 })['a']).toBeLessThan(300)
  })

  it('OVL-07 what was refused is counted, and told by peer in one line a second', () => {
    second({ flood: 200, quiet: 1 })
    for (let n = 0; n < 3; n++) second({ flood: 200, quiet: 1 }, 80)
    overload.unanswered = 100_000
    for (let n = 0; n < 3; n++) second({ flood: 200, quiet: 1 })
    expect(overload.shed).toBeGreaterThan(1_000)
    expect(lines.length).toBeGreaterThanOrEqual(2)
    expect(lines.length).toBeLessThanOrEqual(4)
    expect(lines[0]).toMatchObject({ msg: 'overload: new requests were refused', peers: { flood: expect.any(Number) } })
    const told = lines.reduce((sum, { shed }) => sum + Number(shed), 0)
    expect(told).toBeLessThanOrEqual(overload.shed)
    expect(JSON.stringify(lines)).not.toContain('quiet')
  })

  it('counts a bounded number of peers; those beyond share one place, and silent ones leave', () => {
    overload = new Overload({ limits: { lagMsMax: 100, countedPeersMax: 10 }, now: () => now })
    overload.tick()
    for (let n = 0; n < 1_000; n++) overload.admit(`peer-${n}`)
    expect(overload.peers).toBeLessThanOrEqual(11)
    for (let n = 0; n < 150; n++) {
      now += 100
      overload.tick()
    }
    expect(overload.peers).toBe(0)
  })

  it('forgets when it is stopped', () => {
    second({ a: 100 })
    second({ a: 100 }, 500)
    expect(overload.active).toBe(true)
    overload.start()
    overload.stop()
    expect([overload.active, overload.admit('a')]).toEqual([false, true])
  })
})

describe('an even level', () => {
  it.each([
    [[10, 1_000], 100, 90],
    [[10, 20], 100, Number.POSITIVE_INFINITY],
    [[50, 50, 50], 30, 10],
    [[5, 100, 100], 105, 50],
    [[], 10, Number.POSITIVE_INFINITY],
    [[7], 0, 0]
  ])('of %p under %d is %d', (wanted, capacity, level) => expect(evenLevel(wanted, capacity)).toBe(level))
})
