// The CDR contract: one record per leg, as it stands in the journal, the event log and the topic `isthmus.cdr.v1`.
// Field names and their 3GPP equivalents: TS 32.298, listed in docs/cdr.md.

import { z } from 'zod'
import { attestations, trusts, verstats } from '../session/model.ts'
import type { ReleaseCause } from '../session/model.ts'
import { countryCodeOf } from './country-code.ts'

const epochMs = z.int().min(0)
const count = z.int().min(0)

/** TS 32.298, causeForRecordClosing of the IMS records: 0, 1, 3, 4, 5. */
export const closings = [
  'service-end',
  'unsuccessful',
  'time-limit',
  'service-change',
  'management-intervention'
] as const
export type Closing = (typeof closings)[number]

/** Why a call looks suspicious; whoever finds that adds to the list. */
const fraudFlag = z.string().min(1)

export const streamRecord = z.strictObject({
  type: z.enum(['audio', 'video']),
  /** Of this leg, and of the other one; equal where nothing was transcoded. */
  codec: z.string().nullable(),
  codec_other: z.string().nullable(),
  transcoded: z.boolean(),
  /** The hub's anchor stands between the two legs. */
  gw_inserted: z.boolean(),
  pkts_received: count,
  bytes_received: count,
  pkts_sent: count,
  bytes_sent: count,
  pkts_lost: count,
  jitter_ms: z.number().min(0).nullable(),
  rtt_ms: z.number().min(0).nullable(),
  mos: z.number().min(0).nullable(),
  dscp: z.int().min(0).max(63).nullable(),
  qci: z.int().min(1).nullable(),
  auth_kbps: count.nullable()
})

/** What the hub knows before the outbox has numbered it. */
export const cdrBody = z.strictObject({
  /** UUIDv7: the idempotency key. */
  cdr_id: z.uuid(),
  call_id: z.uuid(),
  leg: z.enum(['ingress', 'egress']),
  attempt: z.int().min(1),
  partial_seq: count,
  /** `start` at answer, `interim` while it lasts, `final` once per leg and attempt. Only finals are charged. */
  kind: z.enum(['start', 'interim', 'final']),
  record_type: z.enum(['session', 'event']),
  service: z.enum(['voice', 'video', 'message']),
  icid: z.string().min(1),
  icid_generated_at: z.string(),
  orig_ioi: z.string().nullable(),
  term_ioi: z.string().nullable(),
  transit_ioi: z.array(z.string()),
  sip_call_id: z.string().nullable(),
  session_id_hdr: z.string().nullable(),
  direction: z.enum(['inbound', 'outbound']),
  /** The commercial party of this leg and of the other one (null: the call never got a target). */
  provider: z.string(),
  other_provider: z.string().nullable(),
  trunk: z.string(),
  access: z.enum(['nni', 'matrix', 'xmpp', 'sip-ws']),
  neighbour_addr: z.string().nullable(),
  /** Whether the neighbour of this leg is inside the trust domain (RFC 3325, 2.3). */
  trust: z.enum(trusts),
  /** Who vouches for `calling`. */
  calling_trust: z.enum(trusts),
  calling: z.string().nullable(),
  calling_raw: z.string().nullable(),
  /** Country calling code of `calling`; null where that is no E.164 number. */
  orig_cc: z.string().nullable(),
  attest: z.enum(attestations).nullable(),
  verstat: z.enum(verstats).nullable(),
  called: z.string(),
  /** As the caller dialled it, before anybody made it canonical. */
  called_raw: z.string().nullable(),
  dialled: z.string(),
  rn: z.string().nullable(),
  npdi: z.boolean(),
  /** Prefix and name of the row that priced this leg when the call was let in. */
  dest_code: z.string().nullable(),
  dest_name: z.string().nullable(),
  /** What else was checked then: rating may still find another version. */
  agreement_id: z.string().nullable(),
  agreement_version: z.string().nullable(),
  deck_version: z.string().nullable(),
  quality_class: z.string().nullable(),
  t_request: epochMs,
  t_alert: epochMs.nullable(),
  t_answer: epochMs.nullable(),
  t_end: epochMs,
  duration_ms: count,
  units: count,
  unit_type: z.enum(['seconds', 'messages']),
  cause: z.string().nullable(),
  final_code: z.int().nullable(),
  q850: z.int().nullable(),
  reason: z.string().nullable(),
  release_side: z.enum(['caller', 'callee', 'hub']).nullable(),
  cause_closing: z.enum(closings).nullable(),
  /** One of a chain: everything but a final. */
  partial: z.boolean(),
  /** True: written by recovery after a crash, billed to the last heartbeat. */
  incomplete: z.boolean(),
  emergency: z.boolean(),
  fraud_flags: z.array(fraudFlag),
  media: z.array(streamRecord)
})
export type CdrBody = z.infer<typeof cdrBody>

