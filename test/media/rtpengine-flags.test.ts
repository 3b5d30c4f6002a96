import { describe, expect, it } from '@jest/globals'
import type { MediaProfile } from '../../src/session/model.ts'
import { answerFields, deleteFields, offerFields } from '../../src/media/rtpengine-flags.ts'

const asked = (caller: MediaProfile, callee: MediaProfile, transcodeTo: readonly string[] | null = null) =>
  ({
    callId: 'call',
    offerer: 'caller',
    answerer: 'callee',
    profiles: { caller, callee },
    sdp: 'v=0',
    dscp: 46,
    transcodeTo,
    lite: false
  }) as const

describe('what rtpengine is asked', () => {
  it('towards plain RTP: no ICE, no DTLS, RTCP on its own port, DSCP of the grant', () => {
    expect(offerFields(asked('webrtc', 'rtp'))).toEqual({
      'call-id': 'call',
      'from-tag': 'caller',
      sdp: 'v=0',
      replace: ['origin', 'session-connection'],
      ICE: 'remove',
      DTLS: 'off',
      'transport-protocol': 'RTP/AVP',
      'rtcp-mux': ['demux'],
      TOS: 184,
      flags: ['trust-address', 'strip-extmap']
    })
  })

  it('towards WebRTC: ICE, DTLS-SRTP without SDES, one port', () => {
    expect(offerFields(asked('rtp', 'webrtc'))).toMatchObject({
      ICE: 'force',
      'transport-protocol': 'UDP/TLS/RTP/SAVPF',
      'rtcp-mux': ['require'],
      SDES: ['off'],
      flags: ['trust-address', 'generate-mid', 'no-rtcp-attribute']
    })
  })

  it("with transcoding: everything masked, the granted codecs offered, tones at Opus's clock rate for WebRTC", () => {
    expect(offerFields(asked('webrtc', 'rtp', ['AMR-WB', 'PCMA', 'telephone-event', 'VP8']))).toMatchObject({
      codec: { mask: ['all'], transcode: ['AMR-WB', 'PCMA', 'telephone-event'] }
    })
    expect(offerFields(asked('rtp', 'webrtc', ['opus', 'telephone-event']))).toMatchObject({
      codec: { mask: ['all'], transcode: ['opus', 'telephone-event', 'telephone-event/48000'] }
    })
  })

  it('towards a WebRTC side that controls ICE in any case: rtpengine is lite', () => {
    expect(offerFields({ ...asked('rtp', 'webrtc'), lite: true })).toMatchObject({ 'ICE-lite': 'forward' })
    expect(offerFields(asked('rtp', 'webrtc'))).not.toHaveProperty('ICE-lite')
    expect(offerFields({ ...asked('rtp', 'rtp'), lite: true })).not.toHaveProperty('ICE-lite')
  })

  it("of an answer: both tags, ICE by the offerer's side", () => {
    expect(answerFields(asked('webrtc', 'rtp'))).toMatchObject({
      'from-tag': 'caller',
      'to-tag': 'callee',
      ICE: 'force'
    })
    expect(answerFields(asked('rtp', 'webrtc'))).toMatchObject({ ICE: 'remove' })
  })

  it('of a delete: a tag, for the counters, and no delay', () => {
    expect(deleteFields('call')).toEqual({ 'call-id': 'call', 'from-tag': 'caller', 'delete-delay': 0 })
  })
})
