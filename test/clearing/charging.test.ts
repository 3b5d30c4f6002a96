import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { chargeOf, limits } from '../../src/clearing/charging.ts'
import type { Charge, Transfer } from '../../src/clearing/charging.ts'
import { printAmount } from '../../src/clearing/money.ts'
import { releaseCauses } from '../../src/session/model.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { bookOf, failedCall, record } from '../support/clearing.ts'

const fees = `
agreements:
  - { id: sell, buyer: island, seller: hub, attemptFee: "0.002", timeZone: Asia/Kolkata,
      rates: [{ prefix: "+49", destination: Germany, rate: "0.0345", setupFee: "0.01" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.0300" }] }
  - { id: sell-text, buyer: island, seller: hub, service: message, attemptFee: "0.5",
      rates: [{ prefix: "+", destination: anywhere, rate: "0.007" }] }
  - { id: buy-text, buyer: hub, seller: operator, service: message,
      rates: [{ prefix: "+", destination: anywhere, rate: "0.005" }] }
`
const direct = `
agreements:
  - { id: direct, buyer: island, seller: operator, attemptFee: "0.002",
      rates: [{ prefix: "+49", destination: Germany, rate: "0.06" }] }
`

type Charged = { readonly charge: Charge; readonly transfers: readonly Transfer[] }
function charged(record: CdrRecord, agreements?: string): Charged {
  const outcome = chargeOf(record, bookOf(agreements))
  if (!outcome.charged) throw new Error(`suspended: ${outcome.reason}`)
  return outcome
}
const suspended = (record: CdrRecord, agreements?: string): unknown => {
  const outcome = chargeOf(record, bookOf(agreements))
  return outcome.charged ? outcome.charge.rule : outcome.reason
}
const posting = ({ transfers }: Charged): unknown =>
  transfers.map(({ debit, credit, amountMicros, currency }) => [debit, credit, printAmount(amountMicros), currency])

