// Interest on late payment: by hand, then in the book.

import { deepEqual, equal, match, rejects } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { agingCommand } from '../../../src/cli/aging.ts'
import { invoiceCommand } from '../../../src/cli/invoice.ts'
import { createAgreementBook } from '../../../src/clearing/agreements.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { issueCreditNote } from '../../../src/clearing/money-in/credit-note.ts'
import { tellCredit } from '../../../src/clearing/money-in/credit-link.ts'
import { readLines } from '../../../src/clearing/money-in/document.ts'
import { interestOn } from '../../../src/clearing/money-in/interest.ts'
import type { InterestTerms, LateItem } from '../../../src/clearing/money-in/interest.ts'
import { chargeInterest, readAccrued } from '../../../src/clearing/money-in/interest-store.ts'
import { documentCsv } from '../../../src/clearing/money-in/invoice-output.ts'
import { documentPdf } from '../../../src/clearing/money-in/invoice-pdf.ts'
import { addAllocations, debtPostings, holdItem } from '../../../src/clearing/money-in/open-items.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { parseAmount, printAmount as printWhole } from '../../../src/clearing/money.ts'
import { createNumberOf } from '../../../src/clearing/numbers.ts'
import { postTransfers } from '../../../src/clearing/settlement/post.ts'
import type { Config } from '../../../src/config.ts'
import { clearingPeers } from '../../support/clearing.ts'
import { runCommands } from '../../support/commands.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import {
  agreementIn,
  apartFromItems,
  balances,
  invoiced,
  moneyAgreements,
  moneyConfig,
  moneyParties,
  outOfBalance
} from '../../support/money.ts'
import { emptied } from '../../support/settlement.ts'

const nine: InterestTerms = {
  rates: [{ from: '2020-01-01', percentMicros: 9_000_000n }],
  dayCount: 'actual/365',
  graceDays: 0,
  disputed: false
}
const printAmount = (micros: bigint): string => printWhole(micros).replace(/\.?0+$/, '')
const change = (day: string, amount: string) => ({
  day,
  amountMicros: amount.startsWith('-') ? -parseAmount(amount.slice(1)) : parseAmount(amount)
})
const item = (owed: string, dueOn: string, over: Partial<LateItem> = {}): LateItem => ({
  owedMicros: parseAmount(owed),
  dueOn,
  paid: [],
  credited: [],
  held: [],
  ...over
})
const comesTo = (given: LateItem, until: string, over: Partial<InterestTerms> = {}): string =>
  printAmount(interestOn(given, { ...nine, ...over }, until).micros)

