import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createAlarms } from '../../../src/clearing/credit/alarms.ts'
import { agreementOf, creditBook, readableLog } from '../../support/credit.ts'

/** How often it is told while the balance goes through these figures. */
function toldAt(terms: string, figures: readonly (readonly [balance: bigint, reserved: bigint])[]) {
  const { log, lines } = readableLog()
  const agreement = agreementOf(creditBook(terms))
  const alarms = createAlarms(new Map([[agreement.id, agreement]]), log)
  const counts = figures.map(([balanceMicros, reservedMicros]) => {
    alarms.look([{ agreementId: 'sell', balanceMicros, reservedMicros }])
    return lines.length
  })
  return { counts, lines }
}

describe('an account that runs low', () => {
  it('COM-04 is told once at its part of the limit, and again only after it was better by a tenth', () => {
    const { counts, lines } = toldAt('creditLimit: "100", credit: { warnPercent: 80 }', [
      [-79_999_999n, 0n],
      [-70_000_000n, 10_000_000n],
      [-95_000_000n, 0n],
      [-72_000_000n, 0n],
      [-80_000_000n, 0n],
      [-71_999_999n, 0n],
      [-80_000_000n, 0n]
    ])
    deepEqual(counts, [0, 1, 1, 1, 1, 1, 2])
    const [first] = lines
    deepEqual(
      [first?.['alarm'], first?.['agreement'], first?.['exposure'], first?.['limit'], first?.['currency']],
      ['credit-low', 'sell', '80.000000', '100.000000', 'EUR']
    )
  })

  it('what was paid in advance is low below its figure, calls that hold some counted', () => {
    const { counts, lines } = toldAt('model: prepaid, credit: { lowBalance: "10" }', [
      [10_000_000n, 0n],
      [10_000_000n, 1n],
      [10_999_999n, 0n],
      [11_000_000n, 0n],
      [0n, 0n]
    ])
    deepEqual(counts, [0, 1, 1, 1, 2])
    equal(lines[0]?.['left'], '9.999999')
  })

  it('without a limit and without a figure nothing is told', () => {
    deepEqual(toldAt('model: prepaid', [[-5n, 0n]]).counts, [0])
    const free = 'model: freemium, freemium: { freeUnits: 1 }, credit: { afterFree: refuse }'
    deepEqual(toldAt(free, [[-5n, 0n]]).counts, [0])
  })
})
