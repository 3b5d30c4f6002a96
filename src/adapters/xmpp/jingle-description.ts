// One RTP description of Jingle (XEP-0167, 0293, 0294, 0339) and the lines of one SDP media section, both ways. Pure.

import { attributesOf, childrenOf, Element, xml } from './elements.ts'
import { otherRole } from './jingle.ts'
import type { Role, Senders } from './jingle.ts'
import { namespaces } from './namespaces.ts'
import { attribute, attributeOf, line } from '../../session/sdp.ts'
import type { Direction, SdpLine, SdpSection } from '../../session/sdp.ts'

/** Who sends, said by `author` in SDP words. */
export function toSenders(direction: Direction, author: Role): Senders {
  switch (direction) {
    case 'sendrecv':
      return 'both'
    case 'sendonly':
      return author
    case 'recvonly':
      return otherRole(author)
    case 'inactive':
      return 'none'
  }
}

export function toDirection(senders: Senders | null, author: Role): Direction {
  if (senders === null || senders === 'both') return 'sendrecv'
  if (senders === 'none') return 'inactive'
  return senders === author ? 'sendonly' : 'recvonly'
}

/** Payload types that need no rtpmap (RFC 3551, 6), as far as anybody still offers them. */
const staticTypes: ReadonlyMap<string, readonly [name: string, clockrate: string]> = new Map([
  ['0', ['PCMU', '8000']],
  ['3', ['GSM', '8000']],
  ['8', ['PCMA', '8000']],
  ['9', ['G722', '8000']],
  ['13', ['CN', '8000']],
  ['18', ['G729', '8000']]
])

/** Names of attributes that `descriptionOf` takes; everything else is left to the caller. */
const taken: ReadonlySet<string> = new Set([
  'rtpmap',
  'fmtp',
  'rtcp-fb',
  'ptime',
  'maxptime',
  'extmap',
  'extmap-allow-mixed',
  'rtcp-mux',
  'rtcp-rsize',
  'ssrc',
  'ssrc-group',
  'crypto',
  'msid'
])

export interface Described {
  readonly element: Element
  /** Lines that have no twin in a description. */
  readonly left: readonly SdpLine[]
}

export function descriptionOf(section: SdpSection, author: Role): Described {
  const element = xml('description', { xmlns: namespaces.rtp, media: section.kind })
  const reader = new SectionReader(section, author)
  element.append(
    ...section.formats.map(format => reader.payloadType(format)),
    ...reader.encryption(),
    ...reader.feedback('*'),
    ...reader.bandwidth(),
    ...reader.flags(),
    ...reader.headerExtensions(),
    ...reader.sources()
  )
  return { element, left: reader.left() }
}

/** Each attribute of a section by name; what is asked for is taken, what cannot be said in XML is left over. */
class SectionReader {
  readonly #section: SdpSection
  readonly #author: Role
  readonly #values = new Map<string, string[]>()
  readonly #unsaid: SdpLine[] = []

  constructor(section: SdpSection, author: Role) {
    this.#section = section
    this.#author = author
    for (const each of section.lines) {
      const found = attributeOf(each)
      if (found === null || !taken.has(found.name)) {
        if (each.type !== 'b' || !/^[^:]+:./.test(each.value)) this.#unsaid.push(each)
        continue
      }
      const values = this.#values.get(found.name) ?? []
      this.#values.set(found.name, [...values, found.value ?? ''])
    }
  }

  left(): readonly SdpLine[] {
    return this.#unsaid
  }

  payloadType(format: string): Element {
    const [name, clockrate, channels] =
      this.#perFormat('rtpmap', format)[0]?.split('/') ?? staticTypes.get(format) ?? []
    const audio = this.#section.kind === 'audio'
    const ptime = audio ? this.#all('ptime')[0] : undefined
    const maxptime = audio ? this.#all('maxptime')[0] : undefined
    return xml(
      'payload-type',
      { id: format, name, clockrate, channels, ptime, maxptime },
      ...this.#perFormat('fmtp', format).flatMap(parametersOf),
      ...this.feedback(format)
    )
  }

