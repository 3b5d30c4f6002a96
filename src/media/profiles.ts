// Which attributes may cross from one side to the other, and the neutral frame around what crosses.
// Everything not named here belongs to the side that wrote it and stays there.

import type { MediaProfile } from '../session/model.ts'
import { directions } from './facts.ts'
import { attribute, attributeName, attributeOf, line, printSdp } from './sdp.ts'
import type { SdpDescription, SdpLine, SdpMedia } from './sdp.ts'

/** End to end: they speak of the media itself. Bandwidth, maxptime and preconditions speak of one side's network. */
const crossing = ['rtpmap', 'fmtp', 'ptime', 'framerate', 'content', 'lang', ...directions] as const

/** What the anchor itself says to a side of that profile. */
const ownTo: Readonly<Record<MediaProfile, readonly string[]>> = {
  rtp: ['rtcp'],
  webrtc: [
    'rtcp-fb',
    'rtcp',
    'rtcp-mux',
    'mid',
    'ice-ufrag',
    'ice-pwd',
    'ice-options',
    'candidate',
    'end-of-candidates',
    'fingerprint',
    'setup',
    'tls-id',
    'bundle-only'
  ]
}

/** Feedback that needs a header extension or a repair stream, neither of which crosses. */
const unsupportedFeedback = /(^|\s)(transport-cc|goog-lntf|rpsi|nack rpsi)\b/
export const feedbackCrosses = (value: string): boolean => !unsupportedFeedback.test(value)

/** The attributes that a side of that profile may see, in their order; media lines besides attributes: c= alone. */
export function mediaLinesFor(profile: MediaProfile, lines: readonly SdpLine[]): readonly SdpLine[] {
  const kept = new Set<string>([...crossing, ...ownTo[profile]])
  return lines.filter(sdpLine => {
    if (sdpLine.type === 'c') return true
    const name = attributeName(sdpLine)
    if (name === null || !kept.has(name)) return false
    return name !== 'rtcp-fb' || feedbackCrosses(sdpLine.value)
  })
}

export interface Frame {
  readonly sessionId: number
  readonly version: number
  readonly address: string
}

/** A session part that tells nothing of whoever is behind the hub: neutral origin and name, no bandwidth, no keys. */
export function sessionLines(
  { sessionId, version, address }: Frame,
  more: readonly SdpLine[] = []
): readonly SdpLine[] {
  return [
    line('v', '0'),
    line('o', `- ${sessionId} ${version} IN ${family(address)} ${address}`),
    line('s', '-'),
    line('c', `IN ${family(address)} ${address}`),
    line('t', '0 0'),
    ...more
  ]
}

/** A description printed with a version that grows only when the rest has changed (RFC 3264, 8). */
export class Origin {
  readonly #sessionId: number
  #version = 1
  #last: string | null = null

  constructor(sessionId: number) {
    this.#sessionId = sessionId
  }

  print(address: string, more: readonly SdpLine[], media: readonly SdpMedia[]): string {
    const draw = (): string =>
      printSdp({ session: sessionLines({ sessionId: this.#sessionId, version: this.#version, address }, more), media })
    const drawn = draw()
    if (this.#last === null || this.#last === drawn) return (this.#last = drawn)
    this.#version++
    return (this.#last = draw())
  }
}

export function rejectedMedia(
  { kind, protocol, formats }: Pick<SdpMedia, 'kind' | 'protocol' | 'formats'>,
  mid: string | null
): SdpMedia {
  const lines = mid === null ? [] : [attribute('mid', mid)]
  return { kind, port: 0, portCount: null, protocol, formats: formats.slice(0, 1), lines }
}

/** The group a browser under `max-bundle` insists on. Nothing where no line is bundled. */
export const bundleLine = (mids: readonly string[]): readonly SdpLine[] =>
  mids.length === 0 ? [] : [attribute('group', `BUNDLE ${mids.join(' ')}`)]

export const protocolOf: Readonly<Record<MediaProfile, string>> = { webrtc: 'UDP/TLS/RTP/SAVPF', rtp: 'RTP/AVP' }

/** The mids of a description's live lines that lie in a bundle. */
export const liveMids = ({ media }: SdpDescription): readonly string[] =>
  media.flatMap(({ port, lines }) => {
    const mid = attributeOf(lines, 'mid')
    return port === 0 || mid === null ? [] : [mid]
  })

const family = (address: string): string => (address.includes(':') ? 'IP6' : 'IP4')
