// Rate decks in PostgreSQL: versions are added whole and never change; an activation says from when one prices calls.

import { escapeLiteral } from 'pg'
import type { AgreementConfig } from '../../config.ts'
import { HubError } from '../../errors.ts'
import type { EpochMs } from '../../session/model.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import { parseRate } from '../money.ts'
import { limits, offTime } from './deck-row.ts'
import type { DeckRow } from './deck-row.ts'
import { diffDecks } from './diff.ts'
import type { DeckDiff } from './diff.ts'
import { mergeDeck } from './merge.ts'
import type { DeckMode } from './merge.ts'
import { tooMany } from './sheet.ts'
import type { Sheet } from './sheet.ts'

/** Held, shared, by whoever posts charges, so that no activation takes effect under a batch. */
export const deckLock = 4_970_132_204n

export interface VersionInfo {
  readonly agreementId: string
  readonly version: number
  readonly mode: DeckMode
  readonly baseVersion: number
  readonly fileName: string
  readonly rows: number
  readonly codes: number
  readonly closedCodes: number
  readonly warnings: readonly string[]
  readonly importedAt: Date
  readonly importedBy: string
}

export interface Activation {
  readonly id: bigint
  readonly agreementId: string
  readonly version: number
  readonly from: EpochMs
  readonly activatedBy: string
  readonly forcedReason: string | null
}

export async function activationsOf(sql: Sql, agreementId: string | null = null): Promise<readonly Activation[]> {
  const { rows } = await sql.query<{
    id: bigint
    agreement_id: string
    version: number
    in_force_from: Date
    activated_by: string
    forced_reason: string | null
  }>(
    `select id, agreement_id, version, in_force_from, activated_by, forced_reason from deck_activation
     where $1::text is null or agreement_id = $1 order by in_force_from, id`,
    [agreementId]
  )
  return rows.map(row => ({
    id: row.id,
    agreementId: row.agreement_id,
    version: row.version,
    from: row.in_force_from.getTime(),
    activatedBy: row.activated_by,
    forcedReason: row.forced_reason
  }))
}

/** Of activations of one agreement, in their order, the version that prices a moment; 0: the configuration's rates. */
export function versionAt(activations: readonly Pick<Activation, 'version' | 'from'>[], at: EpochMs): number {
  for (let n = activations.length - 1; n >= 0; n--) {
    const activation = activations[n]
    if (activation !== undefined && activation.from <= at) return activation.version
  }
  return 0
}

export async function versionsOf(sql: Sql, agreementId: string | null = null): Promise<readonly VersionInfo[]> {
  const { rows } = await sql.query<VersionInfo>(
    `select agreement_id as "agreementId", version, mode, base_version as "baseVersion", file_name as "fileName", rows,
       codes, closed_codes as "closedCodes", warnings, imported_at as "importedAt", imported_by as "importedBy"
     from deck_version where $1::text is null or agreement_id = $1 order by 1, 2`,
    [agreementId]
  )
  return rows
}

interface StoredRow {
  readonly prefix: string
  readonly destination: string
  readonly origin: string | null
  readonly quality: string | null
  readonly time_class: string
  readonly rate_nanos: bigint
  readonly setup_fee_nanos: bigint
  readonly minimum_seconds: bigint
  readonly initial_seconds: bigint
  readonly next_seconds: bigint
  readonly effective_from: Date | null
  readonly effective_to: Date | null
  readonly blocked: boolean
}

const pageRows = 5_000

/** The rows of a stored version. `sql` is a transaction; between two pages others get their turn. */
export async function rowsOf(sql: Sql, agreementId: string, version: number): Promise<readonly DeckRow[]> {
  // Decks repeat their names and prices: each is kept once.
  const known = new Map<unknown, unknown>()
  const same = <T>(value: T): T => {
    const kept = known.get(value) as T | undefined
    if (kept === undefined) known.set(value, value)
    return kept ?? value
  }
  const rows: DeckRow[] = []
  // A cursor takes no parameters.
  await sql.query(
    `declare deck_rows no scroll cursor for select prefix, destination, origin, quality, time_class, rate_nanos,
       setup_fee_nanos, minimum_seconds, initial_seconds, next_seconds, effective_from, effective_to, blocked
     from deck_row where agreement_id = ${escapeLiteral(agreementId)} and version = ${version}`
  )
  for (;;) {
    const { rows: page } = await sql.query<StoredRow>(`fetch ${pageRows} from deck_rows`)
    for (const row of page) rows.push(fromStored(row, same))
    if (page.length < pageRows) break
  }
  await sql.query('close deck_rows')
  return rows
}

const fromStored = (row: StoredRow, same: <T>(value: T) => T): DeckRow => ({
  prefix: row.prefix,
  destination: same(row.destination),
  origin: same(row.origin),
  quality: same(row.quality),
  timeClass: same(row.time_class),
  rateNanos: same(row.rate_nanos),
  setupFeeNanos: same(row.setup_fee_nanos),
  minimumSeconds: Number(row.minimum_seconds),
  initialSeconds: Number(row.initial_seconds),
  nextSeconds: Number(row.next_seconds),
  effectiveFrom: row.effective_from?.getTime() ?? null,
  effectiveTo: row.effective_to?.getTime() ?? null,
  blocked: row.blocked
})

