import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { HubError } from '../../src/errors.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase, serviceRole } from '../../src/store/database.ts'
import type { Migration } from '../../src/store/migrations.ts'
import { isPostgres } from '../../src/store/postmaster.ts'
import { sqlStateOf } from '../../src/store/sql.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually } from '../support/until.ts'

const log = createLog('silent')
const ledger: Migration = {
  name: 'test/001-ledger',
  sql: `create table entry (id bigint primary key, amount numeric(20, 9) not null);
    grant select, insert on entry to ${serviceRole};`
}

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.stop())

const failure = async (work: Promise<unknown>): Promise<HubError> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown
  )
  expect(error).toBeInstanceOf(HubError)
  return error as HubError
}

describe('the database', () => {
  it('gives bigint as BigInt and numeric as text, beyond what a double holds', async () => {
    const database = await postgres.fresh([ledger])
    await database.query('insert into entry values ($1, $2)', [9_007_199_254_740_993n, '12345678901.000000001'])
    const { rows } = await database.query('select id, amount, array[id] as ids from entry')
    expect(rows).toEqual([
      { id: 9_007_199_254_740_993n, amount: '12345678901.000000001', ids: [9_007_199_254_740_993n] }
    ])
  })

  it('serves a role that is neither owner nor superuser: no update, no delete, no truncate, no drop', async () => {
    const database = await postgres.fresh([ledger])
    await database.query('insert into entry values (1, 1)')
    const statements = ['update entry set amount = 2', 'delete from entry', 'truncate entry', 'drop table entry']
    for (const statement of statements) {
      expect(sqlStateOf(await failure(database.query(statement)))).toBe('42501')
    }
    const { rows } = await database.query(
      'select current_user as role, rolsuper from pg_roles where rolname = current_user'
    )
    expect(rows).toEqual([{ role: serviceRole, rolsuper: false }])
  })

  it('commits a transaction whole or not at all', async () => {
    const database = await postgres.fresh([ledger])
    await database.transaction(sql => sql.query('insert into entry values (1, 1)'))
    const boom = new Error('boom')
    const thrown = await database
      .transaction(async sql => {
        await sql.query('insert into entry values (2, 2)')
        throw boom
      })
      .catch((error: unknown) => error)
    expect(thrown).toBe(boom)
    expect((await database.query('select id from entry')).rows).toEqual([{ id: 1n }])
  })

  it('says of an error whether trying again makes sense', async () => {
    const database = await postgres.fresh([ledger])
    await database.query('insert into entry values (1, 1)')
    const twice = await failure(database.query('insert into entry values (1, 1)'))
    expect(twice).toMatchObject({
      code: 'HUB_DATABASE',
      retryable: false,
      facts: { sqlState: '23505', constraint: 'entry_pkey' }
    })
    const cut = await failure(
      database.transaction(async sql => {
        const { rows } = await sql.query<{ pid: number }>('select pg_backend_pid() as pid')
        await postgres.administer(`select pg_terminate_backend(${rows[0]?.pid})`)
        await sql.query('select 1')
      })
    )
    expect(cut).toMatchObject({ code: 'HUB_DATABASE', retryable: true })
    expect((await database.query('select id from entry')).count).toBe(1)
  })

  it('bounds what waits for a connection', async () => {
    const database = await postgres.fresh([], 1)
    const many = Array.from({ length: 1_100 }, () =>
      database.query('select 1').then(
        () => null,
        (error: unknown) => error
      )
    )
    const errors = (await Promise.all(many)).filter(answer => answer !== null)
    expect(errors).toHaveLength(99)
    expect(errors[0]).toMatchObject({ code: 'HUB_DATABASE', retryable: true })
  })

  it('closes once, after what is under way', async () => {
    const database = await postgres.fresh([ledger])
    const slow = database.query('select pg_sleep(0.1)')
    await Promise.all([database.close(), database.close()])
    expect((await slow).count).toBe(1)
    await failure(database.query('select 1'))
  })
})

describe('a connection that PostgreSQL ends', () => {
  const open = async () => {
    const lines: Readonly<Record<string, unknown>>[] = []
    const listening = createLog('warn', { write: line => void lines.push(JSON.parse(line) as never) })
    const url = await postgres.freshUrl()
    const database = await openDatabase({ place: { url }, poolMax: 1, migrations: [], log: listening })
    const { rows } = await database.query<{ pid: number }>('select pg_backend_pid() as pid')
    return { database, lines, pid: rows[0]?.pid ?? 0 }
  }

  it('while nobody uses it is one line that says why, without what the connection knows, and the next one serves', async () => {
    const { database, lines, pid } = await open()
    await postgres.administer(`select pg_terminate_backend(${pid})`)
    const line = await eventually('it is said', () => lines[0])
    expect(line).toEqual({
      level: 40,
      time: expect.any(Number),
      reason: 'terminating connection due to administrator command',
      msg: 'an idle database connection was lost'
    })
    expect((await database.query('select 1')).count).toBe(1)
    await database.close()
    expect(lines).toHaveLength(1)
  })

  it('while we close it is nothing to say', async () => {
    const { database, lines, pid } = await open()
    // It cannot hear that we leave before it is told to end.
    process.kill(pid, 'SIGSTOP')
    const closed = database.close()
    process.kill(pid, 'SIGTERM')
    process.kill(pid, 'SIGCONT')
    await closed
    await eventually('the server has ended it', () => (isPostgres(pid) ? undefined : true))
    await postgres.administer('select 1')
    expect(lines).toEqual([])
  })
})

describe('a database named by its URL', () => {
  it('must be a PostgreSQL URL', async () => {
    const error = await failure(openDatabase({ place: { url: 'mysql://x' }, poolMax: 1, migrations: [], log }))
    expect(error.message).toContain('postgresql://user:password@host:5432/database')
  })

  const unreadable = ['127.0.0.1:5x/x', '[::1/x', 'localhost/x?sslrootcert=/no/such/file']
  for (const url of unreadable.map(rest => `postgresql://a:geheim@${rest}`)) {
    it(`that cannot be used is said so, and its password is not: ${url}`, async () => {
      const error = await failure(openDatabase({ place: { url }, poolMax: 1, migrations: [], log }))
      expect(error.message).toMatch(/^DATABASE_URL /)
      expect(inspect(error, { depth: 9 })).not.toMatch(/geheim/)
    })
  }

  it('that nobody serves is a clear, retryable error', async () => {
    const url = 'postgresql://a:b@127.0.0.1:1/x'
    const error = await failure(openDatabase({ place: { url }, poolMax: 1, migrations: [], log }))
    expect(error).toMatchObject({ code: 'HUB_DATABASE', retryable: true })
    expect(error.message).toContain('127.0.0.1:1')
  })

  it('whose user may not create roles says what an administrator has to run', async () => {
    await postgres.fresh([])
    await postgres.administer("create role plain login password 'p'")
    await postgres.administer('create database plain owner plain')
    const url = postgres.urlFor('plain', 'plain', 'p')
    const error = await failure(openDatabase({ place: { url }, poolMax: 1, migrations: [], log }))
    expect(error.message).toContain(`CREATE ROLE ${serviceRole} NOLOGIN; GRANT ${serviceRole} TO "plain";`)
    await postgres.administer(`grant ${serviceRole} to plain`)
    const database = await openDatabase({ place: { url }, poolMax: 1, migrations: [ledger], log })
    expect((await database.query('select current_user as role')).rows).toEqual([{ role: serviceRole }])
    await database.close()
  })
})
