// The SIP stack's contract with its users: options, handler, transactions. Types and their defaults only.

import type { Logger } from '../log.ts'
import { failoverLimits } from './failover.ts'
import { overloadClientLimits } from './overload.ts'
import type { OverloadServer } from './overload.ts'
import type { HeaderLine, SipMessage, SipRequest, SipResponse } from './message.ts'
import type { DnsResolver } from './resolver.ts'
import { transportLimits } from './transport/transport.ts'
import type {
  Address,
  AdoptedFlow,
  AdoptOptions,
  Destination,
  Flow,
  Listening,
  ListenOptions,
  RemoteDestination,
  Screen,
  TlsPeer,
  TransportName
} from './transport/transport.ts'
import type { SipUri } from './uri.ts'

/** Milliseconds (RFC 3261 table 4, RFC 6026 7.1). What is not named follows from T1, T2 and T4. */
export interface SipTimers {
  readonly T1: number
  readonly T2: number
  readonly T4: number
  /** INVITE without any answer. */
  readonly B: number
  /** Client INVITE after a refusal: 32 s on UDP, 0 elsewhere. */
  readonly D: number
  /** Other request without a final answer; also how long a server waits for its user. */
  readonly F: number
  /** Refused INVITE without ACK. */
  readonly H: number
  readonly J: number
  /** Answered INVITE: how long retransmissions are absorbed (server). */
  readonly L: number
  /** Answered INVITE: how long further 2xx are passed up (client). */
  readonly M: number
  /** INVITE without a word from the user: 100 is sent (RFC 3261, 17.2.1). */
  readonly trying: number
}

export const stackLimits = {
  ...transportLimits,
  ...failoverLimits,
  ...overloadClientLimits,
  /** Server and client transactions, those kept to absorb retransmissions included; beyond it 503. */
  transactionsMax: 300_000,
  /** Of a hundred of them so many more for what goes first: inside dialogs, CANCEL, emergency calls. */
  reservePercent: 10,
  /** Bytes of the requests whose transactions still have a user; beyond it 503. */
  requestBytesMax: 268_435_456
} as const
export type StackLimits = { readonly [name in keyof typeof stackLimits]: number }

/** Where time comes from; one argument spares a closure for each timer. */
export interface TimerPort {
  set<T>(ms: number, run: (subject: T) => void, subject: T): unknown
  clear(handle: unknown): void
}

export interface StackOptions {
  readonly listen: readonly ListenOptions[]
  readonly screen?: Screen
  readonly handler: StackHandler
  /** RTE-05 defaults; tests shorten them. */
  readonly timers?: Partial<SipTimers>
  readonly clock?: TimerPort
  /** Every message in and out, retransmissions included. */
  readonly tap?: (direction: 'in' | 'out', message: SipMessage, flow: Flow) => void
  readonly limits?: Partial<StackLimits>
  /** Server header of the stack's own answers, User-Agent of requests that have none. */
  readonly userAgent?: string
  readonly log?: Logger
  /** For host names; that of the system unless given. */
  readonly resolver?: DnsResolver
  /** Takes part in overload control (RFC 7339), up and down; unset: in neither. */
  readonly overload?: OverloadServer
  /** For outgoing TLS: authorities that servers' certificates must come from. Default: Node's. */
  readonly tlsCa?: string | Buffer
  /** For outgoing TLS: peers with certificates, authorities or domains of their own. */
  readonly tlsPeers?: readonly TlsPeer[]
}

/** Nothing here should throw; if it does, the request is answered 500 and the error logged. */
export interface StackHandler {
  /** A new request that opened a server transaction: never ACK, never CANCEL (both are the stack's). */
  request(tx: ServerTransaction): void
  /** An ACK that belongs to no refused INVITE: the ACK to a 2xx. */
  ack(ack: SipRequest, flow: Flow): void
  /** Every 2xx to INVITE after the first one of its client transaction: a retransmission or another fork. */
  strayResponse?(response: SipResponse, flow: Flow): void
}

export type TransactionEnd = 'done' | 'timeout' | 'transport'
export type ServerState = 'trying' | 'proceeding' | 'completed' | 'accepted' | 'confirmed' | 'terminated'

export interface ServerTransaction {
  readonly id: string
  /** As received, with `received` and `rport` filled in. */
  readonly request: SipRequest
  readonly flow: Flow
  readonly state: ServerState
  /** The To tag for answers to this request (`toTag`); `respond` adds it where an answer above 100 has none. */
  readonly localTag: string
  /**
   * Sends, and retransmits what must be. After a 2xx to INVITE more 2xx may follow: those retransmissions are the
   * user's (RFC 6026). An answer after the end is dropped: the peer was faster.
   */
  respond(response: SipResponse): void
  /** The stack has answered the CANCEL with 200; the user must answer the INVITE (487). */
  onCancel: ((cancel: SipRequest) => void) | null
  /**
   * `done`: a final answer is out (for a refused INVITE: and acknowledged). `timeout`: no ACK to a refusal, or no
   * final answer to another request within timer F. `transport`: an answer could not be sent.
   */
  onEnd: ((why: TransactionEnd) => void) | null
}

export interface ClientHandler {
  /** Each answer but retransmissions; after a final one nothing more comes (see `strayResponse`). */
  response(response: SipResponse, flow: Flow): void
  /** No final answer will come: 408 and 503 are not faked. Never called before `send` has returned. */
  failed(why: 'timeout' | 'transport', error?: unknown): void
}

export interface ClientTransaction {
  readonly id: string
  /** As sent: with Via. */
  readonly request: SipRequest
  /** The path the request went; null while it is being opened. */
  readonly flow: Flow | null
  /**
   * INVITE only: sends CANCEL as soon as a provisional answer allows it; nothing where a final one came first.
   * The INVITE's own answer still comes (487, or a 2xx that was faster); `timeout` 64*T1 later if none does.
   */
  cancel(headers?: readonly HeaderLine[]): void
}

export interface SipStack {
  /** Binds every listener. Rejects with HUB_LISTEN naming the one that failed; nothing stays bound then. */
  start(): Promise<void>
  /** Closes listeners and connections, forgets transactions (their users hear `transport`). */
  close(): Promise<void>
  readonly listening: readonly Listening[]
  readonly counts: StackCounts
  /** Connections made elsewhere (WebSockets). */
  adopt(options: AdoptOptions): AdoptedFlow
  /**
   * The stack owns `request` from here: it adds Via (branch, rport), and Max-Forwards and User-Agent if absent. Of
   * several places (from `locate`) the next is tried where one is broken, silent or 503 (RFC 3263, 4.3).
   */
  send(
    request: SipRequest,
    to: Destination | readonly [RemoteDestination, ...RemoteDestination[]],
    on: ClientHandler
  ): ClientTransaction
  /** Where a URI leads from here, best first; empty: nowhere. Rejects with HUB_DNS where nobody could say. */
  locate(uri: SipUri): Promise<readonly RemoteDestination[]>
  /** ACK to a 2xx: no transaction, so a retransmitted 2xx needs another call of this. */
  sendAck(request: SipRequest, to: Destination): void
  /** What Via would name towards there: for Contact. Null where nothing listens on that transport. */
  localAddress(transport: TransportName, remoteHost?: string): Address | null
}

export interface StackCounts {
  readonly serverTransactions: number
  readonly clientTransactions: number
  readonly connections: number
  /** Messages dropped: unparsable responses, strays, screened out, over the rate. */
  readonly dropped: number
  /** Own requests not sent because their neighbour has asked for fewer (RFC 7339). */
  readonly heldBack: number
}
