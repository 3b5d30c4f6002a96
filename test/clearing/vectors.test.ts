import { readFileSync } from 'node:fs'
import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { z } from 'zod'
import { parseAmount, parseRate, printAmount, printScaled } from '../../src/clearing/money.ts'
import {
  commitmentPrice,
  convert,
  imbalanceOf,
  periodPrice,
  prepaidSeconds,
  shareOf,
  tiersPrice,
  toleranceOf,
  totalOf
} from '../../src/clearing/models.ts'
import { periodOf } from '../../src/clearing/periods.ts'
import { bandRules, rateAttempt, rateCall, rateVolume, secondsRoundings, unchanged } from '../../src/clearing/rating.ts'
import { createZone } from '../../src/clearing/zone.ts'
import { band, pricing, rounding } from '../support/rates.ts'

const vector = z.object({
  id: z.string(),
  desc: z.string(),
  rule: z.string(),
  in: z.record(z.string(), z.unknown()),
  out: z.record(z.string(), z.unknown())
})
const file = new URL('fixtures/rating-vectors.json', import.meta.url)
const vectors = new Map(
  z
    .array(vector)
    .parse(JSON.parse(readFileSync(file, 'utf8')))
    .map(v => [v.id, v])
)
const tested = new Set<string>()
const titles = (ids: readonly string[]): readonly (readonly [string, string])[] =>
  ids.map(id => {
    tested.add(id)
    return [id, vectors.get(id)!.desc]
  })
const cents = (micros: bigint): string => {
  equal(micros % 10_000n, 0n)
  return printScaled(micros / 10_000n, 2)
}

const perCall = z.object({
  answered: z.boolean(),
  durationMs: z.int(),
  initialSeconds: z.int(),
  nextSeconds: z.int(),
  minimumSeconds: z.int(),
  secondsRounding: z.enum(secondsRoundings),
  ratePerMinute: z.string(),
  setupFee: z.string(),
  attemptFee: z.string()
})
const side = z.object({ ratePerMinute: z.string(), initialSeconds: z.int(), nextSeconds: z.int() })

