// What happens inside a call, the same for both directions: re-offers, tones, ACKs with SDP, and how it can end.

import { noFacts } from '../../session/model.ts'
import type { LegFacts, LegRef, Reason, Refusal, Sdp, Tone } from '../../session/model.ts'
import type { Inbox } from '../../session/ports.ts'
import type { CallEnd, Reoffer, SipCall } from '../../sip/call.ts'
import type { Parts } from '../../sip/dialog.ts'
import { pidfType } from '../../sip/location.ts'
import { makeResponse } from '../../sip/message.ts'
import { partsOf, plainType } from '../../sip/multipart.ts'
import type { HeaderLine, SipMessage, SipRequest } from '../../sip/message.ts'
import type { ServerTransaction } from '../../sip/stack.ts'
import { line } from './answer.ts'
import { fromBye, fromRefusal, parseReasons } from './causes.ts'
import type { Limits } from './limits.ts'
import { parseTone, printTone } from './tones.ts'

const allowedInside = 'INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK'
export const allowed = `${allowedInside}, MESSAGE, REGISTER`

const statusOfRefusal = { glare: 491, unacceptable: 488, timeout: 504 } as const satisfies Record<Refusal, number>

export interface InCallParts {
  readonly leg: LegRef
  readonly inbox: Inbox
  readonly limits: Limits
  /** The hub's Contact, the same in every message of the leg. */
  readonly contact: HeaderLine
}

/** Something that waits for SDP of the core: a re-INVITE, an UPDATE, an offer in a PRACK. */
type Open = Pick<Reoffer, 'answer' | 'refuse'> & { readonly offerless: boolean; readonly reoffer: Reoffer | null }

/** The SDP of a message; null where it has none, `unusable` with the status to refuse it with. */
export function sdpOf(message: SipMessage, limits: Limits): Sdp | null | { readonly unusable: 413 | 415 } {
  if (message.body.length === 0) return null
  if (message.body.length > limits.sdpBytesMax) return { unusable: 413 }
  const parts = partsOf(message.headers.get('Content-Type') ?? '', message.body.toString('utf8'))
  if (parts === null) return { unusable: 415 }
  const [described] = parts.filter(({ type }) => plainType(type) === 'application/sdp')
  // Where the caller is stands beside the description (RFC 6442); what else must be understood is not.
  const strange = parts.some(
    ({ type, disposition }) => !known.has(plainType(type)) && !/handling=optional/i.test(disposition)
  )
  if (strange) return { unusable: 415 }
  return described === undefined ? null : (described.text as Sdp)
}

const known: ReadonlySet<string> = new Set(['application/sdp', pidfType])

/** As `sdpOf`, for places where nothing can be refused any more. */
export function sdpOrNull(message: SipMessage, limits: Limits): Sdp | null {
  const sdp = sdpOf(message, limits)
  return typeof sdp === 'string' ? sdp : null
}

export class InCall {
  readonly #parts: InCallParts
  readonly #call: SipCall
  #open: Open | null = null
  /** The 2xx to a re-INVITE without SDP has gone out with the hub's offer: the ACK brings the answer. */
  #awaitsAnswer = false
  /** A re-offer of the core that waits for the ACK (RFC 3261, 14.1). */
  #waiting: { readonly exchange: number; readonly sdp: Sdp } | null = null

  constructor(call: SipCall, parts: InCallParts) {
    this.#call = call
    this.#parts = parts
  }

  /** A re-INVITE or UPDATE has come in. */
  reoffered(reoffer: Reoffer): void {
    const { leg, inbox, limits, contact } = this.#parts
    const sdp = sdpOf(reoffer.request, limits)
    if (sdp !== null && typeof sdp === 'object') {
      return reoffer.refuse(sdp.unusable, { headers: [line('Accept', 'application/sdp')] })
    }
    // An UPDATE without SDP only refreshes the session or the target (RFC 3311, 5.2).
    if (sdp === null && reoffer.method === 'UPDATE') return reoffer.answer({ headers: [contact] })
    if (this.#open !== null) return reoffer.refuse(491)
    this.#open = {
      offerless: sdp === null,
      reoffer,
      answer: parts => reoffer.answer(parts),
      refuse: (status, parts) => reoffer.refuse(status, parts)
    }
    inbox.reoffered(leg, sdp)
  }

