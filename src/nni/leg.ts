// One leg's dialog, whichever side began it: re-offers both ways, tones, the end. It decides nothing about the call.

import { HubError } from '../errors.ts'
import type { ChargingId, LegRef, Reason, Refusal, Release, Sdp, Shown, Tone } from '../session/model.ts'
import type { Clock, Inbox } from '../session/ports.ts'
import { withBandwidth } from './bandwidth.ts'
import { isLonger, sdpOf, sdpType, sdpTypes, typeOf } from './body.ts'
import { reasonOfTold } from './causes.ts'
import { chargingFields } from './charging.ts'
import type { Answer, AnswerHandler, Control, Received } from './control.ts'
import { allowOf, dialogAllowOf, endingFields, toldIn } from './headers.ts'
import type { Fields } from './headers.ts'
import { limits } from './limits.ts'
import type { HubFace, Peer } from './peers.ts'
import { hasPreconditions, preconditionsIn, withoutPreconditions, withPreconditions } from './preconditions.ts'
import type { Preconditions } from './preconditions.ts'
import { essenceOf, firstOrigin, written } from './sdp.ts'
import type { Origin } from './sdp.ts'
import { tonesOf, toneBody, toneType } from './tones.ts'

/** What every leg is given. */
export interface LegParts {
  readonly ref: LegRef
  readonly peer: Peer
  readonly hub: HubFace
  readonly control: Control
  readonly inbox: Inbox
  readonly clock: Clock
  /** `Call-ID;from-tag=...`: the engine's name of the dialog. */
  readonly dialogId: string
  readonly charging: ChargingId
  readonly called: string
  /** Of the session descriptions that this leg sends. */
  readonly originId: string
  /** The core is done with the leg, and so is the peer: forget its names. */
  readonly forget: (leg: Leg) => void
}

/** `early`: no final answer. `answered`: a 2xx without its ACK. */
export type LegState = 'early' | 'answered' | 'confirmed' | 'ended'

/** An offer that the core has not answered. Without a request nobody waits for the answer. */
interface Asked {
  readonly request: Received | null
  readonly sdp: Sdp | null
}

const refusalStatus: Readonly<Record<Refusal, number>> = { glare: 491, unacceptable: 488, timeout: 504 }

export abstract class Leg {
  readonly parts: LegParts
  state: LegState = 'early'
  #origin: Origin
  /** The peer's media as agreed last. */
  #remote: Sdp | null = null
  #asked: Asked | null = null
  /** Our re-offer that is out. */
  #exchange: number | null = null
  /** A re-offer of ours that came before the ACK. */
  #early: { readonly exchange: number; readonly sdp: Sdp } | null = null
  /** The ACK to come brings the answer to an offer of ours. */
  #ackAnswers = false
  /** What the peer's offer wants to be reserved, and the hub's answer says; null where it says nothing. */
  #preconditions: Preconditions | null = null
  #timers: (() => void)[] = []

  constructor(parts: LegParts) {
    this.parts = parts
    this.#origin = firstOrigin(parts.originId)
  }

