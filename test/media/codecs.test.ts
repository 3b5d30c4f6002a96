import { describe, expect, it } from '@jest/globals'
import {
  allowed,
  answeredFrom,
  codecKey,
  codecLines,
  codecsOf,
  keepCodecs,
  knownCodec,
  parameter
} from '../../src/media/codecs.ts'
import type { Codec } from '../../src/media/codecs.ts'
import { attribute } from '../../src/media/sdp.ts'
import type { SdpMedia } from '../../src/media/sdp.ts'

const media = (formats: string, ...lines: [string, string][]): SdpMedia => ({
  kind: 'audio',
  port: 5_004,
  portCount: null,
  protocol: 'RTP/AVP',
  formats: formats.split(' '),
  lines: lines.map(([name, value]) => attribute(name, value))
})

const browser = media(
  '111 63 9 0 8 13 110 126',
  ['rtpmap', '111 opus/48000/2'],
  ['rtcp-fb', '111 transport-cc'],
  ['fmtp', '111 minptime=10;useinbandfec=1'],
  ['rtpmap', '63 red/48000/2'],
  ['rtpmap', '9 G722/8000'],
  ['rtpmap', '0 PCMU/8000'],
  ['rtpmap', '8 PCMA/8000'],
  ['rtpmap', '13 CN/8000'],
  ['rtpmap', '110 telephone-event/48000'],
  ['rtpmap', '126 telephone-event/8000']
)
const names = (codecs: readonly Codec[]): string[] => codecs.map(({ name, clockRate }) => `${name}/${clockRate}`)
const codec = (over: Partial<Codec>): Codec => ({
  payloadType: 96,
  name: 'opus',
  clockRate: 48_000,
  channels: 2,
  fmtp: null,
  feedback: [],
  ...over
})

describe('codecs of a media line', () => {
  it('are read in its order, with parameters and feedback', () => {
    expect(codecsOf(browser)[0]).toEqual({
      payloadType: 111,
      name: 'opus',
      clockRate: 48_000,
      channels: 2,
      fmtp: 'minptime=10;useinbandfec=1',
      feedback: ['transport-cc']
    })
    expect(codecsOf(browser)).toHaveLength(8)
  })

  it('need no rtpmap where RFC 3551 has a number for them; others without one are left out', () => {
    expect(names(codecsOf(media('0 8 9 96')))).toEqual(['PCMU/8000', 'PCMA/8000', 'G722/8000'])
  })

  it('ignore what is no payload type and rtpmaps that make no sense', () => {
    expect(codecsOf(media('x 128 97 98', ['rtpmap', '97 opus'], ['rtpmap', '98 bad name/8000']))).toEqual([])
  })

  it('stay when granted, and tones stay with a codec of their clock rate', () => {
    expect(names(allowed(codecsOf(browser), ['PCMA', 'telephone-event']))).toEqual([
      'PCMA/8000',
      'telephone-event/8000'
    ])
    expect(names(allowed(codecsOf(browser), ['OPUS', 'telephone-event']))).toEqual([
      'opus/48000',
      'telephone-event/48000'
    ])
    expect(allowed(codecsOf(browser), ['telephone-event'])).toEqual([])
    expect(allowed(codecsOf(browser), ['AMR'])).toEqual([])
  })

  it('are the same by name, clock rate, channels and what changes the payload format', () => {
    expect(codecKey(codec({ name: 'OPUS', payloadType: 1 }))).toBe(codecKey(codec({ fmtp: 'stereo=1' })))
    const amr = (fmtp: string | null) => codecKey(codec({ name: 'AMR', clockRate: 8_000, channels: 1, fmtp }))
    expect(amr('octet-align=1')).not.toBe(amr(null))
    expect(amr('octet-align=0')).toBe(amr(null))
    const h264 = (fmtp: string) => codecKey(codec({ name: 'H264', clockRate: 90_000, channels: 1, fmtp }))
    expect(h264('packetization-mode=1;profile-level-id=42e01f')).toBe(
      h264('profile-level-id=42E034; packetization-mode=1')
    )
    expect(h264('packetization-mode=1;profile-level-id=42e01f')).not.toBe(h264('profile-level-id=42e01f'))
  })

  it('that were answered count only where they were offered', () => {
    const offered = allowed(codecsOf(browser), ['PCMA', 'telephone-event'])
    const answered = codecsOf(media('97 8 96', ['rtpmap', '97 EVS/16000'], ['rtpmap', '96 telephone-event/8000']))
    expect(answeredFrom(offered, answered).map(({ payloadType }) => payloadType)).toEqual([8, 96])
    expect(answeredFrom(offered, codecsOf(media('97', ['rtpmap', '97 EVS/16000'])))).toEqual([])
  })

  it('are printed with feedback for AVPF alone', () => {
    const [opus] = codecsOf(browser)
    const print = (feedback: boolean) => codecLines([opus!], { feedback }).map(({ value }) => value)
    expect(print(false)).toEqual(['rtpmap:111 opus/48000/2', 'fmtp:111 minptime=10;useinbandfec=1'])
    expect(print(true)).toContain('rtcp-fb:111 transport-cc')
  })

  it('that are not kept take their lines with them', () => {
    const kept = keepCodecs(browser, allowed(codecsOf(browser), ['PCMA']))
    expect(kept.formats).toEqual(['8'])
    expect(kept.lines).toEqual([attribute('rtpmap', '8 PCMA/8000')])
  })

  it('of the hub exist for what it can offer', () => {
    expect(knownCodec('pcma')).toMatchObject({ name: 'PCMA', clockRate: 8_000, channels: 1 })
    expect(knownCodec('VP8')).toBeNull()
    expect(parameter('a=1; B=2', 'b')).toBe('2')
    expect(parameter(null, 'b')).toBeNull()
  })
})
