import { afterEach, describe, expect, it } from '@jest/globals'
import type { MediaConfig } from '../../src/config.ts'
import { EmbeddedAnchor } from '../../src/media/embedded.ts'
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

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

async function endpoints(count: number): Promise<RtpEndpoint[]> {
  const made = await Promise.all(Array.from({ length: count }, (_, i) => openRtpEndpoint({ ssrc: 0x1000 + i })))
  endings.push(...made.map(endpoint => () => endpoint.close()))
  return made
}

function anchor(over: Partial<MediaConfig> = {}, clock: Clock = systemClock) {
  const lost: string[] = []
  const embedded = new EmbeddedAnchor({ config: mediaConfig(over), log: silentLog, clock })
  void embedded.start((id, attempt) => lost.push(`${id}/${attempt}`))
  return { embedded, lost }
}

/** A call between two endpoints, set up and released with the test. */
async function call(over: Partial<MediaConfig> = {}, clock: Clock = systemClock) {
  const { embedded, lost } = anchor(over, clock)
  const at = anchorage()
  const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
  const toCallee = anchoredSdp(await embedded.offer(at, 'caller', rtpSdp({ port: a.port })))
  const toCaller = anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port })))
  b.target = targetOf(toCallee)
  a.target = targetOf(toCaller)
  endings.push(() => embedded.release(at.id, at.attempt))
  return { embedded, lost, at, a, b, toCallee, toCaller }
}

const packet = (sequence: number, over: Partial<Parameters<typeof rtpPacket>[0]> = {}): Buffer =>
  rtpPacket({
    payloadType: 8,
    sequence,
    timestamp: sequence * 160,
    ssrc: 0x1000,
    payload: Buffer.alloc(160, 0xd5),
    ...over
  })

const held = (port: number, direction: string): Sdp =>
  rtpSdp({ port, formats: '8', lines: ['a=rtpmap:8 PCMA/8000', `a=${direction}`] })

