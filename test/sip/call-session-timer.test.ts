import { afterEach, describe, expect, it } from '@jest/globals'
import { actAfterMs, keepSession } from '../../src/sip/call-session-timer.ts'
import { startPair } from '../support/calls.ts'
import type { Pair } from '../support/calls.ts'
import { FakeClock } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const open: Pair[] = []
afterEach(async () => {
  for (const pair of open.splice(0)) await pair.close()
})

async function talking() {
  const pair = await startPair('ws')
  open.push(pair)
  return { ...(await pair.talking()), clock: new FakeClock() }
}

describe('session timers (RFC 4028)', () => {
  it('act at half the interval where the refresh is ours, shortly before its end where it is not', () => {
    expect([
      actAfterMs({ seconds: 1_800, ours: true }),
      actAfterMs({ seconds: 1_800, ours: false }),
      actAfterMs({ seconds: 90, ours: false })
    ]).toEqual([900_000, 1_768_000, 60_000])
  })

  it('refresh by UPDATE, again and again', async () => {
    const { caller, callee, clock } = await talking()
    keepSession(caller.call, { seconds: 100, ours: true }, clock)
    for (const count of [1, 2]) {
      clock.advance(49_999)
      expect(callee.reoffers.length).toBe(count - 1)
      clock.advance(1)
      await until(() => callee.reoffers.length === count)
      const { request, hasSdp } = callee.reoffers[count - 1]!
      expect([request.method, hasSdp, request.headers.get('Session-Expires')]).toEqual([
        'UPDATE',
        false,
        '100;refresher=uac'
      ])
      callee.reoffers[count - 1]!.answer()
      await until(() => clock.pending === 1)
    }
    expect(caller.call.state).toBe('confirmed')
  })

  it('end the call where the peer does not refresh, and not where it does', async () => {
    const { caller, callee, clock } = await talking()
    const timer = keepSession(callee.call, { seconds: 90, ours: false }, clock)
    clock.advance(59_000)
    timer.refreshed()
    clock.advance(59_000)
    timer.refreshed({ seconds: 180, ours: false })
    clock.advance(147_999)
    expect(callee.call.state).toBe('confirmed')
    clock.advance(1)
    expect(await caller.ended()).toBe('bye by remote: BYE')
    expect(caller.ends[0]?.message?.headers.get('Reason')).toContain('Session expired')
  })

  it('try a refresh again that crossed another change', async () => {
    const { caller, callee, clock } = await talking()
    keepSession(caller.call, { seconds: 90, ours: true }, clock)
    clock.advance(45_000)
    await until(() => callee.reoffers.length === 1)
    callee.reoffers[0]!.refuse(491)
    await until(() => clock.pending === 1)
    clock.advance(4_000)
    await until(() => callee.reoffers.length === 2)
    expect(caller.call.state).toBe('confirmed')
  })

  it('end the call some time after a refresh that was refused', async () => {
    const { caller, callee, clock } = await talking()
    keepSession(caller.call, { seconds: 90, ours: true }, clock)
    clock.advance(45_000)
    await until(() => callee.reoffers.length === 1)
    callee.reoffers[0]!.refuse(500)
    await until(() => clock.pending === 1)
    clock.advance(90_000)
    expect(await callee.ended()).toBe('bye by remote: BYE')
  })

  it('stop when told, and do nothing to a call that has ended', async () => {
    const { caller, callee, clock } = await talking()
    keepSession(caller.call, { seconds: 90, ours: true }, clock).stop()
    expect(clock.pending).toBe(0)
    keepSession(caller.call, { seconds: 90, ours: true }, clock)
    caller.call.bye()
    await callee.ended()
    clock.advance(500_000)
    expect([clock.pending, callee.reoffers.length]).toEqual([0, 0])
  })
})
