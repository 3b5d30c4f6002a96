import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { parse } from 'papaparse'
import readXlsxFile from 'read-excel-file/node'
import { settlementCommand } from '../../src/cli/settlement.ts'
import { statementCommand } from '../../src/cli/statement.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { clearingPeers, failedCall } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { bookOfYaml, callAt, post } from '../support/settlement.ts'

const agreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [
      { prefix: "+49", destination: Germany, rate: "0.06" }, { prefix: "+33", destination: "=France", rate: "0.12" }] }
  - { id: promised, buyer: isle, seller: hub, model: bulk-commitment,
      commitment: { units: 600, rate: "0.01", overageRate: "0.02" },
      rates: [{ prefix: "+49", destination: Germany, rate: "0.01" }] }
`
let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-settlement-'))
const config = join(folder, 'isthmus.yaml')
const at = (name: string): string => join(folder, name)
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(config, `hub: { dataDir: ${folder} }\n${clearingPeers}${agreements}`)
  const france = { called: 'tel:+33123456', dialled: 'tel:+33123456' }
  await post(database, bookOfYaml(agreements), [
    callAt(1, '2025-11-02T12:00:00Z', 60),
    callAt(2, '2025-11-03T12:00:00Z', 90, france),
    callAt(3, '2025-11-04T12:00:00Z', 0, failedCall),
    callAt(4, '2025-12-04T12:00:00Z', 30),
    callAt(5, '2025-12-04T12:00:00Z', 120, { provider: 'isle' })
  ])
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const isthmus = (...args: readonly string[]): Promise<Ran> => {
  const needs =
    args.includes('--help') || args[0] === 'statement' ? [] : ['--config', config, '--database', database.url]
  return runCommands([settlementCommand, statementCommand], [...args, ...needs])
}
const november = ['--agreement', 'sell', '--period', '2025-11'] as const
async function statement(format: string, name: string, which: readonly string[] = november): Promise<string> {
  const { code, err } = await isthmus('settlement', 'statement', ...which, '--format', format, '--out', at(name))
  equal(code, 0, err)
  return at(name)
}

describe('isthmus settlement', () => {
  it('tells of an open period what the daily sums say, and what a commitment comes to', async () => {
    const draft = await isthmus('settlement', 'statement', ...november)
    match(draft.out, /State +draft as of /)
    match(draft.out, /Germany {2}1\/1 answered {2}1\.00 minutes {2}0\.060000 EUR/)
    match(draft.out, /unanswered {2}0\/1 answered/)
    const { out } = await isthmus('settlement', 'statement', '--agreement', 'promised', '--period', '2025-12', '--json')
    const {
      statement,
      draft: note,
      seal
    } = JSON.parse(out) as {
      statement: { totals: Record<string, string>; completeness: unknown }
      draft: { forecast: Record<string, string>; provisional: boolean }
      seal: unknown
    }
    equal(seal, null)
    equal(statement.completeness, null)
    equal(statement.totals['net'], '0.100000')
    deepEqual(
      [note.forecast['unitsExpected'], note.forecast['shortfallUnits'], note.provisional],
      ['120', '480', false]
    )
  })

  it('SET-07 closes all that is over, oldest first, and says what it came to', async () => {
    const trial = await isthmus('settlement', 'close', ...november, '--dry-run')
    match(trial.out, /^sell\/2025-11 would come to 0\.240000 EUR, 3 records, due 2025-12-30\n$/)
    const list = await isthmus('settlement', 'list')
    match(list.out, /sell {2}to close: 2025-11, 2025-12/)
    const { out, code } = await isthmus('settlement', 'close', '--all', '--by', 'anna')
    equal(code, 0)
    match(out, /^sell\/2025-11 closed: 0\.240000 EUR/m)
    match(out, /^promised\/2025-12 closed: 0\.100000 EUR/m)
    const again = await isthmus('settlement', 'close', ...november, '--json')
    const [only] = (JSON.parse(again.out) as { periods: readonly { fresh: boolean; closedBy: string }[] }).periods
    deepEqual([only?.fresh, only?.closedBy], [false, 'anna'])
    const closed = await isthmus('settlement', 'list', '--agreement', 'sell')
    match(closed.out, /^sell\/2025-11 {2}0\.240000 EUR, due 2025-12-30, closed by anna on /m)
    equal((statSync(at('statement-key.pem')).mode & 0o777).toString(8), '600')
  })

  it('SET-01 writes the statement as JSON, CSV, XLSX and PDF', async () => {
    const json = JSON.parse(readFileSync(await statement('json', 's.json'), 'utf8')) as {
      statement: { lines: readonly { destination: string; asrPercent: string; acdSeconds: string }[] }
    }
    deepEqual(
      json.statement.lines.map(line => [line.destination, line.asrPercent, line.acdSeconds]),
      [
        ['=France', '100.00', '90.0'],
        ['Germany', '50.00', '60.0']
      ]
    )
    const csv = readFileSync(await statement('csv', 's.csv'), 'utf8')
    const rows = parse<Record<string, string>>(csv.trim(), { header: true }).data
    deepEqual(
      rows.map(row => [row['destination'], row['dest_code'], row['rate'], row['billed_minutes'], row['net']]),
      [
        ["'=France", '33', '0.12', '1.50', '0.180000'],
        ['Germany', '49', '0.06', '1.00', '0.060000']
      ]
    )
    const xlsx = await readXlsxFile(await statement('xlsx', 's.xlsx'))
    deepEqual(
      xlsx.map(({ sheet }) => sheet),
      ['Statement', 'Lines', 'Totals']
    )
    deepEqual(xlsx[2]?.data.at(-1), ['invoice', 0.24])
    const pdf = readFileSync(await statement('pdf', 's.pdf'))
    equal(pdf.subarray(0, 5).toString(), '%PDF-')
    ok(pdf.includes('%%EOF'))
    match((await isthmus('settlement', 'statement', ...november, '--format', 'pdf')).err, /pdf needs --out FILE/)
  })

  it('SET-01 tells the invoices of a closed statement with it, unsealed', async () => {
    await database.query(
      `insert into invoice (invoice_id, kind, origin, number, seller, buyer, agreement_id, statement_id, issued_on,
         due_on, currency, net_micros, tax_micros, gross_micros, debtor, creditor, owed_micros, tax_category,
         tax_percent_micros, seller_party, buyer_party, self_billed, issued_by)
       values ('x:7', 'invoice', 'received', '7', 'hub', 'island', 'sell', 'sell/2025-11', '2025-12-02', '2026-01-01',
         'EUR', 240000, 0, 240000, 'island', 'hub', 240000, 'exempt', 0, '{}', '{}', false, 'anna')`
    )
    const { out } = await isthmus('settlement', 'statement', ...november)
    match(out, /^Invoice +7 of 2025-12-02, due 2026-01-01: 0\.240000 \+ tax 0\.000000 = 0\.240000 EUR$/m)
    equal((await isthmus('statement', 'verify', await statement('json', 'billed.json'))).code, 0)
  })

  it('EOS-04 a partner verifies its statement and the records behind it, without a database', async () => {
    const file = await statement('json', 'mine.json')
    equal((await isthmus('settlement', 'records', ...november, '--out', at('mine.ndjson'))).code, 0)
    const key = (JSON.parse(readFileSync(file, 'utf8')) as { seal: { publicKey: string } }).seal.publicKey
    const good = await isthmus('statement', 'verify', file, '--key', key, '--records', at('mine.ndjson'))
    equal(good.code, 0, good.out)
    match(good.out, /3 records are all there and unchanged/)
    const whole = await isthmus('statement', 'verify', file, '--json')
    deepEqual((JSON.parse(whole.out) as { ok: boolean }).ok, true)
    const other = await isthmus('statement', 'verify', file, '--key', 'A'.repeat(43))
    deepEqual([other.code, other.out.trim()], [1, 'WRONG: it was sealed with another key than the one given'])
  })

  it('EOS-04 whatever is changed in a statement or its records is found', async () => {
    const text = readFileSync(await statement('json', 'mine.json'), 'utf8')
    const records = readFileSync(at('mine.ndjson'), 'utf8')
    const changes: readonly (readonly [why: string, text: string, records: string])[] = [
      ['an amount', text.replace('"net": "0.060000"', '"net": "0.050000"'), records],
      ['a total', text.replace('"invoice": "0.240000"', '"invoice": "0.230000"'), records],
      ['a name', text.replace('"buyer": "island"', '"buyer": "isle"'), records],
      ['a root', text.replace(/"merkleRoot": "./, '"merkleRoot": "x'), records],
      ['the previous seal', text.replace(/"previous": "./, '"previous": "1'), records],
      ['the signature', text.replace(/"signature": "...../, '"signature": "AAAAA'), records],
      ['the key', text.replace(/"publicKey": "...../, '"publicKey": "AAAAA'), records],
      ['a record', text, records.replace('"durationMs":60000', '"durationMs":59000')],
      ['a missing record', text, records.split('\n').slice(1).join('\n')],
      ['a record twice', text, `${records.split('\n')[0] ?? ''}\n${records}`],
      ['the order', text, records.trim().split('\n').toReversed().join('\n')],
      ['a leaf', text, records.replace(/"leaf":"./, '"leaf":"0').replace(/"leaf":"../, '"leaf":"01')]
    ]
    for (const [why, changedText, changedRecords] of changes) {
      ok(changedText !== text || changedRecords !== records, why)
      writeFileSync(at('changed.json'), changedText)
      writeFileSync(at('changed.ndjson'), changedRecords)
      const { code, out } = await isthmus('statement', 'verify', at('changed.json'), '--records', at('changed.ndjson'))
      equal(code, 1, why)
      match(out, /WRONG: /, why)
    }
  })

  it('what is no statement, and a draft, prove nothing', async () => {
    writeFileSync(at('no.json'), '{"statement": {}}')
    deepEqual([(await isthmus('statement', 'verify', at('no.json'))).code], [1])
    match((await isthmus('statement', 'verify', config)).err, /no JSON/)
    match((await isthmus('statement', 'verify', at('nowhere'))).err, /cannot be read/)
    const open = ['--agreement', 'sell', '--period', '2031-01'] as const
    const draft = await isthmus('statement', 'verify', await statement('json', 'draft.json', open))
    deepEqual([draft.code, draft.out], [1, 'WRONG: it is not sealed: a draft proves nothing\n'])
    await statement('pdf', 'draft.pdf', open)
  })

  it('asks for what it needs', async () => {
    match((await isthmus('settlement', 'close')).err, /name one --agreement, or say --all/)
    match(
      (await isthmus('settlement', 'close', '--agreement', 'other')).err,
      /no agreement is called other; there is sell/
    )
    match(
      (await isthmus('settlement', 'close', '--agreement', 'sell', '--period', '2025-13')).err,
      /is no month such as/
    )
    equal((await isthmus('settlement', 'statement')).code, 2)
    const early = await isthmus('settlement', 'close', '--agreement', 'sell', '--period', '2099-01')
    equal(early.code, 1)
    match(early.out, /sell\/2099-01 stays open\n {2}it ends with/)
    for (const command of ['close', 'list', 'statement', 'records']) {
      match((await isthmus('settlement', command, '--help')).out, /Usage/)
    }
  })
})
