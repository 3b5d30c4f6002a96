// What both ends of a call share: the confirmed dialog, requests inside it, re-offers both ways, glare, the end.

import type { CallEnd, CallHandler, CallState, ReofferResult, RequestResult, SipCall } from './call-model.ts'
import { IncomingReoffer } from './call-reoffer.ts'
import { answerWith, routeOf } from './dialog.ts'
import type { Defaults, Dialog, Parts } from './dialog.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import type { ClientTransaction, ServerTransaction, SipStack, SipTimers } from './ports.ts'
import { retransmit } from './retransmit.ts'
import { isReliable } from './transport/transport.ts'
import type { Destination, Flow } from './transport/transport.ts'

/** What a call needs of its user agent. */
export interface CallPort {
  readonly stack: SipStack
  readonly timers: SipTimers
  readonly ringingMs: number
  readonly forksMax: number
  /** Runs the user's code; what it throws is logged. */
  guard(run: () => void): void
  /** Sends a BYE; whatever becomes of it, the call is over. */
  leave(bye: SipRequest, to: Destination): void
  /** Contact for answers on this path. */
  contactFor(flow: Flow): string
  /** The call is over; `lingering`: late copies may still come, so it stays reachable for 64*T1. */
  over(call: CallBase, lingering: boolean): void
}

export const methods = 'INVITE ACK CANCEL BYE PRACK UPDATE INFO MESSAGE OPTIONS REFER NOTIFY'.split(' ')
const allow = methods.join(', ')
export const capabilities: Defaults = [
  ['Allow', allow],
  ['Supported', '100rel']
]
const nothing: Parts = {}

/** Longest to shortest wait before a crossing re-offer may be tried again (RFC 3261, 14.1). */
export const glareMs = (ownsCallId: boolean, chance: number): number =>
  ownsCallId ? 2_100 + Math.floor(chance * 190) * 10 : Math.floor(chance * 200) * 10

/** What was last offered and not answered, and by whom. */
export type Offer = 'none' | 'sent' | 'received'

interface SentAck {
  readonly cseq: number
  readonly ack: SipRequest
}

/** The common half of SipCall. */
export abstract class CallBase implements SipCall {
  abstract readonly role: 'uac' | 'uas'
  readonly id: string
  readonly localTag: string
  state: CallState
  on: CallHandler
  flow: Flow | null
  dialog: Dialog | null = null
  protected readonly port: CallPort
  protected offer: Offer = 'none'
  /** Our own re-INVITE or UPDATE that waits for its answer. */
  #sent: { readonly method: 'INVITE' | 'UPDATE'; readonly result: ReofferResult; readonly hasSdp: boolean } | null =
    null
  #received: IncomingReoffer | null = null
  /** Stops retransmitting our 2xx; set until the ACK with that CSeq. */
  #unacknowledged: { readonly cseq: number; stop(): void } | null = null
  /** For 2xx that come again: the ACKs of the last INVITEs. */
  #acks: readonly SentAck[] = []
  #byeAfterAck: Parts | null = null

  constructor(port: CallPort, id: string, localTag: string, flow: Flow | null, on: CallHandler, state: CallState) {
    this.port = port
    this.id = id
    this.localTag = localTag
    this.flow = flow
    this.on = on
    this.state = state
  }

  abstract readonly invite: SipRequest
  abstract ring(parts?: Parts): boolean
  abstract answer(parts?: Parts): void
  abstract refuse(status: number, parts?: Parts): void
  abstract ack(parts?: Parts): void
  abstract cancel(headers?: readonly HeaderLine[]): void
  abstract end(options?: { readonly status?: number; readonly headers?: readonly HeaderLine[] }): void
  /** The early or confirmed dialog with that remote tag. */
  protected abstract dialogWith(remoteTag: string): Dialog | null
  /** PRACK: only the callee's. */
  protected abstract pracked(tx: ServerTransaction): void
  /** What must stop when the call ends. */
  protected abstract settle(): void

