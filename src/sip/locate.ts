// Where a SIP URI leads (RFC 3263): NAPTR, SRV by priority and weight, A and AAAA, in the order they are to be tried.

import { isIP } from 'node:net'
import type { DnsResolver, NaptrRecord, SrvRecord } from './resolver.ts'
import { defaultPorts } from './transport/transport.ts'
import type { RemoteDestination } from './transport/transport.ts'
import type { SipUri } from './uri.ts'

export const locateLimits = {
  /** Places to try for one request. */
  targetsMax: 8,
  /** SRV records of one service, and services of one domain, that are looked at. */
  recordsMax: 16
} as const

type Served = 'udp' | 'tcp' | 'tls'

/** What this side can do, asked before anything is looked up. */
export interface Reach {
  readonly transports: readonly Served[]
  readonly ipv4: boolean
  readonly ipv6: boolean
}

export interface Locating {
  readonly resolver: DnsResolver
  readonly reach: Reach
  /** From 0 to 1, for weights; tests bring their own. */
  readonly random: () => number
}

/** One transport at one name, before its addresses are known. */
interface Service {
  readonly transport: Served
  readonly name: string
  readonly port: number
}

/** NAPTR services this stack may speak (RFC 3263 4.1). */
const services: Readonly<Record<string, Served>> = { 'sip+d2u': 'udp', 'sip+d2t': 'tcp', 'sips+d2t': 'tls' }
const srvNames = { udp: '_sip._udp', tcp: '_sip._tcp', tls: '_sips._tcp' } as const satisfies Record<Served, string>

/**
 * Destinations with IP addresses, best first, none of them twice; `name` is the domain that a certificate has to prove
 * (RFC 5922: the one that was asked for, not what the DNS made of it). Empty: there is none that can be reached from
 * here. Rejects with HUB_DNS where nobody could say.
 */
export async function locate(uri: SipUri, locating: Locating): Promise<readonly RemoteDestination[]> {
  const host = uri.params.get('maddr') ?? uri.host
  const found: RemoteDestination[] = []
  const numeric = isIP(host) > 0
  const all = numeric ? servicesAt(uri, host, locating.reach) : await servicesOf(uri, host, locating)
  for (const service of all) {
    if (found.length >= locateLimits.targetsMax) break
    for (const address of numeric ? [host] : await addressesOf(service.name, locating)) {
      const to = { transport: service.transport, host: address, port: service.port, name: host }
      const known = found.some(
        other => other.transport === to.transport && other.host === to.host && other.port === to.port
      )
      if (!known && found.length < locateLimits.targetsMax) found.push(to)
    }
  }
  return found
}

/** The transport that a URI names, in what this stack calls it; 'other' for one it does not have. */
export function namedTransport({ scheme, params }: SipUri): Served | 'other' | null {
  const named = params.get('transport')?.toLowerCase() ?? null
  if (named === null) return scheme === 'sips' ? 'tls' : null
  if (named === 'tls') return 'tls'
  if (named === 'tcp') return scheme === 'sips' ? 'tls' : 'tcp'
  return named === 'udp' && scheme === 'sip' ? 'udp' : 'other'
}

/** A transport that is named, or one that the first of ours stands in for (4.1: UDP, or TLS for sips). */
function transportFor(uri: SipUri, { transports }: Reach): Served | null {
  const named = namedTransport(uri)
  if (named === 'other') return null
  if (named !== null) return transports.includes(named) ? named : null
  return transports.includes('udp') ? 'udp' : (transports[0] ?? null)
}

function servicesAt(uri: SipUri, name: string, reach: Reach): readonly Service[] {
  const transport = transportFor(uri, reach)
  return transport === null ? [] : [{ transport, name, port: uri.port ?? defaultPorts[transport] }]
}

async function servicesOf(uri: SipUri, host: string, locating: Locating): Promise<readonly Service[]> {
  if (uri.port !== null || !host.includes('.')) return servicesAt(uri, host, locating.reach)
  const { reach, resolver } = locating
  const named = namedTransport(uri)
  if (named === 'other') return []
  if (named !== null) {
    if (!reach.transports.includes(named)) return []
    const records = await orNone(resolver.srv(`${srvNames[named]}.${host}`))
    return records.length > 0 ? inOrder(named, records, locating) : servicesAt(uri, host, reach)
  }
  const offered = usable(await orNone(resolver.naptr(host)), reach)
  if (offered.length > 0) {
    const found: Service[] = []
    for (const { transport, replacement } of offered) {
      found.push(...inOrder(transport, await orNone(resolver.srv(replacement)), locating))
    }
    return found
  }
  // No NAPTR: each transport of ours is asked for by its SRV name, and the first that has one is taken (4.1).
  for (const transport of reach.transports.filter(transport => transport !== 'tls')) {
    const records = await orNone(resolver.srv(`${srvNames[transport]}.${host}`))
    if (records.length > 0) return inOrder(transport, records, locating)
  }
  return servicesAt(uri, host, reach)
}

/** Services that lead to SRV records of a transport that this side has, by order and preference. */
function usable(
  records: readonly NaptrRecord[],
  { transports }: Reach
): readonly { readonly transport: Served; readonly replacement: string }[] {
  return records
    .flatMap(({ order, preference, flags, service, replacement }) => {
      const transport = services[service.toLowerCase()]
      const known = flags === 's' && replacement !== '' && transport !== undefined && transports.includes(transport)
      return known ? [{ order, preference, transport, replacement }] : []
    })
    .toSorted((a, b) => a.order - b.order || a.preference - b.preference)
    .slice(0, locateLimits.recordsMax)
}

const inOrder = (transport: Served, records: readonly SrvRecord[], { random }: Locating): readonly Service[] =>
  orderSrv(records.slice(0, locateLimits.recordsMax), random).map(({ name, port }) => ({ transport, name, port }))

/** By priority, and within one in an order that chance draws by weight (RFC 2782). A target of "." is none. */
export function orderSrv(records: readonly SrvRecord[], random: () => number): readonly SrvRecord[] {
  const ordered: SrvRecord[] = []
  const sorted = records.filter(({ name }) => name !== '' && name !== '.').toSorted((a, b) => a.priority - b.priority)
  while (sorted.length > 0) {
    const priority = sorted[0]?.priority
    // Those without weight first, so that they have their small chance.
    const group = sorted.filter(record => record.priority === priority).toSorted((a, b) => a.weight - b.weight)
    const total = group.reduce((sum, { weight }) => sum + weight, 0)
    let left = random() * total
    const chosen = group.find(({ weight }) => (left -= weight) <= 0) ?? group[0]
    if (chosen === undefined) break
    ordered.push(chosen)
    sorted.splice(sorted.indexOf(chosen), 1)
  }
  return ordered
}

/** A name without a dot is the machine's own affair; so is one that the DNS does not know, or cannot tell. */
async function addressesOf(name: string, { resolver, reach }: Locating): Promise<readonly string[]> {
  if (isIP(name) > 0) return [name]
  if (name.includes('.')) {
    const [six, four] = await Promise.all([
      reach.ipv6 ? orNone(resolver.aaaa(name)) : [],
      reach.ipv4 ? orNone(resolver.a(name)) : []
    ])
    if (six.length + four.length > 0) return [...six, ...four]
  }
  const all = await resolver.system(name)
  return all.filter(address => (isIP(address) === 6 ? reach.ipv6 : reach.ipv4))
}

/** Where the DNS fails, the next step decides: without addresses `system` has the last word. */
const orNone = <T>(asked: Promise<readonly T[]>): Promise<readonly T[]> => asked.catch(() => [])
