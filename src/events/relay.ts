// Moves durable records from the journal to the event log, in order, for as long as it takes.

import { HubError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { CdrRecord } from './cdr.ts'
import type { EventSink } from './event-log.ts'
import type { Journal } from './journal.ts'

export const relayLimits = {
  /** Records of one append. */
  batchMax: 500,
  /** From one append to the next: under load records go in batches, the first never waits. */
  gatherMs: 100,
  /** An append that has not settled by then counts as failed; doing it again is harmless. */
  appendMs: 30_000,
  /** After a failure, doubled each time up to the maximum, less up to half of it by chance. */
  retryMs: 250,
  retryMsMax: 30_000,
  /** Between two alarms about the same outage. */
  alarmMs: 60_000
} as const
export type RelayLimits = { readonly [Name in keyof typeof relayLimits]: number }

export interface RelayOptions {
  readonly journal: Journal
  readonly eventLog: EventSink
  readonly log: Logger
  readonly onRelayed: (records: readonly CdrRecord[]) => void
  readonly now: () => number
  readonly limits?: Partial<RelayLimits>
  /** From 0 up to 1: spreads the retries of many hubs. */
  readonly chance?: () => number
}

export class Relay {
  readonly #options: RelayOptions
  readonly #limits: RelayLimits
  readonly #stopping = new AbortController()
  #running: Promise<void> | null = null
  #failures = 0
  #failingSince: number | null = null
  #alarmedAt = 0
  #backingOff = false
  #wake: () => void = () => undefined
  readonly #onCaughtUp = new Set<() => void>()

  constructor(options: RelayOptions) {
    this.#options = options
    this.#limits = { ...relayLimits, ...options.limits }
  }

  /** Epoch milliseconds of the first failure of the outage that lasts now; null while the event log takes records. */
  get failingSince(): number | null {
    return this.#failingSince
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** There is something new to relay. It does not shorten a back-off. */
  notify(): void {
    if (!this.#backingOff) this.#wake()
  }

  /** True once nothing durable waits; false when that takes longer than `ms`. An outage is tried again at once. */
  async caughtUp(ms: number): Promise<boolean> {
    if (this.#options.journal.waiting === 0) return true
    return new Promise(resolve => {
      const tell = (): void => {
        clearTimeout(timer)
        this.#onCaughtUp.delete(tell)
        resolve(this.#options.journal.waiting === 0)
      }
      const timer = setTimeout(tell, ms)
      this.#onCaughtUp.add(tell)
      this.#wake()
    })
  }

  /** Ends after the append under way; what waits stays in the journal. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { journal, log, onRelayed } = this.#options
    while (!this.#stopping.signal.aborted) {
      try {
        const kept = await journal.peek(this.#limits.batchMax)
        if (kept.length === 0) {
          for (const tell of this.#onCaughtUp) tell()
          await this.#pause(null)
          continue
        }
        const records = kept.map(({ record }) => record)
        const texts = kept.map(({ json }) => json)
        await this.#append(records, texts)
        journal.shift(records.length)
        onRelayed(records)
        if (this.#failingSince !== null) log.info({ waiting: journal.waiting }, 'the event log takes records again')
        this.#failures = 0
        this.#failingSince = null
        const isAll = records.length < this.#limits.batchMax
        if (isAll && this.#onCaughtUp.size === 0) await this.#pause(this.#limits.gatherMs)
      } catch (error) {
        await this.#pause(this.#failed(error))
      }
    }
  }

  /** Returns how long to wait. */
  #failed(error: unknown): number {
    const { journal, log, now: clock, chance = Math.random } = this.#options
    const { retryMs, retryMsMax, alarmMs } = this.#limits
    const now = clock()
    if (this.#failingSince === null || now - this.#alarmedAt >= alarmMs) {
      this.#alarmedAt = now
      const facts = { alarm: 'event-log-away', err: error, waiting: journal.waiting }
      log.error(facts, 'the event log takes no records; the journal keeps them')
    }
    this.#failingSince ??= now
    // Somebody waits for the end: short pauses until then.
    const fullMs = this.#onCaughtUp.size > 0 ? retryMs : Math.min(retryMs * 2 ** this.#failures, retryMsMax)
    this.#failures = Math.min(this.#failures + 1, 30)
    return fullMs * (1 - chance() / 2)
  }

  async #append(records: readonly CdrRecord[], texts: readonly (string | Buffer)[]): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new HubError('HUB_EVENT_LOG', 'the event log did not answer', { retryable: true }))
      }, this.#limits.appendMs)
    })
    try {
      await Promise.race([this.#options.eventLog.append(records, texts), late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** For so long, or (null) until there is something to do; `stop` and `caughtUp` end it. */
  #pause(ms: number | null): Promise<void> {
    return new Promise(resolve => {
      let timer: NodeJS.Timeout | undefined
      const done = (): void => {
        clearTimeout(timer)
        this.#wake = () => undefined
        this.#backingOff = false
        resolve()
      }
      this.#wake = done
      if (this.#stopping.signal.aborted) return done()
      if (ms === null) return this.#options.journal.waiting > 0 || this.#onCaughtUp.size > 0 ? done() : undefined
      this.#backingOff = true
      timer = setTimeout(done, ms)
    })
  }
}
