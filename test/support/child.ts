// A child process whose lines can be waited for.

import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams, SpawnOptionsWithoutStdio } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'

const lineMs = 60_000

export interface Child {
  readonly process: ChildProcessWithoutNullStreams
  readonly pid: number
  readonly lines: readonly string[]
  /** The first line, from the beginning, that starts so; without the start. Rejects when the child ends first. */
  line(start: string, withinMs?: number): Promise<string>
  /** The last of what it wrote to standard error. */
  readonly errors: string
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>
}

/** Runs a TypeScript file by this Node. */
export function startChild(file: string, args: readonly string[], options: SpawnOptionsWithoutStdio = {}): Child {
  return startProgram(process.execPath, [file, ...args], options)
}

export function startProgram(program: string, args: readonly string[], options: SpawnOptionsWithoutStdio = {}): Child {
  const child = spawn(program, args, options)
  const lines: string[] = []
  let rest = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4_000)))
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)
  let over = false
  void ended.then(() => (over = true))
  return {
    process: child,
    pid: child.pid ?? 0,
    lines,
    ended,
    get errors() {
      return errors
    },
    async line(start, withinMs = lineMs) {
      for (const end = Date.now() + withinMs; Date.now() < end; await wait(10)) {
        const found = lines.find(line => line.startsWith(start))
        if (found !== undefined) return found.slice(start.length)
        if (over) break
      }
      throw new Error(`no line "${start}" in ${JSON.stringify(lines)}; ${errors}`)
    }
  }
}

/** Polls until a condition holds; fails after the bound. */
export async function eventually(condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await wait(10)) if (await condition()) return
  throw new Error('the condition did not come true in time')
}
