import { deepEqual, ok } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { acceptMore } from '../../../src/clearing/money-in/accept.ts'
import { assignPayment, declarePayment } from '../../../src/clearing/money-in/assign.ts'
import { readWaiting } from '../../../src/clearing/money-in/aging-report.ts'
import { readBankFile } from '../../../src/clearing/money-in/bank-file.ts'
import { issueCreditNote } from '../../../src/clearing/money-in/credit-note.ts'
import { listDocuments } from '../../../src/clearing/money-in/document.ts'
import {
  cancelNetting,
  confirmNetting,
  listNettings,
  proposeNetting
} from '../../../src/clearing/money-in/netting-store.ts'
import { holdItem, readOpenItems } from '../../../src/clearing/money-in/open-items.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { payDue } from '../../../src/clearing/money-in/payment-run.ts'
import { importPayments } from '../../../src/clearing/money-in/payments.ts'
import { receiveInvoice } from '../../../src/clearing/money-in/received.ts'
import { reversePayment } from '../../../src/clearing/money-in/reversal.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { HubError } from '../../../src/errors.ts'
import type { Sql } from '../../../src/store/sql.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import {
  agreementIn,
  apartFromItems,
  closeStatement,
  invoiced,
  moneyConfig,
  outOfBalance
} from '../../support/money.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

const config = moneyConfig()
const steps = 150
const day = '2026-12-20'
const by = 'anna'
const parties = ['island', 'operator', 'carrier'] as const

