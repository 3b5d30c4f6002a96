import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { createAgreementBook, createAgreements } from '../../../src/clearing/agreements.ts'
import type { AgreementBook } from '../../../src/clearing/agreements.ts'
import { activateDeck } from '../../../src/clearing/decks/activate.ts'
import type { ActivationAsked } from '../../../src/clearing/decks/activate.ts'
import type { DeckRow } from '../../../src/clearing/decks/deck-row.ts'
import type { DeckMode } from '../../../src/clearing/decks/merge.ts'
import { activationsOf, importDeck, rowsOf, versionsOf } from '../../../src/clearing/decks/store.ts'
import { createDeckVersions } from '../../../src/clearing/decks/versions.ts'
import { postBatch } from '../../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { createNumberOf } from '../../../src/clearing/numbers.ts'
import type { AgreementConfig } from '../../../src/config.ts'
import { createLog } from '../../../src/log.ts'
import { callRecords, clearingConfig, record } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { deckRow, sheetOfRows } from '../../support/decks.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop())

const config = clearingConfig()
const sell = config.agreements[0]!
const hour = 3_600_000

interface Given {
  readonly rows: readonly DeckRow[]
  readonly mode?: DeckMode
  readonly of?: AgreementConfig
}
const take = (database: TestDatabase, { rows, mode = 'full', of = sell }: Given) =>
  importDeck(database, {
    config: of,
    sheet: sheetOfRows(rows),
    mode,
    fileName: 'deck.csv',
    fileSha256: 'abc',
    by: 'importer'
  })
const activate = (database: TestDatabase, version: number, over: Partial<ActivationAsked> = {}) =>
  activateDeck(database, {
    config: sell,
    version,
    at: null,
    by: 'activator',
    force: null,
    closedAreMeant: false,
    ...over
  })
const bookOf = (rowsMax?: number): AgreementBook =>
  createAgreementBook(
    config.agreements,
    createNumberOf(config.islands),
    createDeckVersions(config.agreements, rowsMax === undefined ? undefined : { rowsMax })
  )
const fresh = (): Promise<TestDatabase> => postgres.fresh(clearingMigrations)

describe('a stored deck', () => {
  it('RATE-03 is a version of its own that prices nothing before it is activated', async () => {
    const database = await fresh()
    const first = await take(database, {
      rows: [deckRow('+49', '0.03'), deckRow('+33', '0.02', { origin: 'unknown' })]
    })
    deepEqual([first.version, first.baseVersion, first.rows], [1, 0, 2])
    deepEqual(first.diff.counts.decrease, 1)
    deepEqual(await activationsOf(database), [])
    const second = await take(database, { rows: [deckRow('+49', '0.03')] })
    deepEqual([second.version, second.baseVersion], [2, 0])
    const stored = await database.transaction(sql => rowsOf(sql, 'sell', 1))
    deepEqual(stored, [deckRow('+49', '0.03'), deckRow('+33', '0.02', { origin: 'unknown' })])
    deepEqual(
      (await versionsOf(database, 'sell')).map(({ version, mode, rows, importedBy }) => [
        version,
        mode,
        rows,
        importedBy
      ]),
      [
        [1, 'full', 2, 'importer'],
        [2, 'full', 1, 'importer']
      ]
    )
  })

  it('takes over from the version in force what a partial sheet leaves out', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.03'), deckRow('+33', '0.02')] })
    await activate(database, 1)
    const { version, baseVersion, rows } = await take(database, { rows: [deckRow('+33', '0.01')], mode: 'partial' })
    deepEqual([version, baseVersion, rows], [2, 1, 2])
    const plain = await take(database, { rows: [deckRow('+49', '0.01')], mode: 'full' })
    equal(plain.diff.closedCodes, 1)
  })

  it('takes over the rates of the configuration, but not those with time bands of their own', async () => {
    const database = await fresh()
    equal((await take(database, { rows: [deckRow('+33', '0.01')], mode: 'partial' })).rows, 2)
    const banded = clearingConfig(`
agreements: [{ id: sell, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: d, rate: "1",
  bands: [{ days: [mon], from: "00:00", to: "12:00", rate: "2" }] }] }]`).agreements[0]!
    await rejects(
      take(database, { rows: [deckRow('+33', '1')], mode: 'partial', of: banded }),
      /has time bands of its own/
    )
    equal((await take(database, { rows: [deckRow('+33', '1')], of: banded })).rows, 1)
  })

  it('is there as a whole or not at all: kill -9 in the import leaves nothing', async () => {
    const database = await fresh()
    const script = fileURLToPath(new URL('../../support/deck-import-child.ts', import.meta.url))
    const child = spawn(process.execPath, [script, database.url], { stdio: 'ignore' })
    deepEqual([...(await once(child, 'exit'))], [null, 'SIGKILL'])
    deepEqual(await versionsOf(database), [])
    deepEqual((await database.query('select count(*) as rows from deck_row')).rows, [{ rows: 0n }])
    equal((await take(database, { rows: [deckRow('+49', '0.01')] })).version, 1)
  })

  it('LED-03 cannot be changed or deleted by the role of the running hub', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.01')] })
    for (const table of ['deck_version', 'deck_row', 'deck_activation', 'recharge']) {
      await rejects(database.query(`delete from ${table}`), /permission denied/)
    }
    await rejects(database.query('update deck_row set rate_nanos = 0'), /permission denied/)
  })
})

