// What a message stanza says: text, receipt, marker, chat state, encryption; and the stanzas that say so. Pure.

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import type { Receipt, TypingState } from '../../session/text.ts'
import { ns } from './stanza.ts'

export const chatStates = ['active', 'composing', 'paused', 'inactive', 'gone'] as const
export type ChatState = (typeof chatStates)[number]

/** What arrived; `nothing`: no word for the other side (a chat state alone, a reaction, a hint). */
export type Heard =
  | { readonly type: 'text'; readonly text: string; readonly receipt: boolean; readonly marker: boolean }
  | { readonly type: 'receipt'; readonly id: string; readonly receipt: Receipt }
  | { readonly type: 'encrypted'; readonly how: string }
  | { readonly type: 'nothing'; readonly state: ChatState | null }

const encryptions: ReadonlyMap<string, string> = new Map([
  ['eu.siacs.conversations.axolotl', 'OMEMO'],
  ['urn:xmpp:omemo:0', 'OMEMO'],
  ['urn:xmpp:omemo:1', 'OMEMO'],
  ['urn:xmpp:omemo:2', 'OMEMO'],
  ['jabber:x:encrypted', 'OpenPGP'],
  ['urn:xmpp:openpgp:0', 'OpenPGP'],
  ['urn:xmpp:otr:0', 'OTR']
])

/** The name of the encryption, from the payload or from the notice that goes with it (XEP-0380); null for none. */
function encryptionOf(message: Element): string | null {
  for (const child of message.getChildElements()) {
    const namespace = child.getNS() ?? ''
    if (namespace === ns.encryption) return child.attrs['name'] ?? encryptions.get(child.attrs['namespace'] ?? '') ?? ''
    const known = encryptions.get(namespace)
    if (known !== undefined) return known
  }
  return bodyOf(message)?.startsWith('?OTR') === true ? 'OTR' : null
}

/** The first body without a language, else the first (RFC 6121, 5.2.3). */
function bodyOf(message: Element): string | null {
  const bodies = message.getChildren('body').filter(child => child.getNS() === message.getNS())
  const plain = bodies.find(({ attrs }) => attrs['xml:lang'] === undefined) ?? bodies[0]
  return plain?.getText() ?? null
}

export function read(message: Element): Heard {
  const how = encryptionOf(message)
  if (how !== null) return { type: 'encrypted', how: how === '' ? 'end-to-end encryption' : how.slice(0, 64) }
  const text = bodyOf(message)
  if (text !== null && text !== '') {
    const subject = message.getChildText('subject') ?? ''
    return {
      type: 'text',
      text: subject === '' ? text : `${subject}\n\n${text}`,
      receipt: message.getChild('request', ns.receipts) !== undefined,
      marker: message.getChild('markable', ns.markers) !== undefined
    }
  }
  const told = receiptOf(message)
  if (told !== null) return told
  const state = message
    .getChildElements()
    .find(child => child.getNS() === ns.chatStates)
    ?.getName()
  return { type: 'nothing', state: chatStates.find(name => name === state) ?? null }
}

function receiptOf(message: Element): Extract<Heard, { type: 'receipt' }> | null {
  const told = [
    ['received', ns.receipts, 'delivered'],
    ['received', ns.markers, 'delivered'],
    ['displayed', ns.markers, 'read'],
    ['acknowledged', ns.markers, 'read']
  ] as const
  // `read` says more than `delivered`, where a client puts both into one stanza.
  for (const [name, namespace, receipt] of told.toReversed()) {
    const id = message.getChild(name, namespace)?.attrs['id']
    if (id !== undefined && id !== '') return { type: 'receipt', id, receipt }
  }
  return null
}

export interface Address {
  readonly from: string
  readonly to: string
  readonly id: string
}

/** A text to a user: asks for a receipt and a marker, and says that its sender is there. */
export const textStanza = ({ from, to, id }: Address, text: string): Element =>
  xml(
    'message',
    { type: 'chat', from, to, id },
    xml('body', {}, text),
    xml('active', { xmlns: ns.chatStates }),
    xml('request', { xmlns: ns.receipts }),
    xml('markable', { xmlns: ns.markers }),
    xml('origin-id', { xmlns: ns.originId, id })
  )

/** `of`: the id of the message that it is about. */
export function receiptStanza({ from, to, id }: Address, receipt: 'delivered' | 'read', of: string): Element {
  const told =
    receipt === 'delivered'
      ? xml('received', { xmlns: ns.receipts, id: of })
      : xml('displayed', { xmlns: ns.markers, id: of })
  return xml('message', { type: 'chat', from, to, id }, told, xml('store', { xmlns: ns.hints }))
}

/** A chat state of its own; not worth keeping for whoever is offline. */
export const stateStanza = ({ from, to, id }: Address, state: TypingState): Element =>
  xml(
    'message',
    { type: 'chat', from, to, id },
    xml(state === 'composing' ? 'composing' : 'active', { xmlns: ns.chatStates }),
    xml('no-store', { xmlns: ns.hints })
  )

/** A plain word from the gateway itself. */
export const noticeStanza = ({ from, to, id }: Address, text: string): Element =>
  xml('message', { type: 'chat', from, to, id }, xml('body', {}, text))
