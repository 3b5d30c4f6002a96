import { deepEqual, equal, match, rejects, throws } from 'node:assert/strict'
import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { readAging, readWaiting } from '../../../src/clearing/money-in/aging-report.ts'
import { applyIncoming, createPayerOf, names, OpenBook } from '../../../src/clearing/money-in/apply.ts'
import type { Payer } from '../../../src/clearing/money-in/apply.ts'
import type { OpenItem } from '../../../src/clearing/money-in/aging.ts'
import { assignPayment, declarePayment } from '../../../src/clearing/money-in/assign.ts'
import type { AssignAsked } from '../../../src/clearing/money-in/assign.ts'
import { readBankFile } from '../../../src/clearing/money-in/bank-file.ts'
import { createTopUp, prepaidOf, tellCredit } from '../../../src/clearing/money-in/credit-link.ts'
import { issueCreditNote } from '../../../src/clearing/money-in/credit-note.ts'
import { addFxRates } from '../../../src/clearing/money-in/fx-table.ts'
import { parseFx } from '../../../src/clearing/money-in/fx.ts'
import { holdItem, readOpenItems } from '../../../src/clearing/money-in/open-items.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { cancelOrder, payDue, runCsv } from '../../../src/clearing/money-in/payment-run.ts'
import { importPayments } from '../../../src/clearing/money-in/payments.ts'
import type { Imported } from '../../../src/clearing/money-in/payments.ts'
import { reversePayment } from '../../../src/clearing/money-in/reversal.ts'
import { createAgreementBook } from '../../../src/clearing/agreements.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { createNumberOf } from '../../../src/clearing/numbers.ts'
import { parseAmount, printAmount } from '../../../src/clearing/money.ts'
import type { Config } from '../../../src/config.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { balances, invoiced, moneyAgreements, moneyConfig, apartFromItems, outOfBalance } from '../../support/money.ts'
import { emptied } from '../../support/settlement.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())
const fresh = (): Promise<TestDatabase> => emptied(database)
// Whatever a test does: accounts say what the items behind them say.
afterEach(async () => {
  deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
})

const config = moneyConfig()
const payers: readonly Payer[] = [
  { party: 'island', names: ['island', 'Island Ltd', 'Island Limited'], iban: null },
  { party: 'isle', names: ['isle'], iban: 'IE29AIBK93115212345678' },
  { party: 'operator', names: ['operator', 'Operator SA'], iban: null }
]
const header = 'date,amount,currency,reference,payer,iban,purpose'
const file = (...lines: readonly string[]): Buffer => Buffer.from([header, ...lines].join('\n'))
const bookOf = (given: Config) => createAgreementBook(given.agreements, createNumberOf(given.islands))
const take = (database: TestDatabase, lines: readonly string[], given: Config = config): Promise<Imported> => {
  const book = bookOf(given)
  return database.transaction(async sql => {
    const done = await importPayments(sql, readBankFile('bank.csv', file(...lines)), {
      fileName: 'bank.csv',
      by: 'anna',
      payers,
      prepaid: prepaidOf(book),
      topUp: createTopUp(book)
    })
    await tellCredit(sql, book, 'anna')
    return done
  })
}
const open = async (database: TestDatabase): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries((await readOpenItems(database)).map(({ itemId, openMicros }) => [itemId, printAmount(openMicros)]))
/** Of each payment: all of its amount is somewhere, once. */
async function requireNothingLost(database: TestDatabase): Promise<void> {
  const { rows } = await database.query(`
    select payment_id from payment p where direction = 'in'
      and not exists (select from payment_reversal r where r.payment_id = p.payment_id)
      and not exists (select from payment_rest f where f.payment_id = p.payment_id and f.reason = 'other-currency' and amount_micros < 0)
      and amount_micros <> coalesce((select sum(amount_micros) from allocation where source = 'payment/' || payment_id), 0)
        + coalesce((select sum(amount_micros) from payment_rest r where r.payment_id = p.payment_id), 0)
        + coalesce((select sum(amount_micros) from payment_top_up t where t.payment_id = p.payment_id), 0)`)
  deepEqual(rows, [])
  deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
}
const assign = (database: TestDatabase, over: Partial<AssignAsked>) =>
  database.transaction(sql =>
    assignPayment(sql, {
      paymentId: 'B',
      party: 'isle',
      invoiceId: null,
      fx: null,
      day: '2026-12-20',
      by: 'bert',
      ...over
    })
  )

