// Tells once when an account runs low: at so much of its limit (COM-04), or with so little left of what was paid in.

import type { Logger } from '../../log.ts'
import type { Agreement } from '../agreements.ts'
import { printAmount } from '../money.ts'
import type { Account } from './steps.ts'

/** An account is told of again only after it was this much better, in percent of the threshold. */
const betterPercent = 10n

export interface Alarms {
  look(accounts: Iterable<Account>): void
}

export function createAlarms(agreements: ReadonlyMap<string, Agreement>, log: Logger): Alarms {
  const told = new Set<string>()
  return {
    look(accounts) {
      for (const account of accounts) {
        const agreement = agreements.get(account.agreementId)
        const state = agreement === undefined ? null : stateOf(agreement, account)
        if (agreement === undefined || state === null) continue
        const { id } = agreement
        if (state.isGood) told.delete(id)
        if (!state.isLow || told.has(id)) continue
        told.add(id)
        const { currency } = agreement
        log.warn({ alarm: 'credit-low', agreement: id, currency, ...state.facts }, 'an account runs low')
      }
    }
  }
}

interface State {
  readonly isLow: boolean
  readonly isGood: boolean
  readonly facts: Readonly<Record<string, string>>
}

/** Null: nothing is to be told of such an account. */
function stateOf({ credit, creditLimitMicros: limit }: Agreement, account: Account): State | null {
  const left = account.balanceMicros - account.reservedMicros
  if (credit.advance) {
    const low = credit.lowBalanceMicros
    if (low === null) return null
    return {
      isLow: left < low,
      isGood: left * 100n >= low * (100n + betterPercent),
      facts: { left: printAmount(left) }
    }
  }
  if (limit === null) return null
  const threshold = limit * credit.warnPercent
  const exposure = -left
  return {
    isLow: exposure * 100n >= threshold,
    isGood: exposure * 100n * 100n < threshold * (100n - betterPercent),
    facts: { exposure: printAmount(exposure), limit: printAmount(limit) }
  }
}
