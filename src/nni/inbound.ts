// A call that a peer brought: 18x (reliable where the peer wants it), 2xx, refusal; PRACK, ACK and CANCEL in.

import { isAlternativeService } from '../session/emergency.ts'
import type { LegFacts, Release, Sdp, Shown } from '../session/model.ts'
import { alternativeService, alternativeServiceType } from '../sip/alternative-service.ts'
import { carriedFields, carriedValue, newBack } from './crossing.ts'
import type { Crossing } from './crossing.ts'
import { sdpOf, sdpType } from './body.ts'
import { reasonOfTold, statusOf } from './causes.ts'
import type { Received } from './control.ts'
import { allowOf, connectedFields, plainWords, refusalFields } from './headers.ts'
import type { Fields } from './headers.ts'
import { supportedBy } from './invite.ts'
import type { Abilities, IncomingCall } from './invite.ts'
import { Leg } from './leg.ts'
import type { LegParts } from './leg.ts'
import { limits } from './limits.ts'

export class InboundLeg extends Leg {
  /** Until the ACK: nothing answers it any more, and with it goes the whole text of the request. */
  #invite: Received | null
  readonly #abilities: Abilities
  readonly #facts: LegFacts
  /** For the leg that the call goes out by, if that is one of this border, and what that brings back. */
  readonly crossing: Crossing
  /** The last early description that went out, and how. */
  #early: { readonly text: string; readonly reliable: boolean } | null = null
  #provisionals = 0
  #pracked = false
  #final = false
  #hangUp: Release | null = null

  constructor(parts: LegParts, invite: Received, call: IncomingCall) {
    super(parts)
    this.#invite = invite
    this.#abilities = call.abilities
    this.#facts = call.facts
    this.crossing = { ...call.crossing, back: newBack() }
    this.reserves(call.abilities.preconditions)
    this.agreed(call.sdp)
    if (call.sdp === null) this.expectAnswer()
    invite.onCancel = told => {
      this.#final = true
      this.over(reasonOfTold(told, 'cancelled'))
    }
    invite.onUpdate = update => this.receive(update)
  }

  protected get originator(): string | null {
    return this.#facts.origIoi
  }
  protected get transit(): readonly string[] {
    return this.crossing.back.transit
  }
  protected get sessionId(): string | null {
    return carriedValue(this.crossing.back.carried, 'Session-ID')
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
    this.#provisional(180, '', this.#abilities.reliable === 'required')
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
    this.#provisional(183, body, reliably)
  }

  /** What must wait for a PRACK, and the end of a call that never gets it, is the engine's (protocol, 8.2). */
  #provisional(status: number, body: string, reliably: boolean): void {
    if (this.state !== 'early' || this.#final || ++this.#provisionals > limits.provisionalsMax) return
    const headers = this.#fields()
    headers['Allow'] = allowOf(this.parts.peer)
    if (reliably) headers['Require'] = '100rel'
    if (body !== '') {
      headers['Content-Type'] = sdpType
      const { told } = this.parts.peer
      if (this.#abilities.earlyMedia && told.has('P-Early-Media')) headers['P-Early-Media'] = 'sendrecv'
      if (this.preconditioned) headers['Require'] = reliably ? '100rel, precondition' : 'precondition'
    }
    this.#invite?.respond(status, { headers, body })
  }

  protected pracked(request: Received): void {
    const body = sdpOf(request.message)
    this.#pracked = true
    // A second offer may come with the PRACK (RFC 3262, 5).
    if (body.ok && body.sdp !== null) this.asked(request, body.sdp)
    else request.respond(body.ok ? 200 : 415)
  }

  answer({ sdp, connected }: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void {
    if (this.state !== 'early' || this.#final) return
    const early = this.#early
    // What went reliably was the answer; a preview is said again, in the one message that counts.
    const body = sdp !== null ? this.written(sdp) : early === null || early.reliable ? '' : early.text
    const { peer, hub } = this.parts
    const { sessionExpires, timer } = this.#abilities
    const headers = connectedFields(connected, peer, hub, this.#fields())
    headers['Allow'] = allowOf(peer)
    headers['Supported'] = supportedBy(peer)
    headers['Session-Expires'] = sessionExpires
    const met = this.preconditioned && body !== ''
    if (timer || met) headers['Require'] = met ? (timer ? 'timer, precondition' : 'precondition') : 'timer'
    if (body !== '') headers['Content-Type'] = sdpType
    this.#final = true
    this.state = 'answered'
    // The engine does not know the transaction any more: CANCEL was faster, and its word is on the way or lost.
    this.#invite?.respond(200, { headers, body }, () => this.over({ cause: 'cancelled' }))
  }

  protected override acknowledged(request: Received): void {
    if (this.state === 'answered') this.state = 'confirmed'
    if (this.#final) this.#invite = null
    if (this.#hangUp !== null) return this.end(this.#hangUp)
    super.acknowledged(request)
  }

  acknowledge(): void {
    // The offer of a caller is never answered by an ACK of ours.
  }

  protected endEarly(release: Release): void {
    const { peer } = this.parts
    const fields = refusalFields(release, peer)
    if (isAlternativeService(release)) {
      const type = { 'Content-Type': alternativeServiceType }
      this.#refuse(statusOf(release), { ...fields, ...type }, null, alternativeService(release.text ?? ''))
    } else this.#refuse(statusOf(release), fields, plainWords(release))
    this.close()
  }

  /** No BYE before the ACK (RFC 3261, 15); without one the engine ends the dialog by itself. */
  protected endAnswered(release: Release): void {
    this.#hangUp ??= release
  }

  #refuse(status: number, headers: Fields = {}, words: string | null = null, body = ''): void {
    if (this.#final) return
    this.#final = true
    this.#invite?.respond(status, { headers: { ...this.#fields(), ...headers }, reason: words ?? undefined, body })
  }

  /** Of every answer to the INVITE: what the called side's network has sent along as well. */
  #fields(): Fields {
    return this.commonFields(true, carriedFields(this.crossing.back.carried, this.parts.peer, false))
  }

  protected override close(): void {
    this.#refuse(487)
    super.close()
  }
}
