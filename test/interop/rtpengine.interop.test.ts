// The rtpengine anchor against Debian's daemon, with real RTP and WebRTC at both ends.
// needs: rtpengine

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { RtpengineClient } from '../../src/media/rtpengine-client.ts'
import { RtpengineAnchor } from '../../src/media/rtpengine.ts'
import type { Sdp } from '../../src/session/model.ts'
import type { Clock } from '../../src/session/ports.ts'
import {
  anchorage,
  anchoredSdp,
  HandClock,
  mediaConfig,
  readSdp,
  rtpSdp,
  silentLog,
  systemClock,
  targetOf
} from '../support/media.ts'
import { shareAt } from '../../src/sandbox/tone.ts'
import { openRtpEndpoint, rtpPacket } from '../support/rtp.ts'
import { eventually } from '../support/until.ts'
import type { RtpEndpoint } from '../support/rtp.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { openWebrtcEndpoint } from '../support/webrtc.ts'
import type { WebrtcEndpoint } from '../support/webrtc.ts'

let daemon: Rtpengine
const endings: (() => unknown)[] = []

beforeAll(async () => {
  daemon = await startRtpengine()
}, 30_000)
afterAll(() => daemon.stop(), 30_000)
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

async function anchor(daemons: readonly Rtpengine[] = [daemon], clock: Clock = systemClock, silenceMs = 60_000) {
  const lost: string[] = []
  const config = mediaConfig({
    anchor: 'rtpengine',
    silenceMs,
    rtpengine: daemons.map(({ host, port }) => ({ host, port }))
  })
  const made = new RtpengineAnchor({ config, log: silentLog, clock })
  await made.start((id, attempt) => lost.push(`${id}/${attempt}`))
  endings.push(() => made.close())
  return { rtpengine: made, lost }
}

async function plain(ssrc?: number): Promise<RtpEndpoint> {
  const made = await openRtpEndpoint(ssrc === undefined ? {} : { ssrc })
  endings.push(() => made.close())
  return made
}

async function peer(...options: Parameters<typeof openWebrtcEndpoint>): Promise<WebrtcEndpoint> {
  const made = await openWebrtcEndpoint(...options)
  endings.push(() => made.close())
  return made
}

const pcma = (port: number, direction = 'sendrecv'): Sdp =>
  rtpSdp({ port, formats: '8', lines: ['a=rtpmap:8 PCMA/8000', `a=${direction}`] })

async function call(rtpengine: RtpengineAnchor) {
  const at = anchorage()
  const [a, b] = [await plain(0x1001), await plain(0x1002)]
  b.target = targetOf(anchoredSdp(await rtpengine.offer(at, 'caller', pcma(a.port))))
  a.target = targetOf(anchoredSdp(await rtpengine.answer(at, 'callee', pcma(b.port))))
  return { at, a, b }
}

const ask = async (command: 'query', callId: string): Promise<unknown> => {
  const client = new RtpengineClient(daemon)
  endings.push(() => client.close())
  return client.ask(command, { 'call-id': callId })
}

