// The audit chain of a node's records (EOS-04): each hash covers the record and the hash before it.

import { hash as digest } from 'node:crypto'
import { asWritten, schemaVersion } from './cdr.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'

/** What the first record of a node follows. */
export const genesis = '0'.repeat(64)

/** JSON with sorted keys and no spaces: the same text whatever order a store gave the keys back in (RFC 8785). */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const fields = value as Readonly<Record<string, unknown>>
  let text = ''
  // The default order of sort is that of UTF-16 code units, as RFC 8785 asks.
  for (const name of Object.keys(fields).sort()) {
    text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${canonical(fields[name])}`
  }
  return text === '' ? '{}' : `${text}}`
}

type Numbered = Omit<CdrRecord, 'prev_hash' | 'hash'>
type Stream = CdrBody['media'][number]

/** Fields in the order of their names: what JSON.stringify says of it is what `canonical` says, ten times as fast. */
function numberedOf(body: CdrBody, { hubId, nodeId, seq }: Omit<Place, 'previous'>): Numbered {
  return {
    access: body.access,
    agreement_id: body.agreement_id,
    agreement_version: body.agreement_version,
    attempt: body.attempt,
    attest: body.attest,
    call_id: body.call_id,
    called: body.called,
    called_raw: body.called_raw,
    calling: body.calling,
    calling_raw: body.calling_raw,
    calling_trust: body.calling_trust,
    cause: body.cause,
    cause_closing: body.cause_closing,
    cdr_id: body.cdr_id,
    deck_version: body.deck_version,
    dest_code: body.dest_code,
    dest_name: body.dest_name,
    dialled: body.dialled,
    direction: body.direction,
    duration_ms: body.duration_ms,
    emergency: body.emergency,
    final_code: body.final_code,
    fraud_flags: body.fraud_flags,
    hub_id: hubId,
    icid: body.icid,
    icid_generated_at: body.icid_generated_at,
    incomplete: body.incomplete,
    kind: body.kind,
    leg: body.leg,
    media: body.media.map(streamOf),
    neighbour_addr: body.neighbour_addr,
    node_id: nodeId,
    npdi: body.npdi,
    orig_cc: body.orig_cc,
    orig_ioi: body.orig_ioi,
    other_provider: body.other_provider,
    partial: body.partial,
    partial_seq: body.partial_seq,
    provider: body.provider,
    q850: body.q850,
    quality_class: body.quality_class,
    reason: body.reason,
    record_type: body.record_type,
    release_side: body.release_side,
    rn: body.rn,
    schema_version: schemaVersion,
    seq,
    service: body.service,
    session_id_hdr: body.session_id_hdr,
    sip_call_id: body.sip_call_id,
    t_alert: body.t_alert,
    t_answer: body.t_answer,
    t_end: body.t_end,
    t_request: body.t_request,
    term_ioi: body.term_ioi,
    transit_ioi: body.transit_ioi,
    trunk: body.trunk,
    trust: body.trust,
    unit_type: body.unit_type,
    units: body.units,
    verstat: body.verstat
  }
}

/** As `numberedOf`. */
const streamOf = (stream: Stream): Stream => ({
  auth_kbps: stream.auth_kbps,
  bytes_received: stream.bytes_received,
  bytes_sent: stream.bytes_sent,
  codec: stream.codec,
  codec_other: stream.codec_other,
  dscp: stream.dscp,
  gw_inserted: stream.gw_inserted,
  jitter_ms: stream.jitter_ms,
  mos: stream.mos,
  pkts_lost: stream.pkts_lost,
  pkts_received: stream.pkts_received,
  pkts_sent: stream.pkts_sent,
  qci: stream.qci,
  rtt_ms: stream.rtt_ms,
  transcoded: stream.transcoded,
  type: stream.type
})

const hashed = (previous: string, text: string): string => digest('sha256', previous + text, 'hex')

export interface Place {
  readonly hubId: string
  readonly nodeId: string
  readonly seq: number
  readonly previous: string
}

export interface Chained {
  readonly record: CdrRecord
  /** The whole record as UTF-8. */
  readonly json: Buffer
  /** The same with what was to stand behind it. */
  readonly stored: Buffer
}

/** A body in its place in the chain. `end`, of ASCII, stands behind it where it is stored. */
export function chained(body: CdrBody, place: Place, end = ''): Chained {
  const { previous } = place
  const numbered = numberedOf(body, place)
  // Encoded once, for the hash and for whoever stores it.
  const covered = encoded(previous, JSON.stringify(numbered))
  const hash = digest('sha256', covered, 'hex')
  const head = `{"hash":"${hash}","prev_hash":"${previous}",`
  const length = head.length + covered.length - previous.length - 1
  const stored = Buffer.allocUnsafe(length + end.length)
  stored.write(head, 0, 'latin1')
  covered.copy(stored, head.length, previous.length + 1)
  stored.write(end, length, 'latin1')
  const record = Object.assign(numbered, { prev_hash: previous, hash })
  return { record, json: stored.subarray(0, length), stored }
}

/** What a hash covers, in a buffer that the next call overwrites. */
function encoded(previous: string, text: string): Buffer {
  const most = previous.length + text.length * bytesOfUnit
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most)
  const at = scratch.write(previous, 0, 'latin1')
  return scratch.subarray(0, at + scratch.write(text, at, 'utf8'))
}
let scratch = Buffer.allocUnsafe(16_384)
/** No unit of UTF-16 takes more in UTF-8. */
const bytesOfUnit = 3

/** Whether a record is what its hash says, of whatever version. */
export function isIntact(record: CdrRecord): boolean {
  const { hash, prev_hash: previous, ...numbered } = asWritten(record)
  return hashed(previous, canonical(numbered)) === hash
}

/** Null, or the first thing wrong with consecutive records of one node, in words. */
export function chainFault(records: readonly CdrRecord[]): string | null {
  let last: CdrRecord | null = null
  for (const record of records) {
    if (!isIntact(record)) return `record ${record.seq} was changed`
    const why = last === null ? null : linkFault(last, record)
    if (why !== null) return why
    last = record
  }
  return null
}

/** What of a record makes it a link, also where the rest of it was erased (EOS-05). */
export type ChainLink = Pick<CdrRecord, 'node_id' | 'seq' | 'prev_hash' | 'hash'>

/** Null, or why one record of a node does not follow the other. */
export function linkFault(last: ChainLink, next: ChainLink): string | null {
  if (next.seq !== last.seq + 1) return `records are missing between ${last.seq} and ${next.seq}`
  return next.prev_hash === last.hash ? null : `record ${next.seq} does not follow ${last.seq}`
}
