// Fraud control of a running hub: every durable record is held against the rules, what they say is kept and, where a rule
// may, blocked; the blocks of all hubs are read again and again. A call never waits for any of it.

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

export function createFraudWatch(parts: FraudWatchParts): FraudWatch {
  const { config, database, book, nodeId, log } = parts
  const { pollMs = limits.pollMs, waitingMax = limits.signalsWaitingMax } = parts
  const detector = createDetector(config)
  const blocking = mayBlock(config)
  const waiting: Signal[] = []
  const stopping = new AbortController()
  let blocks = createBlockList([])
  let running: Promise<void> | null = null
  let wake = new AbortController()

  function keep(signal: Signal): void {
    const { rule, text, counters } = signal
    log.warn({ alarm: 'fraud', rule, counters, blocks: blocking[rule] }, text)
    waiting.push(signal)
    if (waiting.length > waitingMax) {
      waiting.shift()
      log.error({ waitingMax }, 'fraud signals cannot be kept: the oldest was dropped')
    }
    wake.abort()
  }

  async function store(signal: Signal): Promise<void> {
    const { rule, text } = signal
    await database.transaction(async sql => {
      const signalId = await addSignal(sql, signal, nodeId)
      if (!blocking[rule]) return
      for (const scope of signal.blocks) {
        const minutes = config.blockMinutes
        await addBlock(sql, { ...scope, rule, signalId, reason: text, minutes, by: `rule ${rule}` })
      }
    })
  }

  async function catchUp(): Promise<void> {
    for (let signal = waiting[0]; signal !== undefined; signal = waiting[0]) {
      await store(signal)
      // What was dropped meanwhile to make room is gone already.
      if (waiting[0] === signal) waiting.shift()
    }
    blocks = createBlockList(await activeBlocks(database))
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = new AbortController()
      try {
        await catchUp()
      } catch (error) {
        log.warn({ reason: messageOf(error), waiting: waiting.length }, 'fraud control cannot reach the database')
        wake = new AbortController()
      }
      await pause(pollMs, AbortSignal.any([stopping.signal, wake.signal]))
    }
  }

  return {
    see(records) {
      if (!config.enabled) return
      for (const record of records) {
        const call = factsOf(record, book)
        if (call === null) continue
        for (const signal of detector.see(call)) keep(signal)
      }
    },
    get blocks() {
      return blocks
    },
    start() {
      running ??= follow()
    },
    async stop() {
      stopping.abort()
      await running
    },
    catchUp
  }
}
