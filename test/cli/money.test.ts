import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { agingCommand } from '../../src/cli/aging.ts'
import { fxCommand } from '../../src/cli/fx.ts'
import { invoiceCommand } from '../../src/cli/invoice.ts'
import { fileBytes, transactAgain, writeOut } from '../../src/cli/money-commands.ts'
import { nettingCommand } from '../../src/cli/netting.ts'
import { paymentCommand } from '../../src/cli/payment.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import { HubError } from '../../src/errors.ts'
import type { Sql } from '../../src/store/sql.ts'
import { clearingPeers } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { balances, apartFromItems, outOfBalance } from '../support/money.ts'
import { bookOfYaml, callAt, closed, post } from '../support/settlement.ts'

const agreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, invoicing: { tax: { category: standard, percent: "19" } },
      rates: [{ prefix: "+49", destination: Germany, rate: "60" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "30.001" }] }
  - { id: back, buyer: operator, seller: hub, rates: [{ prefix: "+49", destination: Germany, rate: "10" }] }
`
const parties = `
parties:
  - { id: hub, name: Hub GmbH, iban: DE02120300000000202051 }
  - { id: operator, name: Operator SA, iban: FR7630006000011234567890189 }
netting: [{ id: circle, parties: [hub, operator, island] }]
`
let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-money-'))
const config = join(folder, 'isthmus.yaml')
const at = (name: string): string => join(folder, name)
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(config, clearingPeers + agreements + parties)
  const book = bookOfYaml(agreements)
  const [island, operator] = [
    { provider: 'island', other_provider: 'operator' },
    { provider: 'operator', other_provider: 'island' }
  ]
  await post(database, book, [
    callAt(1, '2025-11-02T12:00:00Z', 61, island),
    callAt(2, '2025-11-02T12:00:00Z', 61, { ...operator, leg: 'egress' }),
    callAt(3, '2025-11-03T12:00:00Z', 66, operator)
  ])
  for (const agreement of ['sell', 'buy', 'back']) await closed(database, book, '2025-11', { agreement })
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const isthmus = (...args: readonly string[]): Promise<Ran> => {
  const needs = args.includes('--help') ? [] : ['--config', config, '--database', database.url]
  return runCommands([invoiceCommand, paymentCommand, agingCommand, fxCommand, nettingCommand], [...args, ...needs])
}
const json = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
  const { code, out, err } = await isthmus(...args, '--json')
  equal(code, 0, err)
  return JSON.parse(out) as Record<string, unknown>
}
const said = async (...args: readonly string[]): Promise<string> => {
  const { code, out, err } = await isthmus(...args)
  equal(code, 0, err)
  return out
}
const sheet = (name: string, text: string): string => {
  writeFileSync(at(name), text)
  return at(name)
}
const day = ['--day', '2025-12-03'] as const
const november = ['--agreement', 'buy', '--period', '2025-11'] as const

/** In the order of a month: each step goes on from the one before. */
describe('from a closed period to money', () => {
  it('COM-05 invoices what was closed, once, and shows and exports it', async () => {
    const early = await isthmus('invoice', 'issue', '--day', '2025-11-29')
    deepEqual([early.code, early.err], [1, '2 of 3 statements could not be invoiced'])
    match(early.out, /sell\/2025-11 is not invoiced: 2025-11-29 is before the end of the period/)
    const out = await said('invoice', 'issue', ...day, '--by', 'anna')
    match(out, /INV-hub-2025-000001 invoice of 2025-12-03: hub to \w+, \w+ 2025-11, [0-9.]+ EUR, due 2026-01-02/)
    match(out, /buy\/2025-11 waits for the invoice of the seller/)
    deepEqual(await json('invoice', 'issue', ...day), {
      statements: [{ statement: 'buy/2025-11', outcome: 'seller-writes', number: null, problem: null }]
    })
    const { invoices } = (await json('invoice', 'list', '--party', 'island')) as { invoices: Record<string, string>[] }
    deepEqual([invoices.length, invoices[0]?.['gross'], invoices[0]?.['open']], [1, '72.59', '72.59'])
    const number = invoices[0]?.['number'] ?? ''
    match(await said('invoice', 'show', number), /total +72\.59 EUR\n {2}open +72\.59 EUR/)
    for (const format of ['json', 'csv', 'pdf']) {
      await said('invoice', 'export', number, '--format', format, '--out', at(`i.${format}`))
    }
    equal((JSON.parse(readFileSync(at('i.json'), 'utf8')) as { net: string }).net, '61.00')
    match(readFileSync(at('i.csv'), 'utf8'), /,1,Germany,1\.02,min,61\.000000,EUR\n/)
    ok(readFileSync(at('i.pdf')).subarray(0, 5).equals(Buffer.from('%PDF-')))
    const missing = await isthmus('invoice', 'show', 'INV-none')
    deepEqual([missing.code, missing.err], [1, 'there is no invoice or credit note INV-none'])
    equal((await isthmus('invoice', 'issue', '--day', '2025-02-30')).code, 2)
    equal((await isthmus('invoice', 'export', number, '--format', 'doc')).code, 2)
  })

  it("COM-06 matches the seller's own invoice, pays short what is too much, and tells the lines", async () => {
    const lines = sheet('theirs.csv', 'destination,units,amount\nGermany,70,35.00\n')
    const asked = [...november, '--number', 'R-1', '--date', '2025-12-04', '--lines', lines] as const
    match(await said('invoice', 'receive', ...asked), /operator:R-1 short-paid: ours 30\.501017, theirs 35\.000000 EUR/)
    match(await said('invoice', 'show', 'operator:R-1'), /open +30\.50 EUR\n {2}short-paid/)
    const again = await isthmus('invoice', 'receive', ...asked)
    deepEqual([again.code, again.err], [1, 'buy/2025-11 is invoiced by operator:R-1 already'])
    const nothing = await isthmus('invoice', 'receive', ...november, '--number', 'R-2', '--date', '2025-12-04')
    match(nothing.err, /say what it comes to/)
  })

  it('SET-05 proposes a netting, and confirms it', async () => {
    const out = await said('netting', 'propose', '--parties', 'hub,operator', '--currency', 'EUR', ...day)
    match(out, /NET-2025-000001 bilateral, proposed: 2 items in EUR, due 2025-12-17/)
    match(out, /NET-2025-000001-1: hub pays operator 19\.50 EUR/)
    match(await said('netting', 'confirm', 'NET-2025-000001', ...day), /confirmed/)
    const { nettings } = (await json('netting', 'show')) as { nettings: { state: string }[] }
    deepEqual(
      nettings.map(({ state }) => state),
      ['confirmed']
    )
    const three = ['--currency', 'EUR', '--parties', 'hub,operator,isle'] as const
    match((await isthmus('netting', 'propose', ...three)).err, /no agreement has a party isle/)
    equal((await isthmus('netting', 'propose', '--currency', 'EUR', '--parties', 'hub')).code, 2)
    match((await isthmus('netting', 'propose', '--currency', 'EUR', '--group', 'x')).err, /there is circle/)
    match((await isthmus('netting', 'propose', '--currency', 'EUR')).err, /either --parties or --group/)
    const group = await json('netting', 'propose', '--currency', 'EUR', '--group', 'circle', ...day)
    equal(group['kind'], 'multilateral')
    match(await said('netting', 'cancel', String(group['nettingId']), '--reason', 'a test', ...day), /cancelled/)
  })

  it('SET-04 pays what is due by a run, and COM-06 sees it in the file of the bank, with what arrived', async () => {
    const run = await json(
      'payment',
      'run',
      '--currency',
      'EUR',
      '--until',
      '2025-12-31',
      '--out',
      at('run.csv'),
      ...day
    )
    equal(run['run'], 'RUN-2025-000001')
    match(readFileSync(at('run.csv'), 'utf8'), /PAY-2025-000001-1,Operator SA,FR7630006000011234567890189,19\.50,EUR/)
    const bank = sheet(
      'bank.csv',
      'date,amount,currency,reference,payer,purpose\n' +
        '2025-12-18,-19.50,EUR,B1,Operator SA,PAY-2025-000001-1\n' +
        '2025-12-19,50.00,EUR,B2,island,thanks\n2025-12-19,3.00,EUR,B3,Nobody,\n'
    )
    const out = await said('payment', 'import', bank, '--by', 'anna')
    match(out, /3 lines imported, 0 were here already, 1 item paid/)
    match(out, /PAY-2025-000001-1 was carried out/)
    match(out, /B3: 3\.00 EUR in suspense, unknown-payer/)
    match(await said('payment', 'import', bank), /0 lines imported, 3 were here already/)
    match(await said('payment', 'suspense'), /B3 of 2025-12-19, 3\.00 EUR, payer "Nobody", suspense: unknown-payer/)
    match(await said('payment', 'assign', 'B3', '--party', 'island', ...day), /3\.00 EUR paid/)
    equal(await said('payment', 'suspense'), 'all money has its place\n')
    match((await isthmus('payment', 'assign', 'B3', '--party', 'x')).err, /no agreement has a party x/)
    const bad = await isthmus(
      'payment',
      'import',
      sheet('bad.csv', 'date,amount,currency,reference,payer\n1,1,EUR,B,x\n')
    )
    deepEqual([bad.code, /line 2: date/.test(bad.err)], [1, true])
    equal((await isthmus('payment', 'import', at('none.csv'))).code, 1)
  })

  it('COM-06 tells what is open by how late it is, and takes back what came back', async () => {
    match(
      await said('aging', '--as-of', '2026-02-02'),
      /island +hub +EUR +0\.00 +0\.00 +19\.59 +0\.00 +0\.00 +0\.00 +19\.59/
    )
    match(await said('payment', 'reverse', 'B2', '--reason', 'no cover', ...day), /B2 is reversed/)
    const { rows } = (await json('aging', '--as-of', '2026-02-02')) as { rows: { total: string }[] }
    equal(rows[0]?.total, '69.59')
    match(await said('aging', '--party', 'carrier'), /nothing is open as of/)
    const note = await said('invoice', 'credit', 'INV-hub-2025-000002', '--net', '1', '--reason', 'goodwill', ...day)
    match(note, /CN-hub-2025-000001 credit-note/)
  })

  it('SET-06 keeps exchange rates with their source, and refuses what would change one', async () => {
    const rates = sheet('fx.csv', 'date,base,quote,rate\n2025-11-30,EUR,USD,1.0812\n')
    match(await said('fx', 'import', rates, '--source', 'ECB'), /1 rates imported, 0 were here already/)
    deepEqual(await json('fx', 'import', rates, '--source', 'ECB'), { added: 0, repeated: 1 })
    match(await said('fx', 'list'), /2025-11-30 1 EUR = 1\.0812 USD, ECB \(fx\.csv, by /)
    const other = sheet('fx2.csv', 'date,base,quote,rate,source\n2025-11-30,EUR,USD,1.09,ECB\n')
    match((await isthmus('fx', 'import', other)).err, /is 1\.0812 already, and stays so/)
  })

  it('LED-01 leaves every account explained and every currency at zero', async () => {
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
    const stand = await balances(database)
    deepEqual(
      Object.fromEntries(Object.entries(stand).filter(([account]) => !/^(revenue|cost|rounding)/.test(account))),
      {
        bank: '-16.5',
        'receivable/island': '68.4',
        'tax-output': '-11.4'
      }
    )
    equal((await database.query('select from payment_open')).count, 0)
    const { ok: verifies, checks } = await verifyLedger(database)
    ok(verifies, JSON.stringify(checks.filter(({ wrong }) => wrong > 0)))
  })

  it('a transaction that others have crossed is begun anew, a few times', async () => {
    let tries = 0
    const crossing = (times: number, sqlState: string) => ({
      transaction: <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
        tries += 1
        if (tries > times) return work(database)
        return Promise.reject(new HubError('HUB_DATABASE', 'deadlock detected', { retryable: true, sqlState }))
      }
    })
    equal(await transactAgain(crossing(3, '40P01'), () => Promise.resolve('done')), 'done')
    tries = 0
    await rejects(
      transactAgain(crossing(4, '40P01'), () => Promise.resolve('done')),
      /deadlock detected/
    )
    equal(tries, 4)
    tries = 0
    await rejects(
      transactAgain(crossing(1, '23505'), () => Promise.resolve('done')),
      /deadlock detected/
    )
    equal(tries, 1)
  })

  it('a file larger than its bound is not read', () => {
    const file = sheet('large.csv', 'x'.repeat(11))
    equal(fileBytes(file, 11).bytes.length, 11)
    throws(() => fileBytes(file, 10), /large\.csv: larger than 10 bytes/)
    throws(() => writeOut(join(folder, 'none', 'x'), ''), /cannot write/)
  })

  it('every command explains itself', async () => {
    for (const command of ['invoice', 'payment', 'aging', 'fx', 'netting']) {
      equal((await isthmus(command, '--help')).code, 0)
    }
  })
})
