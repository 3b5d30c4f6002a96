import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { limits } from '../../../src/clearing/decks/deck-row.ts'
import { prefixesOf } from '../../../src/clearing/decks/ranges.ts'
import { readCsv } from '../../../src/clearing/decks/read-csv.ts'
import { Problems, readSheet } from '../../../src/clearing/decks/sheet.ts'
import { spreadsheetNumber } from '../../../src/clearing/decks/spreadsheet-number.ts'
import { printRate } from '../../../src/clearing/money.ts'
import { createZone } from '../../../src/clearing/zone.ts'
import { sheetOf } from '../../support/decks.ts'

const header = 'prefix,destination_name,rate'
const problemsOf = (text: string | Buffer, over: Parameters<typeof sheetOf>[1] = {}): readonly string[] => {
  try {
    sheetOf(text, over)
  } catch (error) {
    return (error as Error).message.split('\n')
  }
  return []
}
const only = (text: string | Buffer, over: Parameters<typeof sheetOf>[1] = {}): string =>
  problemsOf(text, over).join('\n')

describe('a cell of prefixes', () => {
  it.each([
    ['4477', ['+4477']],
    ['+4477', ['+4477']],
    ['+', ['+']],
    ['4477[1-3]', ['+44771', '+44772', '+44773']],
    ['44[78][12]', ['+4471', '+4472', '+4481', '+4482']],
    ['44[1-35]', ['+441', '+442', '+443', '+445']],
    ['44771-44773', ['+44771', '+44772', '+44773']],
    ['44771-3', ['+44771', '+44772', '+44773']],
    ['44098-44101', ['+44098', '+44099', '+44100', '+44101']],
    ['49; 33, 31', ['+49', '+33', '+31']]
  ])('RATE-03 %s stands for its codes', (cell, prefixes) => {
    deepEqual(prefixesOf(cell), { prefixes, problem: null })
  })

  it.each([
    '',
    ' ; ',
    '0049',
    'abc',
    '44[',
    '44[9-1]',
    '44[a]',
    '44779-44771',
    '44771-9999999',
    '4.9E+11',
    '1234567890123456',
    '[1-9]',
    '49;49',
    '1[0-9][0-9][0-9][0-9][0-9]',
    '10000-99999'
  ])('RATE-03 %j is refused', cell => {
    ok(prefixesOf(cell).problem !== null)
  })

  it('never throws and never makes more than its bound', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('0123456789[]-+;, eE')), maxLength: 30 }), cell => {
        const { prefixes } = prefixesOf(cell)
        return (
          prefixes.length <= limits.prefixesOfCellMax &&
          prefixes.every(prefix => /^\+([1-9][0-9]{0,14})?$/.test(prefix))
        )
      })
    )
  })
})

describe('a number of a spreadsheet', () => {
  it.each([
    ['1.2300000000000001E-2', '0.0123'],
    ['0.30000000000000004', '0.3'],
    ['49', '49'],
    ['4915112345678', '4915112345678'],
    ['1E2', '100'],
    ['4.9151E11', '491510000000'],
    ['-0.5', '-0.5'],
    ['0', '0'],
    ['0.000', '0'],
    ['9.9999999999999995', '10'],
    ['1E-7', '0.0000001'],
    ['120.50', '120.5'],
    ['text', 'text']
  ])('%s is what its author saw: %s', (written, seen) => {
    equal(spreadsheetNumber(written), seen)
  })

  it('of up to 15 digits comes back exactly, however it is written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999 }), fc.integer({ min: 0, max: 9 }), (digits, places) => {
        const exact = printRate(BigInt(digits) * 10n ** BigInt(9 - places))
        equal(spreadsheetNumber(`${digits}E-${places}`), exact)
        equal(spreadsheetNumber(String(Number(exact))), exact)
      })
    )
  })
})