describe('the embedded anchor between two plain RTP sides', () => {
  it('carries a tone each way, counts it and gives its ports back', async () => {
    const { embedded, at, a, b } = await call()
    a.speak(440)
    b.speak(1_000)
    await eventually('both hear 200 packets', () => a.heard.length > 200 && b.heard.length > 200)
    const stats = await embedded.release(at.id, at.attempt)
    expect(shareAt(b.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(a.samples(), 1_000)).toBeGreaterThan(0.9)
    expect(stats?.caller).toMatchObject([{ kind: 'audio', codec: 'PCMA', packetsLost: 0, transcoded: false }])
    expect(stats?.caller[0]?.packetsReceived).toBeGreaterThan(200)
    expect(stats?.callee[0]?.packetsSent).toBe(stats?.caller[0]?.packetsReceived)
    expect(stats?.callee[0]?.bytesReceived).toBe(172 * (stats?.callee[0]?.packetsReceived ?? 0))
    expect(embedded.portPairs).toBe(0)
  })

  it('shows each side the anchor alone: its address, an even port, RTCP above it, a neutral origin', async () => {
    const { toCallee, toCaller } = await call()
    for (const sdp of [toCallee, toCaller]) {
      const { port, rtcpPort } = targetOf(sdp)
      expect(port % 2).toBe(0)
      expect(rtcpPort).toBe(port + 1)
      expect(sdp).toMatch(/^v=0\r\no=- \d+ 1 IN IP4 127\.0\.0\.1\r\ns=-\r\nc=IN IP4 127\.0\.0\.1\r\nt=0 0\r\nm=audio /)
    }
  })

  it('releases once: the second time and an unknown call give null', async () => {
    const { embedded, at } = await call()
    expect(await embedded.release(at.id, at.attempt)).not.toBeNull()
    expect(await embedded.release(at.id, at.attempt)).toBeNull()
    expect(await embedded.release(at.id, 7)).toBeNull()
  })

  it('keeps two attempts of a session apart', async () => {
    const { embedded, at } = await call()
    const second = { ...at, attempt: 2 }
    anchoredSdp(await embedded.offer(second, 'caller', rtpSdp({ port: 40_000 })))
    await embedded.release(at.id, 1)
    expect(embedded.portPairs).toBe(2)
    await embedded.release(at.id, 2)
    expect(embedded.portPairs).toBe(0)
  })

  it('keeps its ports through hold and resume, stops the held side, and tells new versions of its SDP', async () => {
    const { embedded, at, a, b, toCallee, toCaller } = await call()
    a.speak(440)
    b.speak(1_000)
    await eventually('both hear', () => a.heard.length > 5 && b.heard.length > 5)
    const hold = anchoredSdp(await embedded.offer(at, 'caller', held(a.port, 'sendonly')))
    const holding = anchoredSdp(await embedded.answer(at, 'callee', held(b.port, 'recvonly')))
    expect(readSdp(hold)[0]?.direction).toBe('sendonly')
    expect(readSdp(holding)[0]?.direction).toBe('recvonly')
    expect(targetOf(hold)).toEqual(targetOf(toCallee))
    expect(targetOf(holding)).toEqual(targetOf(toCaller))
    expect(hold).toMatch(/^o=- \d+ 2 /m)
    const [heardByA, heardByB] = [a.heard.length, b.heard.length]
    await eventually('the callee hears the music on hold', () => b.heard.length > heardByB + 20)
    expect(a.heard.length - heardByA).toBeLessThan(3)
    anchoredSdp(await embedded.offer(at, 'caller', held(a.port, 'sendrecv')))
    anchoredSdp(await embedded.answer(at, 'callee', held(b.port, 'sendrecv')))
    const resumed = a.heard.length
    await eventually('the caller hears again', () => a.heard.length > resumed + 20)
  })

  it('takes c=0.0.0.0 for hold and sends nothing there', async () => {
    const { embedded, at, a, b } = await call()
    const old = rtpSdp({ port: a.port }).replace('c=IN IP4 127.0.0.1', 'c=IN IP4 0.0.0.0') as Sdp
    expect(readSdp(anchoredSdp(await embedded.offer(at, 'caller', old)))[0]?.direction).toBe('sendonly')
    anchoredSdp(await embedded.answer(at, 'callee', held(b.port, 'recvonly')))
    b.send(packet(1, { ssrc: 0x1001 }))
    a.send(packet(1))
    await eventually('the callee hears the caller', () => b.heard.length > 0)
    expect(a.heard).toHaveLength(0)
  })

  it('leaves an agreed call as it was when a re-offer is abandoned', async () => {
    const { embedded, at, a, b } = await call()
    const before = embedded.portPairs
    anchoredSdp(
      await embedded.offer(
        at,
        'caller',
        rtpSdp({ port: 9_998, lines: ['a=inactive'] }, { port: 40_002, kind: 'audio' })
      )
    )
    expect(embedded.portPairs).toBe(before + 2)
    await embedded.abandon(at)
    expect(embedded.portPairs).toBe(before)
    a.send(packet(1))
    b.send(packet(1, { ssrc: 0x1001 }))
    await eventually('both hear', () => a.heard.length > 0 && b.heard.length > 0)
  })

  it('adds and removes a media line', async () => {
    const { embedded, at, a, b, toCallee } = await call({}, systemClock)
    const [va, vb] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    const granted = { ...at, grant: { ...at.grant, codecs: ['PCMA', 'H264'] } }
    const video = (port: number) => ({
      port,
      kind: 'video',
      formats: '97',
      lines: ['a=rtpmap:97 H264/90000', 'a=fmtp:97 packetization-mode=1;profile-level-id=42e01f']
    })
    const offer = anchoredSdp(await embedded.offer(granted, 'caller', rtpSdp({ port: a.port }, video(va.port))))
    const answer = anchoredSdp(await embedded.answer(granted, 'callee', rtpSdp({ port: b.port }, video(vb.port))))
    expect(targetOf(offer)).toEqual(targetOf(toCallee))
    va.target = targetOf(answer, 1)
    va.send(packet(1, { payloadType: 97, ssrc: 0x7777 }))
    await eventually('the video crosses', () => vb.heard.length === 1)
    expect(vb.heard[0]).toMatchObject({ payloadType: 97, ssrc: 0x7777, sequence: 1 })
    const removed = anchoredSdp(await embedded.offer(granted, 'caller', rtpSdp({ port: a.port }, video(0))))
    expect(readSdp(removed).map(({ live }) => live)).toEqual([true, false])
    anchoredSdp(await embedded.answer(granted, 'callee', rtpSdp({ port: b.port }, video(0))))
    expect(embedded.portPairs).toBe(2)
    const stats = await embedded.release(at.id, at.attempt)
    expect(stats?.caller.map(({ kind, packetsReceived }) => [kind, packetsReceived])).toEqual([
      ['audio', 0],
      ['video', 1]
    ])
  })

  it('takes the same answer again, early and final', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    anchoredSdp(await embedded.offer(at, 'caller', rtpSdp({ port: a.port })))
    const early = anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port })))
    const final = anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port })))
    expect(final).toBe(early)
    await embedded.release(at.id, at.attempt)
  })

  it('makes the first offer where the caller made none, and passes the answer on as an offer', async () => {
    const { embedded } = anchor()
    const at = anchorage({ codecs: ['PCMA', 'PCMU', 'telephone-event'] })
    const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    const made = anchoredSdp(await embedded.makeOffer(at, 'callee'))
    expect(readSdp(made)[0]?.codecs.map(({ name }) => name)).toEqual(['PCMA', 'PCMU', 'telephone-event'])
    const toCaller = anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port })))
    expect(readSdp(toCaller)[0]?.codecs.map(({ name }) => name)).toEqual(['PCMA', 'telephone-event'])
    anchoredSdp(await embedded.answer(at, 'caller', rtpSdp({ port: a.port })))
    b.target = targetOf(made)
    a.target = targetOf(toCaller)
    a.send(packet(1))
    b.send(packet(2, { ssrc: 0x1001 }))
    await eventually('both hear', () => a.heard.length > 0 && b.heard.length > 0)
    await embedded.release(at.id, at.attempt)
    expect(embedded.portPairs).toBe(0)
  })
})

