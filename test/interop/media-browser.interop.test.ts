// Chromium's own WebRTC against both anchors: packets counted and a tone detected each way.
// needs: chromium rtpengine

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { EmbeddedAnchor } from '../../src/media/embedded.ts'
import { RtpengineAnchor } from '../../src/media/rtpengine.ts'
import type { Sdp } from '../../src/session/model.ts'
import type { Anchorage, MediaAnchor } from '../../src/session/ports.ts'
import { openBrowserPeer } from '../support/browser-media.ts'
import type { BrowserPeer, PeerOptions } from '../support/browser-media.ts'
import { openBrowser } from '../support/browser.ts'
import type { BrowserUser, TestBrowser } from '../support/browser.ts'
import {
  anchorage,
  anchoredSdp,
  mediaConfig,
  readSdp,
  rtpSdp,
  silentLog,
  systemClock,
  targetOf
} from '../support/media.ts'
import { shareAt } from '../../src/sandbox/tone.ts'
import { openRtpEndpoint, rtpPacket, toneFrame } from '../support/rtp.ts'
import { eventually } from '../support/until.ts'
import type { RtpEndpoint } from '../support/rtp.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'

let browser: TestBrowser
let user: BrowserUser
let daemon: Rtpengine
let rtpengine: RtpengineAnchor
const embedded = new EmbeddedAnchor({
  config: mediaConfig({ portMin: 22_000, portMax: 22_999 }),
  log: silentLog,
  clock: systemClock
})
const endings: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  daemon = await startRtpengine()
  const config = mediaConfig({ anchor: 'rtpengine', rtpengine: [{ host: daemon.host, port: daemon.port }] })
  rtpengine = new RtpengineAnchor({ config, log: silentLog, clock: systemClock })
  await rtpengine.start(() => {})
  browser = await openBrowser()
  user = await browser.user()
}, 60_000)

afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

afterAll(async () => {
  rtpengine.close()
  await browser.close()
  await daemon.stop()
}, 60_000)

async function peer(options: PeerOptions): Promise<BrowserPeer> {
  const made = await openBrowserPeer(user.page, options)
  endings.push(() => made.close())
  return made
}

async function endpoint(): Promise<RtpEndpoint> {
  const made = await openRtpEndpoint()
  endings.push(() => made.close())
  return made
}

const pcma = (port: number): Sdp => rtpSdp({ port, formats: '8', lines: ['a=rtpmap:8 PCMA/8000', 'a=sendrecv'] })

async function browserCalls(
  anchor: MediaAnchor,
  at: Anchorage,
  options: PeerOptions,
  answer: (port: number) => Sdp = pcma
) {
  const [w, r] = [await peer(options), await endpoint()]
  const toCallee = anchoredSdp(await anchor.offer(at, 'caller', await w.offer()))
  const toCaller = anchoredSdp(await anchor.answer(at, 'callee', answer(r.port)))
  endings.push(async () => anchor.release(at.id, at.attempt))
  r.target = targetOf(toCallee)
  await w.accept(toCaller)
  return { w, r, toCallee, toCaller }
}

async function untilHeard(w: BrowserPeer, hz: number, ms = 5_000): Promise<void> {
  const deadline = performance.now() + ms
  for (;;) {
    const heard = await w.heard()
    if (Math.abs(heard.hz - hz) < 20 && heard.decibels > -60) return
    if (performance.now() > deadline) throw new Error(`heard ${heard.hz} Hz at ${heard.decibels} dB, not ${hz} Hz`)
  }
}

/** A tone each way and more than 200 packets each way, by both ends' own counts. */
async function talks(w: BrowserPeer, r: RtpEndpoint): Promise<void> {
  r.speak(1_000)
  await eventually('the endpoint hears 210 packets', () => r.heard.length > 210, 20_000)
  await untilHeard(w, 1_000)
  const { sent, received } = await w.counters()
  expect(sent).toBeGreaterThan(200)
  expect(received).toBeGreaterThan(200)
  expect(shareAt(r.samples().slice(-8_000), 440)).toBeGreaterThan(0.9)
}

