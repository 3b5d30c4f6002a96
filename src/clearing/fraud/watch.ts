// Fraud control of a running hub: every durable record is held against the rules, what they say is kept and, where a
// rule may, blocked; the blocks of all hubs are read again and again. A call never waits for any of it.

import type { FraudConfig } from '../../config/fraud.ts'
import { messageOf } from '../../errors.ts'
import type { CdrRecord } from '../../events/cdr.ts'
import type { Logger } from '../../log.ts'
import type { Database } from '../../store/database.ts'
import type { AgreementBook } from '../agreements.ts'
import { pause } from '../pause.ts'
import { createBlockList } from './blocks.ts'
import type { BlockList } from './blocks.ts'
import { createDetector } from './detector.ts'
import type { Detector } from './detector.ts'
import { factsOf } from './facts.ts'
import { limits } from './model.ts'
import type { FraudRule, Signal } from './model.ts'
import { activeBlocks, addBlock, addSignal } from './store.ts'

export interface FraudWatch {
  /** Durable records as they come; returns at once. */
  see(records: readonly CdrRecord[]): void
  /** Those that are known now; while the database is away, those that were known last. */
  readonly blocks: BlockList
  start(): void
  stop(): Promise<void>
  /** Everything that waits, at once, and the blocks anew. */
  catchUp(): Promise<void>
}

export interface FraudWatchParts {
  readonly config: FraudConfig
  readonly database: Database
  readonly book: AgreementBook
  readonly nodeId: string
  readonly log: Logger
  readonly pollMs?: number
  readonly waitingMax?: number
}

/** Which rules may block. */
const mayBlock = ({ irsf, wangiri, fas, spike }: FraudConfig): Readonly<Record<FraudRule, boolean>> => ({
  'irsf-money': irsf.block,
  'irsf-range': irsf.block,
  wangiri: wangiri.block,
  fas: fas.block,
  spike: spike.block
})

export const createFraudWatch = (parts: FraudWatchParts): FraudWatch => new Watch(parts)

class Watch implements FraudWatch {
  readonly #parts: FraudWatchParts
  readonly #detector: Detector
  readonly #blocking: Readonly<Record<FraudRule, boolean>>
  readonly #waiting: Signal[] = []
  readonly #stopping = new AbortController()
  #blocks = createBlockList([])
  #running: Promise<void> | null = null
  /** Ends a pause: a signal has come. */
  #wake = new AbortController()

  constructor(parts: FraudWatchParts) {
    this.#parts = parts
    this.#detector = createDetector(parts.config)
    this.#blocking = mayBlock(parts.config)
  }

  get blocks(): BlockList {
    return this.#blocks
  }

  see(records: readonly CdrRecord[]): void {
    const { config, book } = this.#parts
    if (!config.enabled) return
    for (const record of records) {
      const call = factsOf(record, book)
      if (call === null) continue
      for (const signal of this.#detector.see(call)) this.#keep(signal)
    }
  }

  #keep(signal: Signal): void {
    const { log, waitingMax = limits.signalsWaitingMax } = this.#parts
    const { rule, text, counters } = signal
    log.warn({ alarm: 'fraud', rule, counters, blocks: this.#blocking[rule] }, text)
    this.#waiting.push(signal)
    if (this.#waiting.length > waitingMax) {
      this.#waiting.shift()
      log.error({ waitingMax }, 'fraud signals cannot be kept: the oldest was dropped')
    }
    this.#wake.abort()
  }

  async #store(signal: Signal): Promise<void> {
    const { database, config, nodeId } = this.#parts
    const { rule, text: reason } = signal
    await database.transaction(async sql => {
      const signalId = await addSignal(sql, signal, nodeId)
      if (!this.#blocking[rule]) return
      for (const scope of signal.blocks) {
        await addBlock(sql, { ...scope, rule, signalId, reason, minutes: config.blockMinutes, by: `rule ${rule}` })
      }
    })
  }

  async catchUp(): Promise<void> {
    const waiting = this.#waiting
    for (let signal = waiting[0]; signal !== undefined; signal = waiting[0]) {
      await this.#store(signal)
      // What was dropped meanwhile to make room is gone already.
      if (waiting[0] === signal) waiting.shift()
    }
    this.#blocks = createBlockList(await activeBlocks(this.#parts.database))
  }

  start(): void {
    this.#running ??= this.#follow()
  }

  async #follow(): Promise<void> {
    const { log, pollMs = limits.pollMs } = this.#parts
    const { signal } = this.#stopping
    while (!signal.aborted) {
      this.#wake = new AbortController()
      try {
        await this.catchUp()
      } catch (error) {
        log.warn({ reason: messageOf(error), waiting: this.#waiting.length }, 'fraud control lacks the database')
        this.#wake = new AbortController()
      }
      await pause(pollMs, AbortSignal.any([signal, this.#wake.signal]))
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}
