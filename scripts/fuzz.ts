// `npm run fuzz -- --minutes N`: inputs made of inputs against every parser and the SIP engine, guided by coverage.

import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Crash, Tally } from '../test/fuzz/run.ts'
import type { TargetName } from '../test/fuzz/targets.ts'

const limits = {
  /** Without the next input for so long, the one before never ended. */
  hangMs: 60_000,
  /** Memory of the worker: more is a crash. */
  heapMebibytesMax: 1_024,
  inputBytesMax: 65_536
} as const

const help = `npm run fuzz                        one minute
npm run fuzz -- --minutes N         so many minutes
npm run fuzz -- --executions N      so many inputs, whatever time they take
        --seed N        what chance begins with; any unless given, printed
        --target NAME   one of them; all unless given
        --crashes DIR   where inputs that break something go (default: fuzz-crashes)

Ends with 1 where something broke: copy the file to test/fuzz/fixtures, mend the code, run npm test -- test/fuzz.`

interface Work {
  readonly targets: readonly TargetName[]
  readonly seed: number
  readonly minutes: number | null
  readonly executions: number | null
  /** Counter, target, length, then the input. */
  readonly watched: SharedArrayBuffer
}
type Told =
  | { readonly kind: 'crash'; readonly crash: Crash }
  | { readonly kind: 'progress' | 'end'; readonly tally: Tally }

const headBytes = 12

async function work({ targets, seed, minutes, executions, watched }: Work): Promise<void> {
  const { fuzz } = await import('../test/fuzz/run.ts')
  const head = new Int32Array(watched, 0, 3)
  const body = Buffer.from(watched, headBytes)
  const until = minutes === null ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000
  const tell = (told: Told): void => parentPort?.postMessage(told, [])
  const tally = await fuzz({
    targets,
    seed,
    isOver: count => count >= (executions ?? Number.POSITIVE_INFINITY) || performance.now() > until,
    next: (target, input) => {
      head[1] = targets.indexOf(target)
      head[2] = body.write(input, 'latin1')
      Atomics.add(head, 0, 1)
    },
    crashed: crash => tell({ kind: 'crash', crash }),
    progress: tally => tell({ kind: 'progress', tally })
  })
  tell({ kind: 'end', tally })
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** Writes the input, and what it did beside it; the name of the file. */
function keep(folder: string, { target, input, what }: Crash): void {
  mkdirSync(folder, { recursive: true })
  const name = `${target}-${createHash('sha256').update(input, 'latin1').digest('hex').slice(0, 12)}`
  const file = join(folder, `${name}.bin`)
  writeFileSync(file, Buffer.from(input, 'latin1'))
  writeFileSync(join(folder, `${name}.txt`), `${what}\n`)
  say(`\n${target}: ${what}\n  kept as ${relative('.', file)}`)
}

const told = ({ executions, blocks, blocksKnown, kept }: Tally): string =>
  `${executions} inputs, ${blocks} of ${blocksKnown} blocks of code reached, ${kept} inputs kept`

async function main(): Promise<number> {
  const { targetNames } = await import('../test/fuzz/targets.ts')
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      executions: { type: 'string' },
      seed: { type: 'string' },
      target: { type: 'string' },
      crashes: { type: 'string' },
      help: { type: 'boolean', short: 'h' }
    }
  })
  if (values.help === true) {
    say(`${help}\n\nTargets: ${targetNames.join(', ')}.`)
    return 0
  }
  const targets = targetNames.filter(name => values.target === undefined || name === values.target)
  const given = [values.minutes, values.executions, values.seed].map(text => (text === undefined ? null : Number(text)))
  const [minutes = null, executions = null, begin = null] = given
  if (targets.length === 0 || given.some(number => number !== null && !(number >= 0))) {
    say(help)
    return 2
  }
  const seed = begin ?? Math.floor(Math.random() * 2 ** 31)
  say(`seed ${seed}, targets ${targets.join(', ')}`)
  const watched = new SharedArrayBuffer(headBytes + limits.inputBytesMax)
  const length = { minutes: minutes ?? (executions === null ? 1 : null), executions }
  return watch({ targets, seed, ...length, watched }, values.crashes ?? 'fuzz-crashes')
}

/** Runs the worker and ends it where it stands still or takes too much memory. */
function watch(data: Work, folder: string): Promise<number> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMebibytesMax }
  })
  const head = new Int32Array(data.watched, 0, 3)
  const current = (what: string): Crash => ({
    target: data.targets[head[1] ?? 0] ?? 'message',
    input: Buffer.from(data.watched, headBytes, head[2] ?? 0).toString('latin1'),
    what
  })
  let crashes = 0
  let ended = false
  let toldAt = 0
  let last = { count: -1, at: performance.now() }
  const crashed = (crash: Crash): void => {
    crashes++
    keep(folder, crash)
  }
  const { promise, resolve } = Promise.withResolvers<number>()
  const watching = setInterval(() => {
    const count = Atomics.load(head, 0)
    const now = performance.now()
    if (count !== last.count) last = { count, at: now }
    else if (now - last.at > limits.hangMs) {
      crashed(current(`no end after ${limits.hangMs} ms`))
      void worker.terminate()
    }
  }, 1_000)
  worker.on('message', (message: Told) => {
    if (message.kind === 'crash') crashed(message.crash)
    else if (message.kind === 'end' || performance.now() - toldAt > 10_000) {
      toldAt = performance.now()
      say(told(message.tally))
    }
    ended ||= message.kind === 'end'
  })
  worker.on('error', error => crashed(current(`the process broke: ${error.stack ?? error.message}`)))
  worker.on('exit', () => {
    clearInterval(watching)
    if (!ended) say('ended before its time')
    say(crashes === 0 ? 'nothing broke' : `${crashes} kinds of crashes`)
    resolve(ended && crashes === 0 ? 0 : 1)
  })
  return promise
}

if (isMainThread) process.exitCode = await main()
else await work(workerData as Work)