  /** A request inside one of this call's dialogs; it has its transaction. */
  receive(tx: ServerTransaction, remoteTag: string): void {
    const dialog = this.dialogWith(remoteTag)
    const { method } = tx.request
    if (dialog === null || (this.state === 'ended' && method !== 'PRACK')) this.#answer(tx, 481)
    else if (dialog.receive(tx.request) === 'out-of-order') this.#answer(tx, 500)
    else {
      this.flow = tx.flow
      if (method === 'BYE') this.#byeReceived(tx)
      else if (method === 'PRACK') this.pracked(tx)
      else if (method === 'INVITE' || method === 'UPDATE') this.#reofferReceived(tx, dialog, method)
      else if (this.on.requested !== undefined) this.on.requested(tx)
      else this.#answer(tx, method === 'INFO' || method === 'OPTIONS' ? 200 : 405)
    }
  }

  acknowledged(ack: SipRequest, flow: Flow): void {
    const cseq = ack.headers.cseq()?.number
    if (this.#unacknowledged === null || this.#unacknowledged.cseq !== cseq) return
    this.#unacknowledged.stop()
    this.#unacknowledged = null
    this.offer = 'none'
    if (this.#byeAfterAck !== null) {
      this.#sendBye(this.#byeAfterAck)
      this.port.over(this, false)
      return
    }
    if (this.state === 'ended') return
    this.flow = flow
    if (this.state === 'answered') this.state = 'confirmed'
    this.on.acknowledged?.(ack)
  }

  /** A 2xx again: its ACK again. False where no ACK of this dialog fits. */
  acknowledgeAgain(response: SipResponse, dialogId: string): boolean {
    const cseq = response.headers.cseq()?.number
    const sent = this.dialog?.id === dialogId ? this.#acks.find(sent => sent.cseq === cseq) : undefined
    if (sent === undefined || this.dialog === null) return false
    this.port.stack.sendAck(sent.ack, this.routeTo(this.dialog))
    return true
  }

  reinvite(parts: Parts, result: ReofferResult): void {
    const { dialog } = this
    const busy = this.#sent !== null || this.#received !== null || this.offer !== 'none'
    if (dialog === null || this.state !== 'confirmed' || busy) {
      queueMicrotask(() => result.refused(null))
      return
    }
    const hasSdp = parts.body !== undefined && parts.body.length > 0
    this.#sent = { method: 'INVITE', result, hasSdp }
    if (hasSdp) this.offer = 'sent'
    const request = dialog.request('INVITE', parts, capabilities)
    const tx: ClientTransaction = this.port.stack.send(request, this.routeTo(dialog), {
      response: response => this.#reofferAnswered(response, dialog, result, request),
      failed: why => this.#reofferLost(result, why)
    })
    const patience = setTimeout(() => tx.cancel(), this.port.ringingMs).unref()
    this.#patience = (): void => clearTimeout(patience)
  }
  #patience: (() => void) | null = null

  update(parts: Parts, result: ReofferResult): void {
    const { dialog } = this
    const hasSdp = parts.body !== undefined && parts.body.length > 0
    const busy = this.#sent !== null || (hasSdp && (this.offer !== 'none' || this.#received !== null))
    if (dialog === null || this.state === 'ended' || busy) {
      queueMicrotask(() => result.refused(null))
      return
    }
    this.#sent = { method: 'UPDATE', result, hasSdp }
    if (hasSdp) this.offer = 'sent'
    const request = dialog.request('UPDATE', parts, capabilities)
    this.port.stack.send(request, this.routeTo(dialog), {
      response: response => this.#reofferAnswered(response, dialog, result, request),
      failed: why => this.#reofferLost(result, why)
    })
  }

  request(method: string, parts: Parts, result?: RequestResult): void {
    const { dialog } = this
    if (dialog === null || this.state === 'ended') {
      queueMicrotask(() => result?.failed('transport'))
      return
    }
    this.sendInside(dialog, dialog.request(method, parts), result)
  }

  bye(parts: Parts = nothing): void {
    if (this.state === 'ended') return
    if (this.dialog === null || this.state === 'inviting' || this.state === 'invited') {
      this.end(parts.headers === undefined ? {} : { headers: parts.headers })
      return
    }
    // 15: the callee waits for the ACK, or for the time in which it must come.
    const waits = this.role === 'uas' && this.state === 'answered' && this.#unacknowledged !== null
    if (this.role === 'uac' && this.state === 'answered') this.ack()
    if (waits) this.#byeAfterAck = parts
    else this.#sendBye(parts)
    this.finish({ by: 'local', how: 'bye', message: null }, waits)
  }

  /** Sends a request of a dialog and lets its fate be the call's where the peer has forgotten the dialog (RFC 5057). */
  protected sendInside(dialog: Dialog, request: SipRequest, result?: RequestResult): void {
    this.port.stack.send(request, this.routeTo(dialog), {
      response: response => {
        if (response.status < 200) return
        result?.final(response)
        this.#dies(response)
      },
      failed: why => {
        result?.failed(why)
        this.#lost(why)
      }
    })
  }

  protected routeTo(dialog: Dialog): Destination {
    return this.flow === null
      ? (dialog.nextHop() ?? { transport: 'udp', host: '127.0.0.1', port: 9 })
      : routeOf(dialog, this.flow)
  }

  /** Sends the ACK of a 2xx and keeps it for copies of that 2xx. */
  protected sendAck(dialog: Dialog, cseq: number, parts: Parts = nothing): void {
    const ack = dialog.ack(cseq, parts)
    this.#acks = [...this.#acks.slice(-1), { cseq, ack }]
    this.port.stack.sendAck(ack, this.routeTo(dialog))
  }

  /** A 2xx of ours: on UDP again until the ACK; without one the call ends by BYE after 64*T1. */
  protected awaitAck(tx: ServerTransaction, response: SipResponse): void {
    const { T1, T2 } = this.port.timers
    const again = isReliable(tx.flow.transport) ? (): void => undefined : (): void => tx.respond(response)
    const expired = (): void => {
      this.#unacknowledged = null
      this.#sendBye(this.#byeAfterAck ?? nothing)
      if (this.state === 'ended') this.port.over(this, false)
      else this.finish({ by: 'remote', how: 'timeout', message: null })
    }
    const stop = retransmit({ T1, gapMsMax: T2, again, expired })
    this.#unacknowledged = { cseq: tx.request.headers.cseq()?.number ?? 0, stop }
  }

  /** Tells the end, once. */
  protected finish(end: CallEnd, lingering = false): void {
    if (this.state === 'ended') return
    const wasAnswered = this.state === 'answered' || this.state === 'confirmed'
    this.state = 'ended'
    this.settle()
    if (this.#byeAfterAck === null) {
      this.#unacknowledged?.stop()
      this.#unacknowledged = null
    }
    this.#received?.withdraw()
    this.#received = null
    const sent = this.#sent
    this.#sent = null
    this.#patience?.()
    this.port.over(this, lingering || (wasAnswered && this.role === 'uac'))
    sent?.result.refused(null)
    // Also called by timers, where nothing above would catch what the user's code throws.
    this.port.guard(() => this.on.ended?.(end))
  }

  #answer(tx: ServerTransaction, status: number, defaults: Defaults = []): void {
    tx.respond(answerWith(tx.request, status, tx.localTag, nothing, status === 405 ? [['Allow', allow]] : defaults))
  }

