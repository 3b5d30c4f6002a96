// Session descriptions between the hub and clients.

import { describe, expect, it } from '@jest/globals'
import { described, hasCandidates, isVideo, unchanged, withCandidates } from '../../../src/adapters/matrix/call-sdp.ts'
import type { Sdp } from '../../../src/session/model.ts'

const sdp = (...lines: readonly string[]): Sdp => `${lines.join('\r\n')}\r\n` as Sdp
const head = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0']
const audio = ['m=audio 9 UDP/TLS/RTP/SAVPF 8', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=rtpmap:8 PCMA/8000']
const video = ['m=video 9 UDP/TLS/RTP/SAVPF 96', 'c=IN IP4 0.0.0.0', 'a=mid:1', 'a=rtpmap:96 VP8/90000']
const linesOf = (text: string, start: string): readonly string[] =>
  text.split('\r\n').filter(line => line.startsWith(start))

describe('a description for a client', () => {
  it('names a stream and a track at every media line, and the stream in its metadata', () => {
    const { sdp: text, metadata } = described(sdp(...head, ...audio, 'a=msid:other track', ...video), 's1')
    expect(linesOf(text, 'a=msid:')).toEqual(['a=msid:s1 s1-audio', 'a=msid:s1 s1-video'])
    expect(metadata).toEqual({ s1: { purpose: 'm.usermedia', audio_muted: false, video_muted: false } })
  })

  it('says what is not sent: on hold, without pictures, with a rejected line', () => {
    const muted = (text: Sdp): unknown => described(text, 's').metadata['s']
    expect(muted(sdp(...head, ...audio))).toMatchObject({ audio_muted: false, video_muted: true })
    expect(muted(sdp(...head, ...audio, 'a=recvonly'))).toMatchObject({ audio_muted: true })
    expect(muted(sdp(...head, ...audio, 'a=inactive'))).toMatchObject({ audio_muted: true })
    const rejected = sdp(...head, ...audio, 'm=video 0 UDP/TLS/RTP/SAVPF 96', 'a=mid:1')
    expect(muted(rejected)).toMatchObject({ video_muted: true })
    expect(linesOf(described(rejected, 's').sdp, 'a=msid:')).toHaveLength(1)
  })

  it('that is none goes as it is, with metadata', () => {
    const { sdp: text, metadata } = described('nonsense' as Sdp, 's')
    expect(text).toBe('nonsense')
    expect(Object.keys(metadata)).toEqual(['s'])
  })
})

describe('candidates that came beside', () => {
  const one = (mid: string | null, index: number | null, n = 1) => ({
    candidate: `candidate:${n} 1 udp 1 192.0.2.${n} 9 typ host`,
    mid,
    index
  })

  it('stand at their media line, by name or by place', () => {
    const text = withCandidates(sdp(...head, ...audio, ...video), [one('1', 0, 1), one(null, 0, 2), one('', 1, 3)])
    const [, first = '', second = ''] = text.split('m=')
    expect(linesOf(first, 'a=candidate:')).toEqual(['a=candidate:2 1 udp 1 192.0.2.2 9 typ host'])
    expect(linesOf(second, 'a=candidate:')).toHaveLength(2)
    expect(hasCandidates(text)).toBe(true)
  })

  it('change nothing where there are none, where none fits, and in what is no SDP', () => {
    const text = sdp(...head, ...audio)
    expect(withCandidates(text, [])).toBe(text)
    expect(withCandidates(text, [one('7', null), one(null, 9), one(null, null)])).toBe(text)
    expect(withCandidates('nonsense' as Sdp, [one('0', 0)])).toBe('nonsense')
    expect(hasCandidates(text)).toBe(false)
  })
})

describe('a picture', () => {
  it('is there where a line of it is live', () => {
    expect(isVideo(sdp(...head, ...audio, ...video))).toBe(true)
    expect(isVideo(sdp(...head, ...audio))).toBe(false)
    expect(isVideo(sdp(...head, ...audio, 'm=video 0 UDP/TLS/RTP/SAVPF 96'))).toBe(false)
    expect(isVideo(sdp(...head, 'm=video 0 UDP/TLS/RTP/SAVPF 96', 'a=bundle-only'))).toBe(true)
    expect(isVideo('nonsense' as Sdp)).toBe(false)
  })
})

describe('an offer that is not taken', () => {
  const last = sdp(...head, 'a=group:BUNDLE 0', ...audio, 'a=setup:actpass')

  it('is answered with what was said before, new media rejected, never actpass', () => {
    const answer = unchanged(sdp(...head, 'a=group:BUNDLE 0 1', ...audio, ...video), last)
    expect(linesOf(answer ?? '', 'm=')).toEqual(['m=audio 9 UDP/TLS/RTP/SAVPF 8', 'm=video 0 UDP/TLS/RTP/SAVPF 96'])
    expect(answer).toContain('a=setup:passive')
    expect(linesOf(answer ?? '', 'a=group:')).toEqual(['a=group:BUNDLE 0'])
  })

  it('gets only what it allows', () => {
    const directions = [
      ['a=sendonly', 'a=recvonly'],
      ['a=recvonly', 'a=sendonly'],
      ['a=inactive', 'a=inactive']
    ]
    for (const [asked = '', said = ''] of directions) {
      const answer = unchanged(sdp(...head, ...audio, asked), last) ?? ''
      expect([asked, answer.includes(said)]).toEqual([asked, true])
    }
    const held = sdp(...head, ...audio, 'a=recvonly')
    expect(unchanged(sdp(...head, ...audio, 'a=recvonly'), held)).toContain('a=inactive')
    expect(unchanged(sdp(...head, ...audio), held)).toContain('a=recvonly')
  })

  it('that takes the last medium away leaves no bundle', () => {
    const answer = unchanged(sdp(...head, 'm=audio 0 UDP/TLS/RTP/SAVPF 8', 'a=mid:0'), last)
    expect(linesOf(answer ?? '', 'm=')).toEqual(['m=audio 0 UDP/TLS/RTP/SAVPF 8'])
    expect(linesOf(answer ?? '', 'a=group:')).toEqual([])
  })

  it('has no answer where either is no SDP', () => {
    expect(unchanged('x' as Sdp, last)).toBeNull()
    expect(unchanged(last, 'x' as Sdp)).toBeNull()
  })
})
