// The PostgreSQL server process: started in a session of its own, watched, replaced when it dies, stopped last.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { errnoOf } from '../errors.ts'
import type { HubError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { cleanEnvironment, databaseError } from './postgres-binaries.ts'
import type { Account } from './postgres-binaries.ts'

export const postmasterLimits = {
  /** Recovery after a crash is part of it. */
  startMs: 120_000,
  startAttemptsMax: 4,
  /** Between two attempts to start: the backends of a killed server need a moment to go. */
  againMs: 500,
  restartMsMax: 30_000,
  /** A fast shutdown, with its checkpoint; then an immediate one. */
  stopMs: 60_000,
  quitMs: 10_000,
  pollMs: 20,
  logTailCharactersMax: 2_000
} as const

export interface PidFile {
  readonly pid: number
  readonly port: number
  readonly socketDir: string
  readonly ready: boolean
}

/** What `postmaster.pid` says; null where there is none or it is half written. */
export function readPidFile(cluster: string): PidFile | null {
  let lines: readonly string[]
  try {
    lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')
  } catch {
    return null
  }
  const [pid = '', , , port = '', socketDir = '', , , status = ''] = lines
  if (!/^[0-9]+$/.test(pid)) return null
  return { pid: Number(pid), port: Number(port), socketDir: socketDir.trim(), ready: status.trim() === 'ready' }
}

/** Whether a pid is a living PostgreSQL: neither a zombie nor somebody who got the number later. */
export function isPostgres(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM' && commandOf(pid) !== 'other'
  }
  return commandOf(pid) !== 'other'
}

function commandOf(pid: number): 'postgres' | 'other' | 'unknown' {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const end = stat.lastIndexOf(')')
    const state = stat.slice(end + 2, end + 3)
    return stat.slice(0, end).endsWith('(postgres') && state !== 'Z' && state !== 'X' ? 'postgres' : 'other'
  } catch {
    return process.platform === 'linux' ? 'other' : 'unknown'
  }
}

/** Ends a postmaster that is not our child: fast, then immediate. Throws HUB_DATABASE where it stays. */
export async function stopPostmaster(pid: number): Promise<void> {
  const steps = [
    ['SIGINT', postmasterLimits.stopMs],
    ['SIGQUIT', postmasterLimits.quitMs]
  ] as const
  for (const [signal, ms] of steps) {
    if (!sent(pid, signal) || (await until(() => !isPostgres(pid), ms))) return
  }
  throw databaseError(`the PostgreSQL server with pid ${pid} does not stop`)
}

function sent(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (cause) {
    if (errnoOf(cause) === 'ESRCH') return false
    throw databaseError(`the PostgreSQL server with pid ${pid} cannot be stopped`, { cause })
  }
}

async function until(condition: () => boolean, ms: number): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await wait(postmasterLimits.pollMs)) if (condition()) return true
  return condition()
}

export interface PostmasterOptions {
  readonly program: string
  readonly cluster: string
  readonly socketDir: string
  readonly logFile: string
  readonly account: Account | null
  /** `name=value` */
  readonly settings: readonly string[]
  readonly log: Logger
}

/** One server over its whole life, whichever process carries it. */
export class Postmaster {
  readonly #options: PostmasterOptions
  #child: ChildProcess | null = null
  #phase: 'idle' | 'serving' | 'stopping' = 'idle'
  #watch: Promise<void> = Promise.resolve()
  readonly #stopped = new AbortController()
  readonly #onExit = (): void => void this.#child?.kill('SIGINT')

  constructor(options: PostmasterOptions) {
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async start(): Promise<void> {
    // Leaving without `stop` (an uncaught exception) still shuts the server down; no signal is hooked.
    process.on('exit', this.#onExit)
    try {
      await this.#launchPatiently()
    } catch (error) {
      process.off('exit', this.#onExit)
      throw error
    }
    this.#phase = 'serving'
    this.#supervise()
  }

  async stop(): Promise<void> {
    this.#phase = 'stopping'
    this.#stopped.abort()
    await this.#watch
    process.off('exit', this.#onExit)
    const child = this.#child
    if (child === null || hasEnded(child)) return
    for (const [signal, ms] of [
      ['SIGINT', postmasterLimits.stopMs],
      ['SIGQUIT', postmasterLimits.quitMs]
    ] as const) {
      child.kill(signal)
      if (await ended(child, ms)) return
    }
    this.#options.log.error({ pid: child.pid }, 'the embedded PostgreSQL does not stop')
  }

  async #launchPatiently(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#launch()
      } catch (error) {
        if (attempt === postmasterLimits.startAttemptsMax || this.#stopped.signal.aborted) throw error
        this.#options.log.warn({ err: error, attempt }, 'the embedded PostgreSQL did not start, trying again')
        await wait(postmasterLimits.againMs)
      }
    }
  }

  async #launch(): Promise<void> {
    const { program, cluster, socketDir, logFile, account, settings } = this.#options
    const args = ['-D', cluster, '-k', socketDir, ...settings.flatMap(setting => ['-c', setting])]
    // Emptied at each start; the server writes little into it (log_min_messages).
    const output = openSync(logFile, 'w', 0o600)
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: cluster,
      env: cleanEnvironment,
      ...account
    })
    closeSync(output)
    this.#child = child
    let problem: unknown = null
    child.once('error', error => (problem = error))
    child.unref()
    const ready = (): boolean => {
      const file = readPidFile(cluster)
      return file !== null && file.pid === child.pid && file.ready
    }
    await until(() => problem !== null || hasEnded(child) || ready(), postmasterLimits.startMs)
    if (!hasEnded(child) && problem === null && ready()) return
    child.kill('SIGQUIT')
    throw databaseError(`the embedded PostgreSQL did not start: ${this.#lastWords()}`, { cause: problem ?? undefined })
  }

  #lastWords(): string {
    const text = readFileSync(this.#options.logFile, 'utf8').trim()
    return text === '' ? 'no reason given' : text.slice(-postmasterLimits.logTailCharactersMax)
  }

  #supervise(): void {
    this.#child?.once('exit', (code, signal) => {
      if (this.#phase !== 'serving') return
      this.#options.log.error({ code, signal }, 'the embedded PostgreSQL has died, starting it again')
      this.#watch = this.#replace()
    })
  }

  async #replace(): Promise<void> {
    const { log } = this.#options
    for (let pauseMs: number = postmasterLimits.againMs; this.#phase === 'serving';) {
      try {
        await this.#launchPatiently()
        log.info({ pid: this.pid }, 'the embedded PostgreSQL serves again')
        return this.#supervise()
      } catch (error) {
        log.error({ err: error }, 'the embedded PostgreSQL cannot be started again')
      }
      await wait(pauseMs, undefined, { signal: this.#stopped.signal }).catch(() => null)
      pauseMs = Math.min(pauseMs * 2, postmasterLimits.restartMsMax)
    }
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

async function ended(child: ChildProcess, ms: number): Promise<boolean> {
  return until(() => hasEnded(child), ms)
}

/** For callers that ask a server that is not theirs. */
export const notServing = (dataDir: string): HubError =>
  databaseError(`the embedded PostgreSQL in ${dataDir} is in use but does not serve yet`)
