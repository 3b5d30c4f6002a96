// A real XMPP server as tests see it, whichever it is: started, stopped and started again on the same ports.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { eventually } from './hub.ts'

export interface ServerOptions {
  readonly domain: string
  /** Component domains, all with the secret `s3cr3t` unless named. */
  readonly components: readonly { readonly domain: string; readonly secret?: string }[]
  /** Passwords by user name. */
  readonly users: Readonly<Record<string, string>>
  /** Prosody alone: clients are served with STARTTLS at this address, on the port that clients expect. */
  readonly desktop?: { readonly address: string; readonly certificateFile: string; readonly keyFile: string }
}

export interface XmppServer {
  readonly kind: 'prosody' | 'ejabberd'
  readonly domain: string
  readonly componentPort: number
  /** `xmpp://127.0.0.1:port`, without TLS. */
  readonly tcp: string
  /** `ws://127.0.0.1:port/path` */
  readonly ws: string
  readonly pid: number
  log(): string
  /** Kills it without a word. */
  crash(): Promise<void>
  /** On the same ports and data, after `crash`. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface Launched {
  readonly kind: string
  readonly home: string
  readonly logFile: string
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly ports: readonly number[]
  readonly ready: () => Promise<boolean>
}

export const asRoot = process.getuid?.() === 0

/** A process that is up once all its ports take connections. */
export class ServerProcess {
  readonly #launched: Launched
  #child: ChildProcess | null = null
  #left: Promise<void> = Promise.resolve()

  constructor(launched: Launched) {
    this.#launched = launched
    chmodSync(launched.home, 0o755)
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  log(): string {
    return readFileSync(this.#launched.logFile, 'utf8')
  }

  async start(): Promise<void> {
    const { command, env, cwd, kind, ports, ready, home } = this.#launched
    const [program = '', ...args] = command
    const out = openSync(`${home}/console.log`, 'a')
    const child = spawn(program, args, {
      cwd,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env },
      stdio: ['ignore', out, out]
    })
    closeSync(out)
    this.#child = child
    let gone = false
    this.#left = new Promise(done =>
      child.once('close', () => {
        gone = true
        done()
      })
    )
    await eventually(
      `${kind} listens on ${ports.join(', ')}`,
      async () => {
        if (gone) throw new Error(`${kind} left: ${readFileSync(`${home}/console.log`, 'utf8').slice(-2_000)}`)
        return (await Promise.all(ports.map(takes))).every(taken => taken) && (await ready())
      },
      30_000
    )
  }

  async crash(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#left
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM')
    const guard = setTimeout(() => this.#child?.kill('SIGKILL'), 5_000)
    await this.#left
    clearTimeout(guard)
    rmSync(this.#launched.home, { recursive: true, force: true, maxRetries: 5 })
  }
}

const takes = (port: number): Promise<boolean> =>
  new Promise(done => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
