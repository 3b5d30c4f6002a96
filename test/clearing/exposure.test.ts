import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createExposure } from '../../src/clearing/exposure.ts'
import { bookOf, callRecords, failedCall, record } from '../support/clearing.ts'

describe('what nobody has cleared yet', () => {
  it('is the sum of what was sold while blind; costs, partial records and what nothing prices do not count', () => {
    let since: number | null = null
    const exposure = createExposure(bookOf(), () => since)
    exposure.add(callRecords(1))
    equal(exposure.amountMicros, 0n)
    since = 1
    exposure.add([
      // 61 s at 0.0345 a minute is 0.035075; the other leg is a cost.
      ...callRecords(2),
      ...callRecords(3),
      ...callRecords(4, failedCall),
      record({ kind: 'start' }),
      record({ called: 'tel:+331', dialled: 'tel:+331' }),
      record({ emergency: true })
    ])
    equal(exposure.amountMicros, 70_150n)
    since = null
    equal(exposure.amountMicros, 0n)
    exposure.add(callRecords(5))
    since = 2
    equal(exposure.amountMicros, 0n)
  })

  it('is the largest of its currencies', () => {
    const book = bookOf(`
agreements:
  - { id: a, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: Germany, rate: "0.06" }] }
  - { id: b, buyer: isle, seller: hub, currency: USD, rates: [{ prefix: "+49", destination: Germany, rate: "0.6" }] }
`)
    const exposure = createExposure(book, () => 1)
    exposure.add([record(), record({ provider: 'isle' })])
    equal(exposure.amountMicros, 610_000n)
  })
})
