// Composition of what every role needs: the clock, the place of the database, and who owes whom.

import { resolve } from 'node:path'
import { createAgreementBook } from './clearing/agreements.ts'
import type { AgreementBook, DeckVersions } from './clearing/agreements.ts'
import { createDeckVersions } from './clearing/decks/versions.ts'
import { clearingMigrations } from './clearing/migrations.ts'
import { createNumberOf } from './clearing/numbers.ts'
import { databaseUrl, providerOf } from './config.ts'
import type { Config } from './config.ts'
import { eventMigrations } from './events/embedded.ts'
import { directoryMigrations } from './routing/directory.ts'
import type { Directory } from './routing/directory.ts'
import type { SteadyClock } from './session/ports.ts'
import type { DatabasePlace } from './store/database.ts'

/** Wall clock, the time since the process began, and timers. */
export const systemClock: SteadyClock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

/** The database of a configuration; `join`: a running hub's embedded one may be used. */
export const placeOf = (config: Config, join = false): DatabasePlace => {
  const url = databaseUrl(config)
  return url === null ? { dataDir: resolve(config.hub.dataDir), join } : { url }
}

/** The tables between the event log and the ledger. */
export const ledgerMigrations = [...eventMigrations, ...clearingMigrations, ...directoryMigrations]

/** Which party a peer belongs to; the peers of records, charges and reports. */
export const partyOf = ({ islands, operators }: Config): ((peerId: string) => string) => {
  const byId = new Map([...islands, ...operators].map(peer => [peer.id, providerOf(peer)]))
  return peerId => byId.get(peerId) ?? peerId
}

/** The agreements; users without a number in the configuration may have one in the directory. */
export function bookOf(
  { agreements, islands }: Config,
  directory: Pick<Directory, 'numberOf'>,
  decks: DeckVersions = createDeckVersions(agreements)
): AgreementBook {
  const byDomain = new Map(islands.map(({ id, domain }) => [domain.toLowerCase(), id]))
  const numberOf = createNumberOf(islands, (user, domain) => {
    const islandId = byDomain.get(domain)
    return islandId === undefined ? null : directory.numberOf(islandId, user)
  })
  return createAgreementBook(agreements, numberOf, decks)
}
