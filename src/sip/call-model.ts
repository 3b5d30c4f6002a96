// SipCall: the INVITE usage of a dialog for user agents on a stack (RFC 3261 13 to 15, 3262, 3311). Types only.

import type { Dialog, Parts } from './dialog.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import type { ServerTransaction, SipStack, StackOptions } from './ports.ts'
import type { Destination, Flow } from './transport/transport.ts'
import type { Supports } from './validate.ts'

/** `inviting`, `invited`: no final answer yet. `answered`: 2xx in or out, no ACK yet. `confirmed`: ACK sent or in. */
export type CallState = 'inviting' | 'invited' | 'answered' | 'confirmed' | 'ended'

/**
 * How a call ended, told once.
 *  refused     final answer 300 to 699 to the first INVITE (`message` is it, sent or received)
 *  cancelled   CANCEL in (`message`), or cancelled here and answered 487
 *  bye         BYE in (`message`) or out
 *  timeout     no answer within timer B, no 487 after CANCEL, no ACK, no PRACK, no answer to a request inside (408)
 *  gone        481 to a request inside the dialog (`message`)
 *  transport   the path is broken
 */
export interface CallEnd {
  readonly by: 'local' | 'remote'
  readonly how: 'refused' | 'cancelled' | 'bye' | 'timeout' | 'gone' | 'transport'
  readonly message: SipRequest | SipResponse | null
}

/** A provisional answer of the callee, seen by the caller. */
export interface Provisional {
  readonly response: SipResponse
  /** The early dialog's To tag; forks differ in it. Null in a 1xx without a tag. */
  readonly tag: string | null
  readonly reliable: boolean
  /**
   * Acknowledges a reliable one; with SDP where it brought an offer. Sent by itself when the handler returns, unless
   * the call was placed with `delayPrack`, or the answer brought an offer that needs an answer. Once; else no effect.
   */
  prack(parts?: Parts): void
}

/** A re-INVITE or UPDATE that came in; answer it now or later, once. */
export interface Reoffer {
  readonly method: 'INVITE' | 'UPDATE'
  readonly request: SipRequest
  /** Without SDP, an INVITE wants the offer from here; the ACK brings the answer (`acknowledged`). */
  readonly hasSdp: boolean
  /** False once answered, withdrawn (CANCEL) or the call has ended. */
  readonly open: boolean
  answer(parts?: Parts): void
  refuse(status: number, parts?: Parts): void
}

/** What became of a re-INVITE or UPDATE sent from here. */
export interface ReofferResult {
  /** `ack` is null unless the 2xx carries an offer (INVITE without SDP): then call it with the answer, once. */
  answered(response: SipResponse, ack: ((parts?: Parts) => void) | null): void
  /** The call lives on (a 481 or 408 ends it as well). Null: glare here, or the call ended, or no answer came. */
  refused(response: SipResponse | null): void
}

export interface RequestResult {
  final(response: SipResponse): void
  failed(why: 'timeout' | 'transport'): void
}

/** What a call tells its user. None of these may throw. */
export interface CallHandler {
  /** UAC: 101 to 199. */
  provisional?(provisional: Provisional): void
  /** UAC: the first 2xx. `needsAnswer`: it carries the offer, so `call.ack` must be called; else ACK goes by itself. */
  answered?(response: SipResponse, needsAnswer: boolean): void
  /** UAS: ACK to the 2xx, or to the 2xx of a re-INVITE. */
  acknowledged?(ack: SipRequest): void
  /** UAS: PRACK in; answered 200 by itself, or with SDP by the user where it carries an offer. */
  pracked?(prack: SipRequest, answer: ((parts?: Parts) => void) | null): void
  /** Missing: refused with 488. */
  reoffered?(reoffer: Reoffer): void
  /** The peer withdrew its re-INVITE. */
  withdrawn?(reoffer: Reoffer): void
  /** INFO, MESSAGE, OPTIONS, REFER, NOTIFY ... inside the dialog. Missing: INFO and OPTIONS 200, others 405. */
  requested?(tx: ServerTransaction): void
  ended?(end: CallEnd): void
}

