import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { declarePayment } from '../../../src/clearing/money-in/assign.ts'
import { readBankFile } from '../../../src/clearing/money-in/bank-file.ts'
import {
  cancelNetting,
  confirmNetting,
  listNettings,
  proposeNetting,
  readNetting
} from '../../../src/clearing/money-in/netting-store.ts'
import type { StoredNetting } from '../../../src/clearing/money-in/netting-store.ts'
import { holdItem, readOpenItems } from '../../../src/clearing/money-in/open-items.ts'
import { importPayments } from '../../../src/clearing/money-in/payments.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { parseAmount, printAmount } from '../../../src/clearing/money.ts'
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

const config = moneyConfig(moneyAgreements.replaceAll('buyer: hub,', 'invoicing: { by: hub }, buyer: hub,'))
const propose = (database: TestDatabase, ...parties: readonly string[]): Promise<StoredNetting> =>
  database.transaction(sql =>
    proposeNetting(sql, {
      kind: parties.length === 2 ? 'bilateral' : 'multilateral',
      parties,
      currency: 'EUR',
      day: '2026-12-10',
      paymentDays: 14,
      by: 'anna'
    })
  )
const decided = { reason: null, day: '2026-12-11', by: 'bert' }
const confirm = (database: TestDatabase, nettingId: string) =>
  database.transaction(sql => confirmNetting(sql, { nettingId, ...decided }))
const cancel = (database: TestDatabase, nettingId: string, reason: string | null = 'by mistake') =>
  database.transaction(sql => cancelNetting(sql, { nettingId, ...decided, reason }))
const open = async (database: TestDatabase): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries(
    (await readOpenItems(database)).map(({ itemId, debtor, creditor, openMicros }) => [
      itemId,
      `${debtor} ${creditor} ${printAmount(openMicros)}`
    ])
  )

/** The hub, an operator and a carrier owe each other: 100, 70, 50 and 30. */
async function owing(database: TestDatabase): Promise<void> {
  await invoiced(database, config, { agreement: 'sell-back', lines: { Germany: '100' } })
  await invoiced(database, config, { agreement: 'buy', lines: { Germany: '70' } })
  await invoiced(database, config, { agreement: 'buy-more', lines: { Germany: '50' } })
  await invoiced(database, config, { agreement: 'past', lines: { Spain: '30' } })
}

