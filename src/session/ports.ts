// What the core needs from the outside world. Implementations live at the edges and are handed in by src/main.ts.
// What a peer may do is data; a rejected promise, or something thrown, means that the infrastructure failed.

import type {
  Access,
  Cdr,
  ChargingId,
  Credited,
  EpochMs,
  Grant,
  Leg,
  LegFacts,
  LegRef,
  MediaProfile,
  MediaStats,
  Origin,
  Party,
  PolicyDecision,
  Ported,
  Reason,
  Refusal,
  Release,
  Sdp,
  Service,
  SessionId,
  Shown,
  Side,
  Target,
  TermsOfLegs,
  Tone
} from './model.ts'
import type { Soon } from './soon.ts'
import type { Receipt, TextBody, TextRef, TypingState } from './text.ts'

export interface Invitation {
  readonly id: SessionId
  readonly attempt: number
  readonly charging: ChargingId
  readonly from: Shown
  readonly target: Target
  /** What the caller's edge knows, to be passed on as far as the callee's peer may have it. */
  readonly origin: Origin
  /** By which the call came in: an adapter that has both legs passes what only its dialect can say. */
  readonly callerLeg?: LegRef
  readonly service: Service
  /** Null: the callee offers in its answer and hears the answer by `acknowledge`. */
  readonly sdp: Sdp | null
}

/** One signalling world: NNI, Matrix, XMPP or SIP over WebSocket. All four look the same from inside. */
export interface SignallingAdapter {
  readonly access: Access
  start(inbox: Inbox): Promise<void>
  /** Stop taking new calls; live ones stay until they end. */
  drain(): Promise<void>
  /** The new leg has a name at once, so it can be cancelled at once; how it fares is told through the inbox. */
  invite(invitation: Invitation): LegRef
  alert(leg: LegRef): Promise<void>
  progress(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): Promise<void>
  /** SDP null: the reliable early answer stands. */
  answer(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): Promise<void>
  acknowledge(leg: LegRef, sdp: Sdp): Promise<void>
  /** The answer or refusal comes back through the inbox with the same `exchange`. */
  reoffer(leg: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): Promise<void>
  answerReoffer(leg: LegRef, sdp: Sdp): Promise<void>
  /** 491, Jingle tie-break, `m.call.negotiate` glare; 488 and its like. */
  refuseReoffer(leg: LegRef, why: Refusal): Promise<void>
  sendTone(leg: LegRef, tone: Tone): Promise<void>
  end(leg: LegRef, release: Release): Promise<void>
  /** Sends one message; settles once the other side has taken it or refused it (a refusal is data). */
  sendText(text: OutgoingText): Promise<TextOutcome>
  /** Tells the sender what became of a message it brought. Nothing to do where the dialect has no such word. */
  sendReceipt(ref: TextRef, receipt: Receipt): Promise<void>
  /** Shows a reader that somebody is writing, or no longer. Left out where the dialect has no such word. */
  sendTyping?(typing: OutgoingTyping): Promise<void>
}

export interface Offered {
  readonly leg: LegRef
  readonly caller: Leg
  /** Canonical: `tel:+E164` for a number, `sip:user@domain` for an island's user. */
  readonly called: string
  readonly service: Service
  readonly sdp: Sdp | null
  /** Null: the hub makes one (PCV-05). */
  readonly charging: ChargingId | null
  readonly facts: LegFacts
  /** Set where the access has turned the caller away: nothing is looked up, and the record says why. */
  readonly refusal?: Reason
}

export interface OfferedText {
  readonly ref: TextRef
  readonly caller: Leg
  readonly called: string
  readonly body: TextBody
  readonly charging: ChargingId | null
  readonly facts: LegFacts
  /** Set where the access has turned the caller away: nothing is looked up, and the record says why. */
  readonly refusal?: Reason
}

export interface OfferedTyping {
  readonly caller: Leg
  readonly called: string
  readonly state: TypingState
}

export interface OutgoingTyping {
  readonly from: Shown
  readonly target: Target
  readonly state: TypingState
}

export interface OutgoingText {
  readonly id: SessionId
  readonly attempt: number
  readonly charging: ChargingId
  readonly from: Shown
  readonly target: Target
  /** As in an invitation. */
  readonly origin: Origin
  readonly callerRef?: TextRef
  readonly body: TextBody
}

export type TextOutcome =
  /** `delivered`: that it was taken says that its reader's device has it; else that is told later, or never. */
  | { readonly taken: true; readonly ref: TextRef; readonly facts: LegFacts; readonly delivered?: boolean }
  | { readonly taken: false; readonly reason: Reason; readonly facts: LegFacts }

/** Where adapters put what they hear. Nothing here throws. */
export interface Inbox {
  offered(call: Offered): void
  alerting(leg: LegRef): void
  progressed(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void
  answered(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly party: Party | null }): void
  /** The caller has confirmed the answer; with SDP where the answer carried an offer. */
  acknowledged(leg: LegRef, sdp: Sdp | null): void
  /** SDP null: the peer wants the hub to make the offer (a re-INVITE without SDP). */
  reoffered(leg: LegRef, sdp: Sdp | null): void
  reofferAnswered(leg: LegRef, answer: { readonly exchange: number; readonly sdp: Sdp }): void
  reofferRefused(leg: LegRef, refusal: { readonly exchange: number; readonly why: Refusal }): void
  toned(leg: LegRef, tone: Tone): void
  ended(leg: LegRef, reason: Reason): void
  /** What the leg's record should say beside what the core knows. */
  learned(leg: LegRef, facts: LegFacts): void
  /**
   * A message came in. Settles with what to answer its sender: taken by the other side, or why not.
   * Never rejects. The adapter answers its dialect with it (200 or 202, an error stanza, a notice).
   */
  texted(text: OfferedText): Promise<TextVerdict>
  /** Somebody is writing to somebody who has taken a message of theirs lately; else nobody hears of it. */
  typed(typing: OfferedTyping): void
  /** What became of a message this adapter has sent. */
  received(ref: TextRef, receipt: Receipt): void
}

