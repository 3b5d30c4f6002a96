// What rtpengine is given and what of its output a side may see. Pure: rtpengine leaves attributes of one side in the
// other's SDP, so the cleaning is done here.

import type { MediaProfile, Reason, Sdp } from '../session/model.ts'
import { allowed, answeredFrom, codecsOf, isTone, keepCodecs } from './codecs.ts'
import type { Codec } from './codecs.ts'
import { factsOf } from './facts.ts'
import type { MediaFacts } from './facts.ts'
import { bundleLine, liveMids, mediaLinesFor, Origin, rejectedMedia } from './profiles.ts'
import { attribute, attributeName, attributeOf, lineOf, printSdp } from './sdp.ts'
import type { SdpDescription, SdpMedia } from './sdp.ts'

/** A description ready for rtpengine: only lines and codecs that may cross are live in it. */
export interface Prepared {
  readonly sdp: string
  readonly facts: readonly MediaFacts[]
  /** Per line, in its own numbers; empty where the line does not cross. */
  readonly codecs: readonly (readonly Codec[])[]
}

const incompatible = (text: string): Reason => ({ cause: 'incompatible-media', text })

export function prepareOffer(
  description: SdpDescription,
  profile: MediaProfile,
  granted: readonly string[]
): Prepared | Reason {
  const facts = factsOf(description)
  const codecs = facts.map((line, index) => {
    if (!line.live || (line.kind !== 'audio' && line.kind !== 'video') || stuckInBundle(facts, index)) return []
    if ((profile === 'webrtc') !== (line.webrtc !== null)) return []
    return allowed(line.codecs, granted)
  })
  if (!codecs.some(list => list.some(codec => !isTone(codec)))) return incompatible('no codec in common')
  return { sdp: narrowed(description, codecs), facts, codecs }
}

/** What of an answer was offered. rtpengine would pass a codec on that was not (and the other side play noise). */
export function prepareAnswer(description: SdpDescription, offered: readonly (readonly Codec[])[]): Prepared | Reason {
  const facts = factsOf(description)
  const codecs = facts.map((line, index) => (line.live ? answeredFrom(offered[index] ?? [], line.codecs) : []))
  if (!codecs.some(list => list.length > 0)) return incompatible('the answer takes nothing of what was offered')
  return { sdp: narrowed({ ...description, media: description.media.map(muxed) }, codecs), facts, codecs }
}

/**
 * An answer with rtcp-mux leaves one component (RFC 5761, 5.1.3). rtpengine counts those that candidates name, and in
 * the controlling role waits for a second one for ever.
 */
function muxed(section: SdpMedia): SdpMedia {
  if (!section.lines.some(each => attributeName(each) === 'rtcp-mux')) return section
  return { ...section, lines: section.lines.filter(({ value }) => !/^candidate:\S+ [^1]/.test(value)) }
}

/**
 * A browser that bundles by force has no transport of its own for its second line, and rtpengine 10.5 knows no
 * bundles: such a line cannot cross. Seen by its lack of candidates and of a port.
 */
function stuckInBundle(facts: readonly MediaFacts[], index: number): boolean {
  const line = facts[index]
  if (line === undefined || line.bundle === null || line.bundle === line.mid) return false
  return line.webrtc !== null && line.webrtc.candidates.length === 0
}

function narrowed(description: SdpDescription, codecs: readonly (readonly Codec[])[]): string {
  const media = description.media.map((section, index) => {
    const kept = codecs[index] ?? []
    if (kept.length > 0) return trickling(keepCodecs(section, kept))
    return { ...section, port: 0, lines: section.lines.filter(line => attributeName(line) !== 'bundle-only') }
  })
  return printSdp({ session: description.session, media })
}

/**
 * Who trickles may have no candidate yet and stands at 0.0.0.0 (RFC 8840, 4.1.1), which rtpengine takes for a call on
 * hold unless it is told.
 */
function trickling(section: SdpMedia): SdpMedia {
  const says = (name: string): boolean => section.lines.some(each => attributeName(each) === name)
  if (!says('ice-ufrag') || says('candidate') || says('ice-options')) return section
  return { ...section, lines: [...section.lines, attribute('ice-options', 'trickle')] }
}

export interface Shown {
  readonly sdp: Sdp
  /** Per line, as the side sees it. */
  readonly codecs: readonly (readonly Codec[])[]
}

/**
 * rtpengine's output for a side of that profile, cleaned. `bundled`: whether the side has bundled its lines, or may.
 * `feedback`: both sides are WebRTC.
 */
export function show(
  output: SdpDescription,
  to: {
    readonly profile: MediaProfile
    readonly origin: Origin
    readonly bundled: boolean
    readonly feedback: boolean
  },
  mayHave: readonly string[] | null
): Shown {
  const address = lineOf(output.session, 'c') ?? lineOf(output.media[0]?.lines ?? [], 'c') ?? ''
  const codecs: (readonly Codec[])[] = []
  const media = output.media.map((section): SdpMedia => {
    const found = codecsOf(section)
    const kept = section.port === 0 ? [] : mayHave === null ? found : allowed(found, mayHave)
    codecs.push(kept)
    const [facts] = factsOf({ session: output.session, media: [section] })
    if (kept.length === 0) return rejectedMedia(section, to.profile === 'webrtc' ? (facts?.mid ?? null) : null)
    const lines = mediaLinesFor(to.profile, keepCodecs(section, kept).lines).filter(
      ({ type, value }) => type !== 'c' || value !== address
    )
    const clean = to.feedback ? lines : lines.filter(line => attributeName(line) !== 'rtcp-fb')
    return { ...keepCodecs(section, kept), protocol: plain(section.protocol), lines: clean }
  })
  const mids = liveMids({ session: [], media })
  const group = to.bundled && mids.length === 1 && to.profile === 'webrtc' ? bundleLine(mids) : []
  const host = address.split(/ +/)[2] ?? '0.0.0.0'
  const lite = to.profile === 'webrtc' && isLite(output) ? [attribute('ice-lite')] : []
  return { sdp: to.origin.print(host, [...group, ...lite], media) as Sdp, codecs }
}

const isLite = ({ session, media }: SdpDescription): boolean =>
  [session, ...media.map(({ lines }) => lines)].some(lines => attributeOf(lines, 'ice-lite') !== null)

/** The NNI speaks AVP whatever feedback profile rtpengine carried over. */
const plain = (protocol: string): string => (protocol === 'RTP/AVPF' ? 'RTP/AVP' : protocol)

/** A stand-in for a side that has not spoken: rtpengine makes an offer for the other side of it. */
export function standIn(codecs: readonly Codec[], lines: readonly SdpMedia['lines'][number][]): string {
  return printSdp({
    session: [
      { type: 'v', value: '0' },
      { type: 'o', value: '- 1 1 IN IP4 127.0.0.1' },
      { type: 's', value: '-' },
      { type: 'c', value: 'IN IP4 127.0.0.1' },
      { type: 't', value: '0 0' }
    ],
    media: [
      {
        kind: 'audio',
        port: 9,
        portCount: null,
        protocol: 'RTP/AVP',
        formats: codecs.map(({ payloadType }) => `${payloadType}`),
        lines
      }
    ]
  })
}

export const bundledBy = (facts: readonly MediaFacts[]): boolean => facts.some(({ bundle }) => bundle !== null)

export const isPrepared = (made: Prepared | Reason): made is Prepared => 'sdp' in made
