import { describe, expect, it } from '@jest/globals'
import { Latch, latchLimits } from '../../src/media/latch.ts'

const declared = { host: '192.0.2.1', port: 4_000 }
const hear = (latch: Latch, port: number, times: number): boolean[] =>
  Array.from({ length: times }, () => latch.accept('198.51.100.7', port))

describe('where a plain peer really is', () => {
  it('is what its SDP says until its packets say otherwise', () => {
    const latch = new Latch()
    expect(latch.target).toBeNull()
    latch.declare(declared)
    hear(latch, 7_000, latchLimits.packetsToLock - 1)
    expect(latch.target).toEqual(declared)
    hear(latch, 7_000, 1)
    expect(latch.target).toEqual({ host: '198.51.100.7', port: 7_000 })
    expect(latch.locked).toBe(true)
  })

  it('is locked then: strangers are dropped, but a stranger that was faster loses to the declared address', () => {
    const latch = new Latch()
    latch.declare(declared)
    hear(latch, 7_000, latchLimits.packetsToLock)
    expect(hear(latch, 7_001, 3)).toEqual([false, false, false])
    expect(latch.accept(declared.host, declared.port)).toBe(true)
    expect(latch.target).toEqual(declared)
    expect(latch.accept('198.51.100.7', 7_000)).toBe(false)
  })

  it('is the declared address once that has been heard, however many strangers send', () => {
    const latch = new Latch()
    latch.declare(declared)
    expect(latch.accept(declared.host, declared.port)).toBe(true)
    expect(hear(latch, 7_000, 20).some(Boolean)).toBe(false)
    expect(latch.target).toEqual(declared)
  })

  it('stays through the same SDP and is learnt anew after another', () => {
    const latch = new Latch()
    latch.declare(declared)
    hear(latch, 7_000, latchLimits.packetsToLock)
    latch.declare({ ...declared })
    expect(latch.locked).toBe(true)
    latch.declare({ ...declared, port: 4_002 })
    expect(latch.locked).toBe(false)
    expect(latch.target?.port).toBe(4_002)
  })

  it('weighs a bounded number of rivals', () => {
    const latch = new Latch()
    for (let port = 1; port <= latchLimits.sourcesMax; port++) hear(latch, port, 1)
    expect(hear(latch, 9_999, latchLimits.packetsToLock + 1).some(Boolean)).toBe(false)
    expect(latch.locked).toBe(false)
  })

  it('passes one rival over to another that sends more', () => {
    const latch = new Latch()
    hear(latch, 1, 1)
    expect(hear(latch, 2, latchLimits.packetsToLock)).toEqual([false, false, false, false, true])
    expect(latch.target?.port).toBe(2)
  })
})