  feedback(format: string): readonly Element[] {
    return this.#perFormat('rtcp-fb', format).map(text => {
      const [type = '', ...more] = text.split(' ')
      const subtype = more.join(' ')
      return type === 'trr-int'
        ? xml('rtcp-fb-trr-int', { xmlns: namespaces.feedback, value: subtype })
        : xml('rtcp-fb', { xmlns: namespaces.feedback, type, subtype: subtype === '' ? null : subtype })
    })
  }

  encryption(): readonly Element[] {
    const keys = this.#all('crypto').flatMap(text => {
      const [tag, suite, params, ...session] = text.split(/ +/)
      if (tag === undefined || suite === undefined || params === undefined) return this.#unsayable('crypto', text)
      const said = session.length === 0 ? null : session.join(' ')
      return [xml('crypto', { tag, 'crypto-suite': suite, 'key-params': params, 'session-params': said })]
    })
    return keys.length === 0 ? [] : [xml('encryption', {}, ...keys)]
  }

  bandwidth(): readonly Element[] {
    return this.#section.lines.flatMap(({ type, value }) => {
      const colon = value.indexOf(':')
      if (type !== 'b' || colon < 1 || colon === value.length - 1) return []
      return [xml('bandwidth', { type: value.slice(0, colon) }, value.slice(colon + 1))]
    })
  }

  flags(): readonly Element[] {
    return [
      ...(this.#values.has('rtcp-mux') ? [xml('rtcp-mux')] : []),
      ...(this.#values.has('rtcp-rsize') ? [xml('rtcp-reduced-size')] : []),
      ...(this.#values.has('extmap-allow-mixed')
        ? [xml('extmap-allow-mixed', { xmlns: namespaces.headerExtensions })]
        : [])
    ]
  }

  headerExtensions(): readonly Element[] {
    return this.#all('extmap').flatMap(text => {
      const [first = '', uri, ...more] = text.split(' ')
      const [id = '', way] = first.split('/')
      if (uri === undefined || id === '') return this.#unsayable('extmap', text)
      const senders = isWay(way) ? toSenders(way, this.#author) : null
      return [
        xml(
          'rtp-hdrext',
          { xmlns: namespaces.headerExtensions, id, uri, senders: senders === 'both' ? null : senders },
          ...(more.length === 0 ? [] : [xml('parameter', { name: more.join(' ') })])
        )
      ]
    })
  }

  sources(): readonly Element[] {
    const [msid, ...others] = this.#all('msid')
    for (const other of others) this.#unsaid.push(attribute('msid', other))
    const sources = new Map<string, Element>()
    for (const text of this.#all('ssrc')) {
      const space = text.indexOf(' ')
      const [ssrc, said] = space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)]
      const colon = said.indexOf(':')
      const source = sources.get(ssrc) ?? xml('source', { xmlns: namespaces.sources, ssrc })
      sources.set(ssrc, source)
      const [name, value] = colon < 0 ? [said, null] : [said.slice(0, colon), said.slice(colon + 1)]
      if (name !== '') source.append(xml('parameter', { name, value }))
    }
    // Without a source there is nothing that an msid could be said of.
    if (msid !== undefined && sources.size === 0) this.#unsaid.push(attribute('msid', msid))
    for (const source of msid === undefined ? [] : sources.values()) {
      const named = source.getChildren('parameter').some(({ attrs: { name } }) => name === 'msid')
      if (!named) source.append(xml('parameter', { name: 'msid', value: msid }))
    }
    const groups = this.#all('ssrc-group').map(text => {
      const [semantics = '', ...members] = text.split(/ +/)
      const children = members.map(ssrc => xml('source', { ssrc }))
      return xml('ssrc-group', { xmlns: namespaces.sources, semantics }, ...children)
    })
    return [...sources.values(), ...groups]
  }

  #all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  #perFormat(name: string, format: string): readonly string[] {
    return this.#all(name).flatMap(text => {
      const space = text.indexOf(' ')
      return space > 0 && text.slice(0, space) === format ? [text.slice(space + 1)] : []
    })
  }

  #unsayable(name: string, text: string): readonly Element[] {
    this.#unsaid.push(attribute(name, text))
    return []
  }
}

const isWay = (text: string | undefined): text is Direction =>
  text === 'sendrecv' || text === 'sendonly' || text === 'recvonly' || text === 'inactive'

