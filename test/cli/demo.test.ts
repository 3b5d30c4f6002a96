// The demo as a newcomer runs it: through npm, on the machine's own Node, with an almost empty environment.

import { describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openTempDir } from '../support/database.ts'
import { until } from '../support/until.ts'

const root = resolve(import.meta.dirname, '../..')

function demo(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn('npm', ['run', '--silent', 'demo', '--', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()))
  return new Promise<{ readonly code: number | null; readonly out: string }>(settle =>
    child.once('close', code => settle({ code, out }))
  )
}

describe('npm run demo', () => {
  it('ended by Ctrl-C ends all that it has started, and leaves nothing behind', async () => {
    const folder = openTempDir('isthmus-ctrl-c-')
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', TMPDIR: folder }
    const child = spawn(process.execPath, ['src/cli/demo.ts', '--seconds', '60'], { cwd: root, env })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const left = new Promise(settle => child.once('close', settle))
    await until(() => out.includes('200 OK (INVITE)') || child.exitCode !== null, 60_000)
    const [name = ''] = readdirSync(folder)
    const pidFile = join(realpathSync(join(folder, name, 'data', 'postgres')), 'cluster', 'postmaster.pid')
    const pid = readFileSync(pidFile, 'utf8').split('\n')[0] ?? ''
    child.kill('SIGINT')
    equal(await left, 1, out)
    match(out, /Not proven: interrupted/)
    equal([existsSync(`/proc/${pid}`), readdirSync(folder).length], [false, 0])
    rmSync(folder, { recursive: true })
  }, 90_000)

  it('proves one call with audio both ways, settled, and leaves nothing behind', async () => {
    const { code, out } = await demo(['--seconds', '2'])
    equal(code, 0, out)
    const ladder = out.split('\n').filter(line => /^\d\d:\d\d:\d\d\.\d{3} {2}/.test(line))
    for (const line of [
      /alice → hub +INVITE sip:\+4930123456@acme\.example.*WebRTC/,
      /hub → operator +INVITE sip:\+4930123456@.*plain RTP/,
      /operator → hub +200 OK \(INVITE\)/,
      /hub → alice +200 OK \(INVITE\).*WebRTC/,
      /hub → operator +BYE/
    ]) {
      ok(
        ladder.some(seen => line.test(seen)),
        `${line} in\n${out}`
      )
    }
    const position = (text: string): number => out.indexOf(text)
    const parts = [
      'Call ladder',
      'Audio',
      'Records of call',
      'Charges',
      'Ledger entries',
      'Settlement report',
      'Proven:'
    ]
    ok(
      parts.every((part, n) => position(part) > (n === 0 ? -1 : position(parts[n - 1] ?? ''))),
      out
    )
    match(out, /debits less credits over all accounts: 0\.000000 EUR/)
    match(out, /acme +telco +voice +EUR/)
    equal(readdirSync(tmpdir()).filter(name => name.startsWith('isthmus-demo-')).length, 0)
  }, 90_000)
  it('that cannot run says why in one plain line, with exit code 1', async () => {
    const { code, out } = await demo([], { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' })
    equal(code, 1)
    match(out, /127\.0\.0\.1:1|ECONNREFUSED/)
    ok(!/^\s+at /m.test(out), out)
  }, 60_000)
  it('--help explains, and a wrong argument is told', async () => {
    const help = await demo(['--help'])
    equal(help.code, 0)
    match(help.out, /--seconds N/)
    equal((await demo(['--seconds', '0'])).code, 2)
  }, 60_000)
})
