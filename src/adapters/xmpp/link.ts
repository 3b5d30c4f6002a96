// What calls and messages need of an island's connection: stanzas out and in, addresses, and who is there. Types only.

import type { Element } from '@xmpp/xml'
import type { Party, Reason, Shown } from '../../session/model.ts'

/** The connection to one island's server. */
export interface Link {
  readonly islandId: string
  /** The domain of the gateway's own addresses. */
  readonly gateway: string
  /** False: not connected, nothing was sent. `from` and `to` are always set, `from` belongs to the gateway. */
  send(element: Element): boolean
  /**
   * Sends an IQ of type get or set; its id is set if it has none. Resolves with the result or error, whose sender
   * is the one asked. Rejects only with `IqTimeout` (after `ms`) or `LinkDown`.
   */
  request(element: Element, ms?: number): Promise<Element>
  /** 128 random bits, as text. */
  newId(): string
}

export class IqTimeout extends Error {
  override readonly name = 'IqTimeout'
}
export class LinkDown extends Error {
  override readonly name = 'LinkDown'
}

/** What the connection tells its users, in the order of the stanzas. None of these throws. */
export interface LinkEvents {
  /** The reply (result or error) to an IQ of type get or set; null: not mine. */
  onIq(iq: Element): Element | Promise<Element> | null
  /** True: it was mine and nobody else needs to look at it. */
  onMessage(message: Element): boolean
  onPresence(presence: Element): void
  onUp(): void
  onDown(why: string): void
}

/** Who is who between the JIDs of an island and the canonical vocabulary. */
export interface CallAddresses {
  /** The gateway's full JID that stands for a caller towards this island; the fixed anonymous one for nobody. */
  gatewayJid(from: Shown): string
  /** The gateway's full JID behind the address that a stanza was sent to; null: no address of this gateway. */
  answering(to: string): string | null
  /** The bare JID of an island's user, by the canonical `sip:user@domain` or `tel:` of a target; null: nobody. */
  userJid(uri: string): string | null
  /** The user who sends from this JID; null: nobody this island may call as. */
  caller(from: string): Party | null
  /** Where a call or message to this gateway address goes (canonical), or why nowhere. */
  called(to: string): { readonly called: string } | { readonly refused: Reason }
}

/** One connected device of a user. */
export interface Device {
  /** Full JID. */
  readonly jid: string
  readonly priority: number
  /** Its disco#info features; null while they are not known. */
  readonly features: ReadonlySet<string> | null
}

/** Which devices of users are known to be online. Knowing none says nothing: presence gates no call. */
export interface Presences {
  devices(bareJid: string): readonly Device[]
}
