// What looks like fraud, and what happens then: signals are on, blocking is off unless it is asked for (FRD-01).

import { z } from 'zod'
import { amount, prefix } from './basics.ts'

const minutes = z.int().min(1).max(1_440)
const calls = z.int().min(1).max(1_000_000)
const percent = z.int().min(0).max(100)
/** A rule blocks only where it says so. */
const block = z.boolean().default(false)
const enabled = z.boolean().default(true)

export const fraud = z
  .strictObject({
    enabled,
    /** How long a rule's block lasts. */
    blockMinutes: minutes.default(60),
    irsf: z
      .strictObject({
        enabled,
        block,
        /** What one provider may spend on one destination, in each currency. */
        fiveMinutes: amount.default('50'),
        hour: amount.default('200'),
        day: amount.default('1000'),
        /** Numbers of revenue share, test numbers, unallocated ranges. */
        ranges: z.array(prefix).max(100_000).default([]),
        /** So many calls to these ranges in an hour. */
        rangeCalls: calls.default(5)
      })
      .prefault({}),
    wangiri: z
      .strictObject({
        enabled,
        block,
        /** Rings no longer, then the caller hangs up. */
        ringMsMax: z.int().min(0).max(60_000).default(3_000),
        windowMinutes: minutes.default(10),
        /** So many called numbers of one range of callers: as many are remembered of each, */
        callees: z.int().min(2).max(10_000).default(30),
        /** and no more of its calls answered. */
        answeredPercentMax: percent.default(10)
      })
      .prefault({}),
    fas: z
      .strictObject({
        enabled,
        block,
        windowMinutes: minutes.default(60),
        /** So many answered calls to one destination of one provider, */
        answered: calls.default(20),
        /** and so many of them answered at once without ringing, silent, or given up by the caller. */
        suspectPercent: percent.default(60),
        answerMsMax: z.int().min(0).max(60_000).default(1_000),
        givenUpMsMax: z.int().min(0).max(60_000).default(10_000)
      })
      .prefault({}),
    spike: z
      .strictObject({
        enabled,
        block,
        windowMinutes: minutes.default(15),
        /** So many calls of one provider to one destination, */
        calls: calls.default(100),
        /** and so many times what is usual. */
        factor: z.int().min(2).max(1_000).default(5)
      })
      .prefault({})
  })
  .prefault({})
export type FraudConfig = z.infer<typeof fraud>
