import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, it } from '@jest/globals'
import writeXlsxFile from 'write-excel-file/node'
import { readCall, readDeclared, readHeader } from '../../../src/clearing/reconcile/columns.ts'
import type { Column, FileOf, Header } from '../../../src/clearing/reconcile/columns.ts'
import { normalised } from '../../../src/clearing/reconcile/number.ts'
import { linesOf } from '../../../src/clearing/reconcile/read.ts'
import { createZone } from '../../../src/clearing/zone.ts'

const folder = mkdtempSync(join(tmpdir(), 'isthmus-columns-'))
afterAll(() => rmSync(folder, { recursive: true }))

const berlin: FileOf = { currency: 'EUR', service: 'voice', zone: createZone('Europe/Berlin'), decimal: '.' }
/** What is wrong with it. */
const whyNot = (found: unknown): string => (typeof found === 'string' ? found : 'nothing')
const header = (...cells: readonly string[]): Header => {
  const found = readHeader(cells, new Map())
  ok(typeof found !== 'string', whyNot(found))
  return found
}
const calls = header('called', 't_answer', 'duration', 'amount')
const read = (cells: readonly string[], of: FileOf = berlin, at: Header = calls) => readCall(2, cells, at, of)
const good = ['+4930', '2026-11-02T12:00:00Z', '61', '0.05']
const part = (found: unknown, name: string): unknown =>
  typeof found === 'string' ? found : (found as Readonly<Record<string, unknown>>)[name]

describe('the header of a partner file', () => {
  it.each([
    [['B-Number', 'Start Time', 'Seconds', 'Cost'], 'calls'],
    [['called', 't_answer', 'their own column', 'units'], 'calls'],
    [['Destination', 'Billed Minutes'], 'declaration'],
    [['prefix', 'units', 'amount'], 'declaration']
  ])('%j is a file of %s', (cells, kind) => {
    equal(header(...cells).kind, kind)
  })

  it('a column that is named by hand goes before what only sounds like it', () => {
    const mapping = new Map<string, Column>([['Net', 'amount']])
    const found = readHeader(['called', 't_answer', 'amount', 'Net'], mapping)
    ok(typeof found !== 'string')
    equal(found.at.get('amount'), 3)
  })

  it.each([
    [['called', 't_answer', 'seconds', 'duration'], /duration_s appears twice/],
    [['called', 'when'], /neither called and t_answer/],
    [['destination'], /neither called/]
  ])('%j says what is wrong', (cells, why) => {
    match(whyNot(readHeader(cells, new Map())), why)
  })

  it('a name that is mapped and not there is told', () => {
    match(
      whyNot(readHeader(['called', 't_answer'], new Map([['Net', 'amount' as const]]))),
      /no column "Net" for amount/
    )
  })
})

describe('a line of calls', () => {
  it.each([
    ['2026-11-02T12:00:00Z', '2026-11-02T12:00:00.000Z'],
    ['2026-11-02 12:00:00', '2026-11-02T11:00:00.000Z'],
    ['2026-07-02 12:00:00.25', '2026-07-02T10:00:00.250Z'],
    ['20261102120000', '2026-11-02T11:00:00.000Z'],
    ['2026-11-02T12:00:00+0530', '2026-11-02T06:30:00.000Z'],
    ['2026/11/02 12:00:00 -03:00', '2026-11-02T15:00:00.000Z'],
    ['1793620800', '2026-11-02T12:00:00.000Z'],
    ['1793620800250', '2026-11-02T12:00:00.250Z']
  ])('%s is %s', (text, expected) => {
    equal(new Date(Number(part(read(['+4930', text, '1', '0']), 'at'))).toISOString(), expected)
  })

  it.each(['02.11.2026 12:00:00', '01/12/2026 12:00', '2026-02-30 12:00:00', '2026-11-02', 'noon', ''])(
    '%s is no time: nobody guesses which is the day',
    text => {
      match(whyNot(read(['+4930', text, '1', '0'])), /t_answer: .* is no time/)
    }
  )

  it.each([
    ['61', 61_000],
    ['61.5', 61_500],
    ['1:05', 65_000],
    ['0:01:05', 65_000],
    ['01:00:00', 3_600_000]
  ])('a length of %s is %i ms', (text, ms) => {
    equal(part(read(['+4930', good[1] ?? '', text, '0']), 'durationMs'), ms)
  })

  it('amounts keep all digits that we have, and remember how many they had', () => {
    const found = read(['+4930', good[1] ?? '', '1', '0.1234567'])
    deepEqual([part(found, 'amountMicros'), part(found, 'amountDigits')], [123_457n, 7])
    const comma = read(['+4930', good[1] ?? '', '1', '1,5'], { ...berlin, decimal: ',' })
    equal(part(comma, 'amountMicros'), 1_500_000n)
  })

  it.each([
    [['', ...good.slice(1)], /called: it is empty/],
    [[...good.slice(0, 3), '0,05'], /decimal comma/],
    [[...good.slice(0, 3), '-1'], /no number/],
    [[...good.slice(0, 2), 'long', '1'], /no length/],
    [['x'.repeat(600), ...good.slice(1)], /more than 512 characters/],
    [['+4930\u0007', ...good.slice(1)], /control characters/]
  ])('%j says what is wrong', (cells, why) => {
    match(whyNot(read(cells)), why)
  })

  it('another currency than the agreement has is refused', () => {
    const at = header('called', 't_answer', 'currency')
    match(whyNot(read(['+49', good[1] ?? '', 'USD'], berlin, at)), /"USD" is not that of the agreement, EUR/)
  })

  it.each([
    ['+49 (30) 123-456', '4930123456'],
    ['0049301', '49301'],
    ['tel:+49301;phone-context=x', '49301'],
    ['sip:+49301@x.example;user=phone', '49301'],
    ['sip:Bob@x.example', 'bob']
  ])('the number %s is %s', (text, number) => {
    equal(normalised(text), number)
  })

  it('a line of a declaration: minutes are billed units of sixty', () => {
    const at = header('dest_code', 'minutes', 'calls', 'amount')
    const found = readDeclared(2, ['+49', '2.10', '3', '0.5'], at, berlin)
    deepEqual(found, { line: 2, code: '49', destination: null, calls: 3n, units: 126n, amountMicros: 500_000n })
    match(whyNot(readDeclared(2, ['', '1', '', ''], at, berlin)), /says where to/)
    match(whyNot(readDeclared(2, ['49x', '1', '', ''], at, berlin)), /is no code/)
  })
})

