// Session descriptions as Matrix clients need them: every media line names its stream, and what trickled in is written
// back where it belongs. Pure.

import type { Sdp } from '../../session/model.ts'
import {
  attribute,
  attributeOf,
  directionOf,
  has,
  isLive,
  parseSdp,
  printSdp,
  rejected,
  reversed
} from '../../session/sdp.ts'
import { sends, valueOf, withDirection } from '../../session/sdp.ts'
import type { SdpDescription, SdpSection } from '../../session/sdp.ts'
import type { Candidate } from './call-events.ts'

/** `sdp_stream_metadata`: what a stream is for. */
export type StreamMetadata = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface Described {
  readonly sdp: string
  readonly metadata: StreamMetadata
}

/**
 * A description of the hub's for a client: each media line says `msid`, and the metadata names that stream. Without,
 * a call connects and is silent, or does not ring at all. What is no SDP goes as it is.
 */
export function described(sdp: Sdp, stream: string): Described {
  const parsed = parseSdp(sdp)
  if (parsed === null) return { sdp, metadata: metadataOf(stream, []) }
  const sections = parsed.sections.map(section => {
    if (!isLive(section)) return section
    const lines = section.lines.filter(each => attributeOf(each)?.name !== 'msid')
    return { ...section, lines: [...lines, attribute('msid', `${stream} ${stream}-${section.kind}`)] }
  })
  return { sdp: printSdp({ ...parsed, sections }), metadata: metadataOf(stream, sections) }
}

function metadataOf(stream: string, sections: readonly SdpSection[]): StreamMetadata {
  const isMuted = (kind: string): boolean =>
    !sections.some(section => section.kind === kind && isLive(section) && sends(directionOf(section)))
  return { [stream]: { purpose: 'm.usermedia', audio_muted: isMuted('audio'), video_muted: isMuted('video') } }
}

export const hasCandidates = (sdp: Sdp): boolean => /^a=candidate:/m.test(sdp)
export const isVideo = (sdp: Sdp): boolean =>
  parseSdp(sdp)?.sections.some(section => section.kind === 'video' && isLive(section)) ?? false

/** With the candidates that came beside it, each at its media line. */
export function withCandidates(sdp: Sdp, candidates: readonly Candidate[]): Sdp {
  const parsed = candidates.length === 0 ? null : parseSdp(sdp)
  if (parsed === null) return sdp
  const sections = parsed.sections.map((section, index) => {
    const mid = valueOf(section.lines, 'mid')
    const own = candidates.filter(each =>
      each.mid === null || each.mid === '' ? each.index === index : each.mid === mid
    )
    const lines = own.map(each => attribute('candidate', each.candidate.slice('candidate:'.length)))
    return { ...section, lines: [...section.lines, ...lines] }
  })
  return printSdp({ ...parsed, sections }) as Sdp
}

/**
 * The answer to an offer that is not taken: everything stays as it was said last, new media lines are rejected. A
 * client has no other word for no.
 */
export function unchanged(offer: Sdp, last: Sdp): Sdp | null {
  const asked = parseSdp(offer)
  const said = parseSdp(last)
  if (asked === null || said === null) return null
  const sections = asked.sections.map((section, index) => {
    const own = said.sections[index]
    if (own === undefined || !isLive(section) || !isLive(own)) return rejected(section)
    return allowed(answering(own), section)
  })
  return printSdp({ session: grouped(said, sections), sections }) as Sdp
}

/** An answer never says `actpass` (RFC 5763, 5). */
const answering = (section: SdpSection): SdpSection => ({
  ...section,
  lines: section.lines.map(each => (attributeOf(each)?.value === 'actpass' ? attribute('setup', 'passive') : each))
})

/** Only what the offer allows (RFC 3264, 6.1). */
function allowed(own: SdpSection, offered: SdpSection): SdpSection {
  const direction = directionOf(own)
  const most = reversed(directionOf(offered))
  if (most === 'sendrecv' || direction === most) return own
  return withDirection(own, direction === 'sendrecv' ? most : 'inactive')
}

/** A bundle names live media alone (RFC 9143, 7.3.3). */
function grouped({ session }: SdpDescription, sections: readonly SdpSection[]): SdpDescription['session'] {
  const live = sections.filter(isLive).flatMap(({ lines }) => valueOf(lines, 'mid') ?? [])
  const others = session.filter(each => attributeOf(each)?.name !== 'group')
  const wasBundled = has(session, 'group')
  return wasBundled && live.length > 0 ? [...others, attribute('group', ['BUNDLE', ...live].join(' '))] : others
}
