// Dialogs (RFC 3261, section 12): route sets, CSeq rules, target refresh, requests inside them.

import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import type { Flow, RemoteDestination } from './transport/transport.ts'

/** What a user adds to a message; headers replace the stack's own of the same name (Via, From, To, ... excepted). */
export interface Parts {
  readonly headers?: readonly HeaderLine[]
  readonly body?: string | Buffer
  /** `application/sdp` unless named. */
  readonly contentType?: string
  /** In a response: the phrase; else the registry's. */
  readonly reason?: string
}

export declare class Dialog {
  /** From the request received and the response sent to it (1xx with tag, or 2xx). */
  static uas(request: SipRequest, response: SipResponse): Dialog
  /** From the request sent and the response received to it. */
  static uac(request: SipRequest, response: SipResponse): Dialog
  /** Call-ID, local and remote tag, as `dialogId` joins them. */
  readonly id: string
  readonly callId: string
  readonly localTag: string
  readonly remoteTag: string
  /** From or To as it stands in requests sent here, tag included. */
  readonly local: string
  readonly remote: string
  readonly routeSet: readonly string[]
  readonly remoteTarget: string
  readonly localContact: string | null
  readonly localCseq: number
  readonly remoteCseq: number | null
  /** The next request of this dialog (CSeq + 1), Contact included where the method refreshes the target. */
  request(method: string, parts?: Parts): SipRequest
  /** ACK to the 2xx of the INVITE with that CSeq number. */
  ack(cseq: number, parts?: Parts): SipRequest
  /** Takes the request's CSeq; `out-of-order` is answered 500 (12.2.2). ACK and CANCEL count as their INVITE. */
  receive(request: SipRequest): 'ok' | 'out-of-order'
  /** Target refresh from the Contact of a refreshing request or its 2xx; anything unusable is ignored. */
  refresh(message: SipRequest | SipResponse): void
  /** UAC: the 2xx replaces the early dialog's route set and target (13.2.2.4). */
  confirm(response: SipResponse): void
  /** Where requests of this dialog go: first route or remote target. Null: no SIP URI with a host (tel, urn). */
  nextHop(): RemoteDestination | null
}

/** The id of the dialog a message belongs to, from the receiver's point of view (requests in, responses in). */
export declare function dialogIdOf(message: SipRequest | SipResponse): string
/** Where a SIP URI points (RFC 3263 without SRV): host, port, transport parameter, sips as TLS. Null for other schemes. */
export declare function destinationOf(uri: string): RemoteDestination | null
/** A WebSocket has no other way than itself; a UDP or TCP peer is where its dialog says. */
export declare function routeOf(dialog: Dialog, flow: Flow): { readonly flow: Flow } | RemoteDestination
