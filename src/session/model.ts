// The canonical vocabulary: what every adapter speaks and what the core reasons about. No behaviour.
// Times are epoch milliseconds and always arrive from outside.

export type Brand<T, B extends string> = T & { readonly __brand: B }

export type SessionId = Brand<string, 'SessionId'>
/** Minted by one adapter; nobody else may parse it. */
export type LegRef = Brand<string, 'LegRef'>
export type Sdp = Brand<string, 'Sdp'>
export type EpochMs = number

export const accesses = ['nni', 'matrix', 'xmpp', 'sip-ws'] as const
export type Access = (typeof accesses)[number]

export const services = ['voice', 'video'] as const
export type Service = (typeof services)[number]

export const sides = ['caller', 'callee'] as const
export type Side = (typeof sides)[number]
export const otherSide = (side: Side): Side => (side === 'caller' ? 'callee' : 'caller')

/** `network`: inside the trust domain (RFC 3325, 2.3); `user`: a claim, or somebody who may not see everything. */
export const trusts = ['network', 'user'] as const
export type Trust = (typeof trusts)[number]

export interface Party {
  /** At most one sip and one tel URI (NUM-03). Empty when nobody vouches. */
  readonly asserted: readonly string[]
  readonly presented: string | null
  readonly display: string | null
  readonly privacy: readonly string[]
  readonly trust: Trust
}

/** What one side may see of the other, made by `shownTo` alone. */
export interface Shown {
  readonly asserted: readonly string[]
  readonly presented: string | null
  readonly display: string | null
  readonly privacy: readonly string[]
}

/** What media a side speaks: `webrtc` is ICE and DTLS-SRTP, `rtp` is plain RTP/AVP. */
export const mediaProfiles = ['webrtc', 'rtp'] as const
export type MediaProfile = (typeof mediaProfiles)[number]

/** How far the number of a caller is vouched for: fully, as a customer, as a gateway (ATIS-1000074). */
export const attestations = ['A', 'B', 'C'] as const
export type Attestation = (typeof attestations)[number]

/** What became of checking the caller's number (TS 24.229, 7.2A.20). */
export const verstats = ['TN-Validation-Passed', 'TN-Validation-Failed', 'No-TN-Validation'] as const
export type Verstat = (typeof verstats)[number]

/** Where a ported number has moved to (`rn`), and whether somebody has looked that up already (RFC 4694). */
export interface Ported {
  /** E.164 with `+`, or null: not ported, or not looked up. */
  readonly rn: string | null
  readonly npdi: boolean
}

/** Where a caller is, as its device says, in the words of SIP: it passes through the core unread. */
export interface Location {
  /** References, and `<cid:...>` of the bodies. */
  readonly values: readonly string[]
  /** Whether the call may be routed by it. */
  readonly routing: string | null
  /** PIDF-LO documents. */
  readonly bodies: readonly { readonly id: string | null; readonly text: string }[]
}

/**
 * What an edge knows of one leg beside who calls whom: it goes into the record (`charging.md` 5.2), and what the
 * caller's edge knows goes to the callee's (`Invitation.origin`). Of all this the core reads `rn` and `npdi` alone.
 * The charging id (ICID, RFC 7315 4.6) belongs to the session: both legs carry the same one.
 */
export interface LegFacts extends Ported {
  /** The dialect's own name of the conversation: SIP Call-ID, Jingle sid, Matrix call_id. */
  readonly dialogId: string | null
  /** Session-ID header or its like (RFC 7989). */
  readonly traceId: string | null
  readonly origIoi: string | null
  readonly termIoi: string | null
  readonly transitIoi: readonly string[]
  /** Address and port of the neighbour as seen on the wire. */
  readonly neighbour: string | null
  /** What the caller dialled, before anybody made it canonical. */
  readonly calledRaw: string | null
  /** What the other side was told, or what this side told, about the caller's number. */
  readonly attest: Attestation | null
  /** Origination-Id: who vouches, as a UUID (RFC 8588). */
  readonly originationId: string | null
  readonly verstat: Verstat | null
  /** Where the caller is: kept of calls for help alone (RFC 6442). */
  readonly location: Location | null
  /** An emergency centre calls somebody back, as a trusted peer says (EMG-05). */
  readonly psapCallback: boolean
}
export const noFacts: LegFacts = {
  dialogId: null,
  traceId: null,
  origIoi: null,
  termIoi: null,
  transitIoi: [],
  neighbour: null,
  calledRaw: null,
  rn: null,
  npdi: false,
  attest: null,
  originationId: null,
  verstat: null,
  location: null,
  psapCallback: false
}
/** What of the caller's edge the callee's may know: nothing that names the caller's side of the hub. */
export type Origin = Omit<LegFacts, 'dialogId' | 'neighbour' | 'termIoi'>

/** The charging correlation of a session: made by the hub where the caller's side brought none (PCV-04, PCV-05). */
export interface ChargingId {
  readonly icid: string
  readonly generatedAt: string
}

export interface Leg {
  readonly access: Access
  readonly peerId: string
  readonly party: Party
  readonly media: MediaProfile
}