describe('SET-09 interest by hand', () => {
  const late = item('1000', '2026-03-31', { paid: [change('2026-04-30', '600'), change('2026-05-10', '400')] })

  it('counts from the day after the due day to the day of the payment, on what was open each day', () => {
    // 1000 for 30 days and 400 for 10: 34,000 days of money, times 0.09 / 365.
    equal(comesTo(late, '2026-05-10'), '8.383562')
    equal(comesTo(late, '2027-12-31'), '8.383562')
    // 1000 for one day.
    equal(comesTo(late, '2026-04-01'), '0.246575')
    equal(comesTo(late, '2026-03-31'), '0')
    deepEqual(
      interestOn(late, nine, '2026-05-10').stretches.map(({ from, to, days, lateMicros }) => [
        from,
        to,
        days,
        printAmount(lateMicros)
      ]),
      [
        ['2026-04-01', '2026-04-30', 30, '1000'],
        ['2026-05-01', '2026-05-10', 10, '400']
      ]
    )
  })

  it('over 360 days it is more, and a leap year has no other year', () => {
    equal(comesTo(late, '2026-05-10', { dayCount: 'actual/360' }), '8.5')
    // 28 and 29 February and 1 March 2028: 36,500 x 3 x 0.1 / 365.
    const ten = { rates: [{ from: '2020-01-01', percentMicros: 10_000_000n }] }
    equal(comesTo(item('36500', '2028-02-27'), '2028-03-01', ten), '30')
  })

  it('each day bears the rate of that day; before the first rate there is none', () => {
    const rates = [
      { from: '2026-06-25', percentMicros: 8_000_000n },
      { from: '2026-07-01', percentMicros: 9_270_000n }
    ]
    // Six days at 8 %, from the 25th to the 30th, then ten at 9.27 %: 10,000 x (0.48 + 0.927) / 365.
    equal(comesTo(item('10000', '2026-06-20'), '2026-07-10', { rates }), '38.547945')
  })

  it('within the grace nothing is late; after it all of the delay counts', () => {
    const grace = { graceDays: 5 }
    equal(comesTo(item('1000', '2026-03-31', { paid: [change('2026-04-05', '1000')] }), '2026-06-01', grace), '0')
    // Six days of 1000.
    const sixth = item('1000', '2026-03-31', { paid: [change('2026-04-06', '1000')] })
    equal(comesTo(sixth, '2026-06-01', grace), '1.479452')
    equal(comesTo(item('1000', '2026-03-31'), '2026-04-05', grace), '0')
  })

  it('what a dispute holds bears none, or all of it by agreement; what is conceded was never owed', () => {
    const held = [change('2026-03-31', '400'), change('2026-04-10', '-400')]
    // 600 for 10 days, 1000 for 10.
    equal(comesTo(item('1000', '2026-03-31', { held }), '2026-04-20'), '3.945205')
    equal(comesTo(item('1000', '2026-03-31', { held }), '2026-04-20', { disputed: true }), '4.931507')
    // 400 conceded: 600 for 20 days, whether or not disputed money bears interest.
    const conceded = item('1000', '2026-03-31', { held, credited: [change('2026-04-10', '400')] })
    equal(comesTo(conceded, '2026-04-20'), '2.958904')
    equal(comesTo(conceded, '2026-04-20', { disputed: true }), '2.958904')
    // 100 of the 400: 600 for 10 days, then 900.
    const partly = item('1000', '2026-03-31', { held, credited: [change('2026-04-10', '100')] })
    equal(comesTo(partly, '2026-04-20'), '3.69863')
  })

  it('a payment that is taken back is open again, and sums beyond 2^53 stay exact', () => {
    const back = item('1000', '2026-03-31', { paid: [change('2026-03-31', '1000'), change('2026-04-10', '-1000')] })
    // Ten days of 1000, from the 11th.
    equal(comesTo(back, '2026-04-20'), '2.465753')
    equal(comesTo(item('9000000000.000001', '2026-03-31'), '2027-03-31'), '810000000')
    equal(comesTo(item('0.01', '2026-03-31'), '2027-03-31'), '0.0009')
  })
})

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())
afterEach(async () => {
  deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
})

const terms = 'rates: [{ from: "2026-01-01", percent: "9" }]'
const bearing = (more = '', id = 'sell', given = terms): Config =>
  moneyConfig(moneyAgreements.replace(`{ id: ${id},`, `{ id: ${id}, invoicing: { interest: { ${given}${more} } },`))
const charge = (config: Config, until: string, over: { agreement?: string; day?: string; party?: string } = {}) =>
  database.transaction(sql =>
    chargeInterest(sql, {
      agreement: agreementIn(config, over.agreement ?? 'sell'),
      parties: createPartyBook(config),
      party: over.party ?? null,
      until,
      day: over.day ?? until,
      by: 'anna'
    })
  )
/** As a bank file would. */
const pay = (invoiceId: string, day: string, amount: string): Promise<void> =>
  database.transaction(async sql => {
    const amountMicros = parseAmount(amount)
    const source = `payment/${invoiceId}-${day}`
    await addAllocations(sql, [{ itemId: invoiceId, amountMicros, source, day }], 'anna')
    const debt = { debtor: 'island', creditor: 'hub', agreementId: 'sell' }
    const posting = { entryId: source, amountMicros, currency: 'EUR', day, counter: 'bank' }
    await postTransfers(sql, debtPostings(debt, posting, false))
  })
const open = async (config: Config, until: string): Promise<readonly unknown[]> =>
  (await readAccrued(database, { agreements: config.agreements, party: null, until })).map(
    ({ invoiceId, days, micros, chargedMicros }) => [invoiceId, days, printAmount(micros), printAmount(chargedMicros)]
  )