describe('a file of the bank', () => {
  it('COM-06 is taken whole or not at all: what is wrong is told by its line', () => {
    const bad = file(
      '05.12.2026,1,EUR,B1,x,,',
      '2026-12-05,1.005,EUR,B2,x,,',
      '2026-12-05,"1,50",EUR,B3,x,,',
      '2026-12-05,0,EUR,B4,x,,',
      '2026-12-05,1,euro,B5,x,,',
      '2026-12-05,1,EUR,,x,,',
      '2026-12-05,1,EUR,B7,x,,',
      '2026-12-05,2,EUR,B7,x,,',
      '2026-12-05,1.5,JPY,B8,x,,'
    )
    throws(
      () => readBankFile('bank.csv', bad),
      error => {
        const told = (error as Error).message
        for (const line of [2, 3, 4, 5, 6, 7, 9, 10]) match(told, new RegExp(`line ${line}: `))
        match(told, /8 things are wrong, nothing was imported/)
        match(told, /"1,50" has a decimal comma; say --decimal comma/)
        return true
      }
    )
    throws(() => readBankFile('bank.csv', Buffer.from('date,amount\n')), /currency and reference and payer is missing/)
    throws(() => readBankFile('bank.csv', file()), /it has no lines/)
    const comma = readBankFile(
      'b',
      Buffer.from('Date;Amount;Currency;Reference;Payer\n2026-12-05;-1234,50;EUR;B;x'),
      ','
    )
    equal(comma[0]?.amountMicros, parseAmount('-1234.50'))
  })

  it('names an invoice also without its hyphens, and never another one that begins like it', () => {
    const number = 'INV-hub-2026-000012'
    for (const text of [number, 'pays inv hub 2026 000012.', 'RE:INVHUB2026000012/x'])
      equal(names(text, number), true, text)
    for (const text of ['INV-hub-2026-0000123', 'XINV-hub-2026-000012', '']) equal(names(text, number), false, text)
    const payerOf = createPayerOf(payers)
    equal(payerOf({ payer: 'ISLAND  ltd.', iban: null }), 'island')
    equal(payerOf({ payer: 'unknown', iban: 'IE29 AIBK 9311 5212 3456 78' }), 'isle')
    equal(payerOf({ payer: '', iban: null }), null)
  })
})

describe('what a payment pays', () => {
  const item = (itemId: string, over: Partial<OpenItem> = {}): OpenItem => ({
    itemId,
    kind: 'invoice',
    debtor: 'island',
    creditor: 'hub',
    agreementId: 'sell',
    currency: 'EUR',
    issuedOn: '2026-12-01',
    dueOn: '2026-12-31',
    openMicros: 10_000_000n,
    heldMicros: 0n,
    ...over
  })
  const line = (amount: string, purpose: string, payer = 'island') => ({
    line: 2,
    bookedOn: '2026-12-20',
    currency: 'EUR',
    amountMicros: parseAmount(amount),
    reference: 'B1',
    payer,
    iban: null,
    purpose
  })

  it('COM-06 an item is found by its name in a text exactly where the text names it', () => {
    const sequences = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })
    const gaps = fc.constantFrom('-', '', ' ', ' / ')
    fc.assert(
      fc.property(
        sequences,
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), gaps), { maxLength: 3 }),
        (known, said) => {
          const items = known.flatMap(n => [
            item(`INV-hub-2026-${String(n).padStart(6, '0')}`),
            item(`NET-2026-000001-${n}`)
          ])
          const text = said
            .map(([n, gap]) => ['INV', 'hub', '2026', String(n).padStart(6, '0')].join(gap) + `, NET-2026-000001-${n}`)
            .join('; ')
          const expected = items.filter(({ itemId }) => names(text, itemId)).map(({ itemId }) => itemId)
          deepEqual(
            new OpenBook(items)
              .named(text)
              .map(({ itemId }) => itemId)
              .sort(),
            expected.sort()
          )
        }
      ),
      { numRuns: 200 }
    )
  })

  it('COM-06 leaves alone what is held out, and what earlier lines have paid', () => {
    const book = new OpenBook([item('INV-1', { heldMicros: 4_000_000n }), item('INV-2', { dueOn: '2026-12-30' })])
    const payerOf = createPayerOf(payers)
    const told = (amount: string, purpose: string): unknown => {
      const applied = applyIncoming(line(amount, purpose), book, payerOf)
      if (applied.outcome !== 'party') return applied.reason
      return [
        ...applied.paid.map(({ item, amountMicros }) => `${item.itemId} ${printAmount(amountMicros)}`),
        applied.unappliedMicros
      ]
    }
    deepEqual(told('7', 'INV-1'), ['INV-1 6.000000', 'INV-2 1.000000', 0n])
    deepEqual(told('10', 'INV-2 and INV-1'), ['INV-2 9.000000', 1_000_000n])
    deepEqual(told('1', ''), [1_000_000n])
  })

  it('of two parties that share a name none is meant', () => {
    const shared = createPayerOf([...payers, { party: 'isle', names: ['Island Ltd'], iban: null }])
    deepEqual([shared({ payer: 'Island Ltd', iban: null }), shared({ payer: 'island', iban: null })], [null, 'island'])
  })
})

