// INVITE and MESSAGE to meaning and back, pure: golden files in test/nni/fixtures.

import { isEmergency } from '../session/emergency.ts'
import { noFacts } from '../session/model.ts'
import type { ChargingId, Leg, LegFacts, Sdp, Service } from '../session/model.ts'
import type { Invitation, OutgoingText } from '../session/ports.ts'
import { textTypes } from '../session/text.ts'
import type { TextBody } from '../session/text.ts'
import { locationIn, withLocation } from '../sip/location.ts'
import type { Headers, SipRequest } from '../sip/message.ts'
import { isBroken, sdpOf, sdpType, sdpTypes, typeOf } from './body.ts'
import { chargingFields, chargingOf, originatorFor } from './charging.ts'
import { carriedFields, carriedOf, noCrossing } from './crossing.ts'
import type { Crossing } from './crossing.ts'
import { allowOf, callerParamsOf, identityFields, isWithheld, partyOf } from './headers.ts'
import type { Fields } from './headers.ts'
import { limits } from './limits.ts'
import { calledOf, calledParams, e164Of, numberUri, portedIn } from './numbers.ts'
import type { NumberParams, Refused } from './numbers.ts'
import { perPeer } from './peers.ts'
import type { HubFace, Peer } from './peers.ts'
import { preconditionsIn, withoutPreconditions } from './preconditions.ts'
import type { Preconditions } from './preconditions.ts'
import { hasMedia } from './sdp.ts'
import { identitiesIn } from './stir/identities.ts'

export type Understood<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refused: Refused }

/** What a call and a message share. */
export interface Incoming {
  readonly caller: Leg
  readonly called: string
  /** Null where the peer brought none, or none that counts. */
  readonly charging: ChargingId | null
  readonly facts: LegFacts
  /** For the leg that it goes out by. */
  readonly crossing: Omit<Crossing, 'back'>
}

/** What the caller's SIP can do, which the answers depend on. */
export interface Abilities {
  readonly reliable: 'no' | 'supported' | 'required'
  readonly update: boolean
  readonly earlyMedia: boolean
  readonly info: boolean
  /** The Session-Expires to put into the 2xx, with who refreshes (RFC 4028, 9). */
  readonly sessionExpires: string
  readonly timer: boolean
  /** What the caller wants to be reserved first, and the hub meets (RFC 3312); null where it says nothing. */
  readonly preconditions: Preconditions | null
}

export interface IncomingCall extends Incoming {
  readonly service: Service
  readonly sdp: Sdp | null
  readonly abilities: Abilities
}

export interface IncomingText extends Incoming {
  readonly body: TextBody
}

export interface Surroundings {
  readonly peer: Peer
  readonly hub: HubFace
  /** Of the neighbour, as seen on the wire. */
  readonly neighbour: string
  readonly sessionExpiresSeconds: number
}

/** What the hub supports in what the peer sends: as agreed, and preconditions where the hub meets them. */
const supportedTags = perPeer(
  ({ options, preconditions }): ReadonlySet<string> =>
    new Set([...options.filter(tag => tag !== 'precondition'), ...(preconditions === 'local' ? ['precondition'] : [])])
)
/** The same, as a field. */
export const supportedBy = perPeer(config => [...supportedTags({ config })].join(', '))

/** What the hub supports in the answers to what it sends: it waits for nobody's reservations. */
const supportedIn = perPeer(({ options }) => options.filter(tag => tag !== 'precondition').join(', '))
/** Without an offer the peer may make one in its 2xx only: the core answers nothing earlier. */
const supportedOfferless = perPeer(({ options }) =>
  options.filter(tag => tag !== 'precondition' && tag !== '100rel').join(', ')
)

const refuse = (status: number, headers?: Fields, reason?: string): { ok: false; refused: Refused } => ({
  ok: false,
  refused: { status, ...(headers === undefined ? {} : { headers }), ...(reason === undefined ? {} : { reason }) }
})

export function fromInvite(invite: SipRequest, at: Surroundings): Understood<IncomingCall> {
  const incoming = fromRequest(invite, at)
  if (!incoming.ok) return incoming
  const { headers } = invite
  const { config } = at.peer
  const known = supportedTags(at.peer)
  const required = headers.all('Require')
  const unknown = required.filter(tag => !known.has(tag.toLowerCase()))
  if (unknown.length > 0) return refuse(420, { Unsupported: unknown.join(', ') })
  if (hasWord(required, 'resource-priority') && !mayBefore(headers, config.resourcePriorities)) {
    return refuse(417, { 'Accept-Resource-Priority': config.resourcePriorities.join(', ') })
  }
  const body = sdpOf(invite)
  if (!body.ok) return refuse(415, { Accept: sdpTypes })
  if (body.sdp === null && !config.allowOfferless) return refuse(488, undefined, 'Offer Required')
  const asked = intervalOf(headers.get('Session-Expires'))
  const { minSeSeconds } = config.timers
  if (asked !== null && asked < minSeSeconds && has(headers, 'Supported', 'timer')) {
    return refuse(422, { 'Min-SE': String(minSeSeconds) })
  }
  const preconditions = preconditionsOf(headers, body.sdp, at.peer)
  if (preconditions === 'unmet') return refuse(580)
  const sdp = body.sdp === null ? null : (withoutPreconditions(body.sdp) as Sdp)
  const service = sdp !== null && hasMedia(sdp, 'video') ? 'video' : 'voice'
  const abilities = abilitiesOf(headers, at, preconditions)
  return { ok: true, value: { ...incoming.value, service, sdp, abilities } }
}

