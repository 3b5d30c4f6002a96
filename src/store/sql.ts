// How the rest of the program sees PostgreSQL: statements, rows without floating-point money, errors that say whether
// trying again makes sense.

import { DatabaseError, types } from 'pg'
import type { CustomTypesConfig } from 'pg'
import { HubError, messageOf } from '../errors.ts'
import type { CopyTable, CopyValue } from './binary-copy.ts'

export interface Result<Row> {
  readonly rows: readonly Row[]
  /** Rows returned, or touched by an insert. */
  readonly count: number
}

export interface Sql {
  /**
   * One statement, or several without values. bigint comes back as BigInt, numeric as text. Throws HUB_DATABASE with
   * the fact `sqlState`; `retryable` where the connection or the server failed, not the statement.
   */
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Result<Row>>
  /** Adds many rows in the cheapest way there is; all or none. Throws as `query` does. */
  copy(table: CopyTable, rows: Iterable<readonly CopyValue[]>): Promise<void>
}

const int8 = 20
const int8Array = 1016

const toBigInts = (text: string): readonly (bigint | null)[] =>
  text === '{}'
    ? []
    : text
        .slice(1, -1)
        .split(',')
        .map(item => (item === 'NULL' ? null : BigInt(item)))

/** For a pg client: nothing that may be money or a position becomes a double. */
export const exactTypes: CustomTypesConfig = {
  getTypeParser: (oid, format) => {
    if (format === 'binary') return types.getTypeParser(oid, format)
    const number: number = oid
    if (number === int8) return BigInt
    if (number === int8Array) return toBigInts
    return types.getTypeParser(oid, format)
  }
}

/** Classes 08 connection, 40 rollback (serialisation, deadlock), 53 resources, 57 operator intervention, 58 system. */
const retryableClasses = new Set(['08', '40', '53', '57', '58'])

export function sqlError(error: unknown): HubError {
  if (error instanceof HubError) return error
  const sqlState = error instanceof DatabaseError ? (error.code ?? null) : null
  // Whatever did not come from the server itself came from the way to it.
  const retryable = sqlState === null || retryableClasses.has(sqlState.slice(0, 2))
  const constraint = error instanceof DatabaseError ? (error.constraint ?? null) : null
  const message = messageOf(error) || 'no connection'
  return new HubError('HUB_DATABASE', `database: ${message}`, { cause: error, retryable, sqlState, constraint })
}

/** The state that PostgreSQL gave an error (23505 unique violation), or null. */
export const sqlStateOf = (error: unknown): string | null =>
  error instanceof HubError && typeof error.facts['sqlState'] === 'string' ? error.facts['sqlState'] : null

/** A key of some row is there already (23505). */
export const isUniqueViolation = (error: unknown): boolean => sqlStateOf(error) === '23505'

/** Adds the rows of a table unless a key of one is there already: false then, and none of them is. In a transaction. */
export async function copyIfNew(sql: Sql, table: CopyTable, rows: Iterable<readonly CopyValue[]>): Promise<boolean> {
  await sql.query('savepoint copied')
  try {
    await sql.copy(table, rows)
    return true
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    await sql.query('rollback to savepoint copied')
    return false
  }
}
