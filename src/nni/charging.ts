// P-Charging-Vector (RFC 7315, 4.6 and 5.6): identifiers of type 2 and the list of transit networks.

import type { ChargingId } from '../session/model.ts'
import { isToken, parseParams, quote, unquote } from '../sip/message.ts'
import type { Headers } from '../sip/message.ts'
import type { Fields } from './headers.ts'
import { limits } from './limits.ts'
import type { HubFace, Peer } from './peers.ts'

export interface Charging extends ChargingId {
  readonly origIoi: string | null
  readonly termIoi: string | null
  readonly transitIoi: readonly string[]
}

/** Null from a peer that is not believed, and where it is missing or unreadable. One instance counts (PCV-01). */
export function chargingOf(headers: Headers, peer: Peer): Charging | null {
  const text = headers.get('P-Charging-Vector')
  if (text === undefined || !peer.heard.has('P-Charging-Vector')) return null
  const params = text.length > limits.chargingBytesMax ? null : parseParams(`;${text}`)
  const value = (name: string): string | null => {
    const found = params?.get(name) ?? null
    return found === null ? null : found.startsWith('"') ? unquote(found) : found
  }
  const icid = value('icid-value')
  if (icid === null || icid === '' || icid.length > limits.identityBytesMax) return null
  const transit = value('transit-ioi')
  return {
    icid,
    generatedAt: value('icid-generated-at') ?? '',
    origIoi: value('orig-ioi'),
    termIoi: value('term-ioi'),
    transitIoi: transit === null ? [] : transitsOf(transit)
  }
}

/** `name.index` with a name of letters and digits, or `void`. */
const transit = /^(?:void|(?!void\.)[A-Za-z][A-Za-z0-9]*\.[0-9]{1,4})$/

/** The entries of a list; empty where one is malformed, since the places of the rest say nothing then. */
function transitsOf(text: string): readonly string[] {
  const entries = text.split(',', limits.transitsMax + 1).map(part => part.trim())
  return entries.length <= limits.transitsMax && entries.every(entry => transit.test(entry)) ? entries : []
}

/** The list with one more network: the index of the last named one, plus the voids after it, plus one (PCV-08). */
export function withTransit(list: readonly string[], name: string): readonly string[] {
  let last = 0
  for (const entry of list) last = entry === 'void' ? last + 1 : Number(entry.split('.')[1])
  return [...list, `${name}.${last + 1}`]
}

/** Whose identifiers stand in one message. */
export interface Iois {
  /** The network where the call began, where that is known. */
  readonly originator: string | null
  /** In answers alone (PCV-07). */
  readonly term?: string | null
  /** Of the networks before the hub, in the direction of the message. */
  readonly transit: readonly string[]
}

/** What a peer is sent, added to `fields`; nothing to one that is not to see it. */
export function chargingFields(
  { icid, generatedAt }: ChargingId,
  { originator, term, transit: before }: Iois,
  { told, config }: Peer,
  hub: HubFace,
  fields: Fields = {}
): Fields {
  if (!told.has('P-Charging-Vector')) return fields
  const { ioi, transitIoi } = config.charging
  let vector = `icid-value=${wordOf(icid)}`
  if (generatedAt !== '') vector += `;icid-generated-at=${wordOf(generatedAt)}`
  if (ioi) vector += `;orig-ioi=${wordOf(originator ?? hub.ioi)}`
  if (ioi && term !== undefined && term !== null) vector += `;term-ioi=${wordOf(term)}`
  if (transitIoi !== undefined && before.length < limits.transitsMax)
    vector += `;transit-ioi="${withTransit(before, transitIoi).join(', ')}"`
  fields['P-Charging-Vector'] = vector
  return fields
}

/** orig-ioi of what goes to a peer: the hub's own, or that of the network where the call began. */
export const originatorFor = (peer: Peer, origIoi: string | null): string | null =>
  peer.config.charging.origIoi === 'originator' ? origIoi : null

const wordOf = (text: string): string => (isToken(text) ? text : quote(text))
