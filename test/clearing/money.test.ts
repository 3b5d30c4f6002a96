import { equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import {
  divCeil,
  divRound,
  parseAmount,
  parseRate,
  parseScaled,
  printAmount,
  printRate,
  printScaled,
  roundingModes
} from '../../src/clearing/money.ts'

describe('rounding', () => {
  it('each mode is what its name says', () => {
    const halves = [5n, 15n, 25n, -5n, -15n, -25n]
    equal(halves.map(n => divRound(n, 10n, 'half-up')).join(), '1,2,3,-1,-2,-3')
    equal(halves.map(n => divRound(n, 10n, 'half-even')).join(), '0,2,2,0,-2,-2')
    equal(halves.map(n => divRound(n, 10n, 'up')).join(), '1,2,3,-1,-2,-3')
    equal(halves.map(n => divRound(n, 10n, 'down')).join(), '0,1,2,0,-1,-2')
    equal(divRound(14n, 10n, 'half-up'), 1n)
    equal(divRound(16n, 10n, 'half-even'), 2n)
    equal(divRound(11n, 10n, 'up'), 2n)
    equal(divRound(19n, 10n, 'down'), 1n)
  })

  it('a quotient that comes out even is never touched', () => {
    fc.assert(
      fc.property(fc.bigInt(-(10n ** 20n), 10n ** 20n), fc.bigInt(1n, 10n ** 12n), (n, d) =>
        roundingModes.every(mode => divRound(n * d, d, mode) === n && divRound(n * d, -d, mode) === -n)
      )
    )
  })

  it('the error is below one, and at most one half for the half modes, and its opposite rounds to its opposite', () => {
    fc.assert(
      fc.property(fc.bigInt(-(10n ** 20n), 10n ** 20n), fc.bigInt(1n, 10n ** 12n), (n, d) =>
        roundingModes.every(mode => {
          const error = divRound(n, d, mode) * d - n
          const size = error < 0n ? -error : error
          const bound = mode === 'up' || mode === 'down' ? size < d : size * 2n <= d
          return bound && divRound(-n, d, mode) === -divRound(n, d, mode)
        })
      )
    )
  })

  it('the ceiling is the smallest integer that is not below', () => {
    equal([divCeil(6n, 3n), divCeil(7n, 3n), divCeil(-7n, 3n), divCeil(0n, 3n), divCeil(-7n, -3n)].join(), '2,3,-2,0,3')
  })

  it('a division by zero is an error of the program', () => {
    throws(() => divRound(1n, 0n, 'up'), RangeError)
  })
})

describe('decimal text', () => {
  it('keeps every digit of an amount and of a rate', () => {
    equal(parseAmount('0.012505'), 12_505n)
    equal(printAmount(12_505n), '0.012505')
    equal(parseRate('0.0123'), 12_300_000n)
    equal(printRate(12_300_000n), '0.0123')
    equal(printRate(2_000_000_000n), '2')
    equal(printRate(100_000_000_000n), '100')
    equal(printScaled(-5n, 2), '-0.05')
    equal(printScaled(7n, 0), '7')
  })

  it('comes back as it went, for any number and scale', () => {
    fc.assert(
      fc.property(
        fc.bigInt(-(10n ** 17n), 10n ** 17n),
        fc.integer({ min: 0, max: 9 }),
        (n, scale) => parseScaled(printScaled(n, scale), scale) === n
      )
    )
  })

  it('takes zeros beyond its scale, and refuses other digits instead of losing them', () => {
    equal(parseAmount('0.1000000000'), 100_000n)
    throws(() => parseAmount('0.0000001'), /more than 6 digits/)
  })

  it.each(['', '.', '1.', '.5', '1e3', '0x10', ' 1', '1 ', '+1', '--1', '1,5', 'NaN', '9'.repeat(19)])(
    'refuses %j',
    text => {
      throws(() => parseAmount(text), RangeError)
    }
  )
})
