// The bounds of files that banks, sources of exchange rates and sellers send: what is just within is taken, one more is
// an error that names the line, and nothing is.

import { equal, match, rejects } from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { fileBytes } from '../../../src/cli/money-commands.ts'
import { limits as sheetLimits } from '../../../src/clearing/decks/deck-row.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { limits as bankLimits, readBankFile } from '../../../src/clearing/money-in/bank-file.ts'
import { limits as fxLimits } from '../../../src/clearing/money-in/fx.ts'
import { readFxFile } from '../../../src/clearing/money-in/fx-table.ts'
import { limits as claimLimits, readClaims, receiveInvoice } from '../../../src/clearing/money-in/received.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { limits as tableLimits } from '../../../src/clearing/money-in/table.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { agreementIn, closeStatement, moneyConfig } from '../../support/money.ts'

interface File {
  readonly what: string
  readonly header: string
  /** The n-th line, all of them different. */
  readonly line: (n: number) => string
  /** How many it reads. Throws for what is wrong. */
  readonly read: (bytes: Buffer) => number
  readonly rowsMax: number
  readonly fileBytesMax: number
}
const dayOf = (n: number): string => new Date(n * 86_400_000).toISOString().slice(0, 10)
const bank: File = {
  what: 'a file of the bank',
  header: 'date,amount,currency,reference,payer,iban,purpose',
  line: n => `2026-12-05,1,EUR,B${n},x,,`,
  read: bytes => readBankFile('file.csv', bytes).length,
  ...bankLimits
}
const fx: File = {
  what: 'a file of exchange rates',
  header: 'date,base,quote,rate,source',
  line: n => `${dayOf(n % 20_000)},EUR,USD,1.1,S${Math.floor(n / 20_000)}`,
  read: bytes => readFxFile('file.csv', bytes, null).length,
  ...fxLimits
}
const claims: File = {
  what: "the lines of a seller's invoice",
  header: 'destination,units,amount',
  line: n => `Germany ${n},1,1`,
  read: bytes => readClaims('file.csv', bytes).length,
  ...claimLimits
}
const files = [bank, fx, claims]
const bytesOf = ({ header, line }: File, rows: number): Buffer =>
  Buffer.from([header, ...Array.from({ length: rows }, (_, n) => line(n))].join('\n'))
const given = ({ header }: File, ...lines: readonly string[]): Buffer => Buffer.from([header, ...lines].join('\n'))
const problem = (file: File, ...lines: readonly string[]): string => {
  try {
    return `${file.read(given(file, ...lines))} taken`
  } catch (error) {
    return (error as Error).message
  }
}

