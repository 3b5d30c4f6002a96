import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { factLimits, receives, sends } from '../../src/media/facts.ts'
import { readSdp } from '../support/media.ts'

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}.sdp`, import.meta.url), 'utf8')
const plain = (...lines: string[]): string => ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', ...lines].join('\r\n')

describe('what an SDP says', () => {
  it('of a browser: ICE, certificate, bundle, candidates', () => {
    const [audio] = readSdp(fixture('browser-offer'))
    expect(audio).toMatchObject({ kind: 'audio', live: true, direction: 'sendrecv', mid: '0', bundle: '0' })
    expect(audio?.webrtc).toMatchObject({ usernameFragment: 'T0lj', setup: 'actpass', iceLite: false })
    expect(audio?.webrtc?.candidates).toHaveLength(8)
    expect(audio?.webrtc?.fingerprints[0]?.algorithm).toBe('sha-256')
  })

  it("of a bundled second line: it shares the first one's bundle", () => {
    const [, video] = readSdp(fixture('browser-offer-video-maxbundle'))
    expect(video).toMatchObject({ kind: 'video', mid: '1', bundle: '0', rtp: null })
    expect(video?.webrtc?.candidates).toEqual([])
  })

  it("of a plain peer: the media line's address before the session's, RTCP by attribute or the next port", () => {
    const sdp = plain(
      'c=IN IP4 192.0.2.1',
      'm=audio 4000 RTP/AVP 0',
      'm=audio 4002 RTP/AVP 0',
      'c=IN IP6 2001:db8::1',
      'a=rtcp:5000 IN IP6 2001:db8::2'
    )
    expect(readSdp(sdp).map(({ rtp, rtcp }) => [rtp, rtcp])).toEqual([
      [
        { host: '192.0.2.1', port: 4_000 },
        { host: '192.0.2.1', port: 4_001 }
      ],
      [
        { host: '2001:db8::1', port: 4_002 },
        { host: '2001:db8::2', port: 5_000 }
      ]
    ])
  })

  it.each(['224.0.0.1', '255.255.255.255', '0.1.2.3', 'media.example.com', 'ff02::1', 'localhost'])(
    'never sends to %s',
    host => {
      const [audio] = readSdp(plain(`c=IN ${host.includes(':') ? 'IP6' : 'IP4'} ${host}`, 'm=audio 4000 RTP/AVP 0'))
      expect(audio?.rtp).toBeNull()
    }
  )

  it('inherits the direction of the session and takes 0.0.0.0 for hold', () => {
    const session = plain(
      'c=IN IP4 192.0.2.1',
      'a=recvonly',
      'm=audio 4000 RTP/AVP 0',
      'm=audio 4000 RTP/AVP 0',
      'a=sendonly'
    )
    expect(readSdp(session).map(({ direction }) => direction)).toEqual(['recvonly', 'sendonly'])
    const held = (direction: string) =>
      readSdp(plain('c=IN IP4 0.0.0.0', 'm=audio 4000 RTP/AVP 0', `a=${direction}`))[0]
    expect(held('sendrecv')).toMatchObject({ direction: 'sendonly', rtp: null, live: true })
    expect(held('recvonly')?.direction).toBe('inactive')
  })

  it('of a line with port 0: it is not live, unless it lives in a bundle', () => {
    const lines = ['m=audio 0 RTP/AVP 0', 'm=video 0 UDP/TLS/RTP/SAVPF 96', 'a=mid:1', 'a=bundle-only']
    expect(readSdp(plain('a=group:BUNDLE 0 1', ...lines)).map(({ live }) => live)).toEqual([false, true])
    expect(readSdp(plain(...lines)).map(({ live }) => live)).toEqual([false, false])
  })

  it('is bounded in candidates', () => {
    const many = Array.from({ length: 100 }, (_, i) => `a=candidate:${i} 1 udp 1 192.0.2.1 ${i + 1} typ host`)
    const sdp = plain(
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
      'a=ice-ufrag:a',
      'a=ice-pwd:b',
      'a=fingerprint:sha-256 AA',
      ...many
    )
    expect(readSdp(sdp)[0]?.webrtc?.candidates).toHaveLength(factLimits.candidatesMax)
  })

  it('knows who sends and who receives', () => {
    expect([sends('sendonly'), sends('recvonly'), receives('recvonly'), receives('inactive')]).toEqual([
      true,
      false,
      true,
      false
    ])
  })
})
