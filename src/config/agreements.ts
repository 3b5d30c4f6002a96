// The agreements of the configuration: parties, model, terms of money and time, and the rates that need no deck.

import { z } from 'zod'
import { amount, id, prefix } from './basics.ts'

/** Who pays whom for what (`docs/clearing.md`, Models). */
export const agreementModels = [
  'cascade',
  'calling-party-pays',
  'bill-and-keep',
  'per-message',
  'volume',
  'revenue-share',
  'bulk-commitment',
  'prepaid',
  'freemium'
] as const
export type AgreementModel = (typeof agreementModels)[number]

export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const

const share = z.string().regex(/^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$/, 'a share from "0" to "1", such as "0.60"')
const percent = z.string().regex(/^[0-9]{1,3}(\.[0-9]{1,6})?$/, 'a percentage as text, such as "1.5"')
const name = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a name of lower-case letters, digits and hyphens')
const units = z.int().min(0).max(1e12)
const seconds = z.int().max(86_400)

const times = z.strictObject({
  days: z.array(z.enum([...weekdays, 'holiday'])).min(1),
  from: z.string().regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/),
  to: z.string().regex(/^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/)
})
const rate = z.strictObject({
  prefix,
  destination: z.string().min(1),
  origin: name.optional(),
  quality: name.optional(),
  rate: amount,
  setupFee: amount.default('0'),
  minimumSeconds: seconds.min(0).default(0),
  initialSeconds: seconds.min(1).default(1),
  nextSeconds: seconds.min(1).default(1),
  bands: z.array(times.extend({ rate: amount })).default([]),
  effectiveFrom: z.iso.datetime().default('2020-01-01T00:00:00Z'),
  effectiveTo: z.iso.datetime().optional(),
  blocked: z.boolean().default(false)
})

const rounding = z.strictObject({
  seconds: z.enum(['up', 'down', 'half']).default('up'),
  /** `period`: seconds are added up over the period and then rounded up to `periodUnitSeconds` (RATE-08). */
  scope: z.enum(['call', 'period']).default('call'),
  periodUnitSeconds: z.int().min(1).max(3_600).default(60),
  scale: z.int().min(0).max(6).default(6),
  mode: z.enum(['half-up', 'half-even', 'up', 'down']).default('half-up'),
  /** Where an amount is rounded to the currency's minor unit. */
  stage: z.enum(['line', 'invoice']).default('line'),
  /** Which band prices an increment that two bands share. */
  bands: z.enum(['increment-start', 'rate-at-start', 'seconds-split']).default('increment-start'),
  uplift: z.enum(['exact', 'rounded']).default('exact')
})

/** What a model needs besides rates. */
const models = {
  volume: z
    .strictObject({
      freeUnits: units.default(0),
      /** `graduated`: each unit by the tier it falls into; `all`: the tier that is reached prices all of them. */
      prices: z.enum(['graduated', 'all']).default('graduated'),
      tiers: z.array(z.strictObject({ upTo: units.optional(), rate: amount })).min(1)
    })
    .optional(),
  freemium: z.strictObject({ freeUnits: units }).optional(),
  revenueShare: z.strictObject({ share }).optional(),
  commitment: z
    .strictObject({ units, rate: amount, overageRate: amount, carryForward: z.boolean().default(false) })
    .optional(),
  billAndKeep: z
    .strictObject({
      /** The agreement for the traffic of the other direction. */
      with: id,
      threshold: share,
      netRate: amount,
      pays: z.enum(['all', 'excess']).default('excess'),
      periods: z.int().min(1).max(12).default(1)
    })
    .optional()
} as const

export const agreement = z.strictObject({
  id,
  /** Two parties, one of which may be `hub` (CLR-01): the buyer pays the seller for traffic it sends. */
  buyer: id,
  seller: id,
  service: z.enum(['voice', 'video', 'message']).default('voice'),
  /** Cascade where the hub is a party, calling-party-pays where not. */
  model: z.enum(agreementModels).optional(),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default('EUR'),
  timeZone: z.string().default('UTC'),
  calendar: z.enum(['month', 'quarter', 'week']).default('month'),
  /** Which moment of a call decides its period. */
  periodOf: z.enum(['answer', 'end']).default('answer'),
  rounding: rounding.prefault({}),
  attemptFee: amount.default('0'),
  ...models,
  tolerance: z
    .strictObject({
      percent: percent.default('1'),
      floor: amount.default('0'),
      of: z.enum(['own', 'larger']).default('own')
    })
    .prefault({}),
  disputeDays: z.int().min(0).max(730).default(60),
  paymentDays: z.int().min(0).max(365).default(30),
  /** Not given: no limit. */
  creditLimit: amount.optional(),
  noticeDays: z.int().min(0).max(365).default(7),
  holidays: z.array(z.iso.date()).max(1_000).default([]),
  /** Times that a deck names; what none of them covers is `off`. */
  timeClasses: z.record(name, z.array(times).min(1)).default({}),
  /** Sets of callers that a deck names, by prefix; a caller without a valid number is `unknown`. */
  origins: z.record(name, z.array(prefix).min(1)).default({}),
  qualityClass: name.optional(),
  /** For a class that has no row of its own: what is added to the amount, "0.25" for a quarter. */
  qualityUplift: z.record(name, amount).default({}),
  rates: z.array(rate).default([])
})
