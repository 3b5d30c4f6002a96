// What calls that nobody has cleared yet come to: added up while the event log or the database is away.

import type { CdrRecord } from '../events/cdr.ts'
import type { AgreementBook } from './agreements.ts'
import { chargeOf } from './charging.ts'

export interface Exposure {
  /** Durable records, as the journal has them. */
  add(records: readonly CdrRecord[]): void
  /** The largest sum, over currencies, of what was sold since blindness began. */
  readonly amountMicros: bigint
}

/** `blindSince`: null while records are cleared; then there is nothing to add up. */
export function createExposure(book: AgreementBook, blindSince: () => number | null): Exposure {
  const sums = new Map<string, bigint>()
  return {
    add(records) {
      if (blindSince() === null) return sums.clear()
      for (const record of records) {
        if (record.kind !== 'final') continue
        const outcome = chargeOf(record, book)
        if (!outcome.charged || outcome.charge.agreement === null || outcome.charge.side === 'buy') continue
        const { agreement, amountMicros } = outcome.charge
        sums.set(agreement.currency, (sums.get(agreement.currency) ?? 0n) + amountMicros)
      }
    },
    get amountMicros() {
      if (blindSince() === null) return 0n
      let largest = 0n
      for (const sum of sums.values()) if (sum > largest) largest = sum
      return largest
    }
  }
}
