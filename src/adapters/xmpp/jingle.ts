// Jingle stanzas (XEP-0166, XEP-0338) as a typed model: read from and printed to XML. Pure.

import { attributesOf, childrenOf, Element, portable, xml } from './elements.ts'
import { namespaces } from './namespaces.ts'

export const roles = ['initiator', 'responder'] as const
export type Role = (typeof roles)[number]
export const otherRole = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator')

/** Who sends media in a content (XEP-0166, 7.3). */
export const senders = ['both', 'initiator', 'responder', 'none'] as const
export type Senders = (typeof senders)[number]

export const jingleActions = [
  'session-initiate',
  'session-accept',
  'session-info',
  'session-terminate',
  'content-add',
  'content-accept',
  'content-reject',
  'content-remove',
  'content-modify',
  'description-info',
  'security-info',
  'transport-info',
  'transport-replace',
  'transport-accept',
  'transport-reject'
] as const
export type JingleAction = (typeof jingleActions)[number]

export interface Content {
  readonly creator: Role
  readonly name: string
  /** Null: the attribute is absent, which means both (or: as before). */
  readonly senders: Senders | null
  readonly description: Element | null
  readonly transport: Element | null
  /** Children and attributes this model has no word for. */
  readonly rest: readonly Element[]
  readonly attrs: Readonly<Record<string, string>>
}

export interface Group {
  readonly semantics: string
  readonly names: readonly string[]
}

export interface Jingle {
  readonly action: JingleAction
  readonly sid: string
  readonly initiator: string | null
  readonly responder: string | null
  readonly contents: readonly Content[]
  readonly groups: readonly Group[]
  /** What `causes.ts` reads and writes. */
  readonly reason: Element | null
  /** What is neither content nor group nor reason: the payload of a session-info, extensions. */
  readonly rest: readonly Element[]
}

export const jingleLimits = { contentsMax: 16, sidCharactersMax: 256, nameCharactersMax: 128 } as const

/** Null for what is no Jingle element or breaks its schema where it matters: answered bad-request. */
export function parseJingle(element: Element): Jingle | null {
  const { action, sid, initiator, responder } = element.attrs
  if (!element.is('jingle', namespaces.jingle)) return null
  if (!isAction(action) || sid === undefined || sid === '' || sid.length > jingleLimits.sidCharactersMax) return null
  const contents: Content[] = []
  const groups: Group[] = []
  const rest: Element[] = []
  let reason: Element | null = null
  for (const child of childrenOf(element)) {
    if (child.is('content', namespaces.jingle)) {
      const content = parseContent(child)
      if (content === null || contents.length === jingleLimits.contentsMax) return null
      if (contents.some(({ name, creator }) => name === content.name && creator === content.creator)) return null
      contents.push(content)
    } else if (child.is('group', namespaces.grouping)) {
      const group = parseGroup(child)
      // It becomes a line of SDP: anything but one word would be more than that.
      if (/^[!-~]+$/.test(group.semantics)) groups.push(group)
    } else if (child.is('reason', namespaces.jingle)) {
      reason ??= child
    } else {
      rest.push(child)
    }
  }
  return { action, sid, initiator: initiator ?? null, responder: responder ?? null, contents, groups, reason, rest }
}

const isAction = (text: string | undefined): text is JingleAction =>
  (jingleActions as readonly (string | undefined)[]).includes(text)
const isSenders = (text: string | undefined): text is Senders =>
  (senders as readonly (string | undefined)[]).includes(text)

function parseContent(element: Element): Content | null {
  const { creator = 'initiator', name, senders, ...others } = element.attrs
  if (creator !== 'initiator' && creator !== 'responder') return null
  if (name === undefined || name === '' || name.length > jingleLimits.nameCharactersMax) return null
  if (senders !== undefined && !isSenders(senders)) return null
  let description: Element | null = null
  let transport: Element | null = null
  const rest: Element[] = []
  for (const child of childrenOf(element)) {
    if (description === null && child.getName() === 'description') description = child
    else if (transport === null && child.getName() === 'transport') transport = child
    else rest.push(child)
  }
  const attrs = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith('xmlns')))
  return { creator, name, senders: senders ?? null, description, transport, rest, attrs }
}

const parseGroup = (element: Element): Group => ({
  semantics: element.attrs['semantics'] ?? element.attrs['type'] ?? 'BUNDLE',
  names: element
    .getChildren('content', namespaces.grouping)
    .slice(0, jingleLimits.contentsMax)
    .flatMap(({ attrs: { name } }) => (name === undefined ? [] : [name]))
})

export function printContent(content: Content): Element {
  const { creator, name, senders, description, transport, rest, attrs } = content
  const children = [description, transport, ...rest].flatMap(child => (child === null ? [] : [portable(child)]))
  return xml('content', { ...attrs, creator, name, senders }, ...children)
}

export function printJingle(jingle: Jingle): Element {
  const { action, sid, initiator, responder, contents, groups, reason, rest } = jingle
  return xml(
    'jingle',
    { xmlns: namespaces.jingle, action, sid, initiator, responder },
    ...groups.map(({ semantics, names }) =>
      xml('group', { xmlns: namespaces.grouping, semantics }, ...names.map(name => xml('content', { name })))
    ),
    ...contents.map(printContent),
    reason === null ? null : portable(reason),
    ...rest.map(child => portable(child))
  )
}

/** A Jingle action without what it does not need. */
export const jingle = (
  action: JingleAction,
  sid: string,
  more: Partial<Omit<Jingle, 'action' | 'sid'>> = {}
): Jingle => ({
  action,
  sid,
  initiator: null,
  responder: null,
  contents: [],
  groups: [],
  reason: null,
  rest: [],
  ...more
})

export const content = (
  name: string,
  creator: Role,
  more: Partial<Omit<Content, 'name' | 'creator'>> = {}
): Content => ({
  creator,
  name,
  senders: null,
  description: null,
  transport: null,
  rest: [],
  attrs: {},
  ...more
})

/** The words of a session-info, in the order of XEP-0167, 8: the first that is known decides. */
export type Info =
  | { readonly kind: 'ringing' | 'hold' | 'unhold' | 'active' | 'mute' | 'unmute' | 'ping' | 'unknown' }
  | { readonly kind: 'dtmf'; readonly digit: string; readonly durationMs: number | null }

const plain = ['ringing', 'hold', 'unhold', 'active', 'mute', 'unmute'] as const

export function infoOf({ rest }: Jingle): Info {
  for (const child of rest) {
    const kind = plain.find(word => child.is(word, namespaces.rtpInfo))
    if (kind !== undefined) return { kind }
    if (child.is('dtmf', namespaces.dtmf)) return toneOf(child)
  }
  return { kind: rest.length === 0 ? 'ping' : 'unknown' }
}

function toneOf(element: Element): Info {
  const attrs = Object.fromEntries(attributesOf(element))
  const digit = (attrs['code'] ?? '').toUpperCase()
  if (!/^[0-9A-D*#]$/.test(digit)) return { kind: 'unknown' }
  const duration = Number(attrs['duration'] ?? Number.NaN)
  return { kind: 'dtmf', digit, durationMs: Number.isFinite(duration) && duration > 0 ? duration : null }
}

export const printInfo = (kind: (typeof plain)[number]): Element => xml(kind, { xmlns: namespaces.rtpInfo })
export const printTone = (digit: string, durationMs: number): Element =>
  xml('dtmf', { xmlns: namespaces.dtmf, code: digit, duration: durationMs, volume: 10 })
