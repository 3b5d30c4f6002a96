// The operators at the border as data: who they are, where they are, what they may see.

import { BlockList, isIP } from 'node:net'
import type { OperatorConfig } from '../config.ts'
import type { AgreedField } from '../config/operators.ts'
import { agreed } from './header-rules.ts'

export interface Peer {
  readonly id: string
  readonly config: OperatorConfig
  /** Inside the trust domain (RFC 3325, 2.3). */
  readonly trusted: boolean
  /** Fields that it is sent, and fields that count when it sends them: by its trust, or as agreed one by one. */
  readonly told: ReadonlySet<AgreedField>
  readonly heard: ReadonlySet<AgreedField>
  /** In Request-URI and To. */
  readonly domain: string
  /** Where requests go, as URI. */
  readonly nextHop: string
  readonly neighbour: string
  readonly ioi: string | null
}

/** The hub as the border shows it. */
export interface HubFace {
  readonly domain: string
  readonly ioi: string
  readonly id: string
}

export interface Peers {
  readonly all: readonly Peer[]
  get(id: string): Peer | null
  /** By the engine's verified name, or by source address where the engine gives none. */
  identify(token: string | null, address: string): Peer | null
}

/** What follows from a peer's configuration, worked out once and not for every message. */
export function perPeer<T>(make: (config: OperatorConfig) => T): (peer: Pick<Peer, 'config'>) => T {
  const made = new WeakMap<OperatorConfig, { readonly value: T }>()
  return ({ config }) => {
    const known = made.get(config)
    if (known !== undefined) return known.value
    const value = make(config)
    made.set(config, { value })
    return value
  }
}

export function peerOf(config: OperatorConfig): Peer {
  const { id, address, domain, trust, ioi, headers } = config
  const trusted = trust === 'network'
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host
  return {
    id,
    config,
    trusted,
    told: agreed(trusted, headers, 'sent'),
    heard: agreed(trusted, headers, 'received'),
    domain: domain ?? host,
    nextHop: nextHopOf(host, address),
    neighbour: `${host}:${address.port}`,
    ioi: ioi ?? null
  }
}

/** As much of the place as the DNS shall not say (RFC 3263, 4). */
function nextHopOf(host: string, { port, transport, dns }: OperatorConfig['address']): string {
  if (dns === 'naptr') return `sip:${host}`
  return dns === 'srv' ? `sip:${host};transport=${transport}` : `sip:${host}:${port};transport=${transport}`
}

export function createPeers(operators: readonly OperatorConfig[]): Peers {
  const all = operators.filter(({ enabled }) => enabled).map(peerOf)
  const byId = new Map(all.map(peer => [peer.id, peer]))
  const exact = new Map<string, Peer>()
  const blocks = all.map(peer => ({ peer, list: new BlockList() }))
  for (const { peer, list } of blocks) {
    for (const source of [peer.config.address.host, ...peer.config.sources]) {
      const [host = '', bits] = source.split('/')
      const version = isIP(host)
      // A host name says nothing about a source address.
      if (version === 0) continue
      if (bits !== undefined) list.addSubnet(host, Number(bits), version === 6 ? 'ipv6' : 'ipv4')
      else if (!exact.has(host)) exact.set(host, peer)
    }
  }
  return {
    all,
    get: id => byId.get(id) ?? null,
    identify: (token, address) => {
      if (token !== null) return byId.get(token) ?? null
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      const inBlock = isIP(address) === 0 ? undefined : blocks.find(({ list }) => list.check(address, family))?.peer
      return exact.get(address) ?? inBlock ?? null
    }
  }
}