/** The rates of the configuration as a deck. Throws HUB_CONFIG where time bands of its own keep it from being one. */
export function versionZero(config: AgreementConfig, use: string): readonly DeckRow[] {
  return config.rates.map(rate => {
    if (rate.bands.length > 0) {
      const why = `the rate of ${rate.prefix} in the configuration has time bands of its own`
      throw new HubError('HUB_CONFIG', `agreement ${config.id}: ${why}, so ${use}`)
    }
    return {
      prefix: rate.prefix,
      destination: rate.destination,
      origin: rate.origin ?? null,
      quality: rate.quality ?? null,
      timeClass: offTime,
      rateNanos: parseRate(rate.rate),
      setupFeeNanos: parseRate(rate.setupFee),
      minimumSeconds: rate.minimumSeconds,
      initialSeconds: rate.initialSeconds,
      nextSeconds: rate.nextSeconds,
      effectiveFrom: Date.parse(rate.effectiveFrom),
      effectiveTo: rate.effectiveTo === undefined ? null : Date.parse(rate.effectiveTo),
      blocked: rate.blocked
    }
  })
}

/** The rows of any version, the configuration's too. */
export const anyRowsOf = (sql: Sql, config: AgreementConfig, version: number): Promise<readonly DeckRow[]> =>
  version === 0
    ? Promise.resolve(versionZero(config, 'it cannot be compared; import a deck with mode full'))
    : rowsOf(sql, config.id, version)

export interface DeckImport {
  readonly config: AgreementConfig
  readonly sheet: Sheet
  readonly mode: DeckMode
  readonly fileName: string
  readonly fileSha256: string
  readonly by: string
  /** Hears how many rows have been stored. */
  readonly progress?: (rows: number) => void
}

export interface Imported {
  readonly version: number
  readonly baseVersion: number
  readonly rows: number
  readonly warnings: readonly string[]
  readonly diff: DeckDiff
}

/** All of it in one transaction: a process that dies here leaves nothing. Throws HUB_CONFIG with line numbers. */
export async function importDeck(database: Database, given: DeckImport): Promise<Imported> {
  const { config, sheet, mode, fileName, fileSha256, by } = given
  return database.transaction(async sql => {
    await sql.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`deck ${config.id}`])
    const now = await clockOf(sql)
    const baseVersion = versionAt(await activationsOf(sql, config.id), now)
    const usesBase = mode !== 'full' || baseVersion > 0
    const base =
      usesBase || config.rates.every(({ bands }) => bands.length === 0) ? await anyRowsOf(sql, config, baseVersion) : []
    const { rows, warnings } = mergeDeck(fileName, sheet, base, mode, now)
    if (rows.length > limits.rowsMax) throw tooMany(fileName, limits.rowsMax)
    const diff = diffDecks(base, rows, now)
    const { rows: added } = await sql.query<{ version: number }>(
      `insert into deck_version (agreement_id, version, mode, base_version, file_name, file_sha256, rows, codes,
         closed_codes, warnings, imported_by)
       select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10
       from deck_version where agreement_id = $1 returning version`,
      [
        config.id,
        mode,
        baseVersion,
        fileName,
        fileSha256,
        rows.length,
        diff.codes,
        diff.closedCodes,
        JSON.stringify(warnings),
        by
      ]
    )
    const version = added[0]?.version ?? 0
    await store(sql, config.id, version, rows, given.progress)
    return { version, baseVersion, rows: rows.length, warnings, diff }
  })
}

export async function clockOf(sql: Sql): Promise<EpochMs> {
  const { rows } = await sql.query<{ now: Date }>('select clock_timestamp() as now')
  return rows[0]?.now.getTime() ?? 0
}

const copied = {
  name: 'deck_row',
  columns: [
    ['agreement_id', 'text'],
    ['version', 'bigint'],
    ['prefix', 'text'],
    ['destination', 'text'],
    ['origin', 'text'],
    ['quality', 'text'],
    ['time_class', 'text'],
    ['rate_nanos', 'bigint'],
    ['setup_fee_nanos', 'bigint'],
    ['minimum_seconds', 'bigint'],
    ['initial_seconds', 'bigint'],
    ['next_seconds', 'bigint'],
    ['effective_from', 'time'],
    ['effective_to', 'time'],
    ['blocked', 'boolean']
  ]
} as const
const copyRows = 20_000

async function store(
  sql: Sql,
  agreementId: string,
  version: number,
  rows: readonly DeckRow[],
  progress: (rows: number) => void = () => undefined
): Promise<void> {
  for (let at = 0; at < rows.length; at += copyRows) {
    const page = rows.slice(at, at + copyRows)
    await sql.copy(
      copied,
      page.map(row => [
        agreementId,
        version,
        row.prefix,
        row.destination,
        row.origin,
        row.quality,
        row.timeClass,
        row.rateNanos,
        row.setupFeeNanos,
        row.minimumSeconds,
        row.initialSeconds,
        row.nextSeconds,
        row.effectiveFrom,
        row.effectiveTo,
        row.blocked
      ])
    )
    progress(at + page.length)
  }
}
