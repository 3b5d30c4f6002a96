// A call that the hub places with a peer: one early dialog towards the core whatever the peer forks into, CANCEL and
// its races, the ACK of an answer that brings an offer.

import { noFacts } from '../session/model.ts'
import type { LegFacts, Reason, Release, Sdp } from '../session/model.ts'
import type { Invitation } from '../session/ports.ts'
import type { Headers, SipResponse } from '../sip/message.ts'
import { sdpOf } from './body.ts'
import { reasonOfStatus } from './causes.ts'
import type { Answer, Received, Sent } from './control.ts'
import { chargingOf, originatorFor } from './charging.ts'
import type { Charging } from './charging.ts'
import { carriedOf, carriedValue } from './crossing.ts'
import type { Crossing } from './crossing.ts'
import { connectedOf, endingFields, toldIn } from './headers.ts'
import { has, intervalOf, toInvite, traceOf } from './invite.ts'
import type { Identifiers } from './invite.ts'
import { Leg } from './leg.ts'
import type { LegParts } from './leg.ts'
import { limits } from './limits.ts'
import type { Peer } from './peers.ts'
import { refusal } from './sdp.ts'
import type { Stir } from './stir/stir.ts'

/** The early dialog whose media stands. */
interface Standing {
  readonly tag: string
  readonly sdp: Sdp
  readonly reliable: boolean
  /** The core has it: what the peer has not authorised waits for the answer. */
  readonly shown: boolean
}

export interface Placing {
  readonly invitation: Invitation
  readonly ids: Identifiers
  readonly sessionExpiresSeconds: number
  /** 422: the same call once more, under a new name (RFC 4028, 7.2). */
  readonly again: (seconds: number) => void
  /** Of the leg that the call came in by; null where that is none of this border. */
  readonly crossing: Crossing | null
  readonly stir: Stir
  /** 503 with Retry-After: nothing more to this peer for so long (RTE-03). */
  readonly leaveAlone: (ms: number) => void
}

export class OutboundLeg extends Leg {
  readonly #placing: Placing
  #sent: Sent | null = null
  #standing: Standing | null = null
  #provisionals = 0
  #alerted = false
  #mayUpdate = false
  #takesInfo = false
  /** The 2xx that waits for our answer in its ACK. */
  #offered: Answer | null = null
  /** The core has ended the leg, the peer has not had its last word. */
  #cancelled: Release | null = null
  #facts: LegFacts = noFacts
  /** Stops the wait for the first answer. */
  #patience = ignore

  constructor(parts: LegParts, placing: Placing) {
    super(parts)
    this.#placing = placing
  }

  protected get originator(): string | null {
    return originatorFor(this.parts.peer, this.#placing.invitation.origin.origIoi)
  }
  protected get transit(): readonly string[] {
    return this.#placing.invitation.origin.transitIoi
  }
  protected get sessionId(): string | null {
    return carriedValue(this.#placing.crossing?.carried ?? [], 'Session-ID')
  }
  protected get termIoi(): string | null {
    return this.#facts.termIoi
  }
  protected get mayUpdate(): boolean {
    return this.#mayUpdate
  }
  protected get takesInfo(): boolean {
    return this.#takesInfo
  }

  place(): void {
    const { peer, hub, control, inbox } = this.parts
    const { invitation, ids, sessionExpiresSeconds, crossing } = this.#placing
    const sdp = invitation.sdp === null ? null : this.written(invitation.sdp)
    const { method, uri, headers, body } = toInvite(
      invitation,
      sdp,
      ids,
      { peer, hub, sessionExpiresSeconds },
      crossing ?? undefined
    )
    const { origin, target } = invitation
    const left = this.#placing.stir.outgoing({ headers, peer, targetUri: target.uri, origin, crossing })
    this.#facts = {
      ...noFacts,
      dialogId: ids.callId,
      origIoi: this.originator ?? hub.ioi,
      termIoi: peer.ioi,
      neighbour: peer.neighbour,
      attest: left.attest,
      originationId: left.originationId
    }
    this.#sent = control.send(
      { method, uri, headers: left.headers, body, nextHop: peer.nextHop },
      {
        sent: () => inbox.learned(this.ref, this.#facts),
        answered: answer => this.#answered(answer),
        failed: why => this.#finish({ cause: 'peer-failed', text: why }),
        updated: update => this.receive(update)
      }
    )
    const { firstAnswerMs } = peer.config.timers
    if (firstAnswerMs > 0) this.#patience = this.after(firstAnswerMs, () => this.#tooSlow())
  }

  /** RTE-06: the next route is tried; what this one still says is answered with CANCEL, or with ACK and BYE. */
  #tooSlow(): void {
    if (this.ended) return
    this.endEarly({ cause: 'unreachable', from: 'hub' })
    this.parts.inbox.ended(this.ref, { cause: 'unreachable', text: 'the operator did not answer in time' })
  }