describe('netting of two parties', () => {
  it('SET-05 SET-04 sets off what is undisputed and leaves one payment, which the bank shows as paid', async () => {
    const database = await fresh()
    await owing(database)
    const [first] = await readOpenItems(database, { debtor: 'operator', creditor: 'hub' })
    const hold = {
      itemId: first?.itemId ?? '',
      disputeId: 'd1',
      amountMicros: parseAmount('10'),
      day: '2026-12-09',
      by: 'b'
    }
    await database.transaction(sql => holdItem(sql, hold))
    const before = await balances(database)
    const proposal = await propose(database, 'hub', 'operator')
    deepEqual(await balances(database), before)
    deepEqual(
      [proposal.nettingId, proposal.state, proposal.items.length, proposal.dueOn],
      ['NET-2026-000001', 'proposed', 2, '2026-12-24']
    )
    deepEqual(
      proposal.payments.map(({ paymentId, payer, payee, amountMicros }) => [
        paymentId,
        payer,
        payee,
        printAmount(amountMicros)
      ]),
      [['NET-2026-000001-1', 'operator', 'hub', '20.000000']]
    )
    const other = await propose(database, 'hub', 'operator')
    equal((await confirm(database, proposal.nettingId)).state, 'confirmed')
    await rejects(
      confirm(database, other.nettingId),
      /not open and undisputed by so much any more: propose the netting again/
    )
    await rejects(confirm(database, proposal.nettingId), /is confirmed already/)
    const stand = await balances(database)
    deepEqual(
      ['receivable/operator', 'payable/operator', 'disputed-receivable/operator', `netting/${proposal.nettingId}`].map(
        a => stand[a]
      ),
      ['20', undefined, '10', undefined]
    )
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
    const bank = Buffer.from(
      'date,amount,currency,reference,payer,purpose\n2026-12-20,20.00,EUR,B1,x,NET-2026-000001-1\n'
    )
    const done = await database.transaction(sql =>
      importPayments(sql, readBankFile('bank.csv', bank), {
        fileName: 'bank.csv',
        by: 'anna',
        payers: [],
        prepaid: [],
        topUp: () => Promise.reject(new Error('nobody pays in advance'))
      })
    )
    deepEqual(
      done.paid.map(({ itemId }) => itemId),
      ['NET-2026-000001-1']
    )
    deepEqual(await open(database), {
      'INV-carrier-2026-000001': 'hub carrier 50.000000',
      'INV-carrier-2026-000002': 'operator carrier 30.000000',
      'INV-hub-2026-000001': 'operator hub 10.000000'
    })
    await rejects(cancel(database, proposal.nettingId), /NET-2026-000001-1 of netting NET-2026-000001 is paid/)
  })

  it('SET-05 cancelled it is as if it had never been, by entries that reverse it', async () => {
    const database = await fresh()
    await owing(database)
    const [before, items] = [await balances(database), await open(database)]
    const { nettingId } = await propose(database, 'hub', 'operator')
    await confirm(database, nettingId)
    await rejects(cancel(database, nettingId, ' '), /needs a reason/)
    const gone = await cancel(database, nettingId)
    deepEqual(
      gone.history.map(({ state, by, reason }) => [state, by, reason]),
      [
        ['proposed', 'anna', null],
        ['confirmed', 'bert', null],
        ['cancelled', 'bert', 'by mistake']
      ]
    )
    deepEqual([await balances(database), await open(database)], [before, items])
    await rejects(cancel(database, nettingId), /is cancelled already/)
    await rejects(confirm(database, nettingId), /is cancelled already/)
    const proposal = await propose(database, 'hub', 'operator')
    await cancel(database, proposal.nettingId)
    deepEqual(await balances(database), before)
    await rejects(confirm(database, 'NET-2026-000099'), /there is no netting NET-2026-000099/)
    equal(await readNetting(database, 'NET-2026-000099'), null)
    equal((await listNettings(database, 10)).length, 2)
    await rejects(propose(database, 'hub', 'isle'), /nothing undisputed is open in EUR among hub, isle/)
  })
})

describe('netting of more parties', () => {
  it('SET-11 pays the sum of what is owed on the whole with fewer payments, past the hub where it has to', async () => {
    const database = await fresh()
    await owing(database)
    const { nettingId, positions, payments } = await propose(database, 'hub', 'operator', 'carrier')
    deepEqual(
      positions.map(({ party, netMicros }) => [party, printAmount(netMicros)]),
      [
        ['carrier', '80.000000'],
        ['hub', '-20.000000'],
        ['operator', '-60.000000']
      ]
    )
    deepEqual(
      payments.map(({ payer, payee, amountMicros }) => [payer, payee, printAmount(amountMicros)]),
      [
        ['hub', 'carrier', '20.000000'],
        ['operator', 'carrier', '60.000000']
      ]
    )
    await confirm(database, nettingId)
    const stand = await balances(database)
    deepEqual(Object.fromEntries(Object.entries(stand).filter(([account]) => !/^(revenue|cost)\//.test(account))), {
      'bilateral-due/netting/carrier': '-60',
      'bilateral-due/netting/operator': '60',
      'payable/carrier': '-20'
    })
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
    const past = payments.find(({ payer }) => payer === 'operator')
    const declared = {
      itemId: past?.paymentId ?? '',
      amountMicros: parseAmount('60'),
      reference: 'T1',
      day: '2026-12-20',
      by: 'b'
    }
    ok(await database.transaction(sql => declarePayment(sql, declared)))
    equal(Object.keys(await open(database)).length, 1)
  })

  it('SET-11 of two that confirm at once what overlaps, one wins', async () => {
    const database = await fresh()
    await owing(database)
    const [a, b] = [await propose(database, 'hub', 'operator'), await propose(database, 'hub', 'operator', 'carrier')]
    const outcomes = await Promise.allSettled([confirm(database, a.nettingId), confirm(database, b.nettingId)])
    deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const lost = outcomes.find(outcome => outcome.status === 'rejected')
    match(String(lost?.status === 'rejected' ? lost.reason : ''), /propose the netting again/)
    deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []])
  })
})