  abstract alert(): void
  abstract progress(early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void
  abstract answer(answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void
  abstract acknowledge(sdp: Sdp): void
  /** Ends a leg that has no dialog yet. */
  protected abstract endEarly(release: Release): void
  /** Both sides have agreed on media once, reliably, and the peer takes UPDATE (RFC 3311, 5.1). */
  protected abstract get mayUpdate(): boolean
  protected abstract pracked(request: Received): void
  protected abstract get takesInfo(): boolean

  get ref(): LegRef {
    return this.parts.ref
  }
  get ended(): boolean {
    return this.state === 'ended'
  }

  /** A request inside the dialog. */
  receive(request: Received): void {
    if (request.unsolicited) return this.#endedByEngine(request)
    if (this.ended && request.method !== 'BYE') return request.respond(481)
    switch (request.method) {
      case 'ACK':
        return this.acknowledged(request)
      case 'BYE':
        request.respond(200, { headers: this.commonFields(true) })
        return this.over(reasonOfTold(toldIn(request.message.headers.all('Reason')), 'normal'))
      case 'INVITE':
      case 'UPDATE':
        return this.#reinvited(request)
      case 'PRACK':
        return this.pracked(request)
      case 'INFO':
        return this.#informed(request)
      case 'OPTIONS':
        return request.respond(200, { headers: { Allow: allowOf(this.parts.peer), Accept: sdpTypes } })
      default:
        return request.respond(405, { headers: { Allow: dialogAllowOf(this.parts.peer) } })
    }
  }

  /** ACK missing, session expired, CANCEL after the answer: the engine has ended the dialog by itself (8.6). */
  #endedByEngine(request: Received): void {
    const text = toldIn(request.message.headers.all('Reason'))[0]?.text?.toLowerCase() ?? ''
    const cause = text.includes('expired') ? 'expired' : text.includes('cancel') ? 'cancelled' : 'peer-failed'
    this.over({ cause })
  }

  protected acknowledged(request: Received): void {
    const body = sdpOf(request.message)
    const sdp = body.ok ? body.sdp : null
    if (sdp !== null) this.#remote = sdp
    if (this.#ackAnswers) {
      this.#ackAnswers = false
      this.parts.inbox.acknowledged(this.ref, sdp)
    }
    const early = this.#early
    this.#early = null
    if (early !== null) this.reoffer(early)
  }

  #reinvited(request: Received): void {
    const body = sdpOf(request.message)
    if (!body.ok) return request.respond(415, { headers: { Accept: sdpTypes } })
    if (request.method === 'UPDATE' && body.sdp === null) return this.#respond(request, '')
    if (this.#asked !== null) return request.respond(500, { headers: { 'Retry-After': '1' } })
    if (this.#exchange !== null || (request.method === 'INVITE' && this.state !== 'confirmed'))
      return request.respond(491)
    // A session refresh changes nothing (RFC 4028, 7.4), so there is nothing to ask.
    const sdp = this.#reserved(body.sdp)
    if (
      sdp !== null &&
      this.#remote !== null &&
      essenceOf(sdp) === essenceOf(this.#remote) &&
      this.#origin.text !== ''
    ) {
      this.#remote = sdp
      return this.#respond(request, this.#again())
    }
    this.asked(request, sdp)
  }

  /** An offer without its preconditions: who has reserved what stays between the peer and the hub (MISC-02). */
  #reserved(sdp: Sdp | null): Sdp | null {
    if (sdp === null || this.parts.peer.config.preconditions === 'off' || !hasPreconditions(sdp)) return sdp
    this.#preconditions = preconditionsIn(sdp)
    return withoutPreconditions(sdp) as Sdp
  }

  protected reserves(wanted: Preconditions | null): void {
    this.#preconditions = wanted
  }
  protected get preconditioned(): boolean {
    return this.#preconditions !== null
  }

  /** What was sent last, with what has been reserved since. */
  #again(): string {
    const { text } = this.#origin
    return this.#preconditions === null ? text : this.written(withoutPreconditions(text))
  }

  /** The peer offers, or wants an offer. */
  protected asked(request: Received, sdp: Sdp | null): void {
    this.#asked = { request, sdp }
    this.parts.inbox.reoffered(this.ref, sdp)
  }

  /** The media of the peer has changed without an offer: another fork has answered. */
  protected changed(sdp: Sdp): void {
    this.#asked = { request: null, sdp }
    this.parts.inbox.reoffered(this.ref, sdp)
  }

  answerReoffer(sdp: Sdp): void {
    const asked = this.#asked
    if (asked === null || this.ended) return
    this.#asked = null
    const before = this.#remote
    if (asked.sdp === null) this.#ackAnswers = true
    else this.#remote = asked.sdp
    if (asked.request !== null) this.#respond(asked.request, this.written(sdp), () => this.#takenBack(before))
  }

  /** CANCEL was faster than the answer: what was agreed before is offered to the core again. */
  #takenBack(before: Sdp | null): void {
    this.#ackAnswers = false
    if (!this.ended && before !== null) this.changed(before)
  }

  refuseReoffer(why: Refusal): void {
    const asked = this.#asked
    this.#asked = null
    if (!this.ended) asked?.request?.respond(refusalStatus[why])
  }

