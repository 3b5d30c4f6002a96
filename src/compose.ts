// Composition: builds the parts a hub needs from its configuration, wires them, and takes them down again in order.

import { join, resolve } from 'node:path'
import { matrixMigrations } from './adapters/matrix/store.ts'
import { rosterMigrations } from './adapters/xmpp/roster.ts'
import { createAgreements } from './clearing/agreements.ts'
import type { AgreementBook } from './clearing/agreements.ts'
import { createCredit } from './clearing/credit/credit.ts'
import { createDeckVersions } from './clearing/decks/versions.ts'
import type { FraudWatch } from './clearing/fraud/watch.ts'
import { databaseUrl } from './config.ts'
import type { Config } from './config.ts'
import { keepEnvironment } from './environment.ts'
import { bookOf, ledgerMigrations, partyOf, placeOf, systemClock } from './compose-book.ts'
import { startEngine } from './compose-engine.ts'
import { createIslands } from './compose-islands.ts'
import { openRouter } from './compose-routing.ts'
import { openStir } from './compose-stir.ts'
import { createClearing, openEventLog } from './compose-events.ts'
import { watchBlindness } from './compose-blind.ts'
import { openFraudWatch, withFraudBlocks } from './compose-fraud.ts'
import type { WatchedBlindness } from './compose-blind.ts'
import { openOutbox } from './events/outbox.ts'
import type { Logger } from './log.ts'
import { createMediaAnchor } from './media/media.ts'
import { createNni } from './nni/nni.ts'
import { withinBlindness, withoutBlindCredit } from './qos-policy/blind.ts'
import { createPolicy } from './qos-policy/policy.ts'
import { createDirectory } from './routing/directory.ts'
import { withEmergency } from './routing/emergency.ts'
import type { Directory } from './routing/directory.ts'
import { Hub } from './session/hub.ts'
import type { Observed } from './session/hub.ts'
import { inWords } from './session/plain.ts'
import type { SteadyClock } from './session/ports.ts'
import { systemClock as manyTimers } from './sip/timers.ts'
import { openDatabase } from './store/database.ts'
import type { Database } from './store/database.ts'
import { newUuid } from './uuid.ts'

export { bookOf, partyOf, placeOf, systemClock } from './compose-book.ts'

export interface HubOptions {
  readonly log: Logger
  /** `hub`: calls alone; clearing runs as a process of its own. */
  readonly role?: 'all' | 'hub'
  /** Every event and command of every session. */
  readonly observe?: (seen: Observed) => void
}

export interface RunningHub {
  readonly listening: readonly { readonly what: string; readonly where: string }[]
  readonly sessionCount: number
  readonly database: Database
  /**
   * Drains and takes everything down; calling it again only hurries it. Returns how many sessions had to be left
   * behind with records that were not yet durable.
   */
  stop(how?: { readonly hurry?: boolean }): Promise<number>
}

/** At the end, for records on their way from the journal to the event log; what stays is sent after the next start. */
const relayMs = 5_000

export const migrations = [...ledgerMigrations, ...matrixMigrations, ...rosterMigrations]

/** Starts everything; where one part cannot start, those before it are taken down and its error is thrown. */
export async function startHub(config: Config, options: HubOptions): Promise<RunningHub> {
  const { log, role = 'all' } = options
  keepEnvironment()
  await using parts = new AsyncDisposableStack()
  const { poolMax } = config.database
  const database = await openDatabase({ place: placeOf(config), poolMax, migrations, log })
  parts.defer(() => database.close())
  const eventLog = openEventLog(config, database, log)
  parts.defer(() => eventLog.close())
  const party = partyOf(config)
  const directory = createDirectory({ islands: config.islands, database, clock: systemClock, log })
  await directory.start()
  parts.defer(() => directory.stop())
  const decks = createDeckVersions(config.agreements)
  await decks.start(database, systemClock, log)
  parts.defer(() => decks.stop())
  const book = bookOf(config, directory, decks)
  const { table } = eventLog
  const clearing = role === 'hub' ? null : createClearing({ config, database, book, log, onFault: onFault(log), table })
  parts.defer(() => clearing?.stop())
  let logSince: () => number | null = () => null
  const blind = watchBlindness(config, database, book, () => logSince(), log)
  parts.defer(() => blind.probe.stop())
  const fraud = openFraudWatch(config, { database, book, log })
  await fraud.catchUp()
  parts.defer(() => fraud.stop())
  const outbox = await openOutbox({
    dir: join(resolve(config.hub.dataDir), 'journal'),
    slots: config.events.journalSlots,
    heartbeatMs: config.events.heartbeatMs,
    hubId: config.hub.id,
    node: config.hub.node,
    providerOf: party,
    eventLog,
    onDurable: records => {
      blind.exposure.add(records)
      fraud.see(records)
    },
    log
  })
  logSince = () => outbox.status.blindSince
  parts.defer(async () => {
    await outbox.drain(relayMs)
    await outbox.close()
  })
  const below = { parts, outbox, book, party, directory, blind, database, fraud }
  const { hub, listening } = await signalling(config, options, below)
  clearing?.start()
  blind.probe.start()
  fraud.start()
  const running = parts.move()
  let stopping: Promise<number> | null = null
  const stop = async (): Promise<number> => {
    const left = await hub.drain(config.hub.drainMs)
    await running.disposeAsync()
    return left
  }
  return {
    listening: [...listening, { what: 'database', where: databaseUrl(config) === null ? 'embedded' : 'DATABASE_URL' }],
    get sessionCount() {
      return hub.sessionCount
    },
    database,
    stop: ({ hurry = false } = {}) => {
      stopping ??= stop()
      if (hurry) hub.hurry()
      return stopping
    }
  }
}

