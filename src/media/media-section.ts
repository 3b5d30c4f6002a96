// Prints one agreed or offered stream as a media section for a side, from the anchor's own transport.

import type { Codec } from './codecs.ts'
import { codecLines } from './codecs.ts'
import type { Direction, WebrtcFacts } from './facts.ts'
import type { LineKind } from './anchored-line.ts'
import { feedbackCrosses, protocolOf } from './profiles.ts'
import { RtpTransport } from './rtp-transport.ts'
import { attribute } from './sdp.ts'
import type { SdpLine, SdpMedia } from './sdp.ts'
import type { MediaTransport } from './transport.ts'
import { WebrtcTransport } from './webrtc-transport.ts'

export interface Section {
  readonly kind: LineKind
  readonly transport: MediaTransport
  readonly codecs: readonly Codec[]
  readonly direction: Direction
  readonly ptime: string | null
  readonly mid: string | null
  /** What is being answered; null in an offer. */
  readonly answering: WebrtcFacts | null
  /** Feedback crosses between two WebRTC sides alone. */
  readonly feedback: boolean
}

export function printSection(section: Section): SdpMedia {
  const { kind, transport, codecs, direction, ptime, mid } = section
  const secure = transport instanceof WebrtcTransport
  const shown = codecs.map(codec => ({ ...codec, feedback: codec.feedback.filter(feedbackCrosses) }))
  return {
    kind,
    port: transport.port,
    portCount: null,
    protocol: protocolOf[secure ? 'webrtc' : 'rtp'],
    formats: codecs.map(({ payloadType }) => `${payloadType}`),
    lines: [
      ...(secure ? secureLines(transport, mid, section.answering) : []),
      ...codecLines(shown, { feedback: secure && section.feedback }),
      ...(ptime === null ? [] : [attribute('ptime', ptime)]),
      attribute(direction),
      ...(transport instanceof RtpTransport ? [attribute('rtcp', `${transport.rtcpPort}`)] : []),
      ...(secure ? candidateLines(transport) : [])
    ]
  }
}

function secureLines(
  transport: WebrtcTransport,
  mid: string | null,
  answering: WebrtcFacts | null
): readonly SdpLine[] {
  const { usernameFragment, password, fingerprints } = transport.local
  return [
    ...(mid === null ? [] : [attribute('mid', mid)]),
    attribute('ice-ufrag', usernameFragment),
    attribute('ice-pwd', password),
    ...fingerprints.map(({ algorithm, value }) => attribute('fingerprint', `${algorithm} ${value}`)),
    attribute('setup', answering === null ? 'actpass' : transport.setupFor(answering)),
    attribute('rtcp-mux')
  ]
}

const candidateLines = ({ local }: WebrtcTransport): readonly SdpLine[] => [
  ...local.candidates.map(candidate => attribute('candidate', candidate)),
  attribute('end-of-candidates')
]
