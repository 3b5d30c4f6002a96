// The CDR contract: one record per leg, as it stands in the journal, the event log and the topic `isthmus.cdr.v1`.
// Field names and their 3GPP equivalents: TS 32.298, listed in docs/cdr.md.

import { z } from 'zod'

const epochMs = z.int().min(0)
const count = z.int().min(0)

export const streamRecord = z.strictObject({
  type: z.enum(['audio', 'video']),
  /** Towards this leg and from the other one; equal where nothing was transcoded. */
  codec: z.string().nullable(),
  transcoded: z.boolean(),
  pkts_received: count,
  bytes_received: count,
  pkts_sent: count,
  bytes_sent: count,
  pkts_lost: count,
  jitter_ms: z.number().min(0).nullable()
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
  trust: z.enum(['network', 'user']),
  calling: z.string().nullable(),
  calling_raw: z.string().nullable(),
  called: z.string(),
  dialled: z.string(),
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
  /** True: written by recovery after a crash, billed to the last heartbeat. */
  incomplete: z.boolean(),
  emergency: z.boolean(),
  media: z.array(streamRecord)
})
export type CdrBody = z.infer<typeof cdrBody>

/** As the journal's single writer leaves it: numbered without gaps per node incarnation, and chained. */
export const cdrRecord = z.strictObject({
  schema_version: z.literal(1),
  hub_id: z.string(),
  node_id: z.string(),
  seq: z.int().min(1),
  prev_hash: z.hex().length(64),
  hash: z.hex().length(64),
  ...cdrBody.shape
})
export type CdrRecord = z.infer<typeof cdrRecord>