describe.each(files)('$what', file => {
  it('has so many lines, and not one more', () => {
    equal(file.read(bytesOf(file, file.rowsMax)), file.rowsMax)
    match(
      messageOf(() => file.read(bytesOf(file, file.rowsMax + 1))),
      /^file.csv: more than \d+ rows$/
    )
  })

  it('has so many bytes, and is not even read where it has more', () => {
    const folder = mkdtempSync(join(tmpdir(), 'isthmus-bounds-'))
    try {
      const path = join(folder, 'file.csv')
      writeFileSync(path, '')
      truncateSync(path, file.fileBytesMax)
      equal(fileBytes(path, file.fileBytesMax).bytes.length, file.fileBytesMax)
      truncateSync(path, file.fileBytesMax + 1)
      match(
        messageOf(() => fileBytes(path, file.fileBytesMax)),
        /^file.csv: larger than \d+ bytes$/
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('has so many columns and so many characters in a cell', () => {
    const wide = (columns: number): string => {
      const more = ','.repeat(columns - file.header.split(',').length)
      return problem({ ...file, header: file.header + more }, file.line(1) + more)
    }
    equal(wide(sheetLimits.columnsMax), '1 taken')
    match(wide(sheetLimits.columnsMax + 1), /line 1: more than \d+ columns/)
    const long = (characters: number): string =>
      problem({ ...file, header: `${file.header},note` }, `${file.line(1)},${'x'.repeat(characters)}`)
    equal(long(tableLimits.cellCharsMax), '1 taken')
    match(long(tableLimits.cellCharsMax + 1), /line 2: a cell of more than \d+ characters/)
  })
})

const messageOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  return 'no error'
}
const x = (characters: number): string => 'x'.repeat(characters)

describe('one line', () => {
  it('of the bank: its reference and its amount, in both directions', () => {
    const line = (reference: string, amount: string): string =>
      problem(bank, `2026-12-05,${amount},EUR,${reference},payer,,`)
    equal(line(x(bankLimits.referenceCharsMax), '1'), '1 taken')
    match(line(x(bankLimits.referenceCharsMax + 1), '1'), /line 2: reference: more than 120 characters/)
    for (const sign of ['', '-']) {
      equal(line('B', `${sign}1000000000000`), '1 taken')
      match(line('B', `${sign}1000000000000.01`), /line 2: amount: it is too large/)
      match(line('B', `${sign}${'9'.repeat(16)}`), /line 2: amount: .* is no amount/)
    }
  })

  it('of exchange rates: the rate and who fixed it', () => {
    const line = (rate: string, source = 'ECB'): string => problem(fx, `2026-12-05,EUR,USD,${rate},${source}`)
    equal(line('9000000'), '1 taken')
    match(line('9000000.000000000001'), /line 2: rate: .* is above 9000000/)
    match(line('0'), /line 2: rate: a rate above 0/)
    match(line('1.1234567890123'), /line 2: rate: /)
    equal(line('1', x(fxLimits.sourceCharsMax)), '1 taken')
    match(line('1', x(fxLimits.sourceCharsMax + 1)), /line 2: source: more than 120 characters/)
  })

  it("of a seller's invoice: its units and its amount", () => {
    const line = (units: string, amount: string): string => problem(claims, `Germany,${units},${amount}`)
    equal(line('9'.repeat(18), '1'), '1 taken')
    match(line('9'.repeat(19), '1'), /line 2: units: .* is no whole number/)
    equal(line('1', '1000000000000'), '1 taken')
    match(line('1', '1000000000000.000001'), /line 2: amount: it is too large/)
  })

  it('problems of a file are told up to a bound, and counted beyond', () => {
    const told = problem(bank, ...Array.from({ length: 1_000 }, () => 'no day,1,EUR,B,x,,'))
    match(told, /^file.csv: 1000 things are wrong, nothing was imported\n/)
    match(told, /and \d+ more$/)
  })
})

describe("a seller's invoice", () => {
  let postgres: TestPostgres
  let database: TestDatabase
  beforeAll(async () => {
    postgres = await startTestPostgres()
    database = await postgres.fresh(clearingMigrations)
  }, 60_000)
  afterAll(() => postgres.stop())

  it('its number and its sum have a bound, and beyond it nothing is recorded', async () => {
    const config = moneyConfig()
    const statementId = await database.transaction(sql =>
      closeStatement(sql, config, { agreement: 'buy', lines: { Germany: '10' } })
    )
    const receive = (number: string, netMicros: bigint) =>
      database.transaction(sql =>
        receiveInvoice(sql, {
          statementId,
          agreement: agreementIn(config, 'buy'),
          parties: createPartyBook(config),
          number,
          issuedOn: '2026-12-05',
          netMicros,
          taxMicros: 0n,
          dueOn: null,
          claims: [],
          disputes: false,
          by: 'anna'
        })
      )
    await rejects(receive(x(claimLimits.numberCharsMax + 1), 10_000_000n), /a number, up to 80 characters/)
    await rejects(receive('R1', claimLimits.amountMicrosMax + 10_000n), /over so much cannot be recorded/)
    equal((await database.query('select from invoice')).count, 0)
    equal((await receive(x(claimLimits.numberCharsMax), 10_000_000n)).outcome, 'accepted')
  })
})
