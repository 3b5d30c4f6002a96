// Two offers that become one exchange: where the hub has offered first (start B), the user's session-initiate is read
// as the answer to it, and the hub's offer as the answer to the user. Pure.

import type { Sdp } from '../../session/model.ts'
import { setupOf, withMid, withSetup } from './call-media.ts'
import { midFromName, nameOf } from './jingle-sdp.ts'
import {
  attribute,
  attributeOf,
  directionOf,
  isLive,
  narrowed,
  printSdp,
  rejected,
  reversed,
  sessionLines,
  valueOf,
  withDirection
} from '../../session/sdp.ts'
import type { SdpDescription, SdpLine, SdpSection } from '../../session/sdp.ts'

export interface Matched {
  /** The user's words as an answer: the hub's media lines, in the hub's order and under its names. */
  readonly toHub: Sdp
  /** The hub's words as an answer: the user's media lines. */
  readonly toUser: SdpDescription
  /** The user's side as it was agreed, in its own order. */
  readonly remote: SdpDescription
}

/** Null where no media line of one meets one of the other, kind and codec. */
export function matched(hub: SdpDescription, user: SdpDescription): Matched | null {
  // One of them begins with DTLS: the user, unless it asked for the other part.
  const userBegins = setupOf(user) !== 'passive'
  const ours = withSetup(hub, userBegins ? 'passive' : 'active')
  const theirs = withSetup(user, userBegins ? 'active' : 'passive')
  const free = new Set(theirs.sections.keys())
  const pairs = ours.sections.map((section, at) => {
    const partner = [...free].find(index => meets(section, theirs.sections[index]))
    if (partner !== undefined) free.delete(partner)
    return { at, section, partner }
  })
  if (pairs.every(({ partner }) => partner === undefined)) return null
  const partnerOf = (index: number): SdpSection | undefined => pairs.find(({ partner }) => partner === index)?.section
  const answer = pairs.map(({ at, section, partner }) => {
    const own = partner === undefined ? undefined : theirs.sections[partner]
    return own === undefined ? rejected(section) : met(own, section, valueOf(section.lines, 'mid') ?? null, at)
  })
  const toUser = theirs.sections.map((section, index) => {
    const own = partnerOf(index)
    return own === undefined ? rejected(section) : met(own, section, midFromName(nameOf(section, index)), index)
  })
  const remote = theirs.sections.map((section, index) => (partnerOf(index) === undefined ? rejected(section) : section))
  return {
    toHub: printSdp({ session: [...sessionLines(1), ...bundle(ours, answer)], sections: answer }) as Sdp,
    toUser: { session: [...sessionLines(1), ...bundle(theirs, toUser)], sections: toUser },
    remote: { session: [...sessionLines(1), ...bundle(theirs, remote)], sections: remote }
  }
}

const meets = (a: SdpSection, b: SdpSection | undefined): boolean =>
  b !== undefined && a.kind === b.kind && isLive(a) && isLive(b) && common(a, b).some(format => !helper(a, format))

const codecOf = ({ lines }: SdpSection, format: string): string => {
  const map = lines.find(each => attributeOf(each)?.name === 'rtpmap' && each.value.startsWith(`rtpmap:${format} `))
  return (map?.value.slice(`rtpmap:${format} `.length) ?? format).toLowerCase().replace(/\/1$/, '')
}
const helper = (section: SdpSection, format: string): boolean =>
  /^(telephone-event|cn|red|rtx|ulpfec)\//.test(codecOf(section, format))

const common = (a: SdpSection, b: SdpSection): readonly string[] => {
  const known = new Set(b.formats.map(format => codecOf(b, format)))
  return a.formats.filter(format => known.has(codecOf(a, format)))
}

/** `section` as the answer to `offer`: what both know, in the directions both want, without header extensions. */
function met(section: SdpSection, offer: SdpSection, mid: string | null, at: number): SdpSection {
  const formats = common(section, offer)
  const lines = section.lines.filter(each => {
    const found = attributeOf(each)
    if (found === null) return true
    if (found.name === 'extmap' || found.name === 'mid') return false
    const [format = ''] = ['rtpmap', 'fmtp', 'rtcp-fb'].includes(found.name) ? (found.value ?? '').split(' ') : ['*']
    return format === '*' || formats.includes(format)
  })
  const named = mid === null ? lines : withMid(lines, mid === '' ? `${at}` : mid)
  const direction = narrowed(directionOf(section), reversed(directionOf(offer)))
  return withDirection({ ...section, formats, lines: named }, direction)
}

/** What the offer wanted to bundle, as far as it is left. */
function bundle({ session }: SdpDescription, sections: readonly SdpSection[]): readonly SdpLine[] {
  const live = new Set(sections.filter(isLive).map(({ lines }) => valueOf(lines, 'mid')))
  return session.flatMap(each => {
    const found = attributeOf(each)
    const [semantics, ...mids] = found?.name === 'group' ? (found.value ?? '').split(' ') : []
    const left = mids.filter(mid => live.has(mid))
    return semantics === undefined || left.length === 0 ? [] : [attribute('group', [semantics, ...left].join(' '))]
  })
}
