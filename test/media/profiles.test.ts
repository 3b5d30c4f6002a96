import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { bundleLine, feedbackCrosses, mediaLinesFor, Origin, rejectedMedia } from '../../src/media/profiles.ts'
import { attribute, attributeName, line, parseSdp } from '../../src/media/sdp.ts'
import type { SdpLine } from '../../src/media/sdp.ts'

function linesOf(name: string) {
  const parsed = parseSdp(readFileSync(new URL(`fixtures/${name}.sdp`, import.meta.url), 'utf8'))
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.description.media.flatMap(({ lines }) => lines)
}
const names = (lines: readonly SdpLine[]): string[] =>
  [...new Set(lines.map(attributeName).filter(name => name !== null))].sort()

describe('what crosses from one side to the other', () => {
  it('towards plain RTP: codecs, packet time, direction and the RTCP port', () => {
    expect(names(mediaLinesFor('rtp', linesOf('rtpengine-offer-to-nni')))).toEqual(['rtcp', 'rtpmap', 'sendrecv'])
    expect(names(mediaLinesFor('rtp', linesOf('browser-offer')))).toEqual(['fmtp', 'rtcp', 'rtpmap', 'sendrecv'])
  })

  it.each([
    'msid:a b',
    'msid-semantic: WMS',
    'ssrc:1 cname:x',
    'ssrc-group:FID 1 2',
    'mid:0',
    'rtcp-rsize',
    'rtcp-xr:rcvr-rtt=all',
    'extmap:1 urn:x',
    'extmap-allow-mixed',
    'rtcp-fb:8 nack',
    'candidate:1 1 udp 1 192.0.2.1 1 typ host',
    'ice-ufrag:a',
    'ice-pwd:b',
    'ice-options:trickle',
    'fingerprint:sha-256 AA',
    'setup:actpass',
    'rid:1 send',
    'simulcast:send 1',
    'crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x',
    'rtcp-mux',
    'tls-id:x',
    'end-of-candidates',
    'x-island-secret:1'
  ])('keeps a=%s from plain RTP', text => {
    expect(mediaLinesFor('rtp', [line('a', text)])).toEqual([])
  })

  it.each([
    'curr:qos local none',
    'des:qos mandatory local sendrecv',
    'conf:qos remote sendrecv',
    'maxptime:40',
    'crypto:1 x inline:y',
    'x-operator:1'
  ])('keeps a=%s from WebRTC', text => {
    expect(mediaLinesFor('webrtc', [line('a', text)])).toEqual([])
  })

  it.each(['b', 'i', 'k'])('lets no %s= line cross', type => {
    expect([...mediaLinesFor('rtp', [line(type, 'x')]), ...mediaLinesFor('webrtc', [line(type, 'x')])]).toEqual([])
  })

  it('lets feedback cross that needs no header extension', () => {
    expect(['111 transport-cc', '96 nack', '96 nack pli', '96 ccm fir', '96 goog-lntf'].map(feedbackCrosses)).toEqual([
      false,
      true,
      true,
      true,
      false
    ])
  })
})

describe('the frame around it', () => {
  it('raises its version only when something has changed', () => {
    const origin = new Origin(7)
    const media = (port: number) => [
      { kind: 'audio', port, portCount: null, protocol: 'RTP/AVP', formats: ['8'], lines: [] }
    ]
    const first = origin.print('192.0.2.1', [], media(4_000))
    expect(first).toBe(
      'v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n'
    )
    expect(origin.print('192.0.2.1', [], media(4_000))).toBe(first)
    expect(origin.print('192.0.2.1', [], media(4_002))).toContain('o=- 7 2 IN')
    expect(origin.print('2001:db8::1', [], media(4_002))).toContain('o=- 7 3 IN IP6 2001:db8::1')
  })

  it('rejects a line with port 0 and its mid, and groups what is bundled', () => {
    expect(rejectedMedia({ kind: 'video', protocol: 'RTP/AVP', formats: ['96', '97'] }, '1')).toEqual({
      kind: 'video',
      port: 0,
      portCount: null,
      protocol: 'RTP/AVP',
      formats: ['96'],
      lines: [attribute('mid', '1')]
    })
    expect(bundleLine([])).toEqual([])
    expect(bundleLine(['0', '1'])).toEqual([attribute('group', 'BUNDLE 0 1')])
  })
})
