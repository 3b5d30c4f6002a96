import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { chargeOf } from '../../src/clearing/charging.ts'
import type { Charge } from '../../src/clearing/charging.ts'
import { convert, imbalanceOf, prepaidSeconds, shareOf, tiersPrice, toleranceOf } from '../../src/clearing/models.ts'
import { parseRate, printAmount } from '../../src/clearing/money.ts'
import { periodOfDay } from '../../src/clearing/periods.ts'
import { simulate } from '../../src/clearing/simulate.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { HubError } from '../../src/errors.ts'
import { bookOf, record } from '../support/clearing.ts'
import { rounding } from '../support/rates.ts'

const sold = (more: string, rate = 'rate: "0.60"'): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more} rates: [{ prefix: "+49", destination: Germany, ${rate} }] }
`
function charged(agreements: string, over: Partial<CdrRecord> = {}): Charge {
  const outcome = chargeOf(record({ duration_ms: 60_000, ...over }), bookOf(agreements))
  if (!outcome.charged) throw new Error(outcome.reason)
  return outcome.charge
}
const amount = (agreements: string, over: Partial<CdrRecord> = {}): string =>
  printAmount(charged(agreements, over).amountMicros)

describe('the models of an agreement', () => {
  it('CLR-01 an agreement carries its terms', () => {
    const [agreement] = bookOf(
      sold(`currency: USD, calendar: quarter, timeZone: Asia/Kolkata, tolerance: { percent: "1.5", floor: "10" },
        disputeDays: 45, paymentDays: 14, creditLimit: "1000", noticeDays: 30,
        rounding: { scope: period, stage: invoice, scale: 2, mode: half-even },`)
    ).agreements
    const { calendar, tolerance, disputeDays, paymentDays, creditLimitMicros, noticeDays, rounding } = agreement!
    deepEqual(
      [calendar, disputeDays, paymentDays, creditLimitMicros, noticeDays],
      ['quarter', 45, 14, 1_000_000_000n, 30]
    )
    deepEqual(tolerance, { percentNanos: 1_500_000_000n, floorMicros: 10_000_000n, of: 'own' })
    deepEqual([rounding.scope, rounding.stage, rounding.scale, rounding.mode], ['period', 'invoice', 2, 'half-even'])
  })

  it('a cascade where the hub is a party, calling party pays where not', () => {
    const book = bookOf(`${sold('')}
  - { id: direct, buyer: island, seller: carrier, rates: [{ prefix: "+", destination: d, rate: "1" }] }`)
    deepEqual(
      book.agreements.map(({ model }) => model),
      ['cascade', 'calling-party-pays']
    )
  })

  it('bill and keep counts and charges nothing, but still refuses what no row names', () => {
    const both = `
