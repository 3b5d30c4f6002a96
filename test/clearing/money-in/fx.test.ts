import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { minorDigits, parseMoney, printMoney, toMinor } from '../../../src/clearing/money-in/currency.ts'
import { convertFx, parseFx, printFx } from '../../../src/clearing/money-in/fx.ts'
import { readFxFile } from '../../../src/clearing/money-in/fx-table.ts'
import { taxOn } from '../../../src/clearing/money-in/tax.ts'
import { parseAmount, printAmount } from '../../../src/clearing/money.ts'

const use = (rate: string, inverse = false) => ({
  rate: { base: 'EUR', quote: 'USD', ratePicos: parseFx(rate), fixedOn: '2026-11-30', source: 'ECB' },
  inverse
})
const six = { scale: 6, mode: 'half-up' } as const
const csv = (...lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\n')}\n`)
const header = 'date,base,quote,rate,source'

describe('conversion', () => {
  it('SET-06 rounds once: what was rounded before, and what is exact, differ as the vectors say (R13)', () => {
    equal(printAmount(convertFx({ numerator: parseAmount('0.218347') }, use('0.9173'), six)), '0.200290')
    // 0.0712 a minute for 184 s, not rounded before.
    const exact = { numerator: 71_200n * 184n, denominator: 60n }
    equal(printAmount(convertFx(exact, use('0.9173'), six)), '0.200289')
  })

  it('SET-06 divides by the rate where only the opposite quotation is there', () => {
    const cents = { scale: 2, mode: 'half-up' } as const
    equal(printAmount(convertFx({ numerator: parseAmount('100') }, use('1.25', true), cents)), '80.000000')
    equal(printAmount(convertFx({ numerator: parseAmount('100') }, use('3', true), cents)), '33.330000')
    equal(printAmount(convertFx({ numerator: parseAmount('-100') }, use('3', true), cents)), '-33.330000')
    const up = { scale: 2, mode: 'up' } as const
    equal(printAmount(convertFx({ numerator: parseAmount('100') }, use('3', true), up)), '33.340000')
  })

  it('SET-06 reads rates of twelve digits, above nothing, and prints them as they came', () => {
    for (const text of ['0.000055887123', '17893.12', '1']) equal(printFx(parseFx(text)), text)
    for (const text of ['0', '-1', '1.0000000000001', 'x', '9000001']) throws(() => parseFx(text), RangeError)
  })

  it('SET-06 tells what is wrong with a file of rates by its lines', () => {
    deepEqual(
      readFxFile('r.csv', csv(header, '2026-11-30,eur,USD,1.0812,ECB', '2026-11-30,EUR,USD,1.0812,ECB'), null),
      [{ base: 'EUR', quote: 'USD', ratePicos: parseFx('1.0812'), fixedOn: '2026-11-30', source: 'ECB' }]
    )
    const bad = csv(
      header,
      '30.11.2026,EUR,USD,1,ECB',
      '2026-11-30,EUR,EUR,1,ECB',
      '2026-11-30,EUR,USD,"1,08",ECB',
      '2026-11-30,EUR,USD,1.08,',
      '2026-11-29,EUR,USD,1.08,ECB',
      '2026-11-29,EUR,USD,1.09,ECB'
    )
    throws(
      () => readFxFile('r.csv', bad, null),
      error => {
        const told = (error as Error).message
        for (const line of [2, 3, 4, 5, 7]) equal(told.includes(`line ${line}:`), true, told)
        return /5 things are wrong, nothing was imported/.test(told)
      }
    )
    throws(() => readFxFile('r.csv', csv('date,base,quote,rate'), null), /the column source is missing/)
    throws(() => readFxFile('r.csv', csv('date,base,quote,rate'), 'ECB'), /it has no rates/)
  })
})

describe('amounts that somebody pays', () => {
  it('have as many digits as their currency', () => {
    deepEqual(['EUR', 'JPY', 'KWD', 'CLF'].map(minorDigits), [2, 0, 3, 4])
    equal(printMoney(parseMoney('12.5', 'EUR'), 'EUR'), '12.50')
    equal(printMoney(parseAmount('0.0011'), 'EUR'), '0.001100')
    throws(() => parseMoney('12.505', 'EUR'), RangeError)
    throws(() => parseMoney('1.5', 'JPY'), RangeError)
    equal(toMinor(parseAmount('10.005'), 'EUR'), parseAmount('10.01'))
    equal(toMinor(parseAmount('10.005'), 'EUR', 'half-even'), parseAmount('10.00'))
    equal(toMinor(parseAmount('-10.005'), 'EUR'), parseAmount('-10.01'))
  })

  it('COM-05 tax is the exact product, rounded once to the minor unit', () => {
    const tax = (percent: string) =>
      ({ category: 'standard', percentMicros: parseAmount(percent), note: null }) as const
    equal(taxOn(parseAmount('100.13'), tax('19'), 'EUR'), parseAmount('19.02'))
    equal(taxOn(parseAmount('0.03'), tax('7.7'), 'CHF'), 0n)
    equal(taxOn(parseAmount('150'), tax('10'), 'JPY'), parseAmount('15'))
    equal(taxOn(parseAmount('155'), tax('10'), 'JPY'), parseAmount('16'))
  })
})
