import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { issueCreditNote } from '../../../src/clearing/money-in/credit-note.ts'
import { readDocument, readLines } from '../../../src/clearing/money-in/document.ts'
import { addFxRates } from '../../../src/clearing/money-in/fx-table.ts'
import { parseFx } from '../../../src/clearing/money-in/fx.ts'
import { issueInvoice } from '../../../src/clearing/money-in/invoice.ts'
import { documentCsv, documentJson } from '../../../src/clearing/money-in/invoice-output.ts'
import { documentPdf, drawable, grouped } from '../../../src/clearing/money-in/invoice-pdf.ts'
import { holdItem, readOpenItems } from '../../../src/clearing/money-in/open-items.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { parseAmount, printAmount } from '../../../src/clearing/money.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import {
  agreementIn,
  balances,
  closeStatement,
  invoiced,
  moneyAgreements,
  moneyConfig,
  apartFromItems,
  outOfBalance
} from '../../support/money.ts'
import { emptied } from '../../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations, 8)
}, 60_000)
afterAll(() => postgres.stop())
const fresh = (): Promise<TestDatabase> => emptied(database)

const taxed = (id: string, invoicing: string): string =>
  moneyAgreements.replace(`{ id: ${id},`, `{ id: ${id}, invoicing: ${invoicing},`)
const nineteen = '{ tax: { category: standard, percent: "19" } }'
const config = moneyConfig()
const credit = (database: TestDatabase, invoiceId: string, net: string, over: object = {}) =>
  database.transaction(sql =>
    issueCreditNote(sql, {
      invoiceId,
      netMicros: parseAmount(net),
      reason: 'a wrong rate',
      day: '2026-12-20',
      by: 'bert',
      ...over
    })
  )

