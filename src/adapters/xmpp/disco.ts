// What the gateway says of itself: features and items, the caps hash that equals that answer, version, ping, activity.

import { createHash } from 'node:crypto'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { errorOf, ns, parseJid, resultOf } from './stanza.ts'

export interface Identity {
  readonly category: string
  readonly type: string
  readonly lang: string
  readonly name: string
}
export interface DiscoInfo {
  readonly identities: readonly Identity[]
  readonly features: readonly string[]
}

/** Of a number or user behind the gateway: what clients look for before they offer a call button. */
export const userInfo: DiscoInfo = {
  identities: [{ category: 'client', type: 'phone', lang: '', name: 'Isthmus' }],
  features: [
    ns.caps,
    ns.chatStates,
    ns.discoInfo,
    ns.discoItems,
    ns.last,
    ns.version,
    ns.ping,
    ns.receipts,
    ns.markers,
    'urn:xmpp:jingle-message:0',
    'urn:xmpp:jingle:1',
    'urn:xmpp:jingle:apps:dtls:0',
    'urn:xmpp:jingle:apps:grouping:0',
    'urn:xmpp:jingle:apps:rtp:1',
    'urn:xmpp:jingle:apps:rtp:audio',
    'urn:xmpp:jingle:apps:rtp:rtcp-fb:0',
    'urn:xmpp:jingle:apps:rtp:rtp-hdrext:0',
    'urn:xmpp:jingle:apps:rtp:ssma:0',
    'urn:xmpp:jingle:apps:rtp:video',
    'urn:xmpp:jingle:transports:ice-udp:1'
  ]
}

/** Of the gateway's domain. */
export const gatewayInfo: DiscoInfo = {
  identities: [{ category: 'gateway', type: 'sip', lang: '', name: 'Isthmus' }],
  features: [ns.discoInfo, ns.discoItems, ns.last, ns.version, ns.ping]
}

/** The verification string of XEP-0115 5.1; order as octets. */
export function capsHash({ identities, features }: DiscoInfo): string {
  const byOctets = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
  const lines = [
    ...identities.map(({ category, type, lang, name }) => `${category}/${type}/${lang}/${name}`).sort(byOctets),
    ...[...features].sort(byOctets)
  ]
  return createHash('sha1')
    .update(lines.map(line => `${line}<`).join(''))
    .digest('base64')
}

/** The node of the hub's software; the same for every island. */
export const capsNode = 'https://isthmus.invalid/'
const userHash = capsHash(userInfo)

/** `<c/>` in every presence of a gateway user. */
export const capsElement = (): Element => xml('c', { xmlns: ns.caps, hash: 'sha-1', node: capsNode, ver: userHash })

export interface DiscoParts {
  readonly gateway: string
  readonly version: string
  /** Whether the gateway stands for anybody there. */
  readonly stands: (jid: string) => boolean
  /** Seconds since the gateway started. */
  readonly upSeconds: () => number
}

/** Answers what asks about the gateway itself; null: not such a question. */
export function answerDisco(iq: Element, { gateway, version, stands, upSeconds }: DiscoParts): Element | null {
  const [query] = iq.getChildElements()
  const to = parseJid(iq.attrs['to'])
  if (query === undefined || to === null || iq.attrs['type'] !== 'get') return null
  const isGateway = to.local === null && to.domain === gateway.toLowerCase()
  const known = (): boolean => isGateway || stands(iq.attrs['to'] ?? '')
  const { node } = query.attrs
  if (query.is('query', ns.discoInfo)) {
    if (!known()) return errorOf(iq, 'item-not-found')
    const info = isGateway ? gatewayInfo : userInfo
    if (node !== undefined && node !== '' && node !== `${capsNode}#${capsHash(info)}`) {
      return errorOf(iq, 'item-not-found')
    }
    return resultOf(iq, infoElement(info, node))
  }
  if (query.is('query', ns.discoItems)) {
    if (!known() || (node !== undefined && node !== '')) return errorOf(iq, 'item-not-found')
    return resultOf(iq, xml('query', { xmlns: ns.discoItems }))
  }
  if (!known()) return null
  if (query.is('ping', ns.ping)) return resultOf(iq)
  if (query.is('query', ns.version)) {
    const words = [xml('name', {}, 'Isthmus'), xml('version', {}, version)]
    return resultOf(iq, xml('query', { xmlns: ns.version }, ...words))
  }
  if (query.is('query', ns.last)) {
    // A number is never idle; the gateway says how long it has been up (XEP-0012, 5).
    return resultOf(iq, xml('query', { xmlns: ns.last, seconds: isGateway ? Math.floor(upSeconds()) : 0 }))
  }
  return null
}

const infoElement = ({ identities, features }: DiscoInfo, node: string | undefined): Element =>
  xml(
    'query',
    { xmlns: ns.discoInfo, node },
    ...identities.map(({ category, type, name }) => xml('identity', { category, type, name })),
    ...features.map(feature => xml('feature', { var: feature }))
  )

/** The features of a disco#info answer, within a bound. */
export function featuresOf(reply: Element, featuresMax: number): ReadonlySet<string> | null {
  const query = reply.attrs['type'] === 'result' ? reply.getChild('query', ns.discoInfo) : undefined
  if (query === undefined) return null
  const names = query.getChildren('feature', ns.discoInfo).flatMap(({ attrs }) => attrs['var'] ?? [])
  return new Set(names.slice(0, featuresMax))
}

/** What a disco#info answer would hash to: a `ver` is only believed of others when it fits (XEP-0115, 5.4). */
export function infoOf(reply: Element): DiscoInfo | null {
  const query = reply.getChild('query', ns.discoInfo)
  // Extended forms are part of the hash; answers that have them are kept for their device only.
  if (query === undefined || query.getChild('x', 'jabber:x:data') !== undefined) return null
  const identities = query.getChildren('identity', ns.discoInfo).map(({ attrs }) => ({
    category: attrs['category'] ?? '',
    type: attrs['type'] ?? '',
    lang: attrs['xml:lang'] ?? '',
    name: attrs['name'] ?? ''
  }))
  const features = query.getChildren('feature', ns.discoInfo).flatMap(({ attrs }) => attrs['var'] ?? [])
  return { identities, features }
}