describe('SET-09 interest in the book', () => {
  it('is a document of its own with tax fields, a line for each late invoice, and charged once', async () => {
    await emptied(database)
    const config = bearing(', tax: { category: standard, percent: "19" }')
    // Due on 2 January.
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1000' } })
    await pay('INV-hub-2026-000001', '2027-02-01', '600')
    deepEqual(await open(config, '2027-02-01'), [['INV-hub-2026-000001', 30, '7.39726', '0']])
    const first = await charge(config, '2027-02-01')
    const [document] = first.documents
    deepEqual(
      [document?.number, document?.statementId, document?.netMicros, document?.taxMicros, document?.dueOn].map(String),
      ['INV-hub-2027-000001', 'null', '7400000', '1410000', '2027-03-03']
    )
    equal(document?.reason, 'late payment, until 2027-02-01: 9 % a year from 2026-01-01, actual/365')
    const lines = await readLines(database, 'INV-hub-2027-000001')
    deepEqual(
      lines.map(({ kind, destination, units, unit, netMicros }) => [
        kind,
        destination,
        units,
        unit,
        printAmount(netMicros)
      ]),
      [
        ['interest', 'INV-hub-2026-000001', '30', 'day', '7.39726'],
        ['rounding', null, '0', 'none', '0.00274']
      ]
    )
    match(documentCsv(document, lines), /Interest: INV-hub-2026-000001,30,days,7.397260,EUR/)
    equal((await documentPdf(document, lines)).subarray(0, 5).toString(), '%PDF-')
    deepEqual(await charge(config, '2027-02-01'), { documents: [], left: [] })

    await pay('INV-hub-2026-000001', '2027-02-11', '400')
    const second = await charge(config, '2027-03-31')
    deepEqual(
      second.documents.map(({ netMicros }) => printAmount(netMicros)),
      ['0.99']
    )
    deepEqual(await open(config, '2027-03-31'), [['INV-hub-2026-000001', 40, '8.383562', '8.383562']])
    deepEqual(await balances(database), {
      bank: '1000',
      'interest-income/island': '-8.383562',
      // 8.39 and the tax of 1.41 and 0.19.
      'receivable/island': '9.99',
      'revenue/island': '-1000',
      'rounding-difference/island': '-0.006438',
      'tax-output': '-1.6'
    })
  })

  it('bears no interest itself, and a credit note takes it back without its being charged again', async () => {
    await emptied(database)
    const config = bearing()
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1000' } })
    await charge(config, '2027-02-01')
    const credit = { invoiceId: 'INV-hub-2027-000001', netMicros: parseAmount('7.40'), reason: 'waived', by: 'bert' }
    await database.transaction(sql => issueCreditNote(sql, { ...credit, day: '2027-04-01' }))
    equal((await balances(database))['interest-income/island'], '0.00274')
    deepEqual(
      (await open(config, '2027-02-01')).map(row => (row as readonly unknown[])[0]),
      ['INV-hub-2026-000001']
    )
    deepEqual(await charge(config, '2027-02-01', { day: '2027-04-01' }), { documents: [], left: [] })
  })

  it('held amounts and credit notes of the invoice count as they are; what the hub owes is not looked at', async () => {
    await emptied(database)
    const config = bearing()
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1000' } })
    await invoiced(database, bearing('', 'past'), { agreement: 'past', lines: { Spain: '1000' } })
    const hold = (amount: string, day: string): Promise<void> =>
      database.transaction(sql =>
        holdItem(sql, {
          itemId: 'INV-hub-2026-000001',
          disputeId: 'D',
          amountMicros: change(day, amount).amountMicros,
          day,
          by: 'b'
        })
      )
    await hold('400', '2026-12-20')
    // 600 for 10 days.
    deepEqual(await open(config, '2027-01-12'), [['INV-hub-2026-000001', 10, '1.479452', '0']])
    await hold('-400', '2027-01-12')
    const credit = { invoiceId: 'INV-hub-2026-000001', netMicros: parseAmount('400'), reason: 'conceded', by: 'bert' }
    await database.transaction(sql => issueCreditNote(sql, { ...credit, day: '2027-01-12' }))
    deepEqual(await open(config, '2027-01-22'), [['INV-hub-2026-000001', 20, '2.958904', '0']])
  })

  it('past the hub it is a debt on both sides; too little for a document waits; who pays in time owes none', async () => {
    await emptied(database)
    const config = bearing(', minimum: "5"', 'past')
    await invoiced(database, config, { agreement: 'past', lines: { Spain: '1000' } })
    const little = await charge(config, '2027-01-12', { agreement: 'past' })
    deepEqual([little.documents.length, little.left.map(({ micros }) => printAmount(micros))], [0, ['2.465753']])
    const { documents } = await charge(config, '2027-02-01', { agreement: 'past' })
    deepEqual(
      documents.map(({ number, debtor, creditor, selfBilled }) => [number, debtor, creditor, selfBilled]),
      [['INV-carrier-2027-000001', 'operator', 'carrier', true]]
    )
    deepEqual(await balances(database), {
      'bilateral-due/past/carrier': '-1007.4',
      'bilateral-due/past/operator': '1007.4'
    })
    deepEqual(await charge(config, '2027-02-01', { agreement: 'past', party: 'carrier' }), { documents: [], left: [] })
  })

  it('an account with a limit is told of invoices, not of interest', async () => {
    await emptied(database)
    const limited = moneyAgreements.replace(
      '{ id: sell,',
      `{ id: sell, creditLimit: "5000", invoicing: { interest: { ${terms} } },`
    )
    const config = moneyConfig(limited)
    await invoiced(database, config, { agreement: 'sell', lines: { Germany: '1000' } })
    await charge(config, '2027-02-01')
    await pay('INV-hub-2026-000001', '2027-02-02', '1000')
    await pay('INV-hub-2027-000001', '2027-02-02', '7.4')
    const book = createAgreementBook(config.agreements, createNumberOf(config.islands))
    await database.transaction(sql => tellCredit(sql, book, 'anna'))
    const { rows } = await database.query<{ sum: string }>(
      'select sum(amount_micros)::text as sum from credit_movement'
    )
    equal(rows[0]?.sum, '1000000000')
  })

  it('an agreement without interest, or a day to come, is an error; so are terms that cannot be', async () => {
    await rejects(charge(moneyConfig(), '2027-02-01'), /agreement sell has no invoicing.interest/)
    await rejects(charge(bearing(), '2027-02-02', { day: '2027-02-01' }), /until 2027-02-02 cannot be charged/)
    const problem = (more: string, id = 'sell', given = terms): string => {
      try {
        bearing(more, id, given)
      } catch (error) {
        return (error as Error).message
      }
      return 'accepted'
    }
    match(problem(', tax: { category: standard }'), /interest.tax: standard needs a percentage/)
    match(problem('', 'buy'), /interest: what the hub owes late its seller charges/)
    match(problem(', graceDays: 91'), /graceDays/)
    const twice = `${terms.slice(0, -1)}, { from: "2026-01-01", percent: "8" }]`
    match(problem('', 'sell', twice), /interest.rates: each begins after the one before/)
  })
})