/** Voice and the digit 7 in turn, half a second each, on one timeline, until told to stop. */
function pressSevens(r: RtpEndpoint, payloadType: number): () => void {
  const [packets, samples] = [25, 160]
  let sent = 0
  const timer = setInterval(() => {
    const place = sent % packets
    const isDigit = Math.floor(sent / packets) % 2 === 1
    const begun = sent * samples
    const digit = Buffer.from([7, place === packets - 1 ? 0x8a : 0x0a, 0, 0])
    digit.writeUInt16BE((place + 1) * samples, 2)
    const voice = { payloadType: 8, timestamp: begun, payload: toneFrame(440, begun) }
    const event = { payloadType, timestamp: begun - place * samples, payload: digit, marker: place === 0 }
    r.send(rtpPacket({ sequence: 1_000 + sent, ssrc: r.ssrc, ...(isDigit ? event : voice) }))
    sent++
  }, 20)
  return () => clearInterval(timer)
}

const anchors: readonly [string, () => MediaAnchor][] = [
  ['embedded', () => embedded],
  ['rtpengine', () => rtpengine]
]

describe.each(anchors)('Chromium and the %s anchor', (name, anchor) => {
  it('talk when the browser calls, in G.711 passed through', async () => {
    const at = anchorage({ caller: 'webrtc', codecs: ['PCMA'] })
    const { w, r, toCallee } = await browserCalls(anchor(), at, { hz: 440 })
    expect(toCallee).not.toMatch(/a=(?!rtpmap|fmtp|ptime|sendrecv|rtcp:)/)
    await talks(w, r)
    const stats = await anchor().release(at.id, at.attempt)
    expect(stats?.caller[0]).toMatchObject({ kind: 'audio', codec: 'PCMA', transcoded: false })
    expect(stats?.caller[0]?.packetsReceived).toBeGreaterThan(200)
    expect(stats?.callee[0]?.packetsReceived).toBeGreaterThan(200)
  }, 40_000)

  it('carry digits both ways, as events in RTP', async () => {
    const at = anchorage({ caller: 'webrtc', codecs: ['PCMA', 'telephone-event'] })
    const [w, r] = [await peer({ hz: 440 }), await endpoint()]
    const toCallee = anchoredSdp(await anchor().offer(at, 'caller', await w.offer()))
    endings.push(async () => anchor().release(at.id, at.attempt))
    const { payloadType: event } = readSdp(toCallee)[0]!.codecs.find(({ name }) => name === 'telephone-event')!
    const lines = ['a=rtpmap:8 PCMA/8000', `a=rtpmap:${event} telephone-event/8000`, 'a=sendrecv']
    await w.accept(
      anchoredSdp(await anchor().answer(at, 'callee', rtpSdp({ port: r.port, formats: `8 ${event}`, lines })))
    )
    r.target = targetOf(toCallee)
    const stop = pressSevens(r, event)
    endings.unshift(async () => stop())
    await eventually('the phone hears it', () => r.heard.length > 50)
    await w.digit('5')
    await eventually('the phone gets the digit', () =>
      r.heard.some(({ payloadType, payload }) => payloadType === event && payload[0] === 5 && payload.length === 4)
    )
    // The phone's own digit, which Chromium plays as the two tones of a 7 (ITU-T Q.23).
    const digit = await eventually('the digit sounds in Chromium', async () => {
      const { hz, decibels } = await w.heard()
      return decibels > -60 && [852, 1_209].some(tone => Math.abs(hz - tone) < 20) ? hz : null
    })
    expect(digit).toBeGreaterThan(0)
  }, 40_000)

  it('talk when the browser is called', async () => {
    const at = anchorage({ callee: 'webrtc', codecs: ['PCMA'] })
    const [w, r] = [await peer({ hz: 440 }), await endpoint()]
    const toCallee = anchoredSdp(await anchor().offer(at, 'caller', pcma(r.port)))
    r.target = targetOf(anchoredSdp(await anchor().answer(at, 'callee', await w.answer(toCallee))))
    endings.push(async () => anchor().release(at.id, at.attempt))
    await talks(w, r)
  }, 40_000)

  it('talk under max-bundle, where video is refused and audio survives', async () => {
    const at = anchorage({ caller: 'webrtc', codecs: ['PCMA', 'VP8'] })
    const answer = (port: number): Sdp =>
      name === 'embedded'
        ? pcma(port)
        : rtpSdp(
            { port, formats: '8', lines: ['a=rtpmap:8 PCMA/8000'] },
            { port: 0, kind: 'video', formats: '96', lines: [] }
          )
    const { w, r, toCaller } = await browserCalls(
      anchor(),
      at,
      { hz: 440, bundlePolicy: 'max-bundle', video: true },
      answer
    )
    expect(readSdp(toCaller).map(({ kind, live }) => [kind, live])).toEqual([
      ['audio', true],
      ['video', false]
    ])
    await talks(w, r)
  }, 40_000)

  it('carry Opus unchanged: the browser hears its own tone come back', async () => {
    const at = anchorage({ caller: 'webrtc', codecs: ['opus'] })
    const opus = (port: number): Sdp => rtpSdp({ port, formats: '96', lines: ['a=rtpmap:96 opus/48000/2'] })
    const same = (port: number): Sdp => rtpSdp({ port, formats: '111', lines: ['a=rtpmap:111 opus/48000/2'] })
    // rtpengine passes payload types through; the embedded anchor maps them.
    const { w, r } = await browserCalls(anchor(), at, { hz: 660 }, name === 'embedded' ? opus : same)
    r.echo()
    await eventually('210 packets have come', () => r.heard.length > 210, 20_000)
    await untilHeard(w, 660)
    expect(new Set(r.heard.map(({ payloadType }) => payloadType))).toEqual(new Set([name === 'embedded' ? 96 : 111]))
  }, 40_000)
})

