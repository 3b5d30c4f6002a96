import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { Origin } from '../../src/media/profiles.ts'
import { isPrepared, prepareAnswer, prepareOffer, show } from '../../src/media/rtpengine-sdp.ts'
import { parseSdp } from '../../src/media/sdp.ts'
import type { SdpDescription } from '../../src/media/sdp.ts'
import { readSdp, rtpSdp } from '../support/media.ts'

function read(text: string): SdpDescription {
  const parsed = parseSdp(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.description
}
const fixture = (name: string): SdpDescription =>
  read(readFileSync(new URL(`fixtures/${name}.sdp`, import.meta.url), 'utf8'))
const names = (sdp: string): string[][] =>
  readSdp(sdp).map(({ live, codecs }) => (live ? codecs.map(({ name }) => name) : []))

describe('what rtpengine is given', () => {
  it("is the browser's offer with the granted codecs alone", () => {
    const made = prepareOffer(fixture('browser-offer'), 'webrtc', ['PCMA', 'telephone-event'])
    expect(isPrepared(made) && names(made.sdp)).toEqual([['PCMA', 'telephone-event']])
  })

  it('has no video that a browser has bundled by force, and has it where it is free', () => {
    const offer = (name: string) => prepareOffer(fixture(name), 'webrtc', ['opus', 'H264'])
    const [forced, balanced] = [offer('browser-offer-video-maxbundle'), offer('browser-offer-video-balanced')]
    expect(isPrepared(forced) && names(forced.sdp)).toEqual([['opus'], []])
    expect(isPrepared(balanced) && names(balanced.sdp)[1]?.every(name => name === 'H264')).toBe(true)
    expect(isPrepared(balanced) && names(balanced.sdp)[1]?.length).toBeGreaterThan(0)
  })

  it('of an answer with rtcp-mux has one component: candidates of another would be waited for', () => {
    const offered = prepareOffer(read(rtpSdp({ port: 4_000 })), 'rtp', ['PCMA'])
    if (!isPrepared(offered)) throw new Error('not prepared')
    const candidates = [
      'a=candidate:1 1 udp 2 192.0.2.1 4000 typ host',
      'a=candidate:1 2 udp 1 192.0.2.1 4001 typ host'
    ]
    const given = (...lines: string[]): string => {
      const answer = prepareAnswer(read(rtpSdp({ port: 4_000, lines: [...candidates, ...lines] })), offered.codecs)
      return isPrepared(answer) ? answer.sdp : ''
    }
    expect(given('a=rtcp-mux').match(/candidate:1 \d/g)).toEqual(['candidate:1 1'])
    expect(given().match(/candidate:1 \d/g)).toEqual(['candidate:1 1', 'candidate:1 2'])
  })

  it('says of who has no candidate yet that it trickles: 0.0.0.0 is no hold then', () => {
    const offer = readFileSync(new URL('fixtures/browser-offer.sdp', import.meta.url), 'utf8')
    const bare = offer.replace(/a=(candidate|ice-options|end-of-candidates).*\r?\n/g, '')
    const given = (text: string): string => {
      const made = prepareOffer(read(text), 'webrtc', ['PCMA'])
      return isPrepared(made) ? made.sdp : ''
    }
    expect(given(bare)).toContain('a=ice-options:trickle\r\n')
    expect(given(bare.replace(/a=ice-ufrag/, 'a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n$&'))).not.toContain(
      'ice-options'
    )
  })

  it('is refused without a codec in common, or from a side that speaks another transport', () => {
    expect(prepareOffer(fixture('browser-offer'), 'webrtc', ['AMR'])).toMatchObject({ cause: 'incompatible-media' })
    expect(prepareOffer(fixture('browser-offer'), 'rtp', ['PCMA'])).toMatchObject({ cause: 'incompatible-media' })
  })

  it('of an answer is what was offered: a codec of its own invention does not cross', () => {
    const offered = prepareOffer(read(rtpSdp({ port: 4_000 })), 'rtp', ['PCMA', 'telephone-event'])
    if (!isPrepared(offered)) throw new Error('not prepared')
    const answer = (formats: string, ...lines: string[]) =>
      prepareAnswer(read(rtpSdp({ port: 4_000, formats, lines })), offered.codecs)
    const mixed = answer('97 8', 'a=rtpmap:97 EVS/16000')
    expect(isPrepared(mixed) && names(mixed.sdp)).toEqual([['PCMA']])
    expect(answer('97', 'a=rtpmap:97 EVS/16000')).toMatchObject({ cause: 'incompatible-media' })
  })
})

describe("what a side is shown of rtpengine's output", () => {
  it('towards the NNI: nothing of the browser', () => {
    const side = { profile: 'rtp', origin: new Origin(7), bundled: true, feedback: false } as const
    const { sdp, codecs } = show(fixture('rtpengine-offer-to-nni'), side, ['PCMA', 'telephone-event'])
    expect(sdp.split('\r\n')).toEqual([
      'v=0',
      'o=- 7 1 IN IP4 127.0.0.1',
      's=-',
      'c=IN IP4 127.0.0.1',
      't=0 0',
      'm=audio 30690 RTP/AVP 8 126',
      'a=rtpmap:8 PCMA/8000',
      'a=rtpmap:126 telephone-event/8000',
      'a=sendrecv',
      'a=rtcp:30691',
      ''
    ])
    expect(codecs[0]?.map(({ payloadType }) => payloadType)).toEqual([8, 126])
  })

  it('towards the browser: the group that max-bundle insists on, and no feedback that leads nowhere', () => {
    const side = { profile: 'webrtc', origin: new Origin(7), bundled: true, feedback: false } as const
    const { sdp } = show(fixture('rtpengine-answer-to-browser'), side, null)
    expect(sdp).toMatch(/t=0 0\r\na=group:BUNDLE 0\r\nm=audio /)
    expect(sdp).toMatch(/a=candidate:/)
    expect(sdp).not.toMatch(/rtcp-fb|o=ims/)
    const unbundled = show(fixture('rtpengine-answer-to-browser'), { ...side, bundled: false }, null)
    expect(unbundled.sdp).not.toMatch(/group/)
  })

  it('towards the browser: that rtpengine is lite, where it is', () => {
    const side = { profile: 'webrtc', origin: new Origin(7), bundled: true, feedback: false } as const
    const full = fixture('rtpengine-answer-to-browser')
    const lite = { ...full, session: [...full.session, { type: 'a', value: 'ice-lite' }] }
    expect(show(lite, side, null).sdp).toMatch(/t=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\nm=audio /)
    expect(show(full, { ...side, origin: new Origin(8) }, null).sdp).not.toContain('ice-lite')
    expect(show(lite, { ...side, profile: 'rtp', origin: new Origin(9) }, null).sdp).not.toContain('ice-lite')
  })

  it('is no live line where rtpengine fell back to codecs that are not granted', () => {
    const side = { profile: 'rtp', origin: new Origin(7), bundled: false, feedback: false } as const
    const { sdp, codecs } = show(fixture('rtpengine-offer-to-nni'), side, ['AMR-WB'])
    expect(codecs).toEqual([[]])
    expect(sdp).toMatch(/m=audio 0 RTP\/AVP 8\r\n$/)
  })
})
