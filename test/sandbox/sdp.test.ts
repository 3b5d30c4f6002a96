// The sandbox's SDP: what is read of an offer, and what is answered to it.

import { describe, expect, it } from '@jest/globals'
import { mirrored, printAudio, readAudio } from '../../src/sandbox/sdp.ts'
import { codecs } from '../../src/sandbox/tone.ts'

const local = { host: '192.0.2.1', port: 4_000, direction: 'sendrecv', sessionId: 7, version: 2 } as const
const sdp = (...lines: readonly string[]): string =>
  ['v=0', 'o=- 1 1 IN IP4 192.0.2.9', 's=-', 'c=IN IP4 192.0.2.9', 't=0 0', ...lines, ''].join('\r\n')

describe('readAudio', () => {
  it('reads back what is printed', () => {
    const list = (['PCMA', 'opus'] as const).map(name => ({ name, payloadType: codecs[name].payloadType }))
    const text = printAudio({ ...local, codecs: list, telephoneEvent: 101 })
    expect(readAudio(text)).toMatchObject({
      host: '192.0.2.1',
      port: 4_000,
      direction: 'sendrecv',
      codecs: list,
      telephoneEvent: 101
    })
  })

  it('takes the first audio line that can be used, static payload types without rtpmap included', () => {
    const audio = readAudio(
      sdp(
        'm=video 5000 RTP/AVP 96',
        'm=audio 0 RTP/AVP 8',
        'm=audio 6000 RTP/AVP 18 0 8',
        'c=IN IP6 2001:db8::1',
        'a=sendonly'
      )
    )
    expect(audio).toMatchObject({ host: '2001:db8::1', port: 6_000, direction: 'sendonly', index: 2 })
    expect(audio?.codecs.map(({ name }) => name)).toEqual(['PCMU', 'PCMA'])
  })

  it.each([
    '',
    'hello',
    sdp(),
    sdp('m=audio 6000 TCP/MSRP *'),
    sdp('m=audio 6000 RTP/AVP 18'),
    sdp('m=audio x RTP/AVP 8'),
    'm=audio 6000 RTP/AVP 8'
  ])('finds nothing in %j', text => {
    expect(readAudio(text)).toBeNull()
  })
})

describe('printAudio', () => {
  it('answers with the other media lines refused, in their order', () => {
    const offer = readAudio(sdp('m=video 5000 RTP/AVP 96', 'm=audio 6000 RTP/AVP 8', 'm=text 7000 RTP/AVP 98'))!
    const media = printAudio({ ...local, codecs: offer.codecs, telephoneEvent: null }, offer).match(/^m=.*$/gm)
    expect(media).toEqual(['m=video 0 RTP/AVP 96', 'm=audio 4000 RTP/AVP 8', 'm=text 0 RTP/AVP 98'])
  })

  it('mirrors directions', () => {
    expect(mirrored('sendonly')).toBe('recvonly')
    expect(mirrored('recvonly')).toBe('sendonly')
    expect(mirrored('inactive')).toBe('inactive')
    expect(mirrored('sendrecv', 'sendonly')).toBe('sendonly')
    expect(mirrored('recvonly', 'recvonly')).toBe('inactive')
  })
})