  #respond(request: Received, body: string, failed?: () => void): void {
    const { headers } = request.message
    const expires = headers.get('Session-Expires')
    const fields = this.commonFields(true)
    fields['Allow'] = allowOf(this.parts.peer)
    if (expires !== undefined) {
      fields['Session-Expires'] = /refresher/i.test(expires) ? expires : `${expires};refresher=uac`
      fields['Require'] = 'timer'
    }
    if (body !== '') fields['Content-Type'] = sdpType
    request.respond(200, { headers: fields, body }, failed)
  }

  reoffer({ exchange, sdp }: { readonly exchange: number; readonly sdp: Sdp }): void {
    const { control, inbox, dialogId } = this.parts
    const refused = (why: Refusal): void => {
      this.#exchange = null
      if (!this.ended) inbox.reofferRefused(this.ref, { exchange, why })
    }
    if (this.ended) return
    // Not before the ACK to our 2xx (RFC 3261, 14.1).
    if (this.state === 'answered') return void (this.#early = { exchange, sdp })
    if (this.#exchange !== null || this.#asked?.request) return refused('glare')
    if (this.state === 'early' && !this.mayUpdate) return refused('unacceptable')
    const method = this.state === 'early' ? 'UPDATE' : 'INVITE'
    this.#exchange = exchange
    const headers = { ...this.commonFields(false), Allow: allowOf(this.parts.peer), 'Content-Type': sdpType }
    // An offer of the hub's waits for nobody's reservations.
    this.#preconditions = null
    control.send(
      { method, dialogId, headers, body: this.written(sdp) },
      {
        answered: answer => this.#reofferAnswered(answer, exchange, refused),
        failed: () => refused('timeout'),
        updated: update => this.receive(update)
      }
    )
  }

  #reofferAnswered(answer: Answer, exchange: number, refused: (why: Refusal) => void): void {
    const { message } = answer
    answer.ack()
    if (message.status < 200) return
    if (message.status < 300) {
      const body = sdpOf(message)
      if (!body.ok || body.sdp === null) return refused('unacceptable')
      this.#exchange = null
      this.#remote = body.sdp
      if (!this.ended) this.parts.inbox.reofferAnswered(this.ref, { exchange, sdp: body.sdp })
      return
    }
    refused(
      message.status === 491 ? 'glare' : message.status === 408 || message.status === 504 ? 'timeout' : 'unacceptable'
    )
    // The peer has no such dialog any more (RFC 3261, 12.2.1.2); one that is only silent keeps its call (SDP-10).
    if (message.status === 481) this.over({ cause: 'peer-failed', sip: 481 })
  }

  #informed(request: Received): void {
    const { headers, body } = request.message
    const { peer } = this.parts
    if (!peer.config.methods.includes('INFO')) {
      return request.respond(405, { headers: { Allow: dialogAllowOf(peer) } })
    }
    if (body.length === 0) return request.respond(200)
    const tone = tonesOf(typeOf(headers.get('Content-Type') ?? ''), body.toString())
    if (tone === 'unknown-type') return request.respond(415, { headers: { Accept: toneType } })
    if (tone === null) return request.respond(400)
    request.respond(200)
    this.parts.inbox.toned(this.ref, tone)
  }

  /** A peer without INFO hears tones in its media only (RFC 4733). */
  sendTone(tone: Tone): void {
    if (this.state !== 'confirmed' || !this.takesInfo) return
    const { control, dialogId } = this.parts
    const headers = { ...this.commonFields(false), 'Content-Type': toneType }
    control.send({ method: 'INFO', dialogId, headers, body: toneBody(tone) }, this.#unheard())
  }

  /** The core ends the leg. */
  end(release: Release): void {
    if (this.ended) return
    if (this.state === 'early') return this.endEarly(release)
    if (this.state === 'answered') return this.endAnswered(release)
    this.bye(release)
    this.close()
  }

  /** A 2xx is out or in, its ACK is not. */
  protected abstract endAnswered(release: Release): void

  protected bye(release: Release): void {
    const { control, dialogId } = this.parts
    control.send({ method: 'BYE', dialogId, headers: endingFields(release, this.commonFields(false)) }, this.#unheard())
  }

  /** The leg has ended by itself: the core hears it once. */
  over(reason: Reason): void {
    if (this.ended) return
    this.close()
    this.parts.inbox.ended(this.ref, reason)
  }

  /** Nothing more is sent or told. What the peer still waits for is answered. */
  protected close(): void {
    this.state = 'ended'
    for (const cancel of this.#timers) cancel()
    this.#timers = []
    this.#asked?.request?.respond(487)
    this.#asked = null
    this.parts.forget(this)
  }

  protected after(ms: number, run: () => void): () => void {
    const cancel = this.parts.clock.after(ms, run)
    this.#timers.push(cancel)
    return cancel
  }

  /** The description as this leg sends it: the hub's origin, raised where the content changed; this leg's bandwidth. */
  protected written(sdp: string): string {
    if (isLonger(sdp, limits.bodyBytesMax)) throw new HubError('HUB_LIMIT', 'a media description is too long')
    const sized = withBandwidth(sdp)
    this.#origin = written(
      this.#origin,
      this.#preconditions === null ? sized : withPreconditions(sized, this.#preconditions)
    )
    return this.#origin.text
  }

  protected agreed(sdp: Sdp | null): void {
    if (sdp !== null) this.#remote = sdp
  }

  protected expectAnswer(): void {
    this.#ackAnswers = true
  }

  /** The network where the call began; null where the hub stands for it. */
  protected abstract get originator(): string | null
  protected abstract get termIoi(): string | null
  /** Networks before the hub, in the direction of what this leg sends. */
  protected abstract get transit(): readonly string[]
  /** Session-ID of the other leg, which both share (MISC-04). */
  protected abstract get sessionId(): string | null

  /** What stands in every message of a leg, added to `fields`: charging and the call's own name. */
  protected commonFields(answer: boolean, fields: Fields = {}): Fields {
    const { charging, peer, hub } = this.parts
    const iois = { originator: this.originator, transit: this.transit, term: answer ? this.termIoi : null }
    chargingFields(charging, iois, peer, hub, fields)
    const id = peer.told.has('Session-ID') ? this.sessionId : null
    if (id !== null) fields['Session-ID'] = id
    return fields
  }

  /** For requests whose answer changes nothing. */
  #unheard(): AnswerHandler {
    return { answered: ignore, failed: ignore, updated: update => this.receive(update) }
  }
}

const ignore = (): void => {}
