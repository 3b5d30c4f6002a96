// The media of one call: both sides' last word as SDP, and how each Jingle action changes the user's. Pure.

import type { Sdp } from '../../session/model.ts'
import type { Media, Trickled } from './call-model.ts'
import { callLimits } from './call-limits.ts'
import { childrenOf, Element, portable, xml } from './elements.ts'
import { toDirection, toSenders } from './jingle-description.ts'
import { content, otherRole } from './jingle.ts'
import type { Content, Group, Jingle, Role } from './jingle.ts'
import { fromSdp, isIce, midFromName, nameOf, problemOf, toSdp } from './jingle-sdp.ts'
import type { Contents, Problem } from './jingle-sdp.ts'
import { transportLines } from './jingle-transport.ts'
import {
  attribute,
  attributeOf,
  directionOf,
  isLive,
  narrowed,
  parseSdp,
  printSdp,
  rejected,
  reversed,
  sends,
  sessionLines,
  valueOf,
  withDirection
} from '../../session/sdp.ts'
import type { SdpDescription, SdpLine, SdpSection } from '../../session/sdp.ts'

export const namesOf = ({ sections }: SdpDescription): readonly string[] => sections.map(nameOf)
export const liveNames = ({ sections }: SdpDescription): readonly string[] =>
  sections.flatMap((section, index) => (isLive(section) ? [nameOf(section, index)] : []))
export const creatorOf = ({ creators }: Pick<Media, 'creators'>, name: string): Role =>
  creators.get(name) ?? 'initiator'

/** The hub's SDP; null for what is none. */
export const hubSdp = (sdp: Sdp): SdpDescription | null => parseSdp(sdp)

export const isVideo = ({ sections }: SdpDescription): boolean =>
  sections.some(section => section.kind === 'video' && isLive(section))

/** The hub's words as contents, in the role it has. */
export const ourContents = (sdp: SdpDescription, role: Role, creators: Media['creators'] = new Map()): Contents =>
  fromSdp(sdp, role, name => creatorOf({ creators }, name))

/** What of a peer's contents can be spoken: RTP over ICE and DTLS; or why none of it can. */
export function usable(contents: readonly Content[]): readonly Content[] | Problem {
  const good = contents.filter(each => problemOf(each) === null)
  const [first] = contents
  if (good.length > 0) return good
  return first === undefined ? 'description' : (problemOf(first) ?? 'description')
}

/** A peer's contents as a description of its own; where DTLS and SDES are both offered, DTLS is meant. */
export function theirSdp(
  contents: readonly Content[],
  groups: readonly Group[],
  author: Role,
  known: readonly string[] = []
): SdpDescription {
  const names = new Set([...known, ...contents.map(({ name }) => name)])
  const { description } = toSdp({ contents, groups: within(groups, names) }, author)
  return {
    ...description,
    sections: description.sections.map(section => ({
      ...section,
      lines: section.lines.filter(each => attributeOf(each)?.name !== 'crypto')
    }))
  }
}
const within = (groups: readonly Group[], known: ReadonlySet<string>): readonly Group[] =>
  groups.flatMap(({ semantics, names }) => {
    const left = names.filter(name => known.has(name))
    return left.length === 0 ? [] : [{ semantics, names: left }]
  })

/** Candidates that came ahead of their content join it. */
export function withTrickled(contents: readonly Content[], trickled: Trickled): readonly Content[] {
  return contents.map(each => {
    const early = trickled.get(each.name) ?? []
    if (each.transport === null || early.length === 0) return each
    const transport = portable(each.transport)
    const { ufrag } = transport.attrs
    for (const more of early) {
      // Of other credentials: from before a restart.
      if (more.attrs['ufrag'] !== undefined && ufrag !== undefined && more.attrs['ufrag'] !== ufrag) continue
      transport.append(...more.children.filter(child => typeof child !== 'string').map(child => portable(child)))
    }
    return { ...each, transport }
  })
}