describe('payload types of the embedded anchor', () => {
  it('rewrites them where the sides number differently; tones keep marker, SSRC and sequence', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    const toCallee = anchoredSdp(await embedded.offer(at, 'caller', rtpSdp({ port: a.port })))
    const answer = rtpSdp({
      port: b.port,
      formats: '8 96',
      lines: ['a=rtpmap:8 PCMA/8000', 'a=rtpmap:96 telephone-event/8000']
    })
    const toCaller = anchoredSdp(await embedded.answer(at, 'callee', answer))
    expect(readSdp(toCaller)[0]?.codecs.map(({ payloadType }) => payloadType)).toEqual([8, 101])
    a.target = targetOf(toCaller)
    b.target = targetOf(toCallee)
    a.send(packet(7, { payloadType: 101, marker: true, payload: Buffer.from([5, 0x0a, 0, 160]) }))
    b.send(packet(9, { payloadType: 96, ssrc: 0x1001, payload: Buffer.from([6, 0x0a, 0, 160]) }))
    await eventually('both hear a digit', () => a.heard.length === 1 && b.heard.length === 1)
    expect(b.heard[0]).toMatchObject({ payloadType: 96, marker: true, ssrc: 0x1000, sequence: 7 })
    expect(a.heard[0]).toMatchObject({ payloadType: 101, marker: false, ssrc: 0x1001, sequence: 9 })
    expect(a.heard[0]?.payload[0]).toBe(6)
    await embedded.release(at.id, at.attempt)
  })

  it('drops payload types that nobody agreed to', async () => {
    const { a, b } = await call()
    a.send(packet(1, { payloadType: 0 }))
    a.send(packet(2))
    await eventually('the agreed packet arrives', () => b.heard.length > 0)
    expect(b.heard.map(({ sequence }) => sequence)).toEqual([2])
  })

  it('refuses an offer without a granted codec, and an answer that takes nothing of the offer', async () => {
    const { embedded } = anchor()
    const at = anchorage({ codecs: ['opus'] })
    expect(await embedded.offer(at, 'caller', rtpSdp({ port: 40_000 }))).toEqual({
      anchored: false,
      reason: { cause: 'incompatible-media', text: 'no codec in common for audio' }
    })
    expect(embedded.portPairs).toBe(0)
    const next = anchorage()
    anchoredSdp(await embedded.offer(next, 'caller', rtpSdp({ port: 40_000 })))
    const g722 = rtpSdp({ port: 40_000, formats: '9', lines: [] })
    expect(await embedded.answer(next, 'callee', g722)).toMatchObject({
      anchored: false,
      reason: { cause: 'incompatible-media' }
    })
    await embedded.release(next.id, next.attempt)
  })

  it('refuses what it cannot read, with the reason', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    expect(await embedded.offer(at, 'caller', 'not an sdp' as Sdp)).toMatchObject({
      anchored: false,
      reason: { cause: 'incompatible-media', text: expect.stringContaining('line 1') }
    })
    expect(await embedded.answer(at, 'callee', rtpSdp({ port: 1 }))).toMatchObject({
      anchored: false,
      reason: { cause: 'internal' }
    })
    await embedded.release(at.id, at.attempt)
  })
})