describe('the lines of a file', () => {
  const write = (name: string, text: string | Buffer): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const cellsOf = async (file: string): Promise<readonly (readonly string[])[]> =>
    (await Array.fromAsync(linesOf(file))).map(({ cells }) => cells)

  it.each([
    ['a,b\n1,"x, y"\n', 'comma.csv'],
    ['a;b\r\n1;x, y\r\n', 'semicolon.csv'],
    ['\uFEFFa\tb\n1\tx, y', 'tab.csv']
  ])('%j', async (text, name) => {
    deepEqual((await cellsOf(write(name, text))).slice(0, 2), [
      ['a', 'b'],
      ['1', 'x, y']
    ])
  })

  it('are numbered as an editor does, also after a cell with a line break', async () => {
    const lines = await Array.fromAsync(linesOf(write('breaks.csv', 'a,b\n"1\n2",x\n3,y\n')))
    deepEqual(
      lines.slice(0, 3).map(({ line }) => line),
      [1, 2, 4]
    )
  })

  it('are the same wherever a chunk ends, also within quotes', async () => {
    const rows = Array.from({ length: 40_000 }, (_, n) => [String(n), n % 7 === 0 ? 'a "b"\nc, d' : 'plain'])
    const text = rows.map(([n, what = '']) => `${n},"${what.replaceAll('"', '""')}"`).join('\r\n')
    deepEqual(await cellsOf(write('large.csv', text)), rows)
  })

  it('a quote that never ends is told, and does not take all memory', async () => {
    const text = `a,b\n1,"${'x'.repeat(3_000_000)}`
    const failed = await cellsOf(write('open.csv', text)).catch((error: unknown) => String(error))
    match(String(failed), /line 2: it does not end|line 2: Quoted field unterminated/)
  })

  it('no more of them than the bound', async () => {
    const file = write('many.csv', 'a\n1\n2\n3\n')
    const failed = await Array.fromAsync(linesOf(file, 3)).catch((error: unknown) => String(error))
    match(whyNot(failed), /more than 3 lines/)
    equal((await Array.fromAsync(linesOf(file, 4))).length, 4)
  })

  it('come from a spreadsheet as from text', async () => {
    const cell = (value: string) => ({ value, type: String })
    const book = await writeXlsxFile([
      [cell('called'), cell('t_answer')],
      [cell('+4930'), cell('2026-11-02')]
    ]).toBuffer()
    deepEqual(await cellsOf(write('book.xlsx', book)), [
      ['called', 't_answer'],
      ['+4930', '2026-11-02']
    ])
  })

  it('what is no text in UTF-8 is refused, wherever in a large file', async () => {
    const large = Buffer.concat([Buffer.from(`a,b\n${'1,x\n'.repeat(30_000)}`), Buffer.from('caf\xe9,x\n', 'latin1')])
    const failed = await cellsOf(write('latin.csv', large)).catch((error: unknown) => String(error))
    match(String(failed), /line 30002: it is not UTF-8/)
  })
})
