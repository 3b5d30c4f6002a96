// Charges added up to the lines of a statement. Calls that came to nothing count with the rate that would have priced
// them, so that each destination has its ASR. Pure.

import { HubError } from '../../errors.ts'
import { divRound, parseAmount, parseRate } from '../money.ts'
import type { LineKind, LineUnit, StatementLine } from './model.ts'
import type { StatedCharge } from './stated.ts'

export const limits = {
  /** Lines of one statement; a deck of 100,000 codes has them all. */
  linesMax: 250_000
} as const

/** What a rate row says about all that it priced. */
export interface RateFacts {
  readonly rateId: string
  readonly prefix: string | null
  readonly destination: string | null
  readonly origin: string | null
  readonly setupNanos: bigint
  readonly initialSeconds: bigint
  readonly nextSeconds: bigint
  readonly banded: boolean
  readonly version: string | null
}

interface Sums {
  readonly kind: LineKind
  readonly ofPeriod: string
  readonly facts: RateFacts | null
  readonly trunk: string
  readonly quality: string | null
  readonly rate: string | null
  readonly detail: Readonly<Record<string, unknown>>
  attempts: bigint
  answered: bigint
  effective: bigint
  durationMs: bigint
  increments: bigint
  billedUnits: bigint
  setupNanos: bigint
  grossMicros: bigint
  netMicros: bigint
}

/** The called side was reached, whatever it said: the network did its part (E.425, NER). */
const reached: ReadonlySet<string> = new Set(['busy', 'declined', 'no-answer', 'answered-elsewhere', 'unwanted'])

export class LineSums {
  readonly #lines = new Map<string, Sums>()
  /** Attempts that cost nothing, by what would have priced them. */
  readonly #idle = new Map<string, Sums>()
  readonly #unit: LineUnit
  readonly #linesMax: number
  readonly #versions = new Set<string>()

  constructor(service: string, linesMax: number = limits.linesMax) {
    this.#linesMax = linesMax
    this.#unit = service === 'message' ? 'message' : 'second'
  }

  get versions(): readonly string[] {
    return [...this.#versions].sort()
  }

  /** Throws HUB_LIMIT for more lines than a statement may have. */
  add(charge: StatedCharge, facts: RateFacts | null, place: { readonly kind: LineKind; readonly ofPeriod: string }) {
    if (charge.emergency) return this.#count(this.#lines, charge, null, { ...place, rule: 'emergency' })
    const priced = charge.t_answer !== null
    if (priced && facts !== null && facts.version !== null) this.#versions.add(facts.version)
    if (priced) return this.#count(this.#lines, charge, facts, place)
    this.#count(this.#idle, { ...charge, amount_micros: 0n, gross: null }, facts, place)
    if (charge.amount_micros > 0n) {
      const fee = this.#sumOf(this.#lines, charge, null, { ...place, rule: 'attempt' })
      const amount = BigInt(charge.sign) * charge.amount_micros
      fee.grossMicros += amount
      fee.netMicros += amount
    }
  }

  #count(to: Map<string, Sums>, charge: StatedCharge, facts: RateFacts | null, place: Place): void {
    const sum = this.#sumOf(to, charge, facts, place)
    const sign = BigInt(charge.sign)
    sum.attempts += sign
    if (charge.t_answer !== null) sum.answered += sign
    if (charge.t_answer !== null || reached.has(charge.cause ?? '')) sum.effective += sign
    if (charge.t_answer !== null) sum.durationMs += sign * charge.duration_ms
    sum.billedUnits += sign * charge.billed_units
    sum.increments += sign * this.#incrementsOf(charge.billed_units, facts)
    if (facts !== null && charge.amount_micros > 0n) sum.setupNanos += sign * facts.setupNanos
    sum.grossMicros += sign * (charge.gross === null ? charge.amount_micros : parseAmount(charge.gross))
    sum.netMicros += sign * charge.amount_micros
  }

  #incrementsOf(units: bigint, facts: RateFacts | null): bigint {
    if (this.#unit === 'message' || facts === null || units === 0n) return units
    return 1n + (units - facts.initialSeconds) / facts.nextSeconds
  }