/** RFC 4412, 4.6.2: one value that is known is enough. */
const mayBefore = (headers: Headers, agreed: readonly string[]): boolean =>
  headers.all('Resource-Priority').some(value => agreed.some(one => one.toLowerCase() === value.trim().toLowerCase()))

/** Lines of preconditions without their option tag mean nothing (RFC 3312, 11). */
function preconditionsOf(headers: Headers, sdp: string | null, { config }: Peer): Preconditions | null | 'unmet' {
  if (sdp === null || config.preconditions === 'off') return null
  const required = has(headers, 'Require', 'precondition')
  if (!(required || has(headers, 'Supported', 'precondition'))) {
    return null
  }
  const wanted = preconditionsIn(sdp)
  if (wanted === null) return required ? 'unmet' : null
  return wanted.every(one => one === null) ? null : wanted
}

/** RFC 3428; other types are refused with those that are taken (NNI-08). */
export function fromMessage(message: SipRequest, at: Surroundings): Understood<IncomingText> {
  const type = typeOf(message.headers.get('Content-Type') ?? '')
  const { mimeTypes } = at.peer.config
  const known = textTypes.find(one => one === type && mimeTypes.includes(one))
  if (known === undefined || isBroken(message.body)) return refuse(415, { Accept: mimeTypes.join(', ') })
  const incoming = fromRequest(message, at)
  if (!incoming.ok) return incoming
  return { ok: true, value: { ...incoming.value, body: { type: known, text: message.body.toString() } } }
}

export function fromRequest(request: SipRequest, { peer, hub, neighbour }: Surroundings): Understood<Incoming> {
  const { headers } = request
  const hops = Number(headers.get('Max-Forwards') ?? limits.maxForwards)
  if (!(hops > 0)) return refuse(483)
  // RFC 5393, 5.3.3: the hub may pass the call on to one place only, and not even that is left.
  if (headers.get('Max-Breadth') === '0') return refuse(440)
  const called = calledOf(request.uri, peer)
  if (!called.ok) return called
  const charging = chargingOf(headers, peer)
  return {
    ok: true,
    value: {
      caller: { access: 'nni', peerId: peer.id, party: partyOf(headers, peer), media: 'rtp' },
      called: called.called,
      charging: charging === null ? null : { icid: charging.icid, generatedAt: charging.generatedAt },
      facts: {
        ...noFacts,
        dialogId: headers.get('Call-ID') ?? null,
        traceId: traceOf(headers),
        origIoi: charging?.origIoi ?? peer.ioi,
        termIoi: hub.ioi,
        transitIoi: charging?.transitIoi ?? [],
        neighbour,
        calledRaw: request.uri,
        ...portedIn(request.uri, peer),
        location: isEmergency(called.called) ? locationIn(request) : null,
        psapCallback: peer.heard.has('Priority') && has(headers, 'Priority', 'psap-callback')
      },
      crossing: {
        carried: carriedOf(headers, peer, hub),
        callerParams: callerParamsOf(headers, peer),
        identities: identitiesIn(headers, peer),
        from: peer.id,
        hopsLeft: Math.min(hops, limits.maxForwards) - 1
      }
    }
  }
}

/** RFC 7989: the identifier without its parameters. */
export const traceOf = (headers: Headers): string | null => headers.get('Session-ID')?.split(';')[0]?.trim() || null

function abilitiesOf(
  headers: Headers,
  { sessionExpiresSeconds, peer }: Surroundings,
  preconditions: Preconditions | null
): Abilities {
  const supported = headers.all('Supported')
  const allowed = headers.all('Allow')
  const timer = hasWord(supported, 'timer')
  const asked = headers.get('Session-Expires')
  const longest = Math.min(intervalOf(asked) ?? sessionExpiresSeconds, limits.sessionExpiresMax)
  const seconds = Math.max(Math.min(longest, sessionExpiresSeconds), intervalOf(headers.get('Min-SE')) ?? 0)
  const named = asked === undefined ? undefined : /;\s*refresher\s*=\s*(uac|uas)/i.exec(asked)?.[1]?.toLowerCase()
  // A caller without timers leaves refreshing to us (RFC 4028, table 2).
  const refresher = timer ? (named ?? 'uac') : 'uas'
  return {
    reliable: has(headers, 'Require', '100rel') ? 'required' : hasWord(supported, '100rel') ? 'supported' : 'no',
    update: hasWord(allowed, 'UPDATE'),
    earlyMedia: has(headers, 'P-Early-Media', 'supported'),
    info: hasWord(allowed, 'INFO') && peer.config.methods.includes('INFO'),
    sessionExpires: `${seconds};refresher=${refresher}`,
    timer,
    preconditions
  }
}

