// A call out of an island: its user's INVITE, from authentication on.

import { alternativeServiceStatus, isAlternativeService, isEmergency } from '../../session/emergency.ts'
import type { LegFacts, Reason, Refusal, Release, Sdp, Service, Shown, Tone } from '../../session/model.ts'
import { alternativeService, alternativeServiceType } from '../../sip/alternative-service.ts'
import type { CallEnd, CallHandler, SipCall } from '../../sip/call.ts'
import { locationIn } from '../../sip/location.ts'
import { line } from './answer.ts'
import { reasonLines, statusOf, textOf } from './causes.ts'
import type { Connection, Passenger } from './connection.ts'
import { assertedLine, partyOf } from './identity.ts'
import type { Account } from './identity.ts'
import { allowed, connectionLost, factsOf, InCall, reasonOfEnd } from './in-call.ts'
import type { Leg, LegParts } from './leg.ts'

/** Whether the peer said that it can acknowledge provisional answers (RFC 3262). */
function takesReliable({ invite: { headers } }: SipCall): boolean {
  return [...headers.all('Supported'), ...headers.all('Require')].some(tag => tag.trim().toLowerCase() === '100rel')
}

/** Video where the offer has a video stream that is not switched off. */
export const serviceOf = (sdp: Sdp | null): Service =>
  sdp !== null && /^m=video (?!0[ /])/m.test(sdp) ? 'video' : 'voice'

export class CallerLeg implements Leg, Passenger {
  readonly #parts: LegParts
  readonly #call: SipCall
  readonly #connection: Connection
  readonly #inCall: InCall
  /** The last early SDP that went out plainly: the 2xx must repeat it (RFC 3261, 13.2.1). */
  #early: Sdp | null = null
  #over = false
  #confirmed = false

  constructor(call: SipCall, connection: Connection, parts: LegParts) {
    this.#call = call
    this.#connection = connection
    this.#parts = parts
    this.#inCall = new InCall(call, parts)
    connection.calls.add(this)
    call.on = this.#handler()
  }

  /** Hands the call to the core. */
  offer(account: Account, called: string, sdp: Sdp | null): void {
    const { leg, inbox } = this.#parts
    const { island } = account
    inbox.offered({
      leg,
      caller: {
        access: 'sip-ws',
        peerId: island.id,
        party: partyOf(account, this.#call.invite.headers),
        media: island.media
      },
      called,
      service: serviceOf(sdp),
      sdp,
      charging: null,
      facts: this.#facts(called)
    })
  }

  alert(): void {
    if (this.#call.state === 'invited') this.#call.ring({ headers: [this.#parts.contact] })
  }

  progress({ sdp, reliable: wanted }: { readonly sdp: Sdp | null; readonly reliable: boolean }): void {
    if (this.#call.state !== 'invited') return
    const reliable = wanted && takesReliable(this.#call)
    if (sdp !== null) this.#early = reliable ? null : sdp
    this.#call.ring({ status: 183, reliable, headers: [this.#parts.contact], ...(sdp === null ? {} : { body: sdp }) })
  }

  answer({ sdp, connected }: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void {
    if (this.#call.state !== 'invited') return
    const { contact, hubDomain } = this.#parts
    const asserted = connected === null ? null : assertedLine(connected, hubDomain)
    const headers = [contact, line('Allow', allowed), line('Supported', '100rel')]
    const body = sdp ?? this.#early
    this.#call.answer({
      headers: asserted === null ? headers : [...headers, line('P-Asserted-Identity', asserted)],
      ...(body === null ? {} : { body })
    })
  }

  /** Only who is called brings an offer in its answer. */
  acknowledge(): void {}

  reoffer(offer: { readonly exchange: number; readonly sdp: Sdp }): void {
    this.#inCall.reoffer(offer)
  }

  answerReoffer(sdp: Sdp): void {
    this.#inCall.answerReoffer(sdp)
  }

  refuseReoffer(why: Refusal): void {
    this.#inCall.refuseReoffer(why)
  }

  sendTone(tone: Tone): void {
    this.#inCall.sendTone(tone)
  }

  end(release: Release): void {
    if (!this.#finish()) return
    if (isAlternativeService(release) && this.#call.state === 'invited') {
      const body = alternativeService(textOf(release))
      const parts = { headers: reasonLines(release), body, contentType: alternativeServiceType }
      return this.#call.refuse(alternativeServiceStatus, parts)
    }
    this.#call.end({ status: statusOf(release), headers: reasonLines(release) })
  }

  connectionLost(): void {
    this.#ended(connectionLost)
    this.#call.end()
  }

  #handler(): CallHandler {
    return {
      acknowledged: ack => {
        const first = !this.#confirmed
        this.#confirmed = true
        this.#inCall.acknowledged(ack, first)
      },
      pracked: (prack, answer) => this.#inCall.pracked(prack, answer),
      reoffered: reoffer => this.#inCall.reoffered(reoffer),
      withdrawn: reoffer => this.#inCall.withdrawn(reoffer),
      requested: tx => this.#inCall.requested(tx),
      ended: end => this.#callEnded(end)
    }
  }

  #callEnded(end: CallEnd): void {
    this.#ended(reasonOfEnd(end))
  }

  #ended(reason: Reason): void {
    if (this.#finish()) this.#parts.inbox.ended(this.#parts.leg, reason)
  }

  /** True once: whoever ends the leg first has the word. */
  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#connection.calls.delete(this)
    this.#parts.onOver()
    return true
  }

  /** Where somebody is, is kept of calls for help alone. */
  #facts(called: string): LegFacts {
    const { invite } = this.#call
    const location = isEmergency(called) ? locationIn(invite) : null
    return { ...factsOf(this.#call, this.#connection.neighbour), calledRaw: invite.uri, location }
  }
}
