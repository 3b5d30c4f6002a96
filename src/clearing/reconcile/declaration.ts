// A declaration of sums, held against ours destination by destination: volume, and money where it says any. Pure.

import { divRound } from '../money.ts'
import type { Declared } from './columns.ts'
import type { Part } from './model.ts'
import type { ItemRow, OwnSum } from './store.ts'
import { grow } from './tally.ts'
import type { Tally } from './tally.ts'

/** By our name of a code where our deck has one. */
const nameIn = (nameOf: (code: string) => string | null, { code, destination }: Declared): string =>
  (code === null ? null : nameOf(code)) ?? destination ?? code ?? 'unknown'

const key = (name: string): string => name.trim().toLowerCase()

/** Fills the tally; returns one row a part of the difference. */
export function compareDeclared(
  ours: readonly OwnSum[],
  declared: readonly Declared[],
  nameOf: (code: string) => string | null,
  tally: Tally
): readonly ItemRow[] {
  const names = new Map(ours.map(({ destination }) => [key(destination), destination]))
  const lineOf = new Map<string, number>()
  const isPriced = new Map<string, boolean>()
  for (const their of declared) {
    const said = nameIn(nameOf, their)
    const name = names.get(key(said)) ?? said
    names.set(key(name), name)
    lineOf.set(name, lineOf.get(name) ?? their.line)
    const volume = { units: their.units, amountMicros: their.amountMicros ?? 0n }
    for (const sum of [tally.theirs, tally.destination(name).theirs]) grow(sum, volume, their.calls ?? 0n)
    isPriced.set(name, (isPriced.get(name) ?? true) && their.amountMicros !== null)
  }
  for (const own of ours) {
    const { units, amountMicros, calls } = own
    for (const sum of [tally.ours, tally.destination(own.destination).ours]) grow(sum, { units, amountMicros }, calls)
  }
  const rows: ItemRow[] = []
  for (const { destination, ours: own, theirs: their } of tally.destinations) {
    const priced = isPriced.get(destination) ?? true
    if (!priced) addAtOurRate(tally, own, their)
    const units = their.units - own.units
    const amount = their.amountMicros - own.amountMicros
    const line = lineOf.get(destination) ?? null
    const note = (outcome: Part['outcome'], of: { units: bigint; amountMicros: bigint }): void => {
      if (of.units === 0n && of.amountMicros === 0n) return
      rows.push({ outcome, cdrId: null, line, destination, ...of })
    }
    if (own.units === 0n && own.amountMicros === 0n) note('only-theirs', { units, amountMicros: amount })
    else if (line === null) note('only-ours', { units, amountMicros: amount })
    else {
      const longer = atOurRate(units, own)
      note('duration-diff', { units, amountMicros: longer })
      note('rate-diff', { units: 0n, amountMicros: amount - longer })
    }
    if (units === 0n && amount === 0n) tally.matched += 1n
  }
  for (const { outcome, units, amountMicros } of rows) grow(tally.classes[outcome], { units, amountMicros })
  return rows
}

type Volume = { units: bigint; amountMicros: bigint }

/** What so many units cost on average with us. */
const atOurRate = (units: bigint, own: Volume): bigint =>
  own.units === 0n ? 0n : divRound(units * own.amountMicros, own.units, 'half-up')

/** They said how much, not what it costs: that follows from our rate. */
function addAtOurRate(tally: Tally, own: Volume, their: Volume): void {
  const missing = atOurRate(their.units, own) - their.amountMicros
  their.amountMicros += missing
  tally.theirs.amountMicros += missing
}
