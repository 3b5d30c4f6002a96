import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import type { DocumentLine } from '../../../src/clearing/settlement/document.ts'
import { columnsOf, groupLines, noteOfLine } from '../../../src/clearing/settlement/pdf-lines.ts'
import { dateOf, grouped, inFont, money, nameInFont } from '../../../src/clearing/settlement/pdf-text.ts'

const line = (over: Partial<DocumentLine> = {}): DocumentLine => ({
  line: 1,
  kind: 'usage',
  ofPeriod: '2026-11',
  service: 'voice',
  destination: 'Germany',
  destCode: '+49',
  origin: null,
  trunk: 't',
  timeClass: 'any',
  qualityClass: null,
  rateId: 'r',
  rate: '0.06',
  effectiveFrom: null,
  attempts: 4,
  answered: 2,
  asrPercent: '50.00',
  nerPercent: '50.00',
  acdSeconds: '60.0',
  rawSeconds: '120.000',
  increments: '120',
  billedUnits: '120',
  unit: 'second',
  billedMinutes: '2.00',
  messages: null,
  setupFees: '0.000000',
  gross: '0.120000',
  discounts: '0.000000',
  net: '0.120000',
  detail: {},
  ...over
})

describe('what is printed in a PDF', () => {
  it('codes and trunks of one destination and rate are one row, and it says so', () => {
    const { rows, note } = groupLines([line(), line({ trunk: 'u', destCode: '+491' }), line({ rate: '0.07' })], 10)
    deepEqual(
      rows.map(({ rate, attempts, netMicros }) => [rate, attempts, netMicros]),
      [
        ['0.06', 8, 240_000n],
        ['0.07', 4, 120_000n]
      ]
    )
    ok(note?.includes('CSV has all'))
    equal(groupLines([line()], 10).note, null)
  })

  it('too many rows are added up by destination, then cut, with a word about it', () => {
    const lines = ['a', 'b', 'c'].flatMap(destination => [
      line({ destination, rate: '1' }),
      line({ destination, rate: '2' })
    ])
    equal(groupLines(lines, 3).rows.length, 3)
    const cut = groupLines(lines, 2)
    deepEqual([cut.rows.length, cut.note], [2, 'The first 2 of 3 destinations; CSV has every line.'])
  })

  it('each line that no call owes stays by itself and says how it came about', () => {
    const commitment = line({ kind: 'commitment', destination: null, detail: { overUnits: '5', rate: '0.01' } })
    const { rows } = groupLines([commitment, { ...commitment, line: 2 }], 10)
    equal(rows.length, 2)
    equal(noteOfLine(rows[0]!), '2026-11: over units 5, rate 0.01')
    equal(noteOfLine(groupLines([line()], 10).rows[0]!), null)
  })

  it('messages have no length', () => {
    const columns = columnsOf({ service: 'message', currency: 'EUR' } as never, 100)
    const { rows } = groupLines([line({ billedUnits: '1200' })], 10)
    deepEqual(
      columns.map(({ value }) => value(rows[0]!)),
      ['Germany', '0.06', '4', '50.0', '', '1,200', '0.120000']
    )
  })

  it('letters that its fonts do not have become others, and numbers are grouped', () => {
    deepEqual([inFont('Österreich'), inFont('Łódź'), inFont('Россия')], ['Österreich', '?ódz', '??????'])
    deepEqual([nameInFont('Россия', '+7'), nameInFont('Россия', null)], ['Code +7', '??????'])
    deepEqual([grouped('1234567.890000'), grouped('-1234'), grouped('123')], ['1,234,567.890000', '-1,234', '123'])
    deepEqual([money('1234.560000', 2), money('1234.000000', 0)], ['1,234.56', '1,234'])
    deepEqual([dateOf('2026-12-01', -1), dateOf('2026-01-05')], ['30 Nov 2026', '5 Jan 2026'])
  })
})