/** As the journal's single writer leaves it: numbered without gaps per node incarnation, and chained. */
const numbering = {
  hub_id: z.string(),
  node_id: z.string(),
  seq: z.int().min(1),
  prev_hash: z.hex().length(64),
  hash: z.hex().length(64)
} as const

/** The newest version: what is written. */
export const schemaVersion = 2
export const newestRecord = z.strictObject({ schema_version: z.literal(schemaVersion), ...numbering, ...cdrBody.shape })

const streamAdded = { codec_other: true, gw_inserted: true, rtt_ms: true, mos: true, dscp: true, qci: true } as const
export const firstStream = streamRecord.omit({ ...streamAdded, auth_kbps: true })
/** Version 1, as hubs before it wrote and hashed it. */
export const firstRecord = z.strictObject({
  schema_version: z.literal(1),
  ...numbering,
  ...cdrBody.omit({
    calling_trust: true,
    orig_cc: true,
    attest: true,
    verstat: true,
    called_raw: true,
    rn: true,
    npdi: true,
    dest_code: true,
    dest_name: true,
    agreement_id: true,
    agreement_version: true,
    deck_version: true,
    quality_class: true,
    cause_closing: true,
    partial: true,
    fraud_flags: true
  }).shape,
  media: z.array(firstStream)
})

/** Reads every version; what an older one does not say is null, empty or follows from the rest. */
export const anyRecord = z.discriminatedUnion('schema_version', [newestRecord, firstRecord.transform(upgraded)])
/** The same, compiled: clearing checks every record. What it refuses `anyRecord` looks at again, and says why. */
export const cdrRecord = z.compile(anyRecord, { strict: true })
export type CdrRecord = Omit<z.infer<typeof newestRecord>, 'schema_version'> & { readonly schema_version: 1 | 2 }

function upgraded(old: z.infer<typeof firstRecord>): CdrRecord {
  return {
    ...old,
    // It was the identity's.
    calling_trust: old.trust,
    orig_cc: countryCodeOf(old.calling),
    attest: null,
    verstat: null,
    called_raw: null,
    rn: null,
    npdi: false,
    dest_code: null,
    dest_name: null,
    agreement_id: null,
    agreement_version: null,
    deck_version: null,
    quality_class: null,
    cause_closing: closingOf(old),
    partial: old.kind !== 'final',
    fraud_flags: [],
    media: old.media.map(stream => ({ ...stream, ...streamUnknown }))
  }
}

const streamUnknown = {
  codec_other: null,
  gw_inserted: true,
  rtt_ms: null,
  mos: null,
  dscp: null,
  qci: null,
  auth_kbps: null
} as const

/** A record with the fields of its own version alone: what its hash covers. The order of fields is the version's. */
export function asWritten(record: CdrRecord): CdrRecord | z.infer<typeof firstRecord> {
  return record.schema_version === 1 ? firstForm.parse(record) : record
}
/** Leaves out what the version does not have. */
const firstForm = z.object({ ...firstRecord.shape, media: z.array(z.object(firstStream.shape)) })

/** Ended by trouble, not by anybody's will. */
const abnormal: ReadonlySet<string> = new Set<ReleaseCause>([
  'unreachable',
  'congestion',
  'media-lost',
  'peer-failed',
  'expired',
  'internal'
])

/** Null: the record is not closed. An answered call that was cut short was not delivered to its end. */
export function closingOf({
  kind,
  t_answer,
  cause,
  release_side
}: Pick<CdrBody, 'kind' | 't_answer' | 'cause' | 'release_side'>): Closing | null {
  if (kind === 'start') return null
  if (kind === 'interim') return 'time-limit'
  // The hub was told to stop.
  if (cause === 'unavailable' && release_side === 'hub') return 'management-intervention'
  return t_answer === null || (cause !== null && abnormal.has(cause)) ? 'unsuccessful' : 'service-end'
}
