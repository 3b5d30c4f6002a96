import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { chargeOf } from '../../src/clearing/charging.ts'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import type { Agreement } from '../../src/clearing/agreements.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { createPrefixTable } from '../../src/clearing/prefixes.ts'
import { bandRules, secondsRoundings, unchanged } from '../../src/clearing/rating.ts'
import type { Band, RateRow } from '../../src/clearing/rating.ts'
import { roundingModes } from '../../src/clearing/money.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { clearingConfig, record } from '../support/clearing.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'
import { slowAmount } from '../support/rating-oracle.ts'

const cdrs = 30_000
const dayMs = 86_400_000
const from = Date.parse('2026-10-20T00:00:00Z')
const nights = ['2026-10-25T00:50:00Z', '2026-03-29T00:50:00Z', '2026-11-01T05:50:00Z'].map(text => Date.parse(text))
const zones = ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/Havana']

/** A deck of nested prefixes with dates, bands, origins and classes. */
function deckOf(draw: (n: number) => number, id: string): readonly RateRow[] {
  const pick = <T>(items: readonly T[]): T => items[draw(items.length)]!
  const nanos = (): bigint => BigInt(draw(2_000_000_000))
  const bandOf = (): Band => {
    const fromMinute = draw(1_440)
    const toMinute = 1 + draw(1_440)
    const days = new Set(Array.from({ length: 1 + draw(4) }, () => draw(8)))
    return {
      weekdays: days,
      fromMinute,
      toMinute: toMinute === fromMinute ? toMinute + 1 : toMinute,
      rateNanos: nanos()
    }
  }
  return Array.from({ length: 300 }, (_, n) => {
    const effectiveFrom = pick([0, 0, from + draw(10) * dayMs])
    return {
      id: `${id}/${n}`,
      version: 0,
      prefix: n === 0 ? '+' : `+${String(1 + draw(9))}${String(draw(10 ** draw(4)))}`,
      destination: `d${n}`,
      origin: pick([null, null, null, 'near', 'unknown']),
      quality: pick([null, null, null, 'gold']),
      effectiveFrom,
      effectiveTo: draw(4) === 0 ? Math.max(effectiveFrom, from) + (1 + draw(8)) * dayMs : null,
      rateNanos: nanos(),
      setupFeeNanos: draw(3) === 0 ? nanos() : 0n,
      minimumSeconds: pick([0, 0, 10, 90]),
      initialSeconds: pick([1, 1, 6, 30, 60, 61]),
      nextSeconds: pick([1, 1, 6, 7, 60]),
      bands: draw(3) === 0 ? Array.from({ length: 1 + draw(3) }, bandOf) : [],
      blocked: false
    }
  })
}

/** By looking at every row: no trie, no order of its own. */
function slowRow(
  rows: readonly RateRow[],
  asked: {
    readonly number: string
    readonly origin: string | null
    readonly quality: string | null
    readonly at: number
  }
): RateRow | null {
  let best: RateRow | null = null
  const rank = (row: RateRow): readonly number[] => [
    row.prefix.length,
    row.quality === null ? 0 : 1,
    row.origin === null ? 0 : 1,
    row.effectiveFrom
  ]
  for (const row of rows) {
    if (!asked.number.startsWith(row.prefix)) continue
    if (row.effectiveFrom > asked.at || (row.effectiveTo !== null && asked.at >= row.effectiveTo)) continue
    if (row.origin !== null && row.origin !== asked.origin) continue
    if (row.quality !== null && row.quality !== asked.quality) continue
    const [mine, its] = [rank(row), best === null ? [-1] : rank(best)]
    const at = mine.findIndex((value, n) => value !== its[n])
    if (best === null || (at >= 0 && mine[at]! > its[at]!)) best = row
  }
  return best
}

const slowOrigin = (calling: string | null): string | null =>
  calling === null ? 'unknown' : calling.startsWith('tel:+49') ? 'near' : null

describe('rating', () => {
  it(`RATE-06 RATE-07 agrees with an oracle that walks second by second, on ${cdrs} random records`, () => {
    const draw = mulberry32(seedFromEnvironment)
    const pick = <T>(items: readonly T[]): T => items[draw(items.length)]!
    const config = clearingConfig(`
agreements:
  - { id: sell, buyer: island, seller: hub, origins: { near: ["+49"] } }
  - { id: buy, buyer: hub, seller: operator, origins: { near: ["+49"] } }`)
    const decks = new Map(['sell', 'buy'].map(id => [id, deckOf(draw, id)]))
    // Rows with the same rank would leave it open which one counts.
    const distinct = new Map(
      [...decks].map(([id, rows]) => {
        const keys = new Map(rows.map(row => [`${row.prefix} ${row.origin} ${row.quality} ${row.effectiveFrom}`, row]))
        return [id, [...keys.values()]] as const
      })
    )
    const plain = createAgreementBook(config.agreements, createNumberOf([]))
    const holidays = new Set([from / dayMs + 3, from / dayMs + 8])
    let [priced, suspended] = [0, 0]
    for (let round = 0; round < 30; round++) {
      const settle = (agreement: Agreement): Agreement => ({
        ...agreement,
        zone: createAgreementBook([{ ...config.agreements[0]!, timeZone: pick(zones) }], createNumberOf([]))
          .agreements[0]!.zone,
        holidays,
        qualityClass: pick([null, 'gold', 'silver']),
        upliftNanos: pick([{}, { gold: 250_000_000n, silver: 100_000_000n }]),
        rounding: {
          ...agreement.rounding,
          seconds: pick(secondsRoundings),
          scale: draw(7),
          mode: pick(roundingModes),
          bands: pick(bandRules)
        },
        deck: createPrefixTable(distinct.get(agreement.id) ?? [])
      })
      const [sell, buy] = plain.agreements.map(settle)
      const book = { ...plain, between: (buyer: string) => (buyer === 'hub' ? buy! : sell!), bilateral: () => null }
      for (let n = 0; n < cdrs / 30; n++) {
        const leg = pick(['ingress', 'egress'] as const)
        const number = `+${1 + draw(9)}${draw(1_000_000)}`
        const at = draw(3) === 0 ? pick(nights) + draw(1_200_000) : from + draw(14 * dayMs)
        const duration_ms = draw(4) === 0 ? draw(3_000) : draw(400_000)
        const calling = pick(['tel:+4930100', 'tel:+331', null])
        const over: Partial<CdrRecord> = {
          leg,
          called: `tel:${number}`,
          dialled: `tel:${number}`,
          calling,
          duration_ms
        }
        const outcome = chargeOf(record({ ...over, t_request: at, t_answer: at, t_end: at + duration_ms }), book)
        const agreement = leg === 'ingress' ? sell! : buy!
        const quality = agreement.qualityClass
        const row = slowRow(distinct.get(agreement.id)!, { number, origin: slowOrigin(calling), quality, at })
        if (row === null) {
          equal(outcome.charged, false)
          suspended += 1
          continue
        }
        const uplift = quality === null || row.quality !== null ? 0n : (agreement.upliftNanos[quality] ?? 0n)
        const { rounding, zone } = agreement
        const expected = slowAmount({ row, rounding, zone, holidays, factorNanos: unchanged + uplift }, at, duration_ms)
        ok(outcome.charged)
        const { charge } = outcome
        deepEqual(
          [charge.row?.id, charge.billedUnits, charge.amountMicros],
          [row.id, expected.seconds, expected.micros]
        )
        priced += 1
      }
    }
    equal(priced + suspended, cdrs)
    ok(priced > cdrs / 2, `${priced} of ${cdrs} were priced`)
  }, 180_000)
})
