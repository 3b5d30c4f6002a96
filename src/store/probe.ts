// Asks the database now and then whether it is there: since when not is what blindness is counted from.

import type { Database } from './database.ts'

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

export function createDatabaseProbe(
  database: Pick<Database, 'query'>,
  now: () => number = Date.now,
  limits: ProbeLimits = probeLimits
): DatabaseProbe {
  let downSince: number | null = null
  let timer: NodeJS.Timeout | undefined
  let asking: Promise<void> = Promise.resolve()
  let stopped = false

  async function ask(): Promise<void> {
    const askedAt = now()
    let late: NodeJS.Timeout | undefined
    const silence = new Promise<boolean>(resolve => {
      late = setTimeout(resolve, limits.answerMs, false)
    })
    const answer = database.query('select 1').then(
      () => true,
      () => false
    )
    const answered = await Promise.race([answer, silence])
    clearTimeout(late)
    downSince = answered ? null : (downSince ?? askedAt)
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
