// Jingle contents and SDP, both ways, without losing what the other side has no word for: that is set aside. Pure.

import { Element, portable, xml } from './elements.ts'
import { attributesLeft, descriptionOf, formatsOf, sectionOf, toDirection, toSenders } from './jingle-description.ts'
import { content } from './jingle.ts'
import type { Content, Group, Role } from './jingle.ts'
import { defaultAddress, hasCredentials, isSecure, transportLines, transportOf } from './jingle-transport.ts'
import { namespaces } from './namespaces.ts'
import {
  attribute,
  attributeOf,
  directionOf,
  isDirection,
  isLive,
  line,
  sessionLines,
  valueOf
} from '../../session/sdp.ts'
import type { SdpDescription, SdpLine, SdpSection } from '../../session/sdp.ts'

export interface Contents {
  readonly contents: readonly Content[]
  readonly groups: readonly Group[]
}

/** What Jingle cannot say of an SDP: given to `toSdp`, it is said again. */
export interface SdpAside {
  readonly session: readonly SdpLine[]
  /** By content name. */
  readonly sections: ReadonlyMap<
    string,
    { readonly port: number; readonly protocol: string; readonly lines: readonly SdpLine[] }
  >
}

/** What SDP cannot say of Jingle: given to `fromSdp`, it is said again. */
export interface JingleAside {
  readonly contents: ReadonlyMap<
    string,
    {
      readonly rest: readonly Element[]
      readonly attrs: Readonly<Record<string, string>>
      readonly description: readonly Element[]
      readonly descriptionAttrs: readonly (readonly [string, string])[]
      readonly transport: readonly Element[]
      /** ICE-UDP or its successor. */
      readonly transportNamespace: string | null
    }
  >
}

/** The name of a content: its mid, or its kind and place where the SDP has none. */
export const nameOf = (section: SdpSection, index: number): string =>
  nameFromMid(valueOf(section.lines, 'mid') ?? `${section.kind}-${index}`)

