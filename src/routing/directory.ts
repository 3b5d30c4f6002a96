// Which number belongs to which user of which island: those of the configuration, and those imported into the database.
// Reversible; a number belongs to one user, with the method and date of its proof.

import type { IslandConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Clock } from '../session/ports.ts'
import type { Database } from '../store/database.ts'
import type { Migration } from '../store/migrations.ts'

export const directoryLimits = {
  /** Between two looks for imports of other processes. */
  refreshMs: 5_000,
  /** Numbers of all islands together. */
  numbersMax: 2_000_000,
  userBytesMax: 255,
  /** Problems of one import that are told; the rest is counted. */
  problemsMax: 50
} as const

export const directoryMigrations: readonly Migration[] = [
  {
    name: 'routing/001-directory',
    sql: `
      create table directory (
        number text primary key check (number ~ '^\\+[1-9][0-9]{1,14}$'),
        island text not null,
        user_name text not null,
        proof text not null,
        proven_on date not null,
        imported_at timestamptz not null default now(),
        unique (island, user_name)
      );
      create table directory_version (one boolean primary key default true check (one), version bigint not null);
      insert into directory_version values (true, 0);
      grant select, insert, update, delete on directory to isthmus_service;
      grant select, update on directory_version to isthmus_service;`
  }
]

/** One number of one user. `proof`: how the provider proved that the number is the user's (STIR-06). */
export interface Entry {
  readonly number: string
  readonly user: string
  readonly proof: string
  /** `2026-11-22` */
  readonly provenOn: string
}

export interface Owner {
  readonly islandId: string
  readonly user: string
}

export interface Directory {
  /** Reads what there is, then looks for changes until `stop`. */
  start(): Promise<void>
  stop(): void
  ownerOf(number: string): Owner | null
  numberOf(islandId: string, user: string): string | null
  /** How the provider of a number has proven that it is its user's; `configuration` for what stands there (STIR-06). */
  proofOf(number: string): { readonly islandId: string; readonly proof: string } | null
}

export interface DirectoryParts {
  readonly islands: readonly IslandConfig[]
  readonly database: Database
  readonly clock: Clock
  readonly log: Logger
}

export function createDirectory({ islands, database, clock, log }: DirectoryParts): Directory {
  const configured = ownersOf(islands)
  let owners: ReadonlyMap<string, Owner> = configured
  let numbers = reversed(configured)
  /** Of imported numbers. */
  let proofs: ReadonlyMap<string, string> = new Map()
  let version: bigint | null = null
  let cancel: (() => void) | null = null
  let stopped = false

  async function refresh(): Promise<void> {
    const { rows } = await database.query<{ version: bigint }>('select version from directory_version')
    const [now] = rows
    if (now === undefined || now.version === version) return
    const { rows: entries } = await database.query<{
      number: string
      island: string
      user_name: string
      proof: string
    }>('select number, island, user_name, proof from directory limit $1', [directoryLimits.numbersMax])
    const imported = entries.map(({ number, island, user_name: user }) => [number, { islandId: island, user }] as const)
    owners = new Map([...imported, ...configured])
    numbers = reversed(owners)
    proofs = sharing(entries)
    version = now.version
  }
  const again = (): void => {
    cancel = clock.after(directoryLimits.refreshMs, () => {
      refresh().then(
        () => undefined,
        (error: unknown) => log.warn({ err: messageOf(error) }, 'the number directory could not be read again')
      )
      if (!stopped) again()
    })
  }

  return {
    start: async () => {
      await refresh()
      again()
    },
    stop: () => {
      stopped = true
      cancel?.()
    },
    ownerOf: number => owners.get(number) ?? null,
    numberOf: (islandId, user) => numbers.get(key(islandId, user)) ?? null,
    proofOf: number => {
      const islandId = owners.get(number)?.islandId
      if (islandId === undefined) return null
      return { islandId, proof: configured.has(number) ? 'configuration' : (proofs.get(number) ?? '') }
    }
  }
}

/** There are few methods and many numbers: each text is kept once. */
function sharing(entries: readonly { readonly number: string; readonly proof: string }[]): ReadonlyMap<string, string> {
  const known = new Map<string, string>()
  return new Map(
    entries.map(({ number, proof }) => {
      const text = known.get(proof) ?? proof
      known.set(text, text)
      return [number, text] as const
    })
  )
}

