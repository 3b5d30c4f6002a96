// Runs SIPp, the SIP peer nobody here wrote: a process per scenario, its files in a temporary folder, its counts read.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const sippLimits = { runMs: 60_000, readyMs: 10_000, pollMs: 20, outputBytesMax: 65_536 } as const

/** Where the scenarios of this project lie; another folder's file may be given with its path. */
export const sippScenarios = resolve(import.meta.dirname, '../interop/fixtures/sipp')

export interface SippOptions {
  /** A file: its name in `sippScenarios`, or an absolute path. */
  readonly scenario: string
  /** Where an UAC sends to; absent for a scenario that only answers. */
  readonly remote?: { readonly host: string; readonly port: number }
  readonly transport?: 'udp' | 'tcp'
  readonly host?: string
  /** The port to bind; any free one unless given. */
  readonly port?: number
  /** Calls before SIPp leaves by itself. */
  readonly calls?: number
  readonly callsPerSecond?: number
  /** `[service]` in the scenario: the user part called. */
  readonly service?: string
  /** `[keyword]`s of the scenario. */
  readonly keys?: Readonly<Record<string, string>>
  /** `[fieldN]`s of the scenario: a path to an -inf file. */
  readonly injection?: string
  /** The length of an empty <pause/> in ms. */
  readonly pauseMs?: number
  /** After so long SIPp stops and counts what is open as failed. */
  readonly runMs?: number
  readonly more?: readonly string[]
}

export interface SippResult {
  /** 0: every call succeeded; 1: at least one failed; 99: none came; other: SIPp could not work. */
  readonly exitCode: number | null
  readonly created: number
  readonly successful: number
  readonly failed: number
  readonly retransmissions: number
  /** Response time of the scenario's first timer, ms. */
  readonly responseMs: number
  /** Every message seen, when `-trace_msg` was among `more`. */
  readonly messages: string
  /** What SIPp wrote about unexpected messages; for the text of a failed assertion. */
  readonly errors: string
}

export interface RunningSipp {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Settles when SIPp has left; never rejects. */
  readonly done: Promise<SippResult>
  /** Ends it softly (it finishes its calls), twice at once; then waits. */
  stop(): Promise<SippResult>
}

/** A port free on UDP and TCP of that host, right now. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((done, failed) => {
      const server = createServer().once('error', failed)
      server.listen(0, host, () => {
        const address = server.address()
        server.close(() => done(address !== null && typeof address === 'object' ? address.port : 0))
      })
    })
    const free = await new Promise<boolean>(done => {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
      socket.once('error', () => done(false)).bind(port, host, () => socket.close(() => done(true)))
    })
    if (free) return port
  }
}

/** Starts SIPp and waits until it is bound. Throws when it leaves before or is not bound in time. */
export async function startSipp(options: SippOptions): Promise<RunningSipp> {
  const host = options.host ?? '127.0.0.1'
  const port = options.port ?? (await freePort(host))
  const transport = options.transport ?? 'udp'
  const folder = await mkdtemp(join(tmpdir(), 'sipp-'))
  const child = spawn('/usr/bin/sipp', argumentsOf(options, { host, port, transport, folder }), {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TERM: 'dumb' }
  })
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-sippLimits.outputBytesMax)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  // The exit code or a signal is there as soon as the process has left.
  const left = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  const done = new Promise<SippResult>(settle => {
    child.once('error', error => {
      output += String(error)
      settle(noResult(output))
    })
    child.once('close', code => {
      clearTimeout(guard)
      void collect(folder, code, output).then(settle, error => settle(noResult(String(error))))
    })
  })
  const guard = setTimeout(() => child.kill('SIGKILL'), (options.runMs ?? sippLimits.runMs) + 10_000)
  guard.unref()
  const stop = async (): Promise<SippResult> => {
    // SIGUSR1 is SIPp's "q": finish; the second one does not wait for open calls.
    for (let times = 0; times < 2 && !left(); times++) child.kill('SIGUSR1')
    return done
  }
  // A client over TCP binds nothing before its first call.
  if (transport === 'udp' || options.remote === undefined) {
    const until = Date.now() + sippLimits.readyMs
    while (!left() && !(await isBound(port, transport))) {
      if (Date.now() > until) {
        child.kill('SIGKILL')
        throw new Error(`SIPp did not bind ${transport} ${host}:${port}:\n${output}`)
      }
      await new Promise(next => setTimeout(next, sippLimits.pollMs))
    }
  }
  if (left() && options.remote === undefined) {
    const { exitCode, errors } = await done
    throw new Error(`SIPp left at once (${exitCode}):\n${errors}`)
  }
  return { host, port, pid: child.pid ?? 0, done, stop }
}

