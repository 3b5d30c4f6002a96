// What of a session-initiate is kept until it is answered, and the contents of the answer. Pure.

import type { SdpDescription } from '../../session/sdp.ts'
import { ourContents } from './call-media.ts'
import { childrenOf, portable, xml } from './elements.ts'
import type { Element } from './elements.ts'
import { content } from './jingle.ts'
import type { Content, Group, Jingle, Role } from './jingle.ts'
import type { Contents } from './jingle-sdp.ts'
import { namespaces } from './namespaces.ts'

/** An offer, without the stanza that brought it: a phone may ring for long. */
export interface Asked {
  readonly contents: readonly {
    readonly name: string
    readonly creator: Role
    /** Of a content that shares a transport with others: what it is answered with where the hub rejects it. */
    readonly silence: Element | null
  }[]
  readonly groups: readonly Group[]
}

export function askedBy({ contents, groups }: Pick<Jingle, 'contents' | 'groups'>): Asked {
  const bundle = bundleOf(groups)
  return {
    contents: contents.map(each => ({
      name: each.name,
      creator: each.creator,
      silence: bundle.length > 1 && bundle.includes(each.name) ? silenceOf(each) : null
    })),
    groups
  }
}

const bundleOf = (groups: readonly Group[]): readonly string[] =>
  groups.find(({ semantics }) => semantics === 'BUNDLE')?.names ?? []

/** The peer's own payload types and nothing that is only its own. */
function silenceOf({ description }: Content): Element | null {
  if (description?.is('description', namespaces.rtp) !== true) return null
  const kept = childrenOf(description).filter(
    child => child.is('payload-type', namespaces.rtp) || child.is('rtcp-mux', namespaces.rtp)
  )
  const attrs = { xmlns: namespaces.rtp, media: description.attrs['media'] }
  return xml('description', attrs, ...kept.map(child => portable(child)))
}

/**
 * The contents of a session-accept. One that the hub has rejected stays in silence where contents share a transport:
 * clients built on a browser want as many media lines in the answer as in their offer. Others hear content-remove.
 */
export function acceptContents(
  asked: Asked,
  answer: SdpDescription
): Contents & {
  /** Contents to remove. */
  readonly refused: readonly Content[]
} {
  const { contents, groups } = ourContents(answer, 'responder')
  const accepted = new Map(contents.map(each => [each.name, each]))
  const bundle = bundleOf(asked.groups)
  const shared = contents.find(({ name }) => bundle.includes(name))
  const all: Content[] = []
  const silent: string[] = []
  const refused: Content[] = []
  for (const { name, creator, silence } of asked.contents) {
    const own = accepted.get(name)
    if (own !== undefined) {
      all.push({ ...own, creator })
    } else if (shared !== undefined && silence !== null) {
      silent.push(name)
      all.push(content(name, creator, { senders: 'none', description: silence, transport: shared.transport }))
    } else {
      refused.push(content(name, creator))
    }
  }
  // Who offers no group is answered with none (RFC 9143, 7.3): Dino knows no bundles.
  const known = groups.filter(({ semantics }) => asked.groups.some(each => each.semantics === semantics))
  const grouped = known.map(group =>
    group.semantics === 'BUNDLE' ? { ...group, names: [...group.names, ...silent] } : group
  )
  return { contents: all, groups: grouped, refused }
}
