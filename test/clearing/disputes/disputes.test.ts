import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { holdAgain, moveDispute, resolveDispute } from '../../../src/clearing/disputes/move.ts'
import type { MoveAsked } from '../../../src/clearing/disputes/move.ts'
import { openDispute } from '../../../src/clearing/disputes/open.ts'
import type { DisputeAsked } from '../../../src/clearing/disputes/open.ts'
import { ageOf, evidencePages, listDisputes, readDispute, stepsOf } from '../../../src/clearing/disputes/read.ts'
import type { Dispute } from '../../../src/clearing/disputes/read.ts'
import { disputeStates, stateTerms } from '../../../src/clearing/disputes/states.ts'
import { postBatch } from '../../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { printAmount } from '../../../src/clearing/money.ts'
import { insertDocument, readDocument } from '../../../src/clearing/money-in/document.ts'
import { issueInvoice } from '../../../src/clearing/money-in/invoice.ts'
import { createPartyBook } from '../../../src/clearing/money-in/parties.ts'
import { postTransfers } from '../../../src/clearing/settlement/post.ts'
import { verifyLedger } from '../../../src/clearing/verify/verify.ts'
import { balancesOf, bookOf, callRecords, clearingConfig } from '../../support/clearing.ts'
import { closed } from '../../support/settlement.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

/** Every test has an agreement of its own: they share one database. */
let tests = 0
const agreementsOf = (id: string): string => `
agreements:
  - { id: ${id}, buyer: island, seller: hub, disputeDays: 60, tolerance: { percent: "1", floor: "0.05" },
      rates: [{ prefix: "+49", destination: Germany, rate: "6.00" }] }
  - { id: buy-${id}, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "3.00" }] }
`
interface World {
  readonly id: string
  readonly invoice: string
  readonly open: (over?: Partial<DisputeAsked>) => Promise<Dispute>
  readonly move: (id: bigint, state: MoveAsked['state'], over?: Partial<MoveAsked>) => Promise<Dispute>
}
const party = (id: string) => ({ id, name: id, address: [], country: null, vatId: null, iban: null })

/** An agreement with ten charged minutes of 6.00, and an invoice of 100.00 with 19 % tax. */
async function world(): Promise<World> {
  const n = (tests += 1)
  const id = `a${n}`
  const book = bookOf(agreementsOf(id))
  const records = Array.from({ length: 10 }, (_, k) => callRecords(n * 100 + k, { duration_ms: 60_000 })).flat()
  await database.transaction(sql => postBatch(sql, { topic: `t${n}`, after: 0n, position: 1n, records }, book))
  const invoice = `INV-${n}`
  const document = {
    invoiceId: invoice,
    kind: 'invoice' as const,
    origin: 'issued' as const,
    number: invoice,
    seller: 'hub',
    buyer: 'island',
    agreementId: id,
    statementId: null,
    credits: null,
    period: '2026-11',
    periodFrom: '2026-11-01',
    periodTo: '2026-12-01',
    issuedOn: '2026-12-03',
    dueOn: '2027-01-02',
    currency: 'EUR',
    netMicros: 100_000_000n,
    taxMicros: 19_000_000n,
    grossMicros: 119_000_000n,
    debtor: 'island',
    creditor: 'hub',
    owedMicros: 119_000_000n,
    tax: { category: 'standard' as const, percentMicros: 19_000_000n, note: null },
    sellerParty: party('hub'),
    buyerParty: party('island'),
    selfBilled: false,
    fx: null,
    reason: null,
    issuedBy: 'anna'
  }
  await database.transaction(sql => insertDocument(sql, document, { year: 2026, sequence: n }, []))
  const agreement = book.agreements.find(known => known.id === id)
  ok(agreement)
  return {
    id,
    invoice,
    open: (over = {}) =>
      database.transaction(sql =>
        openDispute(sql, {
          agreement,
          period: '2026-11',
          invoiceId: invoice,
          raisedBy: 'partner',
          type: 'rate',
          amountMicros: 10_000_000n,
          reason: 'the rate was agreed at 5.40',
          evidence: { kind: 'none' },
          draft: false,
          day: '2026-12-10',
          by: 'anna',
          ...over
        })
      ),
    move: (dispute, state, over = {}) =>
      database.transaction(sql =>
        moveDispute(sql, { id: dispute, state, reason: 'as agreed', day: '2026-12-20', by: 'bert', ...over })
      )
  }
}
const held = async (invoice: string): Promise<string> => {
  const { rows } = await database.query<{ held: bigint }>(
    'select coalesce(sum(amount_micros), 0)::bigint as held from item_hold where item_id = $1',
    [invoice]
  )
  return printAmount(rows[0]?.held ?? 0n)
}
const account = async (name: string): Promise<string> => {
  const { rows } = await database.query<{ sum: string }>(
    'select coalesce(sum(debit_micros - credit_micros), 0)::bigint::text as sum from balance where account = $1',
    [name]
  )
  return printAmount(BigInt(rows[0]?.sum ?? 0))
}

