// What every SIP transport looks like from above: flows, destinations, screening, limits.

import { networkInterfaces } from 'node:os'
import type { SipUri } from '../uri.ts'

export type TransportName = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss'

export interface Address {
  /** An IP address, or a host name where a destination says so. IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** One path to a peer: a UDP remote address on a local socket, or one connection. */
export interface Flow {
  readonly id: number
  readonly transport: TransportName
  /** What Via and Contact may name: the listener's advertised address where there is one. */
  readonly local: Address
  readonly remote: Address
  /** What screening called the peer; null where nothing screens or nobody is known. */
  readonly peerId: string | null
  readonly closed: boolean
  /** Never throws. `failed` hears of an error of this very write, if the transport can tell. */
  send(bytes: Buffer, failed?: (error: unknown) => void): void
  close(): void
}

/** A flow made elsewhere (a WebSocket): its owner pushes what arrives and says when it is gone. */
export interface AdoptedFlow extends Flow {
  /** One frame: one whole message (RFC 7118, 5.1) or a CRLF keepalive. */
  receive(bytes: Buffer): void
  lost(): void
}

export interface AdoptOptions {
  readonly transport: 'ws' | 'wss'
  readonly local: Address
  readonly remote: Address
  readonly peerId: string | null
  send(bytes: Buffer): void
  close(): void
}

export interface RemoteDestination extends Address {
  readonly transport: TransportName
  /** The domain that was asked for, where `host` was found by it: what a certificate has to prove (RFC 5922). */
  readonly name?: string
  /** The URI whose host is a name: what is still to be looked up (RFC 3263). */
  readonly uri?: SipUri
  /** Of the addresses that a name leads to only these; the path instead, where none is left. */
  readonly only?: { allows(host: string): boolean; readonly instead: Flow }
}

export type Destination = { readonly flow: Flow } | RemoteDestination

/** PEM text. With `ca`, clients are asked for a certificate; its names reach `screen` only if `ca` vouches for it. */
export interface TlsMaterial {
  readonly cert: string | Buffer
  readonly key: string | Buffer
  readonly ca?: string | Buffer
  /** Other certificates by the name that a client asks for (SNI). */
  readonly named?: readonly { readonly name: string; readonly cert: string | Buffer; readonly key: string | Buffer }[]
}

/** How a peer is met that TLS connections are made to. */
export interface TlsPeer {
  /** As destinations name it: host names and IP addresses. */
  readonly hosts: readonly string[]
  /** Our certificate towards it; null: the one of the first TLS listener. */
  readonly own: { readonly cert: string | Buffer; readonly key: string | Buffer } | null
  /** Who must vouch for its certificate; null: as for all others. */
  readonly ca: string | Buffer | null
  /** SIP domains of which its certificate has to prove one (RFC 5922); empty: the host that was asked for. */
  readonly domains: readonly string[]
}

export interface ListenOptions {
  readonly transport: 'udp' | 'tcp' | 'tls'
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** The host written into Via; needed where `host` is a wildcard. */
  readonly advertise?: string
  readonly tls?: TlsMaterial
}

export interface Listening extends Address {
  readonly transport: 'udp' | 'tcp' | 'tls'
}

export interface Source {
  readonly transport: TransportName
  readonly remote: Address
  /** The SIP domains that a verified client certificate proves (RFC 5922, 7.1), in lower case. */
  readonly certificateNames: readonly string[]
}

/** Asked before anything is parsed. On UDP `refuse` is silence too. */
export type Screen = (source: Source) => Verdict
export type Verdict = { readonly peerId: string | null } | 'drop' | 'refuse'

export const transportLimits = {
  /** Live connections, in and out; more are closed at once. */
  connectionsMax: 10_000,
  /** Live connections from one IP address. */
  connectionsPerSourceMax: 1_000,
  /** Connections whose peer nobody knows, or not yet, handshakes included; one more ends the oldest. */
  strangersMax: 256,
  /** A connection without a byte for so long is closed. */
  idleMs: 900_000,
  /** A message that has begun must be whole within this. */
  incompleteMs: 30_000,
  /** TCP and TLS handshakes, in and out. */
  connectMs: 10_000,
  /** A request above so many bytes goes by TCP rather than UDP where TCP listens here (RFC 3261, 18.1.1). */
  udpRequestBytesMax: 1_300,
  /** TCP in place of UDP has so long to connect; then UDP carries the request, and the next ones for a while. */
  udpInsteadMs: 2_000,
  tcpRefusedMs: 600_000,
  /** Pings over a connection made from here whose other end agreed to them without naming a time (RFC 6223). */
  keepAliveMs: 95_000,
  /** A ping without anything coming back in this time: the connection is dead (RFC 5626, 4.4.1). */
  pongMs: 10_000,
  /** How long a connection closed here still swallows what comes, so that its last answer is not reset away. */
  lingerMs: 1_000,
  /** Header block of a message on a stream. */
  headerBytesMax: 65_536,
  /** Header block and body of a message on a stream or in a frame. */
  messageBytesMax: 1_048_576,
  /** IP addresses whose last UDP path is remembered; beyond it all are forgotten and made anew. */
  udpFlowsMax: 256,
  /** Bytes waiting in one connection; a peer that reads slower is cut off. */
  sendBufferBytesMax: 8_388_608,
  /** Messages a second from one IP address, and the burst on top of silence: UDP and frames drop, streams wait. */
  messagesPerSecondMax: 20_000,
  /** IP addresses whose rate is remembered; the one heard of first is forgotten. */
  sourcesMax: 10_000
} as const
export type TransportLimits = { readonly [name in keyof typeof transportLimits]: number }

export const isReliable = (transport: TransportName): boolean => transport !== 'udp'
export const isWebSocket = (transport: TransportName): boolean => transport === 'ws' || transport === 'wss'

/** The port that a missing one stands for (RFC 3261, 19.1.2; RFC 7118, 9). */
export const defaultPorts = { udp: 5060, tcp: 5060, tls: 5061, ws: 80, wss: 443 } as const satisfies Record<
  TransportName,
  number
>

/** `host:port` as Via and URIs write it. */
export const hostPort = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** What a transport tells the stack, and asks of it. None of it throws. */
export interface TransportPort {
  readonly limits: TransportLimits
  screen(source: Source): Verdict
  /** Takes one message of that IP address off its rate: 0, or the milliseconds until there is room for it. */
  admit(host: string): number
  message(bytes: Buffer, flow: Flow): void
  /** What a peer sent cannot be cut into messages: answer `status` if `head` allows it; the flow is closed after. */
  unreadable(head: Buffer, status: number, flow: Flow): void
  /** A peer nobody knows, on a connection: answer 403 if this is a request; the flow is closed after. */
  refused(bytes: Buffer, flow: Flow): void
  closed(flow: Flow): void
  dropped(): void
  warn(text: string, error: unknown): void
}

let lastFlow = 0
export const newFlowId = (): number => ++lastFlow

/** The host to write into Via for a listener: as told, else where it listens, else an address of this machine. */
export function advertised({ host, advertise }: ListenOptions): string {
  if (advertise !== undefined) return advertise
  if (host !== '0.0.0.0' && host !== '::') return host
  const family = host === '::' ? 'IPv6' : 'IPv4'
  const addresses = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  const outside = addresses.find(address => !address.internal && address.family === family)
  return outside?.address ?? (family === 'IPv6' ? '::1' : '127.0.0.1')
}
