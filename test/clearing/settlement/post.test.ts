import { deepEqual, equal, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import type { Posting } from '../../../src/clearing/settlement/model.ts'
import { limits, postTransfers } from '../../../src/clearing/settlement/post.ts'
import { balancesOf } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

let n = 0
const posting = (over: Partial<Posting> = {}): Posting => ({
  entryId: `test/${++n}`,
  debit: 'bank',
  credit: 'receivable/island',
  amountMicros: 1_000_000n,
  currency: 'EUR',
  day: '2026-11-30',
  ...over
})
const post = (...postings: readonly Posting[]): Promise<number> =>
  database.transaction(sql => postTransfers(sql, postings))
async function balance(account: string): Promise<string> {
  const { stand, follow, sums } = await balancesOf(database)
  deepEqual(stand, follow)
  for (const sum of sums) equal((sum as { sum: string }).sum, '0')
  const { rows } = await database.query<{ sum: string }>(
    'select coalesce(sum(debit_micros - credit_micros), 0)::text as sum from balance where account = $1',
    [account]
  )
  return rows[0]?.sum ?? ''
}

describe('postings that no call made', () => {
  it('LED-01 move their balances in the same transaction, and the same one counts once', async () => {
    const [one, two] = [posting({ debit: 'a' }), posting({ debit: 'a', credit: 'b', amountMicros: 5n })]
    equal(await post(one, two), 2)
    equal(await balance('a'), '1000005')
    equal(await post(two, one, two), 0)
    equal(await post(posting({ debit: 'b', credit: 'a' }), two), 1)
    equal(await balance('a'), '5')
  })

  it('LED-01 of two that post the same at once one does', async () => {
    const same = posting({ debit: 'c' })
    const counts = await Promise.all([post(same), post(same), post(same, posting({ debit: 'c' }))])
    equal(
      counts.reduce((sum, count) => sum + count, 0),
      2
    )
    equal(await balance('c'), '2000000')
  })

  it('an entry that is there with other content is an error, and nothing of the batch stays', async () => {
    const one = posting({ debit: 'd' })
    await post(one)
    const others = [{ amountMicros: 2n }, { debit: 'x' }, { credit: 'x' }, { currency: 'USD' }, { day: '2026-12-01' }]
    for (const over of others)
      await rejects(post(posting({ debit: 'd' }), { ...one, ...over }), /is in the book with other/)
    equal(await balance('d'), '1000000')
  })

  it('what moves nothing, or too many at once, are refused', async () => {
    for (const over of [
      { amountMicros: 0n },
      { amountMicros: -1n },
      { credit: 'bank' },
      { debit: '' },
      { currency: 'euro' },
      { entryId: 'no-slash' },
      { entryId: '019a0000-0001-7000-8000-000000000001/call/1' }
    ]) {
      await rejects(post(posting(over)), /^HubError: posting /)
    }
    const many = Array.from({ length: limits.postingsMax + 1 }, () => posting())
    await rejects(post(...many), /10001 postings at once/)
    equal(await post(), 0)
  })

  it('LED-02 the service role can neither change nor delete what was closed or posted', async () => {
    const tables = ['posting', 'statement', 'statement_line', 'statement_seal', 'period_close']
    for (const table of tables) {
      await rejects(database.query(`delete from ${table}`), /permission denied/, table)
      const column = table === 'posting' ? 'debit' : 'statement_id'
      await rejects(database.query(`update ${table} set ${column} = 'x'`), /permission denied/, table)
    }
    await rejects(database.query("update statement_leaf set leaf = ''"), /permission denied/)
    await database.query('update statement_leaf set salt = null')
  })
})
