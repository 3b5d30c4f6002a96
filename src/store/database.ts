// The database of the hub: a server named by its URL, or the embedded one. Migrated by its owner, used by a role that
// is neither owner nor superuser (LED-03).

import { Client, escapeIdentifier, Pool } from 'pg'
import type { ClientBase, ClientConfig, QueryResult } from 'pg'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { copyRows } from './copy.ts'
import { runningEmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'
import type { EmbeddedAccess, EmbeddedPostgres } from './embedded-postgres.ts'
import { migrate, schemaLock } from './migrations.ts'
import type { Migration } from './migrations.ts'
import { exactTypes, sqlError } from './sql.ts'
import type { Result, Sql } from './sql.ts'

export const databaseLimits = {
  /** To connect, and to wait for a free connection. */
  connectMs: 10_000,
  /** Of one statement. */
  statementMs: 120_000,
  idleMs: 30_000,
  /** How long `close` waits for statements under way. */
  closeMs: 15_000,
  /** Statements and transactions that wait for a connection. */
  waitingMax: 1_000
} as const

/** Grants in migrations go to this role. */
export const serviceRole = 'isthmus_service'
const ownerRole = 'isthmus_owner'
const databaseName = 'isthmus'

/** `url`: a server; `dataDir`: our own. `join`: where another process runs the embedded server, use it there. */
export type DatabasePlace = { readonly url: string } | { readonly dataDir: string; readonly join?: boolean }

export interface DatabaseOptions {
  readonly place: DatabasePlace
  readonly poolMax: number
  readonly migrations: readonly Migration[]
  readonly log: Logger
  /** Settings of the embedded server, `name=value`. */
  readonly settings?: readonly string[]
}

export interface Database extends Sql {
  /** Commits when `work` is done, rolls back when it throws, and then throws the same. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** Waits for what is under way, for a bounded time, then stops the embedded server, if that is ours. */
  close(): Promise<void>
}

/** Connects, migrates, and hands out the service role's connections. Throws HUB_DATABASE. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { place } = options
  if ('url' in place) return connect(accessByUrl(place.url), options, null)
  const joined = place.join === true ? runningEmbeddedPostgres(place.dataDir) : null
  if (joined !== null) return connect(accessByName(joined), options, null)
  const { log, settings = [] } = options
  const server = await startEmbeddedPostgres({ dataDir: place.dataDir, log, settings })
  try {
    await prepareEmbedded(server)
    return await connect(accessByName(server), options, server)
  } catch (error) {
    await server.stop()
    throw error
  }
}

interface Access {
  readonly owner: ClientConfig
  readonly service: ClientConfig
  /** The role that service connections take on; null where they log in as it. */
  readonly role: string | null
}

const base = {
  types: exactTypes,
  connectionTimeoutMillis: databaseLimits.connectMs,
  statement_timeout: databaseLimits.statementMs,
  application_name: 'isthmus',
  keepAlive: true
} as const

function accessByUrl(url: string): Access {
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new HubError('HUB_DATABASE', 'DATABASE_URL does not look like postgresql://user:password@host:5432/database')
  }
  const config = { ...base, connectionString: url }
  try {
    // Nothing connects yet; the parts of the URL are read.
    void new Client(config)
  } catch (error) {
    throw new HubError('HUB_DATABASE', `DATABASE_URL cannot be used: ${messageOf(error)}`)
  }
  return { owner: config, service: config, role: serviceRole }
}

function accessByName({ host, port, passwords }: EmbeddedAccess): Access {
  const config = { ...base, host, port, database: databaseName }
  return {
    owner: { ...config, user: ownerRole, password: passwords.owner },
    service: { ...config, user: serviceRole, password: passwords.service },
    role: null
  }
}

async function withClient<T>(config: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(config)
  // A connection that breaks while nothing is asked of it must not end the process; the next statement tells.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    throw sqlError(error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** The roles and the database of a new embedded server; the same again changes nothing. */
async function prepareEmbedded({ host, port, superuser, passwords }: EmbeddedPostgres): Promise<void> {
  const config = { ...base, host, port, user: superuser, password: passwords.superuser, database: 'postgres' }
  await withClient(config, async client => {
    for (const [role, password] of [
      [ownerRole, passwords.owner],
      [serviceRole, passwords.service]
    ] as const) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
      const verb = rowCount === 0 ? 'create' : 'alter'
      await client.query(`${verb} role ${role} login password ${client.escapeLiteral(password)}`)
    }
    const { rowCount } = await client.query('select from pg_database where datname = $1', [databaseName])
    if (rowCount === 0) await client.query(`create database ${databaseName} owner ${ownerRole}`)
  })
}

