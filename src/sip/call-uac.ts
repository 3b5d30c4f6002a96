// The caller's end of a call: INVITE, provisional answers, PRACK, forks, CANCEL and its races (RFC 3261 13.2, 3262).

import { CallBase } from './call-base.ts'
import type { CallPort } from './call-base.ts'
import type { PlaceOptions, Provisional } from './call-model.ts'
import { answerWith, Dialog, dialogIdOf } from './dialog.ts'
import type { Parts } from './dialog.ts'
import type { HeaderLine, SipRequest, SipResponse } from './message.ts'
import type { ClientTransaction, ServerTransaction } from './ports.ts'
import type { Flow } from './transport/transport.ts'

interface EarlyDialog {
  readonly dialog: Dialog
  /** The RSeq of the last reliable answer taken; 0: none yet. */
  rseq: number
}

/** A call placed here. */
export class CallerCall extends CallBase {
  readonly role = 'uac'
  readonly invite: SipRequest
  readonly #options: PlaceOptions
  readonly #tx: ClientTransaction
  readonly #early = new Map<string, EarlyDialog>()
  /** ACKs of further 2xx, by dialog id: those legs are ended at once. */
  readonly #extra = new Map<string, { readonly dialog: Dialog; readonly ack: SipRequest }>()
  readonly #cseq: number
  #patience: NodeJS.Timeout
  #gaveUp: 'cancelled' | 'timeout' | null = null
  /** The first INVITE's offer has its answer. */
  #negotiated = false

  constructor(port: CallPort, options: PlaceOptions, invite: SipRequest) {
    const callId = invite.headers.get('Call-ID') ?? ''
    super(port, callId, invite.headers.tag('From'), null, options.on, 'inviting')
    this.invite = invite
    this.#options = options
    this.#cseq = invite.headers.cseq()?.number ?? 1
    if (invite.body.length > 0) this.offer = 'sent'
    this.#patience = this.#wait()
    this.#tx = port.stack.send(invite, options.to, {
      response: (response, flow) => this.#response(response, flow),
      failed: why => this.finish({ by: 'remote', how: this.#gaveUp === null ? why : 'timeout', message: null })
    })
    this.flow = this.#tx.flow
  }

  ring(): boolean {
    return false
  }

  answer(): void {
    // Only a callee answers.
  }

  refuse(): void {
    // Only a callee refuses.
  }

