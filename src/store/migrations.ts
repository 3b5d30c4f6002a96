// The schema goes forward only: numbered steps, each with a checksum, all of one start in one transaction.

import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import type { Sql } from './sql.ts'

/**
 * One step of one set: `events/001-event-log`. A published step never changes. The SQL runs as the owner; it grants to
 * `isthmus_service` what the running hub may do, and nothing else is granted (LED-03).
 */
export interface Migration {
  readonly name: `${string}/${string}`
  readonly sql: string
}

/** An advisory lock that keeps two starting processes apart. Any number will do, as long as it stays the same. */
export const schemaLock = 4_970_132_201n

const bookkeeping = `
  create table if not exists schema_migration (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default now()
  )`

interface Applied {
  readonly name: string
  readonly checksum: string
}

/**
 * Brings the schema to the end of the list and returns the names of the steps it took. `sql` is a transaction of the
 * owner, who holds `schemaLock`.
 * Throws HUB_DATABASE where the database is newer than the list, or a step was changed after it ran.
 */
export async function migrate(sql: Sql, list: readonly Migration[]): Promise<readonly string[]> {
  await sql.query(bookkeeping)
  const { rows } = await sql.query<Applied>('select name, checksum from schema_migration order by name')
  const due = dueOf(list, rows)
  for (const { name, sql: text } of due) {
    await sql.query(text)
    await sql.query('insert into schema_migration (name, checksum) values ($1, $2)', [name, checksumOf(text)])
  }
  return due.map(({ name }) => name)
}

function dueOf(list: readonly Migration[], applied: readonly Applied[]): readonly Migration[] {
  const names = new Set<string>(list.map(({ name }) => name))
  if (names.size !== list.length) throw wrong('a step appears twice in the list')
  const sets = new Set(list.map(setOf))
  const checksums = new Map(applied.map(({ name, checksum }) => [name, checksum]))
  for (const { name } of applied) {
    // Sets that this process does not use (another role's) are none of its business.
    if (sets.has(setOf({ name })) && !names.has(name)) {
      throw wrong(`"${name}" was applied by a newer version of this program`)
    }
  }
  const open = new Set<string>()
  for (const step of list) {
    const checksum = checksums.get(step.name)
    if (checksum === undefined) open.add(setOf(step))
    else if (checksum !== checksumOf(step.sql)) throw wrong(`"${step.name}" was changed after it had been applied`)
    else if (open.has(setOf(step))) throw wrong(`a step before "${step.name}" is new, but steps only go forward`)
  }
  return list.filter(({ name }) => !checksums.has(name))
}

const setOf = ({ name }: { readonly name: string }): string => name.slice(0, name.indexOf('/'))
const checksumOf = (text: string): string => createHash('sha256').update(text).digest('hex')
const wrong = (why: string): HubError => new HubError('HUB_DATABASE', `the schema cannot be migrated: ${why}`)