describe('payments', () => {
  it('COM-06 pay the invoice they name, then the oldest; what is over stays on the account of the party', async () => {
    const database = await fresh()
    for (const [period, amount] of [
      ['2026-09', '10'],
      ['2026-10', '20'],
      ['2026-11', '30']
    ] as const) {
      const day = `2026-${Number(period.slice(5)) + 1}-03`.replace('-13-', '-12-')
      await invoiced(database, config, { agreement: 'sell', period, lines: { Germany: amount }, day })
    }
    const lines = [
      '2026-12-05,25.50,EUR,B1,Island Ltd,,invoice INV-hub-2026-000003',
      '2026-12-06,15.00,EUR,B2,ISLAND LIMITED,,thank you',
      '2026-12-07,100.00,EUR,B3,island,,'
    ]
    const done = await take(database, lines)
    deepEqual(
      done.paid.map(({ paymentId, itemId, amountMicros }) => [paymentId, itemId.slice(-1), printAmount(amountMicros)]),
      [
        ['B1', '3', '25.500000'],
        ['B2', '1', '10.000000'],
        ['B2', '2', '5.000000'],
        ['B3', '2', '15.000000'],
        ['B3', '3', '4.500000']
      ]
    )
    deepEqual(
      done.rests.map(({ paymentId, party, reason, amountMicros }) => [
        paymentId,
        party,
        reason,
        printAmount(amountMicros)
      ]),
      [['B3', 'island', 'nothing-open', '80.500000']]
    )
    deepEqual(await balances(database), { bank: '140.5', 'revenue/island': '-60', 'unapplied/island': '-80.5' })
    const again = await take(database, [...lines, '2026-12-08,1,EUR,B4,island,,'])
    deepEqual([again.added, again.repeated], [1, 3])
    await rejects(take(database, ['2026-12-05,26.50,EUR,B1,Island Ltd,,']), /line 2: reference: B1 was imported before/)
    await invoiced(database, config, { agreement: 'sell', period: '2026-08', lines: { Germany: '81' } })
    const { paid, unappliedMicros } = await assign(database, { paymentId: 'B3', party: 'island' })
    deepEqual([paid.length, unappliedMicros], [1, 0n])
    await rejects(assign(database, { paymentId: 'B3', party: 'island' }), /nothing of payment B3 waits/)
    deepEqual(await open(database), { 'INV-hub-2026-000004': '0.500000' })
    await requireNothingLost(database)
  })

  it('COM-06 what nobody can place waits in suspense with its reason, until a person places it', async () => {
    const database = await fresh()
    const invoice = await invoiced(database, config, { agreement: 'sell', lines: { Germany: '40' } })
    const dollars = await invoiced(database, config, { agreement: 'dollars', lines: { Germany: '110' } })
    const done = await take(database, [
      '2026-12-05,5.00,EUR,B1,Nobody,,',
      `2026-12-05,5.00,EUR,B2,isle,,${invoice.number}`,
      `2026-12-05,100.00,EUR,B3,isle,,${dollars.number}`,
      '2026-12-05,-7.00,EUR,B4,a shop,,paper'
    ])
    deepEqual(
      done.rests.map(({ paymentId, party, reason }) => [paymentId, party, reason]),
      [
        ['B1', null, 'unknown-payer'],
        ['B2', null, 'invoice-of-another-party'],
        ['B3', null, 'other-currency'],
        ['B4', null, 'unknown-outgoing']
      ]
    )
    match(done.rests[0]?.detail ?? '', /nobody is called "Nobody"/)
    match(done.rests[2]?.detail ?? '', /is in USD, the payment in EUR/)
    equal((await balances(database))['payment-suspense'], '-103')
    deepEqual(
      (await readWaiting(database, 10)).map(({ paymentId }) => paymentId),
      ['B1', 'B2', 'B3', 'B4']
    )
    await assign(database, { paymentId: 'B1', party: 'island' })
    await assign(database, { paymentId: 'B2', party: 'isle' })
    deepEqual(await open(database), { [invoice.number]: '35.000000', [dollars.number]: '110.000000' })
    const fx = { source: 'ECB', daysBefore: 0, settles: true }
    const convert = { paymentId: 'B3', party: 'isle', invoiceId: dollars.invoiceId }
    await rejects(assign(database, convert), /say whose rate counts/)
    await rejects(assign(database, { ...convert, fx }), /there is no rate of EUR in USD by ECB on 2026-12-05/)
    const rate = { base: 'EUR', quote: 'USD', ratePicos: parseFx('1.09'), fixedOn: '2026-12-05', source: 'ECB' }
    await database.transaction(sql => addFxRates(sql, [rate], { fileName: 'ecb.csv', by: 'anna' }))
    await assign(database, { ...convert, fx })
    deepEqual(await open(database), { [invoice.number]: '35.000000' })
    const stand = await balances(database)
    deepEqual(
      ['fx-position', 'fx-position USD', 'fx-difference/isle USD', 'payment-suspense', 'unapplied/isle'].map(
        a => stand[a]
      ),
      ['-100', '109', '1', '7', '-5']
    )
    await requireNothingLost(database)
  })

  it('COM-06 a payment in another currency settles no more than is due, and not what is far short', async () => {
    const database = await fresh()
    const dollars = await invoiced(database, config, { agreement: 'dollars', lines: { Germany: '110' } })
    const rate = { base: 'EUR', quote: 'USD', ratePicos: parseFx('1.1'), fixedOn: '2026-12-05', source: 'ECB' }
    await database.transaction(sql => addFxRates(sql, [rate], { fileName: 'ecb.csv', by: 'anna' }))
    await take(database, [
      `2026-12-05,90.00,EUR,B1,isle,,${dollars.number}`,
      `2026-12-05,50.00,EUR,B2,isle,,${dollars.number}`
    ])
    const ask = (paymentId: string, settles: boolean) =>
      assign(database, { paymentId, invoiceId: dollars.invoiceId, fx: { source: 'ECB', daysBefore: 0, settles } })
    await rejects(ask('B1', true), /11\.00 USD are missing, more than 5 % of what is due/)
    await ask('B1', false)
    deepEqual(await open(database), { [dollars.number]: '11.000000' })
    const { unappliedMicros } = await ask('B2', false)
    equal(printAmount(unappliedMicros), '40.000000')
    deepEqual(await open(database), {})
    equal((await balances(database))['payment-suspense'], '-40')
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })

  it('COM-06 a reversal is an entry: what was paid is open again; a line of the bank that names the payment does it', async () => {
    const database = await fresh()
    const invoice = await invoiced(database, config, { agreement: 'sell', lines: { Germany: '40' } })
    const before = await balances(database)
    await take(database, ['2026-12-05,50.00,EUR,B1,island,,'])
    const reverse = (paymentId: string, reason = 'a mistake') =>
      database.transaction(sql => reversePayment(sql, { paymentId, reason, day: '2026-12-06', by: 'bert' }))
    await rejects(reverse('B1', ''), /needs a reason/)
    await reverse('B1')
    deepEqual(await balances(database), before)
    await rejects(reverse('B1'), /is reversed already/)
    await rejects(reverse('B9'), /there is no payment B9/)
    const done = await take(database, [
      '2026-12-08,-40.00,EUR,B3,island,,return of B2',
      '2026-12-07,40.00,EUR,B2,island,,'
    ])
    deepEqual([done.returned, done.rests], [['B2'], []])
    deepEqual(await balances(database), before)
    deepEqual(await open(database), { [invoice.number]: '40.000000' })
    deepEqual(await readWaiting(database, 10), [])
  })

  it('COM-06 of a party that pays in advance it is a top-up of its account, once', async () => {
    const database = await fresh()
    const own = moneyConfig(moneyAgreements.replace('{ id: sell,', '{ id: sell, model: prepaid,'))
    const done = await take(database, ['2026-12-05,50.00,EUR,B1,island,,'], own)
    deepEqual(done.topUps, [{ paymentId: 'B1', agreementId: 'sell', amountMicros: parseAmount('50') }])
    await take(database, ['2026-12-05,50.00,EUR,B1,island,,'], own)
    deepEqual(await balances(database), { bank: '50', 'prepaid/island': '-50' })
    const { rows } = await database.query<{ balance: bigint }>('select balance_micros as balance from credit_account')
    deepEqual(rows, [{ balance: parseAmount('50') }])
    await rejects(
      database.transaction(sql => reversePayment(sql, { paymentId: 'B1', reason: 'x', day: '2026-12-06', by: 'b' })),
      /topped up a prepaid account/
    )
    await requireNothingLost(database)
  })

  it('COM-04 an account with a limit learns once of tax, payments, credit notes and what is taken back', async () => {
    const database = await fresh()
    const limited = '{ id: sell, creditLimit: "100", invoicing: { tax: { category: standard, percent: "10" } },'
    const own = moneyConfig(moneyAgreements.replace('{ id: sell,', limited))
    const tell = (): Promise<number> => database.transaction(sql => tellCredit(sql, bookOf(own), 'anna'))
    const moved = async (): Promise<string> => {
      await tell()
      const { rows } = await database.query<{ sum: string }>(
        "select coalesce(sum(amount_micros), 0)::text as sum from credit_movement where kind <> 'opening'"
      )
      return printAmount(BigInt(rows[0]?.sum ?? '0'))
    }
    const invoice = await invoiced(database, own, { agreement: 'sell', lines: { Germany: '40' } })
    equal(await moved(), '-4.000000')
    equal(await tell(), 0)
    await take(database, ['2026-12-05,14.00,EUR,B1,island,,'], own)
    equal(await moved(), '10.000000')
    await database.transaction(sql =>
      issueCreditNote(sql, {
        invoiceId: invoice.invoiceId,
        netMicros: parseAmount('10'),
        reason: 'a wrong rate',
        day: '2026-12-06',
        by: 'b'
      })
    )
    equal(await moved(), '21.000000')
    await database.transaction(sql => reversePayment(sql, { paymentId: 'B1', reason: 'x', day: '2026-12-06', by: 'b' }))
    equal(await moved(), '7.000000')
  })
})