/** `a=1;b=2` and bare values such as `0-15`, which have an empty name. */
const parametersOf = (text: string): readonly Element[] =>
  text
    .split(';')
    .map(part => part.trim())
    .filter(part => part !== '')
    .map(part => {
      const equals = part.indexOf('=')
      const [name, value] = equals < 0 ? ['', part] : [part.slice(0, equals).trim(), part.slice(equals + 1).trim()]
      return xml('parameter', { name, value })
    })

export interface Section {
  readonly kind: string
  readonly formats: readonly string[]
  readonly lines: readonly SdpLine[]
  /** Children of the description that have no twin in SDP. */
  readonly left: readonly Element[]
}

/** The payload types of a description; null where there are none, or one that is none. Cheap beside `sectionOf`. */
export function formatsOf(description: Element): readonly string[] | null {
  if (!/^[A-Za-z0-9-]{1,32}$/.test(kindOf(description))) return null
  const formats: string[] = []
  for (const child of childrenOf(description)) {
    if (!child.is('payload-type', namespaces.rtp)) continue
    const { id = '' } = child.attrs
    if (!/^[0-9]{1,3}$/.test(id) || Number(id) > 127 || formats.includes(id)) return null
    formats.push(id)
  }
  return formats.length === 0 ? null : formats
}
const kindOf = ({ attrs }: Element): string => attrs['media'] ?? 'audio'

/** Null for a description without payload types, or with one that is none. */
export function sectionOf(description: Element, author: Role): Section | null {
  const formats = formatsOf(description)
  if (formats === null) return null
  const lines: SdpLine[] = []
  const bandwidth: SdpLine[] = []
  const attributes: SdpLine[] = []
  const left: Element[] = []
  let ptime: string | null = null
  let maxptime: string | null = null
  for (const child of childrenOf(description)) {
    if (child.is('payload-type', namespaces.rtp)) {
      lines.push(...payloadLines(child))
      ptime ??= timeOf(child, 'ptime')
      maxptime ??= timeOf(child, 'maxptime')
      continue
    }
    const said = otherLines(child, author)
    if (said === null) left.push(child)
    else for (const each of said) (each.type === 'b' ? bandwidth : attributes).push(each)
  }
  if (ptime !== null) lines.push(attribute('ptime', ptime))
  if (maxptime !== null) lines.push(attribute('maxptime', maxptime))
  return {
    kind: kindOf(description),
    formats,
    lines: [...bandwidth, ...lines, ...msidLines(attributes), ...attributes],
    left
  }
}

function timeOf({ attrs }: Element, name: 'ptime' | 'maxptime'): string | null {
  const value = attrs[name]
  return value !== undefined && oneLine(value) ? value : null
}

/** Text from an attribute must not begin a line of its own. */
const oneLine = (text: string): boolean => !/[\r\n\0]/.test(text)
const word = (text: string | undefined): text is string => text !== undefined && /^[^\s]+$/.test(text)

function payloadLines(element: Element): readonly SdpLine[] {
  const { id = '', name, clockrate, channels } = element.attrs
  const lines: SdpLine[] = []
  if (word(name) && word(clockrate)) {
    const count = channels === undefined || channels === '1' || !word(channels) ? '' : `/${channels}`
    lines.push(attribute('rtpmap', `${id} ${name}/${clockrate}${count}`))
  }
  const parameters: string[] = []
  for (const child of childrenOf(element)) {
    if (child.getName() === 'parameter') parameters.push(...parameterOf(child))
    else lines.push(...(feedbackLines(child, id) ?? []))
  }
  if (parameters.length > 0) lines.push(attribute('fmtp', `${id} ${parameters.join(';')}`))
  return lines
}

function parameterOf({ attrs: { name = '', value } }: Element): readonly string[] {
  if (!oneLine(name) || !oneLine(value ?? '')) return []
  // Some clients write a bare value into the name and leave the value out.
  if (value === undefined) return name === '' ? [] : [name]
  return [name === '' ? value : `${name}=${value}`]
}

