import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { acceptMore } from '../../../src/clearing/money-in/accept.ts'
import { issueCreditNote } from '../../../src/clearing/money-in/credit-note.ts'
import { matchInvoice } from '../../../src/clearing/money-in/match.ts'
import type { Claim, Tolerance } from '../../../src/clearing/money-in/match.ts'
import { readOpenItems } from '../../../src/clearing/money-in/open-items.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { readClaims, readMatch, receiveInvoice } from '../../../src/clearing/money-in/received.ts'
import type { ReceiveAsked } from '../../../src/clearing/money-in/received.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { parseAmount, parseRate, printAmount } from '../../../src/clearing/money.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import {
  agreementIn,
  balances,
  closeStatement,
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
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

const claim = (destination: string, amount: string, units: bigint | null = null): Claim => ({
  destination,
  units,
  netMicros: parseAmount(amount)
})
const onePercent: Tolerance = { percentNanos: parseRate('1'), floorMicros: 0n, of: 'own' }
const ours = [claim('Germany', '100.004', 60n), claim('France', '50', 30n)]

describe("a seller's invoice beside our statement", () => {
  it('COM-06 within the tolerance as a whole the figure of the seller stands', () => {
    const found = matchInvoice(ours, [claim('germany', '101'), claim(' FRANCE', '50.10')], onePercent, 'EUR')
    deepEqual(
      [found.outcome, printAmount(found.acceptedMicros), found.refusedMicros, found.leftMicros, found.percentMicros],
      ['accepted', '151.100000', 0n, 0n, 730_647n]
    )
    deepEqual(
      found.lines.map(({ destination, outcome }) => [destination, outcome]),
      [
        ['France', 'within'],
        ['Germany', 'within']
      ]
    )
  })

  it('COM-06 above it only what is ours is paid, line by line', () => {
    const theirs = [claim('Germany', '150'), claim('France', '49'), claim('Spain', '5')]
    const found = matchInvoice(ours, theirs, onePercent, 'EUR')
    deepEqual(
      found.lines.map(({ destination, outcome, acceptedMicros }) => [
        destination,
        outcome,
        printAmount(acceptedMicros)
      ]),
      [
        ['France', 'below', '49.000000'],
        ['Germany', 'above', '100.004000'],
        ['Spain', 'only-theirs', '0.000000']
      ]
    )
    deepEqual(
      [found.outcome, ...[found.acceptedMicros, found.refusedMicros, found.leftMicros].map(printAmount)],
      ['short-paid', '149.000000', '55.000000', '1.004000']
    )
  })

  it('COM-06 what is billed too low leaves the rest unbilled, and a floor of money forgives small differences', () => {
    const low = matchInvoice(ours, [claim('Germany', '100')], onePercent, 'EUR')
    deepEqual(
      [low.outcome, printAmount(low.acceptedMicros), printAmount(low.leftMicros)],
      ['under-billed', '100.000000', '50.004000']
    )
    const floor = { ...onePercent, percentNanos: 0n, floorMicros: parseAmount('60') }
    equal(matchInvoice(ours, [claim('Germany', '100')], floor, 'EUR').outcome, 'accepted')
    const sum = matchInvoice(ours, [claim('', '200')], onePercent, 'EUR')
    deepEqual(
      [sum.outcome, printAmount(sum.acceptedMicros), printAmount(sum.refusedMicros)],
      ['short-paid', '150.000000', '50.000000']
    )
  })

  it('COM-06 what rounding to the minor unit does is no difference', () => {
    const exact = { ...onePercent, percentNanos: 0n }
    equal(matchInvoice(ours, [claim('', '150.00')], exact, 'EUR').outcome, 'accepted')
    equal(matchInvoice(ours, [claim('', '150.01')], exact, 'EUR').outcome, 'short-paid')
  })

  it('COM-06 accepted and refused always make up theirs, and no more than theirs is accepted', () => {
    const claims = fc.array(
      fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 5_000 })).map(([destination, cents]) => ({
        destination,
        units: null,
        netMicros: BigInt(cents) * 10_000n
      })),
      { minLength: 1, maxLength: 8 }
    )
    fc.assert(
      fc.property(claims, claims, fc.integer({ min: 0, max: 30 }), (own, theirs, percent) => {
        const found = matchInvoice(own, theirs, { ...onePercent, percentNanos: parseRate(String(percent)) }, 'EUR')
        equal(found.acceptedMicros + found.refusedMicros, found.theirMicros)
        equal(found.refusedMicros >= 0n && found.acceptedMicros >= 0n && found.leftMicros >= 0n, true)
        equal(found.within, found.outcome === 'accepted')
      }),
      { numRuns: 300 }
    )
  })

  it('COM-06 tells what is wrong with its lines', () => {
    const bad = Buffer.from('destination,units,amount\n,1,1\nGermany,x,1\nFrance,1,y\n')
    throws(() => readClaims('i.csv', bad), /line 2: destination[^]*line 3: units[^]*line 4: amount/)
    throws(() => readClaims('i.csv', Buffer.from('destination,units\n')), /the column amount is missing/)
    deepEqual(readClaims('i.csv', Buffer.from('Destination;Amount\nGermany;1.5\n')), [claim('Germany', '1.5')])
  })
})

