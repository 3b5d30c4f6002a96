// The clearing role as a process of its own: the event log into the ledger, beside as many others as one likes.

import { createDeckVersions } from './clearing/decks/versions.ts'
import { bookOf, ledgerMigrations, placeOf, systemClock } from './compose-book.ts'
import { createClearing } from './compose-events.ts'
import type { Clearing } from './compose-events.ts'
import { databaseUrl } from './config.ts'
import type { Config } from './config.ts'
import { keepEnvironment } from './environment.ts'
import type { Logger } from './log.ts'
import { createDirectory } from './routing/directory.ts'
import { openDatabase } from './store/database.ts'
import type { Database } from './store/database.ts'

export interface RunningClearing {
  readonly database: Database
  /** Where the records come from and where they go. */
  readonly places: readonly { readonly what: string; readonly where: string }[]
  readonly status: Clearing['status']
  /** Finishes the batches under way and leaves the group. */
  stop(): Promise<void>
}

/**
 * Throws HUB_DATABASE where there is no database. Kafka may be away: it is waited for. A database that a running hub
 * has embedded is shared with it.
 */
export async function startClearing(
  config: Config,
  { log, onFault }: { readonly log: Logger; readonly onFault: (error: unknown) => void }
): Promise<RunningClearing> {
  keepEnvironment()
  await using parts = new AsyncDisposableStack()
  const database = await openDatabase({
    place: placeOf(config, true),
    poolMax: config.database.poolMax,
    migrations: ledgerMigrations,
    log
  })
  parts.defer(() => database.close())
  const directory = createDirectory({ islands: config.islands, database, clock: systemClock, log })
  await directory.start()
  parts.defer(() => directory.stop())
  const decks = createDeckVersions(config.agreements)
  await decks.start(database, systemClock, log)
  parts.defer(() => decks.stop())
  const clearing = createClearing({ config, database, book: bookOf(config, directory, decks), log, onFault })
  parts.defer(() => clearing.stop())
  clearing.start()
  const running = parts.move()
  let stopping: Promise<void> | null = null
  const { kafka } = config.events
  return {
    database,
    places: [
      { what: 'event log', where: kafka === undefined ? 'table' : `Kafka ${kafka.brokers.join(',')}` },
      { what: 'database', where: databaseUrl(config) === null ? 'embedded' : config.database.urlEnv }
    ],
    get status() {
      return clearing.status
    },
    stop: () => (stopping ??= running.disposeAsync())
  }
}
