// How many records a core rates: two sides each, decks of 100,000 prefixes, records already parsed. Figures, never
// assertions: node test/bench/rating.ts

import { createAgreementBook } from '../../src/clearing/agreements.ts'
import type { Agreement } from '../../src/clearing/agreements.ts'
import { chargeOf } from '../../src/clearing/charging.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { createPrefixTable } from '../../src/clearing/prefixes.ts'
import { rateCall, unchanged } from '../../src/clearing/rating.ts'
import type { Pricing, RateRow } from '../../src/clearing/rating.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { clearingConfig, record } from '../support/clearing.ts'
import { mulberry32 } from '../support/random.ts'

const prefixes = 100_000
const records = 200_000
const rounds = 5

export interface RatingBench {
  /** Records rated on both sides in one second of CPU: row, increments, bands, amount. */
  readonly ratedPerSecond: number
  /** The same with everything around it: agreement, rule, explanation, transfers. */
  readonly chargedPerSecond: number
  /** One multiplication and one rounded division in BigInt: what this machine gives today. */
  readonly yardstickPerSecond: number
  readonly megabytes: number
}

function deckOf(draw: (n: number) => number, id: string): readonly RateRow[] {
  const increments = [
    [1, 1],
    [60, 60],
    [30, 6],
    [6, 6]
  ] as const
  const codes = new Set<string>(['+1', '+4', '+7', '+8', '+9', '+2', '+3', '+5', '+6'])
  while (codes.size < prefixes) codes.add(`+${1 + draw(9)}${String(draw(10 ** (2 + draw(6))))}`)
  return [...codes].map((prefix, n) => {
    const [initialSeconds, nextSeconds] = increments[draw(increments.length)] ?? [1, 1]
    return {
      id: `${id}/v1/${prefix}`,
      version: 1,
      prefix,
      destination: `destination ${n % 900}`,
      origin: null,
      quality: null,
      effectiveFrom: 0,
      effectiveTo: null,
      rateNanos: BigInt(1 + draw(900_000_000)),
      setupFeeNanos: 0n,
      minimumSeconds: 0,
      initialSeconds,
      nextSeconds,
      bands:
        n % 10 === 0
          ? [{ weekdays: new Set([0, 6]), fromMinute: 0, toMinute: 1_440, rateNanos: BigInt(draw(900_000_000)) }]
          : [],
      blocked: false
    }
  })
}

const best = (runs: readonly number[]): number => Math.round(Math.max(...runs))

/** In a second of CPU: what others do on the machine meanwhile does not count. */
function timed(count: number, work: () => void): number {
  const start = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(start)
  return (count * 1_000_000) / (user + system)
}

export function benchRating(): RatingBench {
  const draw = mulberry32(1)
  const config = clearingConfig(`
agreements:
  - { id: sell, buyer: island, seller: hub, timeZone: Europe/Berlin }
  - { id: buy, buyer: hub, seller: operator, timeZone: Asia/Kolkata }`)
  const plain = createAgreementBook(config.agreements, createNumberOf([]))
  const before = process.memoryUsage().rss
  const agreements = plain.agreements.map(agreement => ({
    ...agreement,
    deck: createPrefixTable(deckOf(draw, agreement.id))
  }))
  const megabytes = Math.round((process.memoryUsage().rss - before) / 1_048_576)
  const [sell, buy] = agreements as unknown as readonly [Agreement, Agreement]
  const book: typeof plain = {
    ...plain,
    between: buyer => (buyer === 'hub' ? buy : sell),
    bilateral: () => null
  }
  const day = Date.parse('2026-11-02T00:00:00Z')
  const calls = Array.from({ length: records }, () => {
    const called = `+${1 + draw(9)}${100_000 + draw(900_000)}${10_000 + draw(90_000)}`
    const at = day + draw(86_400_000)
    return { called, at, durationMs: draw(10) < 3 ? draw(10_000) : draw(600_000) }
  })
  const priceOf = ({ rounding, zone, holidays }: Agreement, row: RateRow): Pricing => ({
    row,
    rounding,
    zone,
    holidays,
    factorNanos: unchanged
  })
  let sum = 0n
  const rated = Array.from({ length: rounds }, () =>
    timed(records, () => {
      for (const { called, at, durationMs } of calls) {
        for (const agreement of agreements) {
          const row = agreement.deck.match(called, at)
          if (row !== null) sum += rateCall(priceOf(agreement, row), at, durationMs).amountMicros
        }
      }
    })
  )
  const finals: readonly CdrRecord[] = calls
    .slice(0, records / 4)
    .flatMap(({ called, at, durationMs }) =>
      (['ingress', 'egress'] as const).map(leg =>
        record({ leg, called: `tel:${called}`, dialled: `tel:${called}`, t_answer: at, duration_ms: durationMs })
      )
    )
  const charged = Array.from({ length: rounds }, () =>
    timed(finals.length / 2, () => {
      for (const final of finals) {
        const outcome = chargeOf(final, book)
        if (outcome.charged) sum += outcome.charge.amountMicros
      }
    })
  )
  const yardstick = Array.from({ length: rounds }, () =>
    timed(records, () => {
      for (const { durationMs } of calls) sum += (34_500_000n * BigInt(durationMs) * 2n + 60_000n) / 120_000n
    })
  )
  if (sum === 0n) throw new Error('nothing was rated')
  return {
    ratedPerSecond: best(rated),
    chargedPerSecond: best(charged),
    yardstickPerSecond: best(yardstick),
    megabytes
  }
}

if (import.meta.main) {
  const { ratedPerSecond, chargedPerSecond, yardstickPerSecond, megabytes } = benchRating()
  console.log(`rated on both sides: ${ratedPerSecond} records a CPU second; with all of charging ${chargedPerSecond}`)
  const ratio = (yardstickPerSecond / ratedPerSecond).toFixed(0)
  console.log(
    `one BigInt amount alone: ${yardstickPerSecond} a CPU second; a record on both sides takes ${ratio} of them`
  )
  console.log(`two decks of ${prefixes} prefixes: ${megabytes} MB`)
}
