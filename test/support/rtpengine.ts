// Starts Debian's rtpengine on loopback with ports of its own; several may run side by side.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

export interface Rtpengine {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Everything it has logged. */
  log(): string
  /** Without a chance to say goodbye. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** `port`: the control port of a daemon to take the place of one that died. */
export async function startRtpengine(
  options: {
    port?: number
    portMin?: number
    portMax?: number
    timeoutSeconds?: number
    /** Where media is bound. */
    address?: string
  } = {}
): Promise<Rtpengine> {
  const port = options.port ?? (await freePort())
  const portMin = options.portMin ?? 30_000 + 200 * (process.pid % 50)
  const child = spawn(
    'rtpengine',
    [
      '--config-file=none',
      '--foreground',
      '--log-stderr',
      '--log-level=6',
      '--table=-1',
      `--interface=${options.address ?? '127.0.0.1'}`,
      `--listen-ng=127.0.0.1:${port}`,
      `--port-min=${portMin}`,
      `--port-max=${options.portMax ?? portMin + 199}`,
      '--num-threads=2',
      '--delete-delay=0',
      `--timeout=${options.timeoutSeconds ?? 60}`,
      '--silent-timeout=3600'
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] }
  )
  let log = ''
  child.stderr.setEncoding('utf8')
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`rtpengine is not ready after 10 s:\n${log}`)), 10_000)
    child.stderr.on('data', (text: string) => {
      log += text
      if (!log.includes('Startup complete')) return
      clearTimeout(timer)
      resolve()
    })
    child.once('error', reject)
    child.once('exit', code => reject(new Error(`rtpengine left with ${code}:\n${log}`)))
  })
  return {
    host: '127.0.0.1',
    port,
    pid: child.pid!,
    log: () => log,
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child, 'SIGTERM')
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

/** A second daemon on a port in use starts without a word, so the port must be free for certain. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>(resolve => void socket.close(() => resolve()))
  return port
}