export function trickle(trickled: Trickled, { contents }: Jingle): Trickled {
  const kept = new Map(trickled)
  let room =
    callLimits.candidatesPerSessionMax - [...kept.values()].flat().reduce((sum, each) => sum + weightOf(each), 0)
  for (const { name, transport } of contents) {
    if (transport === null || !isIce(transport) || room <= 0) continue
    const ufrag = transport.attrs['ufrag']?.slice(0, callLimits.candidateCharactersMax)
    const children = childrenOf(transport).filter(isCandidate)
    const light = xml('transport', { xmlns: transport.getNS(), ufrag }, ...children.slice(0, room).map(withoutMore))
    kept.set(name, [...(kept.get(name) ?? []), light])
    room -= weightOf(light)
  }
  return kept
}
const isCandidate = (child: Element): boolean =>
  (child.getName() === 'candidate' || child.getName() === 'gathering-complete') &&
  child.toString().length <= callLimits.candidateCharactersMax
/** An empty one counts as well, or there would be no bound to them. */
const weightOf = (transport: Element): number => Math.max(transport.children.length, 1)
const withoutMore = (child: Element): Element => xml(child.getName(), { ...child.attrs, xmlns: child.getNS() })

/** Somewhere to send to for each content over ICE, or there will be no more. */
export function isGathered(contents: readonly Content[]): boolean {
  const has = (name: string, { transport }: Content): boolean =>
    transport?.children.some(child => child instanceof Element && child.getName() === name) === true
  if (contents.some(each => has('gathering-complete', each))) return true
  const transported = contents.filter(({ transport }) => transport !== null && isIce(transport))
  return transported.length > 0 && transported.every(each => has('candidate', each))
}

/** `sdp` in the order and under the names of `layout`: what is missing is rejected, what is unknown is left out. */
export function arranged(sdp: SdpDescription, layout: SdpDescription): SdpDescription {
  const found = new Map(sdp.sections.map((section, index) => [nameOf(section, index), section]))
  const sections = layout.sections.map((section, index) => found.get(nameOf(section, index)) ?? rejected(section))
  return { session: groupsOf(sdp.session, sections), sections }
}

/** Groups name live contents alone (RFC 9143, 7.3.3). */
function groupsOf(session: readonly SdpLine[], sections: readonly SdpSection[]): readonly SdpLine[] {
  const live = new Set(sections.filter(isLive).map(({ lines }) => valueOf(lines, 'mid')))
  return session.flatMap(each => {
    const found = attributeOf(each)
    if (found?.name !== 'group') return [each]
    const [semantics = '', ...mids] = (found.value ?? '').split(' ')
    const left = mids.filter(mid => live.has(mid))
    return left.length === 0 ? [] : [attribute('group', [semantics, ...left].join(' '))]
  })
}

/** The hub's answer under the names that its sections have in the session: an answer is matched by place. */
export function named(sdp: SdpDescription, layout: SdpDescription): SdpDescription {
  const renamed = new Map<string, string>()
  const sections = sdp.sections.map((section, index) => {
    const known = layout.sections[index]
    if (known === undefined) return section
    const mid = midFromName(nameOf(known, index))
    const was = valueOf(section.lines, 'mid')
    if (was === mid) return section
    if (was !== null) renamed.set(was, mid)
    return { ...section, lines: withMid(section.lines, mid) }
  })
  const session = sdp.session.map(each => {
    const found = attributeOf(each)
    if (found?.name !== 'group' || renamed.size === 0) return each
    const [semantics = '', ...mids] = (found.value ?? '').split(' ')
    return attribute('group', [semantics, ...mids.map(mid => renamed.get(mid) ?? mid)].join(' '))
  })
  return { session, sections }
}

/** The lines with that mid: before other attributes, and after what comes before any (RFC 8866, 5). */
export function withMid(lines: readonly SdpLine[], mid: string): readonly SdpLine[] {
  const others = lines.filter(each => attributeOf(each)?.name !== 'mid')
  const first = others.findIndex(({ type }) => type === 'a')
  const at = first < 0 ? others.length : first
  return [...others.slice(0, at), attribute('mid', mid), ...others.slice(at)]
}

/** An answer says who begins with DTLS (RFC 5763, 5): `actpass` would leave both waiting. */
export function settled(sdp: SdpDescription, setup: 'active' | 'passive'): SdpDescription {
  const decided = (each: SdpLine): SdpLine =>
    each.type === 'a' && each.value === 'setup:actpass' ? attribute('setup', setup) : each
  return {
    session: sdp.session.map(decided),
    sections: sdp.sections.map(section => ({ ...section, lines: section.lines.map(decided) }))
  }
}

