// The whole hub as its user runs it: `src/main.ts` in a process of its own, on free ports and a folder of its own.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { createTableLog } from '../../src/events/embedded.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { cdrRecord } from '../../src/events/cdr.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { migrations } from '../../src/compose.ts'
import { errnoOf } from '../../src/errors.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { openTempDir } from './database.ts'

export { eventually } from './until.ts'

const root = resolve(import.meta.dirname, '../..')

/** What `npm start` gives to Node. */
const startArgs = startScript()
  .replace(/^exec node /, '')
  .split(' ')

function startScript(): string {
  const manifest = readFileSync(join(root, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { readonly scripts: { readonly start: string } }).scripts.start
}
export const hubLimits = {
  readyMs: 60_000,
  exitMs: 60_000,
  logBytesMax: 4_000_000
} as const

export interface HubProcess {
  readonly pid: number
  readonly folder: string
  /** Where it listens, by what: `SIP over WebSocket`, `operators, SIP/UDP` ... */
  where(what: string): string
  /** The port of an operator-side listener. */
  sipPort(transport: 'udp' | 'tcp' | 'tls'): number
  /** Everything it has logged, one object a line. */
  logged(): readonly Readonly<Record<string, unknown>>[]
  /** Nothing where it has left already. */
  signal(signal: NodeJS.Signals): void
  /** `kill -9`; its folder stays, for another one to start on. */
  crash(): Promise<void>
  /** Exit code, or the signal that ended it. */
  readonly left: Promise<number | NodeJS.Signals>
  /** A connection to its database. */
  database(): Promise<Database>
  /** Every record in the event log, checked against its schema. */
  records(): Promise<readonly CdrRecord[]>
  /** SIGTERM, waits, and removes its folder. Returns the exit code. */
  stop(): Promise<number | NodeJS.Signals>
}

export interface HubProcessOptions {
  /** Merged over a configuration with port 0 everywhere. */
  readonly config: Readonly<Record<string, unknown>>
  /** The folder of an earlier one, to start again on its data. */
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  /** More of the command line. */
  readonly args?: readonly string[]
  /** By `npm start` in a process group of its own, as from a terminal; `signal` goes to the whole group. */
  readonly terminal?: boolean
}

/** Waits until it says that it is ready. Throws with its words when it leaves before. */
export async function startHubProcess({
  config,
  folder,
  env = {},
  args = [],
  terminal = false
}: HubProcessOptions): Promise<HubProcess> {
  const home = folder ?? openTempDir('isthmus-hub-')
  const file = join(home, 'isthmus.yaml')
  await writeFile(file, stringify(withDefaults(config, home)))
  const [program, before] = terminal ? ['npm', ['start', '--silent', '--']] : [process.execPath, startArgs]
  const child = spawn(program, [...before, '--config', file, '--json', ...args], {
    cwd: root,
    detached: terminal,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let out = ''
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-hubLimits.logBytesMax)
  })
  const left = new Promise<number | NodeJS.Signals>(settle =>
    child.once('close', (code, signal) => settle(code ?? signal ?? -1))
  )
  interface Ready {
    readonly pid: number
    readonly listening: readonly { readonly what: string; readonly where: string }[]
  }
  const ready = await new Promise<Ready>((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`the hub was not ready in time:\n${log}`)), hubLimits.readyMs)
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      if (!out.includes('\n')) return
      clearTimeout(timer)
      done(JSON.parse(out.slice(0, out.indexOf('\n'))) as never)
    })
    void left.then(code => {
      clearTimeout(timer)
      return failed(new Error(`the hub left with ${code}:\n${log}`))
    })
  })
  const where = (what: string): string => ready.listening.find(entry => entry.what === what)?.where ?? ''
  const databases: Database[] = []
  const database = async (): Promise<Database> => {
    const [open] = databases
    if (open !== undefined) return open
    const place =
      env['DATABASE_URL'] === undefined ? { dataDir: join(home, 'data'), join: true } : { url: env['DATABASE_URL'] }
    const opened = await openDatabase({ place, poolMax: 2, migrations, log: createLog('silent') })
    databases.push(opened)
    return opened
  }
  const closeDatabases = async (): Promise<void> => {
    for (const opened of databases.splice(0)) await opened.close()
  }
  return {
    pid: ready.pid,
    folder: home,
    where,
    sipPort: transport => Number(/:(\d+);/.exec(where(`operators, SIP/${transport.toUpperCase()}`))?.[1]),
    logged: () => log.split('\n').flatMap(lineOf),
    signal: signal => {
      try {
        process.kill(terminal ? -(child.pid ?? 0) : ready.pid, signal)
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') throw error
      }
    },
    crash: async () => {
      await closeDatabases()
      process.kill(ready.pid, 'SIGKILL')
      await left
    },
    left,
    database,
    records: async () => {
      const { records } = await createTableLog(await database()).read(cdrTopic, 0n, 100_000)
      return records.map(record => cdrRecord.parse(record))
    },
    stop: async () => {
      await closeDatabases()
      child.kill('SIGTERM')
      const guard = setTimeout(() => child.kill('SIGKILL'), hubLimits.exitMs)
      const code = await left
      clearTimeout(guard)
      await rm(home, { recursive: true, force: true })
      return code
    }
  }
}

function lineOf(line: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    return [JSON.parse(line) as Record<string, unknown>]
  } catch {
    return line.trim() === '' ? [] : [{ text: line }]
  }
}

function withDefaults(config: Readonly<Record<string, unknown>>, home: string): Record<string, unknown> {
  const given = (key: string) => (config[key] ?? {}) as Record<string, unknown>
  return {
    ...config,
    hub: { id: 'isthmus', node: 'node-1', dataDir: join(home, 'data'), drainMs: 2_000, ...given('hub') },
    log: { level: 'info', ...given('log') },
    events: { journalSlots: 2_200, ...given('events') },
    sipWs: { port: 0, ...given('sipWs') },
    nni: {
      listen: [
        { transport: 'udp', host: '127.0.0.1', port: 0 },
        { transport: 'tcp', host: '127.0.0.1', port: 0 }
      ],
      ...given('nni')
    }
  }
}
