// Which peer a packet or connection is from, by address and certificate, before anything of it is parsed.

import { BlockList, isIP } from 'node:net'
import { HubError } from '../../errors.ts'
import type { StackOptions } from '../ports.ts'

export interface ScreenedPeer {
  readonly id: string
  /** IPv4 or IPv6 addresses, or CIDR blocks of them. */
  readonly addresses: readonly string[]
  /** Names in a client certificate, any of which proves the peer on TLS wherever it comes from. */
  readonly certificateNames: readonly string[]
}

export type Screening = NonNullable<StackOptions['screen']>

interface Block {
  readonly peerId: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
  readonly list: BlockList
}

/**
 * A screen over a table of peers. A certificate name decides first, then the address: the longest prefix, then the
 * order of the table. A peer that names certificates is not known on TLS by its address alone. Unknown: silence on UDP,
 * `refuse` elsewhere. Throws HUB_CONFIG for an address that is none.
 */
export function screenPeers(peers: readonly ScreenedPeer[]): Screening {
  const byAddress = new Map<string, string>()
  const byName = new Map<string, string>()
  const blocks: Block[] = []
  const certified = new Set<string>()
  for (const { id, addresses, certificateNames } of peers) {
    for (const name of certificateNames) {
      if (!byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), id)
      certified.add(id)
    }
    for (const text of addresses) {
      const block = blockOf(id, text)
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
    for (const name of certificateNames) {
      const named = byName.get(name.toLowerCase())
      if (named !== undefined) return { peerId: named }
    }
    const peerId = addressed(remote.host)
    const proven = peerId !== undefined && !(transport === 'tls' && certified.has(peerId))
    if (proven) return { peerId }
    return transport === 'udp' ? 'drop' : 'refuse'
  }
}

function blockOf(peerId: string, text: string): Block {
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
