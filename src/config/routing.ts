// Where numbers lead besides the prefixes of operators: ENUM (RFC 6116).

import { z } from 'zod'
import { host, prefix } from './basics.ts'

export const dnsServer = z.string().regex(/^[0-9.]+(:[0-9]+)?$|^\[?[0-9a-fA-F:.]+\]?(:[0-9]+)?$/)

export const routing = z
  .strictObject({
    /** Trees of numbers in the DNS: a number is looked up in that of its longest prefix. */
    enum: z
      .array(
        z.strictObject({
          prefix: prefix.default('+'),
          /** `e164.arpa`, or a tree of carriers. */
          suffix: host,
          /** With or without a port; empty: those of the system. */
          servers: z.array(dnsServer).default([]),
          /** One try of one server, and how many tries. */
          timeoutMs: z.int().min(50).max(10_000).default(500),
          tries: z.int().min(1).max(4).default(2),
          /** How long an answer is kept, and how long "nobody knows the number". */
          keptMs: z.int().min(1_000).max(3_600_000).default(30_000),
          unknownMs: z.int().min(0).max(3_600_000).default(10_000)
        })
      )
      .max(16)
      .default([])
  })
  .prefault({})