agreements:
  - { id: out, buyer: island, seller: operator, model: bill-and-keep,
      billAndKeep: { with: in, threshold: "0.6", netRate: "0.004" },
      rates: [{ prefix: "+49", destination: Germany, rate: "0.01" }] }
  - { id: in, buyer: operator, seller: island, model: bill-and-keep,
      billAndKeep: { with: out, threshold: "0.6", netRate: "0.004" },
      rates: [{ prefix: "+49", destination: Germany, rate: "0.01" }] }`
    const charge = charged(both)
    deepEqual(
      [charge.rule, charge.billedUnits, charge.amountMicros, charge.explanation['kept']],
      ['keep', 60, 0n, '0.010000']
    )
    equal(chargeOf(record({ called: 'tel:+331', dialled: 'tel:+331' }), bookOf(both)).charged, false)
  })

  it('a revenue share is the seller’s part, rounded, and the hub keeps the remainder', () => {
    const { amountMicros, explanation } = charged(
      sold('model: revenue-share, revenueShare: { share: "0.333333333" }, rounding: { scale: 2 },', 'rate: "1"')
    )
    deepEqual(
      [printAmount(amountMicros), explanation['gross'], explanation['remainder']],
      ['0.330000', '1.000000', '0.670000']
    )
  })

  it('freemium and volume are provisional until the order is known', () => {
    equal(charged(sold('model: freemium, freemium: { freeUnits: 10 },')).explanation['provisional'], true)
    const tiers = 'model: volume, volume: { freeUnits: 10, tiers: [{ upTo: 5, rate: "0.6" }, { rate: "0.06" }] },'
    const charge = charged(sold(tiers))
    deepEqual([charge.explanation['provisional'], printAmount(charge.amountMicros)], [true, '0.105000'])
  })

  it('R22 a class without a row of its own costs its uplift, one with a row does not', () => {
    const gold = 'qualityClass: gold, qualityUplift: { gold: "0.25" },'
    equal(amount(sold(gold)), '0.750000')
    equal(amount(sold(gold, 'quality: gold, rate: "0.70"')), '0.700000')
    equal(amount(sold('qualityUplift: { gold: "0.25" },')), '0.600000')
    equal(amount(sold(`${gold} rounding: { scale: 1, uplift: rounded },`, 'rate: "0.55"')), '0.800000')
    equal(amount(sold(`${gold} rounding: { scale: 1 },`, 'rate: "0.55"')), '0.700000')
  })

  it('a call that was let in with a class is priced by its rows', () => {
    const rows = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [
      { prefix: "+49", destination: Germany, rate: "0.60" },
      { prefix: "+49", destination: Germany, quality: gold, rate: "0.90" }] }`
    equal(amount(rows), '0.600000')
    equal(amount(rows, { quality_class: 'gold' }), '0.900000')
  })

  it('RATE-05 callers of an origin have their own rate, and those without a valid number the surcharge', () => {
    const rows = `
agreements:
  - { id: sell, buyer: island, seller: hub, origins: { eea: ["+49", "+33"] }, rates: [
      { prefix: "+49", destination: Germany, rate: "0.60" },
      { prefix: "+49", destination: Germany, origin: eea, rate: "0.30" },
      { prefix: "+49", destination: Germany, origin: unknown, rate: "1.20" }] }`
    equal(amount(rows, { calling: 'tel:+33142' }), '0.300000')
    equal(amount(rows, { calling: 'tel:+12125550100' }), '0.600000')
    equal(amount(rows, { calling: null }), '1.200000')
    equal(amount(rows, { calling: 'sip:anonymous@anonymous.invalid' }), '1.200000')
    equal(charged(rows, { calling: null }).explanation['origin'], 'unknown')
  })

  it('RATE-01 a ported number is priced by its routing number', () => {
    const rows = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [
      { prefix: "+49", destination: Germany, rate: "0.60" }, { prefix: "+49171", destination: mobile, rate: "0.90" }] }`
    equal(amount(rows), '0.600000')
    equal(amount(rows, { rn: '+49171999' }), '0.900000')
  })

  it('a blocked code is suspended, not priced by a shorter one', () => {
    const rows = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [
      { prefix: "+4", destination: zone, rate: "0.60" }, { prefix: "+49", destination: d, rate: "0", blocked: true }] }`
    deepEqual(chargeOf(record(), bookOf(rows)), { charged: false, reason: 'blocked', day: '2026-11-02' })
  })

  it('the period may be that of the end of a call', () => {
    const over = { t_answer: Date.parse('2026-11-30T23:59:50Z'), t_end: Date.parse('2026-12-01T00:00:50Z') }
    equal(charged(sold(''), over).day, '2026-11-30')
    equal(charged(sold('periodOf: end,'), over).day, '2026-12-01')
  })

  it.each([
    ['model: volume,', /the model volume needs the key volume/],
    ['freemium: { freeUnits: 1 },', /the key freemium is for the model freemium/],
    ['model: per-message,', /per-message is for service: message/],
    ['model: volume, volume: { tiers: [{ upTo: 5, rate: "1" }] },', /the last tier, and only it, has no upTo/],
    ['model: volume, volume: { tiers: [{ rate: "1" }, { rate: "2" }] },', /the last tier, and only it, has no upTo/],
    [
      'model: volume, volume: { tiers: [{ upTo: 5, rate: "1" }, { upTo: 5, rate: "1" }, { rate: "2" }] },',
      /5 is not above 5/
    ],
    [
      'model: bill-and-keep, billAndKeep: { with: x, threshold: "0.6", netRate: "1" },',
      /x is no agreement of the model/
    ],
    ['timeClasses: { off: [{ days: [mon], from: "08:00", to: "09:00" }] },', /"off" means something already/],
    ['origins: { unknown: ["+1"] },', /"unknown" means something already/],
    ['creditLimit: "0.0000001",', /more than 6 digits after the point/]
  ])('CLR-01 %s is a mistake of the configuration', (more, why) => {
    let told: unknown = null
    try {
      bookOf(sold(more))
    } catch (error) {
      told = error
    }
    ok(told instanceof HubError && told.code === 'HUB_CONFIG' && why.test(told.message), String(told))
  })

  it('a row for callers that no set names is a mistake of the configuration', () => {
    let told = ''
    try {
      bookOf(sold('', 'rate: "1", origin: eea'))
    } catch (error) {
      told = (error as Error).message
    }
    ok(/callers of "eea", which origins does not name/.test(told), told)
  })
})