describe('whatever happens to invoices and payments', () => {
  it('LED-01 every posting is in balance, and accounts say what the items behind them say', async () => {
    const random = mulberry32(seedFromEnvironment)
    const one = <T>(from: readonly T[]): T | undefined => from[random(from.length || 1)]
    const amount = (): bigint => BigInt(1 + random(5_000)) * 10_000n
    const text = (micros: bigint): string => `${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}`
    const months = new Map<string, number>()
    let references = 0

    const close = async (agreement: string): Promise<void> => {
      const month = (months.get(agreement) ?? 0) + 1
      if (month > 11) return
      months.set(agreement, month)
      const period = `2026-${String(month).padStart(2, '0')}`
      const exact = text(amount() + BigInt(random(10_000)))
      const lines = { Germany: random(8) === 0 ? `-${exact}` : exact }
      if (agreement.startsWith('buy')) {
        await database.transaction(async sql => {
          const statementId = await closeStatement(sql, config, { agreement, period, lines })
          const asked = { statementId, agreement: agreementIn(config, agreement), parties: createPartyBook(config) }
          const fields = {
            number: `R-${agreement}-${month}`,
            issuedOn: day,
            netMicros: amount(),
            taxMicros: 0n,
            dueOn: null
          }
          await receiveInvoice(sql, { ...asked, ...fields, claims: [], disputes: random(2) === 0, by })
        })
      } else await invoiced(database, config, { agreement, period, lines, day })
    }
    const pay = async (sql: Sql): Promise<void> => {
      const [item, party] = [one(await readOpenItems(sql)), one(parties)]
      const lines = Array.from({ length: 1 + random(3) }, () => {
        references += 1
        const purpose = random(2) === 0 ? (item?.itemId ?? '') : random(4) === 0 ? `B${random(references)}` : ''
        const sign = random(6) === 0 ? '-' : ''
        const sum = text(random(2) === 0 ? (item?.openMicros ?? amount()) : amount()).slice(0, -4)
        return `2026-12-20,${sign}${sum},EUR,B${references},${random(5) === 0 ? 'nobody' : party},${purpose}`
      })
      const bytes = Buffer.from(['date,amount,currency,reference,payer,purpose', ...lines].join('\n'))
      const payers = parties.map(party => ({ party, names: [party], iban: null }))
      const topUp = (): Promise<void> => Promise.reject(new Error('nobody pays in advance'))
      await importPayments(sql, readBankFile('bank.csv', bytes), {
        fileName: 'bank.csv',
        by,
        payers,
        prepaid: [],
        topUp
      })
    }
    const acts: readonly (() => Promise<unknown>)[] = [
      () => close(one(['sell', 'sell-back', 'buy', 'buy-more', 'past']) ?? 'sell'),
      () => database.transaction(pay),
      () => database.transaction(pay),
      () =>
        database.transaction(async sql => {
          const invoice = one(await listDocuments(sql, { party: null, agreementId: null, period: null, max: 50 }))
          const number = `C-${(references += 1)}`
          const asked = { invoiceId: invoice?.invoiceId ?? '', netMicros: amount() / 4n, reason: 'agreed', day, by }
          await issueCreditNote(sql, { ...asked, ...(invoice?.origin === 'received' ? { number } : {}) })
        }),
      () =>
        database.transaction(async sql => {
          const item = one(await readOpenItems(sql))
          const amountMicros = random(2) === 0 ? amount() / 2n : -(item?.heldMicros ?? 0n)
          await holdItem(sql, { itemId: item?.itemId ?? '', disputeId: 'd1', amountMicros, day, by })
        }),
      () =>
        database.transaction(async sql => {
          const members = random(2) === 0 ? ['hub', one(parties) ?? ''] : ['hub', 'operator', 'carrier']
          const kind = members.length === 2 ? 'bilateral' : 'multilateral'
          const { nettingId } = await proposeNetting(sql, {
            kind,
            parties: members,
            currency: 'EUR',
            day,
            paymentDays: 14,
            by
          })
          await confirmNetting(sql, { nettingId, reason: null, day, by })
        }),
      () =>
        database.transaction(async sql => {
          const netting = one(await listNettings(sql, 5))
          await cancelNetting(sql, { nettingId: netting?.nettingId ?? '', reason: 'undone', day, by })
        }),
      () =>
        database.transaction(sql =>
          reversePayment(sql, { paymentId: `B${random(references + 1)}`, reason: 'back', day, by })
        ),
      () =>
        database.transaction(async sql => {
          const rest = one(await readWaiting(sql, 50))
          const party = rest?.party ?? one(parties) ?? ''
          await assignPayment(sql, { paymentId: rest?.paymentId ?? '', party, invoiceId: null, fx: null, day, by })
        }),
      () =>
        database.transaction(async sql => {
          const bought = await listDocuments(sql, { party: null, agreementId: null, period: null, max: 50 })
          const invoice = one(bought.filter(({ kind, origin }) => kind === 'invoice' && origin === 'received'))
          const asked = { invoiceId: invoice?.invoiceId ?? '', netMicros: amount() / 8n, reason: 'agreed', day, by }
          await acceptMore(sql, asked)
        }),
      () => {
        const asked = { currency: 'EUR', until: '2027-12-31', parties: createPartyBook(config), day, by, dryRun: false }
        return database.transaction(sql => payDue(sql, asked))
      },
      () =>
        database.transaction(async sql => {
          const item = one((await readOpenItems(sql)).filter(item => item.debtor !== 'hub' && item.creditor !== 'hub'))
          const reference = `T${(references += 1)}`
          await declarePayment(sql, { itemId: item?.itemId ?? '', amountMicros: amount() / 8n, reference, day, by })
        })
    ]
    let done = 0
    for (let step = 0; step < steps; step++) {
      const act = random(3) === 0 ? 0 : random(acts.length)
      try {
        await acts[act]?.()
        done += 1
      } catch (error) {
        // What cannot be is refused, and leaves nothing.
        if (!(error instanceof HubError) || error.code !== 'HUB_CONFIG') throw error
      }
      const told = `seed ${seedFromEnvironment}, step ${step}, act ${act}`
      deepEqual([await outOfBalance(database), await apartFromItems(database)], [[], []], told)
    }
    ok(done > steps / 4, `${done} of ${steps} steps did something`)
  }, 120_000)
})