/** A content name may hold anything, a mid only token characters (RFC 8866, 9): others are written %XX. */
export const midFromName = (name: string): string =>
  /^[A-Za-z0-9!#$&'*+.^_`{|}~-]+$/.test(name) ? name : encodeURIComponent(name).replace(/[()]/g, percent)
const percent = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`

function nameFromMid(mid: string): string {
  if (!mid.includes('%')) return mid
  try {
    const name = decodeURIComponent(mid)
    return midFromName(name) === mid ? name : mid
  } catch {
    return mid
  }
}

/** The live sections as contents. `author` says them; `creator` is who brought each content into the session. */
export function fromSdp(
  { session, sections }: SdpDescription,
  author: Role,
  creator: (name: string) => Role,
  aside: JingleAside | null = null
): Contents & { readonly aside: SdpAside } {
  const left = new Map<string, { port: number; protocol: string; lines: readonly SdpLine[] }>()
  const mixed = session.some(({ type, value }) => type === 'a' && value === 'extmap-allow-mixed')
  const contents = sections.flatMap((section, index) => {
    if (!isLive(section)) return []
    const name = nameOf(section, index)
    const lines = mixed ? [...section.lines, attribute('extmap-allow-mixed')] : section.lines
    const described = descriptionOf({ ...section, lines }, author)
    const transported = transportOf(described.left, session)
    const unsaid = transported.left.filter(each => !isSaid(each))
    left.set(name, { port: section.port, protocol: section.protocol, lines: unsaid })
    const whole = content(name, creator(name), {
      senders: toSenders(directionOf(section, session), author),
      description: described.element,
      transport: transported.element ?? xml('transport', { xmlns: namespaces.iceUdp })
    })
    return [aside === null ? whole : restored(whole, aside)]
  })
  const groups = session.flatMap(each => {
    const found = attributeOf(each)
    const [semantics, ...mids] = found?.name === 'group' ? (found.value ?? '').split(/ +/) : []
    return semantics === undefined ? [] : [{ semantics, names: mids.map(nameFromMid) }]
  })
  const sessionLeft = session.filter(each => !sessionSaid.has(attributeOf(each)?.name ?? ''))
  return { contents, groups, aside: { session: sessionLeft, sections: left } }
}

const isSaid = (each: SdpLine): boolean => {
  const name = attributeOf(each)?.name ?? ''
  return name === 'mid' || isDirection(name)
}
const sessionSaid: ReadonlySet<string> = new Set([
  'group',
  'extmap-allow-mixed',
  'fingerprint',
  'setup',
  'ice-ufrag',
  'ice-pwd'
])

function restored(whole: Content, { contents }: JingleAside): Content {
  const kept = contents.get(whole.name)
  const { description, transport } = whole
  if (kept === undefined || description === null || transport === null) return whole
  const described = portable(description)
  Object.assign(described.attrs, Object.fromEntries(kept.descriptionAttrs))
  described.append(...kept.description.map(child => portable(child)))
  const moved = renamed(transport, kept.transportNamespace ?? namespaces.iceUdp)
  moved.append(...kept.transport.map(child => portable(child)))
  return { ...whole, rest: kept.rest, attrs: kept.attrs, description: described, transport: moved }
}

const renamed = (transport: Element, namespace: string): Element => {
  const copy = portable(transport)
  copy.attrs['xmlns'] = namespace
  return copy
}

export interface Sdp {
  readonly description: SdpDescription
  readonly aside: JingleAside
}

export type Problem = 'description' | 'transport' | 'security'

/** Why a content cannot be said in SDP; null where it can. */
export function problemOf({ description, transport }: Content): Problem | null {
  if (description === null || !description.is('description', namespaces.rtp)) return 'description'
  if (formatsOf(description) === null) return 'description'
  if (transport === null || !isIce(transport) || !hasCredentials(transport)) return 'transport'
  return isSecure(transport) ? null : 'security'
}

export const isIce = (transport: Element): boolean =>
  transport.is('transport', namespaces.iceUdp) || transport.is('transport', namespaces.ice)

/** One media section for each content that is RTP over ICE, in their order; others are left out. */
export function toSdp({ contents, groups }: Contents, author: Role, aside: SdpAside | null = null, version = 1): Sdp {
  const left = new Map<string, NonNullable<ReturnType<JingleAside['contents']['get']>>>()
  const sections = contents.flatMap(each => {
    const section = toSection(each, author, aside)
    if (section === null) return []
    left.set(each.name, section.aside)
    return [section.section]
  })
  const named = groups
    .filter(({ names }) => names.length > 0)
    .map(({ semantics, names }) => attribute('group', [semantics, ...names.map(midFromName)].join(' ')))
  const session = aside === null || aside.session.length === 0 ? sessionLines(version) : aside.session
  return { description: { session: [...session, ...named], sections }, aside: { contents: left } }
}

function toSection(
  { name, senders, description, transport, rest, attrs }: Content,
  author: Role,
  aside: SdpAside | null
): { section: SdpSection; aside: NonNullable<ReturnType<JingleAside['contents']['get']>> } | null {
  if (description === null || !description.is('description', namespaces.rtp)) return null
  const section = sectionOf(description, author)
  if (section === null) return null
  const ice = transport === null ? null : transportLines(transport)
  const kept = aside?.sections.get(name)
  const lines = [
    ...section.lines.filter(({ type }) => type === 'b'),
    attribute('mid', midFromName(name)),
    ...section.lines.filter(({ type }) => type !== 'b'),
    attribute(toDirection(senders, author)),
    ...(ice?.lines ?? [])
  ]
  const address = kept === undefined ? defaultAddress(lines) : null
  const at = address === null ? 'IN IP4 0.0.0.0' : `IN IP${address.host.includes(':') ? 6 : 4} ${address.host}`
  const said = {
    kind: section.kind,
    port: kept?.port ?? address?.port ?? 9,
    protocol: kept?.protocol ?? protocolOf(ice?.secure ?? false, lines),
    formats: section.formats,
    lines: kept === undefined ? [line('c', at), ...lines] : [...kept.lines, ...lines]
  }
  const unsaid = {
    rest,
    attrs,
    description: section.left,
    descriptionAttrs: attributesLeft(description),
    transport: ice?.left ?? [],
    transportNamespace: transport?.getNS() ?? null
  }
  return { section: said, aside: unsaid }
}

function protocolOf(secure: boolean, lines: readonly SdpLine[]): string {
  if (secure) return 'UDP/TLS/RTP/SAVPF'
  return valueOf(lines, 'crypto') === null ? 'RTP/AVPF' : 'RTP/SAVPF'
}