describe('sums of a period', () => {
  it('nothing at all costs nothing', () => {
    const tiers = [{ upTo: null, rateNanos: parseRate('1') }]
    equal(tiersPrice({ units: 0n, freeUnits: 5n, tiers, prices: 'graduated' }, 1n, rounding), 0n)
    equal(tiersPrice({ units: 3n, freeUnits: 5n, tiers, prices: 'all' }, 1n, rounding), 0n)
    const none = { unitsOut: 0n, unitsIn: 0n, thresholdNanos: parseRate('0.6'), netRateNanos: 1n, pays: 'all' } as const
    equal(imbalanceOf(none, 60n, rounding).payer, null)
    deepEqual(toleranceOf({ own: 0n, theirs: 0n, percentNanos: 0n, of: 'own' }).within, true)
    deepEqual(toleranceOf({ own: 0n, theirs: 1n, percentNanos: parseRate('5'), of: 'own' }).within, false)
  })

  it('a share that is exactly the threshold is still in balance', () => {
    const at = (unitsOut: bigint): unknown =>
      imbalanceOf(
        { unitsOut, unitsIn: 400n, thresholdNanos: parseRate('0.6'), netRateNanos: parseRate('1'), pays: 'all' },
        1n,
        rounding
      ).netUnits
    deepEqual([at(600n), at(601n)], [0n, 201n])
  })

  it('a share and its remainder always make up the whole', () => {
    for (const gross of [1n, 99_999n, 100_010_000n]) {
      const { providerMicros, hubMicros } = shareOf(gross, parseRate('0.7'), { scale: 2, mode: 'half-up' })
      equal(providerMicros + hubMicros, gross)
    }
  })

  it('COM-03 a balance that does not cover the set-up fee lasts for nothing, a free rate for ever', () => {
    equal(prepaidSeconds(1n, parseRate('1'), parseRate('1')), 0n)
    equal(prepaidSeconds(1n, 0n, 0n), null)
    equal(convert(-1_000_000n, parseRate('0.9173'), rounding), -917_300n)
  })

  it('SET-01 periods are months, quarters and ISO weeks', () => {
    deepEqual(periodOfDay('2026-12-31', 'month'), { name: '2026-12', from: '2026-12-01', to: '2027-01-01' })
    deepEqual(periodOfDay('2026-11-30', 'quarter'), { name: '2026-Q4', from: '2026-10-01', to: '2027-01-01' })
    deepEqual(periodOfDay('2027-01-03', 'week'), { name: '2026-W53', from: '2026-12-28', to: '2027-01-04' })
    deepEqual(periodOfDay('2026-01-01', 'week'), { name: '2026-W01', from: '2025-12-29', to: '2026-01-05' })
  })
})

describe('a simulated call', () => {
  const rows = `
agreements:
  - { id: sell, buyer: island, seller: hub, timeZone: Europe/Berlin, rates: [
      { prefix: "+49", destination: Germany, rate: "0.10", setupFee: "0.02", minimumSeconds: 10, initialSeconds: 30,
        nextSeconds: 6, bands: [{ days: [mon], from: "18:00", to: "24:00", rate: "0.04" }] },
      { prefix: "+33", destination: France, rate: "1", blocked: true }] }`
  const book = bookOf(rows)
  const call = {
    called: '+4989200',
    calling: null,
    at: Date.parse('2026-11-02T16:59:30Z'),
    durationMs: 61_200,
    quality: null
  }
  const ask = (over: Partial<typeof call> = {}) => simulate(book, book.agreements[0]!, { ...call, ...over })

  it('is explained step by step, to the amount that a real one would cost', () => {
    const { amount, billedUnits, steps } = ask()
    deepEqual([amount, billedUnits], ['0.094000', 66])
    deepEqual(
      steps.map(({ step, detail }) => `${step}: ${detail}`),
      [
        'agreement: sell: island buys voice from hub, cascade, in EUR',
        'caller: without a number, origin unknown',
        'rate: deck version 0, +49 Germany, from 2020-01-01T00:00:00.000Z, until further notice',
        'seconds: 61200 ms, rounded up, at least 10 s',
        'increments: 30/6: 66 s are billed',
        'time: answered 2026-11-02 17:59 in Europe/Berlin; bands by increment-start',
        'price: 30 s at 0.1 a minute',
        'price: 36 s at 0.04 a minute',
        'set-up fee: 0.02',
        'amount: 0.094000 EUR, rounded half-up to 6 digits'
      ]
    )
  })

  it('that nothing prices, or that is blocked, says so and has no amount', () => {
    const none = ask({ called: '+1212' })
    deepEqual([none.amount, none.steps.at(-1)?.step], [null, 'rate'])
    deepEqual([ask({ called: '+331' }).amount, ask({ called: '+331' }).steps.at(-1)?.step], [null, 'blocked'])
  })
})
