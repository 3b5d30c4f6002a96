// A re-INVITE or UPDATE that came in and waits for its user.

import type { Reoffer } from './call-model.ts'
import { answerWith } from './dialog.ts'
import type { Defaults, Parts } from './dialog.ts'
import type { SipRequest, SipResponse } from './message.ts'
import type { ServerTransaction } from './ports.ts'

const nothing: Parts = {}

/** Answered once: by its user, by CANCEL, or by the end of the call. */
export class IncomingReoffer implements Reoffer {
  readonly method: 'INVITE' | 'UPDATE'
  readonly request: SipRequest
  readonly hasSdp: boolean
  open = true
  readonly #tx: ServerTransaction
  readonly #defaults: Defaults
  readonly #answered: (response: SipResponse) => void

  constructor(
    tx: ServerTransaction,
    method: 'INVITE' | 'UPDATE',
    hasSdp: boolean,
    defaults: Defaults,
    answered: (response: SipResponse) => void
  ) {
    this.#tx = tx
    this.method = method
    this.request = tx.request
    this.hasSdp = hasSdp
    this.#defaults = defaults
    this.#answered = answered
  }

  answer(parts: Parts = nothing): void {
    this.#respond(200, parts, this.#defaults)
  }

  refuse(status: number, parts: Parts = nothing): void {
    this.#respond(status, parts, [])
  }

  /** CANCEL, or the end of the call. */
  withdraw(): void {
    this.#respond(487, nothing, [])
  }

  #respond(status: number, parts: Parts, defaults: Defaults): void {
    if (!this.open) return
    this.open = false
    const response = answerWith(this.request, status, this.#tx.localTag, parts, defaults)
    this.#tx.respond(response)
    this.#answered(response)
  }
}
