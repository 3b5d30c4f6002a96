// What clearing tells others: the charge of a record, and a record that it turned away. One message each.

import { z } from 'zod'

/** In `isthmus.charge.v1`, keyed by call. A message may come again; `cdr_id` says which ones are the same. */
export const chargeMessage = z.strictObject({
  schema_version: z.literal(1),
  cdr_id: z.uuid(),
  call_id: z.uuid(),
  leg: z.enum(['ingress', 'egress']),
  attempt: z.int().min(1),
  side: z.string(),
  rule: z.string(),
  agreement_id: z.string().nullable(),
  rate_id: z.string().nullable(),
  destination: z.string().nullable(),
  currency: z.string().nullable(),
  billed_units: z.int().min(0),
  /** A decimal with six digits after the point. */
  amount: z.string().regex(/^[0-9]+\.[0-9]{6}$/),
  /** The local day of the agreement. */
  day: z.iso.date()
})
export type ChargeMessage = z.infer<typeof chargeMessage>

/** In `isthmus.cdr.rejected.v1`, keyed by call where the record names one. `content_hash` says which are the same. */
export const rejectedMessage = z.strictObject({
  schema_version: z.literal(1),
  content_hash: z.string(),
  reason: z.enum(['invalid', 'second-final', 'changed']),
  detail: z.string(),
  /** As it came, as text. */
  record: z.string(),
  topic: z.string()
})
export type RejectedMessage = z.infer<typeof rejectedMessage>