export interface Target {
  readonly access: Access
  readonly peerId: string
  readonly uri: string
  readonly trust: Trust
  readonly media: MediaProfile
  /** False where an invitation without media is understood (3PCC, NNI-07). */
  readonly needsOffer: boolean
}

/** Why a session or an attempt ended. Every adapter maps its own vocabulary to and from this list. */
export const releaseCauses = [
  'normal',
  'cancelled',
  'answered-elsewhere',
  'busy',
  'declined',
  'no-answer',
  'not-found',
  'gone',
  'address-incomplete',
  'unavailable',
  'unreachable',
  'incompatible-media',
  'forbidden',
  'no-agreement',
  'no-rate',
  'no-credit',
  'limit-reached',
  'anonymity-refused',
  'identity-failed',
  'unwanted',
  'congestion',
  'media-lost',
  'peer-failed',
  'expired',
  'internal'
] as const
export type ReleaseCause = (typeof releaseCauses)[number]

/** The peer's own words travel with the cause, so that a peer of the same kind hears them unchanged. */
export interface Reason {
  readonly cause: ReleaseCause
  readonly sip?: number
  readonly q850?: number
  readonly text?: string
}
export interface Release extends Reason {
  readonly from: Side | 'hub'
}

export const refusals = ['glare', 'unacceptable', 'timeout'] as const
/** Why a re-offer was not taken. The session goes on as it was (SDP-10). */
export type Refusal = (typeof refusals)[number]

export interface Tone {
  readonly digit: string
  readonly durationMs: number
}

export type PolicyDecision =
  | { readonly admit: true; readonly grant: Grant }
  | { readonly admit: false; readonly reason: Reason }

export interface Grant {
  readonly id: string
  readonly bandwidthKbpsMax: number
  readonly dscp: number
  /** What the called side may use, best first. */
  readonly codecs: readonly string[]
  /** What the calling side may use: the same unless a transcoder stands between them. */
  readonly callerCodecs: readonly string[]
  readonly chargingKey: string
  /** What will price the two legs; null where nobody said. */
  readonly terms: TermsOfLegs | null
  /** Null for postpaid. */
  readonly credit: Credited | null
}

export type CdrLeg = 'ingress' | 'egress'

/** What was agreed for one leg when the session was let in. The price itself is the clearing's affair. */
export interface LegTerms {
  readonly agreementId: string
  readonly agreementVersion: string | null
  readonly deckVersion: string | null
  /** The rated prefix, with `+`, and its name in the deck. */
  readonly destCode: string | null
  readonly destName: string | null
  readonly qualityClass: string | null
}
export type TermsOfLegs = Readonly<Record<CdrLeg, LegTerms>>

export interface Credited {
  readonly reservationId: string
  readonly reservedMs: number
  /** What the agreement says for a credit system that does not answer. */
  readonly onSilence: 'continue' | 'end'
}

/** Counters of one media stream of one leg, as its anchor saw them. Received: from the peer; sent: to the peer. */
export interface StreamStats {
  readonly kind: 'audio' | 'video'
  readonly codec: string | null
  readonly packetsReceived: number
  readonly bytesReceived: number
  readonly packetsSent: number
  readonly bytesSent: number
  /** From gaps in the received sequence numbers (RFC 3550, A.3). */
  readonly packetsLost: number
  /** Interarrival jitter (RFC 3550, 6.4.1); null where the anchor does not measure it. */
  readonly jitterMs: number | null
  /** Round trip to the peer, and its mean opinion score (1 to 5); null where the anchor does not measure them. */
  readonly rttMs: number | null
  readonly mos: number | null
  readonly transcoded: boolean
}

export interface MediaStats {
  readonly caller: readonly StreamStats[]
  readonly callee: readonly StreamStats[]
}

/** One leg's record. (callId, leg, attempt, partialSeq) is its natural key. */
export interface Cdr {
  readonly callId: SessionId
  readonly leg: CdrLeg
  readonly attempt: number
  readonly partialSeq: number
  readonly kind: 'start' | 'interim' | 'final'
  readonly access: Access
  readonly peerId: string
  readonly service: Service | 'message'
  /** The asserted number whatever the privacy: a record is not shown to the other side. */
  readonly calling: string | null
  readonly callingRaw: string | null
  readonly callingTrust: Trust
  readonly called: string
  readonly dialled: string
  /** Whether this leg's neighbour may see what is restricted (RFC 3325, 2.3). */
  readonly trust: Trust
  /** What the session was let in with; null: it was not, or not this far. */
  readonly chargingKey: string | null
  readonly terms: LegTerms | null
  readonly dscp: number | null
  readonly bandwidthKbpsMax: number | null
  readonly requestedAt: EpochMs
  readonly alertedAt: EpochMs | null
  readonly answeredAt: EpochMs | null
  readonly endedAt: EpochMs
  readonly durationMs: number
  readonly release: Release | null
  /** The streams of this record's leg, and those of the other one in the same order. */
  readonly media: readonly StreamStats[]
  readonly otherMedia: readonly StreamStats[]
  readonly charging: ChargingId
  readonly facts: LegFacts
  /** What the caller's edge knew: that of the ingress leg is the same. */
  readonly origin: LegFacts
  readonly otherPeerId: string | null
}