describe('invoices of closed statements', () => {
  it('LED-01 moves what is unbilled to receivable, with rounding and tax on accounts of their own', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('sell', nineteen))
    const document = await invoiced(database, own, {
      agreement: 'sell',
      lines: { Germany: '2344.4489', France: '0.5' }
    })
    deepEqual([document.number, document.netMicros, document.taxMicros, document.grossMicros].map(String), [
      'INV-hub-2026-000001',
      '2344950000',
      '445540000',
      '2790490000'
    ])
    deepEqual(await balances(database), {
      'receivable/island': '2790.49',
      'revenue/island': '-2344.9489',
      'rounding-difference/island': '-0.0011',
      'tax-output': '-445.54'
    })
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
    const [open] = await readOpenItems(database)
    deepEqual([open?.debtor, open?.creditor, open?.dueOn], ['island', 'hub', '2027-01-02'])
  })

  it('LED-01 an invoice that the hub writes for a seller makes it owe: payable, and tax paid before', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('buy', '{ by: hub, tax: { category: standard, percent: "20" } }'))
    const document = await invoiced(database, own, { agreement: 'buy', lines: { Germany: '99.996' } })
    deepEqual([document.number, document.selfBilled], ['INV-operator-2026-000001', true])
    deepEqual(await balances(database), {
      'cost/operator': '99.996',
      'payable/operator': '-120',
      'rounding-difference/operator': '0.004',
      'tax-input': '20'
    })
  })

  it('LED-01 what two parties owe each other past the hub stands on both sides, and on no account of the hub', async () => {
    const database = await fresh()
    const document = await invoiced(database, config, { agreement: 'past', lines: { Spain: '10.004' } })
    equal(document.number, 'INV-carrier-2026-000001')
    deepEqual(await balances(database), { 'bilateral-due/past/carrier': '-10', 'bilateral-due/past/operator': '10' })
  })

  it('COM-05 a statement is invoiced once, and nothing is billed for nothing', async () => {
    const database = await fresh()
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1' } })
    const parties = createPartyBook(config)
    const issue = (statementId: string, agreement: string, day = '2026-12-03') =>
      database.transaction(sql =>
        issueInvoice(sql, { statementId, agreement: agreementIn(config, agreement), parties, day, by: 'anna' })
      )
    const again = await issue('sell/2026-11', 'sell')
    deepEqual([again.outcome, again.document?.number], ['already', 'INV-hub-2026-000001'])
    await database.transaction(sql => closeStatement(sql, config, { agreement: 'sell-back', lines: { Germany: '0' } }))
    await database.transaction(sql => closeStatement(sql, config, { agreement: 'buy', lines: { Germany: '5' } }))
    equal((await issue('sell-back/2026-11', 'sell-back')).outcome, 'nothing')
    equal((await issue('buy/2026-11', 'buy')).outcome, 'seller-writes')
    await rejects(issue('sell/2026-10', 'sell'), /there is no closed statement sell\/2026-10/)
    await rejects(issue('buy/2026-11', 'sell'), /is of agreement buy/)
    await database.transaction(sql => closeStatement(sql, config, { agreement: 'dollars', lines: { Germany: '5' } }))
    await rejects(issue('dollars/2026-11', 'dollars', '2026-11-29'), /before the end of the period, 2026-11-30/)
  })

  it('COM-05 numbers have no gaps: by seller and year, also where many issue at once and some fail', async () => {
    const database = await fresh()
    const services = ['voice', 'video', 'message']
    const lines = services.map((service, n) => `  - { id: a${n}, buyer: island, seller: hub, service: ${service} }`)
    const many = moneyConfig(`agreements:\n${lines.join('\n')}\n`)
    const months = ['01', '02', '03', '04', '05', '06', '07', '08']
    const statements = months.flatMap(month => [0, 1, 2].map(n => ({ agreement: `a${n}`, period: `2026-${month}` })))
    for (const given of statements) {
      await database.transaction(sql => closeStatement(sql, many, { ...given, lines: { Germany: '1' } }))
    }
    const parties = createPartyBook(many)
    const outcomes = await Promise.allSettled(
      statements.map(({ agreement, period }, n) =>
        database.transaction(async sql => {
          const asked = { agreement: agreementIn(many, agreement), parties, day: '2026-12-03', by: 'anna' }
          const issued = await issueInvoice(sql, { statementId: `${agreement}/${period}`, ...asked })
          if (n % 4 === 3) throw new Error('the transaction fails')
          return issued.document?.number ?? ''
        })
      )
    )
    const numbers = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    equal(numbers.length, 18)
    deepEqual(
      numbers.sort(),
      Array.from({ length: 18 }, (_, n) => `INV-hub-2026-${String(n + 1).padStart(6, '0')}`)
    )
    const { rows } = await database.query<{ last: number }>('select last from document_series')
    deepEqual(rows, [{ last: 18 }])
    await rejects(
      invoiced(database, many, { agreement: 'a0', period: '2026-09', lines: { Germany: '1' }, day: '2026-12-02' }),
      /of a later day already/
    )
    const next = await invoiced(database, many, {
      agreement: 'a1',
      period: '2026-09',
      lines: { Germany: '1' },
      day: '2027-01-04'
    })
    equal(next.number, 'INV-hub-2027-000001')
  })

  it('COM-05 what is reverse-charged has no tax, its note, and both VAT numbers, or the configuration is refused', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('sell', '{ tax: { category: reverse-charge } }'))
    const document = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '10' } })
    const json = documentJson(document, await readLines(database, document.invoiceId)) as {
      tax: object
      seller: object
      buyer: { vatId: string }
    }
    deepEqual(json.tax, {
      category: 'reverse-charge',
      code: 'AE',
      percent: '0',
      amount: '0.00',
      note: 'Reverse charge: the customer accounts for the tax.'
    })
    equal(json.buyer.vatId, 'IE1234567T')
    const broken = (id: string, invoicing: string): string => {
      try {
        moneyConfig(taxed(id, invoicing))
      } catch (error) {
        return (error as Error).message
      }
      return 'accepted'
    }
    match(broken('dollars', '{ tax: { category: reverse-charge } }'), /needs the vatId of isle/)
    match(broken('sell', '{ tax: { category: exempt, percent: "19" } }'), /exempt has no percentage/)
    match(broken('sell', '{ tax: { category: standard } }'), /standard needs a percentage/)
    match(broken('sell', '{ by: seller }'), /the seller is the hub/)
    match(broken('dollars', '{ currency: EUR }'), /USD to EUR needs a source of rates/)
    match(broken('sell', '{ fx: { source: ECB } }'), /nothing is converted/)
  })

  it('a statement below zero becomes a credit note, and the hub owes it', async () => {
    const database = await fresh()
    const note = await invoiced(database, config, { agreement: 'sell', lines: { Germany: '-3.336' } })
    deepEqual(
      [note.kind, note.number, printAmount(note.grossMicros)],
      ['credit-note', 'CN-hub-2026-000001', '3.340000']
    )
    deepEqual(await balances(database), {
      'payable/island': '-3.34',
      'revenue/island': '3.336',
      'rounding-difference/island': '0.004'
    })
    const [open] = await readOpenItems(database)
    deepEqual([open?.debtor, open?.creditor], ['hub', 'island'])
  })

  it('SET-06 is in another currency by the rate of the last day of the period, kept with it, and never without one', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('dollars', '{ currency: EUR, fx: { source: ECB, daysBefore: 2 } }'))
    const given = { agreement: 'dollars', lines: { Germany: '100', France: '8.123456' } }
    await rejects(
      invoiced(database, own, given),
      /no rate of USD in EUR by ECB on 2026-11-30, nor in the 2 days before/
    )
    const rate = (fixedOn: string, text: string) => ({
      base: 'EUR',
      quote: 'USD',
      ratePicos: parseFx(text),
      fixedOn,
      source: 'ECB'
    })
    await database.transaction(sql =>
      addFxRates(sql, [rate('2026-11-27', '1.1'), rate('2026-11-28', '1.0812'), rate('2026-12-01', '1.2')], {
        fileName: 'ecb.csv',
        by: 'anna'
      })
    )
    const document = await invoiced(database, own, given)
    deepEqual(document.fx, {
      base: 'EUR',
      quote: 'USD',
      rate: '1.0812',
      inverse: true,
      fixedOn: '2026-11-28',
      source: 'ECB',
      from: '108.123456',
      fromCurrency: 'USD'
    })
    equal(printAmount(document.netMicros), '100.000000')
    const lines = await readLines(database, document.invoiceId)
    equal(
      lines.reduce((sum, line) => sum + line.netMicros, 0n),
      document.netMicros
    )
    deepEqual(await balances(database), {
      'fx-position': '-100',
      'fx-position USD': '108.123456',
      'receivable/isle': '100',
      'revenue/isle USD': '-108.123456'
    })
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })

  it('SET-06 a rate that is there stays as it is, and the same one again is harmless', async () => {
    const database = await fresh()
    const rate = { base: 'EUR', quote: 'USD', ratePicos: parseFx('1.1'), fixedOn: '2026-11-30', source: 'ECB' }
    const add = (rates: readonly (typeof rate)[]) =>
      database.transaction(sql => addFxRates(sql, rates, { fileName: 'ecb.csv', by: 'anna' }))
    deepEqual(await add([rate]), { added: 1, repeated: 0 })
    deepEqual(await add([rate, { ...rate, source: 'own' }]), { added: 1, repeated: 1 })
    await rejects(
      add([
        { ...rate, fixedOn: '2026-12-01' },
        { ...rate, ratePicos: parseFx('1.2') }
      ]),
      /EUR in USD of 2026-11-30 by ECB is 1\.1 already, and stays so; nothing was imported/
    )
    equal((await database.query('select from fx_rate')).count, 2)
  })

  it('the service role can neither change nor delete what was issued', async () => {
    const database = await fresh()
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1' } })
    for (const table of ['invoice', 'invoice_line', 'allocation', 'payment', 'fx_rate', 'netting']) {
      await rejects(database.query(`delete from ${table}`), /permission denied/)
    }
    await rejects(database.query("update invoice set reason = 'x'"), /permission denied/)
  })
})