export const has = (headers: Headers, name: string, word: string): boolean => hasWord(headers.all(name), word)

const hasWord = (values: readonly string[], word: string): boolean =>
  values.some(value => value === word || value.toLowerCase() === word.toLowerCase())

/** Whole seconds of Session-Expires or Min-SE; null where there is none. */
export function intervalOf(text: string | undefined): number | null {
  const seconds = text === undefined ? Number.NaN : Number.parseInt(text, 10)
  return Number.isInteger(seconds) && seconds >= 0 ? seconds : null
}

/** What is to be sent: names of header fields as on the wire; tag, Via, CSeq and Contact are the engine's. */
export interface Outgoing {
  readonly method: string
  readonly uri: string
  readonly headers: Fields
  readonly body: string
}

export interface Identifiers {
  readonly callId: string
  readonly fromTag: string
  readonly maxForwards: number
}

type Crossed = Pick<Crossing, 'carried' | 'callerParams'>

/** `sdp` null: the peer makes the offer. */
export function toInvite(
  invitation: Invitation,
  sdp: string | null,
  ids: Identifiers,
  at: Omit<Surroundings, 'neighbour'>,
  crossing: Crossed = noCrossing
): Outgoing {
  const { peer, sessionExpiresSeconds } = at
  const { uri, headers } = toRequest(invitation, ids, at, crossing)
  headers['Allow'] = allowOf(peer)
  headers['Supported'] = sdp === null ? supportedOfferless(peer) : supportedIn(peer)
  headers['Session-Expires'] = `${sessionExpiresSeconds};refresher=uac`
  headers['Min-SE'] = String(peer.config.timers.minSeSeconds)
  headers['Accept'] = sdpTypes
  if (peer.told.has('P-Early-Media')) headers['P-Early-Media'] = 'supported'
  if (sdp !== null) headers['Content-Type'] = sdpType
  const { location } = invitation.origin
  if (location === null) return { method: 'INVITE', uri, headers, body: sdp ?? '' }
  const located = withLocation(location, sdp ?? '', `isthmus-${ids.fromTag}`)
  return { method: 'INVITE', uri, headers: { ...headers, ...located.headers }, body: located.body }
}

export function toMessage(
  text: OutgoingText,
  ids: Identifiers,
  at: Omit<Surroundings, 'neighbour'>,
  crossing: Crossed = noCrossing
): Outgoing {
  const { uri, headers } = toRequest(text, ids, at, crossing)
  headers['Content-Type'] = text.body.type
  return { method: 'MESSAGE', uri, headers, body: text.body.text }
}

function toRequest(
  { target, from, charging, origin }: Pick<Invitation, 'target' | 'from' | 'charging' | 'origin'>,
  { callId, fromTag, maxForwards }: Identifiers,
  { peer, hub }: Pick<Surroundings, 'peer' | 'hub'>,
  { carried, callerParams }: Crossed
): { readonly uri: string; readonly headers: Fields } {
  const number = e164Of(target.uri)
  const params = calledParams(origin, origin.calledRaw, peer)
  const uri = number === null ? target.uri : numberUri(number, peer.domain, peer, params)
  const identity = identityFields(from, peer, hub, checkedParams(callerParams, origin.verstat, peer))
  const headers: Fields = {
    'Max-Forwards': String(maxForwards),
    From: `${identity.From};tag=${fromTag}`,
    To: `<${number === null ? target.uri : numberUri(number, peer.domain, peer)}>`,
    'Call-ID': callId,
    'User-Agent': 'isthmus'
  }
  const asserted = identity['P-Asserted-Identity']
  const privacy = identity['Privacy']
  if (asserted !== undefined) headers['P-Asserted-Identity'] = asserted
  if (privacy !== undefined) headers['Privacy'] = privacy
  carriedFields(carried, peer, isWithheld(from), headers)
  const iois = { originator: originatorFor(peer, origin.origIoi), transit: origin.transitIoi }
  return { uri, headers: chargingFields(charging, iois, peer, hub, headers) }
}

/** What became of checking the number goes with it inside the trust domain, as agreed (STIR-05). */
function checkedParams(params: NumberParams, verstat: LegFacts['verstat'], { config, told }: Peer): NumberParams {
  const agreed = config.numberParameters.includes('verstat') && told.has('P-Asserted-Identity')
  return verstat === null || !agreed ? params : new Map([...params, ['verstat', verstat]])
}
