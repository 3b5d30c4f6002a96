import { describe, expect, it } from '@jest/globals'
import type { Codec } from '../../src/media/codecs.ts'
import { meterLimits, StreamMeter } from '../../src/media/stream-meter.ts'
import { rtpPacket } from '../support/rtp.ts'

const pcma: Codec = { payloadType: 8, name: 'PCMA', clockRate: 8_000, channels: 1, fmtp: null, feedback: [] }
const tone: Codec = { ...pcma, payloadType: 101, name: 'telephone-event' }
const packet = (sequence: number, ssrc = 1): Buffer =>
  rtpPacket({ payloadType: 8, sequence, timestamp: sequence * 160, ssrc, payload: Buffer.alloc(160) })

function meter(sequences: readonly number[]): StreamMeter {
  const made = new StreamMeter('audio')
  sequences.forEach((sequence, index) => made.received(packet(sequence), pcma, index * 20))
  return made
}

describe('a stream meter', () => {
  it('counts packets, bytes and the codec both ways', () => {
    const made = meter([1, 2, 3])
    made.sent(packet(1), pcma)
    expect(made.read()).toEqual({
      kind: 'audio',
      codec: 'PCMA',
      packetsReceived: 3,
      bytesReceived: 516,
      packetsSent: 1,
      bytesSent: 172,
      packetsLost: 0,
      jitterMs: 0,
      rttMs: null,
      mos: null,
      transcoded: false
    })
  })

  it.each([
    ['nothing lost', [1, 2, 3], 0],
    ['a gap', [1, 2, 5], 2],
    ['late packets', [1, 3, 2, 4], 0],
    ['a wrap-around', [65_534, 65_535, 0, 1], 0],
    ['a gap across a wrap-around', [65_534, 1], 2],
    ['a duplicate', [1, 2, 2, 3], 0],
    ['one stray number', [1, 2, 30_000, 3], 0],
    ['a sender that restarts', [1, 2, 4, 30_000, 30_001, 30_002], 1]
  ] as const)('tells loss: %s', (_, sequences, lost) => {
    expect(meter(sequences).read().packetsLost).toBe(lost)
  })

  it('measures jitter in milliseconds and ignores tones for it', () => {
    const made = new StreamMeter('audio')
    for (let i = 0; i < 200; i++) made.received(packet(i), pcma, i * 20 + (i % 2) * 8)
    expect(made.read().jitterMs).toBeGreaterThan(7)
    expect(made.read().jitterMs).toBeLessThanOrEqual(8)
    made.received(packet(200), tone, 90_000)
    expect(made.read()).toMatchObject({ codec: 'PCMA' })
    expect(made.read().jitterMs).toBeLessThanOrEqual(8)
  })

  it('knows a bounded number of senders and keeps what it counted of the others', () => {
    const made = new StreamMeter('audio')
    for (let ssrc = 1; ssrc <= meterLimits.sourcesMax + 1; ssrc++) {
      made.received(packet(1, ssrc), pcma, 0)
      made.received(packet(3, ssrc), pcma, 20)
    }
    expect(made.knows(1)).toBe(false)
    expect(made.knows(2)).toBe(true)
    expect(made.read().packetsLost).toBe(meterLimits.sourcesMax + 1)
  })

  it('has no codec and no jitter before the first packet', () => {
    expect(new StreamMeter('video').read()).toMatchObject({
      kind: 'video',
      codec: null,
      jitterMs: null,
      rttMs: null,
      mos: null,
      packetsLost: 0
    })
  })
})
