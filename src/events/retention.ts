// Which records the journal must still hold. The final goes last: while a start or interim record is there, so is the
// final that closes it, and recovery after a crash never closes a leg twice. Pure book-keeping.

import type { CdrRecord } from './cdr.ts'

interface Keeping {
  readonly seq: number
  relayed: boolean
  /** Its slot is being emptied. */
  going: boolean
}

interface Leg {
  /** Start and interim records still held. Only the last of them says more than the ones before. */
  readonly partials: Map<number, Keeping>
  lastPartial: number
  final: Keeping | null
}

export const legOf = ({ call_id, leg, attempt }: Pick<CdrRecord, 'call_id' | 'leg' | 'attempt'>): string =>
  `${call_id}/${leg}/${attempt}`

export class Retention {
  readonly #legs = new Map<string, Leg>()
  readonly #legOfSeq = new Map<number, string>()

  /** Legs of which something is held. */
  get legs(): number {
    return this.#legs.size
  }

  durable(record: CdrRecord): void {
    const name = legOf(record)
    const leg = this.#legs.get(name) ?? { partials: new Map<number, Keeping>(), lastPartial: 0, final: null }
    const keeping: Keeping = { seq: record.seq, relayed: false, going: false }
    if (record.kind === 'final') leg.final = keeping
    else {
      leg.partials.set(record.seq, keeping)
      leg.lastPartial = Math.max(leg.lastPartial, record.seq)
    }
    this.#legs.set(name, leg)
    this.#legOfSeq.set(record.seq, name)
  }

  /** Returns what may be emptied now; tell `emptied` once that is durable. */
  relayed(seqs: readonly number[]): readonly number[] {
    const touched = new Set<string>()
    for (const seq of seqs) {
      const name = this.#legOfSeq.get(seq)
      const leg = name === undefined ? undefined : this.#legs.get(name)
      if (name === undefined || leg === undefined) continue
      const keeping = leg.final?.seq === seq ? leg.final : leg.partials.get(seq)
      if (keeping !== undefined) keeping.relayed = true
      touched.add(name)
    }
    return this.#release(touched)
  }

  /** Returns what may be emptied because of that. */
  emptied(seqs: readonly number[]): readonly number[] {
    const touched = new Set<string>()
    for (const seq of seqs) {
      const name = this.#legOfSeq.get(seq)
      const leg = name === undefined ? undefined : this.#legs.get(name)
      this.#legOfSeq.delete(seq)
      if (name === undefined || leg === undefined) continue
      leg.partials.delete(seq)
      if (leg.final?.seq === seq) leg.final = null
      if (leg.final === null && leg.partials.size === 0) this.#legs.delete(name)
      else touched.add(name)
    }
    return this.#release(touched)
  }

  #release(names: Iterable<string>): readonly number[] {
    const going: number[] = []
    for (const name of names) {
      const leg = this.#legs.get(name)
      if (leg === undefined) continue
      const closed = leg.final?.relayed === true
      for (const partial of leg.partials.values()) {
        if (!partial.relayed || partial.going || !(closed || partial.seq < leg.lastPartial)) continue
        partial.going = true
        going.push(partial.seq)
      }
      if (leg.final === null || !closed || leg.final.going || leg.partials.size > 0) continue
      leg.final.going = true
      going.push(leg.final.seq)
    }
    return going
  }
}
