// Accounts in a real database: what is held, refused, refreshed, settled, and charged by the records of the calls.

import { deepEqual as equal, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { postBatch } from '../../../src/clearing/ledger.ts'
import { adjust, moveOpen, topUp } from '../../../src/clearing/credit/movements.ts'
import { lockAccounts, sweepReservations } from '../../../src/clearing/credit/store.ts'
import { rerate } from '../../../src/clearing/rerate.ts'
import type { AgreementBook } from '../../../src/clearing/agreements.ts'
import type { CdrRecord } from '../../../src/events/cdr.ts'
import type { Reserved } from '../../../src/session/ports.ts'
import { failedCall, record, uuid } from '../../support/clearing.ts'
import {
  agreementOf,
  askedAt,
  creditAt,
  creditBook,
  payIn,
  readableLog,
  standing,
  termsBy,
  today
} from '../../support/credit.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop(), 60_000)

async function opened(book: AgreementBook, amount = '1', more: Parameters<typeof creditAt>[2] = {}) {
  const database = await postgres.fresh(clearingMigrations)
  const credit = creditAt(database, book, more)
  await credit.start()
  const agreement = agreementOf(book, more.agreementId)
  if (agreement.credit.advance && amount !== '0') await payIn(database, agreement, amount)
  return { database, credit, agreement }
}
type Opened = Awaited<ReturnType<typeof opened>>

let position = 0n
/** The ingress final of the n-th call, through the ledger. */
async function charge(
  { database }: Pick<Opened, 'database'>,
  book: AgreementBook,
  n: number,
  over: Partial<CdrRecord>
) {
  const final = record({ seq: n, cdr_id: uuid(500_000 + n), call_id: uuid(n), ...over })
  const after = position
  position += 1n
  const batch = { topic: `t${after}`, after: 0n, position: 1n, records: [final] }
  return database.transaction(sql => postBatch(sql, batch, book))
}
const lasted = (seconds: number): Partial<CdrRecord> => ({ duration_ms: seconds * 1_000, units: seconds })
const ms = (reserved: Reserved): number | string | null =>
  reserved === null || typeof reserved === 'string' ? reserved : reserved.reservedMs
const idOf = (n: number, attempt = 1): string => `${uuid(n)}/${attempt}`
const micros = async ({ database }: Pick<Opened, 'database'>, agreementId?: string) => {
  const { balanceMicros, reservedMicros, ledgerMicros } = await standing(database, agreementId)
  return { balance: balanceMicros, reserved: reservedMicros, ledger: ledgerMicros }
}

describe('a prepaid account', () => {
  it('COM-03 a call holds its quantum, more when it asks, what it cost at its end, and is charged by its record', async () => {
    const book = creditBook()
    const at = await opened(book)
    const { credit } = at
    equal(ms(await credit.ask(1)), 60_000)
    equal(await micros(at), { balance: 1_000_000n, reserved: 61_000n, ledger: 1_000_000n })
    credit.clock.at += 50_000
    equal(ms(await credit.refresh(idOf(1), 50_000)), 70_000)
    equal((await micros(at)).reserved, 121_000n)
    credit.clock.at += 20_000
    await credit.settle(idOf(1), 70_000)
    await credit.settle(idOf(1), 70_000)
    equal(await micros(at), { balance: 1_000_000n, reserved: 70_000n, ledger: 1_000_000n })
    await charge(at, book, 1, lasted(70))
    equal(await micros(at), { balance: 930_000n, reserved: 0n, ledger: 930_000n })
    const { rows } = await at.database.query(
      'select debit, credit, amount_micros from transfer where cdr_id is not null'
    )
    equal(rows, [{ debit: 'prepaid/island', credit: 'revenue/island', amount_micros: 70_000n }])
    const { rows: left } = await at.database.query(
      "select credit_micros - debit_micros as left from balance where account = 'prepaid/island'"
    )
    equal(left, [{ left: '930000' }])
  })

  it('COM-03 where less is left than a quantum the call gets what there is, then no more', async () => {
    const at = await opened(creditBook('model: prepaid, credit: { quantumSeconds: 30 }'), '0.05')
    const { credit } = at
    equal(ms(await credit.ask(1)), 30_000)
    credit.clock.at += 20_000
    equal(ms(await credit.refresh(idOf(1), 20_000)), 29_000)
    credit.clock.at += 19_000
    equal(await credit.refresh(idOf(1), 39_000), 'no-credit')
    equal(await credit.ask(2), 'no-credit')
    equal((await micros(at)).reserved, 50_000n)
  })

  it('COM-03 the grace comes at the end, is paid, and comes once; a top-up in it keeps the call', async () => {
    const at = await opened(creditBook('model: prepaid, credit: { quantumSeconds: 30, graceSeconds: 9 }'), '0.04')
    const { credit } = at
    equal(ms(await credit.ask(1)), 30_000)
    credit.clock.at += 20_000
    equal(ms(await credit.refresh(idOf(1), 20_000)), 19_000)
    credit.clock.at += 15_000
    equal(await credit.refresh(idOf(1), 35_000), 'no-credit')
    await payIn(at.database, at.agreement, '1', 'second')
    equal(ms(await credit.refresh(idOf(1), 36_000)), 33_000)
    const { reserved, balance } = await micros(at)
    ok(reserved <= balance)
  })

  it('nothing answered holds nothing; a second attempt holds anew; the record of the call lets everything go', async () => {
    const book = creditBook()
    const at = await opened(book)
    await at.credit.ask(1)
    await at.credit.settle(idOf(1), 0)
    equal((await micros(at)).reserved, 0n)
    await at.credit.ask(1, 2)
    equal((await micros(at)).reserved, 61_000n)
    await charge(at, book, 1, failedCall)
    equal(await micros(at), { balance: 1_000_000n, reserved: 0n, ledger: 1_000_000n })
  })

  it('a record charges once, however often it comes, whether its call was settled or not', async () => {
    const book = creditBook()
    const at = await opened(book)
    await at.credit.ask(1)
    for (let n = 0; n < 3; n++) await charge(at, book, 1, lasted(10))
    await charge(at, book, 2, lasted(10))
    equal(await micros(at), { balance: 980_000n, reserved: 0n, ledger: 980_000n })
    // Told late: the record was faster.
    await at.credit.settle(idOf(1), 10_000)
    equal((await micros(at)).reserved, 0n)
  })

  it('a message holds its price until its record is charged', async () => {
    const more = 'model: prepaid, service: message'
    const book = creditBook(more, 'rate: "0.40"')
    const at = await opened(book)
    equal([await at.credit.ask(1, 1, 'message'), await at.credit.ask(2, 1, 'message')].map(ms), [0, 0])
    equal(await at.credit.ask(3, 1, 'message'), 'no-credit')
    const text = { service: 'message', record_type: 'event', unit_type: 'messages', duration_ms: 0, units: 1 } as const
    await charge(at, book, 1, text)
    await charge(at, book, 2, { ...text, ...failedCall })
    equal(await micros(at), { balance: 600_000n, reserved: 0n, ledger: 600_000n })
  })

  it('an agreement without an account holds nothing and is never asked', async () => {
    const { credit, database } = await opened(creditBook('model: cascade'))
    equal(await credit.ask(1), null)
    equal((await database.query('select from credit_account')).count, 0)
  })

  it('after a crash a reservation is let go by its record, or in time; a hub that is alive keeps its own', async () => {
    const book = creditBook()
    const at = await opened(book)
    await at.credit.ask(1)
    await at.credit.ask(2)
    await at.credit.stop()
    const log = readableLog()
    const again = creditAt(at.database, book, { log: log.log })
    const other = creditAt(at.database, book, { node: 'node-2' })
    await again.start()
    await other.start()
    await other.ask(3)
    ok(log.lines.some(({ orphans }) => orphans === 2))
    await charge(at, book, 1, { ...lasted(10), incomplete: true })
    equal(await micros(at), { balance: 990_000n, reserved: 122_000n, ledger: 990_000n })
    await at.database.query("update credit_reservation set expires_at = now() - interval '1 s' where node = 'node-1'")
    equal(await at.database.transaction(sweepReservations), 1)
    equal(await at.database.transaction(sweepReservations), 0)
    equal((await micros(at)).reserved, 61_000n)
    // Let go, and charged all the same when its record comes after all.
    await charge(at, book, 2, lasted(10))
    equal(await micros(at), { balance: 980_000n, reserved: 61_000n, ledger: 980_000n })
    await again.stop()
    await other.stop()
  })

  it('nobody is admitted while the database is away, and nothing is lost', async () => {
    const book = creditBook()
    const own = await startTestPostgres()
    try {
      const database = await own.fresh(clearingMigrations)
      const credit = creditAt(database, book)
      await credit.start()
      await payIn(database, agreementOf(book), '1')
      equal(ms(await credit.ask(1)), 60_000)
      await own.away()
      equal(await credit.ask(2), 'unavailable')
      await rejects(credit.refresh(idOf(1), 50_000))
      await own.back()
      equal(ms(await credit.refresh(idOf(1), 50_000)), 70_000)
      equal((await standing(database)).reservedMicros, 121_000n)
      await credit.stop()
    } finally {
      await own.stop()
    }
  }, 60_000)

  it('an account that is locked for long, as by a close, holds up its own calls and no others; nobody waits in a circle', async () => {
    const book = manyAccounts(['p1', 'p2', 'p3'])
    const database = await postgres.fresh(clearingMigrations, 8)
    const credit = creditAt(database, book)
    await credit.start()
    for (const id of ['p1', 'p2', 'p3']) await payIn(database, agreementOf(book, id), '1')
    const ask = async (id: string, n: number) =>
      ms(await credit.reserve(uuid(n) as never, 1, termsBy(id), askedAt(credit.clock.at)))
    let [answered, waiting] = [0, [] as Promise<unknown>[]]
    await database.transaction(async sql => {
      await lockAccounts(sql, ['p3', 'p2'])
      waiting = [2, 3].map(n => ask(`p${n}`, n).finally(() => void (answered += 1)))
      for (let n = 10; n < 20; n++) equal(await ask('p1', n), 20_000)
      equal(answered, 0)
      await lockAccounts(sql, ['p1'])
      waiting.push(ask('p1', 1))
    })
    equal(await Promise.all(waiting), [20_000, 20_000, 20_000])
    await credit.stop()
  })

  it('at the bound of those that wait a call is refused honestly', async () => {
    const { credit } = await opened(creditBook(), '1', { group: { waitingMax: 2, gatherMs: 50 } })
    equal((await Promise.all([1, 2, 3].map(n => credit.ask(n)))).map(ms), [60_000, 60_000, 'unavailable'])
  })
})

describe('many at once', () => {
  it('COM-03 hundreds of calls at one account never hold more than is left', async () => {
    const at = await opened(creditBook('model: prepaid, credit: { quantumSeconds: 10 }'), '1')
    const verdicts = (await Promise.all(Array.from({ length: 400 }, (_, n) => at.credit.ask(n + 1)))).map(ms)
    // 11 s each: 90 calls of 0.011, and the last of what is left.
    equal(verdicts.filter(verdict => verdict === 10_000).length, 90)
    equal(
      verdicts.slice(0, 90).every(verdict => verdict === 10_000),
      true
    )
    equal(verdicts.filter(verdict => verdict === 'no-credit').length, 309)
    equal(await micros(at), { balance: 1_000_000n, reserved: 1_000_000n, ledger: 1_000_000n })
  })

  it.each([
    [20, 60, 4],
    [200, 300, 1]
  ])(
    'COM-03 random calls of three hubs at %s accounts, %s at once, and their records: never overspent',
    async (accounts, calls, rounds) => {
      const draw = mulberry32(seedFromEnvironment)
      const ids = Array.from({ length: accounts }, (_, n) => `p${n}`)
      const book = manyAccounts(ids)
      const database = await postgres.fresh(clearingMigrations, 8)
      const hubs = [1, 2, 3].map(n => creditAt(database, book, { node: `node-${n}` }))
      for (const hub of hubs) await hub.start()
      await database.transaction(async sql => {
        for (const id of ids) {
          const given = { agreement: agreementOf(book, id), reference: 'first', reason: '', by: 'test', day: today }
          await topUp(sql, { ...given, micros: BigInt(50_000 * (1 + draw(6))) })
        }
      })
      let n = 0
      const call = async (): Promise<void> => {
        const number = ++n
        const hub = hubs[draw(3)]!
        const agreementId = ids[draw(ids.length)]!
        const terms = { ingressAgreementId: agreementId, egressAgreementId: 'buy', legs: null, prepaid: true }
        const asked = {
          fromPeerId: agreementId,
          toPeerId: 'operator',
          service: 'voice' as const,
          rn: null,
          calling: null,
          called: 'tel:+4989200',
          at: hub.clock.at
        }
        const first = await hub.reserve(uuid(number) as never, 1, { ...terms, onCreditSilence: 'continue' }, asked)
        if (first === null || typeof first === 'string') return
        let [used, granted] = [0, first.reservedMs]
        for (let more = draw(3); more > 0; more--) {
          used = granted - 1
          const next = await hub.refresh(idOf(number), used)
          if (next === 'no-credit') break
          granted = used + next.reservedMs
        }
        const end = draw(granted + 1)
        if (draw(5) > 0) await hub.settle(idOf(number), end)
        const over = end === 0 ? failedCall : { duration_ms: end, units: Math.ceil(end / 1_000) }
        if (draw(4) > 0) await charge({ database }, book, number, { ...over, provider: agreementId })
      }
      for (let round = 0; round < rounds; round++) {
        await Promise.all(Array.from({ length: calls }, call))
        equal(await overspent(database), [])
      }
      const { rows } = await database.query<{ debits: bigint }>(
        "select count(*) as debits from credit_movement where kind = 'debit'"
      )
      ok((rows[0]?.debits ?? 0n) > BigInt(calls / 4))
      for (const hub of hubs) await hub.stop()
    },
    60_000
  )
})

/** Accounts that hold or have spent more than they had, or say anything else than their calls, movements and the ledger. */
async function overspent(database: TestDatabase): Promise<readonly unknown[]> {
  const { rows } = await database.query(
    `select a.* from credit_account a
     left join (select agreement_id, sum(amount_micros) as held from credit_reservation group by 1) h using (agreement_id)
     left join (select agreement_id, sum(amount_micros) as moved,
         sum(amount_micros) filter (where kind = 'top-up') as paid
       from credit_movement group by 1) m using (agreement_id)
     left join (select agreement_id, sum(amount_micros) as charged from rollup where side = 'sell' group by 1) r
       using (agreement_id)
     where balance_micros < 0 or reserved_micros > balance_micros or reserved_micros <> coalesce(held, 0)
       or balance_micros <> moved or balance_micros <> paid - coalesce(charged, 0)`
  )
  return rows
}

function manyAccounts(ids: readonly string[]): AgreementBook {
  const sell = agreementOf(creditBook('model: prepaid, credit: { quantumSeconds: 20 }'))
  const agreements = ids.map(id => ({ ...sell, id, buyer: id }))
  const book = creditBook()
  return {
    ...book,
    agreements: [...agreements, agreementOf(book, 'buy')],
    between: (buyer, seller) =>
      agreements.find(agreement => agreement.buyer === buyer && seller === 'hub') ??
      (buyer === 'hub' ? agreementOf(book, 'buy') : null),
    bilateral: () => null
  }
}

describe('paid later', () => {
  const limited = 'creditLimit: "0.10", credit: { quantumSeconds: 30, warnPercent: 80 }'

  it('COM-04 what is unbilled and what calls hold stay within the limit; a payment makes room; 80 % is told once', async () => {
    const log = readableLog()
    const book = creditBook(limited)
    const at = await opened(book, '0', { log: log.log })
    const { credit } = at
    const alarms = () => log.lines.filter(({ alarm }) => alarm === 'credit-low').length
    equal([await credit.ask(1), await credit.ask(2)].map(ms), [30_000, 30_000])
    equal(alarms(), 0)
    equal([ms(await credit.ask(3)), alarms()], [30_000, 1])
    equal([ms(await credit.ask(4)), alarms()], [6_000, 1])
    equal(await credit.ask(5), 'no-credit')
    for (const n of [1, 2, 3, 4]) await charge(at, book, n, lasted(20))
    equal(await micros(at), { balance: -80_000n, reserved: 0n, ledger: -80_000n })
    const { rows } = await at.database.query("select account from balance where account not like 'revenue/%'")
    equal(rows, [{ account: 'unbilled-receivable/island' }])
    // An invoice asks for tax besides, and is paid.
    const given = { agreement: at.agreement, reference: 'INV-1', reason: '', by: 'test', day: today }
    const move = (amount: bigint, kind: 'invoice' | 'payment') =>
      at.database.transaction(sql => moveOpen(sql, { ...given, micros: amount }, kind))
    await move(-15_200n, 'invoice')
    equal(ms(await credit.ask(6)), 3_000)
    for (let n = 0; n < 2; n++) await move(95_200n, 'payment')
    equal(await micros(at), { balance: 0n, reserved: 4_000n, ledger: 0n })
    equal(
      [ms(await credit.ask(7)), ms(await credit.ask(8)), ms(await credit.ask(9)), alarms()],
      [30_000, 30_000, 30_000, 2]
    )
  })

  it('an account that is opened late begins with what was charged before', async () => {
    const before = creditBook('model: cascade')
    const database = await postgres.fresh(clearingMigrations)
    await charge({ database }, before, 1, lasted(60))
    const book = creditBook(limited)
    const credit = creditAt(database, book)
    await credit.start()
    equal(await micros({ database }), { balance: -60_000n, reserved: 0n, ledger: -60_000n })
    equal(ms(await credit.ask(2)), 30_000)
    await charge({ database }, book, 3, lasted(10))
    equal(await micros({ database }), { balance: -70_000n, reserved: 31_000n, ledger: -70_000n })
    await credit.stop()
  })

  it('the first record of a clearing process opens the account, if no hub has', async () => {
    const book = creditBook(limited)
    const database = await postgres.fresh(clearingMigrations)
    for (const n of [1, 2]) await charge({ database }, book, n, lasted(10))
    equal(await micros({ database }), { balance: -20_000n, reserved: 0n, ledger: -20_000n })
  })
})

describe('free units', () => {
  const freemium = (credit: string) => `model: freemium, freemium: { freeUnits: 100 }, ${credit}`

  it('COM-02 free units are held and used first, then nothing where nothing follows them', async () => {
    const book = creditBook(freemium('credit: { afterFree: refuse }'))
    const at = await opened(book, '0')
    const { credit } = at
    equal([await credit.ask(1), await credit.ask(2), await credit.ask(3)].map(ms), [60_000, 38_000, 'no-credit'])
    await credit.settle(idOf(1), 20_000)
    equal(ms(await credit.ask(3)), 40_000 - 0)
    await charge(at, book, 1, lasted(20))
    await charge(at, book, 2, lasted(39))
    await charge(at, book, 3, lasted(41))
    equal((await micros(at)).balance, 0n)
    const { rows } = await at.database.query('select period, used_units, reserved_units from credit_quota')
    equal(rows, [{ period: '2026-11', used_units: 100n, reserved_units: 0n }])
    equal(await credit.ask(4), 'no-credit')
    credit.clock.at = Date.parse('2026-12-01T00:00:00Z')
    equal(ms(await credit.ask(5)), 60_000)
  })

  it('COM-02 then money; who holds free units keeps them, whoever is charged first', async () => {
    const book = creditBook(freemium('credit: { paid: advance }'))
    const at = await opened(book, '0.05')
    const { credit } = at
    equal([await credit.ask(1), await credit.ask(2)].map(ms), [60_000, 60_000])
    equal((await micros(at)).reserved, 22_000n)
    await charge(at, book, 2, lasted(60))
    await charge(at, book, 1, lasted(60))
    equal(await micros(at), { balance: 29_000n, reserved: 0n, ledger: -70_000n })
    // The period priced in the order of answers: 120 s less 100 free ones. Then both say the same.
    const scope = { agreementId: 'sell', from: '2026-11-01', to: '2026-12-01', callId: null }
    for (let n = 0; n < 2; n++) {
      await rerate(at.database, book, { scope, reason: 'close', by: 'test', dryRun: false })
      equal(await micros(at), { balance: 30_000n, reserved: 0n, ledger: 30_000n })
    }
  })
})

describe('charged again', () => {
  it('a charge made again moves the account by the difference, once', async () => {
    const cheap = creditBook('model: prepaid', 'rate: "0.03"')
    const at = await opened(creditBook())
    await charge(at, creditBook(), 1, lasted(60))
    const scope = { agreementId: null, from: '2026-11-01', to: '2026-12-01', callId: null }
    for (let n = 0; n < 2; n++) {
      await rerate(at.database, cheap, { scope, reason: 'a wrong rate', by: 'test', dryRun: false })
      equal(await micros(at), { balance: 970_000n, reserved: 0n, ledger: 970_000n })
    }
    await rerate(at.database, creditBook(), { scope, reason: 'right after all', by: 'test', dryRun: false })
    equal(await micros(at), { balance: 940_000n, reserved: 0n, ledger: 940_000n })
  })
})

describe('money by hand', () => {
  it('a top-up and a correction count once by their reference, and stand in the ledger', async () => {
    const at = await opened(creditBook(), '5')
    const { database, agreement } = at
    await payIn(database, agreement, '5')
    await rejects(payIn(database, agreement, '6'), /top-up\/sell\/first was of 5.000000 before, not of 6.000000/)
    const given = { agreement, reference: 'goodwill', reason: 'a bad line', by: 'test', day: today }
    for (let n = 0; n < 2; n++) await database.transaction(sql => adjust(sql, { ...given, micros: 250_000n }))
    await database.transaction(sql => adjust(sql, { ...given, reference: 'back', micros: -50_000n }))
    equal(await micros(at), { balance: 5_200_000n, reserved: 0n, ledger: 5_200_000n })
    const { rows } = await database.query('select account, debit_micros - credit_micros as sum from balance order by 1')
    equal(rows, [
      { account: 'bank', sum: '5000000' },
      { account: 'credit-adjustment/island', sum: '200000' },
      { account: 'prepaid/island', sum: '-5200000' }
    ])
    await rejects(
      database.transaction(sql => adjust(sql, { ...given, micros: 1n, reason: ' ' })),
      /needs a reason/
    )
    await rejects(payIn(database, agreement, '1', ' '), /a reference has 1 to 100 characters/)
    await rejects(payIn(database, agreement, '-1', 'minus'), /a top-up is above zero/)
  })

  it('what is not paid in advance takes no top-up, and an agreement without an account no correction', async () => {
    const at = await opened(creditBook('creditLimit: "1"'), '0')
    await rejects(payIn(at.database, at.agreement, '1'), /is not paid in advance/)
    const given = { agreement: agreementOf(creditBook(), 'buy'), reference: 'r', reason: 'r', by: 'test', day: today }
    await rejects(
      at.database.transaction(sql => adjust(sql, { ...given, micros: 1n })),
      /has no account/
    )
  })

  it('two that pay in the same at the same moment pay it in once', async () => {
    const at = await opened(creditBook(), '0')
    await Promise.all(Array.from({ length: 4 }, () => payIn(at.database, at.agreement, '2', 'same')))
    equal(await micros(at), { balance: 2_000_000n, reserved: 0n, ledger: 2_000_000n })
  })
})