/** The hub's answer to a user. Payload types are as offered: Dino takes none with a packet time of ours. */
export function answerFor(sdp: SdpDescription): SdpDescription {
  const isPacketTime = (each: SdpLine): boolean => /^(max)?ptime$/.test(attributeOf(each)?.name ?? '')
  const { session, sections } = settled(sdp, 'active')
  return {
    session,
    sections: sections.map(section => ({ ...section, lines: section.lines.filter(each => !isPacketTime(each)) }))
  }
}

/** Every setup as said. */
export function withSetup(sdp: SdpDescription, setup: string): SdpDescription {
  const said = (each: SdpLine): SdpLine => (attributeOf(each)?.name === 'setup' ? attribute('setup', setup) : each)
  return {
    session: sdp.session.map(said),
    sections: sdp.sections.map(section => ({ ...section, lines: section.lines.map(said) }))
  }
}

export const setupOf = ({ session, sections }: SdpDescription): string | null =>
  sections.map(({ lines }) => valueOf(lines, 'setup')).find(setup => setup !== null) ?? valueOf(session, 'setup')

/** Who is on hold sends nothing to the one that holds, and hears nothing from it. */
function held(section: SdpSection): SdpSection {
  return withDirection(section, sends(directionOf(section)) ? 'sendonly' : 'inactive')
}

/** What the user says now, as an offer to the core. */
export function asOffer(media: Media): { readonly media: Media; readonly sdp: Sdp } {
  const version = media.version + 1
  const sections = media.remote.sections.map(section => (media.held && isLive(section) ? held(section) : section))
  const groups = groupsOf(media.remote.session, sections).filter(each => attributeOf(each)?.name === 'group')
  return {
    media: { ...media, version },
    sdp: printSdp({ session: [...sessionLines(version), ...groups], sections }) as Sdp
  }
}

/** What the user says to an offer of the core: the same media lines, each as far as both want it. */
export function asAnswer(media: Media, offered: SdpDescription): { readonly media: Media; readonly sdp: Sdp } {
  const version = media.version + 1
  const said = settled(media.remote, setupOf(media.local) === 'active' ? 'passive' : 'active')
  const sections = offered.sections.map((offer, index) => {
    const own = said.sections[index]
    if (own === undefined || !isLive(own) || !isLive(offer)) return rejected(own ?? offer)
    const wish = media.held ? held(own) : own
    return withDirection(own, narrowed(directionOf(wish), reversed(directionOf(offer, offered.session))))
  })
  const groups = groupsOf(said.session, sections).filter(each => attributeOf(each)?.name === 'group')
  return {
    media: { ...media, version },
    sdp: printSdp({ session: [...sessionLines(version), ...groups], sections }) as Sdp
  }
}

const ofIce: ReadonlySet<string> = new Set(['ice-ufrag', 'ice-pwd', 'candidate', 'end-of-candidates'])
const ofDtls: ReadonlySet<string> = new Set(['fingerprint', 'setup'])

/** Other ICE credentials than before: the connection starts anew (XEP-0176, 5.10). */
export function isRestart(media: Media, { contents }: Jingle): boolean {
  return contents.some(({ name, transport }) => {
    const section = media.remote.sections.find((section, index) => nameOf(section, index) === name)
    const { ufrag, pwd } = transport?.attrs ?? {}
    if (section === undefined || ufrag === undefined || pwd === undefined) return false
    return valueOf(section.lines, 'ice-ufrag') !== ufrag
  })
}

/** The contents go over the transports that the action names; inside a bundle all go where its first goes. */
export function retransported(media: Media, { contents }: Jingle): Media {
  const sections = media.remote.sections.map((section, index) => {
    const name = nameOf(section, index)
    const transport = contents.find(each => each.name === name)?.transport ?? bundled(media, contents, name)
    if (transport === null || transport === undefined || !isIce(transport) || !isLive(section)) return section
    const { lines, secure } = transportLines(transport)
    if (valueOf(lines, 'ice-ufrag') === null) return section
    const kept = section.lines.filter(each => {
      const attributeName = attributeOf(each)?.name ?? ''
      return !ofIce.has(attributeName) && !(secure && ofDtls.has(attributeName))
    })
    return { ...section, lines: [...kept, ...lines] }
  })
  return { ...media, remote: { ...media.remote, sections } }
}