describe('an answered call', () => {
  it('of 125.3 s in a cascade makes the posting of R09', () => {
    const call = { duration_ms: 125_300 }
    deepEqual(posting(charged(record(call))), [['unbilled-receivable/island', 'revenue/island', '0.072450', 'EUR']])
    deepEqual(posting(charged(record({ ...call, leg: 'egress' }))), [
      ['cost/operator', 'unbilled-payable/operator', '0.063000', 'EUR']
    ])
  })

  it('between two providers with an agreement of their own is one transfer, from the caller’s leg', () => {
    const [ingress, egress] = [charged(record(), direct), charged(record({ leg: 'egress' }), direct)]
    deepEqual(posting(ingress), [['bilateral/direct/island', 'bilateral/direct/operator', '0.061000', 'EUR']])
    deepEqual(posting(egress), [])
    deepEqual([egress.charge.side, egress.charge.rule, egress.charge.amountMicros], ['bilateral', 'with-ingress', 0n])
  })

  it('LED-03 derives the id of an entry from the record alone', () => {
    const { transfers } = charged(record())
    equal(transfers[0]!.entryId, `${record().cdr_id}/call/1`)
    deepEqual(charged(record()).transfers, transfers)
  })

  it('explains its amount so that it can be computed again', () => {
    deepEqual(charged(record(), fees).charge.explanation, {
      buyer: 'island',
      seller: 'hub',
      model: 'cascade',
      timeZone: 'Asia/Kolkata',
      rounding: { seconds: 'up', scale: 6, mode: 'half-up' },
      deck: 0,
      prefix: '+49',
      destination: 'Germany',
      per: 'minute',
      setupFee: '0.01',
      minimumSeconds: 0,
      increments: '1/1',
      durationMs: 61_000,
      billedUnits: 61,
      parts: [{ rate: '0.0345', units: 61 }],
      amount: '0.045075'
    })
  })

  it('CDR-04 belongs to the local day of its answer in the time zone of the agreement', () => {
    const late = Date.parse('2026-10-31T18:45:00Z')
    equal(charged(record({ t_answer: late }), fees).charge.day, '2026-11-01')
    equal(charged(record({ t_answer: late })).charge.day, '2026-10-31')
  })

  it('waits for a person where nothing prices it, and is never free', () => {
    equal(suspended(record({ called: 'tel:+331', dialled: 'tel:+331' })), 'no-rate')
    equal(suspended(record({ provider: 'isle' })), 'no-agreement')
    equal(suspended(record({ service: 'video' })), 'no-agreement')
    equal(suspended(record({ t_answer: Date.parse('2019-12-31T23:59:59Z') })), 'no-rate')
    equal(suspended(record({ leg: 'egress', other_provider: null, provider: 'carrier' })), 'no-agreement')
  })

  it('waits for a person where it lasted or costs more than can be', () => {
    equal(suspended(record({ duration_ms: limits.callMsMax })), 'call')
    equal(suspended(record({ duration_ms: limits.callMsMax + 1 })), 'too-long')
    const dear = (rate: string): string =>
      `agreements: [{ id: a, buyer: island, seller: hub,
        rates: [{ prefix: "+", destination: d, rate: "${rate}", initialSeconds: 60 }] }]`
    equal(suspended(record({ duration_ms: 1 }), dear('1000000000')), 'call')
    equal(suspended(record({ duration_ms: 1 }), dear('1000000000.000001')), 'too-expensive')
  })

  it('is priced by the number its leg was sent to, or by what was dialled', () => {
    const rates = `agreements: [{ id: a, buyer: hub, seller: operator, rates: [
      { prefix: "+49", destination: d, rate: "0.6" }, { prefix: "+33", destination: f, rate: "6" }] }]`
    const egress = (called: string): unknown =>
      posting(charged(record({ leg: 'egress', called, duration_ms: 60_000 }), rates))
    deepEqual(egress('sip:+331@operator.example;user=phone'), [
      ['cost/operator', 'unbilled-payable/operator', '6.000000', 'EUR']
    ])
    deepEqual(egress('sip:who@operator.example'), [['cost/operator', 'unbilled-payable/operator', '0.600000', 'EUR']])
  })
})

describe('a call that was not answered', () => {
  it('CDR-02 has no units and owes the attempt fee alone', () => {
    const { charge, transfers } = charged(record(failedCall), fees)
    deepEqual([charge.rule, charge.billedUnits, printAmount(charge.amountMicros)], ['attempt', 0, '0.002000'])
    equal(transfers.length, 1)
    const { charge: free, transfers: none } = charged(record(failedCall))
    deepEqual([free.rule, free.billedUnits, free.amountMicros, none], ['attempt', 0, 0n, []])
  })

  it('owes nothing where the hub itself turned it away, or where no agreement exists', () => {
    const refused = { ...failedCall, cause: 'no-agreement', release_side: 'hub', other_provider: null } as const
    deepEqual(posting(charged(record(refused), fees)), [])
    equal(charged(record(refused), fees).charge.rule, 'refused')
    deepEqual(charged(record({ ...failedCall, provider: 'isle' }), fees).transfers, [])
  })

  it('its period is that of its request', () => {
    const requested = Date.parse('2026-10-31T18:29:00Z')
    equal(charged(record({ ...failedCall, t_request: requested }), fees).charge.day, '2026-10-31')
    equal(charged(record({ ...failedCall, t_request: requested + 60_000 }), fees).charge.day, '2026-11-01')
  })
})

describe('a message', () => {
  const text = { service: 'message', record_type: 'event', unit_type: 'messages', units: 1, duration_ms: 0 } as const

  it('is one unit once the other side has taken it', () => {
    const { charge } = charged(record(text), fees)
    deepEqual([charge.rule, charge.billedUnits, printAmount(charge.amountMicros)], ['message', 1, '0.007000'])
    deepEqual(posting(charged(record({ ...text, leg: 'egress' }), fees)), [
      ['cost/operator', 'unbilled-payable/operator', '0.005000', 'EUR']
    ])
  })

  it('that was refused owes the attempt fee alone', () => {
    equal(printAmount(charged(record({ ...text, ...failedCall }), fees).charge.amountMicros), '0.500000')
  })
})

