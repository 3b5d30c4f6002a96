// A call that a peer brought: 18x (reliable where the peer wants it), 2xx, refusal; PRACK, ACK and CANCEL in.

import type { LegFacts, Release, Sdp, Shown } from '../session/model.ts'
import { sdpOf, sdpType } from './body.ts'
import { reasonOfTold, statusOf } from './causes.ts'
import type { Received } from './control.ts'
import { allowOf, connectedFields, plainWords, refusalFields } from './headers.ts'
import type { Fields } from './headers.ts'
import { supported } from './invite.ts'
import type { Abilities, IncomingCall } from './invite.ts'
import { Leg } from './leg.ts'
import type { LegParts } from './leg.ts'
import { limits } from './limits.ts'

interface Provisional {
  readonly status: number
  readonly body: string
}

export class InboundLeg extends Leg {
  readonly #invite: Received
  readonly #abilities: Abilities
  readonly #facts: LegFacts
  /** The last early description that went out, and how. */
  #early: { readonly text: string; readonly reliable: boolean } | null = null
  /** A reliable 18x waits for its PRACK; what comes after it waits with it (RFC 3262, 3). */
  #prackWait: (() => void) | null = null
  readonly #waiting: Provisional[] = []
  #waitingAnswer: (() => void) | null = null
  #provisionals = 0
  #pracked = false
  #final = false
  #hangUp: Release | null = null

  constructor(parts: LegParts, invite: Received, call: IncomingCall) {
    super(parts)
    this.#invite = invite
    this.#abilities = call.abilities
    this.#facts = call.facts
    this.agreed(call.sdp)
    if (call.sdp === null) this.expectAnswer()
    invite.onCancel = told => {
      this.#final = true
      this.over(reasonOfTold(told, 'cancelled'))
    }
    invite.onUpdate = update => this.receive(update)
  }

  learn(): LegFacts {
    return this.#facts
  }
  protected get origIoi(): string {
    return this.#facts.origIoi ?? this.parts.hub.ioi
  }
  protected get termIoi(): string | null {
    return this.parts.hub.ioi
  }
  protected get takesInfo(): boolean {
    return this.#abilities.info
  }
  protected get mayUpdate(): boolean {
    return this.#abilities.update && this.#pracked && this.#early?.reliable === true
  }

  alert(): void {
    this.#provisional({ status: 180, body: '' }, this.#abilities.reliable === 'required')
  }

  /**
   * A preview goes out plain. To a caller that takes reliable answers only, it goes without its media: sent reliably it
   * would be the answer, and the real one may differ (RFC 6337, 2.2).
   */
  progress({ sdp, reliable }: { readonly sdp: Sdp | null; readonly reliable: boolean }): void {
    if (this.#final) return
    const { reliable: takes } = this.#abilities
    const reliably = takes === 'required' || (reliable && takes === 'supported' && sdp !== null)
    const body = sdp === null || (reliably && !reliable) ? '' : this.written(sdp)
    if (body !== '') this.#early = { text: body, reliable: reliably }
    this.#provisional({ status: 183, body }, reliably)
  }

  #provisional(one: Provisional, reliably: boolean): void {
    if (this.state !== 'early' || this.#final || ++this.#provisionals > limits.provisionalsMax) return
    if (reliably && this.#prackWait !== null) return void this.#waiting.push(one)
    const { status, body } = one
    const headers: Fields = { ...this.chargingFields(true), Allow: allowOf(this.parts.peer) }
    if (reliably) headers['Require'] = '100rel'
    if (body !== '') {
      headers['Content-Type'] = sdpType
      if (this.#abilities.earlyMedia && this.parts.peer.trusted) headers['P-Early-Media'] = 'sendrecv'
    }
    this.#invite.respond(status, { headers, body })
    if (reliably) this.#prackWait = this.after(limits.prackMs, () => this.#unpracked())
  }

  #unpracked(): void {
    this.#refuse(504)
    this.over({ cause: 'peer-failed', text: 'no PRACK' })
  }

  protected pracked(request: Received): void {
    const body = sdpOf(request.message)
    if (this.#prackWait === null) return request.respond(481)
    this.#prackWait()
    this.#prackWait = null
    this.#pracked = true
    // A second offer may come with the PRACK (RFC 3262, 5).
    if (body.ok && body.sdp !== null) this.asked(request, body.sdp)
    else request.respond(body.ok ? 200 : 415)
    const next = this.#waiting.shift()
    if (next !== undefined) return this.#provisional(next, true)
    this.#waitingAnswer?.()
    this.#waitingAnswer = null
  }

  answer({ sdp, connected }: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void {
    if (this.state !== 'early' || this.#final) return
    const early = this.#early
    // What went reliably was the answer; a preview is said again, in the one message that counts.
    const body = sdp !== null ? this.written(sdp) : early === null || early.reliable ? '' : early.text
    const send = (): void => this.#answer(body, connected)
    if (this.#prackWait === null) send()
    else this.#waitingAnswer = send
  }

  #answer(body: string, connected: Shown | null): void {
    const { peer, hub } = this.parts
    const { sessionExpires, timer } = this.#abilities
    const headers: Fields = {
      ...this.chargingFields(true),
      ...connectedFields(connected, peer, hub),
      Allow: allowOf(peer),
      Supported: supported,
      'Session-Expires': sessionExpires
    }
    if (timer) headers['Require'] = 'timer'
    if (body !== '') headers['Content-Type'] = sdpType
    this.#final = true
    this.state = 'answered'
    // The engine does not know the transaction any more: CANCEL was faster, and its word is on the way or lost.
    this.#invite.respond(200, { headers, body }, () => this.over({ cause: 'cancelled' }))
    this.after(limits.ackMs, () => this.#unacknowledged())
  }

  protected override acknowledged(request: Received): void {
    if (this.state === 'answered') this.state = 'confirmed'
    if (this.#hangUp !== null) return this.end(this.#hangUp)
    super.acknowledged(request)
  }

  #unacknowledged(): void {
    if (this.state !== 'answered') return
    const release = this.#hangUp ?? ({ cause: 'peer-failed', from: 'caller' } as const)
    this.state = 'confirmed'
    this.bye(release)
    this.over({ cause: 'peer-failed', text: 'no ACK' })
  }

  acknowledge(): void {
    // The offer of a caller is never answered by an ACK of ours.
  }

  protected endEarly(release: Release): void {
    const { peer } = this.parts
    this.#refuse(statusOf(release), refusalFields(release, peer), plainWords(release))
    this.close()
  }

  /** No BYE before the ACK (RFC 3261, 15). */
  protected endAnswered(release: Release): void {
    this.#hangUp ??= release
  }

  #refuse(status: number, headers: Fields = {}, words: string | null = null): void {
    if (this.#final) return
    this.#final = true
    this.#invite.respond(status, { headers: { ...this.chargingFields(true), ...headers }, reason: words ?? undefined })
  }

  protected override close(): void {
    this.#refuse(487)
    super.close()
  }
}