describe('strangers, bounds and silence in the embedded anchor', () => {
  it('drops packets from another source once the peer is known, whatever their SSRC', async () => {
    const { embedded, at, a, b } = await call()
    const [stranger] = (await endpoints(1)) as [RtpEndpoint]
    for (let sequence = 1; sequence <= 6; sequence++) a.send(packet(sequence))
    await eventually('the peer is locked', () => b.heard.length === 6)
    stranger.target = a.target
    for (let sequence = 500; sequence < 520; sequence++) stranger.send(packet(sequence, { ssrc: 0xbad }))
    stranger.send(packet(7))
    a.send(packet(8))
    await eventually('the peer goes on', () => b.heard.length === 7)
    expect(b.heard.map(({ ssrc }) => ssrc)).not.toContain(0xbad)
    const stats = await embedded.release(at.id, at.attempt)
    expect(stats?.caller[0]).toMatchObject({ packetsReceived: 7, packetsLost: 1 })
  })

  it('follows the peer to another SSRC without calling it loss', async () => {
    const { embedded, at, a, b } = await call()
    a.send(packet(10))
    a.send(packet(40_000, { ssrc: 0x2222 }))
    a.send(packet(40_001, { ssrc: 0x2222 }))
    await eventually('all arrive', () => b.heard.length === 3)
    expect((await embedded.release(at.id, at.attempt))?.caller[0]).toMatchObject({ packetsReceived: 3, packetsLost: 0 })
  })

  it('finds a peer behind a translator by its packets', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    anchoredSdp(await embedded.offer(at, 'caller', rtpSdp({ port: 9 })))
    a.target = targetOf(anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port }))))
    for (let sequence = 1; sequence <= 6; sequence++) a.send(packet(sequence))
    await eventually('it is heard', () => b.heard.length === 6)
    b.target = { host: '127.0.0.1', port: b.heard[0]!.from, rtcpPort: b.heard[0]!.from + 1 }
    b.send(packet(1, { ssrc: 0x1001 }))
    await eventually('it is answered where it is', () => a.heard.length === 1)
    await embedded.release(at.id, at.attempt)
  })

  it('relays reports and keeps feedback from a side that has none', async () => {
    const { a, b } = await call()
    const receiverReport = Buffer.from([0x80, 201, 0, 1, 0, 0, 0x10, 0])
    const pictureLoss = Buffer.from([0x81, 206, 0, 2, 0, 0, 0x10, 0, 0, 0, 0, 1])
    a.sendRtcp(Buffer.concat([receiverReport, pictureLoss]))
    a.sendRtcp(pictureLoss)
    a.sendRtcp(receiverReport)
    await eventually('both compounds arrive', () => b.heardRtcp.length === 2)
    expect(b.heardRtcp).toEqual([receiverReport, receiverReport])
  })

  it('refuses with congestion when its ports are used up, and serves again once one call has ended', async () => {
    const { embedded } = anchor({ portMin: 21_500, portMax: 21_503 })
    const [first, second] = [anchorage(), anchorage()]
    anchoredSdp(await embedded.offer(first, 'caller', rtpSdp({ port: 40_000 })))
    expect(await embedded.offer(second, 'caller', rtpSdp({ port: 40_000 }))).toEqual({
      anchored: false,
      reason: { cause: 'congestion', text: 'the media anchor has no free port' }
    })
    await embedded.release(first.id, 1)
    anchoredSdp(await embedded.offer(second, 'caller', rtpSdp({ port: 40_000 })))
    await embedded.release(second.id, 1)
    expect(embedded.portPairs).toBe(0)
  })

  it('answers an offer that was released meanwhile with a refusal and leaks nothing', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    const offered = embedded.offer(at, 'caller', rtpSdp({ port: 40_000 }))
    const answered = embedded.answer(at, 'callee', rtpSdp({ port: 40_000 }))
    await embedded.release(at.id, at.attempt)
    await Promise.all([offered, answered])
    expect(embedded.portPairs).toBe(0)
  })

  it('tells once when a side that has spoken falls silent', async () => {
    const clock = new HandClock()
    const { at, a, b, lost } = await call({ silenceMs: 10_000 }, clock)
    a.send(packet(1))
    b.send(packet(1, { ssrc: 0x1001 }))
    await eventually('both were heard', () => a.heard.length > 0 && b.heard.length > 0)
    clock.move(6_000)
    a.send(packet(2))
    await eventually('the caller goes on', () => b.heard.length > 1)
    clock.move(3_000)
    expect(lost).toEqual([])
    clock.move(30_000)
    expect(lost).toEqual([`${at.id}/1`])
  })

  it('waits patiently on hold', async () => {
    const clock = new HandClock()
    const { embedded, at, a, b, lost } = await call({ silenceMs: 10_000 }, clock)
    anchoredSdp(await embedded.offer(at, 'caller', held(a.port, 'inactive')))
    anchoredSdp(await embedded.answer(at, 'callee', held(b.port, 'inactive')))
    clock.move(120_000)
    expect(lost).toEqual([])
  })

  it('tells when neither side was ever heard', async () => {
    const clock = new HandClock()
    const { at, lost } = await call({ silenceMs: 10_000 }, clock)
    clock.move(16_000)
    expect(lost).toEqual([`${at.id}/1`])
  })
})