  #answered(answer: Answer): void {
    const { status, headers } = answer.message
    this.#patience()
    const charging = chargingOf(headers, this.parts.peer)
    this.#tellBack(headers, charging)
    if (status < 200) return this.#provisional(answer)
    if (status < 300) return this.#accepted(answer, charging)
    if (status === 422 && this.#cancelled === null) {
      const seconds = intervalOf(answer.message.headers.get('Min-SE'))
      const { sessionExpiresSeconds, again } = this.#placing
      if (seconds !== null && seconds > sessionExpiresSeconds && seconds <= limits.sessionExpiresMax)
        return again(seconds)
    }
    this.#learnFrom(answer.message, charging)
    const { peer } = this.parts
    const told = peer.heard.has('Reason') ? toldIn(headers.all('Reason')) : []
    if (status === 503) this.#busy(headers)
    const reason = reasonOfStatus(status, told)
    const silent = status === 408 && !this.#alerted
    if (answer.local) return this.#finish({ cause: 'unreachable', text: status === 408 ? 'no answer' : 'no path' })
    this.#finish(status === 408 && !silent ? { ...reason, cause: 'no-answer' } : reason)
  }

  /** RFC 3261, 21.5.4: without Retry-After it is about this request alone. */
  #busy(headers: Headers): void {
    const seconds = Number.parseInt(headers.get('Retry-After') ?? '', 10)
    if (seconds > 0) this.#placing.leaveAlone(Math.min(seconds * 1_000, limits.retryAfterMsMax))
  }

  #tellBack(headers: Headers, charging: Charging | null): void {
    const { peer, hub } = this.parts
    const back = this.#placing.crossing?.back
    if (back === undefined) return
    back.carried = carriedOf(headers, peer, hub)
    back.transit = charging?.transitIoi ?? back.transit
  }

  #finish(reason: Reason): void {
    if (this.#cancelled === null) this.over(reason)
    else super.close()
  }

  #provisional(answer: Answer): void {
    const { message } = answer
    const reliable = message.headers.has('RSeq')
    if (reliable) answer.ack()
    if (this.ended || this.state !== 'early' || ++this.#provisionals > limits.provisionalsMax) return
    const { inbox } = this.parts
    const tag = message.headers.tag('To')
    if (message.status === 199) return this.#forkEnded(tag)
    const alerting = message.status === 180
    if (alerting && !this.#alerted) inbox.alerting(this.ref)
    this.#alerted ||= alerting
    const sdp = this.#earlyMedia(message, tag, reliable)
    if (sdp !== null || !alerting) inbox.progressed(this.ref, { sdp, reliable: reliable && sdp !== null })
  }

  /** The first early description stands; that of another fork waits for its 2xx (design, section 4). */
  #earlyMedia(message: SipResponse, tag: string, reliable: boolean): Sdp | null {
    const body = sdpOf(message)
    if (!body.ok || body.sdp === null || this.#placing.invitation.sdp === null) return null
    const shown = isAuthorised(message, this.parts.peer)
    const before = this.#standing
    if (before !== null && (before.tag !== tag || (before.shown && (before.reliable || before.sdp === body.sdp))))
      return null
    this.#standing = { tag, sdp: body.sdp, reliable: reliable || before?.reliable === true, shown }
    if (reliable) this.agreed(body.sdp)
    if (!shown) return null
    this.#mayUpdate = reliable && has(message.headers, 'Allow', 'UPDATE')
    return body.sdp
  }

  /** RFC 6228. A preview that is gone makes room for that of another fork. */
  #forkEnded(tag: string): void {
    if (this.#standing?.tag === tag && !this.#standing.reliable) this.#standing = null
  }

  #accepted(answer: Answer, charging: Charging | null): void {
    const { message } = answer
    const { inbox, peer } = this.parts
    const body = sdpOf(message)
    const sdp = body.ok ? body.sdp : null
    const offers = this.#placing.invitation.sdp === null
    this.#takesInfo = has(message.headers, 'Allow', 'INFO') && peer.config.methods.includes('INFO')
    if (this.#cancelled !== null) return this.#tooLate(answer, offers ? sdp : null, this.#cancelled)
    if (this.ended) return
    this.#learnFrom(message, charging)
    this.state = offers ? 'answered' : 'confirmed'
    // Nothing to cancel any more: the text of the request is let go of.
    this.#sent = null
    if (offers) this.#offered = answer
    else answer.ack()
    if (offers) this.after(limits.ackMs, () => this.#unanswered())
    const standing = this.#standing
    const tag = message.headers.tag('To')
    const repeated = standing !== null && standing.tag === tag ? standing.sdp : null
    const media = sdp ?? repeated
    this.agreed(media)
    inbox.answered(this.ref, { sdp: media, party: connectedOf(message.headers, peer) })
    // The core has the answer of a fork that lost, reliably: this one's media replaces it.
    if (sdp !== null && standing?.reliable === true && standing.shown && standing.tag !== tag) this.changed(sdp)
  }

  /** CANCEL was slower than the 2xx: acknowledged, then ended (RFC 3261, 9.1). */
  #tooLate(answer: Answer, offer: Sdp | null, release: Release): void {
    answer.ack(offer === null ? undefined : refusal(offer))
    this.bye(release)
    super.close()
  }

  acknowledge(sdp: Sdp): void {
    const answer = this.#offered
    if (answer === null || this.ended) return
    this.#offered = null
    this.state = 'confirmed'
    answer.ack(this.written(sdp))
  }

  #unanswered(): void {
    if (this.#offered === null || this.ended) return
    this.endAnswered({ cause: 'expired', from: 'hub' })
    this.parts.inbox.ended(this.ref, { cause: 'expired', text: 'the offer was not answered' })
  }

  protected endAnswered(release: Release): void {
    const answer = this.#offered
    this.#offered = null
    const body = answer === null ? null : sdpOf(answer.message)
    answer?.ack(body?.ok === true && body.sdp !== null ? refusal(body.sdp) : undefined)
    this.bye(release)
    this.close()
  }

  /** The leg is over for the core; its names stay until the peer's last answer, or the end of patience. */
  protected endEarly(release: Release): void {
    if (this.#cancelled !== null) return
    this.#cancelled = release
    this.#sent?.cancel(endingFields(release))
    this.after(limits.cancelMs, () => super.close())
  }

  override get ended(): boolean {
    return this.#cancelled !== null || super.ended
  }

  #learnFrom(message: SipResponse, charging: Charging | null): void {
    const before = this.#facts
    const traceId = traceOf(message.headers)
    const { termIoi, transitIoi } = charging ?? noFacts
    const known = termIoi === null || termIoi === before.termIoi
    // Most answers say nothing that the core has not been told.
    if (known && traceId === before.traceId && transitIoi.length + before.transitIoi.length === 0) return
    this.#facts = { ...before, traceId, termIoi: termIoi ?? before.termIoi, transitIoi }
    if (!this.ended) this.parts.inbox.learned(this.ref, this.#facts)
  }

  alert(): void {}
  progress(): void {}
  answer(): void {}

  /** The hub sends no reliable answers here, so there is nothing to acknowledge. */
  protected pracked(request: Received): void {
    request.respond(481)
  }
}

const ignore = (): void => {}

/** Media before the answer, as agreed with the peer (MISC-03). What is not authorised waits for the answer. */
function isAuthorised({ headers }: SipResponse, { config, heard }: Peer): boolean {
  if (config.earlyMedia !== 'authorised') return config.earlyMedia === 'any'
  const said = heard.has('P-Early-Media') ? headers.all('P-Early-Media').map(value => value.toLowerCase()) : []
  return said.includes('sendrecv') || said.includes('sendonly')
}
