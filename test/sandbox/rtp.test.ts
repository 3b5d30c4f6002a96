// The plain RTP endpoint: two of them over loopback, and packets that are none.

import { afterEach, describe, expect, it } from '@jest/globals'
import { Listener } from '../../src/sandbox/media-end.ts'
import { openRtp, readPacket } from '../../src/sandbox/rtp.ts'
import type { RtpEnd, RtpOptions } from '../../src/sandbox/rtp.ts'
import { toneOf } from '../../src/sandbox/tone.ts'
import { until } from '../support/until.ts'

const open: RtpEnd[] = []
const end = async (options: RtpOptions = {}): Promise<RtpEnd> => {
  const made = await openRtp(options)
  open.push(made)
  return made
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(one => one.close()))
})

async function joined(options: RtpOptions = {}): Promise<readonly [RtpEnd, RtpEnd]> {
  const [caller, callee] = await Promise.all([end(options), end(options)])
  const answer = await callee.answer(await caller.offer())
  expect(await caller.accept(answer!)).toBe(true)
  return [caller, callee]
}

describe('RtpEnd', () => {
  it.each(['PCMA', 'PCMU', 'opus'] as const)('hears its own tone from an echo in %s', async codec => {
    const [caller, callee] = await joined({ codecs: [codec] })
    callee.play({ what: 'echo' })
    caller.play({ what: 'tone', hz: 1_000 })
    await until(() => caller.hears(1_000))
    expect(caller.hears(440)).toBe(false)
    expect(caller.heard).toMatchObject({ codec, packetsLost: 0 })
    expect(caller.heard.packetsSent).toBeGreaterThanOrEqual(caller.heard.packetsReceived)
    expect(callee.port % 2).toBe(0)
  })

  it('stops sending when the other side holds, and goes on when it resumes', async () => {
    const [caller, callee] = await joined()
    callee.play({ what: 'tone', hz: 440 })
    await until(() => caller.hears(440))
    await caller.accept((await callee.answer(await caller.offer('inactive')))!)
    const { packetsSent } = callee.heard
    await caller.accept((await callee.answer(await caller.offer('sendrecv')))!)
    expect(callee.heard.packetsSent).toBe(packetsSent)
    await until(() => callee.heard.packetsSent > packetsSent + 5)
  })

  it('answers nothing to an offer without a codec of its own, or for WebRTC', async () => {
    const [one, other] = await Promise.all([end({ codecs: ['PCMA'] }), end({ codecs: ['PCMU'] })])
    const offer = await one.offer()
    expect(await other.answer(offer)).toBeNull()
    expect(await one.answer(offer.replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF'))).toBeNull()
    expect(await one.accept('nonsense')).toBe(false)
  })

  it('says which address cannot be bound', async () => {
    await expect(openRtp({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'HUB_MEDIA' })
  })
})

const padding = Array.from({ length: 12 }, () => 0)

describe('RTP packets', () => {
  it('are read past contributing sources, extension and padding', () => {
    const packet = Buffer.from([
      0xb1, 0x88, 0, 5, 0, 0, 0, 160, 1, 2, 3, 4, 9, 9, 9, 9, 0xbe, 0xde, 0, 1, 7, 7, 7, 7, 42, 43, 0, 2
    ])
    expect(readPacket(packet)).toEqual({
      payloadType: 8,
      marker: true,
      sequence: 5,
      timestamp: 160,
      payload: Buffer.from([42, 43])
    })
  })

  it('are told from RTCP, STUN and what is too short', () => {
    const noise = [[], [0x80], [0x80, 8, 0, 5], [0x80, 200, 0, 1, ...padding], [0, 1, 0, 0, ...padding]]
    for (const bytes of [...noise, [0xbf, 8, 0, 5, ...padding], [0x90, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]]) {
      expect(readPacket(Buffer.from(bytes))).toBeNull()
    }
    expect(readPacket(Buffer.from([0x80, 8, 0, 5, ...padding]))?.payload).toHaveLength(4)
  })

  it('count as lost once they are missing, and no more once they come late', () => {
    const listener = new Listener()
    const hear = (sequence: number): void =>
      listener.hear(
        { payloadType: 8, marker: false, sequence, timestamp: 0, payload: toneOf('PCMA', 440, sequence) },
        'PCMA'
      )
    for (const sequence of [65_534, 65_535, 2, 0]) hear(sequence)
    expect([listener.received, listener.lost]).toEqual([4, 1])
  })
})
