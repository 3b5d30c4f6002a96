// How long numbers are kept, and how they are hidden where nobody needs them (EOS-05).

import { z } from 'zod'

const days = z.int().min(1).max(3_650)

export const privacy = z
  .strictObject({
    /** After so many days `isthmus privacy purge` takes the numbers out of a record; not given: they stay. */
    retentionDays: days.optional(),
    /** For records with a number of a country, by its calling code; of several countries the longest counts. */
    retentionDaysOf: z
      .record(z.string().regex(/^[1-9][0-9]{0,2}$/, 'a country calling code such as "49"'), days)
      .default({}),
    /** What makes pseudonyms of numbers: the same number is the same pseudonym while the key stays. */
    pseudonymKeyEnv: z.string().min(1).optional(),
    pseudonymKeyFile: z.string().min(1).optional()
  })
  .prefault({})
