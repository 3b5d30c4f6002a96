// Calls that cross: an address of the gateway calls a user who calls it, or talks to one who calls it anew
// (XEP-0353, 4; XEP-0166, 7.2.16). Pure.

import type { Reason } from '../../session/model.ts'
import { xml } from './elements.ts'
import type { Element } from './elements.ts'

/** Of two calls that cross, the one whose id sorts first by octets stays (RFC 4790, 9.3). */
export const staysBefore = (sid: string, other: string): boolean =>
  Buffer.compare(Buffer.from(sid), Buffer.from(other)) < 0

/** What the user's client hears of the call that goes. */
export const crossedReason: Reason = { cause: 'expired', text: 'both call each other, and the other call stays' }
/** What the caller at the other side hears: whom it wants is calling it. */
export const callingReason: Reason = { cause: 'busy', text: 'both call each other, and the other call stays' }

/** What the user's client hears of a session that another one has taken the place of. */
export const migratedReason: Reason = { cause: 'expired', text: 'another session has taken the place of this one' }
/** What the other side hears: it will be called again. */
export const replacedReason: Reason = { cause: 'normal', text: 'the user has called anew' }

export const tieBreak = (): Element => xml('tie-break')
export const migratedTo = (sid: string): Element => xml('migrated', { to: sid })