describe('two browsers and the embedded anchor', () => {
  it('see and hear each other, bundled, with feedback for the pictures', async () => {
    const at = anchorage({ caller: 'webrtc', callee: 'webrtc', codecs: ['opus', 'VP8'] })
    const [a, b] = [
      await peer({ hz: 440, video: true, bundlePolicy: 'max-bundle' }),
      await peer({ hz: 1_000, video: true })
    ]
    const toCallee = anchoredSdp(await embedded.offer(at, 'caller', await a.offer()))
    const toCaller = anchoredSdp(await embedded.answer(at, 'callee', await b.answer(toCallee)))
    endings.push(() => embedded.release(at.id, at.attempt))
    await a.accept(toCaller)
    expect(toCallee).toMatch(/a=rtcp-fb:\d+ nack pli/)
    await untilHeard(a, 1_000, 15_000)
    await untilHeard(b, 440, 15_000)
    const deadline = performance.now() + 15_000
    const frames = async (): Promise<number> => Math.min((await a.counters()).frames, (await b.counters()).frames)
    while ((await frames()) < 10 && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 100))
    expect(await frames()).toBeGreaterThanOrEqual(10)
    const stats = await embedded.release(at.id, at.attempt)
    expect(stats?.caller.map(({ kind, codec }) => `${kind} ${codec}`)).toEqual(['audio opus', 'video VP8'])
    expect(embedded.portPairs).toBe(0)
  }, 60_000)
})

describe('Chromium and rtpengine that transcodes', () => {
  it('talk Opus on one side and G.711 on the other', async () => {
    const at = anchorage({
      caller: 'webrtc',
      codecs: ['PCMA', 'telephone-event'],
      callerCodecs: ['opus', 'telephone-event'],
      transcode: true
    })
    const { w, r, toCallee, toCaller } = await browserCalls(rtpengine, at, {
      hz: 440,
      codecs: ['opus', 'telephone-event']
    })
    expect(readSdp(toCallee)[0]?.codecs.map(({ name }) => name)).toEqual(['PCMA', 'telephone-event'])
    expect(readSdp(toCaller)[0]?.codecs.map(({ name }) => name)).toContain('opus')
    await talks(w, r)
    expect((await w.counters()).codec).toBe('audio/opus')
    const stats = await rtpengine.release(at.id, at.attempt)
    expect(stats?.caller[0]).toMatchObject({ codec: 'opus', transcoded: true })
    expect(stats?.callee[0]).toMatchObject({ codec: 'PCMA', transcoded: true })
  }, 40_000)
})
