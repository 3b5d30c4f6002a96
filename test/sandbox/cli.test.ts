// The sandbox as a process of its own: what it prints and how it ends.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from '@jest/globals'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'

const cli = resolve(import.meta.dirname, '../../src/sandbox/cli.ts')

const run = (
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> =>
  new Promise(done => {
    execFile(process.execPath, [cli, ...args], { timeout: 15_000 }, (error, out, err) => {
      done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
    })
  })

let operator: Operator | null = null
afterEach(async () => {
  await operator?.close()
  operator = null
})
const listen = async (): Promise<string> => {
  operator = createOperator()
  await operator.start()
  return `127.0.0.1:${operator.listening.find(({ transport }) => transport === 'udp')?.port}`
}

describe('sandbox command', () => {
  it('places a call and says what it heard, with one line for every message', async () => {
    const { code, out, err } = await run(
      'operator',
      '--call',
      '+4930123456',
      '--to',
      await listen(),
      '--seconds',
      '1.2',
      '--trace'
    )
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(out).toMatch(/-> udp 127\.0\.0\.1:\d+ INVITE sip:\+4930123456@127\.0\.0\.1/)
    expect(out).toMatch(/<- udp 127\.0\.0\.1:\d+ 200 OK/)
    expect(out).toMatch(/received \d+ \(PCMA, 0 lost\), and the tone of 1000 Hz is among them/)
    expect(out).toContain('ended: bye by us')
  })

  it('complains on standard error', async () => {
    expect(await run('nobody')).toMatchObject({ code: 2, out: '', err: 'nobody is neither operator nor user\n' })
  })

  it('runs until it is interrupted', async () => {
    const child = spawn(process.execPath, [cli, 'operator', '--port', '0'])
    const lines = createInterface(child.stdout)
    const [line] = (await once(lines, 'line')) as [string]
    expect(line).toMatch(/^operator on udp 127\.0\.0\.1:\d+, tcp 127\.0\.0\.1:\d+; Ctrl-C ends it$/)
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