describe('a CSV sheet', () => {
  it('is read with a byte-order mark, semicolons, tabs, quotes, other names and line ends', () => {
    const expected = [['+49', '0.0123']]
    const read = (text: string): unknown => sheetOf(text).rows.map(row => [row.prefix, printRate(row.rateNanos)])
    deepEqual(read(`\uFEFF${header}\r\n49,Germany,0.0123\r\n`), expected)
    deepEqual(read('Dial Code;Destination;Price\n49;Germany;0.0123'), expected)
    deepEqual(read('code\tname\trate_per_minute\n49\t"Ger\nmany"\t0.0123\n\n'), expected)
    deepEqual(read('deck_id,version,prefix,destination_name,rate\nx,1,49,"Germany, all",0.0123'), expected)
  })

  it('with a decimal comma is read when that is said, and is a problem when not', () => {
    const sheet = 'prefix;destination_name;rate\n49;Germany;0,0123\n'
    equal(printRate(sheetOf(sheet, { decimal: ',' }).rows[0]!.rateNanos), '0.0123')
    ok(/line 2: rate: "0,0123" has a decimal comma/.test(only(sheet)))
    ok(/line 2: rate/.test(only(sheet.replace('0,0123', '1.234,5'), { decimal: ',' })))
  })

  it('says everything that is wrong, each with its line, and takes nothing', () => {
    const sheet = [
      header,
      '49,Germany,0.01',
      '33,France,',
      '0031,Netherlands,0.01',
      '44,"Great',
      'Britain",x',
      '34,=cmd(),0.01',
      '39,,0.01'
    ].join('\n')
    const [first, ...others] = problemsOf(sheet)
    equal(first, 'deck.csv: 5 things are wrong, nothing was imported')
    deepEqual(
      others.map(text => /line ([0-9]+)/.exec(text)?.[1]),
      ['3', '4', '5', '7', '8']
    )
  })

  it.each([
    ['an unknown column', `${header},colour\n49,Germany,0.01,red`, /line 1: there is no column "colour"/],
    ['a column twice', `${header},rate\n49,Germany,0.01,0.01`, /line 1: the column rate appears twice/],
    ['a missing column', 'prefix,rate\n49,1', /line 1: the column destination_name is missing/],
    ['nothing', '', /it is empty/],
    ['only a header', header, /it has no rates/],
    ['a formula', `${header}\n49,=1+1,0.01`, /line 2: "=1\+1" looks like a formula/],
    ['a formula to be', `${header}\n49,+cmd,0.01`, /line 2: destination_name: "\+cmd" looks like a formula/],
    ['too many digits', `${header}\n49,Germany,0.0000000001`, /line 2: rate: .* more than 9 digits/],
    ['a negative rate', `${header}\n49,Germany,-1`, /line 2: rate: "-1" is no amount/],
    ['control characters', `${header}\n49,Ger\u0007many,1`, /line 2: a cell with control characters/],
    [
      'another currency',
      `${header},currency\n49,Germany,1,USD`,
      /line 2: currency: "USD" is not that of the agreement, EUR/
    ],
    ['another time zone', `${header},tz\n49,Germany,1,Asia/Tokyo`, /line 2: tz/],
    ['another partner', `${header},provider\n49,Germany,1,carrier`, /line 2: provider/],
    ['an ambiguous date', `${header},effective_from\n49,Germany,1,01/12/2026`, /line 2: effective_from: .* is no date/],
    ['a day that is none', `${header},effective_from\n49,Germany,1,2026-02-30`, /line 2: effective_from/],
    [
      'an end before its begin',
      `${header},effective_from,effective_to\n49,G,1,2026-02-02,2026-02-01`,
      /line 2: effective_to/
    ],
    [
      'an unknown time',
      `${header},time_class\n49,Germany,1,happy-hour`,
      /line 2: time_class: "happy-hour" is none of off, peak/
    ],
    ['an unknown origin', `${header},orig_set\n49,Germany,1,mars`, /line 2: orig_set: "mars" is none of unknown, eea/],
    ['an increment of zero', `${header},next_increment\n49,Germany,1,0`, /line 2: next_increment/],
    ['a long cell', `${header}\n49,${'x'.repeat(limits.cellCharsMax + 1)},1`, /line 2: a cell of more than 512/],
    ['too many columns', `${header}\n49,Germany,1${',x'.repeat(limits.columnsMax)}`, /line 2: more than 64 columns/],
    ['an open quote', `${header}\n49,"Germany,1`, /line 2: Quoted field unterminated/],
    ['NUL', `${header}\n49,Ger\0many,1`, /it is no text/]
  ])('with %s is refused', (_what, text, why) => {
    const told = only(text)
    ok(why.test(told), told)
  })

  it('that is not UTF-8 is refused', () => {
    ok(/not UTF-8/.test(only(Buffer.from(`${header}\n49,Öst,1`, 'latin1'))))
  })

  it('of more rows than the bound is refused', () => {
    const endless = function* () {
      yield { line: 1, cells: header.split(',') }
      for (let line = 2; ; line++) yield { line, cells: ['1[0-9][0-9][0-9]', 'x', '1'] }
    }
    const of = { zone: createZone('UTC'), timeClasses: [], origins: [], provider: 'island', direction: 'sell' } as const
    const rest = { agreementId: 'a', service: 'voice', currency: 'EUR', decimal: '.' } as const
    throws(() => readSheet('deck.csv', endless(), { ...of, ...rest }, undefined, 5_000), /more than 5000 rows/)
    equal(limits.rowsMax, 1_000_000)
  })

  it('of too many lines is refused while it is read', () => {
    const lines = Buffer.from(`${header}\n${'49,Germany,1\n'.repeat(10_000)}`)
    throws(() => readCsv('deck.csv', lines, 5_000), /more than 5000 rows/)
  })

  it('tells fifty problems and counts the others', () => {
    const problems = new Problems()
    for (let line = 1; line <= 60; line++) problems.add(line, 'bad')
    throws(
      () => problems.check('deck.csv'),
      (error: unknown) => {
        const lines = (error as Error).message.split('\n')
        deepEqual([lines.length, lines.at(-1)], [52, '  and 10 more'])
        return true
      }
    )
  })

  it('dates are days and times of the agreement’s zone, or moments', () => {
    const from = (text: string): unknown => {
      const { rows } = sheetOf(`${header},effective_from\n49,Germany,1,${text}`, { timeZone: 'Europe/Berlin' })
      return new Date(rows[0]!.effectiveFrom ?? 0).toISOString()
    }
    equal(from('2026-12-01'), '2026-11-30T23:00:00.000Z')
    equal(from('2026-07-01 06:30'), '2026-07-01T04:30:00.000Z')
    equal(from('2026-07-01T06:30:00'), '2026-07-01T04:30:00.000Z')
    equal(from('2026-07-01T06:30:00Z'), '2026-07-01T06:30:00.000Z')
    equal(from('2026-07-01T06:30:00+05:30'), '2026-07-01T01:00:00.000Z')
  })

  it('reads every column', () => {
    const columns = `${header},orig_set,setup_fee,min_seconds,initial_increment,next_increment,time_class,blocked,quality_class`
    const { rows } = sheetOf(`${columns}\n49,Germany,0.5,eea,0.01,6,30,6,peak,no,gold\n33,France,,,,,,,any,yes,`)
    deepEqual(rows[0], {
      prefix: '+49',
      destination: 'Germany',
      origin: 'eea',
      quality: 'gold',
      timeClass: 'peak',
      rateNanos: 500_000_000n,
      setupFeeNanos: 10_000_000n,
      minimumSeconds: 6,
      initialSeconds: 30,
      nextSeconds: 6,
      effectiveFrom: null,
      effectiveTo: null,
      blocked: false
    })
    deepEqual([rows[1]!.blocked, rows[1]!.timeClass, rows[1]!.rateNanos], [true, 'off', 0n])
  })
})
