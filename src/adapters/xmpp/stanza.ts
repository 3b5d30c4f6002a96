// Stanzas: namespaces, JIDs, the one function that builds a `from`, replies and errors. Pure.

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { errorTypes } from './causes.ts'
import type { Condition } from './causes.ts'
import { limits } from './limits.ts'

export const ns = {
  component: 'jabber:component:accept',
  streams: 'http://etherx.jabber.org/streams',
  streamErrors: 'urn:ietf:params:xml:ns:xmpp-streams',
  stanzas: 'urn:ietf:params:xml:ns:xmpp-stanzas',
  discoInfo: 'http://jabber.org/protocol/disco#info',
  discoItems: 'http://jabber.org/protocol/disco#items',
  caps: 'http://jabber.org/protocol/caps',
  ping: 'urn:xmpp:ping',
  last: 'jabber:iq:last',
  version: 'jabber:iq:version',
  receipts: 'urn:xmpp:receipts',
  chatStates: 'http://jabber.org/protocol/chatstates',
  markers: 'urn:xmpp:chat-markers:0',
  hints: 'urn:xmpp:hints',
  originId: 'urn:xmpp:sid:0',
  carbons: 'urn:xmpp:carbons:2',
  encryption: 'urn:xmpp:eme:0',
  cause: 'urn:isthmus:cause:0'
} as const

/** The resource of every full JID of the gateway: one device, always there. */
export const resource = 'gw'

export interface Jid {
  readonly local: string | null
  readonly domain: string
  readonly resource: string | null
}

const utf8Bytes = (text: string): number => Buffer.byteLength(text)

/** White space and what RFC 7622 3.3.1 keeps out of a local part; controls everywhere. */
// oxlint-disable-next-line no-control-regex
const neverLocal = /[\s"&'/:<>@\u0000-\u001f\u007f]/
// oxlint-disable-next-line no-control-regex
const neverAnywhere = /[\u0000-\u001f\u007f]/
const domainName = /^[\p{L}\p{N}\p{M}._:[\]-]+$/u

/** Local part and domain in lower case; null for what is no address (RFC 7622). */
export function parseJid(text: string | undefined): Jid | null {
  if (text === undefined) return null
  const known = lately.get(text)
  if (known !== undefined) return known
  const jid = readJid(text)
  if (text.length > limits.jidRememberedCharactersMax) return jid
  if (lately.size >= limits.jidsRememberedMax) lately.clear()
  lately.set(text, jid)
  return jid
}

/** What was read lately: one stanza asks for the same few addresses many times. */
const lately = new Map<string, Jid | null>()

function readJid(text: string): Jid | null {
  const slash = text.indexOf('/')
  const bare = slash < 0 ? text : text.slice(0, slash)
  const resourcePart = slash < 0 ? null : text.slice(slash + 1)
  const at = bare.indexOf('@')
  const local = at < 0 ? null : bare.slice(0, at).toLowerCase()
  const domain = bare.slice(at + 1).toLowerCase()
  if (domain === '' || local === '' || resourcePart === '') return null
  if (!domainName.test(domain) || (local !== null && neverLocal.test(local))) return null
  if (resourcePart !== null && neverAnywhere.test(resourcePart)) return null
  const parts = [local ?? '', domain, resourcePart ?? '']
  if (parts.some(part => utf8Bytes(part) > limits.jidBytesMax)) return null
  return { local, domain, resource: resourcePart }
}

export const printJid = ({ local, domain, resource }: Jid): string =>
  `${local === null ? '' : `${local}@`}${domain}${resource === null ? '' : `/${resource}`}`

/** Without its resource; null for what is no address. */
export function bareOf(text: string | undefined): string | null {
  const jid = parseJid(text)
  return jid === null ? null : printJid({ ...jid, resource: null })
}

/** The same address whatever the case; null for none. */
export function sameJid(text: string | undefined): string | null {
  const jid = parseJid(text)
  return jid === null ? null : printJid(jid)
}

/**
 * An address of the gateway: the only function that makes a `from`. A server closes the whole stream for one that is
 * outside the domain, so whatever is no local part becomes the gateway itself.
 */
export function gatewayAddress(gateway: string, local: string | null, device = true): string {
  const jid = parseJid(local === null ? gateway : `${local}@${gateway}`)
  const safe =
    jid !== null && jid.domain === gateway.toLowerCase() ? jid : { local: null, domain: gateway.toLowerCase() }
  return printJid({ ...safe, resource: device && safe.local !== null ? resource : null })
}

/** Characters that XML 1.0 has no way to write: one of them would end the stream. */
// oxlint-disable-next-line no-control-regex
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** The stanza as text, with U+FFFD for what XML cannot write. */
export function printStanza(element: Element): string {
  return element.toString().toWellFormed().replace(unwritable, '\ufffd')
}

/** `element` from and to: for stanzas of the hub's own. */
export const addressed = (element: Element, from: string, to: string): Element => {
  element.attrs['from'] = from
  element.attrs['to'] = to
  return element
}

/** The stanza's own answer address: from and to exchanged. */
function turned(stanza: Element): { from: string | undefined; to: string | undefined; id: string | undefined } {
  const { from, to, id } = stanza.attrs
  return { from: to, to: from, id }
}

export const resultOf = (iq: Element, ...children: readonly Element[]): Element =>
  xml('iq', { ...turned(iq), type: 'result' }, ...children)

export interface ErrorWords {
  readonly text?: string | undefined
  readonly extra?: Element | undefined
}

/** The error answer to an IQ, message or presence (RFC 6120, 8.3); the payload is not sent back. */
export function errorOf(stanza: Element, condition: Condition, { text, extra }: ErrorWords = {}): Element {
  const error = xml(
    'error',
    { type: errorTypes[condition] },
    xml(condition, { xmlns: ns.stanzas }),
    text === undefined ? null : xml('text', { xmlns: ns.stanzas, 'xml:lang': 'en' }, text),
    extra ?? null
  )
  return xml(stanza.getName(), { ...turned(stanza), type: 'error' }, error)
}

/** The condition of an error stanza; what carries none is `undefined-condition`. */
export function conditionOf(stanza: Element): { readonly condition: Condition; readonly text: string | null } {
  const error = stanza.getChild('error')
  const named = error?.getChildElements().find(child => child.getNS() === ns.stanzas && child.getName() in errorTypes)
  const text = error?.getChildText('text', ns.stanzas) ?? null
  return {
    condition: (named?.getName() as Condition | undefined) ?? 'undefined-condition',
    text: text === null || text === '' ? null : text.slice(0, limits.reasonCharactersMax)
  }
}
