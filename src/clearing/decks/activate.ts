// From when a version prices calls: at once or at a later moment, for all calls answered from then on. What a partner
// would dispute needs a reason.

import type { AgreementConfig } from '../../config.ts'
import { HubError } from '../../errors.ts'
import type { EpochMs } from '../../session/model.ts'
import type { Database } from '../../store/database.ts'
import { limits } from './deck-row.ts'
import { diffDecks, withoutNotice } from './diff.ts'
import type { DeckDiff } from './diff.ts'
import { activationsOf, anyRowsOf, clockOf, deckLock, versionAt, versionsOf } from './store.ts'
import type { VersionInfo } from './store.ts'

export interface ActivationAsked {
  readonly config: AgreementConfig
  readonly version: number
  /** Null: now. */
  readonly at: EpochMs | null
  readonly by: string
  /** Given: a moment that has passed and an increase without notice are taken, and the reason is kept. */
  readonly force: string | null
  /** Many closed codes are meant so (SET-10). */
  readonly closedAreMeant: boolean
}

export interface Activated {
  readonly version: number
  readonly replaces: number
  readonly from: EpochMs
  readonly diff: DeckDiff
  /** Versions that were to begin later, and still will. */
  readonly later: readonly number[]
}

/** Throws HUB_CONFIG with what keeps the version from being activated. */
export async function activateDeck(database: Database, asked: ActivationAsked): Promise<Activated> {
  const { config, version, by, force } = asked
  return database.transaction(async sql => {
    // Batches under way end first: no call answered from now on has been charged by the old version.
    await sql.query('select pg_advisory_xact_lock($1)', [deckLock])
    const now = await clockOf(sql)
    const from = asked.at ?? now
    const info = (await versionsOf(sql, config.id)).find(known => known.version === version) ?? null
    const activations = await activationsOf(sql, config.id)
    const replaces = versionAt(activations, from)
    if (info === null) throw wrong(config.id, `there is no version ${version}`)
    if (from < now && force === null) {
      throw wrong(config.id, `${iso(from)} has passed; calls since then need a reason (--force), and to be rated again`)
    }
    const again = activations.some(activation => activation.version === version)
    if (!again && info.baseVersion !== replaces) {
      const why = `was imported against version ${info.baseVersion}, but version ${replaces} is in force then`
      throw wrong(config.id, `version ${version} ${why}: import it again`)
    }
    const next = await anyRowsOf(sql, config, version)
    const replaceable = replaces > 0 || config.rates.every(({ bands }) => bands.length === 0)
    const diff = diffDecks(replaceable ? await anyRowsOf(sql, config, replaces) : [], next, from)
    check(asked, info, diff, from)
    await sql.query(
      `insert into deck_activation (agreement_id, version, in_force_from, activated_by, forced_reason)
       values ($1, $2, $3, $4, $5)`,
      [config.id, version, iso(from), by, force]
    )
    const later = activations.filter(activation => activation.from > from).map(activation => activation.version)
    return { version, replaces, from, diff, later }
  })
}

function check(
  { config, force, closedAreMeant }: ActivationAsked,
  info: VersionInfo,
  diff: DeckDiff,
  from: EpochMs
): void {
  if (diff.closedCodes * 100 > diff.codes * limits.closedPercentMax && !closedAreMeant) {
    const many = `closes ${diff.closedCodes} of ${diff.codes} codes, more than ${limits.closedPercentMax} %`
    throw wrong(config.id, `version ${info.version} ${many}; look at the diff, then say --confirm-closed`)
  }
  const sudden = withoutNotice(diff, info.importedAt.getTime(), from, config.noticeDays)
  if (sudden.length === 0 || force !== null) return
  const told = sudden.slice(0, limits.problemsMax)
  const lines = told.map(({ prefix, before, after }) => `  ${prefix} from ${before ?? ''} to ${after ?? ''}`)
  const more = sudden.length > told.length ? [`  and ${sudden.length - told.length} more`] : []
  const many = `${sudden.length} increase${sudden.length === 1 ? '' : 's'} without ${config.noticeDays} days of notice`
  throw wrong(config.id, [`${many}; --force takes a reason`, ...lines, ...more].join('\n'))
}

const iso = (at: EpochMs): string => new Date(at).toISOString()
const wrong = (id: string, why: string): HubError => new HubError('HUB_CONFIG', `agreement ${id}: ${why}`)
