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
  /** Rows kept in memory, about 350 bytes each; versions that nobody asked for lately go first. */
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

export interface LoadedDecks extends DeckVersions {
  /** Reads what is in force, then looks for changes until `stop`: for who asks before ringing. */
  start(database: Database, clock: Clock, log: Logger): Promise<void>
  stop(): void
}

export function createDeckVersions(
  configs: readonly AgreementConfig[],
  bounds: { readonly rowsMax: number } = limits
): LoadedDecks {
  const byId = new Map(configs.map(config => [config.id, config]))
  const loaded = new Map<string, Loaded>()
  let activations: ReadonlyMap<string, readonly Activation[]> = new Map()
  let newest = 0n
  let uses = 0
  let stopped = false
  let cancel: (() => void) | null = null

  const nameOf = (agreementId: string, version: number): string => `${agreementId} ${version}`

  async function look(sql: Sql): Promise<void> {
    await sql.query('select pg_advisory_xact_lock_shared($1)', [deckLock])
    const { rows } = await sql.query<{ newest: bigint }>('select coalesce(max(id), 0) as newest from deck_activation')
    const now = rows[0]?.newest ?? 0n
    if (now === newest) return
    activations = Map.groupBy(await activationsOf(sql), ({ agreementId }) => agreementId)
    newest = now
  }

  async function load(sql: Sql, agreementId: string, version: number): Promise<void> {
    uses += 1
    const known = loaded.get(nameOf(agreementId, version))
    const config = byId.get(agreementId)
    if (known !== undefined) known.used = uses
    if (known !== undefined || version === 0 || config === undefined) return
    const rows = rateRowsOf(config, version, await rowsOf(sql, agreementId, version))
    loaded.set(nameOf(agreementId, version), { table: createPrefixTable(rows), rows: rows.length, used: uses })
  }

  /** What was not asked for since `before` goes until the rest has room. */
  function makeRoom(before: number): void {
    let rows = [...loaded.values()].reduce((sum, version) => sum + version.rows, 0)
    for (const [name, version] of [...loaded].sort(([, a], [, b]) => a.used - b.used)) {
      if (rows <= bounds.rowsMax || version.used > before) return
      loaded.delete(name)
      rows -= version.rows
    }
  }

  async function prepare(sql: Sql, moments: readonly EpochMs[]): Promise<void> {
    await look(sql)
    if (activations.size === 0 || moments.length === 0) return
    const before = uses
    const [first, last] = edgesOf(moments)
    for (const [agreementId, own] of activations) {
      for (const version of versionsIn(own, first, last, moments)) await load(sql, agreementId, version)
    }
    makeRoom(before)
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
        const found = loaded.get(nameOf(agreementId, version))
        if (found !== undefined) return found.table.match(number, at, caller)
        const what = `version ${version} of the deck of ${agreementId} has not been read`
        throw new HubError('HUB_INTERNAL', what, { retryable: true })
      }
    }),
    async start(database, clock, log) {
      await refresh(database)
      const again = (): void => {
        cancel = clock.after(limits.refreshMs, () => {
          const failed = (error: unknown): void =>
            log.warn({ err: messageOf(error) }, 'rate decks could not be read again')
          refresh(database)
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