describe('an activation', () => {
  it('RATE-02 refuses an increase without notice, unless forced with a reason that is kept', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.05')] })
    await rejects(activate(database, 1), /1 increase without 7 days of notice[^]*\+49 from 0\.0345 to 0\.05/)
    await activate(database, 1, { force: 'agreed on the phone' })
    const [activation] = await activationsOf(database)
    deepEqual([activation?.activatedBy, activation?.forcedReason], ['activator', 'agreed on the phone'])
  })

  it('RATE-02 takes an increase that begins after its notice', async () => {
    const database = await fresh()
    const effectiveFrom = Date.now() + 8 * 24 * hour
    await take(database, { rows: [deckRow('+49', '0.05', { effectiveFrom })] })
    equal((await activate(database, 1)).replaces, 0)
  })

  it('SET-10 needs a confirmation where more than 5 % of the codes are closed', async () => {
    const database = await fresh()
    const many = Array.from({ length: 20 }, (_, n) => deckRow(`+49${100 + n}`, '0.01'))
    await take(database, { rows: [deckRow('+49', '0.01'), ...many] })
    await activate(database, 1)
    await take(database, { rows: [deckRow('+49', '0.01'), ...many.slice(1)] })
    await activate(database, 2)
    await take(database, { rows: [deckRow('+49', '0.01')] })
    await rejects(activate(database, 3), /closes 19 of 20 codes, more than 5 %/)
    await activate(database, 3, { closedAreMeant: true })
  })

  it('refuses a version that is not there, one made from another base, and a moment that has passed', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.01')] })
    await take(database, { rows: [deckRow('+49', '0.02')] })
    await rejects(activate(database, 7), /there is no version 7/)
    await rejects(activate(database, 1, { at: Date.now() - hour }), /has passed/)
    await activate(database, 1)
    await rejects(activate(database, 2), /version 2 was imported against version 0, but version 1 is in force then/)
  })

  it('an older version can come back, and what begins later still does', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.02')] })
    await activate(database, 1)
    await take(database, { rows: [deckRow('+49', '0.01')] })
    const at = Date.now() + hour
    await activate(database, 2, { at })
    deepEqual((await activate(database, 1)).later, [2])
    deepEqual(
      (await activationsOf(database)).map(({ version }) => version),
      [1, 1, 2]
    )
  })
})

