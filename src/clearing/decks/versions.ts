// The versions of all decks as rating sees them: each call by the one that was in force at its answer.

import type { AgreementConfig } from '../../config.ts'
import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { EpochMs } from '../../session/model.ts'
import type { Clock } from '../../session/ports.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import type { DeckVersions } from '../agreements.ts'
import { createPrefixTable } from '../prefixes.ts'
import type { PrefixTable } from '../prefixes.ts'
import type { RateRow } from '../rating.ts'
import { rateRowsOf } from './deck-row.ts'
import { activationsOf, clockOf, deckLock, rowsOf, versionAt } from './store.ts'
import type { Activation } from './store.ts'

export const limits = {
  /** Rows kept in memory, about 400 bytes each; versions that nobody asked for lately go first. */
  rowsMax: 1_000_000,
  /** Between two looks for activations of other processes. */
  refreshMs: 5_000,
  /** So long before it counts a version is read. */
  aheadMs: 3_600_000
} as const

interface Loaded {
  readonly table: PrefixTable<RateRow>
  readonly rows: number
  used: number
}

/** Versions in memory, those used last. */
class Tables {
  readonly #byId: ReadonlyMap<string, AgreementConfig>
  readonly #rowsMax: number
  readonly #loaded = new Map<string, Loaded>()
  #uses = 0

  constructor(configs: readonly AgreementConfig[], rowsMax: number) {
    this.#byId = new Map(configs.map(config => [config.id, config]))
    this.#rowsMax = rowsMax
  }

  get(agreementId: string, version: number): PrefixTable<RateRow> | null {
    return this.#loaded.get(nameOf(agreementId, version))?.table ?? null
  }

  /** Reads what is wanted; what was not wanted this time goes until the rest has room. */
  async load(sql: Sql, wanted: Iterable<readonly [agreementId: string, version: number]>): Promise<void> {
    const before = this.#uses
    for (const [agreementId, version] of wanted) await this.#loadOne(sql, agreementId, version)
    let rows = [...this.#loaded.values()].reduce((sum, version) => sum + version.rows, 0)
    for (const [name, version] of [...this.#loaded].sort(([, a], [, b]) => a.used - b.used)) {
      if (rows <= this.#rowsMax || version.used > before) return
      this.#loaded.delete(name)
      rows -= version.rows
    }
  }

  async #loadOne(sql: Sql, agreementId: string, version: number): Promise<void> {
    this.#uses += 1
    const used = this.#uses
    const known = this.#loaded.get(nameOf(agreementId, version))
    const config = this.#byId.get(agreementId)
    if (known !== undefined) known.used = used
    if (known !== undefined || version === 0 || config === undefined) return
    const rows = rateRowsOf(config, version, await rowsOf(sql, agreementId, version))
    this.#loaded.set(nameOf(agreementId, version), { table: createPrefixTable(rows), rows: rows.length, used })
  }
}

const nameOf = (agreementId: string, version: number): string => `${agreementId} ${version}`

export interface LoadedDecks extends DeckVersions {
  /** Reads what is in force, then looks for changes until `stop`: for who asks before ringing. */
  start(database: Database, clock: Clock, log: Logger): Promise<void>
  stop(): void
}

export function createDeckVersions(
  configs: readonly AgreementConfig[],
  bounds: { readonly rowsMax: number } = limits
): LoadedDecks {
  const tables = new Tables(configs, bounds.rowsMax)
  let activations: ReadonlyMap<string, readonly Activation[]> = new Map()
  let newest = 0n

  async function look(sql: Sql): Promise<void> {
    await sql.query('select pg_advisory_xact_lock_shared($1)', [deckLock])
    const { rows } = await sql.query<{ newest: bigint }>('select coalesce(max(id), 0) as newest from deck_activation')
    const now = rows[0]?.newest ?? 0n
    if (now === newest) return
    activations = Map.groupBy(await activationsOf(sql), ({ agreementId }) => agreementId)
    newest = now
  }

  async function prepare(sql: Sql, moments: readonly EpochMs[]): Promise<void> {
    await look(sql)
    if (activations.size === 0 || moments.length === 0) return
    const [first, last] = edgesOf(moments)
    const wanted = [...activations].flatMap(([agreementId, own]) =>
      [...versionsIn(own, first, last, moments)].map(version => [agreementId, version] as const)
    )
    await tables.load(sql, wanted)
  }

  const refresh = (database: Database): Promise<void> =>
    database.transaction(async sql => {
      const now = await clockOf(sql)
      await look(sql)
      const soon = [...activations.values()].flat().filter(({ from }) => from > now && from <= now + limits.aheadMs)
      await prepare(sql, [now, ...soon.map(({ from }) => from)])
    })

  return {
    prepare,
    over: (agreementId, zero) => ({
      match(number, at, caller) {
        const version = versionAt(activations.get(agreementId) ?? [], at)
        if (version === 0) return zero.match(number, at, caller)
        const table = tables.get(agreementId, version)
        if (table !== null) return table.match(number, at, caller)
        const what = `version ${version} of the deck of ${agreementId} has not been read`
        throw new HubError('HUB_INTERNAL', what, { retryable: true })
      }
    }),
    ...watching(refresh)
  }
}

/** Again and again until stopped. */
function watching(refresh: (database: Database) => Promise<void>): Pick<LoadedDecks, 'start' | 'stop'> {
  let stopped = false
  let cancel: (() => void) | null = null
  return {
    async start(database, clock, log) {
      await refresh(database)
      const failed = (error: unknown): void => log.warn({ err: messageOf(error) }, 'rate decks could not be read again')
      const again = (): void => {
        cancel = clock.after(limits.refreshMs, () => {
          void refresh(database)
            .catch(failed)
            .finally(() => {
              if (!stopped) again()
            })
        })
      }
      again()
    },
    stop() {
      stopped = true
      cancel?.()
    }
  }
}

function edgesOf(moments: readonly EpochMs[]): readonly [EpochMs, EpochMs] {
  let [first, last] = [Infinity, -Infinity]
  for (const at of moments) {
    if (at < first) first = at
    if (at > last) last = at
  }
  return [first, last]
}

function versionsIn(
  own: readonly Activation[],
  first: EpochMs,
  last: EpochMs,
  moments: readonly EpochMs[]
): ReadonlySet<number> {
  const steady = !own.some(({ from }) => from > first && from <= last)
  return new Set(steady ? [versionAt(own, first)] : moments.map(at => versionAt(own, at)))
}