/** Users that differ in case alone are the same. */
const key = (islandId: string, user: string): string => `${islandId} ${user.toLowerCase()}`

/** The numbers that the configuration itself gives. */
export function ownersOf(islands: readonly IslandConfig[]): ReadonlyMap<string, Owner> {
  return new Map(
    islands.flatMap(({ id, users }) =>
      users.flatMap(({ name, number }) =>
        number === undefined ? [] : [[number, { islandId: id, user: name }] as const]
      )
    )
  )
}

const reversed = (owners: ReadonlyMap<string, Owner>): ReadonlyMap<string, string> =>
  new Map(Array.from(owners, ([number, { islandId, user }]) => [key(islandId, user), number] as const))

export interface Import {
  readonly island: string
  readonly entries: readonly Entry[]
  /** True: the island's numbers are these and no others. */
  readonly replace: boolean
  /** Numbers that the configuration gives to somebody. */
  readonly configured: ReadonlyMap<string, Owner>
}

export interface Imported {
  readonly added: number
  readonly changed: number
  readonly removed: number
  readonly unchanged: number
}

/**
 * All of it or nothing. Throws HUB_CONFIG with every number that another island or the configuration has claimed.
 */
export async function importNumbers(
  database: Database,
  { island, entries, replace, configured }: Import
): Promise<Imported> {
  return database.transaction(async sql => {
    await sql.query('select version from directory_version for update')
    const { rows } = await sql.query<{ number: string; island: string; user_name: string; proof: string; day: string }>(
      'select number, island, user_name, proof, proven_on::text as day from directory'
    )
    const known = new Map(rows.map(row => [row.number, row]))
    const problems = claims(entries, island, configured, number => known.get(number)?.island ?? null)
    if (problems.length > 0) throw refused(problems)
    const listed = new Set(entries.map(({ number }) => number))
    const users = new Set(entries.map(({ user }) => user))
    // Who gets another number lets the old one go.
    const gone = rows.filter(
      row => row.island === island && !listed.has(row.number) && (replace || users.has(row.user_name))
    )
    const same = (entry: Entry): boolean => {
      const row = known.get(entry.number)
      return row?.user_name === entry.user && row.proof === entry.proof && row.day === entry.provenOn
    }
    const fresh = entries.filter(entry => !same(entry))
    await sql.query('delete from directory where number = any($1)', [
      [...gone.map(({ number }) => number), ...fresh.map(({ number }) => number)]
    ])
    await sql.query(
      `insert into directory (number, island, user_name, proof, proven_on)
       select number, $1, user_name, proof, proven_on::date
       from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as t(number, user_name, proof, proven_on)`,
      [
        island,
        fresh.map(({ number }) => number),
        fresh.map(({ user }) => user),
        fresh.map(({ proof }) => proof),
        fresh.map(({ provenOn }) => provenOn)
      ]
    )
    await sql.query('update directory_version set version = version + 1')
    const changed = fresh.filter(({ number }) => known.has(number)).length
    return {
      added: fresh.length - changed,
      changed,
      removed: gone.length,
      unchanged: entries.length - fresh.length
    }
  })
}

/** What was imported for an island, by number. */
export async function listNumbers(database: Database, island: string): Promise<readonly Entry[]> {
  const { rows } = await database.query<{ number: string; user_name: string; proof: string; day: string }>(
    'select number, user_name, proof, proven_on::text as day from directory where island = $1 order by number',
    [island]
  )
  return rows.map(({ number, user_name: user, proof, day }) => ({ number, user, proof, provenOn: day }))
}

function claims(
  entries: readonly Entry[],
  island: string,
  configured: ReadonlyMap<string, Owner>,
  claimedBy: (number: string) => string | null
): readonly string[] {
  return entries.flatMap(({ number }) => {
    const other = claimedBy(number)
    if (other !== null && other !== island) return [`${number} belongs to ${other}`]
    const owner = configured.get(number)
    return owner === undefined ? [] : [`${number} is given to ${owner.user} of ${owner.islandId} in the configuration`]
  })
}

export function refused(problems: readonly string[]): HubError {
  const { problemsMax } = directoryLimits
  const more = problems.length > problemsMax ? [`... and ${problems.length - problemsMax} more`] : []
  const lines = [...problems.slice(0, problemsMax), ...more].map(line => `  ${line}`)
  return new HubError('HUB_CONFIG', `nothing was imported:\n${lines.join('\n')}`)
}