describe('what the hub pays', () => {
  const own = moneyConfig(moneyAgreements.replaceAll('buyer: hub,', 'invoicing: { by: hub }, buyer: hub,'))
  const run = (database: TestDatabase, dryRun = false) =>
    database.transaction(sql =>
      payDue(sql, {
        currency: 'EUR',
        until: '2027-01-31',
        parties: createPartyBook(own),
        day: '2027-01-10',
        by: 'anna',
        dryRun
      })
    )

  it('SET-04 is the undisputed part of what is due, one order a party, seen again in the file of the bank', async () => {
    const database = await fresh()
    const first = await invoiced(database, own, { agreement: 'buy', period: '2026-10', lines: { Germany: '30' } })
    await invoiced(database, own, { agreement: 'buy', lines: { Germany: '12.5' } })
    await invoiced(database, own, { agreement: 'buy-more', lines: { Germany: '7' } })
    const hold = {
      itemId: first.invoiceId,
      disputeId: 'd1',
      amountMicros: parseAmount('10'),
      day: '2026-12-10',
      by: 'b'
    }
    await database.transaction(sql => holdItem(sql, hold))
    deepEqual([(await run(database, true)).runId, (await balances(database))['payments-under-way']], [null, undefined])
    const made = await run(database)
    deepEqual(
      made.orders.map(({ orderId, party, amountMicros }) => [orderId, party, printAmount(amountMicros)]),
      [['PAY-2027-000001-1', 'operator', '32.500000']]
    )
    match(made.leftOut[0]?.why ?? '', /has no iban/)
    equal(
      runCsv(made),
      'reference,payee,iban,amount,currency\nPAY-2027-000001-1,Operator SA,FR7630006000011234567890189,32.50,EUR\n'
    )
    equal((await balances(database))['payments-under-way'], '-32.5')
    deepEqual((await run(database)).orders, [])
    const done = await take(database, [
      '2027-01-11,-32.00,EUR,B1,Operator SA,,PAY-2027-000001-1',
      '2027-01-12,-32.50,EUR,B2,Operator SA,,PAY-2027-000001-1'
    ])
    deepEqual([done.carriedOut, done.rests.map(({ paymentId }) => paymentId)], [['PAY-2027-000001-1'], ['B1']])
    const stand = await balances(database)
    deepEqual(
      ['bank', 'payments-under-way', 'payable/operator', 'disputed-payable/operator', 'payable/carrier'].map(
        a => stand[a]
      ),
      ['-64.5', undefined, undefined, '-10', '-7']
    )
    const cancel = (orderId: string) =>
      database.transaction(sql => cancelOrder(sql, { orderId, reason: 'closed account', day: '2027-01-13', by: 'b' }))
    await rejects(cancel('PAY-2027-000001-1'), /is paid already/)
    await rejects(cancel('PAY-2027-000009-1'), /there is no payment order/)
  })

  it('an order that the bank does not carry out leaves what it paid open again', async () => {
    const database = await fresh()
    await invoiced(database, own, { agreement: 'buy', lines: { Germany: '12.5' } })
    const before = await balances(database)
    const { orders } = await run(database)
    await database.transaction(sql =>
      cancelOrder(sql, { orderId: orders[0]?.orderId ?? '', reason: 'closed account', day: '2027-01-13', by: 'b' })
    )
    deepEqual(await balances(database), before)
    equal((await run(database)).orders[0]?.orderId, 'PAY-2027-000002-1')
  })

  it('what two parties pay each other past the hub is declared, once', async () => {
    const database = await fresh()
    const past = await invoiced(database, own, { agreement: 'past', lines: { Spain: '10' } })
    const sold = await invoiced(database, own, { agreement: 'sell', lines: { Spain: '10' } })
    const declare = (amount: string, itemId = past.invoiceId) =>
      database.transaction(sql =>
        declarePayment(sql, { itemId, amountMicros: parseAmount(amount), reference: 'T1', day: '2026-12-20', by: 'b' })
      )
    await rejects(declare('10.01'), /not open by 10\.01 EUR/)
    await rejects(declare('10', sold.invoiceId), /through the bank of the hub/)
    deepEqual([await declare('10'), await declare('10')], [true, false])
    await rejects(declare('9'), /was declared before, of another item or amount/)
    deepEqual(await open(database), { [sold.number]: '10.000000' })
  })
})

