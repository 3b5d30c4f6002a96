// One offer/answer exchange of the embedded anchor, before anything is agreed: what is offered, line by line, and
// what of an answer fits it. Pure.

import { otherSide } from '../session/model.ts'
import type { MediaProfile, Reason, Side } from '../session/model.ts'
import type { AnchoredLine, LineKind } from './anchored-line.ts'
import { allowed, answeredFrom, codecKey, isTone, knownCodec, staticPayloadType } from './codecs.ts'
import type { Codec } from './codecs.ts'
import type { MediaFacts } from './facts.ts'

export interface OfferedLine {
  readonly line: AnchoredLine
  /** Null in the hub's own offer. */
  readonly facts: MediaFacts | null
  /** In the offerer's numbers. Empty: the line does not cross. */
  readonly codecs: readonly Codec[]
}

export interface Exchange {
  /** Whose offer it is; `hub`: the hub's own for `otherSide(to)`'s sake. */
  readonly from: Side | 'hub'
  /** Who is to answer. */
  readonly to: Side
  readonly lines: readonly OfferedLine[]
  /** On which sides it was the hub that offered: it controls ICE there. */
  readonly hubOffered: Readonly<Record<Side, boolean>>
}

export type Profiles = Readonly<Record<Side, MediaProfile>>

/** Which of a line's codecs may cross; empty where it cannot be anchored, and why. */
export function crossing(
  facts: MediaFacts,
  side: Side,
  profiles: Profiles,
  granted: readonly string[]
): { readonly codecs: readonly Codec[]; readonly why: string | null } {
  const no = (why: string | null): { codecs: readonly Codec[]; why: string | null } => ({ codecs: [], why })
  if (!facts.live) return no(null)
  if (lineKind(facts) === null) return no(`${facts.kind} is not anchored`)
  if (facts.kind === 'video' && profiles.caller !== profiles.callee) {
    return no('video needs the same transport on both sides')
  }
  const wrong = unreachable(facts, profiles[side])
  if (wrong !== null) return no(wrong)
  const codecs = allowed(facts.codecs, granted)
  return codecs.length > 0 ? { codecs, why: null } : no(`no codec in common for ${facts.kind}`)
}

export const lineKind = ({ kind }: MediaFacts): LineKind | null => (kind === 'audio' || kind === 'video' ? kind : null)

function unreachable({ protocol, webrtc, rtp, direction }: MediaFacts, profile: MediaProfile): string | null {
  if (profile === 'webrtc') {
    if (!/^(UDP\/TLS\/RTP\/SAVPF?|RTP\/SAVPF)$/.test(protocol)) return `${protocol} is not WebRTC`
    return webrtc === null ? 'the offer has no ICE credentials or no certificate fingerprint' : null
  }
  if (!/^RTP\/AVPF?$/.test(protocol)) return `${protocol} is not plain RTP`
  return rtp === null && direction !== 'inactive' && direction !== 'sendonly'
    ? 'the media address cannot be used'
    : null
}

export type Accepted = ReadonlyMap<AnchoredLine, { readonly facts: MediaFacts; readonly codecs: readonly Codec[] }>

/** The lines that an answer accepts, with the codecs of the offer that it took, in the answerer's numbers. */
export function accepted(exchange: Exchange, answer: readonly MediaFacts[], profile: MediaProfile): Accepted {
  const taken = new Map<AnchoredLine, { facts: MediaFacts; codecs: readonly Codec[] }>()
  for (const { line, codecs } of exchange.lines) {
    const slot = line.slots[exchange.to]
    const facts = slot === null ? undefined : answer[slot]
    if (facts === undefined || !facts.live || facts.kind !== line.kind || codecs.length === 0) continue
    if (unreachable(facts, profile) !== null) continue
    const common = answeredFrom(codecs, facts.codecs)
    if (common.length > 0) taken.set(line, { facts, codecs: common })
  }
  return taken
}

/** The offerer's numbers for what was answered, in the answer's order and with its parameters. */
export function inNumbersOf(offered: readonly Codec[], answered: readonly Codec[]): readonly Codec[] {
  return answered.flatMap(codec => {
    const mine = offered.find(other => codecKey(other) === codecKey(codec))
    return mine === undefined ? [] : [{ ...codec, payloadType: mine.payloadType, feedback: common(mine, codec) }]
  })
}

const common = (a: Codec, b: Codec): readonly string[] => a.feedback.filter(value => b.feedback.includes(value))

/** The same codecs in numbers that the line's other side has not used for anything else. */
export function renumbered(codecs: readonly Codec[], line: AnchoredLine, to: Side): readonly Codec[] {
  const end = line.ends[to]
  const used = new Set<number>()
  const bound = codecs.map(codec => end?.numberOf(codec) ?? null)
  for (const number of bound) if (number !== null) used.add(number)
  const isFree = (number: number): boolean => !used.has(number) && end?.isTaken(number) !== true
  return codecs.map((codec, index) => {
    const known = bound[index]
    const number = known ?? (isFree(codec.payloadType) ? codec.payloadType : freeNumber(isFree))
    used.add(number)
    return { ...codec, payloadType: number }
  })
}

/** RFC 3551, 6: 96 to 127 are dynamic; RFC 5761, 4 leaves 35 to 63 when they run out. */
function freeNumber(isFree: (number: number) => boolean): number {
  for (let number = 96; number < 128; number++) if (isFree(number)) return number
  for (let number = 35; number < 64; number++) if (isFree(number)) return number
  return 127
}

/** The hub's own offer: every audio codec that is granted, tones at each of their clock rates. */
export function hubCodecs(granted: readonly string[]): readonly Codec[] {
  const audio = granted.flatMap(name => {
    const known = knownCodec(name)
    return known === null ? [] : [{ known, number: staticPayloadType(name) }]
  })
  let next = 96
  const codecs: Codec[] = audio.map(({ known, number }) => ({ ...known, payloadType: number ?? next++ }))
  if (!granted.some(name => name.toLowerCase() === 'telephone-event')) return codecs
  const rates = [...new Set(codecs.map(({ clockRate }) => clockRate))]
  const tones = rates.map(clockRate => ({
    payloadType: clockRate === 8_000 ? 101 : next++,
    name: 'telephone-event',
    clockRate,
    channels: 1,
    fmtp: '0-16',
    feedback: []
  }))
  return [...codecs, ...tones]
}

export const hasVoice = (codecs: readonly Codec[]): boolean => codecs.some(codec => !isTone(codec))

export const nothingInCommon = (whys: readonly (string | null)[]): Reason => ({
  cause: 'incompatible-media',
  text: whys.find(why => why !== null) ?? 'the session description has no live media line'
})

export const offererOf = (exchange: Exchange): Side =>
  exchange.from === 'hub' ? otherSide(exchange.to) : exchange.from