describe('credit notes', () => {
  it('SET-04 take back a part of an invoice by a document of their own; the invoice stays as it was', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('sell', nineteen))
    const invoice = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '100.13' } })
    const first = await credit(database, invoice.invoiceId, '33.331')
    deepEqual(
      [first.number, printAmount(first.netMicros), printAmount(first.taxMicros), first.credits],
      ['CN-hub-2026-000001', '33.330000', '6.330000', invoice.invoiceId]
    )
    deepEqual(await readDocument(database, invoice.invoiceId), invoice)
    equal(printAmount((await readOpenItems(database))[0]?.openMicros ?? 0n), '79.490000')
    await rejects(
      credit(database, invoice.invoiceId, '66.81'),
      /66\.81 EUR of INV-hub-2026-000001 cannot be credited; 66\.80 is left/
    )
    const last = await credit(database, invoice.invoiceId, '66.8')
    equal(first.taxMicros + last.taxMicros, invoice.taxMicros)
    deepEqual(await readOpenItems(database), [])
    deepEqual(await balances(database), {})
    await rejects(credit(database, 'INV-hub-2026-000009', '1'), /there is no invoice/)
    await rejects(credit(database, invoice.invoiceId, '1', { reason: ' ' }), /needs a reason/)
    await rejects(credit(database, invoice.invoiceId, '1', { day: '2026-11-01' }), /is not on or after/)
  })

  it('SET-04 parts of an invoice take back exactly its tax, however its rounding fell', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('sell', `${nineteen}, rounding: { mode: half-even }`))
    const invoice = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '1.50' } })
    equal(printAmount(invoice.taxMicros), '0.280000')
    let tax = 0n
    for (const net of ['0.39', '0.03', '0.87', '0.21'])
      tax += (await credit(database, invoice.invoiceId, net)).taxMicros
    equal(tax, invoice.taxMicros)
    deepEqual([await balances(database), await readOpenItems(database)], [{}, []])
  })

  it('SET-04 of two at once no more is credited than there is', async () => {
    const database = await fresh()
    const invoice = await invoiced(database, config, { agreement: 'sell', lines: { Germany: '10' } })
    const both = await Promise.allSettled([
      credit(database, invoice.invoiceId, '6'),
      credit(database, invoice.invoiceId, '6')
    ])
    deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  it('SET-04 a disputed amount is held: it is not due, not late, and goes back when it is released', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('buy', '{ by: hub }'))
    const sold = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '10' } })
    const bought = await invoiced(database, own, { agreement: 'buy', lines: { Germany: '8' } })
    const past = await invoiced(database, own, { agreement: 'past', lines: { Germany: '6' } })
    const before = await balances(database)
    const hold = (itemId: string, amount: string) =>
      database.transaction(sql =>
        holdItem(sql, { itemId, disputeId: 'd1', amountMicros: parseAmount(amount), day: '2026-12-10', by: 'bert' })
      )
    for (const { invoiceId } of [sold, bought, past]) await hold(invoiceId, '2.5')
    const held = await balances(database)
    deepEqual(
      ['disputed-receivable/island', 'receivable/island', 'disputed-payable/operator', 'payable/operator'].map(
        a => held[a]
      ),
      ['2.5', '7.5', '-2.5', '-5.5']
    )
    deepEqual([held['bilateral-disputed/past/operator'], held['bilateral-disputed/past/carrier']], ['2.5', '-2.5'])
    await rejects(hold(sold.invoiceId, '7.51'), /not open by so much/)
    await rejects(hold(sold.invoiceId, '-2.51'), /not open by so much/)
    await rejects(hold('INV-none', '1'), /nothing is open of INV-none/)
    for (const { invoiceId } of [sold, bought, past]) await hold(invoiceId, '-2.5')
    deepEqual(await balances(database), before)
  })
})

