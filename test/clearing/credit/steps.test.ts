import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { Ledger, holdKey, take } from '../../../src/clearing/credit/steps.ts'
import type { Holder } from '../../../src/clearing/credit/steps.ts'
import { uuid } from '../../support/clearing.ts'
import { agreementOf, creditBook } from '../../support/credit.ts'

/** Monday, two minutes before it becomes dear. */
const at = Date.parse('2026-11-02T07:58:00Z')

function setUp(terms: string, rate = 'rate: "0.06"', balanceMicros = 1_000_000n) {
  const book = creditBook(terms, rate)
  const agreement = agreementOf(book)
  const row = book.rowOf(agreement, { number: '+4989200', calling: null, at })!
  const holder: Holder = { agreement, row, isText: false, callId: uuid(1), attempt: 1, at }
  const ledger = new Ledger([{ agreementId: 'sell', balanceMicros, reservedMicros: 0n }], [], [])
  return { holder, ledger, reserved: () => ledger.accounts.get('sell')?.reservedMicros }
}

describe('steps of an account', () => {
  it('until it is answered a call holds its dearest band; then what its moments cost', () => {
    const bands = 'rate: "0.06", bands: [{ days: [mon], from: "08:00", to: "18:00", rate: "0.60" }]'
    const { holder, ledger, reserved } = setUp('model: prepaid', bands)
    deepEqual(take(ledger, { type: 'reserve', holder }), { reservedMs: 60_000 })
    equal(reserved(), 610_000n)
    deepEqual(take(ledger, { type: 'refresh', holder, usedMs: 50_000, answeredAt: at }), { reservedMs: 70_000 })
    // 120 s before eight, and the second that ending takes.
    equal(reserved(), 130_000n)
  })

  it('a call of which nobody knows when it was answered keeps what it holds, where the time of day matters', () => {
    const bands = 'rate: "0.06", bands: [{ days: [mon], from: "08:00", to: "18:00", rate: "0.60" }]'
    const { holder, ledger, reserved } = setUp('model: prepaid', bands)
    take(ledger, { type: 'reserve', holder })
    take(ledger, { type: 'settle', holder, usedMs: 10_000, answeredAt: null })
    equal(reserved(), 610_000n)
    equal(ledger.changed.get(holdKey(holder))?.ended, true)
  })

  it('an attempt that nobody answered holds its fee, if it has one', () => {
    const fee = setUp('model: prepaid, attemptFee: "0.01"')
    const none = setUp('model: prepaid')
    for (const { ledger, holder } of [fee, none]) {
      take(ledger, { type: 'reserve', holder })
      take(ledger, { type: 'settle', holder, usedMs: 0, answeredAt: at })
    }
    deepEqual([fee.reserved(), none.reserved()], [10_000n, 0n])
    equal(none.ledger.changed.get(holdKey(none.holder)), null)
  })

  it('a call that lasted longer than it was granted holds what it cost, also below zero', () => {
    const { holder, ledger, reserved } = setUp('model: prepaid', 'rate: "0.06"', 61_000n)
    take(ledger, { type: 'reserve', holder })
    take(ledger, { type: 'settle', holder, usedMs: 90_000, answeredAt: at })
    equal(reserved(), 90_000n)
  })

  it('a reservation that was let go while nobody could be asked is held anew when the call asks again', () => {
    const { holder, ledger, reserved } = setUp('model: prepaid')
    deepEqual(take(ledger, { type: 'refresh', holder, usedMs: 300_000, answeredAt: at }), { reservedMs: 60_000 })
    equal(reserved(), 361_000n)
    equal(take(ledger, { type: 'refresh', holder, usedMs: 2_000_000, answeredAt: at }), 'no-credit')
  })

  it('settling twice, or what was never held, changes nothing', () => {
    const { holder, ledger, reserved } = setUp('model: prepaid')
    take(ledger, { type: 'settle', holder, usedMs: 10_000, answeredAt: at })
    equal(ledger.changed.size, 0)
    take(ledger, { type: 'reserve', holder })
    for (const usedMs of [10_000, 50_000]) take(ledger, { type: 'settle', holder, usedMs, answeredAt: at })
    equal(reserved(), 10_000n)
  })
})
