// The callee's end of a call: ringing, reliable progress, answer until its ACK, refusal, CANCEL (RFC 3261 13.3, 3262).

import { CallBase, capabilities } from './call-base.ts'
import type { CallPort } from './call-base.ts'
import type { ProgressOptions } from './call-model.ts'
import { answerWith, Dialog } from './dialog.ts'
import type { Defaults, Parts } from './dialog.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import type { ServerTransaction } from './ports.ts'
import { retransmit } from './retransmit.ts'

/** Reliable provisional answers that wait for the PRACK of an earlier one. */
const waitingMax = 8

/** A call that came in. */
export class CalleeCall extends CallBase {
  readonly role = 'uas'
  readonly invite: SipRequest
  readonly #tx: ServerTransaction
  readonly #cseq: number
  readonly #reliable: 'no' | 'supported' | 'required'
  #rseq = 0
  #outstanding: { readonly rseq: number; readonly hasSdp: boolean; stop(): void } | null = null
  #waiting: readonly (() => void)[] = []
  #negotiated = false
  #final = false

  constructor(port: CallPort, tx: ServerTransaction) {
    super(port, tx.request.headers.get('Call-ID') ?? '', tx.localTag, tx.flow, {}, 'invited')
    this.invite = tx.request
    this.#tx = tx
    this.#cseq = tx.request.headers.cseq()?.number ?? 0
    this.#reliable = has(tx.request, 'Require') ? 'required' : has(tx.request, 'Supported') ? 'supported' : 'no'
    if (tx.request.body.length > 0) this.offer = 'received'
    tx.onCancel = cancel => {
      this.#respond(487, {}, [])
      this.finish({ by: 'remote', how: 'cancelled', message: cancel })
    }
    tx.onEnd = why => {
      if (why === 'transport' && this.state === 'invited')
        this.finish({ by: 'remote', how: 'transport', message: null })
    }
  }

  ring({ status = 180, reliable = false, ...parts }: Parts & ProgressOptions = {}): boolean {
    if (this.state !== 'invited') return false
    if (reliable === true && this.#reliable === 'no') return false
    if (this.#reliable === 'required' || (reliable !== false && this.#reliable === 'supported')) {
      this.#afterPrack(() => this.#progressReliably(status, parts))
      return true
    }
    // Without reliability this is a preview: the answer stays due in the 2xx (13.2.1).
    this.#respond(status, parts, this.#contact())
    return true
  }

  answer(parts: Parts = {}): void {
    this.#afterPrack(() => this.#accept(parts))
  }

  refuse(status: number, parts: Parts = {}): void {
    if (this.state !== 'invited') return
    const response = this.#respond(status, parts, [])
    this.finish({ by: 'local', how: 'refused', message: response })
  }

  ack(): void {
    // Only a caller acknowledges.
  }

  cancel(): void {
    // Only a caller cancels.
  }

  end({ status, headers }: { readonly status?: number; readonly headers?: readonly HeaderLine[] } = {}): void {
    const parts = headers === undefined ? {} : { headers }
    if (this.state === 'invited') this.refuse(status ?? 480, parts)
    else this.bye(parts)
  }

  protected dialogWith(remoteTag: string): Dialog | null {
    return this.dialog?.remoteTag === remoteTag || this.invite.headers.tag('From') === remoteTag ? this.dialog : null
  }

  /** RFC 3262, 3: only a PRACK that names the outstanding answer is one. */
  protected pracked(tx: ServerTransaction): void {
    const [rseq, cseq, method] = (tx.request.headers.get('RAck') ?? '').split(/\s+/)
    const { request } = tx
    const outstanding = this.#outstanding
    const fits = Number(rseq) === outstanding?.rseq && Number(cseq) === this.#cseq && method?.toUpperCase() === 'INVITE'
    if (outstanding === null || !fits) {
      tx.respond(answerWith(tx.request, 481, tx.localTag, {}))
      return
    }
    outstanding.stop()
    this.#outstanding = null
    const hasSdp = request.body.length > 0
    // With SDP in both, ours was the offer where the INVITE had none; else the PRACK brings a new one.
    const answersOurs = hasSdp && this.offer === 'sent'
    if (answersOurs) {
      this.offer = 'none'
      this.#negotiated = true
    }
    if (hasSdp && !answersOurs) this.#offered(tx)
    else {
      tx.respond(answerWith(request, 200, tx.localTag, {}, []))
      this.on.pracked?.(request, null)
    }
    this.#next()
  }

  protected settle(): void {
    this.#outstanding?.stop()
    this.#outstanding = null
    this.#waiting = []
    // A BYE may be faster than any final answer (15.1.2).
    if (!this.#final) this.#respond(487, {}, [])
  }

  #offered(tx: ServerTransaction): void {
    if (this.on.pracked === undefined) {
      tx.respond(answerWith(tx.request, 488, tx.localTag, {}))
      return
    }
    this.offer = 'received'
    this.on.pracked(tx.request, (parts = {}) => {
      this.offer = 'none'
      tx.respond(answerWith(tx.request, 200, tx.localTag, parts, []))
    })
  }

  #afterPrack(run: () => void): void {
    if (this.#outstanding === null) run()
    else if (this.#waiting.length < waitingMax) this.#waiting = [...this.#waiting, run]
  }

  #next(): void {
    while (this.#outstanding === null && this.#waiting.length > 0) {
      const [first, ...rest] = this.#waiting
      this.#waiting = rest
      first?.()
    }
  }

  #progressReliably(status: number, parts: Parts): void {
    if (this.state !== 'invited') return
    const hasSdp = parts.body !== undefined && parts.body.length > 0
    if (hasSdp) this.#offerMoves()
    this.#rseq++
    const rseq = this.#rseq
    const response = this.#respond(status, parts, [['Require', '100rel'], ['RSeq', String(rseq)], ...this.#contact()])
    const stop = retransmit({
      T1: this.port.timers.T1,
      gapMsMax: Number.POSITIVE_INFINITY,
      again: () => this.#tx.respond(response),
      expired: () => {
        this.#outstanding = null
        const refusal = this.#respond(504, {}, [])
        this.finish({ by: 'remote', how: 'timeout', message: refusal })
      }
    })
    this.#outstanding = { rseq, hasSdp, stop }
  }

  /** SDP of ours answers the INVITE's offer, or is the offer itself. */
  #offerMoves(): void {
    if (this.offer === 'received') {
      this.offer = 'none'
      this.#negotiated = true
    } else if (this.offer === 'none' && !this.#negotiated) this.offer = 'sent'
  }

  #accept(parts: Parts): void {
    if (this.state !== 'invited') return
    if (parts.body !== undefined && parts.body.length > 0) this.#offerMoves()
    this.state = 'answered'
    const response = this.#respond(200, parts, this.#contact())
    this.awaitAck(this.#tx, response)
  }

  #contact(): Defaults {
    const contact = this.dialog?.localContact ?? this.port.contactFor(this.#tx.flow)
    return [['Contact', contact], ...capabilities]
  }

  #respond(status: number, parts: Parts, defaults: Defaults): SipResponse {
    const response = answerWith(this.invite, status, this.localTag, parts, defaults)
    if (status > 100 && status < 300) this.dialog ??= Dialog.uas(this.invite, response)
    this.#final = status >= 200
    this.#tx.respond(response)
    return response
  }
}

const has = (request: SipRequest, field: 'Require' | 'Supported'): boolean =>
  request.headers.all(field).some(tag => tag.toLowerCase() === '100rel')