describe('an invoice as a file', () => {
  it('COM-05 has all its fields in JSON and CSV, amounts as text that add up', async () => {
    const database = await fresh()
    const own = moneyConfig(taxed('sell', nineteen))
    const document = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '1.0049', '=cmd': '2' } })
    const lines = await readLines(database, document.invoiceId)
    const csv = documentCsv(document, lines).trim().split('\n')
    equal(csv[0], 'number,kind,issued_on,due_on,seller,buyer,period,line,description,units,unit,net,currency')
    ok(csv[2]?.includes("'=cmd"), csv[2])
    deepEqual(
      csv.slice(-3).map(line => line.split(',').slice(7).join(' ')),
      ['net Net   3.00 EUR', 'tax Tax 19 % (S)   0.57 EUR', 'gross Total   3.57 EUR']
    )
    const json = documentJson(document, lines) as { lines: readonly { net: string }[]; net: string; gross: string }
    equal(
      json.lines.reduce((sum, { net }) => sum + parseAmount(net), 0n),
      parseAmount(json.net)
    )
    equal(json.gross, '3.57')
  })

  it('is a PDF with every page numbered, the same each time, whatever letters are in the names', async () => {
    const database = await fresh()
    const names = Array.from({ length: 120 }, (_, n) => [`Łódź ${n} Москва`, '1.234567'])
    const document = await invoiced(database, config, {
      agreement: 'sell',
      lines: Object.fromEntries(names) as Record<string, string>
    })
    const lines = await readLines(database, document.invoiceId)
    const [first, second] = [await documentPdf(document, lines), await documentPdf(document, lines)]
    equal(first.subarray(0, 5).toString('latin1'), '%PDF-')
    ok(first.equals(second))
    ok(/\/Type \/Pages[^]*\/Count [3-9]/.test(first.toString('latin1')))
    equal(drawable('Łódź Москва Œuvre € é'), 'Lódz ?????? OEuvre € é')
    deepEqual(['1234567.891234', '-1000', '999.5', ''].map(grouped), ['1,234,567.891234', '-1,000', '999.5', ''])
    await rejects(
      documentPdf(
        document,
        Array.from({ length: 5_001 }, () => lines[0]!)
      ),
      /too many for PDF/
    )
  })
})
