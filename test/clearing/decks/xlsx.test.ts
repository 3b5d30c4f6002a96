import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterAll, describe, it } from '@jest/globals'
import writeXlsxFile from 'write-excel-file/node'
import { keyOf } from '../../../src/clearing/decks/deck-row.ts'
import type { DeckRow } from '../../../src/clearing/decks/deck-row.ts'
import { deckCsv, deckXlsx, limits as exportLimits } from '../../../src/clearing/decks/export.ts'
import { readXlsx } from '../../../src/clearing/decks/read-xlsx.ts'
import { checkZip, limits } from '../../../src/clearing/decks/zip.ts'
import { clearingConfig } from '../../support/clearing.ts'
import { deckRow, sheetOf } from '../../support/decks.ts'

const folder = mkdtempSync(join(tmpdir(), 'isthmus-xlsx-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'deck.xlsx')
const write = (bytes: Buffer): string => {
  writeFileSync(file, bytes)
  return file
}
const refused = (bytes: Buffer, why: RegExp): Promise<void> => rejects(readXlsx('deck.xlsx', write(bytes)), why)

/** A ZIP of entries; `claims`: what the directory says of the size of the last one. */
function zipOf(entries: readonly (readonly [string, Buffer])[], claims: number | null = null): Buffer {
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [n, [name, data]] of entries.entries()) {
    const packed = deflateRawSync(data)
    const size = claims !== null && n === entries.length - 1 ? claims : data.length
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(8, 4)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(size, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('504b0304', 'hex'), common, Buffer.from(name), packed])
    const where = Buffer.alloc(14)
    where.writeUInt32LE(at, 10)
    directory.push(Buffer.concat([Buffer.from('504b01021400', 'hex'), common, where, Buffer.from(name)]))
    bodies.push(local)
    at += local.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('504b0506', 'hex')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...bodies, central, end])
}

describe('an XLSX sheet', () => {
  it('is read as what its author saw: long codes, small rates, dates', async () => {
    const text = (value: string) => ({ value, type: String })
    const sheet = [
      ['prefix', 'destination_name', 'rate', 'effective_from'].map(text),
      [
        { value: 4915112345678, type: Number },
        text('Germany mobile'),
        { value: 0.0123, type: Number },
        { value: new Date('2026-12-01T00:00:00Z'), type: Date, format: 'yyyy-mm-dd' }
      ],
      [text('49'), text('Germany'), text('0.30'), null]
    ]
    const lines = await readXlsx('deck.xlsx', write(await writeXlsxFile(sheet).toBuffer()))
    deepEqual(lines, [
      { line: 1, cells: ['prefix', 'destination_name', 'rate', 'effective_from'] },
      { line: 2, cells: ['4915112345678', 'Germany mobile', '0.0123', '2026-12-01'] },
      { line: 3, cells: ['49', 'Germany', '0.30', ''] }
    ])
  })

  it('that is no XLSX, is broken or cut short is refused', async () => {
    await refused(Buffer.from('prefix,destination_name,rate'), /it is no XLSX file/)
    await refused(Buffer.alloc(0), /it is no XLSX file/)
    const good = await writeXlsxFile([[{ value: 'x', type: String }]]).toBuffer()
    await refused(good.subarray(0, good.length - 40), /XLSX/)
    await refused(zipOf([['readme.txt', Buffer.from('nothing')]]), /deck\.xlsx: /)
  })

  it('that unpacks to too much is refused before anybody unpacks it', async () => {
    const zeros = Buffer.alloc(50 * 1_048_576)
    await refused(zipOf([['xl/worksheets/sheet1.xml', zeros]]), /would unpack to far more/)
    await refused(zipOf([['a.xml', Buffer.from('x')]], 0xffffffff), /would unpack to far more/)
    const many = Array.from({ length: limits.entriesMax + 1 }, (_, n) => [`${n}.xml`, Buffer.from('x')] as const)
    await refused(zipOf(many), /more than 1000 parts/)
    const good = zipOf([['a.xml', Buffer.from('x')]])
    for (let at = 0; at < good.length; at++) {
      const bytes = Buffer.from(good)
      bytes[at] = 0xff
      // Whatever one byte says, the answer is a verdict.
      try {
        checkZip('deck.xlsx', bytes)
      } catch (error) {
        ok(error instanceof Error && error.message.startsWith('deck.xlsx: '), String(error))
      }
    }
  })

  it('that lies about its size, or takes too long, costs the process that reads it', async () => {
    const cells = '<row r="1"><c r="A1" t="inlineStr"><is><t>xxxxxxxxxxxxxxxxxxxxxx</t></is></c></row>'
    const sheet = Buffer.from(`<worksheet><sheetData>${cells.repeat(400_000)}</sheetData></worksheet>`)
    const book = await writeXlsxFile([[{ value: 'x', type: String }]]).toBuffer()
    ok(book.length > 0)
    const bounds = { heapMegabytes: 32, readMs: 60_000 }
    await rejects(
      readXlsx('deck.xlsx', write(zipOf([['xl/worksheets/sheet1.xml', sheet]], 1_000)), bounds),
      /deck\.xlsx: /
    )
    const none = { heapMegabytes: 256, readMs: 1 }
    await rejects(readXlsx('deck.xlsx', write(book), none), /too large for an XLSX file; send CSV/)
  })
})

describe('an exported deck', () => {
  const config = clearingConfig(`
agreements:
  - { id: sell, buyer: island, seller: hub, origins: { eea: ["+49"] },
      timeClasses: { peak: [{ days: [mon], from: "08:00", to: "18:00" }] } }`).agreements[0]!
  const rows = [
    deckRow('+49', '0.0123', { destination: 'Germany, all "fixed"' }),
    deckRow('+49', '0.02', { timeClass: 'peak', origin: null }),
    deckRow('+4915', '0.1', { origin: 'eea', quality: 'gold', effectiveFrom: Date.parse('2026-12-01T00:00:00Z') }),
    deckRow('+', '9', {
      destination: 'rest',
      blocked: true,
      initialSeconds: 30,
      nextSeconds: 6,
      minimumSeconds: 10,
      setupFeeNanos: 1n
    })
  ]
  const sorted = (list: readonly DeckRow[]): readonly DeckRow[] =>
    list.toSorted((a, b) => keyOf(a).localeCompare(keyOf(b)))

  it('as CSV is the same deck when it is imported again', () => {
    deepEqual(sorted(sheetOf(deckCsv(config, rows)).rows), sorted(rows))
  })

  it('as XLSX too, every cell being text; a long deck goes as CSV', async () => {
    const lines = await readXlsx('deck.xlsx', write(await deckXlsx(config, rows)))
    const csv = lines.map(({ cells }) => cells.map(cell => `"${cell.replaceAll('"', '""')}"`).join(',')).join('\n')
    deepEqual(sorted(sheetOf(csv).rows), sorted(rows))
    const long = Array.from({ length: exportLimits.xlsxRowsMax + 1 }, () => rows[0]!)
    await rejects(deckXlsx(config, long), /too many for XLSX/)
    equal(deckCsv(config, long).split('\n').length, long.length + 2)
  })
})
