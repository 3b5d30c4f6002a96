import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { openDatabase, serviceRole } from '../../src/store/database.ts'
import type { Migration } from '../../src/store/migrations.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.stop())

const table = (name: Migration['name'], table: string): Migration => ({
  name,
  sql: `create table ${table} (id int); grant select on ${table} to ${serviceRole}`
})
const one = table('a/001', 'one')
const two = table('a/002', 'two')
const other = table('b/001', 'other')

const open = async (url: string, migrations: readonly Migration[], tables: readonly string[] = []): Promise<void> => {
  const database = await openDatabase({ place: { url }, poolMax: 1, migrations, log: createLog('silent') })
  try {
    for (const name of tables) expect((await database.query(`select * from ${name}`)).rows).toEqual([])
  } finally {
    await database.close()
  }
}

describe('migrations', () => {
  it('of several processes that start together run once', async () => {
    // Alone in a new cluster: the service role does not exist yet either.
    const url = await postgres.freshUrl()
    await Promise.all([1, 2, 3, 4].map(() => open(url, [one, two], ['one', 'two'])))
  })

  it('run once each, in the order of the list', async () => {
    const url = await postgres.freshUrl()
    await open(url, [one], ['one'])
    await open(url, [one, two], ['one', 'two'])
    await open(url, [one, two], ['one', 'two'])
  })

  it('of a set that this process does not use are left alone', async () => {
    const url = await postgres.freshUrl()
    await open(url, [one, other], ['one', 'other'])
    await open(url, [one, two], ['two'])
  })

  it('leave nothing behind when one of them fails', async () => {
    const url = await postgres.freshUrl()
    const broken: Migration = { name: 'a/002', sql: 'create table broken (' }
    await expect(open(url, [one, broken])).rejects.toMatchObject({
      code: 'HUB_DATABASE'
    })
    await open(url, [one, two], ['one', 'two'])
  })

  it('refuse a changed step, a newer database, a step before an applied one, and twins', async () => {
    const url = await postgres.freshUrl()
    await open(url, [one, two])
    await expect(open(url, [one, { ...two, sql: 'select 1' }])).rejects.toThrow('"a/002" was changed')
    await expect(open(url, [one])).rejects.toThrow('"a/002" was applied by a newer version')
    await expect(open(url, [one, table('a/001b', 'between'), two])).rejects.toThrow('before "a/002" is new')
    await expect(open(url, [one, one])).rejects.toThrow('twice')
  })
})
