// The hop below a message: Via in and out, where answers go (RFC 3261 18.2, RFC 3581), the keys of transactions.

import { hash, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { ownText } from './characters.ts'
import { paramIn, printVia } from './message.ts'
import type { SipRequest, Via } from './message.ts'
import { defaultPorts, hostPort } from './transport/transport.ts'
import type { Address, Flow, TransportName } from './transport/transport.ts'

const cookie = 'z9hG4bK'
const viaNames = { udp: 'UDP', tcp: 'TCP', tls: 'TLS', ws: 'WS', wss: 'WSS' } as const satisfies Record<
  TransportName,
  string
>

/**
 * The Via of a request sent from here; `rport` always, so that answers find their way through address translators.
 * `more`: further parameters.
 */
export const viaOf = (transport: TransportName, local: Address, branch: string, more = ''): string =>
  `SIP/2.0/${viaNames[transport]} ${hostPort(local)};rport;branch=${branch}${more}`

/** How often who asks may ping, in seconds (RFC 6223): connections, and UDP paths through address translators. */
const keepSeconds = { stream: 120, udp: 30 } as const

/**
 * Notes where a request came from in its topmost Via: `received` where sent-by says another host or rport was asked
 * for, `rport` with the port where it was asked for (RFC 3261 18.2.1, RFC 3581 4); `keep` with a time where pings are
 * offered (RFC 6223).
 */
export function stampSource(
  request: SipRequest,
  via: Via,
  { transport, remote: { host, port } }: Pick<Flow, 'transport' | 'remote'>
): void {
  const asked = via.params.has('rport')
  const keeps = via.params.get('keep') === null && via.params.has('keep')
  const elsewhere = asked || via.params.has('received') || via.host !== host
  if (!elsewhere && !keeps) return
  const params = new Map(via.params)
  if (elsewhere) params.set('received', host)
  if (asked) params.set('rport', String(port))
  if (keeps) params.set('keep', String(transport === 'udp' ? keepSeconds.udp : keepSeconds.stream))
  request.headers.removeFirst('Via')
  request.headers.prepend('Via', printVia({ ...via, params }))
}

/**
 * The port at the source address that answers go to: its own where the request came over a connection or asked by
 * rport, else the one of sent-by. `maddr` is not followed: a request could name any host by it.
 */
export function answerPort(via: Via, flow: Flow): number {
  if (flow.transport === 'udp' && via.params.has('rport')) return flow.remote.port
  return via.port ?? defaultPorts[flow.transport]
}

/**
 * What makes a request the same one again (17.2.3): branch and sent-by, or without the magic cookie the fields that
 * RFC 2543 clients keep. ACK and CANCEL are looked up by the key of their INVITE.
 */
export function serverKey(request: SipRequest, via: Via, method: string): string {
  const branch = via.params.get('branch') ?? ''
  if (branch.startsWith(cookie)) return ownText(`${branch}|${via.host.toLowerCase()}|${via.port ?? 0}|${method}`)
  const { headers, uri } = request
  const from = headers.tag('From')
  const number = headers.cseq()?.number ?? 0
  const top = printVia({ ...via, params: sentBy(via) })
  return ownText(`|${uri}|${from}|${headers.get('Call-ID') ?? ''}|${number}|${top}|${method}`)
}

/** The top Via without what a hop adds to it. */
const sentBy = (via: Via): ReadonlyMap<string, string | null> =>
  new Map([...via.params].filter(([name]) => name !== 'received' && name !== 'rport'))

export const hasCookie = (via: Via): boolean => via.params.get('branch')?.startsWith(cookie) === true

/**
 * What two copies of one request share that came by different ways (8.2.2.2), null inside a dialog. The Request-URI
 * belongs to it here: a hub stands for many users, and a fork to another of them is no copy.
 */
export function mergeKey(request: SipRequest): string | null {
  const { headers, uri } = request
  if (headers.tag('To') !== '') return null
  const [callId, cseq] = [headers.get('Call-ID') ?? '', headers.get('CSeq') ?? '']
  return ownText(`${callId}|${headers.tag('From')}|${cseq}|${uri}`)
}

/** The tag of a From or To value, '' where there is none. */
export function tagOf(value: string | undefined): string {
  return (value === undefined ? null : paramIn(value, 'tag')) ?? ''
}

const secret = randomBytes(16).toString('hex')
/** The To tag of an answer without a transaction: the same for each copy of the request (8.2.7). */
export const statelessTag = (key: string): string => hash('sha256', `${secret}|${key}`).slice(0, 16)

/** An IPv4 address that arrives on an IPv6 socket, without its prefix; anything else as it is. */
export const plainHost = (host: string): string =>
  host.startsWith('::ffff:') && isIP(host.slice(7)) === 4 ? host.slice(7) : host