function feedbackLines(element: Element, id: string): readonly SdpLine[] | null {
  const { type, subtype, value } = element.attrs
  if (element.is('rtcp-fb-trr-int', namespaces.feedback)) {
    return word(value) ? [attribute('rtcp-fb', `${id} trr-int ${value}`)] : []
  }
  if (!element.is('rtcp-fb', namespaces.feedback)) return null
  if (!word(type) || !oneLine(subtype ?? '')) return []
  return [attribute('rtcp-fb', subtype === undefined || subtype === '' ? `${id} ${type}` : `${id} ${type} ${subtype}`)]
}

/** Null: SDP has no word for it. */
function otherLines(element: Element, author: Role): readonly SdpLine[] | null {
  const feedback = feedbackLines(element, '*')
  if (feedback !== null) return feedback
  const { attrs } = element
  // XEP-0167 puts it into the description; some clients write it under the namespace of their own.
  if (element.is('rtcp-mux', namespaces.rtp)) return [attribute('rtcp-mux')]
  if (element.is('rtcp-reduced-size', namespaces.rtp)) return [attribute('rtcp-rsize')]
  if (element.is('extmap-allow-mixed', namespaces.headerExtensions)) return [attribute('extmap-allow-mixed')]
  if (element.is('bandwidth', namespaces.rtp)) {
    const text = element.getText().trim()
    return word(attrs['type']) && word(text) ? [line('b', `${attrs['type']}:${text}`)] : []
  }
  if (element.is('rtp-hdrext', namespaces.headerExtensions)) return extensionLines(element, author)
  if (element.is('encryption', namespaces.rtp)) return element.getChildren('crypto').flatMap(cryptoLines)
  if (element.is('source', namespaces.sources)) return sourceLines(element)
  if (element.is('ssrc-group', namespaces.sources)) {
    const members = element.getChildren('source').flatMap(({ attrs: { ssrc } }) => (word(ssrc) ? [ssrc] : []))
    return word(attrs['semantics']) ? [attribute('ssrc-group', [attrs['semantics'], ...members].join(' '))] : []
  }
  return null
}

function extensionLines(element: Element, author: Role): readonly SdpLine[] {
  const { id, uri, senders } = element.attrs
  if (!word(id) || !word(uri)) return []
  const said = senders === 'initiator' || senders === 'responder' || senders === 'none' ? senders : null
  const way = said === null ? '' : `/${toDirection(said, author)}`
  const more = element.getChildren('parameter').flatMap(({ attrs: { name, value } }) => {
    const text = value === undefined ? (name ?? '') : `${name ?? ''}=${value}`
    return text !== '' && oneLine(text) ? [text] : []
  })
  return [attribute('extmap', [`${id}${way}`, uri, ...more].join(' '))]
}

function cryptoLines({ attrs }: Element): readonly SdpLine[] {
  const { tag, 'crypto-suite': suite, 'key-params': params, 'session-params': session } = attrs
  if (!word(tag) || !word(suite) || !word(params)) return []
  const more = session !== undefined && session !== '' && oneLine(session) ? ` ${session}` : ''
  return [attribute('crypto', `${tag} ${suite} ${params}${more}`)]
}

function sourceLines(element: Element): readonly SdpLine[] {
  const { ssrc } = element.attrs
  if (!word(ssrc)) return []
  return element.getChildren('parameter').flatMap(({ attrs: { name, value } }) => {
    if (!word(name) || !oneLine(value ?? '')) return []
    return [attribute('ssrc', value === undefined ? `${ssrc} ${name}` : `${ssrc} ${name}:${value}`)]
  })
}

/** What all sources agree on is the section's own (RFC 8830): browsers today read it there. */
function msidLines(lines: readonly SdpLine[]): readonly SdpLine[] {
  const said = new Set(
    lines.flatMap(each => {
      const found = attributeOf(each)
      const at = found?.name === 'ssrc' ? (found.value ?? '').indexOf(' msid:') : -1
      return at < 0 ? [] : [(found?.value ?? '').slice(at + 6)]
    })
  )
  return said.size === 1 ? [...said].map(msid => attribute('msid', msid)) : []
}

/** The description's own attributes but the media kind: an SSRC of old, extensions. */
export const attributesLeft = (description: Element): readonly (readonly [string, string])[] =>
  attributesOf(description).filter(([name]) => name !== 'media')
