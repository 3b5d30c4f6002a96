// What may still be done while nothing is cleared: calls go on upon the local journal for so long and up to so much,
// then new ones are refused and told why; who pays in advance is refused at once (EOS-01).

import { isEmergency } from '../session/emergency.ts'
import type { PolicyDecision } from '../session/model.ts'
import type { Credit, Policy } from '../session/ports.ts'

export interface BlindLimits {
  readonly blindMinutes: number
  /** In micro units, of each currency on its own. */
  readonly blindAmountMicros: bigint
}

export interface Blindness {
  /** Epoch milliseconds since when records are not cleared; null: they are. */
  since(): number | null
  /** The largest sum, over currencies, of what was used since then. */
  amountMicros(): bigint
}

const minuteMs = 60_000

/** The policy with these bounds before it. */
export function withinBlindness(
  policy: Policy,
  {
    blindness,
    limits,
    now
  }: { readonly blindness: Blindness; readonly limits: BlindLimits; readonly now: () => number }
): Policy {
  const refusal = (called: string): PolicyDecision | null => {
    const since = blindness.since()
    // Calls for help are never refused for money.
    if (since === null || isEmergency(called)) return null
    const minutes = Math.floor((now() - since) / minuteMs)
    const isLong = now() - since >= limits.blindMinutes * minuteMs
    const isMuch = blindness.amountMicros() >= limits.blindAmountMicros
    if (!isLong && !isMuch) return null
    const why = isLong ? `for ${minutes} minutes` : 'for calls of a larger sum than may be open'
    return { admit: false, reason: { cause: 'congestion', text: `records were not cleared ${why}` } }
  }
  return {
    decide: admission => refusal(admission.called) ?? policy.decide(admission),
    decideText: admission => refusal(admission.called) ?? policy.decideText(admission),
    free: grantId => policy.free(grantId)
  }
}

/**
 * Credit where nothing can be reserved while blind: who pays in advance is refused, who pays later goes on within the
 * bounds above. What was reserved before is settled later.
 */
export const withoutBlindCredit = (credit: Credit, blindness: Pick<Blindness, 'since'>): Credit => ({
  reserve: (id, attempt, terms, asked) => {
    if (blindness.since() === null) return credit.reserve(id, attempt, terms, asked)
    return terms.prepaid ? Promise.resolve('no-credit') : null
  },
  refresh: (reservationId, usedMs) => credit.refresh(reservationId, usedMs),
  settle: (reservationId, usedMs) => credit.settle(reservationId, usedMs)
})