  #sumOf(to: Map<string, Sums>, { trunk, quality_class, rate }: StatedCharge, facts: RateFacts | null, place: Place) {
    const shown = to === this.#idle ? null : rate
    const parts = [place.kind, place.ofPeriod, place.rule ?? '', facts?.rateId ?? null, trunk, quality_class, shown]
    const key = JSON.stringify(parts)
    const known = to.get(key)
    if (known !== undefined) return known
    if (this.#lines.size + this.#idle.size >= this.#linesMax) {
      throw new HubError('HUB_LIMIT', `a statement of more than ${this.#linesMax} lines`)
    }
    const { kind, ofPeriod, rule } = place
    const detail = rule === undefined ? {} : { rule }
    const sum = { kind, ofPeriod, facts, trunk, quality: quality_class, rate: shown, detail, ...nothing() }
    to.set(key, sum)
    return sum
  }

  /** In their order: what is of this period first, then by destination, code and rate. */
  lines(): readonly Omit<StatementLine, 'line'>[] {
    const all = [...this.#lines.values()]
    const groupOf = ({ kind, ofPeriod, facts, trunk, quality }: Sums): string =>
      JSON.stringify([kind, ofPeriod, facts?.rateId ?? null, trunk, quality])
    const byGroup = new Map(all.filter(({ facts }) => facts !== null).map(sum => [groupOf(sum), sum]))
    for (const idle of this.#idle.values()) {
      const home = byGroup.get(groupOf(idle))
      if (home === undefined) all.push(idle)
      else {
        home.attempts += idle.attempts
        home.effective += idle.effective
      }
    }
    return all.map(sum => this.#lineOf(sum)).toSorted(compareLines)
  }

  #lineOf(sum: Sums): Omit<StatementLine, 'line'> {
    const { kind, ofPeriod, facts, trunk, quality, rate, detail, setupNanos, grossMicros, netMicros } = sum
    const isFee = detail['rule'] === 'attempt'
    return {
      kind,
      ofPeriod,
      destination: facts?.destination ?? null,
      destCode: facts?.prefix ?? null,
      origin: facts?.origin ?? null,
      trunk,
      timeClass: facts === null ? null : facts.banded ? 'banded' : 'any',
      qualityClass: quality,
      rateId: facts?.rateId ?? null,
      rateNanos: rate === null ? null : parseRate(rate),
      effectiveFrom: facts === null ? null : effectiveFromOf(facts.rateId),
      attempts: sum.attempts,
      answered: sum.answered,
      effective: sum.effective,
      durationMs: sum.durationMs,
      increments: sum.increments,
      billedUnits: sum.billedUnits,
      unit: isFee ? 'none' : this.#unit,
      setupMicros: divRound(setupNanos, 1_000n, 'half-up'),
      grossMicros,
      discountMicros: grossMicros - netMicros,
      netMicros,
      detail
    }
  }
}

interface Place {
  readonly kind: LineKind
  readonly ofPeriod: string
  readonly rule?: string
}

const nothing = () => ({
  attempts: 0n,
  answered: 0n,
  effective: 0n,
  durationMs: 0n,
  increments: 0n,
  billedUnits: 0n,
  setupNanos: 0n,
  grossMicros: 0n,
  netMicros: 0n
})

/** A rate's id ends with the moment from which it counts, where it has one. */
function effectiveFromOf(rateId: string): Date | null {
  const last = rateId.slice(rateId.lastIndexOf('/') + 1)
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T/.test(last) ? Date.parse(last) : Number.NaN
  return Number.isNaN(at) ? null : new Date(at)
}

const orderOf = ({ kind, ofPeriod, destination, destCode, rateId, trunk, qualityClass, rateNanos, detail }: Line) => [
  kind === 'usage' ? 0 : 1,
  ofPeriod,
  detail['rule'] === undefined ? 0 : 1,
  destination ?? '\uffff',
  destCode ?? '',
  rateId ?? '',
  trunk ?? '',
  qualityClass ?? '',
  rateNanos ?? -1n
]
type Line = Omit<StatementLine, 'line'>

function compareLines(a: Line, b: Line): number {
  const [left, right] = [orderOf(a), orderOf(b)]
  for (const [n, own] of left.entries()) {
    const other = right[n] ?? ''
    if (own < other) return -1
    if (own > other) return 1
  }
  return 0
}