  withdrawn(reoffer: Reoffer): void {
    if (this.#open?.reoffer === reoffer) this.#open = null
  }

  /** A PRACK may bring an offer of its own (RFC 3262, 5); it cannot be refused, only answered without SDP. */
  pracked(prack: SipRequest, answer: ((parts?: Parts) => void) | null): void {
    const { leg, inbox, limits } = this.#parts
    if (answer === null) return
    const sdp = sdpOrNull(prack, limits)
    if (sdp === null || this.#open !== null) return answer()
    this.#open = { offerless: false, reoffer: null, answer, refuse: () => answer() }
    inbox.reoffered(leg, sdp)
  }

  /** ACK to a 2xx that went out. The first one always counts, later ones where the 2xx carried an offer. */
  acknowledged(ack: SipRequest, first: boolean): void {
    const { leg, inbox, limits } = this.#parts
    if (first || this.#awaitsAnswer) inbox.acknowledged(leg, sdpOrNull(ack, limits))
    this.#awaitsAnswer = false
    this.proceed()
  }

  /** The dialog is confirmed: what waited for that goes out. */
  proceed(): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting !== null) this.reoffer(waiting)
  }

  reoffer(offer: { readonly exchange: number; readonly sdp: Sdp }): void {
    const { state } = this.#call
    if (state === 'answered') {
      this.#waiting = offer
      return
    }
    const { leg, inbox, limits, contact } = this.#parts
    const { exchange } = offer
    const parts: Parts = { headers: [contact], body: offer.sdp }
    const result = {
      answered: (response: SipMessage, ack: ((parts?: Parts) => void) | null) => {
        // No offer was asked for here, but an ACK is owed to whoever makes one all the same.
        ack?.()
        const sdp = sdpOrNull(response, limits)
        if (sdp === null) inbox.reofferRefused(leg, { exchange, why: 'unacceptable' })
        else inbox.reofferAnswered(leg, { exchange, sdp })
      },
      refused: (response: { readonly status: number } | null) => {
        const glare = response === null || response.status === 491
        inbox.reofferRefused(leg, {
          exchange,
          why: glare ? 'glare' : response.status === 408 ? 'timeout' : 'unacceptable'
        })
      }
    }
    if (state === 'confirmed') this.#call.reinvite(parts, result)
    else if (this.#call.dialog !== null && state !== 'ended') this.#call.update(parts, result)
    else inbox.reofferRefused(leg, { exchange, why: 'glare' })
  }

  answerReoffer(sdp: Sdp): void {
    const open = this.#open
    if (open === null) return
    this.#open = null
    this.#awaitsAnswer = open.offerless
    open.answer({ headers: [this.#parts.contact], body: sdp })
  }

  refuseReoffer(why: Refusal): void {
    const open = this.#open
    this.#open = null
    open?.refuse(statusOfRefusal[why])
  }

  /** Tones go as INFO, which every client of this access understands; RTP events are the anchor's. */
  sendTone(tone: Tone): void {
    if (this.#call.dialog === null || this.#call.state === 'ended') return
    this.#call.request('INFO', { contentType: 'application/dtmf-relay', body: printTone(tone) })
  }

  /** INFO, OPTIONS, REFER and the rest inside the dialog. */
  requested(tx: ServerTransaction): void {
    const { request } = tx
    const { leg, inbox, limits } = this.#parts
    const answer = (status: number, ...headers: readonly HeaderLine[]): void =>
      tx.respond(makeResponse(request, status, { headers }))
    if (request.method === 'OPTIONS') return answer(200, line('Allow', allowedInside))
    if (request.method !== 'INFO') return answer(405, line('Allow', allowedInside))
    if (request.headers.has('Info-Package')) return answer(469, line('Recv-Info', ''))
    if (request.body.length === 0) return answer(200)
    const tone = parseTone(request, limits)
    if (tone === null) return answer(415, line('Accept', 'application/dtmf-relay, application/dtmf'))
    answer(200)
    inbox.toned(leg, tone)
  }
}

/** Why a call is over that nobody here has ended. */
export function reasonOfEnd({ how, message }: CallEnd): Reason {
  switch (how) {
    case 'refused':
      return message?.kind === 'response'
        ? fromRefusal(message.status, message.headers)
        : { cause: 'peer-failed', text: 'the call was refused' }
    case 'cancelled': {
      const { text } = message === null ? {} : parseReasons(message.headers)
      return { cause: 'cancelled', ...(text === undefined ? {} : { text }) }
    }
    case 'bye':
      return message === null ? { cause: 'normal' } : fromBye(message.headers)
    case 'timeout':
      return { cause: 'unreachable', text: 'the device does not answer any more' }
    case 'gone':
      return { cause: 'peer-failed', sip: 481, text: 'the device has lost the call' }
    default:
      return connectionLost
  }
}

/** Told to other networks: it names nobody, since the caller may know the number alone (NUM-08). */
export const noDevice: Reason = { cause: 'unavailable', text: 'no device of the user is connected' }

export const connectionLost: Reason = { cause: 'unreachable', text: 'the connection to the device is lost' }

/** What the record of a leg should name. */
export function factsOf(call: { readonly invite: SipRequest }, neighbour: string | null): LegFacts {
  const { headers } = call.invite
  return {
    ...noFacts,
    dialogId: headers.get('Call-ID') ?? null,
    traceId: headers.get('Session-ID') ?? null,
    neighbour
  }
}
