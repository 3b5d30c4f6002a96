// Group commit: what is asked within a few milliseconds shares one transaction, one transaction at a time, in the order
// in which it was asked. So a step costs a fraction of a commit, and none is answered before it is durable.

import { setTimeout as pause } from 'node:timers/promises'
import { HubError } from '../../errors.ts'

export const limits = {
  /** How long the first step of a group waits for others while no transaction is under way. */
  gatherMs: 2,
  /** Steps of one transaction. */
  stepsMax: 512,
  /** Steps that wait; one more is refused at once. */
  waitingMax: 10_000,
  /** Longer than this nobody waits for an answer: the call has to go on or to be refused. */
  answerMs: 3_000
} as const
export type GroupLimits = { readonly [Name in keyof typeof limits]: number }

/** The verdict of a step that has to wait: it takes part in the next group, before those asked after it. */
export const later = Symbol('later')

export interface Group<Step, Verdict> {
  /**
   * Resolves once the step is durable. Rejects with HUB_LIMIT at `waitingMax` and after `answerMs` (it may still be
   * done then), and with the error of the transaction where that failed.
   */
  ask(step: Step): Promise<Verdict>
  /** Steps that wait, those of the transaction under way included. */
  readonly waiting: number
  /** Resolves when nothing waits; what is asked later is refused. */
  close(): Promise<void>
}

interface Asked<Step, Verdict> {
  readonly step: Step
  readonly resolve: (verdict: Verdict) => void
  readonly reject: (error: unknown) => void
  readonly late: NodeJS.Timeout
  /** Nobody waits for it any more. */
  isLate: boolean
}

const full = (waitingMax: number): HubError =>
  new HubError('HUB_LIMIT', `${waitingMax} steps wait for credit already`, { retryable: true })
const tooLate = (answerMs: number): HubError =>
  new HubError('HUB_LIMIT', `credit did not answer within ${answerMs} ms`, { retryable: true })

type Commit<Step, Verdict> = (steps: readonly Step[]) => Promise<readonly (Verdict | typeof later)[]>

/** Answers a group; returns those that have to wait. */
async function commitGroup<Step, Verdict>(
  group: readonly Asked<Step, Verdict>[],
  commit: Commit<Step, Verdict>
): Promise<Asked<Step, Verdict>[]> {
  const waiting: Asked<Step, Verdict>[] = []
  try {
    const verdicts = await commit(group.map(({ step }) => step))
    for (const [n, asked] of group.entries()) {
      const verdict = verdicts[n] as Verdict | typeof later
      if (verdict === later) waiting.push(asked)
      else asked.resolve(verdict)
    }
  } catch (error) {
    for (const { reject } of group) reject(error)
  }
  const kept = new Set(waiting)
  for (const asked of group) if (!kept.has(asked)) clearTimeout(asked.late)
  return waiting
}

/** `commit` does all steps in one transaction and returns their verdicts, or `later`, in the same order. */
export function createGroup<Step, Verdict>(
  commit: Commit<Step, Verdict>,
  given: Partial<GroupLimits> = {}
): Group<Step, Verdict> {
  const bounds: GroupLimits = { ...limits, ...given }
  let queue: Asked<Step, Verdict>[] = []
  let underWay = 0
  let running: Promise<void> | null = null
  let gathering: NodeJS.Timeout | null = null
  let closed = false

  async function run(): Promise<void> {
    while (queue.length > 0) {
      const group = queue.slice(0, bounds.stepsMax).filter(({ isLate }) => !isLate)
      queue = queue.slice(bounds.stepsMax)
      underWay = group.length
      const waiting = group.length === 0 ? [] : await commitGroup(group, commit)
      underWay = 0
      if (waiting.length === 0) continue
      queue = [...waiting, ...queue]
      await pause(bounds.gatherMs)
    }
  }

  function flush(): void {
    if (gathering !== null) clearTimeout(gathering)
    gathering = null
    running ??= run().finally(() => {
      running = null
      // Asked while the last one was being answered.
      if (queue.length > 0) flush()
    })
  }

  function put(step: Step, resolve: (verdict: Verdict) => void, reject: (error: unknown) => void): void {
    const late = setTimeout(() => {
      asked.isLate = true
      reject(tooLate(bounds.answerMs))
    }, bounds.answerMs)
    late.unref()
    const asked: Asked<Step, Verdict> = { step, resolve, reject, late, isLate: false }
    queue.push(asked)
    if (running !== null) return
    if (queue.length >= bounds.stepsMax) flush()
    else gathering ??= setTimeout(flush, bounds.gatherMs)
  }

  return {
    ask: step =>
      new Promise((resolve, reject) => {
        if (closed) reject(new HubError('HUB_LIMIT', 'credit is closed'))
        else if (queue.length + underWay >= bounds.waitingMax) reject(full(bounds.waitingMax))
        else put(step, resolve, reject)
      }),
    get waiting() {
      return queue.length + underWay
    },
    async close() {
      closed = true
      if (queue.length > 0) flush()
      for (let last = running; last !== null; last = running) await last
    }
  }
}
