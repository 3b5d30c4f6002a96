import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, it } from '@jest/globals'
import { EmbeddedAnchor } from '../../src/media/embedded.ts'
import type { MediaProfile, Sdp } from '../../src/session/model.ts'
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
import { openRtpEndpoint } from '../support/rtp.ts'
import { eventually } from '../support/until.ts'
import { openWebrtcEndpoint } from '../support/webrtc.ts'
import type { WebrtcEndpoint } from '../support/webrtc.ts'

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

const pcma = (port: number): Sdp => rtpSdp({ port, formats: '8', lines: ['a=rtpmap:8 PCMA/8000', 'a=sendrecv'] })

function setUp(profiles: { caller?: MediaProfile; callee?: MediaProfile }) {
  const lost: string[] = []
  const embedded = new EmbeddedAnchor({ config: mediaConfig(), log: silentLog, clock: systemClock })
  void embedded.start((id, attempt) => lost.push(`${id}/${attempt}`))
  const at = anchorage(profiles)
  endings.push(() => embedded.release(at.id, at.attempt))
  return { embedded, at, lost }
}

async function peer(...options: Parameters<typeof openWebrtcEndpoint>): Promise<WebrtcEndpoint> {
  const made = await openWebrtcEndpoint(...options)
  endings.push(() => made.close())
  return made
}

async function plain() {
  const made = await openRtpEndpoint()
  endings.push(() => made.close())
  return made
}

/** A browser-like caller and a plain callee, connected. */
async function outbound() {
  const { embedded, at, lost } = setUp({ caller: 'webrtc' })
  const [w, r] = [await peer(), await plain()]
  const toCallee = anchoredSdp(await embedded.offer(at, 'caller', await w.offer()))
  const toCaller = anchoredSdp(await embedded.answer(at, 'callee', pcma(r.port)))
  r.target = targetOf(toCallee)
  await w.accept(toCaller)
  return { embedded, at, lost, w, r, toCallee, toCaller }
}