export interface SipCall {
  /** The Call-ID. */
  readonly id: string
  readonly role: 'uac' | 'uas'
  readonly state: CallState
  /** The first INVITE, as sent or received. */
  readonly invite: SipRequest
  /** The path of the first INVITE, then that of the last message of the peer. */
  readonly flow: Flow | null
  /** Null until a 1xx with a tag or a 2xx; the caller's is that of the 2xx once there is one. */
  readonly dialog: Dialog | null
  on: CallHandler

  /** UAS. 180 unless `status` says otherwise. False where `reliable` was asked and the peer has no 100rel. */
  ring(parts?: Parts & ProgressOptions): boolean
  /** UAS: 2xx; retransmitted until the ACK. Waits for the PRACK of an outstanding reliable 18x. */
  answer(parts?: Parts): void
  /** UAS: 300 to 699. */
  refuse(status: number, parts?: Parts): void
  /** UAC: the answer to an offer in the 2xx. */
  ack(parts?: Parts): void
  /** UAC: gives up; a 2xx that was faster is acknowledged and ended by BYE. `headers`: Reason. */
  cancel(headers?: readonly HeaderLine[]): void

  reinvite(parts: Parts, result: ReofferResult): void
  update(parts: Parts, result: ReofferResult): void
  /** INFO, MESSAGE, REFER and others. */
  request(method: string, parts: Parts, result?: RequestResult): void
  bye(parts?: Parts): void
  /** Whatever ends it now: CANCEL, refusal with `status` (480 unless named), or BYE. Nothing once it has ended. */
  end(options?: { readonly status?: number; readonly headers?: readonly HeaderLine[] }): void
}

export interface ProgressOptions {
  readonly status?: number
  /** RFC 3262: Require 100rel and RSeq, retransmitted until PRACK. `if-supported`: plain where the peer lacks it. */
  readonly reliable?: boolean | 'if-supported'
}

export interface PlaceOptions extends Parts {
  /** Request-URI. */
  readonly uri: string
  readonly to: Destination
  /** Whole header values, tag aside: `"Alice" <sip:alice@example.org>`. `To` is the URI unless given. */
  readonly from: string
  readonly toHeader?: string
  /** `<sip:...>`; made from the listener towards `to` unless given. */
  readonly contact?: string
  readonly callId?: string
  /** Supported: 100rel is always there; `require` makes reliable provisional answers a condition. */
  readonly requireReliable?: boolean
  /** The user calls `provisional.prack` itself. */
  readonly delayPrack?: boolean
  readonly on: CallHandler
}

export const callLimits = {
  /** Live calls of one user agent; more INVITEs are answered 503. */
  callsMax: 20_000,
  /** An INVITE with provisional answers but no final one is cancelled after this (timer C, more than 3 minutes). */
  ringingMs: 200_000,
  /** How long closing waits for the answers to its BYEs. */
  closingMs: 1_000,
  /** Early dialogs of one INVITE that are followed; 1xx of more are ignored. */
  forksMax: 16
} as const
export type CallLimits = { readonly [name in keyof typeof callLimits]: number }

export interface UserAgentOptions extends Omit<StackOptions, 'handler' | 'limits'> {
  readonly limits?: Partial<CallLimits> & StackOptions['limits']
  /** What requests may ask for (8.2): the methods of calls, 100rel and timer, any body, unless said otherwise. */
  readonly supports?: Partial<Supports>
  /** The user part of Contact in answers, unless the answer brings its own Contact. */
  readonly contactUser?: string
  /** A new call; set `call.on` before returning. 100 goes out by itself. Missing: 480. */
  incoming?(call: SipCall): void
  /** Any other request outside a dialog: REGISTER, OPTIONS, MESSAGE ... Missing: 405. */
  requested?(tx: ServerTransaction): void
}

/** A stack with calls on it: every message inside a call's dialogs goes to that call. */
export interface UserAgent {
  readonly stack: SipStack
  readonly calls: number
  place(options: PlaceOptions): SipCall
  start(): Promise<void>
  /** Ends live calls (BYE, CANCEL, 503), waits for the answers to its BYEs within a bound, then closes the stack. */
  close(): Promise<void>
}