function bundled(media: Media, contents: readonly Content[], name: string): Element | null {
  const groups = media.remote.session.flatMap(each => {
    const found = attributeOf(each)
    return found?.name === 'group' ? [(found.value ?? '').split(' ').slice(1)] : []
  })
  const mates = groups.find(mids => mids.includes(midFromName(name))) ?? []
  return contents.find(each => mates.includes(midFromName(each.name)))?.transport ?? null
}

/** Adds contents of the user at the end, or in the place they had before. */
export function added(media: Media, contents: readonly Content[], groups: readonly Group[], creator: Role): Media {
  const more = theirSdp(contents, groups, otherRole(media.role), liveNames(media.remote))
  const names = namesOf(media.remote)
  const sections = [...media.remote.sections]
  const creators = new Map(media.creators)
  for (const [index, section] of more.sections.entries()) {
    const name = nameOf(section, index)
    const place = names.indexOf(name)
    creators.set(name, creator)
    if (place < 0) sections.push(section)
    else sections[place] = section
  }
  const grouped = more.session.filter(each => attributeOf(each)?.name === 'group')
  const session = grouped.length === 0 ? media.remote.session : mergedGroups(media.remote.session, grouped)
  return { ...media, creators, remote: { session, sections } }
}

/** The newer group of a kind holds what the older one held as well. */
function mergedGroups(session: readonly SdpLine[], grouped: readonly SdpLine[]): readonly SdpLine[] {
  const groups = new Map<string, Set<string>>()
  const all = [...session.filter(each => attributeOf(each)?.name === 'group'), ...grouped]
  for (const each of all) {
    const [semantics = '', ...mids] = (attributeOf(each)?.value ?? '').split(' ')
    groups.set(semantics, new Set([...(groups.get(semantics) ?? []), ...mids]))
  }
  return [
    ...session.filter(each => attributeOf(each)?.name !== 'group'),
    ...[...groups].map(([semantics, mids]) => attribute('group', [semantics, ...mids].join(' ')))
  ]
}

/** The user's side gets as many media lines as the hub's offer has, the new ones rejected until it takes them. */
export function inPlace(media: Media, offered: SdpDescription): Media {
  const missing = offered.sections.slice(media.remote.sections.length).map(rejected)
  return { ...media, remote: { ...media.remote, sections: [...media.remote.sections, ...missing] } }
}

export function removed(media: Media, names: readonly string[]): Media {
  const sections = media.remote.sections.map((section, index) =>
    names.includes(nameOf(section, index)) ? rejected(section) : section
  )
  return { ...media, remote: { session: groupsOf(media.remote.session, sections), sections } }
}

/** Who sends, as the user wants it now (content-modify). */
export function modified(media: Media, { contents }: Jingle): Media {
  const sections = media.remote.sections.map((section, index) => {
    const said = contents.find(({ name }) => name === nameOf(section, index))?.senders ?? null
    return said === null || !isLive(section)
      ? section
      : withDirection(section, toDirection(said, otherRole(media.role)))
  })
  return { ...media, remote: { ...media.remote, sections } }
}

/** The transports of the hub alone, for transport-info. */
export function transportsOf(sdp: SdpDescription, media: Pick<Media, 'role' | 'creators'>): readonly Content[] {
  return ourContents(sdp, media.role, media.creators).contents.map(({ name, creator, transport }) =>
    content(name, creator, { transport })
  )
}

/** The senders of our contents, for content-modify. */
export const turnedContents = (sdp: SdpDescription, media: Media, names: readonly string[]): readonly Content[] =>
  sdp.sections.flatMap((section, index) => {
    const name = nameOf(section, index)
    if (!names.includes(name)) return []
    return [
      content(name, creatorOf(media, name), { senders: toSenders(directionOf(section, sdp.session), media.role) })
    ]
  })
