// What is asked of rtpengine for each pair of sides, as measured with 10.5. Lists must be lists: text is ignored.

import type { MediaProfile, Side } from '../session/model.ts'
import type { NgFields } from './rtpengine-client.ts'

export interface Asked {
  readonly callId: string
  /** Who offers: its tag. Sides are the tags. */
  readonly offerer: Side
  readonly answerer: Side
  readonly profiles: Readonly<Record<Side, MediaProfile>>
  readonly sdp: string
  readonly dscp: number
  /** Names of codecs to offer in place of the offerer's; null: pass through. */
  readonly transcodeTo: readonly string[] | null
  /** rtpengine leaves the checks of ICE to the answerer (RFC 8445, 2.5). */
  readonly lite: boolean
}

const common = (sdp: string): NgFields => ({ sdp, replace: ['origin', 'session-connection'] })

export function offerFields({ callId, offerer, answerer, profiles, sdp, dscp, transcodeTo, lite }: Asked): NgFields {
  const to = profiles[answerer]
  return {
    'call-id': callId,
    'from-tag': offerer,
    ...common(sdp),
    ...towards(to),
    ...(lite && to === 'webrtc' ? { 'ICE-lite': 'forward' } : {}),
    // For the whole call, both legs: rtpengine knows no other.
    TOS: dscp << 2,
    flags: ['trust-address', ...(to === 'webrtc' ? ['generate-mid', 'no-rtcp-attribute'] : ['strip-extmap'])],
    ...(transcodeTo === null ? {} : { codec: { mask: ['all'], transcode: ngCodecs(transcodeTo, to) } })
  }
}

export function answerFields({ callId, offerer, answerer, profiles, sdp }: Asked): NgFields {
  const to = profiles[offerer]
  return {
    'call-id': callId,
    'from-tag': offerer,
    'to-tag': answerer,
    ...common(sdp),
    ICE: to === 'webrtc' ? 'force' : 'remove',
    flags: ['trust-address', ...(to === 'webrtc' ? ['no-rtcp-attribute'] : ['strip-extmap'])]
  }
}

/** With a tag the reply carries the final counters; without one it says `ok` alone. */
export const deleteFields = (callId: string): NgFields => ({
  'call-id': callId,
  'from-tag': 'caller',
  'delete-delay': 0
})

function towards(profile: MediaProfile): NgFields {
  if (profile === 'rtp') {
    return { ICE: 'remove', DTLS: 'off', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] }
  }
  return { ICE: 'force', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['require'], SDES: ['off'] }
}

/** Tones towards a WebRTC side must say Opus's clock rate to be offered at it. */
function ngCodecs(names: readonly string[], to: MediaProfile): readonly string[] {
  return names.flatMap(name => {
    if (name === 'VP8' || name === 'H264') return []
    if (name !== 'telephone-event' || to !== 'webrtc') return [name]
    return names.some(other => other.toLowerCase() === 'opus') ? [name, 'telephone-event/48000'] : [name]
  })
}