describe('the embedded anchor between WebRTC and plain RTP', () => {
  it('carries a tone each way when the WebRTC side calls', async () => {
    const { embedded, at, w, r, toCallee, toCaller } = await outbound()
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear 200 packets', () => w.heard.length > 200 && r.heard.length > 200, 15_000)
    expect(shareAt(r.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(w.samples(), 1_000)).toBeGreaterThan(0.9)
    expect(toCallee).not.toMatch(/ice-|candidate|fingerprint|setup|mid|msid|ssrc|extmap|rtcp-|group|SAVPF/)
    expect(toCaller).toMatch(/a=group:BUNDLE 0\r\n/)
    expect(toCaller).toMatch(/a=setup:active\r\n/)
    const stats = await embedded.release(at.id, at.attempt)
    expect(stats?.caller[0]).toMatchObject({ codec: 'PCMA', transcoded: false, packetsLost: 0 })
    expect(stats?.caller[0]?.packetsReceived).toBeGreaterThan(200)
    expect(embedded.portPairs).toBe(0)
  })

  it('carries a tone each way when the WebRTC side is called', async () => {
    const { embedded, at } = setUp({ callee: 'webrtc' })
    const [r, w] = [await plain(), await peer()]
    const toCallee = anchoredSdp(await embedded.offer(at, 'caller', pcma(r.port)))
    r.target = targetOf(anchoredSdp(await embedded.answer(at, 'callee', await w.answer(toCallee))))
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear 200 packets', () => w.heard.length > 200 && r.heard.length > 200, 15_000)
    expect(shareAt(r.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(w.samples(), 1_000)).toBeGreaterThan(0.9)
    expect(toCallee).toMatch(/a=setup:actpass\r\n/)
  })

  it('carries a tone each way when the hub makes the offer for the WebRTC side', async () => {
    const { embedded, at } = setUp({ callee: 'webrtc' })
    const [r, w] = [await plain(), await peer()]
    const made = anchoredSdp(await embedded.makeOffer(at, 'callee'))
    r.target = targetOf(anchoredSdp(await embedded.answer(at, 'callee', await w.answer(made))))
    anchoredSdp(await embedded.answer(at, 'caller', pcma(r.port)))
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear', () => w.heard.length > 20 && r.heard.length > 20)
    expect(shareAt(r.samples(), 440)).toBeGreaterThan(0.9)
  })

  it('carries media through an ICE restart on the same port, and hold and resume', async () => {
    const { embedded, at, w, r, toCaller } = await outbound()
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear', () => w.heard.length > 10 && r.heard.length > 10)
    const restarted = await w.offer({ iceRestart: true })
    expect(readSdp(restarted)[0]?.webrtc?.usernameFragment).not.toBe(undefined)
    anchoredSdp(await embedded.offer(at, 'caller', restarted))
    const again = anchoredSdp(await embedded.answer(at, 'callee', pcma(r.port)))
    await w.accept(again)
    const [before, after] = [readSdp(toCaller)[0], readSdp(again)[0]]
    expect(after?.rtp).toEqual(before?.rtp)
    expect(after?.webrtc?.usernameFragment).not.toBe(before?.webrtc?.usernameFragment)
    expect(after?.webrtc?.fingerprints).toEqual(before?.webrtc?.fingerprints)
    const [heardByW, heardByR] = [w.heard.length, r.heard.length]
    await eventually('both hear again', () => w.heard.length > heardByW + 20 && r.heard.length > heardByR + 20)
    const hold = anchoredSdp(await embedded.offer(at, 'callee', pcma(r.port).replace('sendrecv', 'sendonly') as Sdp))
    expect(readSdp(hold)[0]).toMatchObject({ direction: 'sendonly', rtp: before?.rtp })
  })

  it('keeps what was agreed when a second device answers the same offer', async () => {
    const { embedded, at } = setUp({ callee: 'webrtc' })
    const r = await plain()
    const toCallee = anchoredSdp(await embedded.offer(at, 'caller', pcma(r.port)))
    const [first, second] = [await peer(), await peer()]
    r.target = targetOf(anchoredSdp(await embedded.answer(at, 'callee', await first.answer(toCallee))))
    r.speak(1_000)
    await eventually('the first device hears early media', () => first.heard.length > 10)
    anchoredSdp(await embedded.answer(at, 'callee', await second.answer(toCallee)))
    second.speak(440)
    await eventually('the second device is connected', () => second.heard.length > 10 && r.heard.length > 10)
  })

  it('lets two WebRTC sides settle on the codec they share', async () => {
    const { embedded, at } = setUp({ caller: 'webrtc', callee: 'webrtc' })
    const [a, b] = [await peer({ codecs: ['opus', 'PCMA'] }), await peer({ codecs: ['PCMA'] })]
    const toCallee = anchoredSdp(await embedded.offer(at, 'caller', await a.offer()))
    const toCaller = anchoredSdp(await embedded.answer(at, 'callee', await b.answer(toCallee)))
    expect(readSdp(toCallee)[0]?.codecs.map(({ name }) => name)).toEqual(['opus', 'PCMA'])
    expect(readSdp(toCaller)[0]?.codecs.map(({ name }) => name)).toEqual(['PCMA'])
    await a.accept(toCaller)
    a.speak(440)
    b.speak(1_000)
    await eventually('both hear', () => a.heard.length > 20 && b.heard.length > 20)
    expect(shareAt(b.samples(), 440)).toBeGreaterThan(0.9)
  })

  it('refuses WebRTC without a certificate, and plain RTP where WebRTC was agreed', async () => {
    const { embedded, at } = setUp({ caller: 'webrtc' })
    const bare = (await (await peer()).offer()).replace(/a=fingerprint:.*\r\n/g, '') as Sdp
    for (const sdp of [bare, pcma(40_000)]) {
      expect(await embedded.offer(at, 'caller', sdp)).toMatchObject({
        anchored: false,
        reason: { cause: 'incompatible-media' }
      })
    }
    expect(embedded.portPairs).toBe(0)
  })

  it('tells that media is lost when the certificate is not the one that was announced', async () => {
    const { embedded, at, lost } = setUp({ caller: 'webrtc' })
    const [w, r] = [await peer(), await plain()]
    const forged = (await w.offer()).replace(/(a=fingerprint:sha-256 )../, '$1FF') as Sdp
    anchoredSdp(await embedded.offer(at, 'caller', forged))
    await w.accept(anchoredSdp(await embedded.answer(at, 'callee', pcma(r.port))))
    await eventually('the mismatch is found', () => lost.length === 1)
    expect(lost).toEqual([`${at.id}/1`])
  })

  it('survives garbage on its ports', async () => {
    const { w, r, toCaller, toCallee } = await outbound()
    const socket = createSocket('udp4')
    endings.push(() => new Promise<void>(resolve => void socket.close(() => resolve())))
    const stun = Buffer.alloc(20)
    stun.writeUInt16BE(1, 0)
    stun.writeUInt32BE(0x2112_a442, 4)
    const junk = [
      Buffer.alloc(0),
      Buffer.from([0x80]),
      Buffer.alloc(1_400, 0xff),
      stun,
      Buffer.from([22, 254, 253, 0, 0]),
      Buffer.from([20, 1])
    ]
    for (const { port } of [targetOf(toCaller), targetOf(toCallee), { port: targetOf(toCallee).rtcpPort }]) {
      for (const bytes of junk) socket.send(bytes, port, '127.0.0.1')
    }
    w.speak(440)
    r.speak(1_000)
    await eventually('both hear', () => w.heard.length > 20 && r.heard.length > 20)
  })

  it('lets an offer of audio and video under max-bundle keep its audio towards plain RTP', async () => {
    const { embedded, at } = setUp({ caller: 'webrtc' })
    const { readFileSync } = await import('node:fs')
    const offer = readFileSync(new URL('fixtures/browser-offer-video-maxbundle.sdp', import.meta.url), 'utf8') as Sdp
    const granted = { ...at, grant: { ...at.grant, codecs: ['opus', 'H264', 'VP8'] } }
    const toCallee = anchoredSdp(await embedded.offer(granted, 'caller', offer))
    expect(readSdp(toCallee).map(({ kind, live }) => [kind, live])).toEqual([['audio', true]])
    const answer = rtpSdp({ port: 40_000, formats: '111', lines: ['a=rtpmap:111 opus/48000/2'] })
    const toCaller = anchoredSdp(await embedded.answer(granted, 'callee', answer))
    expect(readSdp(toCaller).map(({ kind, live, mid }) => [kind, live, mid])).toEqual([
      ['audio', true, '0'],
      ['video', false, '1']
    ])
    expect(toCaller).toMatch(/a=group:BUNDLE 0\r\n/)
  })
})
