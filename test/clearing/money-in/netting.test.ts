import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { netOf } from '../../../src/clearing/money-in/netting.ts'
import type { Obligation } from '../../../src/clearing/money-in/netting.ts'
import { parseAmount, printAmount } from '../../../src/clearing/money.ts'

let items = 0
const owes = (debtor: string, creditor: string, amount: string): Obligation => ({
  itemId: `item-${(items += 1)}`,
  debtor,
  creditor,
  amountMicros: parseAmount(amount)
})
const paid = (obligations: readonly Obligation[], currency = 'EUR'): readonly string[] =>
  netOf(obligations, currency).payments.map(
    ({ payer, payee, amountMicros }) => `${payer} ${payee} ${printAmount(amountMicros)}`
  )

/** Debts among up to `parties` names, in whole cents. */
const debts = (parties: number): fc.Arbitrary<readonly Obligation[]> =>
  fc.array(
    fc.tuple(fc.nat(parties - 1), fc.nat(parties - 2), fc.integer({ min: 1, max: 40 })).map(([from, to, cents]) => ({
      itemId: `i${from}-${to}-${cents}`,
      debtor: `p${String(from).padStart(2, '0')}`,
      creditor: `p${String(to >= from ? to + 1 : to).padStart(2, '0')}`,
      amountMicros: BigInt(cents) * 10_000n
    })),
    { minLength: 1, maxLength: 60 }
  )

/** Tries every way of dividing positions into groups that come to zero: the plain definition, far too slow for use. */
function fewest(positions: readonly bigint[]): number {
  const open = positions.filter(net => net !== 0n)
  const divide = (left: readonly bigint[]): number => {
    const [first, ...others] = left
    if (first === undefined) return 0
    let best = -Infinity
    for (let set = 0; set < 1 << others.length; set++) {
      const inside = others.filter((_net, n) => (set & (1 << n)) !== 0)
      if (inside.reduce((sum, net) => sum + net, first) !== 0n) continue
      best = Math.max(best, 1 + divide(others.filter((_net, n) => (set & (1 << n)) === 0)))
    }
    return best
  }
  return open.length - divide(open)
}

describe('netting', () => {
  it('SET-05 nets two parties to the last digit and pays the rounded difference', () => {
    const { positions, payments } = netOf(
      [owes('telco', 'hub', '12345.678900'), owes('hub', 'telco', '10001.230000')],
      'EUR'
    )
    deepEqual(positions, [
      { party: 'hub', netMicros: parseAmount('2344.448900') },
      { party: 'telco', netMicros: parseAmount('-2344.448900') }
    ])
    deepEqual(payments, [
      {
        payer: 'telco',
        payee: 'hub',
        exactMicros: parseAmount('2344.448900'),
        amountMicros: parseAmount('2344.45')
      }
    ])
  })

  it('SET-05 pays in the minor unit of the currency', () => {
    const obligations = [owes('a', 'b', '1234.5678')]
    deepEqual(paid(obligations, 'JPY'), ['a b 1235.000000'])
    deepEqual(paid(obligations, 'KWD'), ['a b 1234.568000'])
  })

  it('SET-11 leaves nothing to pay where debts go round in a circle', () => {
    deepEqual(paid([owes('a', 'b', '10'), owes('b', 'c', '10'), owes('c', 'a', '10')]), [])
  })

  it('SET-11 lets the largest debtor pay the largest creditor, ties by name', () => {
    deepEqual(paid([owes('a', 'x', '6'), owes('b', 'x', '2'), owes('b', 'y', '4'), owes('c', 'y', '1')]), [
      'a x 6.000000',
      'b x 1.000000',
      'b y 5.000000',
      'c x 1.000000'
    ])
    deepEqual(paid([owes('b', 'y', '5'), owes('a', 'x', '5')]), ['a x 5.000000', 'b y 5.000000'])
  })

  it('SET-11 keeps net positions, pays what is owed on the whole, with at most n - 1 payments', () => {
    fc.assert(
      fc.property(debts(30), obligations => {
        const { positions, payments } = netOf(obligations, 'EUR')
        const left = new Map(positions.map(({ party, netMicros }) => [party, netMicros]))
        for (const { payer, payee, exactMicros } of payments) {
          left.set(payer, (left.get(payer) ?? 0n) + exactMicros)
          left.set(payee, (left.get(payee) ?? 0n) - exactMicros)
        }
        ok([...left.values()].every(net => net === 0n))
        const owed = positions.reduce((sum, { netMicros }) => sum + (netMicros > 0n ? netMicros : 0n), 0n)
        equal(
          payments.reduce((sum, { exactMicros }) => sum + exactMicros, 0n),
          owed
        )
        const parties = positions.filter(({ netMicros }) => netMicros !== 0n).length
        ok(payments.length <= Math.max(0, parties - 1))
      }),
      { numRuns: 300 }
    )
  })

  it('SET-11 makes the smallest number of payments up to twelve parties, as trying everything says', () => {
    fc.assert(
      fc.property(debts(8), obligations => {
        const { positions, payments } = netOf(obligations, 'EUR')
        equal(payments.length, fewest(positions.map(({ netMicros }) => netMicros)))
      }),
      { numRuns: 150 }
    )
    const twelve = Array.from({ length: 6 }, (_, n) => owes(`d${n}`, `c${(n + 1) % 6}`, String(n + 1)))
    equal(netOf(twelve, 'EUR').payments.length, 6)
  })

  it('SET-11 always answers the same, whatever the order of the items', () => {
    fc.assert(
      fc.property(debts(12), fc.nat(), (obligations, by) => {
        const turned = obligations.map((_item, n) => obligations[(n + by) % obligations.length]!)
        deepEqual(netOf(turned, 'EUR').payments, netOf(obligations, 'EUR').payments)
      }),
      { numRuns: 30 }
    )
  })

  it('takes no debt of nothing, of a party to itself, and no more than its bounds', () => {
    throws(() => netOf([owes('a', 'a', '1')], 'EUR'), RangeError)
    throws(() => netOf([{ ...owes('a', 'b', '1'), amountMicros: 0n }], 'EUR'), RangeError)
    const many = Array.from({ length: 1_001 }, (_, n) => owes(`p${n}`, 'hub', '1'))
    throws(() => netOf(many, 'EUR'), /more than 1000 parties/)
    const flood = Array.from({ length: 100_001 }, () => owes('a', 'b', '1'))
    throws(() => netOf(flood, 'EUR'), /more than 100000 items/)
  })
})
