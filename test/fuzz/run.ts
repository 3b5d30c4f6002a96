// The loop: mutates what is known, keeps what reaches new code (block coverage of V8), reports what breaks.

import { Session } from 'node:inspector'
import type { Profiler } from 'node:inspector'
import { mulberry32 } from '../support/random.ts'
import { seeds } from './corpus.ts'
import { mutate } from './mutate.ts'
import { createTarget } from './targets.ts'
import type { Target, TargetName } from './targets.ts'

export const fuzzLimits = {
  /** Inputs between two looks at the coverage; after so many of these the target may rest. */
  batch: 50,
  restBatches: 8,
  /** Inputs that are kept for one target; a new one takes the place of any. */
  corpusMax: 1_000,
  /** Time of the processor for one input: more is as bad as a crash. */
  cpuMsMax: 2_000,
  crashesMax: 50
} as const

export interface Crash {
  readonly target: TargetName
  readonly what: string
  /** latin1 */
  readonly input: string
}

export interface Tally {
  readonly executions: number
  readonly blocks: number
  readonly blocksKnown: number
  readonly kept: number
}

export interface RunOptions {
  readonly targets: readonly TargetName[]
  readonly seed: number
  /** Asked after each batch. */
  readonly isOver: (executions: number) => boolean
  /** Before each input: whoever watches knows it then, should it never end. */
  readonly next: (target: TargetName, input: string) => void
  readonly crashed: (crash: Crash) => void
  readonly progress: (tally: Tally) => void
}

/** Blocks of our sources, and which of them have run. */
class Coverage {
  readonly #session = new Session()
  readonly #seen = new Set<string>()
  readonly #known = new Set<string>()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Blocks that have run since the last call, and never before. */
  take(): Set<string> {
    const fresh = new Set<string>()
    for (const block of this.ran()) {
      if (!this.#seen.has(block)) fresh.add(block)
      this.#seen.add(block)
    }
    return fresh
  }

  /** Blocks that have run since the last look. */
  ran(): readonly string[] {
    let found: readonly Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
      found = result
    })
    const blocks: string[] = []
    for (const { url, functions } of found) {
      const at = url.indexOf('/src/')
      if (at < 0 || url.includes('/node_modules/')) continue
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${url.slice(at)}:${startOffset}-${endOffset}`
          this.#known.add(block)
          if (count > 0) blocks.push(block)
        }
      }
    }
    return blocks
  }

  get blocks(): number {
    return this.#seen.size
  }

  get known(): number {
    return this.#known.size
  }

  stop(): void {
    this.#session.disconnect()
  }
}

/** One crash is told once: by its words without what changes, and by where it happened. */
const kindOf = (error: unknown): string => {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const at = /\/src\/[^):]+:\d+/.exec(stack)?.[0] ?? ''
  return `${message.slice(0, 60).replace(/[0-9"'`].*/s, '')}|${at}`
}

interface Turn {
  readonly name: TargetName
  readonly target: Target
  readonly corpus: string[]
}

class Runner {
  readonly #options: RunOptions
  readonly #coverage = new Coverage()
  readonly #kinds = new Set<string>()
  readonly #targets: readonly Turn[]
  executions = 0

  constructor(options: RunOptions) {
    this.#options = options
    this.#targets = options.targets.map(name => ({ name, target: createTarget(name), corpus: [...seeds(name)] }))
  }

  async run(): Promise<Tally> {
    const { seed, isOver, progress } = this.#options
    const chance = mulberry32(seed)
    for (const { name, target, corpus } of this.#targets) for (const input of corpus) this.#try(name, target, input)
    this.#coverage.take()
    for (let batch = 0; !isOver(this.executions) && this.#kinds.size < fuzzLimits.crashesMax; batch++) {
      const turn = this.#targets[batch % this.#targets.length]
      if (turn === undefined) break
      this.#batch(turn, chance)
      if (batch % (this.#targets.length * fuzzLimits.restBatches) < this.#targets.length) await this.#rest(turn)
      progress(this.#tally)
    }
    for (const turn of this.#targets) await this.#rest(turn)
    this.#coverage.stop()
    return this.#tally
  }

  #batch({ name, target, corpus }: Turn, chance: (below: number) => number): void {
    // What was found last leads on most often.
    const any = (): string =>
      corpus[chance(2) === 0 ? chance(corpus.length) : corpus.length - 1 - chance(Math.min(20, corpus.length))] ?? ''
    const inputs = Array.from({ length: fuzzLimits.batch }, () => mutate(any(), any(), chance))
    for (const input of inputs) this.#try(name, target, input)
    const fresh = this.#coverage.take()
    // Each again, to see which of them it was.
    for (const input of fresh.size === 0 ? [] : inputs) {
      this.#try(name, target, input)
      const size = fresh.size
      for (const block of this.#coverage.ran()) fresh.delete(block)
      if (fresh.size === size) continue
      if (corpus.length < fuzzLimits.corpusMax) corpus.push(input)
      else corpus[chance(corpus.length)] = input
    }
  }

  #try(name: TargetName, target: Target, input: string): void {
    this.executions++
    this.#options.next(name, input)
    const before = process.cpuUsage()
    try {
      target.run(input)
    } catch (error) {
      this.#report(name, input, error)
    }
    const { user } = process.cpuUsage(before)
    if (user > fuzzLimits.cpuMsMax * 1_000) this.#report(name, input, new Error(`slow: ${user / 1_000} ms`))
  }

  async #rest({ name, target, corpus }: Turn): Promise<void> {
    try {
      await target.rest?.()
    } catch (error) {
      this.#report(name, corpus.at(-1) ?? '', error)
    }
  }

  #report(target: TargetName, input: string, error: unknown): void {
    const kind = `${target}|${kindOf(error)}`
    if (this.#kinds.has(kind)) return
    this.#kinds.add(kind)
    this.#options.crashed({
      target,
      input,
      what: error instanceof Error ? (error.stack ?? error.message) : String(error)
    })
  }

  get #tally(): Tally {
    const kept = this.#targets.reduce((sum, { corpus }) => sum + corpus.length, 0)
    return { executions: this.executions, blocks: this.#coverage.blocks, blocksKnown: this.#coverage.known, kept }
  }
}

/** Ends when `isOver` says so, or with too many crashes. */
export const fuzz = (options: RunOptions): Promise<Tally> => new Runner(options).run()
