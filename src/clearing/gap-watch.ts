// Tells of records that a node has numbered and nobody received (EOS-03), before a close finds them missing.

import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Database } from '../store/database.ts'
import { pause } from './pause.ts'

export const limits = {
  /** Between two looks. */
  everyMs: 60_000,
  /** Records of one node come by several ways: a number may be late for so long. */
  graceMs: 300_000,
  /** Ranges that an alarm lists. */
  listedMax: 20
} as const
export type GapLimits = { readonly [Name in keyof typeof limits]: number }

export interface GapWatch {
  start(): void
  stop(): Promise<void>
  /** Looks once. */
  look(): Promise<void>
}

export interface GapWatchParts {
  readonly database: Pick<Database, 'query'>
  readonly log: Logger
  readonly now?: () => number
  readonly limits?: Partial<GapLimits>
}

interface Gap {
  /** The lowest number that is missing. */
  readonly first: bigint
  readonly since: number
  told: boolean
}

interface Row {
  readonly node_id: string
  readonly first: bigint
  readonly records: bigint
  readonly missing: readonly string[]
}

/** A gap is told once; what is filled and opens again is another one. */
export function createGapWatch({ database, log, now = Date.now, limits: given = {} }: GapWatchParts): GapWatch {
  const bounds: GapLimits = { ...limits, ...given }
  const stopping = new AbortController()
  let gaps = new Map<string, Gap>()
  let running: Promise<void> | null = null

  async function look(): Promise<void> {
    const rows = await openGaps(database, bounds.listedMax)
    const next = new Map<string, Gap>()
    for (const { node_id: node, first, records, missing } of rows) {
      const before = gaps.get(node)
      const gap = before?.first === first ? before : { first, since: now(), told: false }
      next.set(node, gap)
      if (gap.told || now() - gap.since < bounds.graceMs) continue
      gap.told = true
      const facts = { alarm: 'records-missing', node, records: Number(records), missing }
      log.error(facts, 'records of a node are missing: its periods cannot be closed')
    }
    gaps = next
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await look()
      } catch (error) {
        log.debug({ reason: messageOf(error) }, 'missing records cannot be looked for')
      }
      await pause(bounds.everyMs, stopping.signal)
    }
  }

  return {
    look,
    start() {
      running ??= follow()
    },
    async stop() {
      stopping.abort()
      await running
    }
  }
}

/** Up to the last number that was received of each node. */
async function openGaps(database: Pick<Database, 'query'>, listedMax: number): Promise<readonly Row[]> {
  const { rows } = await database.query<Row>(
    `select node_id, lower(absent) as first, (select sum(upper(g) - lower(g))::bigint from unnest(absent) g) as records,
       array(select case upper(g) - lower(g) when 1 then lower(g)::text else lower(g) || '-' || upper(g) - 1 end
         from unnest(absent) g order by lower(g) limit $1) as missing
     from received, lateral (select int8multirange(int8range(1, upper(range_merge(seqs)))) - seqs as absent) a
     where not isempty(absent) order by node_id`,
    [listedMax]
  )
  return rows
}
