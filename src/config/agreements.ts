// The agreements of the configuration: parties, model, terms of money and time, and the rates that need no deck.

import { z } from 'zod'
import { amount, id, prefix } from './basics.ts'
import { invoicing } from './money.ts'

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
  invoicing,
  disputeDays: z.int().min(0).max(730).default(60),
  paymentDays: z.int().min(0).max(365).default(30),
  /** Records that come so many days after theirs, after its period was closed, are stated no more (SET-07). */
  backBillingDays: z.int().min(0).max(730).default(180),
  /** Not given: no limit. */
  creditLimit: amount.optional(),
  /** What is asked before a call rings, and while it lasts (COM-02 to COM-04). */
  credit: z
    .strictObject({
      /** `advance`: out of what was paid in before; `later`: up to `creditLimit`. The model prepaid is `advance`. */
      paid: z.enum(['advance', 'later']).optional(),
      /** Reserved at once, and again before it is used up. */
      quantumSeconds: z.int().min(1).max(3_600).default(60),
      /** Held back from the beginning, and given when nothing else is left. */
      graceSeconds: z.int().min(0).max(600).default(0),
      /** What becomes of a live call while nobody can be asked. */
      onSilence: z.enum(['continue', 'end']).default('continue'),
      /** Alarm at so much of `creditLimit`, */
      warnPercent: z.int().min(1).max(100).default(80),
      /** or where less than this is left of what was paid in. */
      lowBalance: amount.optional(),
      /** What follows the free units of the model freemium. */
      afterFree: z.enum(['money', 'refuse']).default('money')
    })
    .prefault({}),
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