describe('booking it', () => {
  const taxed = '{ id: buy, tolerance: { percent: "1" }, invoicing: { tax: { category: standard, percent: "10" } },'
  const config = moneyConfig(moneyAgreements.replace('{ id: buy,', taxed))
  const statement = { agreement: 'buy', lines: { Germany: '100.004', France: '50' } }
  const receive = (database: TestDatabase, over: Partial<ReceiveAsked> = {}) =>
    database.transaction(sql =>
      receiveInvoice(sql, {
        statementId: 'buy/2026-11',
        agreement: agreementIn(config, 'buy'),
        parties: createPartyBook(config),
        number: 'R-77',
        issuedOn: '2026-12-05',
        netMicros: parseAmount('150'),
        taxMicros: parseAmount('15'),
        dueOn: null,
        claims: [],
        disputes: false,
        by: 'anna',
        ...over
      })
    )
  const closed = async (): Promise<TestDatabase> => {
    await emptied(database)
    await database.transaction(sql => closeStatement(sql, config, statement))
    return database
  }

  it('COM-06 LED-01 moves what is accepted from unbilled to payable, with its tax and what rounding makes', async () => {
    const database = await closed()
    const { outcome, document } = await receive(database)
    deepEqual([outcome, document.invoiceId, document.dueOn], ['accepted', 'operator:R-77', '2027-01-04'])
    deepEqual(await balances(database), {
      'cost/operator': '150.004',
      'payable/operator': '-165',
      'rounding-difference/operator': '-0.004',
      'tax-input': '15'
    })
    await rejects(receive(database), /buy\/2026-11 is invoiced by operator:R-77 already/)
  })

  it('COM-06 pays short what is above the tolerance: the rest is refused, and can be credited without moving money', async () => {
    const database = await closed()
    const over = { netMicros: parseAmount('170'), taxMicros: parseAmount('17'), disputes: true }
    const claims = [claim('Germany', '120', 72n), claim('France', '50', 30n)]
    const { outcome, document, match } = await receive(database, { ...over, claims })
    deepEqual(
      [outcome, printAmount(match.refusedMicros), printAmount(document.owedMicros)],
      ['disputed', '20.000000', '165.000000']
    )
    const stored = await readMatch(database, 'operator:R-77')
    deepEqual([stored?.outcome, stored?.lines.length, stored?.lines[1]?.their_units], ['disputed', 2, '72'])
    const before = await balances(database)
    deepEqual([before['payable/operator'], before['unbilled-payable/operator']], ['-165', undefined])
    const credit = (net: string, number?: string) =>
      database.transaction(sql =>
        issueCreditNote(sql, {
          invoiceId: 'operator:R-77',
          netMicros: parseAmount(net),
          reason: 'agreed',
          day: '2026-12-20',
          by: 'bert',
          ...(number === undefined ? {} : { number })
        })
      )
    await rejects(credit('20'), /its credit note has a number of operator, which is missing/)
    const note = await credit('20', 'C-1')
    deepEqual([note.invoiceId, note.origin, note.owedMicros], ['operator:C-1', 'received', 0n])
    deepEqual(await balances(database), before)
    await rejects(credit('1', 'C-1'), /C-1 of operator is known already/)
    await credit('50', 'C-2')
    equal((await balances(database))['payable/operator'], '-110')
    equal(printAmount((await readOpenItems(database))[0]?.openMicros ?? 0n), '110.000000')
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })

  it('COM-06 SET-04 what was refused can be accepted later, in parts, and no more than that', async () => {
    const database = await closed()
    await receive(database, { netMicros: parseAmount('170'), taxMicros: parseAmount('17') })
    const accept = (net: string, invoiceId = 'operator:R-77', reason = 'agreed') =>
      database.transaction(sql =>
        acceptMore(sql, { invoiceId, netMicros: parseAmount(net), reason, day: '2026-12-20', by: 'bert' })
      )
    await rejects(accept('20.01'), /20\.01 EUR of operator:R-77 cannot be accepted; 20\.00 is refused of it/)
    await rejects(accept('1', 'operator:R-1'), /there is no received invoice operator:R-1/)
    await rejects(accept('1', 'operator:R-77', ''), /needs a reason/)
    deepEqual(await accept('5.05'), { netMicros: parseAmount('5.05'), taxMicros: parseAmount('0.51'), currency: 'EUR' })
    await accept('14.95')
    await rejects(accept('0.01'), /0\.00 is refused of it/)
    equal(printAmount((await readOpenItems(database))[0]?.openMicros ?? 0n), '187.000000')
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
    const whole = {
      invoiceId: 'operator:R-77',
      netMicros: parseAmount('170'),
      reason: 'all of it',
      day: '2026-12-21',
      by: 'b'
    }
    const note = await database.transaction(sql => issueCreditNote(sql, { ...whole, number: 'C-9' }))
    deepEqual([printAmount(note.grossMicros), note.owedMicros, await readOpenItems(database)], ['187.000000', 0n, []])
    equal((await balances(database))['tax-input'], undefined)
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })

  it('COM-06 leaves unbilled what was billed too low, and takes another invoice for the rest', async () => {
    const database = await closed()
    const { outcome } = await receive(database, { netMicros: parseAmount('100'), taxMicros: parseAmount('10') })
    equal(outcome, 'under-billed')
    const stand = await balances(database)
    deepEqual([stand['payable/operator'], stand['unbilled-payable/operator']], ['-110', '-50.004'])
    const rest = { number: 'R-78', netMicros: parseAmount('50'), taxMicros: parseAmount('5') }
    await rejects(receive(database, { ...rest, number: 'R-77' }), /the invoice R-77 of operator is known already/)
    const second = await receive(database, rest)
    deepEqual([second.outcome, printAmount(second.match.ownMicros)], ['accepted', '50.004000'])
    const settled = await balances(database)
    deepEqual([settled['payable/operator'], settled['unbilled-payable/operator']], ['-165', undefined])
    await rejects(receive(database, { ...rest, number: 'R-79' }), /is invoiced by operator:R-77 already/)
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })

  it('COM-06 refuses what cannot be: another tax, lines that do not add up, a statement that is not there', async () => {
    const database = await closed()
    await rejects(
      receive(database, { taxMicros: parseAmount('28.5') }),
      /asks for a tax of 28\.50 EUR, by the agreement it is 15\.00/
    )
    await rejects(receive(database, { claims: [claim('Germany', '149')] }), /do not make up its sum/)
    await rejects(receive(database, { statementId: 'buy/2026-10' }), /no closed statement buy\/2026-10/)
    await rejects(receive(database, { number: ' ' }), /needs a number/)
    await rejects(receive(database, { issuedOn: '2026-13-01' }), /is no day/)
    await rejects(receive(database, { dueOn: '2026-12-01' }), /no day on or after/)
    await rejects(receive(database, { netMicros: parseAmount('150.001') }), /has no such fractions/)
    await rejects(receive(database, { agreement: agreementIn(config, 'sell') }), /are written by the hub/)
    deepEqual((await database.query('select from invoice')).count, 0)
  })
})
