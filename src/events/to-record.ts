// From what the session core says of a leg to the record that leaves the hub. Pure; every text has a bound, so that a
// record always fits its slot.

import { isE164, isTelE164 } from '../session/dial-plan.ts'
import { isEmergency } from '../session/emergency.ts'
import type { Cdr, StreamStats } from '../session/model.ts'
import { closingOf } from './cdr.ts'
import type { CdrBody } from './cdr.ts'
import { countryCodeOf } from './country-code.ts'

/** Bytes of the text as JSON. Names are the record's. */
export const recordLimits = {
  icid: 128,
  icid_generated_at: 64,
  ioi: 40,
  transitIoisMax: 3,
  sip_call_id: 112,
  session_id_hdr: 72,
  provider: 64,
  trunk: 64,
  neighbour_addr: 48,
  calling: 112,
  called: 112,
  called_raw: 56,
  rn: 32,
  dest_code: 24,
  dest_name: 40,
  agreement_id: 64,
  version: 24,
  quality_class: 16,
  cause: 32,
  reason: 88,
  codec: 16,
  streamsMax: 2
} as const

export interface Naming {
  /** Fresh for each record, in order of time. */
  readonly cdrId: string
  /** The commercial party of a peer. */
  readonly providerOf: (peerId: string) => string
}

/** A message's record is an event; it is charged when the other side took it (MSG-09). */
export function toRecord(cdr: Cdr, { cdrId, providerOf }: Naming): CdrBody {
  const { facts, origin, terms, release, charging } = cdr
  const isMessage = cdr.service === 'message'
  const answered = cdr.answeredAt !== null
  const duration_ms = answered ? count(cdr.durationMs) : 0
  const calling = cdr.calling === null ? null : bounded(numberOf(cdr.calling), recordLimits.calling)
  // One literal: put together from parts it takes several times as long.
  return {
    cdr_id: cdrId,
    call_id: cdr.callId,
    leg: cdr.leg,
    attempt: Math.max(1, count(cdr.attempt)),
    partial_seq: count(cdr.partialSeq),
    kind: cdr.kind,
    record_type: isMessage ? 'event' : 'session',
    service: cdr.service,
    icid: bounded(charging.icid, recordLimits.icid) || 'unknown',
    icid_generated_at: bounded(charging.generatedAt, recordLimits.icid_generated_at),
    orig_ioi: boundedOrNull(facts.origIoi, recordLimits.ioi),
    term_ioi: boundedOrNull(facts.termIoi, recordLimits.ioi),
    transit_ioi: facts.transitIoi.slice(0, recordLimits.transitIoisMax).map(ioi => bounded(ioi, recordLimits.ioi)),
    sip_call_id: boundedOrNull(facts.dialogId, recordLimits.sip_call_id),
    session_id_hdr: boundedOrNull(facts.traceId, recordLimits.session_id_hdr),
    direction: cdr.leg === 'ingress' ? 'inbound' : 'outbound',
    provider: bounded(providerOf(cdr.peerId), recordLimits.provider),
    other_provider: cdr.otherPeerId === null ? null : bounded(providerOf(cdr.otherPeerId), recordLimits.provider),
    trunk: bounded(cdr.peerId, recordLimits.trunk),
    access: cdr.access,
    neighbour_addr: boundedOrNull(facts.neighbour, recordLimits.neighbour_addr),
    trust: cdr.trust,
    calling_trust: cdr.callingTrust,
    calling,
    calling_raw: boundedOrNull(cdr.callingRaw, recordLimits.calling),
    orig_cc: countryCodeOf(calling),
    // What this leg was told, or told, goes before what the caller's leg was told.
    attest: facts.attest ?? origin.attest,
    verstat: facts.verstat ?? origin.verstat,
    called: bounded(numberOf(cdr.called), recordLimits.called),
    called_raw: boundedOrNull(origin.calledRaw, recordLimits.called_raw),
    dialled: bounded(numberOf(cdr.dialled), recordLimits.called),
    rn: boundedOrNull(origin.rn, recordLimits.rn),
    npdi: origin.npdi,
    dest_code: boundedOrNull(terms?.destCode, recordLimits.dest_code),
    dest_name: boundedOrNull(terms?.destName, recordLimits.dest_name),
    agreement_id: boundedOrNull(terms?.agreementId, recordLimits.agreement_id),
    agreement_version: boundedOrNull(terms?.agreementVersion, recordLimits.version),
    deck_version: boundedOrNull(terms?.deckVersion, recordLimits.version),
    quality_class: boundedOrNull(terms?.qualityClass, recordLimits.quality_class),
    t_request: count(cdr.requestedAt),
    t_alert: countOrNull(cdr.alertedAt),
    t_answer: countOrNull(cdr.answeredAt),
    t_end: count(cdr.endedAt),
    duration_ms,
    units: isMessage ? Number(answered) : secondsOf(duration_ms),
    unit_type: isMessage ? 'messages' : 'seconds',
    cause: boundedOrNull(release?.cause, recordLimits.cause),
    final_code: countOrNull(release?.sip),
    q850: countOrNull(release?.q850),
    reason: boundedOrNull(release?.text, recordLimits.reason),
    release_side: release?.from ?? null,
    cause_closing: closingOfCdr(cdr),
    partial: cdr.kind !== 'final',
    incomplete: false,
    emergency: isEmergency(cdr.called) || isEmergency(cdr.dialled),
    fraud_flags: [],
    media: cdr.media.slice(0, recordLimits.streamsMax).map((stream, at) => streamOf(stream, at, cdr))
  }
}