describe('what is never charged', () => {
  const anyBook = fc.constantFrom(fees, direct, undefined)
  const anyModel = fc.constantFrom(
    fees,
    direct,
    ...[
      'model: volume, volume: { tiers: [{ rate: "1" }] }',
      'model: freemium, freemium: { freeUnits: 1 }',
      'model: revenue-share, revenueShare: { share: "0.7" }',
      'model: bulk-commitment, commitment: { units: 9, rate: "1", overageRate: "1" }',
      'model: prepaid, qualityClass: gold, qualityUplift: { gold: "9" }',
      'rounding: { bands: seconds-split, scale: 0, mode: up }'
    ].map(
      model => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${model}, attemptFee: "0.002",
      rates: [{ prefix: "+", destination: all, rate: "5", setupFee: "3", minimumSeconds: 60 }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+", destination: all, rate: "5", setupFee: "3" }] }`
    )
  )
  const anyRecord = fc
    .record({
      leg: fc.constantFrom('ingress' as const, 'egress' as const),
      service: fc.constantFrom('voice' as const, 'video' as const, 'message' as const),
      called: fc.constantFrom('tel:+4989200', 'tel:+331', 'sip:bob@island.example', 'urn:service:sos', 'nonsense'),
      attempt: fc.integer({ min: 1, max: 5 }),
      duration_ms: fc.integer({ min: 0, max: limits.callMsMax * 2 }),
      t_answer: fc.integer({ min: Date.parse('2019-06-01'), max: Date.parse('2030-01-01') }),
      cause: fc.constantFrom(...releaseCauses),
      release_side: fc.constantFrom('caller' as const, 'callee' as const, 'hub' as const, null),
      provider: fc.constantFrom('island', 'operator', 'isle', 'nobody'),
      other_provider: fc.constantFrom('island', 'operator', 'isle', null),
      incomplete: fc.boolean()
    })
    .map(over => record({ dialled: over.called, ...over }))

  it('an emergency call, whatever else is true of it', () => {
    fc.assert(
      fc.property(anyRecord, anyModel, fc.boolean(), (record, agreements, answered) => {
        const { t_answer } = record
        const { charge, transfers } = charged(
          { ...record, emergency: true, t_answer: answered ? t_answer : null },
          agreements
        )
        deepEqual([charge.rule, charge.amountMicros, transfers], ['emergency', 0n, []])
      })
    )
  })

  it('a failed call, by more than the attempt fee of its agreement', () => {
    fc.assert(
      fc.property(anyRecord, anyModel, (record, agreements) => {
        const { charge, transfers } = charged({ ...record, t_answer: null }, agreements)
        const { attemptFeeNanos = 0n, rounding } = charge.agreement ?? {}
        // Where an agreement rounds up to whole units, its fee is one.
        const feeMicros = rounding?.scale === 0 && attemptFeeNanos > 0n ? 1_000_000n : attemptFeeNanos / 1_000n
        equal(charge.billedUnits, 0)
        equal(charge.amountMicros === 0n || (charge.rule === 'attempt' && charge.amountMicros === feeMicros), true)
        equal(transfers.length, charge.amountMicros === 0n ? 0 : 1)
      })
    )
  })

  it('an answered call is charged or suspended, and what is charged is moved exactly once', () => {
    fc.assert(
      fc.property(anyRecord, anyBook, (record, agreements) => {
        const outcome = chargeOf(record, bookOf(agreements))
        if (!outcome.charged) return
        const { charge, transfers } = outcome
        const moved = transfers.reduce((sum, { amountMicros }) => sum + amountMicros, 0n)
        equal(moved, charge.amountMicros)
        if (charge.rule !== 'with-ingress') equal(moved > 0n, true)
      })
    )
  })
})
