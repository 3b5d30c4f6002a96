// A real PostgreSQL for one test file, and a fresh, migrated database in it for each test that asks.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { startEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import type { Migration } from '../../src/store/migrations.ts'

export interface TestDatabase extends Database {
  /** For openDatabase({ place: { url } }) and child processes: the owner's way in; the pool takes the service role. */
  readonly url: string
}

export interface TestPostgres {
  /** A database of its own, owned by a plain role; close it or leave that to `stop`. */
  fresh(migrations: readonly Migration[], poolMax?: number): Promise<TestDatabase>
  /** Another connection to a database that somebody has migrated, closed by `stop`. */
  open(url: string): Promise<Database>
  /** The URL of a new, empty database. */
  freshUrl(): Promise<string>
  /** One statement as the superuser, in the maintenance database. */
  administer(text: string): Promise<void>
  /** As a login of its own: for what one role may and may not do. */
  urlFor(database: string, user: string, password: string): string
  readonly pid: number
  /** Away for everybody; `back` starts it again on the same data, under the same URLs. */
  away(): Promise<void>
  back(): Promise<void>
  stop(): Promise<void>
}

const quiet = createLog('silent')
const ownerName = 'test_owner'
const ownerPassword = 'test'

/** A folder that PostgreSQL's account may pass through. */
export function openTempDir(prefix = 'isthmus-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix))
  chmodSync(folder, 0o755)
  return folder
}

/** Fast, not durable: tests of durability start the server themselves. */
const fastSettings = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'shared_buffers=16MB']

/** Once for each test file: `beforeAll(async () => { postgres = await startTestPostgres() })`. Takes about a second. */
export async function startTestPostgres(settings: readonly string[] = fastSettings): Promise<TestPostgres> {
  const folder = openTempDir('isthmus-pg-')
  const start = () => startEmbeddedPostgres({ dataDir: folder, log: quiet, settings })
  let server = await start()
  const opened: Database[] = []
  let databases = 0
  const administer = async (text: string): Promise<void> => {
    const { host, port, superuser, passwords } = server
    const client = new Client({ host, port, user: superuser, password: passwords.superuser, database: 'postgres' })
    await client.connect()
    try {
      await client.query(text)
    } finally {
      await client.end()
    }
  }
  const urlFor = (database: string, user: string, password: string): string =>
    `postgresql://${user}:${password}@/${database}?host=${encodeURIComponent(server.host)}&port=${server.port}`
  await administer(`create role ${ownerName} login createrole password '${ownerPassword}'`)
  const freshUrl = async (): Promise<string> => {
    const name = `test_${++databases}`
    await administer(`create database ${name} owner ${ownerName}`)
    return urlFor(name, ownerName, ownerPassword)
  }
  return {
    freshUrl,
    administer,
    urlFor,
    get pid() {
      return server.pid
    },
    away: () => server.stop(),
    async back() {
      server = await start()
    },
    async fresh(migrations, poolMax = 4) {
      const url = await freshUrl()
      const database = await openDatabase({ place: { url }, poolMax, migrations, log: quiet })
      opened.push(database)
      return { ...database, url }
    },
    async open(url) {
      const database = await openDatabase({ place: { url }, poolMax: 2, migrations: [], log: quiet })
      opened.push(database)
      return database
    },
    async stop() {
      for (const database of opened) await database.close()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
