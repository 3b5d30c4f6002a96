// Where requests inside dialogs may go: what a peer writes into Contact and Record-Route has to lead to that peer.

import { isIP } from 'node:net'
import type { Destination, Flow, RemoteDestination } from '../transport/transport.ts'
import type { Context } from './context.ts'
import { addressBlock, isIn } from './screening.ts'
import type { Usage } from './usages.ts'

/** Whether a dialog of this peer may have requests sent to this IP address. */
export type AllowTarget = (peerId: string | null, host: string) => boolean

export interface TargetPeer {
  readonly id: string
  /** IP addresses or CIDR blocks, the peer's own and what else is agreed; empty: it may name any. */
  readonly addresses: readonly string[]
}

/** Nobody unknown has a say. Throws HUB_CONFIG for an address that is none. */
export function targetsOf(peers: readonly TargetPeer[]): AllowTarget {
  const blocks = new Map(peers.map(({ id, addresses }) => [id, addresses.map(text => addressBlock(id, text))]))
  return (peerId, host) => {
    const own = peerId === null ? undefined : blocks.get(peerId)
    return own !== undefined && (own.length === 0 || isIn(own, host))
  }
}

/** The way to the other end of a dialog. */
export const wayTo = (ctx: Context, usage: Usage): Destination | null => restricted(ctx, usage.to, usage.flow)

/** A destination that the peer may not name is replaced by the path that its last message came by. */
export function restricted(
  { allowTarget, log }: Pick<Context, 'allowTarget' | 'log'>,
  to: Destination | null,
  flow: Flow | null
): Destination | null {
  if (allowTarget === null || to === null || flow === null || 'flow' in to) return to
  const allows = (host: string): boolean => host === flow.remote.host || allowTarget(flow.peerId, host)
  if (isIP(to.host) === 0) return { ...to, only: { allows, instead: flow } } satisfies RemoteDestination
  if (allows(to.host)) return to
  log.debug({ peerId: flow.peerId, host: to.host }, 'a peer may not name this target: answered where it is')
  return { flow }
}