describe('rating by versions', () => {
  const post = async (database: TestDatabase, book: AgreementBook, after: bigint, records: readonly unknown[]) =>
    database.transaction(sql => postBatch(sql, { topic: 't', after, position: after + 1n, records }, book))
  const rateIds = async (database: TestDatabase): Promise<readonly unknown[]> =>
    (await database.query<{ rate_id: string }>('select rate_id from charge order by cdr_id')).rows.map(
      row => row.rate_id
    )

  it('RATE-01 a call is priced by the version in force at its answer, whatever is activated while it lasts', async () => {
    const database = await fresh()
    const book = bookOf()
    const now = Date.now()
    const call = (seq: number, t_answer: number): unknown =>
      record({
        seq,
        call_id: record({ seq: seq + 100 }).cdr_id,
        t_request: t_answer - 1,
        t_answer,
        t_end: t_answer + 9
      })
    await post(database, book, 0n, [call(1, now)])
    await take(database, { rows: [deckRow('+49', '0.03')] })
    const { from } = await activate(database, 1, { at: now + hour })
    await take(database, { rows: [deckRow('+49', '0.02')] })
    await activate(database, 1, { at: now + 2 * hour })
    // The same book, in the same running consumer.
    await post(database, book, 1n, [call(2, from - 1), call(3, from), call(4, now + 3 * hour), call(5, now)])
    deepEqual(await rateIds(database), [
      'sell/+49/2020-01-01T00:00:00.000Z',
      'sell/+49/2020-01-01T00:00:00.000Z',
      'sell/v1/+49',
      'sell/v1/+49',
      'sell/+49/2020-01-01T00:00:00.000Z'
    ])
  })

  it('reads old versions again when they are needed, and keeps no more rows than its bound', async () => {
    const database = await fresh()
    const start = Date.now() + hour
    for (const version of [1, 2, 3]) {
      const codes = Array.from({ length: 10 }, (_, n) => deckRow(`+49${n}`, `0.0${9 - version}`))
      await take(database, { rows: [deckRow('+49', `0.0${9 - version}`), ...codes] })
      await database.query(
        "insert into deck_activation (agreement_id, version, in_force_from, activated_by) values ('sell', $1, $2, 't')",
        [version, new Date(start + version * hour)]
      )
    }
    const book = bookOf(12)
    const versionOf = async (at: number): Promise<number | undefined> => {
      await database.transaction(sql => book.prepare(sql, [at]))
      return book.rowOf(book.agreements[0]!, { number: '+49300', calling: null, at })?.version
    }
    for (const version of [3, 1, 2, 3, 2, 1]) equal(await versionOf(start + version * hour + 1), version)
    equal(await versionOf(start), 0)
    const moments = [1, 2, 3].map(version => start + version * hour)
    await database.transaction(sql => book.prepare(sql, moments))
    deepEqual(
      moments.map(at => book.rowOf(book.agreements[0]!, { number: '+49300', calling: null, at })?.version),
      [1, 2, 3]
    )
  })

  it('an activation waits for a batch under way, so that none of its calls is priced by the wrong version', async () => {
    const database = await fresh()
    await take(database, { rows: [deckRow('+49', '0.03')] })
    const book = bookOf()
    let activated = false
    let activation: Promise<unknown> = Promise.resolve()
    const answered = await database.transaction(async sql => {
      await book.prepare(sql, [Date.now()])
      activation = activate(database, 1).then(done => {
        activated = true
        return done
      })
      // What the activation would have to wait for, seen from the server.
      for (;;) {
        const { count } = await sql.query("select 1 from pg_locks where locktype = 'advisory' and not granted")
        if (count > 0) break
      }
      equal(activated, false)
      return Date.now()
    })
    const { from } = (await activation) as { readonly from: number }
    ok(from >= answered)
  })

  it('who asks before ringing sees an activation of another process', async () => {
    const database = await fresh()
    const decks = createDeckVersions(config.agreements)
    const waiting: (() => void)[] = []
    const clock = {
      now: () => Date.now(),
      after: (_ms: number, run: () => void) => {
        waiting.push(run)
        return () => undefined
      }
    }
    await decks.start(database, clock, createLog('silent'))
    const book = createAgreementBook(config.agreements, createNumberOf(config.islands), decks)
    const terms = () =>
      createAgreements(book, id => id).terms({
        fromPeerId: 'island',
        toPeerId: 'operator',
        service: 'voice',
        called: 'tel:+4989200',
        rn: null,
        calling: null,
        at: Date.now()
      })
    ok(typeof (await terms()) === 'object')
    await take(database, { rows: [deckRow('+49', '0.03', { blocked: true })] })
    await activate(database, 1)
    ok(typeof (await terms()) === 'object')
    waiting.shift()?.()
    for (let n = 0; waiting.length === 0 && n < 3_000; n++) await database.query('select 1')
    equal(await terms(), 'no-rate')
    decks.stop()
  })

  it('R10 a call that costs the hub more than it brings is an alarm, in whichever order its sides come', async () => {
    const database = await fresh()
    const dear = clearingConfig(`
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: d, rate: "0.0345" }] }
  - { id: buy, buyer: hub, seller: operator,
      rates: [{ prefix: "+49", destination: d, rate: "0.0300", initialSeconds: 60, nextSeconds: 60 }] }`)
    const book = createAgreementBook(dear.agreements, createNumberOf(dear.islands))
    const [a, b] = [callRecords(1, { duration_ms: 125_300 }), callRecords(2, { duration_ms: 125_300 })]
    const fine = callRecords(3, { duration_ms: 60_000 })
    const posted = await post(database, book, 0n, [...a, b[1], ...fine])
    equal(posted?.losses, 1)
    equal((await post(database, book, 1n, [b[0]]))?.losses, 1)
    const { rows } = await database.query('select sell_micros, buy_micros, currency from margin_alarm')
    const loss = { sell_micros: 72_450n, buy_micros: 90_000n, currency: 'EUR' }
    deepEqual(rows, [loss, loss])
  })
})
