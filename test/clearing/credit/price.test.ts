import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { affordableMs, allot, costOf, dearest, limits } from '../../../src/clearing/credit/price.ts'
import type { Subject } from '../../../src/clearing/credit/price.ts'
import { parseAmount, parseRate } from '../../../src/clearing/money.ts'
import { agreementOf, creditBook } from '../../support/credit.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

const noon = Date.parse('2026-11-02T12:00:00Z')
const day = 86_400_000

function subjectOf(rate: string, terms = 'model: prepaid'): Subject {
  const book = creditBook(terms, rate)
  const agreement = agreementOf(book)
  return { agreement, row: book.rowOf(agreement, { number: '+4989200', calling: null, at: noon })!, isText: false }
}
const money = (amount: string, freeUnits = 0n) => ({ micros: parseAmount(amount), freeUnits })

describe('how long there is credit for', () => {
  it.each([
    ['R19a: 1.00 at 0.05 a minute', 'rate: "0.05"', 1_200],
    ['R19b: the same after a set-up fee of 0.02', 'rate: "0.05", setupFee: "0.02"', 1_176]
  ])('%s', (_title, rate, seconds) => {
    equal(affordableMs(subjectOf(rate), noon, day, money('1.00')), seconds * 1_000)
  })

  it('whole increments only: a minute that has begun is paid', () => {
    const subject = subjectOf('rate: "0.06", initialSeconds: 60, nextSeconds: 60')
    equal(affordableMs(subject, noon, day, money('0.119999')), 60_000)
    equal(affordableMs(subject, noon, day, money('0.12')), 120_000)
    equal(affordableMs(subject, noon, day, money('0.059999')), null)
  })

  it('what is free of charge is never too dear, whatever is owed', () => {
    equal(affordableMs(subjectOf('rate: "0"'), noon, day, money('-5')), day)
  })

  it('is what the rating engine charges for it, and a millisecond more costs more, at any rate', () => {
    const draw = mulberry32(seedFromEnvironment)
    for (let n = 0; n < 80; n++) {
      const seconds = ['up', 'down', 'half'][draw(3)]
      const rate = `rate: "0.${String(1 + draw(9_999)).padStart(5, '0')}", setupFee: "0.${draw(100)}"`
      const steps = `initialSeconds: ${1 + draw(60)}, nextSeconds: ${1 + draw(60)}, minimumSeconds: ${draw(90)}`
      const subject = subjectOf(`${rate}, ${steps}`, `model: prepaid, rounding: { seconds: ${seconds} }`)
      const left = { micros: BigInt(draw(2_000_000)), freeUnits: 0n }
      const ms = affordableMs(subject, noon, day, left)
      if (ms === null) ok(costOf(subject, noon, 0, 0n).micros > left.micros)
      else {
        ok(costOf(subject, noon, ms, 0n).micros <= left.micros)
        ok(ms === day || costOf(subject, noon, ms + 1, 0n).micros > left.micros)
      }
    }
  })

  it('the grace and the time that ending takes are paid, and not granted', () => {
    const subject = subjectOf('rate: "0.06"', 'model: prepaid, credit: { graceSeconds: 10 }')
    const asked = { grantedMs: 0, wantedMs: 60_000 }
    const spare = 10_000 + limits.endingMs
    deepEqual(allot(subject, noon, { ...asked, left: money('1') }), {
      grantedMs: 60_000,
      cost: { micros: 71_000n, freeUnits: 0n, billedUnits: 71n }
    })
    equal(allot(subject, noon, { ...asked, left: money('0.040') })?.grantedMs, 40_000 - spare)
    equal(allot(subject, noon, { ...asked, left: money('0.011') }), null)
    equal(allot(subject, noon, { grantedMs: 30_000, wantedMs: 60_000, left: money('0.041') }), null)
  })

  it('COM-02 free units go first, and only what follows costs', () => {
    const subject = subjectOf('rate: "0.06"', 'model: freemium, creditLimit: "1", freemium: { freeUnits: 90 }')
    const cost = (seconds: number, free: bigint) => costOf(subject, noon, seconds * 1_000, free)
    deepEqual(cost(60, 90n), { micros: 0n, freeUnits: 60n, billedUnits: 60n })
    deepEqual(cost(120, 90n), { micros: 30_000n, freeUnits: 90n, billedUnits: 120n })
    deepEqual(cost(60, 0n), { micros: 60_000n, freeUnits: 0n, billedUnits: 60n })
    equal(affordableMs(subject, noon, day, money('0.01', 90n)), 100_000)
  })

  it('before it is known when a call is answered, it is priced at the dearest of its times', () => {
    const bands = 'bands: [{ days: [mon], from: "08:00", to: "18:00", rate: "0.20" }]'
    const { row } = dearest(subjectOf(`rate: "0.06", ${bands}`))
    deepEqual([row.rateNanos, row.bands], [parseRate('0.20'), []])
    const plain = subjectOf('rate: "0.06"')
    equal(dearest(plain), plain)
  })
})
