// Asks the database now and then whether it is there and can be written to: since when not is what blindness is counted
// from. A server whose disk is full answers questions and keeps nothing.

import { messageOf } from '../errors.ts'
import type { Database } from './database.ts'
import { sqlStateOf } from './sql.ts'

export const probeLimits = {
  everyMs: 5_000,
  /** An answer that takes longer is none. */
  answerMs: 4_000
} as const
export type ProbeLimits = { readonly [Name in keyof typeof probeLimits]: number }

export interface DatabaseProbe {
  /** Epoch milliseconds of the first question without an answer; null while there are answers. */
  readonly downSince: number | null
  start(): void
  stop(): Promise<void>
}

/** One transaction that needs a megabyte of the disk, and leaves nothing. */
const question = `create temporary table disk_room (filler text) on commit drop;
  insert into disk_room select repeat('x', 1000) from generate_series(1, 1000)`
/** Who may not ask it has an answer, too. */
const forbidden = '42501'

export function createDatabaseProbe(
  database: Pick<Database, 'query'>,
  now: () => number = Date.now,
  limits: ProbeLimits = probeLimits,
  /** Once when it begins (why), once when it is over (null). */
  onChange: (why: string | null) => void = () => undefined
): DatabaseProbe {
  let downSince: number | null = null
  let timer: NodeJS.Timeout | undefined
  let asking: Promise<void> = Promise.resolve()
  let stopped = false

  async function ask(): Promise<void> {
    const askedAt = now()
    let late: NodeJS.Timeout | undefined
    const silence = new Promise<string>(resolve => {
      late = setTimeout(resolve, limits.answerMs, `no answer in ${limits.answerMs} ms`)
    })
    const answer = database.query(question).then(
      () => null,
      (error: unknown) => (sqlStateOf(error) === forbidden ? null : messageOf(error))
    )
    const why = await Promise.race([answer, silence])
    clearTimeout(late)
    const wasDown = downSince !== null
    downSince = why === null ? null : (downSince ?? askedAt)
    if (wasDown !== (why !== null)) onChange(why)
  }
  function later(): void {
    if (!stopped) timer = setTimeout(() => void (asking = ask().finally(later)), limits.everyMs)
  }

  return {
    get downSince() {
      return downSince
    },
    start: later,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await asking
    }
  }
}