  #byeReceived(tx: ServerTransaction): void {
    this.#answer(tx, 200)
    this.finish({ by: 'remote', how: 'bye', message: tx.request })
  }

  #sendBye(parts: Parts): void {
    const { dialog } = this
    if (dialog === null) return
    this.port.leave(dialog.request('BYE', parts), this.routeTo(dialog))
  }

  /** Glare: RFC 3261 14.2 for INVITE, RFC 3311 5.2 for UPDATE. */
  #reofferReceived(tx: ServerTransaction, dialog: Dialog, method: 'INVITE' | 'UPDATE'): void {
    const hasSdp = tx.request.body.length > 0
    const later: Defaults = [['Retry-After', String(Math.floor(Math.random() * 10))]]
    const offers = method === 'INVITE' || hasSdp
    if (this.#received !== null && offers) this.#answer(tx, 500, later)
    else if (offers && (this.offer === 'sent' || (method === 'INVITE' && this.#sent !== null))) this.#answer(tx, 491)
    else if (method === 'INVITE' && this.state === 'inviting') this.#answer(tx, 491)
    else if (offers && (this.offer === 'received' || (method === 'INVITE' && this.state === 'invited'))) {
      this.#answer(tx, 500, later)
    } else this.#handReoffer(tx, dialog, method, hasSdp)
  }

  #handReoffer(tx: ServerTransaction, dialog: Dialog, method: 'INVITE' | 'UPDATE', hasSdp: boolean): void {
    const answered = (response: SipResponse): void => {
      this.#received = null
      if (response.status >= 300) return
      dialog.refresh(tx.request)
      if (method === 'UPDATE') return
      if (!hasSdp) this.offer = 'sent'
      this.awaitAck(tx, response)
    }
    const contact: Defaults = [['Contact', dialog.localContact ?? this.port.contactFor(tx.flow)], ...capabilities]
    const reoffer = new IncomingReoffer(tx, method, hasSdp, contact, answered)
    if (this.on.reoffered === undefined) {
      // A refresh of target or session timer changes no media.
      if (hasSdp || method === 'INVITE') reoffer.refuse(488)
      else reoffer.answer()
      return
    }
    this.#received = reoffer
    tx.onCancel = () => {
      if (!reoffer.open) return
      reoffer.withdraw()
      this.#received = null
      if (this.state !== 'ended') this.on.withdrawn?.(reoffer)
    }
    this.on.reoffered(reoffer)
  }

  #reofferAnswered(response: SipResponse, dialog: Dialog, result: ReofferResult, request: SipRequest): void {
    if (response.status < 200) return
    const sent = this.#sent?.result === result ? this.#sent : null
    this.#reofferOver(result)
    const invite = request.method === 'INVITE'
    const cseq = request.headers.cseq()?.number ?? 0
    if (response.status >= 300) {
      if (sent !== null) result.refused(response)
      this.#dies(response)
      return
    }
    dialog.refresh(response)
    const wantsAnswer = invite && request.body.length === 0 && response.body.length > 0
    if (sent === null || !wantsAnswer) {
      if (invite) this.sendAck(dialog, cseq)
      if (sent !== null) result.answered(response, null)
      return
    }
    this.offer = 'received'
    let open = true
    result.answered(response, parts => {
      if (!open) return
      open = false
      this.offer = 'none'
      this.sendAck(dialog, cseq, parts)
    })
  }

  #reofferLost(result: ReofferResult, why: 'timeout' | 'transport'): void {
    const waiting = this.#sent?.result === result
    this.#reofferOver(result)
    if (waiting) result.refused(null)
    this.#lost(why)
  }

  #reofferOver(result: ReofferResult): void {
    if (this.#sent?.result !== result) return
    this.#sent = null
    this.offer = 'none'
    this.#patience?.()
    this.#patience = null
  }

  #dies(response: SipResponse): void {
    if (this.state === 'inviting' || this.state === 'invited') return
    if (response.status === 481) this.finish({ by: 'remote', how: 'gone', message: response })
    else if (response.status === 408) this.#lost('timeout', response)
  }

  /** Nobody answers inside the dialog: whoever may still be there is told (12.2.1.2). */
  #lost(why: 'timeout' | 'transport', message: SipResponse | null = null): void {
    if (this.state === 'ended') return
    const answered = this.state === 'answered' || this.state === 'confirmed'
    if (!answered) return
    this.#sendBye(nothing)
    this.finish({ by: 'remote', how: why, message })
  }
}
