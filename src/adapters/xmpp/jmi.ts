// Jingle Message Initiation (XEP-0353, in its first and its present form): the messages before a session. Pure.

import { childrenOf, Element, portable, xml } from './elements.ts'
import { namespaces } from './namespaces.ts'

export const jmiKinds = ['propose', 'ringing', 'proceed', 'accept', 'reject', 'retract', 'finish'] as const
export type JmiKind = (typeof jmiKinds)[number]

export type MediaKind = 'audio' | 'video'

export interface Jmi {
  readonly kind: JmiKind
  /** The sid of the session to come. */
  readonly id: string
  readonly media: readonly MediaKind[]
  /** Of a reject, retract or finish; absent in the first form. */
  readonly reason: Element | null
  readonly tieBreak: boolean
}

export const jmiLimits = { idCharactersMax: 256 } as const

/**
 * Null for a message that carries none. The payload of an error is never looked at: some servers send back what they
 * could not deliver. A proposal that was kept for later rings nobody.
 */
export function parseJmi(message: Element): Jmi | null {
  if (message.attrs['type'] === 'error') return null
  const element = childrenOf(message).find(child => child.getNS() === namespaces.jmi)
  const kind = jmiKinds.find(kind => kind === element?.getName())
  const { id = '' } = element?.attrs ?? {}
  if (element === undefined || kind === undefined || id === '' || id.length > jmiLimits.idCharactersMax) return null
  if (kind === 'propose' && message.getChild('delay', namespaces.delay) !== undefined) return null
  const reason = element.getChild('reason')
  return {
    kind,
    id,
    media: mediaOf(element),
    reason: reason === undefined ? null : portable(reason),
    tieBreak: element.getChild('tie-break') !== undefined
  }
}

function mediaOf(element: Element): readonly MediaKind[] {
  const said = element.getChildren('description', namespaces.rtp).map(({ attrs: { media } }) => media)
  return (['audio', 'video'] as const).filter(kind => said.includes(kind))
}

export interface JmiMessage {
  readonly kind: JmiKind
  readonly id: string
  readonly from: string
  readonly to: string
  readonly media?: readonly MediaKind[]
  readonly reason?: Element | null
  /** What stands beside the reason: a tie-break, or the session that has taken this one's place. */
  readonly extra?: Element | null
}

/** Of type chat, with the hint to store it, as all of them are since the second form (XEP-0353, 3). */
export function printJmi({ kind, id, from, to, media = [], reason = null, extra = null }: JmiMessage): Element {
  const payload = xml(
    kind,
    { xmlns: namespaces.jmi, id },
    ...media.map(media => xml('description', { xmlns: namespaces.rtp, media })),
    reason === null ? null : portable(reason),
    extra === null ? null : portable(extra)
  )
  const hint = xml('store', { xmlns: namespaces.hints })
  return xml('message', { from, to, id: `${prefix}${kind}-${id}`, type: 'chat' }, payload, hint)
}
const prefix = 'jm-'

/** The sid of the proposal that an error message is about; null for another message. */
export function bouncedProposal(message: Element): string | null {
  const { id = '', type } = message.attrs
  const start = `${prefix}propose-`
  return type === 'error' && id.startsWith(start) ? id.slice(start.length) : null
}

/** An error to any of these messages: nothing is to be done about it, whatever it carries. */
export const isOwnBounce = ({ attrs: { id = '', type } }: Element): boolean => type === 'error' && id.startsWith(prefix)
