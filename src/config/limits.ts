// How far the hub goes while nothing is cleared.

import { z } from 'zod'

export const limits = z
  .strictObject({
    /** Calls go on for so long while the event log or the database is away. */
    blindMinutes: z.int().min(0).max(10_080).default(60),
    /** And up to that sum of calls that have ended meanwhile, in each currency. */
    blindAmount: z
      .string()
      .regex(/^[0-9]{1,12}(\.[0-9]{1,6})?$/, 'an amount as text, such as "1000.00"')
      .default('1000')
  })
  .prefault({})
