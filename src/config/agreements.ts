// The agreements of the configuration and their rates.

import { z } from 'zod'
import { amount, id, prefix } from './basics.ts'

const band = z.strictObject({
  days: z.array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])).min(1),
  from: z.string().regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/),
  to: z.string().regex(/^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/),
  rate: amount
})
const rate = z.strictObject({
  prefix,
  destination: z.string().min(1),
  rate: amount,
  setupFee: amount.default('0'),
  minimumSeconds: z.int().min(0).default(0),
  initialSeconds: z.int().min(1).default(1),
  nextSeconds: z.int().min(1).default(1),
  bands: z.array(band).default([]),
  effectiveFrom: z.iso.datetime().default('2020-01-01T00:00:00Z'),
  effectiveTo: z.iso.datetime().optional()
})
export const agreement = z.strictObject({
  id,
  /** Two parties, one of which may be `hub` (CLR-01): the buyer pays the seller for traffic it sends. */
  buyer: id,
  seller: id,
  service: z.enum(['voice', 'video', 'message']).default('voice'),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default('EUR'),
  timeZone: z.string().default('UTC'),
  rounding: z
    .strictObject({
      seconds: z.enum(['up', 'down', 'half']).default('up'),
      scale: z.int().min(0).max(6).default(6),
      mode: z.enum(['half-up', 'half-even', 'up', 'down']).default('half-up')
    })
    .prefault({}),
  attemptFee: amount.default('0'),
  rates: z.array(rate).min(1)
})