export type TextVerdict = { readonly taken: true } | { readonly taken: false; readonly release: Release }

/** One anchor per attempt. `exchange` only serves to tell requests apart in logs and to abandon one. */
export interface Anchorage {
  readonly id: SessionId
  readonly attempt: number
  readonly exchange: number
  readonly grant: Grant
  readonly transcode: boolean
  /** What each side speaks; the anchor converts between them and strips what belongs to one side only. */
  readonly profiles: Readonly<Record<Side, MediaProfile>>
}

export type Anchored =
  | { readonly anchored: true; readonly sdp: Sdp }
  | { readonly anchored: false; readonly reason: Reason }

export interface MediaAnchor {
  /** `onLost`: an anchor has heard nothing for too long, or is gone. */
  start(onLost: (id: SessionId, attempt: number) => void): Promise<void>
  /** SDP of `side` in, SDP for the other side out. */
  offer(at: Anchorage, side: Side, sdp: Sdp): Soon<Anchored>
  answer(at: Anchorage, side: Side, sdp: Sdp): Soon<Anchored>
  /** An offer of the hub's own for `side`, from the grant's codecs. */
  makeOffer(at: Anchorage, side: Side): Soon<Anchored>
  /** The offer came to nothing: media flows as before it. */
  abandon(at: Anchorage): Soon<void>
  release(id: SessionId, attempt: number): Soon<MediaStats | null>
}

/** Nobody there is an answer, with the reason in plain words. */
export type Routed =
  /** `ported`: what looking the number up has shown; left out where nobody looked. */
  { readonly targets: readonly Target[]; readonly ported?: Ported } | { readonly nobody: Reason }

export interface Router {
  /** Best first. By the routing number where there is one; with `npdi` nobody looks the number up again (NUM-05). */
  route(called: string, caller: Leg, service: Service | 'message', ported: Ported): Soon<Routed>
}

export interface Admission {
  readonly id: SessionId
  readonly attempt: number
  readonly caller: Leg
  readonly target: Target
  readonly called: string
  /** What the call is routed and rated by, where the number was ported (NUM-05). */
  readonly rn: string | null
  /** Limits do not hold it back: an emergency centre calls back (EMG-05). */
  readonly urgent: boolean
  readonly service: Service
  readonly offer: Sdp | null
  readonly transcode: boolean
  readonly at: EpochMs
}

export type TextAdmission = Omit<Admission, 'service' | 'offer' | 'transcode' | 'urgent'>

/** Asks `Agreements` and `Credit` on the way: the core sees only their verdict. */
export interface Policy {
  decide(admission: Admission): Soon<PolicyDecision>
  /** A message: the same questions but for media. */
  decideText(admission: TextAdmission): Soon<PolicyDecision>
  free(grantId: string): Soon<void>
}

export interface Terms {
  /** What the caller's provider owes by. */
  readonly ingressAgreementId: string
  /** What is owed to the callee's provider by; the same one in a bilateral agreement. */
  readonly egressAgreementId: string
  /** The same two with what prices them now, for the record; null where that is not told. */
  readonly legs: TermsOfLegs | null
  readonly prepaid: boolean
  readonly onCreditSilence: Credited['onSilence']
}

export interface TermsAsked {
  readonly fromPeerId: string
  readonly toPeerId: string
  readonly service: Service | 'message'
  readonly called: string
  /** Prices the call in place of the called number (RATE-01). */
  readonly rn: string | null
  /** The asserted number, for what depends on the origin (RATE-05). */
  readonly calling: string | null
  readonly at: EpochMs
}

export interface Agreements {
  /** No agreement means no traffic, never free traffic (CLR-01). */
  terms(asked: TermsAsked): Soon<Terms | 'no-agreement' | 'no-rate'>
}

/**
 * `no-credit`: there is too little left. `unavailable`: nobody can be asked now, or too many ask. Null: nothing has to
 * be held for this call.
 */
export type Reserved = Credited | 'no-credit' | 'unavailable' | null

export interface Credit {
  /** Holds what the beginning of a call costs by these terms, or one message. Null at once: it has no account. */
  reserve(id: SessionId, attempt: number, terms: Terms, asked: TermsAsked): Promise<Reserved> | null
  refresh(reservationId: string, usedMs: number): Promise<Credited | 'no-credit'>
  /** Takes what was used and releases the rest. The same reservation twice is harmless. */
  settle(reservationId: string, usedMs: number): Promise<void>
}

export interface CdrSink {
  /** Sets room aside for the worst case of one session; false: no room, so no call (EOS-01). */
  admit(id: SessionId): boolean
  /**
   * This leg has reached the wire and has no record yet: should the hub die before it has one, it is closed as
   * incomplete. Nothing waits for it and nothing is promised. Called in the order in which things happen.
   */
  note(cdr: Cdr): void
  /** Resolves once the record is durable. The same key twice is harmless. */
  write(cdr: Cdr): Promise<unknown>
  /** The session is over: the room it did not use is free again. */
  release(id: SessionId): void
}

export interface Clock {
  now(): number
  /** Returns a function that cancels. */
  after(ms: number, run: () => void): () => void
}

/** Wall clocks are set and corrected; how long something lasted is told by one that only ever goes on. */
export interface SteadyClock extends Clock {
  /** Milliseconds since a moment that stays the same while the process lives. */
  elapsed(): number
}
