// Where a request outside dialogs leaves to: the named next hop or the Request-URI, on a transport that listens here.

import { networkInterfaces } from 'node:os'
import { destinationOf } from '../dialog.ts'
import type { Listening, RemoteDestination } from '../transport/transport.ts'
import { parseUri } from '../uri.ts'
import type { SipUri } from '../uri.ts'

export type NextHop = { readonly to: RemoteDestination } | { readonly name: SipUri } | Refused
export interface Refused {
  readonly refused: string
}

const unavailable: Refused = { refused: 'requested protocol/transport not available' }
const myself: Refused = { refused: 'can not send request to myself' }

/**
 * `uri` is the next hop that the application named, else the Request-URI. A `name` is still to be located. The texts
 * are drachtio-server's.
 */
export function nextHop(uri: string, listening: readonly Listening[]): NextHop {
  const found = destinationOf(uri)
  const parsed = parseUri(uri)
  if (found === null || parsed === null || parsed.scheme === 'tel' || parsed.scheme === 'urn') {
    return { refused: `no next hop: ${uri} names no host, give one as proxy` }
  }
  const named = parsed.params.has('transport') || parsed.scheme === 'sips'
  const served = listening.some(({ transport }) => transport === found.transport)
  const other = named ? undefined : listening[0]
  if (!served && other === undefined) return unavailable
  if (found.uri !== undefined) return { name: found.uri }
  const to = served || other === undefined ? found : { ...found, transport: other.transport }
  return isOwn(to, listening) ? myself : { to }
}

/** Where next hops lead that are named by address, since a peer's is named with every call. */
export class KnownHops {
  readonly #max: number
  readonly #found = new Map<string, NextHop>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#found.size
  }

  /** As `nextHop`. */
  find(uri: string, stack: { readonly listening: readonly Listening[] }): NextHop {
    const known = this.#found.get(uri)
    if (known !== undefined) return known
    const hop = nextHop(uri, stack.listening)
    if (!('to' in hop)) return hop
    if (this.#found.size >= this.#max) this.#found.clear()
    this.#found.set(uri, hop)
    return hop
  }
}

/** Of the places that a name leads to, those that are not this very server. */
export function elsewhere(
  targets: readonly RemoteDestination[],
  listening: readonly Listening[],
  name: string
): readonly [RemoteDestination, ...RemoteDestination[]] | Refused {
  const [first, ...rest] = targets.filter(to => !isOwn(to, listening))
  if (first !== undefined) return [first, ...rest]
  return targets.length > 0 ? myself : { refused: `no address for ${name}` }
}

/** A request to one of our own listeners would come back in. */
function isOwn({ transport, host, port }: RemoteDestination, listening: readonly Listening[]): boolean {
  return listening.some(own => {
    if (own.transport !== transport || own.port !== port) return false
    if (own.host === host || (host === 'localhost' && isLoopback(own.host))) return true
    return isWildcard(own.host) && (host === 'localhost' || isLoopback(host) || ownAddresses().has(host))
  })
}

const isLoopback = (host: string): boolean => host.startsWith('127.') || host === '::1'
const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'

const ownAddresses = (): ReadonlySet<string> =>
  new Set(Object.values(networkInterfaces()).flatMap(addresses => (addresses ?? []).map(({ address }) => address)))