const onFault =
  (log: Logger) =>
  (error: unknown): void =>
    log.error(
      { alarm: 'clearing-stands', err: error },
      'clearing stands still: calls go on, their records wait to be charged'
    )

interface Below {
  readonly parts: AsyncDisposableStack
  readonly outbox: Awaited<ReturnType<typeof openOutbox>>
  readonly book: AgreementBook
  readonly party: (peerId: string) => string
  readonly directory: Directory
  readonly blind: WatchedBlindness
  readonly database: Database
  readonly fraud: FraudWatch
}

/** The timers of thousands of calls are of a few lengths, as the SIP stack's. What listens keeps the process alive. */
const callClock: SteadyClock = {
  ...systemClock,
  after: (ms, run) => {
    const timer = manyTimers.set(ms, run, undefined)
    return () => manyTimers.clear(timer)
  }
}

async function signalling(
  config: Config,
  options: HubOptions,
  { parts, outbox, book, party, directory, blind, database, fraud }: Below
) {
  const { log } = options
  const { islands, operators } = config
  const clock = callClock
  const router = openRouter(config, directory, log)
  const { blindness, limits } = blind
  const accounts = createCredit({ database, book, clock, node: config.hub.node, log })
  parts.defer(() => accounts.stop())
  await accounts.start()
  const credit = withoutBlindCredit(accounts, blindness)
  const granting = createPolicy({
    peers: [...islands, ...operators].map(({ id, enabled, codecs, limits }) => ({ id, enabled, codecs, ...limits })),
    agreements: createAgreements(book, party),
    credit,
    clock
  })
  const now = (): number => clock.now()
  const policy = withFraudBlocks(withinBlindness(granting, { blindness, limits, now }), fraud, { party, now })
  const engine = await startEngine(config, log, parts)
  const own = createIslands(config, { database, directory, clock, log })
  const nni = createNni({
    config: { hub: config.hub, peers: operators, sessionExpiresSeconds: config.nni.sessionExpiresSeconds },
    log,
    clock,
    connect: engine.connect,
    stir: openStir(config, number => directory.proofOf(number), clock),
    onHealth: (peerId, up) => {
      log.warn({ peerId, up }, up ? 'operator answers again' : 'operator does not answer')
      router.health(peerId, up)
    }
  })
  const media = createMediaAnchor({ config: config.media, log, clock })
  parts.defer(() => media.close())
  const debugs = log.isLevelEnabled('debug')
  const hub = new Hub({
    adapters: [nni, ...own.adapters],
    router: withEmergency(router, {
      routes: config.emergency.routes,
      operators,
      down: router.down,
      onUnserved: (called, peerId) =>
        log.error({ alarm: 'emergency-unserved', called, peerId }, 'a call for help found no emergency route')
    }),
    policy,
    credit,
    media,
    cdrs: outbox,
    clock,
    chargingHost: config.hub.domain,
    newId: newUuid,
    sessionsMax: config.hub.sessionsMax,
    onFault: ({ sessionId, doing, error }) => log.error({ sessionId, doing, err: error }, 'a part failed'),
    observe: seen => {
      report(seen, log, debugs)
      options.observe?.(seen)
    }
  })
  parts.defer(() => nni.close())
  for (const adapter of own.adapters) parts.defer(() => adapter.close())
  await hub.start()
  return {
    hub,
    listening: [...own.listening(), ...engine.listening]
  }
}

/** Debug for every step, one info line for every finished call. */
function report(seen: Observed, log: Logger, debugs: boolean): void {
  const { sessionId } = seen
  if ('event' in seen) return debugs ? log.debug({ sessionId, event: seen.event.type }) : undefined
  const { command } = seen
  if (debugs) log.debug({ sessionId, command: command.type })
  if (command.type !== 'cdr.write' || command.cdr.kind !== 'final' || command.cdr.leg !== 'ingress') return
  const { peerId, otherPeerId, durationMs, release, charging } = command.cdr
  const { cause = null, from = null } = release ?? {}
  const why = release === null ? null : inWords(release)
  log.info({ sessionId, icid: charging.icid, peerId, otherPeerId, durationMs, cause, from, why }, 'call closed')
}