describe('a dispute', () => {
  it('SET-09 holds its amount out with its tax, and a credit note settles what was conceded', async () => {
    const { open, move, invoice } = await world()
    const before = await account('disputed-receivable/island')
    const { id, state, dueDay, windowEnds } = await open()
    deepEqual([state, dueDay, windowEnds], ['raised', '2026-12-17', '2027-02-01'])
    equal(await held(invoice), '11.900000')
    equal(await account('disputed-receivable/island'), printAmount(11_900_000n + BigInt(before.replace('.', ''))))
    await move(id, 'acknowledged')
    await move(id, 'evidence-exchanged')
    await move(id, 'partly', { concededMicros: 4_000_000n })
    equal(await held(invoice), '11.900000')
    const settled = await move(id, 'settled')
    deepEqual([settled.state, settled.concededMicros, settled.heldMicros], ['settled', 4_000_000n, 0n])
    const note = await readDocument(database, settled.document ?? '')
    deepEqual(
      [note?.kind, note?.credits, note?.netMicros, note?.taxMicros],
      ['credit-note', invoice, 4_000_000n, 760_000n]
    )
    equal(await held(invoice), '0.000000')
    const { rows } = await database.query('select open_micros from open_item where item_id = $1', [invoice])
    deepEqual(rows, [{ open_micros: 114_240_000n }])
    const { stand, follow, sums } = await balancesOf(database)
    deepEqual(stand, follow)
    deepEqual(sums, [{ currency: 'EUR', sum: '0' }])
  })

  it('SET-04 the invoice itself is never changed, and the undisputed part stays due', async () => {
    const { open, invoice } = await world()
    const first = await readDocument(database, invoice)
    const { id } = await open()
    const { rows } = await database.query('select open_micros, held_micros from open_item where item_id = $1', [
      invoice
    ])
    deepEqual(rows, [{ open_micros: 119_000_000n, held_micros: 11_900_000n }])
    await database.transaction(sql =>
      resolveDispute(sql, { id, concededMicros: 10_000_000n, reason: 'ours', day: '2026-12-20', by: 'bert' })
    )
    deepEqual(await readDocument(database, invoice), first)
    await rejects(database.query('update dispute set amount_micros = 1'), /permission denied/)
    await rejects(database.query('delete from dispute_step'), /permission denied/)
  })

  it('SET-09 what is rejected or withdrawn is due again, and rejected may be escalated', async () => {
    const { open, move, invoice } = await world()
    const [a, b] = [await open(), await open({ type: 'volume', amountMicros: 20_000_000n })]
    equal(await held(invoice), '35.700000')
    await move(a.id, 'withdrawn')
    equal(await held(invoice), '23.800000')
    await move(b.id, 'rejected')
    await move(b.id, 'escalated')
    const after = await move(b.id, 'rejected')
    deepEqual([after.concededMicros, await held(invoice)], [0n, '23.800000'])
    const settled = await move(b.id, 'settled')
    deepEqual([settled.document, await held(invoice)], [null, '0.000000'])
    deepEqual(
      (await stepsOf(database, b.id)).map(({ state, by }) => `${state} ${by}`),
      ['raised anna', 'rejected bert', 'escalated bert', 'rejected bert', 'settled bert']
    )
  })

  it('SET-09 no state is left by a way that it does not have', async () => {
    const { open, move } = await world()
    const draft = await open({ draft: true })
    for (const state of disputeStates.filter(name => !stateTerms.draft.next.includes(name))) {
      await rejects(move(draft.id, state), /is draft and cannot become/, state)
    }
    await move(draft.id, 'raised')
    await rejects(move(draft.id, 'partly'), /needs the amount/)
    await rejects(move(draft.id, 'partly', { concededMicros: 10_000_000n }), /10\.00 of 10\.00 EUR is not partly/)
    await rejects(move(draft.id, 'acknowledged', { concededMicros: 1n }), /only a decision/)
    await rejects(move(draft.id, 'acknowledged', { reason: ' ' }), /needs a reason/)
    await move(draft.id, 'withdrawn')
    await rejects(move(draft.id, 'raised'), /it is over/)
  })

  it('SET-09 of two that move it at once one wins', async () => {
    const { open, move } = await world()
    const { id, step } = await open()
    const both = await Promise.allSettled([
      move(id, 'accepted', { after: step }),
      move(id, 'rejected', { after: step })
    ])
    deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    equal((await stepsOf(database, id)).length, 2)
  })

  it('SET-09 after the window the invoice stands', async () => {
    const { open, move } = await world()
    await rejects(open({ day: '2027-02-02' }), /until 2027-02-01; now the invoice stands/)
    const { id, dueDay } = await open({ draft: true, day: '2027-02-01' })
    equal(dueDay, '2027-02-01')
    await rejects(move(id, 'raised', { day: '2027-02-02' }), /now the invoice stands/)
  })

  it('SET-02 what the agreement tolerates is no dispute, but one call twice is', async () => {
    const { open } = await world()
    await rejects(open({ amountMicros: 1_000_000n }), /within the tolerance/)
    equal((await open({ amountMicros: 1_000_001n })).state, 'raised')
    equal((await open({ amountMicros: 10_000n, type: 'duplicate' })).state, 'raised')
    await rejects(open({ amountMicros: 100_000_001n }), /100\.00 EUR is all that there is/)
    await rejects(open({ amountMicros: null }), /nothing to dispute/)
  })

  it('FRD-02 suspected calls are moved to disputed by range and time in one action, once', async () => {
    const { open, id } = await world()
    const noon = Date.parse('2026-11-02T12:00:00Z')
    const range = { prefix: '4989', from: noon, to: noon + 1_000 }
    const asked = { type: 'fraud', invoiceId: null, amountMicros: null, evidence: { kind: 'calls', range } } as const
    const before = await account('unbilled-receivable/island')
    const dispute = await open(asked)
    deepEqual([dispute.calls, printAmount(dispute.amountMicros), dispute.heldMicros], [10n, '60.000000', 60_000_000n])
    const [evidence] = await Array.fromAsync(evidencePages(database, dispute.id))
    deepEqual([evidence?.length, evidence?.[0]?.called], [10, 'tel:+4989200'])
    equal(
      BigInt((await account('unbilled-receivable/island')).replace('.', '')),
      BigInt(before.replace('.', '')) - 60_000_000n
    )
    await rejects(open(asked), /no charged call|disputed already/)
    const none = { kind: 'calls', range: { ...range, prefix: '33' } } as const
    await rejects(open({ ...asked, evidence: none }), /no charged call/)
    equal((await listDisputes(database, { agreementId: id, state: null, all: false })).length, 1)
  })

  it('SET-04 what was held before it was billed moves to the invoice, and is credited there', async () => {
    const own = await postgres.fresh(clearingMigrations)
    const config = clearingConfig(agreementsOf('sell'))
    const book = bookOf(agreementsOf('sell'))
    const [agreement, terms] = [book.agreements[0], config.agreements[0]]
    ok(agreement && terms)
    const records = Array.from({ length: 10 }, (_, k) => callRecords(k + 1, { duration_ms: 60_000 })).flat()
    await own.transaction(sql => postBatch(sql, { topic: 't', after: 0n, position: 1n, records }, book))
    const asked = {
      agreement,
      period: '2026-11',
      invoiceId: null,
      raisedBy: 'partner',
      type: 'rate',
      amountMicros: 6_000_000n,
      reason: 'the rate was agreed at 5.40',
      evidence: { kind: 'none' },
      draft: false,
      day: '2026-12-01',
      by: 'anna'
    } as const
    const { id, heldMicros } = await own.transaction(sql => openDispute(sql, asked))
    equal(heldMicros, 6_000_000n)
    const step = { id, reason: 'ours', day: '2026-12-20', by: 'bert' }
    const resolve = (): Promise<Dispute> =>
      own.transaction(sql => resolveDispute(sql, { ...step, concededMicros: 6_000_000n }))
    await rejects(resolve(), /has to be invoiced first/)
    const override = 'records of a test have gaps'
    const { statement } = await closed(own, book, '2026-11', { agreement: 'sell', override })
    equal(statement.invoiceMicros, 60_000_000n)
    const issue = { statementId: 'sell/2026-11', agreement: terms, parties: createPartyBook(config) }
    const issued = await own.transaction(sql => issueInvoice(sql, { ...issue, day: '2026-12-03', by: 'anna' }))
    const invoice = issued.document?.invoiceId ?? ''
    const followed = await own.transaction(sql => holdAgain(sql, { ...step, day: '2026-12-04' }))
    const { rows } = await own.query('select invoice_id, amount_micros from dispute_hold order by n')
    deepEqual(rows, [
      { invoice_id: null, amount_micros: 6_000_000n },
      { invoice_id: null, amount_micros: -6_000_000n },
      { invoice_id: invoice, amount_micros: followed.heldMicros }
    ])
    const settled = await resolve()
    const note = await readDocument(own, settled.document ?? '')
    deepEqual([settled.state, settled.heldMicros, note?.credits, note?.netMicros], ['settled', 0n, invoice, 6_000_000n])
    const { rows: left } = await own.query<{ account: string; sum: string }>(
      `select account, (debit_micros - credit_micros)::text as sum from balance
       where account in ('receivable/island', 'revenue/island') or account like '%disputed%' or account like '%unbilled-receivable%'
       order by 1`
    )
    deepEqual(
      left.map(({ account: name, sum }) => [name, printAmount(BigInt(sum))]),
      [
        ['disputed-receivable/island', '0.000000'],
        ['disputed-unbilled-receivable/island', '0.000000'],
        ['receivable/island', '54.000000'],
        ['revenue/island', '-54.000000'],
        ['unbilled-receivable/island', '0.000000']
      ]
    )
    ok((await verifyLedger(own)).checks.every(({ faults }) => faults.length === 0))
  })

  it('holds no more than stands unbilled: who has paid in advance owes nothing', async () => {
    const { open } = await world()
    const { rows } = await database.query<{ owed: bigint }>(
      "select (debit_micros - credit_micros)::bigint as owed from balance where account = 'unbilled-receivable/island'"
    )
    const owed = rows[0]?.owed ?? 0n
    const taken = {
      entryId: `test/paid/${tests}`,
      debit: 'bank',
      credit: 'unbilled-receivable/island',
      currency: 'EUR'
    }
    const amountMicros = owed - 5_000_000n
    await database.transaction(sql => postTransfers(sql, [{ ...taken, amountMicros, day: '2026-12-01' }]))
    equal((await open({ invoiceId: null })).heldMicros, 5_000_000n)
    equal((await open({ invoiceId: null, type: 'volume' })).heldMicros, 0n)
  })

  it('SET-09 tells its age, whose move it is and since when it is late', async () => {
    const { open } = await world()
    const dispute = await open()
    deepEqual(ageOf(dispute, '2026-12-12'), { days: 2, overdueDays: 0, owner: 'respondent' })
    deepEqual(ageOf(dispute, '2026-12-27'), { days: 17, overdueDays: 10, owner: 'respondent' })
    await rejects(readDispute(database, 999_999n), /no dispute 999999/)
  })
})