async function connect(access: Access, options: DatabaseOptions, server: EmbeddedPostgres | null): Promise<Database> {
  const { migrations, poolMax, log } = options
  await withClient(access.owner, async client => {
    const sql = sqlOf(client)
    // Held until this connection ends.
    await sql.query('select pg_advisory_lock($1)', [schemaLock])
    if (access.role !== null) await requireRole(sql, access.role)
    const taken = await inTransaction(sql, () => migrate(sql, migrations))
    if (taken.length > 0) log.info({ migrations: taken }, 'database schema migrated')
  })
  const { role, service } = access
  const pool = new Pool({ ...service, max: poolMax, idleTimeoutMillis: databaseLimits.idleMs })
  return databaseOf(pool, role, server, log)
}

/** Creates the role where the URL's user may; says what to do where not. */
async function requireRole(sql: Sql, role: string): Promise<void> {
  const ready = "select 1 from pg_roles where rolname = $1 and pg_has_role(current_user, oid, 'member')"
  if ((await sql.query(ready, [role])).count > 0) return
  try {
    const { count } = await sql.query('select 1 from pg_roles where rolname = $1', [role])
    if (count === 0) await sql.query(`create role ${role} nologin`)
    await sql.query(`grant ${role} to current_user`)
  } catch (cause) {
    if ((await sql.query(ready, [role])).count > 0) return
    const { rows } = await sql.query<{ user: string }>('select current_user as "user"')
    const user = escapeIdentifier(rows[0]?.user ?? '')
    const remedy = `CREATE ROLE ${role} NOLOGIN; GRANT ${role} TO ${user};`
    const why = `the database role ${role} is missing and cannot be created (${messageOf(cause)})`
    throw new HubError('HUB_DATABASE', `${why}; let an administrator run: ${remedy}`, { cause })
  }
}

function sqlOf(client: ClientBase): Sql {
  return {
    async query<Row>(text: string, values?: readonly unknown[]): Promise<Result<Row>> {
      try {
        // Without values pg takes several statements; it answers with a result for each of them.
        const answer: unknown = await (values === undefined ? client.query(text) : client.query(text, [...values]))
        const { rows, rowCount } = (Array.isArray(answer) ? answer.at(-1) : answer) as QueryResult
        return { rows: rows as Row[], count: rowCount ?? 0 }
      } catch (error) {
        throw sqlError(error)
      }
    },
    async copy(table, rows) {
      try {
        await copyRows(client, table, rows)
      } catch (error) {
        throw error instanceof RangeError ? error : sqlError(error)
      }
    }
  }
}

async function inTransaction<T>(sql: Sql, work: (sql: Sql) => Promise<T>): Promise<T> {
  await sql.query('begin')
  try {
    const result = await work(sql)
    await sql.query('commit')
    return result
  } catch (error) {
    await sql.query('rollback').catch(() => undefined)
    throw error
  }
}

function databaseOf(pool: Pool, role: string | null, server: EmbeddedPostgres | null, log: Logger): Database {
  const prepared = new WeakSet<ClientBase>()
  const borrow = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
    if (pool.waitingCount >= databaseLimits.waitingMax) {
      throw new HubError('HUB_DATABASE', 'too many statements wait for the database', { retryable: true })
    }
    const client = await pool.connect().catch((error: unknown) => {
      throw sqlError(error)
    })
    let broken = false
    const onError = (): void => void (broken = true)
    client.on('error', onError)
    try {
      const sql = sqlOf(client)
      if (role !== null && !prepared.has(client)) {
        await sql.query(`set role ${role}`)
        prepared.add(client)
      }
      return await work(sql)
    } catch (error) {
      // A connection in doubt is not given to anybody else.
      broken ||= error instanceof HubError && error.retryable
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }
  let closed: Promise<void> | null = null
  pool.on('error', error => {
    // A server that stops may end connections before it hears that they end.
    if (closed === null) log.warn({ reason: messageOf(error) }, 'an idle database connection was lost')
  })
  return {
    query: (text, values) => borrow(sql => sql.query(text, values)),
    copy: (table, rows) => borrow(sql => sql.copy(table, rows)),
    transaction: work => borrow(sql => inTransaction(sql, work)),
    close: () => {
      closed ??= Promise.race([pool.end(), patience()]).then(() => server?.stop())
      return closed
    }
  }
}

const patience = (): Promise<void> =>
  new Promise(resolve => {
    setTimeout(resolve, databaseLimits.closeMs).unref()
  })
