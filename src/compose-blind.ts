// Composition of what the hub knows of its own blindness: since when nothing is cleared, and what that comes to.

import type { AgreementBook } from './clearing/agreements.ts'
import { createExposure } from './clearing/exposure.ts'
import type { Exposure } from './clearing/exposure.ts'
import { parseAmount } from './clearing/money.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import type { Blindness, BlindLimits } from './qos-policy/blind.ts'
import type { Database } from './store/database.ts'
import { createDatabaseProbe, probeLimits } from './store/probe.ts'
import type { DatabaseProbe } from './store/probe.ts'

export interface WatchedBlindness {
  readonly blindness: Blindness
  readonly limits: BlindLimits
  readonly exposure: Exposure
  readonly probe: DatabaseProbe
}

/** `logSince`: since when the event log takes nothing, null while it does. Blind is who lacks it or the database. */
export function watchBlindness(
  { limits }: Config,
  database: Database,
  book: AgreementBook,
  logSince: () => number | null,
  log: Logger
): WatchedBlindness {
  const probe = createDatabaseProbe(database, Date.now, probeLimits, reason => {
    if (reason === null) log.info('the database answers again')
    else log.error({ alarm: 'database-away', reason }, 'the database does not answer, or cannot be written to')
  })
  const since = (): number | null => {
    const moments = [logSince(), probe.downSince].filter(at => at !== null)
    return moments.length === 0 ? null : Math.min(...moments)
  }
  const exposure = createExposure(book, since)
  return {
    blindness: { since, amountMicros: () => exposure.amountMicros },
    limits: { blindMinutes: limits.blindMinutes, blindAmountMicros: parseAmount(limits.blindAmount) },
    exposure,
    probe
  }
}
