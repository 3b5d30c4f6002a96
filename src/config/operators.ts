// The operators of the configuration: peers of the NNI.

import { z } from 'zod'
import { callLimits, codec, host, id, ioi, port, prefix, sipTransport } from './basics.ts'

export const operator = z.strictObject({
  id,
  enabled: z.boolean().default(true),
  provider: id.optional(),
  /** Where requests go. */
  address: z.strictObject({ host, port: port.default(5060), transport: sipTransport.default('udp') }),
  /** Where requests may come from: IP addresses or CIDR blocks. The address above is always among them. */
  sources: z.array(z.string()).default([]),
  /** Names in its client certificate, any of which proves it on TLS (RFC 5922). */
  certificateNames: z.array(z.string().min(1)).default([]),
  /** The domain written in Request-URI and To towards this peer; the address's host unless named. */
  domain: host.optional(),
  trust: z.enum(['network', 'user']).default('user'),
  ioi: ioi.optional(),
  /** Numbers reached through this operator, longest prefix first, then priority and weight. */
  routes: z
    .array(z.strictObject({ prefix, priority: z.int().min(0).default(1), weight: z.int().min(1).default(1) }))
    .default([]),
  codecs: z.array(codec).min(1).default(['PCMA', 'PCMU', 'telephone-event']),
  allowOfferless: z.boolean().default(true),
  messages: z.boolean().default(true),
  keepaliveMs: z.int().min(0).default(30_000),
  limits: callLimits
})