describe('rtpengine between two plain RTP sides', () => {
  it('carries a tone each way, counts it, and forgets the call at once', async () => {
    const { rtpengine } = await anchor()
    const { at, a, b } = await call(rtpengine)
    a.speak(440)
    b.speak(1_000)
    await eventually('both hear 200 packets', () => a.heard.length > 200 && b.heard.length > 200)
    const stats = await rtpengine.release(at.id, at.attempt)
    expect(shareAt(b.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(a.samples(), 1_000)).toBeGreaterThan(0.9)
    for (const side of [stats?.caller, stats?.callee]) {
      expect(side).toMatchObject([{ kind: 'audio', codec: 'PCMA', transcoded: false, packetsLost: 0 }])
      expect(side?.[0]?.packetsReceived).toBeGreaterThan(200)
      expect(side?.[0]?.packetsSent).toBeGreaterThan(200)
    }
    await expect(ask('query', at.id)).rejects.toMatchObject({ code: 'HUB_RTPENGINE_REFUSED' })
    expect(await rtpengine.release(at.id, at.attempt)).toBeNull()
  })

  it('keeps its ports through hold and resume, and sets an abandoned re-offer back', async () => {
    const { rtpengine } = await anchor()
    const { at, a, b } = await call(rtpengine)
    const hold = anchoredSdp(await rtpengine.offer(at, 'callee', pcma(b.port, 'sendonly')))
    const holding = anchoredSdp(await rtpengine.answer(at, 'caller', pcma(a.port, 'recvonly')))
    expect(readSdp(hold)[0]).toMatchObject({ direction: 'sendonly', rtp: { port: a.target?.port } })
    expect(readSdp(holding)[0]).toMatchObject({ direction: 'recvonly', rtp: { port: b.target?.port } })
    anchoredSdp(await rtpengine.offer(at, 'caller', pcma(a.port)))
    anchoredSdp(await rtpengine.answer(at, 'callee', pcma(b.port)))
    const elsewhere = await plain()
    anchoredSdp(await rtpengine.offer(at, 'caller', pcma(elsewhere.port)))
    await rtpengine.abandon(at)
    a.speak(440)
    b.speak(1_000)
    await eventually('both hear', () => a.heard.length > 20 && b.heard.length > 20)
    expect(elsewhere.heard).toHaveLength(0)
    await rtpengine.release(at.id, at.attempt)
  })

  it('takes the same answer again, early and final', async () => {
    const { rtpengine } = await anchor()
    const { at, a, b } = await call(rtpengine)
    const again = anchoredSdp(await rtpengine.answer(at, 'callee', pcma(b.port)))
    expect(targetOf(again).port).toBe(a.target?.port)
    await rtpengine.release(at.id, at.attempt)
  })

  it('keeps a session and its second attempt apart', async () => {
    const { rtpengine } = await anchor()
    const at = anchorage()
    const second = { ...at, attempt: 2 }
    anchoredSdp(await rtpengine.offer(at, 'caller', pcma(40_000)))
    anchoredSdp(await rtpengine.offer(second, 'caller', pcma(40_000)))
    await rtpengine.release(at.id, 1)
    expect(await ask('query', `${at.id}-2`)).toMatchObject({ result: 'ok' })
    await rtpengine.release(at.id, 2)
  })

  it('refuses what it may not carry: no codec in common, an answer out of the blue, an unreadable offer', async () => {
    const { rtpengine } = await anchor()
    const at = anchorage({ codecs: ['opus'] })
    const refusal = { anchored: false, reason: { cause: 'incompatible-media' } }
    expect(await rtpengine.offer(at, 'caller', pcma(40_000))).toMatchObject(refusal)
    expect(await rtpengine.offer(at, 'caller', 'v=0' as Sdp)).toMatchObject(refusal)
    const next = anchorage()
    anchoredSdp(await rtpengine.offer(next, 'caller', pcma(40_000)))
    const evs = rtpSdp({ port: 40_000, formats: '97', lines: ['a=rtpmap:97 EVS/16000'] })
    expect(await rtpengine.answer(next, 'callee', evs)).toMatchObject(refusal)
    await rtpengine.release(next.id, 1)
  })

  it('refuses with congestion when the daemon has no port left', async () => {
    const small = await startRtpengine({ portMin: 29_800, portMax: 29_803 })
    endings.push(() => small.stop())
    const { rtpengine } = await anchor([small])
    const [first, second] = [anchorage(), anchorage()]
    anchoredSdp(await rtpengine.offer(first, 'caller', pcma(40_000)))
    expect(await rtpengine.offer(second, 'caller', pcma(40_000))).toMatchObject({
      anchored: false,
      reason: { cause: 'congestion' }
    })
    await rtpengine.release(first.id, 1)
  })
})

describe('rtpengine between WebRTC and plain RTP', () => {
  it('passes G.711 through when the WebRTC side calls, and nothing of that side leaks', async () => {
    const { rtpengine } = await anchor()
    const at = anchorage({ caller: 'webrtc' })
    const [w, r] = [await peer(), await plain()]
    const toCallee = anchoredSdp(await rtpengine.offer(at, 'caller', await w.offer()))
    const toCaller = anchoredSdp(await rtpengine.answer(at, 'callee', pcma(r.port)))
    r.target = targetOf(toCallee)
    await w.accept(toCaller)
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear 200 packets', () => w.heard.length > 200 && r.heard.length > 200, 15_000)
    expect(shareAt(r.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(w.samples(), 1_000)).toBeGreaterThan(0.9)
    expect(toCallee).not.toMatch(/ice-|candidate|fingerprint|setup|mid|msid|ssrc|extmap|rtcp-|group|SAVPF/)
    expect((await rtpengine.release(at.id, at.attempt))?.caller[0]).toMatchObject({ codec: 'PCMA', transcoded: false })
  })

  it('carries a tone each way when the hub makes the offer for the WebRTC side', async () => {
    const { rtpengine } = await anchor()
    const at = anchorage({ callee: 'webrtc' })
    const [w, r] = [await peer(), await plain()]
    const made = anchoredSdp(await rtpengine.makeOffer(at, 'callee'))
    // werift as the client of this rtpengine's DTLS hangs now and then (seen, 9 of 62): let rtpengine be the client.
    const asServer = made.replace('a=setup:actpass', 'a=setup:active')
    r.target = targetOf(anchoredSdp(await rtpengine.answer(at, 'callee', await w.answer(asServer))))
    anchoredSdp(await rtpengine.answer(at, 'caller', pcma(r.port)))
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear', () => w.heard.length > 50 && r.heard.length > 50, 15_000)
    expect(shareAt(r.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(w.samples(), 1_000)).toBeGreaterThan(0.9)
    await rtpengine.release(at.id, at.attempt)
  })

  it('transcodes Opus to G.711 where that was asked', async () => {
    const { rtpengine } = await anchor()
    const at = anchorage({
      caller: 'webrtc',
      codecs: ['PCMA', 'telephone-event'],
      callerCodecs: ['opus', 'telephone-event'],
      transcode: true
    })
    const [w, r] = [await peer({ codecs: ['opus'] }), await plain()]
    const toCallee = anchoredSdp(await rtpengine.offer(at, 'caller', await w.offer()))
    expect(readSdp(toCallee)[0]?.codecs.map(({ name }) => name)).toEqual(['PCMA', 'telephone-event'])
    const toCaller = anchoredSdp(await rtpengine.answer(at, 'callee', rtpSdp({ port: r.port })))
    expect(readSdp(toCaller)[0]?.codecs.map(({ name }) => name)).toContain('opus')
    r.target = targetOf(toCallee)
    await w.accept(toCaller)
    r.speak(1_000)
    await eventually('Opus arrives', () => w.heard.filter(({ payload }) => payload.length > 0).length > 200, 15_000)
    const stats = await rtpengine.release(at.id, at.attempt)
    expect(stats?.callee[0]).toMatchObject({ codec: 'PCMA', transcoded: true })
    expect(stats?.callee[0]?.packetsReceived).toBeGreaterThan(200)
  })
})

describe('an rtpengine that dies', () => {
  it('costs its calls, not the hub: offers are refused with the reason until it is back', async () => {
    const first = await startRtpengine()
    endings.push(() => first.stop())
    const clock = new HandClock()
    const { rtpengine, lost } = await anchor([first], clock)
    const { at } = await call(rtpengine)
    await first.kill()
    const refusal = { anchored: false, reason: { cause: 'internal', text: 'media anchor not reachable' } }
    expect(await rtpengine.offer(anchorage(), 'caller', pcma(40_000))).toEqual(refusal)
    expect(await rtpengine.offer(at, 'caller', pcma(40_000))).toEqual(refusal)
    await eventually('the call is given up', () => (clock.move(1_000), lost.length > 0), 15_000)
    expect(lost).toEqual([`${at.id}/1`])
    expect(await rtpengine.release(at.id, 1)).toBeNull()
    const second = await startRtpengine({ port: first.port })
    endings.push(() => second.stop())
    const next = anchorage()
    let served = await rtpengine.offer(next, 'caller', pcma(40_000))
    const deadline = performance.now() + 10_000
    while (!served.anchored && performance.now() < deadline) {
      clock.move(1_000)
      await new Promise(resolve => setTimeout(resolve, 50))
      served = await rtpengine.offer(next, 'caller', pcma(40_000))
    }
    expect(served.anchored).toBe(true)
    await rtpengine.release(next.id, 1)
  }, 40_000)

  it('hands new calls to the daemon beside it', async () => {
    const [first, second] = [await startRtpengine(), await startRtpengine({ portMin: 29_000, portMax: 29_099 })]
    endings.push(
      () => first.stop(),
      () => second.stop()
    )
    const { rtpengine } = await anchor([first, second])
    await first.kill()
    for (let i = 0; i < 4; i++) {
      const at = anchorage()
      const sdp = anchoredSdp(await rtpengine.offer(at, 'caller', pcma(40_000)))
      expect(targetOf(sdp).port).toBeGreaterThanOrEqual(29_000)
      expect(targetOf(sdp).port).toBeLessThan(29_100)
    }
  }, 40_000)

  it('has forgotten a call after a restart: the call is told lost', async () => {
    const first = await startRtpengine()
    endings.push(() => first.stop())
    const clock = new HandClock()
    const { rtpengine, lost } = await anchor([first], clock)
    const { at } = await call(rtpengine)
    await first.kill()
    const second = await startRtpengine({ port: first.port })
    endings.push(() => second.stop())
    await eventually('the loss is found', () => (clock.move(1_000), lost.length > 0))
    expect(lost).toEqual([`${at.id}/1`])
  }, 40_000)

  it('is asked about silence: a side that has spoken and fell silent is lost', async () => {
    const { rtpengine, lost } = await anchor([daemon], systemClock, 2_000)
    const { at, a, b } = await call(rtpengine)
    const packet = (sequence: number, ssrc: number): Buffer =>
      rtpPacket({ payloadType: 8, sequence, timestamp: sequence * 160, ssrc, payload: Buffer.alloc(160, 0xd5) })
    a.send(packet(1, 0x1001))
    b.send(packet(1, 0x1002))
    await eventually('the silence is found', () => lost.length > 0, 15_000)
    expect(lost).toEqual([`${at.id}/1`])
    await rtpengine.release(at.id, 1)
  }, 30_000)
})