/** Runs a scenario to its end. */
export const runSipp = async (options: SippOptions): Promise<SippResult> => (await startSipp(options)).done

interface Place {
  readonly host: string
  readonly port: number
  readonly transport: 'udp' | 'tcp'
  readonly folder: string
}

function argumentsOf(options: SippOptions, { host, port, transport, folder }: Place): readonly string[] {
  const { scenario, remote, calls, callsPerSecond = 10, service, keys = {}, injection, pauseMs, more = [] } = options
  const runSeconds = Math.ceil((options.runMs ?? sippLimits.runMs) / 1_000)
  const named = (flag: string, value: string | number | undefined): readonly string[] =>
    value === undefined ? [] : [flag, String(value)]
  const flags = ['-nostdin', '-timeout_error', '-trace_stat', '-trace_err']
  return [
    ...(remote === undefined ? [] : [`${remote.host}:${remote.port}`]),
    ...flags,
    ...named('-sf', scenario.startsWith('/') ? scenario : join(sippScenarios, scenario)),
    ...named('-i', host),
    ...named('-mi', host),
    ...named('-p', port),
    ...named('-t', transport === 'udp' ? 'u1' : 't1'),
    ...named('-r', callsPerSecond),
    ...named('-timeout', `${runSeconds}s`),
    ...named('-fd', 3_600),
    ...named('-stf', join(folder, 'counts.csv')),
    ...named('-error_file', join(folder, 'errors.log')),
    ...named('-message_file', join(folder, 'messages.log')),
    ...named('-m', calls),
    ...named('-s', service),
    ...named('-inf', injection),
    ...named('-d', pauseMs),
    ...Object.entries(keys).flatMap(([name, value]) => ['-key', name, value]),
    ...more
  ]
}

/** The kernel's table instead of a probe: a packet to a scenario would be a call. */
async function isBound(port: number, transport: 'udp' | 'tcp'): Promise<boolean> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const tables = await Promise.all(
    [`/proc/net/${transport}`, `/proc/net/${transport}6`].map(file => readFile(file, 'utf8').catch(() => ''))
  )
  return tables
    .join('\n')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .some(([, local, , state]) => local?.endsWith(wanted) === true && (transport === 'udp' || state === '0A'))
}

async function collect(folder: string, exitCode: number | null, output: string): Promise<SippResult> {
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8').catch(() => '')
  const [csv, errors, messages] = await Promise.all([read('counts.csv'), read('errors.log'), read('messages.log')])
  const files = (await readdir(folder)).join(' ')
  await rm(folder, { recursive: true, force: true })
  const [names = [], ...rows] = csv
    .trim()
    .split('\n')
    .map(line => line.split(';'))
  const last = rows.at(-1) ?? []
  const count = (name: string): number => Number(last[names.indexOf(name)] ?? 0)
  return {
    exitCode,
    created: count('TotalCallCreated'),
    successful: count('SuccessfulCall(C)'),
    failed: count('FailedCall(C)'),
    retransmissions: count('Retransmissions(C)'),
    responseMs: milliseconds(last[names.indexOf('ResponseTime1(C)')] ?? ''),
    messages,
    errors: errors === '' && exitCode !== 0 ? `${files}\n${output}` : errors
  }
}

/** `00:00:01:002000` (hours, minutes, seconds, microseconds). */
function milliseconds(text: string): number {
  const [h = 0, m = 0, s = 0, micros = 0] = text.split(':').map(Number)
  return ((h * 60 + m) * 60 + s) * 1_000 + micros / 1_000
}

const noResult = (errors: string): SippResult => ({
  exitCode: null,
  created: 0,
  successful: 0,
  failed: 0,
  retransmissions: 0,
  responseMs: 0,
  messages: '',
  errors
})
