// What the connection needs of the calls of one island: `createCalls` in calls.ts makes them. Types only.

import type { XmppIslandConfig } from '../../config.ts'
import type { Logger } from '../../log.ts'
import type { IslandCalls } from '../../session/island-adapter.ts'
import type { LegRef } from '../../session/model.ts'
import type { Clock, Inbox } from '../../session/ports.ts'
import type { CallAddresses, Link, LinkEvents, Presences } from './link.ts'

export interface CallsParts {
  readonly island: XmppIslandConfig
  readonly link: Link
  readonly addresses: CallAddresses
  readonly presences: Presences
  readonly inbox: Inbox
  readonly clock: Clock
  readonly log: Logger
  /** Names the next leg; the adapter finds the island by it again. */
  readonly newLeg: () => LegRef
  /** For the record: address of the server. */
  readonly neighbour: string
}

export interface Calls extends IslandCalls, LinkEvents {
  /** Calls that have not ended. */
  readonly count: number
}
export type CreateCalls = (parts: CallsParts) => Calls