describe('the acceptance vectors', () => {
  const ids = ['R01', 'R02', 'R03', 'R04', 'R05', 'R06', 'R08', 'R23', 'R24', 'R25', 'R26', 'R27a', 'R27b', 'R27c']
  it.each(titles(ids))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = perCall.parse(v.in)
    const price = pricing(
      {
        ...call,
        rateNanos: parseRate(call.ratePerMinute),
        setupFeeNanos: parseRate(call.setupFee)
      },
      { seconds: call.secondsRounding }
    )
    const rated = call.answered
      ? rateCall(price, 0, call.durationMs)
      : rateAttempt(parseRate(call.attemptFee), price.rounding)
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R07a', 'R07b', 'R07c', 'R07d']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = side
      .extend({
        durationMs: z.int(),
        secondsToBandEnd: z.int(),
        ratePerMinuteAfter: z.string()
      })
      .parse(v.in)
    const bands = z.enum(bandRules).parse(v.rule.replace('band-of-', ''))
    const peak = [band('08:00', '18:00', call.ratePerMinute)]
    const rated = rateCall(
      pricing({ ...call, rateNanos: parseRate(call.ratePerMinuteAfter), bands: peak }, { bands }),
      Date.parse('2026-11-02T18:00:00Z') - call.secondsToBandEnd * 1_000,
      call.durationMs
    )
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R09', 'R10']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = z.object({ durationMs: z.int(), buy: side, sell: side }).parse(v.in)
    const [buy, sell] = [call.buy, call.sell].map(side =>
      rateCall(pricing({ ...side, rateNanos: parseRate(side.ratePerMinute) }), 0, call.durationMs)
    )
    const margin = sell!.amountMicros - buy!.amountMicros
    deepEqual(
      {
        buyBilledSeconds: buy!.billedUnits,
        sellBilledSeconds: sell!.billedUnits,
        buy: printAmount(buy!.amountMicros),
        sell: printAmount(sell!.amountMicros),
        margin: printAmount(margin),
        negativeMargin: margin < 0n
      },
      v.out
    )
  })

  it.each(titles(['R28']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = z
      .object({
        answeredAt: z.string(),
        timeZone: z.string(),
        durationMs: z.int(),
        initialSeconds: z.int(),
        nextSeconds: z.int(),
        bands: z.array(z.object({ fromLocal: z.string(), toLocal: z.string(), ratePerMinute: z.string() }))
      })
      .parse(v.in)
    const bands = call.bands.map(({ fromLocal, toLocal, ratePerMinute }) => band(fromLocal, toLocal, ratePerMinute))
    const rated = rateCall(pricing({ ...call, bands }, {}, call.timeZone), Date.parse(call.answeredAt), call.durationMs)
    deepEqual({ billedSeconds: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R11a', 'R11b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z
      .object({
        units: z.int(),
        freeUnits: z.int(),
        tiers: z.array(z.object({ upTo: z.int().nullable(), rate: z.string() }))
      })
      .parse(v.in)
    const tiers = given.tiers.map(({ upTo, rate }) => ({
      upTo: upTo === null ? null : BigInt(upTo),
      rateNanos: parseRate(rate)
    }))
    const prices = v.rule === 'graduated-after-free' ? 'graduated' : 'all'
    const { units, freeUnits } = given
    const micros = tiersPrice({ units: BigInt(units), freeUnits: BigInt(freeUnits), tiers, prices }, 1n, rounding)
    deepEqual({ amount: printAmount(micros) }, v.out)
  })

  it.each(titles(['R12']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ bytes: z.int(), stepBytes: z.int(), ratePerGigabyte: z.string() }).parse(v.in)
    const { bytes, stepBytes, ratePerGigabyte } = given
    const rated = rateVolume(
      { bytes: BigInt(bytes), stepBytes: BigInt(stepBytes), rateNanos: parseRate(ratePerGigabyte) },
      rounding
    )
    deepEqual({ steps: rated.billedUnits, amount: printAmount(rated.amountMicros) }, v.out)
  })

  it.each(titles(['R13a', 'R13b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = side.extend({ durationMs: z.int(), fx: z.string() }).parse(v.in)
    const price = pricing({ ...call, rateNanos: parseRate(call.ratePerMinute) })
    const { amountMicros } = rateCall(price, 0, call.durationMs)
    const converted =
      v.rule === 'convert-exact'
        ? rateCall({ ...price, factorNanos: parseRate(call.fx) }, 0, call.durationMs).amountMicros
        : convert(amountMicros, parseRate(call.fx), rounding)
    deepEqual({ amount: printAmount(amountMicros), converted: printAmount(converted) }, v.out)
  })

  it.each(titles(['R14a', 'R14b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z
      .object({ minutes: z.int(), committedMinutes: z.int(), rate: z.string(), overageRate: z.string() })
      .parse(v.in)
    const micros = commitmentPrice(
      {
        units: BigInt(given.minutes),
        committed: BigInt(given.committedMinutes),
        rateNanos: parseRate(given.rate),
        overageNanos: parseRate(given.overageRate)
      },
      1n,
      { ...rounding, scale: 2 }
    )
    deepEqual({ amount: cents(micros) }, v.out)
  })

  it.each(titles(['R15a', 'R15b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ durationsMs: z.array(z.int()), ratePerMinute: z.string() }).parse(v.in)
    const rateNanos = parseRate(given.ratePerMinute)
    if (v.rule === 'round-per-call') {
      const calls = given.durationsMs.map(durationMs => rateCall(pricing({ rateNanos }), 0, durationMs))
      const [billedSeconds, micros] = calls.reduce(
        ([seconds, micros], call) => [seconds + call.billedUnits, micros + call.amountMicros],
        [0, 0n]
      )
      return deepEqual({ billedSeconds, amount: printAmount(micros) }, v.out)
    }
    const { seconds, billedUnits, amountMicros } = periodPrice(
      given.durationsMs,
      { rateNanos, unitSeconds: 60n },
      rounding
    )
    deepEqual(
      { totalSeconds: Number(seconds), billedMinutes: Number(billedUnits), amount: printAmount(amountMicros) },
      v.out
    )
  })

  it.each(titles(['R16a', 'R16b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z
      .object({ minutesOut: z.int(), minutesIn: z.int(), thresholdShare: z.string(), netRate: z.string() })
      .parse(v.in)
    const { shareNanos, netUnits, amountMicros, payer } = imbalanceOf(
      {
        unitsOut: BigInt(given.minutesOut),
        unitsIn: BigInt(given.minutesIn),
        thresholdNanos: parseRate(given.thresholdShare),
        netRateNanos: parseRate(given.netRate),
        pays: v.rule === 'net-all-when-over-threshold' ? 'all' : 'excess'
      },
      1n,
      { ...rounding, scale: 2 }
    )
    equal(payer, 'out')
    const share = printAmount((shareNanos + 500n) / 1_000n)
    deepEqual({ share, netMinutes: Number(netUnits), amount: cents(amountMicros) }, v.out)
  })

  it.each(titles(['R17']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ gross: z.string(), providerShare: z.string() }).parse(v.in)
    const { providerMicros, hubMicros } = shareOf(parseAmount(given.gross), parseRate(given.providerShare), {
      ...rounding,
      scale: 2
    })
    deepEqual({ provider: cents(providerMicros), hub: cents(hubMicros) }, v.out)
  })

  it.each(titles(['R18a', 'R18b', 'R18c', 'R18d']))('%s: %s', id => {
    const v = vectors.get(id)!
    const lines = z
      .object({ lines: z.array(z.string()) })
      .parse(v.in)
      .lines.map(parseAmount)
    const [, stage, mode] = z
      .tuple([z.string(), z.enum(['line', 'invoice']), z.enum(['half-up', 'half-even'])])
      .parse(/^round-(line|invoice)-(.*)$/.exec(v.rule.replace('half_', 'half-'))!.slice(0, 3))
    deepEqual({ total: cents(totalOf(lines, stage, { scale: 2, mode })) }, v.out)
  })

  it.each(titles(['R19a', 'R19b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ balance: z.string(), ratePerMinute: z.string(), setupFee: z.string() }).parse(v.in)
    const lasts = prepaidSeconds(parseAmount(given.balance), parseRate(given.setupFee), parseRate(given.ratePerMinute))
    deepEqual({ seconds: Number(lasts) }, v.out)
  })

  it.each(titles(['R20']))('%s: %s', id => {
    const v = vectors.get(id)!
    const { services } = z
      .object({ services: z.array(z.object({ ratePerMinute: z.string(), seconds: z.int() })) })
      .parse(v.in)
    const amounts = services.map(
      ({ ratePerMinute, seconds }) =>
        rateCall(pricing({ rateNanos: parseRate(ratePerMinute) }), 0, seconds * 1_000).amountMicros
    )
    deepEqual({ amount: printAmount(amounts.reduce((sum, amount) => sum + amount, 0n)) }, v.out)
  })

  it.each(titles(['R21a', 'R21b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ ownSeconds: z.int(), theirSeconds: z.int(), tolerancePercent: z.string() }).parse(v.in)
    const { percentMicros, within } = toleranceOf({
      own: BigInt(given.ownSeconds),
      theirs: BigInt(given.theirSeconds),
      percentNanos: parseRate(given.tolerancePercent),
      of: v.rule === 'tolerance-of-own' ? 'own' : 'larger'
    })
    deepEqual({ percent: printAmount(percentMicros), withinTolerance: within }, v.out)
  })

  it.each(titles(['R22a', 'R22b']))('%s: %s', id => {
    const v = vectors.get(id)!
    const call = side.extend({ durationMs: z.int(), uplift: z.string() }).parse(v.in)
    const price = pricing({ ...call, rateNanos: parseRate(call.ratePerMinute) })
    const factorNanos = unchanged + parseRate(call.uplift)
    const micros =
      v.rule === 'uplift-exact'
        ? rateCall({ ...price, factorNanos }, 0, call.durationMs).amountMicros
        : convert(rateCall(price, 0, call.durationMs).amountMicros, factorNanos, rounding)
    deepEqual({ amount: printAmount(micros) }, v.out)
  })

  it.each(titles(['R29']))('%s: %s', id => {
    const v = vectors.get(id)!
    const given = z.object({ answeredAt: z.string(), timeZone: z.string(), calendar: z.literal('month') }).parse(v.in)
    const { name } = periodOf(Date.parse(given.answeredAt), given.calendar, createZone(given.timeZone))
    deepEqual({ period: name }, v.out)
  })

  it('are all of them tested above', () => {
    deepEqual(
      [...vectors.keys()].filter(id => !tested.has(id)),
      []
    )
  })
})
