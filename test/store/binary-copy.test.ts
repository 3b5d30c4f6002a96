import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { binaryRows } from '../../src/store/binary-copy.ts'
import type { CopyTable, CopyValue } from '../../src/store/binary-copy.ts'
import type { Database } from '../../src/store/database.ts'
import { sqlStateOf } from '../../src/store/sql.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'

const every: CopyTable = {
  name: 'every',
  columns: [
    ['id', 'uuid'],
    ['words', 'text'],
    ['n', 'bigint'],
    ['at', 'time'],
    ['day', 'day'],
    ['yes', 'boolean'],
    ['doc', 'json'],
    ['raw', 'bytes']
  ]
}
const id = '019a0000-0001-7000-8000-0000000000ff'
const table = `create table every (id uuid primary key, words text, n bigint, at timestamptz, day date, yes boolean,
  doc jsonb, raw bytea); grant select, insert on every to isthmus_service`

let postgres: TestPostgres
let database: Database
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh([{ name: 'copy/001', sql: table }])
})
afterAll(() => postgres.stop())

const back = async (where: string): Promise<readonly unknown[]> =>
  (
    await database.query(
      `select id, words, n, extract(epoch from at)::text as at, day::text, yes, doc, raw from every where ${where} order by id`
    )
  ).rows

describe('rows in binary', () => {
  it('come out of the database as they went in, and absent values as null', async () => {
    await database.copy(every, [
      [
        id,
        'half \ud800, NUL \0, tab \t, ü, 日本, 😀',
        2n ** 63n - 1n,
        951_782_400_123,
        '2026-02-28',
        true,
        '{"a":[1]}',
        Buffer.from([0, 255, 10])
      ],
      [id.replace('ff', 'fe'), '', -5, Date.UTC(1999), '1999-12-31', false, 'null', new Uint8Array()],
      [id.replace('ff', 'fd'), null, Number.MAX_SAFE_INTEGER, null, null, null, null, null]
    ])
    deepEqual(await back('true'), [
      {
        id: id.replace('ff', 'fd'),
        words: null,
        n: 2n ** 53n - 1n,
        at: null,
        day: null,
        yes: null,
        doc: null,
        raw: null
      },
      {
        id: id.replace('ff', 'fe'),
        words: '',
        n: -5n,
        at: '915148800.000000',
        day: '1999-12-31',
        yes: false,
        doc: null,
        raw: Buffer.alloc(0)
      },
      {
        id,
        words: 'half \ufffd, NUL \ufffd, tab \t, ü, 日本, 😀',
        n: 2n ** 63n - 1n,
        at: '951782400.123000',
        day: '2026-02-28',
        yes: true,
        doc: { a: [1] },
        raw: Buffer.from([0, 255, 10])
      }
    ])
  })

  it('texts are the same bytes whatever stands where in them, and ids in any spelling', () => {
    const lengths = [0, 1, 63, 64, 65, 200]
    const texts = lengths.flatMap(length =>
      ['', 'ü', '\0', '😀', '\ud800'].flatMap(odd => [odd + 'x'.repeat(length), 'x'.repeat(length) + odd, `x${odd}y`])
    )
    for (const text of texts) {
      const expected = Buffer.from(text.replaceAll('\0', '\ufffd'))
      const bytes = binaryRows({ name: 't', columns: [['c', 'text']] }, [[text]])
      // After the header and the number of columns; before the trailer.
      equal(bytes.readInt32BE(21), expected.length)
      deepEqual(bytes.subarray(25, -2), expected)
    }
    for (const spelt of [id, id.toUpperCase(), id.replaceAll('-', '')]) {
      const bytes = binaryRows({ name: 't', columns: [['c', 'uuid']] }, [[spelt]])
      equal(bytes.subarray(25, -2).toString('hex'), id.replaceAll('-', ''))
    }
  })

  it('more than one piece of the connection, and none at all, are taken', async () => {
    const rows = Array.from({ length: 5_000 }, (_, n): readonly CopyValue[] => [
      `019b0000-0000-7000-8000-${String(n).padStart(12, '0')}`,
      'x'.repeat(n % 400)
    ])
    await database.copy({ name: 'every', columns: every.columns.slice(0, 2) }, rows)
    await database.copy(every, [])
    const { rows: found } = await database.query(
      "select count(*), sum(length(words)) as chars from every where id::text like '019b%'"
    )
    deepEqual(found, [{ count: 5_000n, chars: BigInt(rows.reduce((sum, row) => sum + String(row[1]).length, 0)) }])
  })

  it('what the server refuses rolls back with its state, and the connection serves on', async () => {
    const taken: readonly CopyValue[] = [id.replace('ff', 'aa'), 'once']
    const two = { name: 'every', columns: every.columns.slice(0, 2) }
    await rejects(database.copy(two, [taken, taken]), (error: unknown) => sqlStateOf(error) === '23505')
    deepEqual(await back(`id = '${id.replace('ff', 'aa')}'`), [])
    await rejects(database.copy({ ...two, name: 'nowhere' }, []), (error: unknown) => sqlStateOf(error) === '42P01')
    await database.copy(two, [taken])
    equal((await back(`id = '${id.replace('ff', 'aa')}'`)).length, 1)
  })

  it.each([
    ['uuid', 'no uuid'],
    ['uuid', '019a'],
    ['uuid', `${id}00`],
    ['uuid', id.replace('9', 'ü')],
    ['uuid', id.slice(0, -1)],
    ['bigint', 1.5],
    ['bigint', '1'],
    ['time', 2 ** 60],
    ['day', 'yesterday'],
    ['boolean', 1],
    ['text', 1],
    ['json', 1],
    ['bytes', 'text']
  ] as const)('a %s cannot hold %j', (type, value) => {
    throws(() => binaryRows({ name: 't', columns: [['c', type]] }, [[value]]), RangeError)
  })
})
