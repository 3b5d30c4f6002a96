// STIR at the border: callers of operators are checked and told about, calls to operators are signed, or pass with the
// signatures that they came with (29.165 clause 29, RFC 8224, ATIS-1000074).

import { createHash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { attestations, verstats } from '../../session/model.ts'
import type { Attestation, LegFacts, Origin, Reason } from '../../session/model.ts'
import type { Clock } from '../../session/ports.ts'
import { parseNameAddr } from '../../sip/message.ts'
import type { Headers, SipRequest } from '../../sip/message.ts'
import type { Crossing } from '../crossing.ts'
import type { Fields, Lines } from '../headers.ts'
import type { Incoming } from '../invite.ts'
import { e164Of, identityOf, mayName, numberParamsOf } from '../numbers.ts'
import type { HubFace, Peer } from '../peers.ts'
import type { Certificates } from './certificates.ts'
import { stirLimits } from './limits.ts'
import { digitsOf, parseIdentity, parsePassport, printIdentity, signPassport } from './passport.ts'
import type { Claims, ToSign } from './passport.ts'
import { stirStatuses, verifyIdentities } from './verify.ts'
import type { Claimed, Failure, Verdict } from './verify.ts'

/** Whose a number is, and how the hub knows. */
export interface ProvenNumber {
  readonly islandId: string
  readonly proof: string
}

export interface StirParts {
  readonly hub: HubFace
  readonly clock: Pick<Clock, 'now'>
  /** Null: nothing can be signed. */
  readonly signing: { readonly key: KeyObject; readonly x5u: string } | null
  /** Null: nothing can be checked. */
  readonly certificates: Certificates | null
  /** By the method of the proof; what is not here is B (STIR-06). */
  readonly attestByProof: Readonly<Record<string, Attestation>>
  readonly proofOf: (number: string) => ProvenNumber | null
}

type TellsOfCaller = Pick<LegFacts, 'attest' | 'originationId' | 'verstat'>

/** What is known of the caller, or why the request must be refused. */
export interface Checked {
  readonly tells: TellsOfCaller
  readonly refused: Failure | null
}

/** A request on its way out. */
export interface Leaving {
  readonly headers: Fields
  readonly peer: Peer
  readonly targetUri: string
  readonly origin: Origin
  /** Of the leg that the call came in by; null where that is none of this border. */
  readonly crossing: Pick<Crossing, 'identities' | 'from'> | null
}

export interface Left {
  readonly headers: Lines
  /** What was signed, or told; null: nothing. */
  readonly attest: Attestation | null
  readonly originationId: string | null
}

export interface Stir {
  /** A promise only where something is to be checked; it never rejects. */
  incoming(request: SipRequest, peer: Peer, incoming: Incoming): Checked | Promise<Checked>
  outgoing(leaving: Leaving): Left
}

/** Signs nothing and checks nothing. */
export const withoutStir = (hub: HubFace, clock: Pick<Clock, 'now'>): Stir =>
  createStir({ hub, clock, signing: null, certificates: null, attestByProof: {}, proofOf: () => null })

export function createStir(parts: StirParts): Stir {
  const { certificates, clock } = parts
  let checks = 0

  async function verdictOf(claimed: Claimed): Promise<Verdict> {
    if (certificates === null || checks >= stirLimits.checksMax) return overloaded
    checks++
    try {
      return await verifyIdentities(claimed, certificates)
    } finally {
      checks--
    }
  }

  return {
    incoming: (request, peer, incoming) => {
      const heard = heardFrom(request.headers, peer)
      const { verify } = peer.config.stir
      if (verify === 'none') return { tells: heard, refused: null }
      return verdictOf(claimedBy(request, incoming, clock.now())).then(
        ({ verstat, attest, originationId, failure }) => ({
          tells: { verstat, attest: attest ?? heard.attest, originationId: originationId ?? heard.originationId },
          // Whoever calls for help is not asked who he is (EMG-03).
          refused: verify === 'refuse' && !/^urn:service:sos/i.test(request.uri) ? failure : null
        })
      )
    },
    outgoing: leaving => {
      const { headers, peer, crossing } = leaving
      const passed = peer.told.has('Identity') ? passable(crossing?.identities ?? []) : []
      if (passed.length > 0) {
        const diverted = divertedBy(parts, leaving, passed)
        return { headers: { ...headers, Identity: [...passed, ...diverted] }, attest: null, originationId: null }
      }
      const signs = peer.config.stir.sign && parts.signing !== null
      const tells = signs || peer.told.has('Attestation-Info') || peer.told.has('Origination-Id')
      const said = tells ? claimsOf(parts, leaving) : null
      if (said === null) return { headers, attest: null, originationId: null }
      const { attest, origid: originationId } = said
      const told = { ...toldOf(said, peer), ...headers }
      if (!peer.config.stir.sign || parts.signing === null) return { headers: told, attest, originationId }
      const { key, x5u } = parts.signing
      const identity = identityFor({ ppt: 'shaken', x5u, claims: said }, key)
      return { headers: { ...told, ...dated(headers, clock.now()), Identity: [identity] }, attest, originationId }
    }
  }
}

const overloaded: Verdict = {
  verstat: 'No-TN-Validation',
  attest: null,
  originationId: null,
  failure: { status: 436, why: 'nothing can be checked now' }
}

/** Why a request is refused; 403 has a phrase of its own here (RFC 8224, 6.2.2). */
export const refusalOf = ({ status }: Failure): Reason => ({
  cause: 'identity-failed',
  sip: status,
  ...(status === 403 ? { text: 'Stale Date' } : {})
})

export const isStirStatus = (status: number): boolean => stirStatuses.some(one => one === status)

function claimedBy({ headers }: SipRequest, { caller, called, crossing }: Incoming, at: number): Claimed {
  const { asserted, presented } = caller.party
  const orig = [...asserted, presented ?? ''].map(e164Of).find(one => one !== null) ?? null
  const to = identityOf(parseNameAddr(headers.get('To') ?? '')?.uri ?? '')
  const dest = [to ?? '', called].flatMap(one => e164Of(one) ?? [])
  const date = headers.get('Date')
  return {
    identities: crossing.identities,
    orig: orig === null ? null : digitsOf(orig),
    dest: dest.map(digitsOf),
    date: date === undefined ? null : Date.parse(date),
    at
  }
}

/** What the peer says itself, where that was agreed: Attestation-Info, Origination-Id, verstat (STIR-02, STIR-05). */
function heardFrom(headers: Headers, peer: Peer): TellsOfCaller {
  const heard = (name: 'Attestation-Info' | 'Origination-Id'): string | null =>
    peer.heard.has(name) ? (headers.get(name)?.trim() ?? null) : null
  const told = heard('Attestation-Info')
  const id = heard('Origination-Id')
  return {
    attest: attestations.find(one => one === told) ?? null,
    originationId: id !== null && isUuid(id) ? id : null,
    verstat: verstatIn(headers, peer)
  }
}

/** Only from inside the trust domain, and as agreed; whatever others write never gets past the border. */
function verstatIn(headers: Headers, peer: Peer): LegFacts['verstat'] {
  if (!peer.heard.has('P-Asserted-Identity')) return null
  for (const value of headers.all('P-Asserted-Identity').slice(0, 4)) {
    if (!mayName(value, verstatOnly)) continue
    const said = numberParamsOf(parseNameAddr(value)?.uri ?? '', peer, verstatOnly).get('verstat')
    const known = verstats.find(one => one === said)
    if (known !== undefined) return known
  }
  return null
}

const verstatOnly = ['verstat'] as const

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/** What is no Identity header field, too long or too many is left out. */
const passable = (identities: readonly string[]): readonly string[] =>
  identities
    .filter(value => value.length <= stirLimits.identityBytesMax && parseIdentity(value) !== null)
    .slice(0, stirLimits.identitiesMax)

/** What the hub can say of the caller: A to C by how its number was proven (STIR-06). */
function claimsOf(
  { hub, clock, attestByProof, proofOf }: StirParts,
  { headers, targetUri, crossing }: Leaving
): (Claims & { readonly attest: Attestation; readonly origid: string }) | null {
  const orig = numberIn(headers['P-Asserted-Identity']) ?? numberIn(headers['From'])
  const dest = e164Of(targetUri)
  if (orig === null || dest === null) return null
  const known = crossing === null ? proofOf(orig) : null
  // A gateway vouches for nothing but where the call came in.
  const attest = crossing !== null ? 'C' : ((known === null ? undefined : attestByProof[known.proof]) ?? 'B')
  const origid = nameOf(`${hub.domain} ${crossing?.from ?? known?.islandId ?? 'hub'}`)
  const iat = Math.floor(clock.now() / 1_000)
  return { orig: digitsOf(orig), dest: [digitsOf(dest)], iat, attest, origid, div: null }
}

const numberIn = (value: string | undefined): string | null =>
  e164Of(identityOf(parseNameAddr(value ?? '')?.uri ?? '') ?? '')

/** A UUID of its own for each provider behind the hub, which names nobody (RFC 9562, 5.5). */
function nameOf(text: string): string {
  const hash = createHash('sha1').update('isthmus-origid ').update(text).digest().subarray(0, 16)
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** For a peer that signs by itself what it is told (TS 24.229, 7.2.18 and 7.2.19). */
function toldOf({ attest, origid }: { attest: Attestation; origid: string }, { told }: Peer): Fields {
  return {
    ...(told.has('Attestation-Info') ? { 'Attestation-Info': attest } : {}),
    ...(told.has('Origination-Id') ? { 'Origination-Id': origid } : {})
  }
}

/** A token counts with the Date of its request (RFC 8224, 4.1). */
function dated(headers: Fields, now: number): Fields {
  const age = Math.abs(now - Date.parse(headers['Date'] ?? ''))
  return age <= stirLimits.freshMs ? {} : { Date: new Date(now).toUTCString() }
}

const identityFor = (said: ToSign, key: KeyObject): string => printIdentity(signPassport(said, key), said.x5u, said.ppt)

/** A call that came signed for one number and leaves for another: who has led it there signs for that (STIR-07). */
function divertedBy(
  { signing, clock }: StirParts,
  { targetUri, origin }: Leaving,
  passed: readonly string[]
): readonly string[] {
  const to = e164Of(targetUri)
  const from = e164Of(identityOf(origin.calledRaw ?? '') ?? '')
  if (signing === null || to === null || from === null || to === from) return []
  const orig = passed
    .map(value => parsePassport(parseIdentity(value)?.token ?? ''))
    .flatMap(read => (read.ok && read.value.ppt !== 'div' ? [read.value.claims.orig] : []))[0]
  if (orig === undefined) return []
  const iat = Math.floor(clock.now() / 1_000)
  const claims = { orig, dest: [digitsOf(to)], iat, attest: null, origid: null, div: digitsOf(from) }
  return [identityFor({ ppt: 'div', x5u: signing.x5u, claims }, signing.key)]
}