describe('isthmus invoice interest', () => {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-interest-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('says what would be charged, charges it, and isthmus aging says what is not charged yet', async () => {
    await emptied(database)
    const file = join(folder, 'isthmus.yaml')
    const agreements = moneyAgreements.replace('{ id: sell,', `{ id: sell, invoicing: { interest: { ${terms} } },`)
    writeFileSync(file, clearingPeers + agreements + moneyParties)
    const isthmus = (...args: readonly string[]) =>
      runCommands([invoiceCommand, agingCommand], [...args, '--config', file, '--database', database.url])
    const said = async (...args: readonly string[]): Promise<string> => {
      const { code, out, err } = await isthmus(...args)
      equal(code, 0, err)
      return out
    }
    await invoiced(database, bearing(), { agreement: 'sell', lines: { Germany: '1000' } })
    match(
      await said('aging', '--as-of', '2027-02-01'),
      /^INV-hub-2026-000001: island owes hub 7.397260 EUR of interest for 30 days, not charged yet$/m
    )
    const aging = JSON.parse(await said('aging', '--as-of', '2027-02-01', '--json')) as { interest: unknown }
    deepEqual(aging.interest, [
      {
        invoice: 'INV-hub-2026-000001',
        agreement: 'sell',
        debtor: 'island',
        creditor: 'hub',
        currency: 'EUR',
        days: 30,
        interest: '7.397260',
        charged: '0.000000',
        open: '7.397260'
      }
    ])
    const run = ['invoice', 'interest', '--until', '2027-02-01', '--day', '2027-02-05']
    match(await said(...run, '--dry-run'), /sell: island would be charged 7.40 EUR, due 2027-03-07/)
    match(await said(...run), /^INV-hub-2027-000001 sell: island is charged 7.40 EUR, due 2027-03-07$/m)
    match(await said(...run), /^nothing is charged$/m)
    match(await said('aging', '--as-of', '2027-02-01'), /^(?![^]*interest)/)
    const none = await isthmus(...run, '--agreement', 'buy')
    deepEqual([none.code, /no such agreement has invoicing.interest/.test(none.err)], [1, true])
  })
})
