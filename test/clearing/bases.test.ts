import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { basisOf, limits } from '../../src/clearing/bases.ts'
import { chargeOf } from '../../src/clearing/charging.ts'
import type { Charge } from '../../src/clearing/charging.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { bookOf, failedCall, record } from '../support/clearing.ts'

const book = bookOf()
function charged(over: Partial<CdrRecord> = {}, by = book): Charge {
  const outcome = chargeOf(record(over), by)
  ok(outcome.charged)
  return outcome.charge
}
const at = (rateNanos: bigint): Charge => {
  const charge = charged()
  const parts = [{ rateNanos, units: charge.billedUnits }]
  return { ...charge, explanation: {}, priced: { ...charge.priced, parts } }
}

describe('what charges share', () => {
  it('is one object for calls by one row, whatever their length, and names itself the same in another process', () => {
    const basis = basisOf(charged({ duration_ms: 1 }))
    equal(basisOf(charged({ duration_ms: 600_000 })), basis)
    const elsewhere = basisOf(charged({}, bookOf()))
    notEqual(elsewhere, basis)
    equal(elsewhere.id, basis.id)
    deepEqual(basis.accounts, { debit: 'unbilled-receivable/island', credit: 'revenue/island', currency: 'EUR' })
  })

  it('differs by side, rule, rate and terms', () => {
    const dearer = bookOf(`
agreements:
  - { id: sell, buyer: island, seller: hub,
      rates: [{ prefix: "+49", destination: Germany, rate: "0.0345", setupFee: "1" }] }
`)
    const all = [
      charged(),
      charged({ leg: 'egress' }),
      charged(failedCall),
      charged({ emergency: true }),
      charged({}, dearer),
      at(1n)
    ]
    equal(new Set(all.map(charge => basisOf(charge).id)).size, all.length)
  })

  it('of no agreement has no accounts', () => {
    equal(basisOf(charged({ provider: 'stranger', ...failedCall })).accounts, null)
  })

  it('forgets the objects of a row beyond the limit, and names them the same again', () => {
    const rates = Array.from({ length: limits.basesOfRowMax * 2 }, (_, n) => BigInt(n + 1))
    const first = rates.map(rate => basisOf(at(rate)))
    const again = rates.map(rate => basisOf(at(rate)))
    deepEqual(
      again.map(({ id }) => id),
      first.map(({ id }) => id)
    )
    ok(again.some((basis, n) => basis !== first[n]))
  })
})
