// When the border refuses new calls because there are too many: part of the configuration of the NNI.

import { z } from 'zod'

export const overload = z
  .strictObject({
    /** RFC 7339: neighbours hear how much to hold back, and what they ask for is done. */
    takePart: z.boolean().default(true),
    /** How late the event loop may be. */
    lagMsMax: z.int().min(20).max(60_000).default(300),
    /** Requests that have no answer yet. */
    unansweredMax: z.int().min(1).default(10_000),
    /** New requests a second that every operator may send, however busy the hub is. */
    operatorPerSecondMin: z.int().min(0).default(10)
  })
  .prefault({})