const closingOfCdr = ({ kind, answeredAt, release }: Cdr): CdrBody['cause_closing'] =>
  closingOf({ kind, t_answer: answeredAt, cause: release?.cause ?? null, release_side: release?.from ?? null })

/** Begun seconds; what an agreement bills is its own matter. */
export const secondsOf = (durationMs: number): number => Math.ceil(durationMs / 1_000)

const streamOf = (
  stream: StreamStats,
  at: number,
  { otherMedia, dscp, bandwidthKbpsMax }: Cdr
): CdrBody['media'][number] => ({
  type: stream.kind,
  codec: boundedOrNull(stream.codec, recordLimits.codec),
  codec_other: boundedOrNull(otherMedia[at]?.codec ?? null, recordLimits.codec),
  // What is not anchored has no counters, and so no stream here.
  gw_inserted: true,
  transcoded: stream.transcoded,
  pkts_received: count(stream.packetsReceived),
  bytes_received: count(stream.bytesReceived),
  pkts_sent: count(stream.packetsSent),
  bytes_sent: count(stream.bytesSent),
  pkts_lost: count(stream.packetsLost),
  jitter_ms: measured(stream.jitterMs, delayMsMax),
  rtt_ms: measured(stream.rttMs, delayMsMax),
  mos: measured(stream.mos, 5),
  dscp: dscp === null ? null : Math.min(count(dscp), 63),
  // Nobody asks an operator's policy for a class of its own yet.
  qci: null,
  auth_kbps: bandwidthKbpsMax === null ? null : count(bandwidthKbpsMax)
})

const delayMsMax = 3_600_000
/** To the thousandth. Plus zero: -0 would not survive JSON. */
const measured = (value: number | null, max: number): number | null =>
  value === null || !(value >= 0) ? null : Math.round(Math.min(value, max) * 1_000) / 1_000 + 0

/** The E.164 number of a tel or sip URI; anything else stays as it is. */
export function numberOf(uri: string): string {
  // Canonical already, as nearly all are.
  if (isTelE164(uri)) return uri.slice('tel:'.length)
  const [, scheme = '', user = ''] = /^(tel|sips?):([^@;?>]*)/i.exec(uri.trim()) ?? []
  if (scheme === '' || (scheme.toLowerCase() !== 'tel' && !uri.includes('@'))) return uri
  const number = decoded(user).replaceAll(/[-.() ]/g, '')
  return isE164(number) ? number : uri
}

function decoded(user: string): string {
  try {
    return decodeURIComponent(user)
  } catch {
    return user
  }
}

/** A count that came from outside: whole, and never below zero. */
const count = (value: number): number =>
  Number.isFinite(value) ? Math.min(Math.max(Math.round(value), 0), Number.MAX_SAFE_INTEGER) : 0
const countOrNull = (value: number | null | undefined): number | null =>
  value === null || value === undefined ? null : count(value)

const boundedOrNull = (text: string | null | undefined, bytesMax: number): string | null =>
  text === null || text === undefined ? null : bounded(text, bytesMax)

/** No control characters and no half characters, which PostgreSQL would refuse; and not longer than the bound. */
export function bounded(text: string, bytesMax: number): string {
  if (text.length <= bytesMax && isPlain(text)) return text
  const clean = text
    .slice(0, bytesMax)
    .replaceAll(/\p{Cc}/gu, ' ')
    .toWellFormed()
  // No UTF-16 unit takes more than three bytes.
  if (clean.length * 3 <= bytesMax || jsonBytes(clean) <= bytesMax) return clean
  let kept = ''
  let bytes = 0
  for (const character of clean) {
    bytes += jsonBytes(character)
    if (bytes > bytesMax) break
    kept += character
  }
  return kept
}

/** Every character is one byte, and the same one in JSON. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < space || code > tilde || code === quote || code === backslash) return false
  }
  return true
}
const [space, quote, backslash, tilde] = [32, 34, 92, 126] as const

const jsonBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - 2
