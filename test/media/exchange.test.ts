import { describe, expect, it } from '@jest/globals'
import { AnchoredLine } from '../../src/media/anchored-line.ts'
import type { Codec } from '../../src/media/codecs.ts'
import { accepted, crossing, hubCodecs, inNumbersOf, nothingInCommon, renumbered } from '../../src/media/exchange.ts'
import { readSdp, rtpSdp } from '../support/media.ts'

const codec = (payloadType: number, name: string, clockRate = 8_000, channels = 1): Codec => ({
  payloadType,
  name,
  clockRate,
  channels,
  fmtp: null,
  feedback: []
})
const rtp = { caller: 'rtp', callee: 'rtp' } as const
const facts = (...media: Parameters<typeof rtpSdp>) => readSdp(rtpSdp(...media))

describe('what of an offer crosses', () => {
  it("are the granted codecs of a line that the side's transport can carry", () => {
    const [audio] = facts({ port: 4_000 })
    expect(
      crossing(audio!, 'caller', rtp, ['PCMA', 'telephone-event']).codecs.map(({ payloadType }) => payloadType)
    ).toEqual([8, 101])
    expect(crossing(audio!, 'caller', { ...rtp, caller: 'webrtc' }, ['PCMA']).why).toBe('RTP/AVP is not WebRTC')
    expect(crossing(audio!, 'caller', rtp, ['opus'])).toEqual({ codecs: [], why: 'no codec in common for audio' })
  })

  it('is no line with port 0, of another kind, at an address that cannot be used, or video between unlike sides', () => {
    const [dead, text, video] = facts(
      { port: 0 },
      { port: 4_000, kind: 'text' },
      { port: 4_000, kind: 'video', formats: '96', lines: ['a=rtpmap:96 VP8/90000'] }
    )
    expect(crossing(dead!, 'caller', rtp, ['PCMA'])).toEqual({ codecs: [], why: null })
    expect(crossing(text!, 'caller', rtp, ['PCMA']).why).toBe('text is not anchored')
    expect(crossing(video!, 'caller', rtp, ['VP8']).codecs).toHaveLength(1)
    expect(crossing(video!, 'caller', { ...rtp, callee: 'webrtc' }, ['VP8']).why).toMatch(/same transport/)
    const [multicast] = readSdp(rtpSdp({ port: 4_000 }).replaceAll('IN IP4 127.0.0.1', 'IN IP4 224.1.1.1'))
    expect(crossing(multicast!, 'caller', rtp, ['PCMA']).why).toBe('the media address cannot be used')
  })

  it('tells the first reason there is', () => {
    expect(nothingInCommon([null, 'because'])).toEqual({ cause: 'incompatible-media', text: 'because' })
    expect(nothingInCommon([null]).text).toMatch(/no live media line/)
  })
})

describe('numbers of payload types', () => {
  it("are those of the offerer in its answer, with the answerer's parameters and order", () => {
    const offered = [codec(111, 'opus', 48_000, 2), codec(8, 'PCMA')]
    const answered = [codec(8, 'PCMA'), { ...codec(96, 'opus', 48_000, 2), fmtp: 'stereo=1' }]
    expect(inNumbersOf(offered, answered).map(({ payloadType, fmtp }) => [payloadType, fmtp])).toEqual([
      [8, null],
      [111, 'stereo=1']
    ])
  })

  it('avoid what the other side has used for something else', () => {
    const line = new AnchoredLine('audio')
    const end = { numberOf: (c: Codec) => (c.name === 'PCMA' ? 8 : null), isTaken: (n: number) => n === 8 || n === 96 }
    Object.assign(line.ends, { callee: end })
    const numbers = renumbered([codec(8, 'PCMA'), codec(96, 'opus', 48_000, 2), codec(100, 'AMR')], line, 'callee')
    expect(numbers.map(({ payloadType }) => payloadType)).toEqual([8, 97, 100])
  })

  it("of the hub's own offer: static ones stay, tones come at each clock rate", () => {
    expect(
      hubCodecs(['opus', 'PCMA', 'VP8', 'telephone-event']).map(
        ({ payloadType, name, clockRate }) => `${payloadType} ${name}/${clockRate}`
      )
    ).toEqual(['96 opus/48000', '8 PCMA/8000', '97 telephone-event/48000', '101 telephone-event/8000'])
    expect(hubCodecs(['VP8'])).toEqual([])
  })
})

describe('what of an answer is accepted', () => {
  it('is what was offered, on lines that were shown', () => {
    const line = new AnchoredLine('audio')
    line.slots.callee = 0
    const exchange = {
      from: 'caller',
      to: 'callee',
      hubOffered: { caller: false, callee: true },
      lines: [{ line, facts: null, codecs: [codec(8, 'PCMA'), codec(101, 'telephone-event')] }]
    } as const
    const answer = (...media: Parameters<typeof rtpSdp>) =>
      accepted(exchange, facts(...media), 'rtp')
        .get(line)
        ?.codecs.map(({ name }) => name)
    expect(answer({ port: 4_000 })).toEqual(['PCMA', 'telephone-event'])
    expect(answer({ port: 0 })).toBeUndefined()
    expect(answer({ port: 4_000, formats: '0', lines: [] })).toBeUndefined()
    expect(answer({ port: 4_000, kind: 'video' })).toBeUndefined()
    expect(answer()).toBeUndefined()
  })
})
