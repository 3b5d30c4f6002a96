// Which peer a packet or connection is from, by address and certificate, before anything of it is parsed.

import { BlockList, isIP } from 'node:net'
import { HubError } from '../../errors.ts'
import type { StackOptions } from '../ports.ts'
import { plainDomain } from '../transport/identity.ts'

export interface ScreenedPeer {
  readonly id: string
  /** IPv4 or IPv6 addresses, or CIDR blocks of them. */
  readonly addresses: readonly string[]
  /** SIP domains in a client certificate, any of which proves the peer on TLS; a `sip:` before them is ignored. */
  readonly certificateNames: readonly string[]
}

export type Screening = NonNullable<StackOptions['screen']>

export interface Block {
  readonly peerId: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
  readonly list: BlockList
}

/**
 * A screen over a table of peers. By address the longest prefix decides, then the order of the table. On TLS a peer
 * that names certificates must prove one of the names, and come from one of its addresses if it has any. Unknown:
 * silence on UDP, `refuse` elsewhere. Throws HUB_CONFIG for an address that is none.
 */
export function screenPeers(peers: readonly ScreenedPeer[]): Screening {
  const byAddress = new Map<string, string>()
  const byName = new Map<string, string>()
  const blocks: Block[] = []
  const certified = new Set<string>()
  /** The addresses of each peer that has any. */
  const places = new Map<string, Block[]>()
  for (const { id, addresses, certificateNames } of peers) {
    for (const name of certificateNames) {
      const domain = plainDomain(name.replace(/^sip:/i, ''))
      if (!byName.has(domain)) byName.set(domain, id)
      certified.add(id)
    }
    for (const text of addresses) {
      const block = addressBlock(id, text)
      places.set(id, [...(places.get(id) ?? []), block])
      if (block.bits === (block.family === 'ipv4' ? 32 : 128)) {
        const address = plainAddress(text.split('/')[0] ?? '')
        if (!byAddress.has(address)) byAddress.set(address, id)
      } else blocks.push(block)
    }
  }
  blocks.sort((a, b) => b.bits - a.bits)
  const addressed = (host: string): string | undefined => {
    const address = plainAddress(host)
    const exact = byAddress.get(address)
    if (exact !== undefined || blocks.length === 0) return exact
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    return blocks.find(block => block.family === family && block.list.check(address, family))?.peerId
  }
  return ({ transport, remote, certificateNames }) => {
    const peerId = addressed(remote.host)
    for (const name of certificateNames) {
      const named = byName.get(plainDomain(name))
      const home = named === undefined ? undefined : places.get(named)
      if (named !== undefined && (home === undefined || isIn(home, remote.host))) return { peerId: named }
    }
    const proven = peerId !== undefined && !(transport === 'tls' && certified.has(peerId))
    if (proven) return { peerId }
    return transport === 'udp' ? 'drop' : 'refuse'
  }
}

/** Whether an address is in one of these blocks. */
export function isIn(places: readonly Block[], host: string): boolean {
  const address = plainAddress(host)
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  return places.some(place => place.family === family && place.list.check(address, family))
}

/** An address or CIDR block of a peer. Throws HUB_CONFIG for what is neither. */
export function addressBlock(peerId: string, text: string): Block {
  const [host = '', length, ...more] = text.split('/')
  const version = isIP(host)
  const bitsMax = version === 6 ? 128 : 32
  const bits = length === undefined ? bitsMax : /^[0-9]{1,3}$/.test(length) ? Number(length) : Number.NaN
  if (version === 0 || more.length > 0 || !(bits >= 0 && bits <= bitsMax)) {
    throw new HubError('HUB_CONFIG', `peer ${peerId}: "${text}" is no IP address or CIDR block`, {
      peerId,
      address: text
    })
  }
  const family = version === 6 ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  list.addSubnet(host, bits, family)
  return { peerId, bits, family, list }
}

/** One spelling for one address: IPv4 inside IPv6 is IPv4, IPv6 in its canonical form, no zone. */
function plainAddress(host: string): string {
  if (isIP(host) !== 6) return host
  const mapped = /^::ffff:([0-9.]+)$/i.exec(host)?.[1]
  if (mapped !== undefined) return mapped
  const withoutZone = host.split('%')[0] ?? host
  return new URL(`http://[${withoutZone}]`).hostname.slice(1, -1)
}
