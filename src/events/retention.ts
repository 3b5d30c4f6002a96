// Which records the journal must still hold. The final goes last: while a start or interim record is there, so is the
// final that closes it, and recovery after a crash never closes a leg twice. Pure book-keeping.

import type { CdrRecord } from './cdr.ts'

interface Keeping {
  readonly seq: number
  readonly leg: Leg
  relayed: boolean
  /** Its slot is being emptied. */
  going: boolean
}

interface Leg extends LegName {
  /** Start and interim records still held. Only the last of them says more than the ones before. */
  readonly partials: Keeping[]
  lastPartial: number
  final: Keeping | null
}

type LegName = Pick<CdrRecord, 'call_id' | 'leg' | 'attempt'>

export const legOf = ({ call_id, leg, attempt }: LegName): string => `${call_id}/${leg}/${attempt}`

export class Retention {
  /** Those of a call, which are few. */
  readonly #calls = new Map<string, Leg[]>()
  readonly #kept = new Map<number, Keeping>()
  #legs = 0

  /** Legs of which something is held. */
  get legs(): number {
    return this.#legs
  }

  durable(record: CdrRecord): void {
    const { seq, kind } = record
    const leg = this.#legOf(record)
    const keeping: Keeping = { seq, leg, relayed: false, going: false }
    if (kind === 'final') leg.final = keeping
    else {
      leg.partials.push(keeping)
      leg.lastPartial = Math.max(leg.lastPartial, seq)
    }
    this.#kept.set(seq, keeping)
  }

  /** Returns what may be emptied now; tell `emptied` once that is durable. */
  relayed(seqs: readonly number[]): readonly number[] {
    const touched: Leg[] = []
    for (const seq of seqs) {
      const keeping = this.#kept.get(seq)
      if (keeping === undefined) continue
      keeping.relayed = true
      touched.push(keeping.leg)
    }
    return released(touched)
  }

  /** Returns what may be emptied because of that. */
  emptied(seqs: readonly number[]): readonly number[] {
    const touched: Leg[] = []
    for (const seq of seqs) {
      const keeping = this.#kept.get(seq)
      if (keeping === undefined) continue
      this.#kept.delete(seq)
      const { leg } = keeping
      if (leg.final === keeping) leg.final = null
      else leg.partials.splice(leg.partials.indexOf(keeping), 1)
      if (leg.final === null && leg.partials.length === 0) this.#forget(leg)
      else touched.push(leg)
    }
    return released(touched)
  }

  #legOf({ call_id, leg, attempt }: LegName): Leg {
    let legs = this.#calls.get(call_id)
    if (legs === undefined) this.#calls.set(call_id, (legs = []))
    const known = legs.find(one => one.leg === leg && one.attempt === attempt)
    if (known !== undefined) return known
    const made: Leg = { call_id, leg, attempt, partials: [], lastPartial: 0, final: null }
    legs.push(made)
    this.#legs += 1
    return made
  }

  #forget(leg: Leg): void {
    const legs = this.#calls.get(leg.call_id) ?? []
    legs.splice(legs.indexOf(leg), 1)
    if (legs.length === 0) this.#calls.delete(leg.call_id)
    this.#legs -= 1
  }
}

/** A leg may be touched more than once: what goes already is not told again. */
function released(legs: readonly Leg[]): readonly number[] {
  const going: number[] = []
  for (const { final, partials, lastPartial } of legs) {
    const closed = final?.relayed === true
    for (const partial of partials) {
      if (!partial.relayed || partial.going || !(closed || partial.seq < lastPartial)) continue
      partial.going = true
      going.push(partial.seq)
    }
    if (final === null || !closed || final.going || partials.length > 0) continue
    final.going = true
    going.push(final.seq)
  }
  return going
}
