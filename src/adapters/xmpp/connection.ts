// What a connection to an XMPP server is to the rest of the adapter, whichever way it is made. Types only.

import type { Element } from '@xmpp/xml'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import type { Limits } from './limits.ts'

export interface ConnectionEvents {
  onStanza(stanza: Element): void
  onUp(): void
  /** Only after `onUp`. */
  onDown(why: string): void
}

export interface Connection {
  /** For people: `component phone.example at 127.0.0.1:5347`. */
  readonly name: string
  readonly up: boolean
  /** Tries to connect, again and again, until it is closed or the server refuses who it is. */
  start(): void
  /** One whole stanza; false: not connected, or it does not read. */
  send(stanza: Element, printed: string): boolean
  /** Ends what is there and connects again. */
  restart(why: string): void
  /** When something was last heard, by the clock. */
  readonly heardAt: number
  close(): Promise<void>
}

export interface ConnectionParts {
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  readonly events: ConnectionEvents
  readonly random?: () => number
}

/** Stream errors after which trying again is of no use: somebody must change a configuration first. */
export const hopeless: ReadonlySet<string> = new Set([
  'not-authorized',
  'host-unknown',
  'invalid-namespace',
  'account-disabled',
  'credentials-expired',
  'invalid-mechanism'
])