  ack(parts: Parts = {}): void {
    if (this.state !== 'answered' || this.dialog === null) return
    this.state = 'confirmed'
    this.offer = 'none'
    this.sendAck(this.dialog, this.#cseq, parts)
  }

  cancel(headers: readonly HeaderLine[] = []): void {
    if (this.state !== 'inviting' || this.#gaveUp !== null) return
    this.#gaveUp = 'cancelled'
    this.#tx.cancel(headers)
  }

  end({ headers }: { readonly status?: number; readonly headers?: readonly HeaderLine[] } = {}): void {
    if (this.state === 'inviting') this.cancel(headers)
    else this.bye(headers === undefined ? {} : { headers })
  }

  /** A 2xx that comes again, or from another fork: acknowledged, and the fork ended. */
  stray(response: SipResponse, flow: Flow): void {
    const id = dialogIdOf(response)
    if (this.acknowledgeAgain(response, id)) return
    const extra = this.#extra.get(id)
    if (extra !== undefined) {
      this.port.stack.sendAck(extra.ack, this.#routeOf(extra.dialog, flow))
      return
    }
    if (response.headers.cseq()?.number !== this.#cseq) return
    if (this.dialog?.id === id || this.#extra.size >= this.port.forksMax) return
    const dialog = Dialog.uac(this.invite, response)
    const ack = dialog.ack(this.#cseq)
    this.#extra.set(id, { dialog, ack })
    this.port.stack.sendAck(ack, this.#routeOf(dialog, flow))
    this.port.leave(dialog.request('BYE'), this.#routeOf(dialog, flow))
  }

  protected dialogWith(remoteTag: string): Dialog | null {
    if (this.dialog?.remoteTag === remoteTag) return this.dialog
    return this.#early.get(remoteTag)?.dialog ?? null
  }

  protected pracked(tx: ServerTransaction): void {
    tx.respond(answerWith(tx.request, 481, tx.localTag, {}))
  }

  protected settle(): void {
    clearTimeout(this.#patience)
    this.#early.clear()
  }

  #routeOf(dialog: Dialog, flow: Flow): ReturnType<CallBase['routeTo']> {
    this.flow ??= flow
    return this.routeTo(dialog)
  }

  /** Timer C: begins anew with each provisional answer but 100 (16.7). */
  #wait(): NodeJS.Timeout {
    const giveUp = (): void => {
      if (this.state !== 'inviting' || this.#gaveUp !== null) return
      this.#gaveUp = 'timeout'
      this.#tx.cancel()
    }
    return setTimeout(giveUp, this.port.ringingMs).unref()
  }

  #response(response: SipResponse, flow: Flow): void {
    if (this.state !== 'inviting') return
    this.flow = flow
    const { status } = response
    if (status < 200) {
      if (status > 100) this.#provisional(response)
    } else if (status < 300) this.#accepted(response)
    else {
      const how = this.#gaveUp !== null && status === 487 ? this.#gaveUp : 'refused'
      this.finish({ by: how === 'refused' ? 'remote' : 'local', how, message: response })
    }
  }

  #provisional(response: SipResponse): void {
    clearTimeout(this.#patience)
    this.#patience = this.#wait()
    const tag = response.headers.tag('To')
    const early = this.#earlyDialog(response, tag)
    if (tag !== '' && early === null) return
    const rseq = rseqOf(response)
    if (early === null || rseq === null) {
      this.#tellProvisional({ response, tag: tag === '' ? null : tag, reliable: false, prack: () => undefined })
      return
    }
    // RFC 3262, 4: a copy, or one whose predecessor is missing, is not taken.
    if (early.rseq !== 0 && rseq !== early.rseq + 1) return
    early.rseq = rseq
    this.#reliable(response, tag, early.dialog, rseq)
  }

  #reliable(response: SipResponse, tag: string, dialog: Dialog, rseq: number): void {
    const offered = response.body.length > 0 && this.offer === 'none' && !this.#negotiated
    if (offered) this.offer = 'received'
    else if (response.body.length > 0 && this.offer === 'sent') {
      this.offer = 'none'
      this.#negotiated = true
    }
    let open = true
    const prack = (parts: Parts = {}): void => {
      if (!open || this.state !== 'inviting') return
      open = false
      if (offered && parts.body !== undefined) {
        this.offer = 'none'
        this.#negotiated = true
      }
      const request = dialog.request('PRACK', parts, [['RAck', `${rseq} ${this.#cseq} INVITE`]])
      this.sendInside(dialog, request)
    }
    this.#tellProvisional({ response, tag, reliable: true, prack })
    if (this.#options.delayPrack !== true && !offered) prack()
    else if (this.#gaveUp !== null) prack()
  }

  #tellProvisional(provisional: Provisional): void {
    if (this.#gaveUp === null) this.on.provisional?.(provisional)
  }

  #earlyDialog(response: SipResponse, tag: string): EarlyDialog | null {
    if (tag === '') return null
    const known = this.#early.get(tag)
    if (known !== undefined) {
      known.dialog.refresh(response)
      return known
    }
    if (this.#early.size >= this.port.forksMax) return null
    const early = { dialog: Dialog.uac(this.invite, response), rseq: 0 }
    this.#early.set(tag, early)
    this.dialog ??= early.dialog
    return early
  }

  #accepted(response: SipResponse): void {
    const known = this.#early.get(response.headers.tag('To'))?.dialog
    known?.confirm(response)
    const dialog = known ?? Dialog.uac(this.invite, response)
    this.dialog = dialog
    this.state = 'answered'
    clearTimeout(this.#patience)
    const needsAnswer = this.invite.body.length === 0 && !this.#negotiated && response.body.length > 0
    this.offer = needsAnswer ? 'received' : 'none'
    if (this.#gaveUp !== null) {
      // It was answered before the CANCEL came (9.1): taken, and ended.
      this.ack()
      this.port.leave(dialog.request('BYE'), this.routeTo(dialog))
      this.finish({ by: 'local', how: this.#gaveUp, message: response }, true)
      return
    }
    if (!needsAnswer) this.ack()
    this.on.answered?.(response, needsAnswer)
  }
}

/** RSeq of a reliable provisional answer, or null. */
function rseqOf(response: SipResponse): number | null {
  const required = response.headers.all('Require').some(tag => tag.toLowerCase() === '100rel')
  const rseq = Number(response.headers.get('RSeq') ?? '0')
  return required && Number.isSafeInteger(rseq) && rseq > 0 ? rseq : null
}
