// What every part of the configuration is made of: ports, names, numbers, amounts, codecs, limits.

import { z } from 'zod'

export const port = z.int().min(0).max(65_535)
export const host = z.string().min(1)
export const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens')
/** RFC 7315 5.6: a name of letters and digits, dots between its parts. */
export const ioi = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/)
export const e164 = z.string().regex(/^\+[1-9][0-9]{1,14}$/, 'an E.164 number such as +4930123456')
/** RFC 5031. */
export const emergencyService = z
  .string()
  .regex(/^urn:service:sos(\.[a-z0-9-]+)*$/, 'urn:service:sos, or a service below it')
export const prefix = z.string().regex(/^\+([1-9][0-9]{0,14})?$/, 'an E.164 prefix such as +49')
export const amount = z.string().regex(/^[0-9]{1,12}(\.[0-9]{1,9})?$/, 'an amount as text, such as "0.0123"')
export const codec = z.enum(['opus', 'PCMA', 'PCMU', 'G722', 'AMR', 'AMR-WB', 'telephone-event', 'VP8', 'H264'])
export const callLimits = z
  .strictObject({ callsMax: z.int().min(1).default(1_000), callsPerSecondMax: z.int().min(1).default(100) })
  .prefault({})
export const tls = z.strictObject({ certFile: z.string(), keyFile: z.string(), caFile: z.string().optional() })

/** With certificates for other names that a client may ask for (SNI). */
export const sipTls = tls.extend({
  named: z.array(z.strictObject({ name: host, certFile: z.string(), keyFile: z.string() })).default([])
})

export const sipTransport = z.enum(['udp', 'tcp', 'tls'])