describe('aging', () => {
  it('COM-06 tells by party and currency what is open by how late it is, and what is disputed apart', async () => {
    const database = await fresh()
    const months = ['2026-05', '2026-06', '2026-07', '2026-08', '2026-09']
    for (const [n, period] of months.entries()) {
      const day = `2026-0${n + 6}-10`.replace('-010-', '-10-')
      await invoiced(database, config, { agreement: 'sell', period, lines: { Germany: String(2 ** n) }, day })
    }
    await invoiced(database, config, { agreement: 'dollars', lines: { Germany: '7' } })
    const hold = {
      itemId: 'INV-hub-2026-000001',
      disputeId: 'd',
      amountMicros: parseAmount('0.25'),
      day: '2026-12-10',
      by: 'b'
    }
    await database.transaction(sql => holdItem(sql, hold))
    await take(database, ['2026-12-05,9.00,USD,B1,isle,,'])
    const { rows, unapplied } = await readAging(database, { asOf: '2026-11-09', party: null })
    deepEqual(
      rows.map(({ debtor, creditor, currency, bands, heldMicros, totalMicros }) => [
        `${debtor} ${creditor} ${currency}`,
        ...Object.values(bands).map(printAmount),
        printAmount(heldMicros),
        printAmount(totalMicros)
      ]),
      [['island hub EUR', '16.000000', '8.000000', '0.000000', '4.000000', '2.750000', '0.250000', '31.000000']]
    )
    deepEqual(unapplied, [{ party: 'isle', currency: 'USD', amountMicros: parseAmount('2') }])
    deepEqual((await readAging(database, { asOf: '2026-11-10', party: 'isle' })).rows, [])
  })
})
