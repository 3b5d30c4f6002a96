// The whole hub told to stop before it is up, and the hub whose clearing cannot go on: nothing stays behind, nothing is silent.

import { afterEach, beforeAll, afterAll, describe, it } from '@jest/globals'
import { equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Client } from 'pg'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import { until } from '../support/until.ts'

const root = resolve(import.meta.dirname, '../..')
const folders: string[] = []
const children: ChildProcess[] = []
let postgres: TestPostgres

beforeAll(async () => {
  postgres = await startTestPostgres()
}, 120_000)

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

afterAll(() => postgres.stop(), 60_000)

interface Starting {
  readonly home: string
  readonly child: ChildProcess
  readonly left: Promise<number | NodeJS.Signals>
  readonly pidFile: string
  readonly out: () => string
}

/** A hub on an embedded PostgreSQL of its own, not waited for. */
async function starting(): Promise<Starting> {
  const home = openTempDir('isthmus-start-')
  folders.push(home)
  return run(home, ['src/main.ts', '--json'])
}

async function run(home: string, command: readonly string[]): Promise<Starting> {
  const file = join(home, 'isthmus.yaml')
  const nni = '{ listen: [{ transport: udp, host: 127.0.0.1, port: 0 }] }'
  await writeFile(file, `hub: { dataDir: ${home}/data }\nsipWs: { port: 0 }\nnni: ${nni}\n`)
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' }
  const child = spawn(process.execPath, [...command, '--config', file], { cwd: root, env })
  children.push(child)
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.resume()
  const left = new Promise<number | NodeJS.Signals>(settle =>
    child.once('close', (code, signal) => settle(code ?? signal ?? -1))
  )
  return { home, child, left, pidFile: join(home, 'data', 'postgres', 'cluster', 'postmaster.pid'), out: () => out }
}

async function postmasterOf({ pidFile }: Starting): Promise<number> {
  await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').includes('\n'), 60_000)
  return Number(readFileSync(pidFile, 'utf8').split('\n')[0])
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`)

describe('a signal before the hub is up', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal}: it leaves with 0, never says that it is ready, and no PostgreSQL stays behind`, async () => {
      const hub = await starting()
      const pid = await postmasterOf(hub)
      ok(isAlive(pid))
      hub.child.kill(signal)
      equal(await hub.left, 0)
      equal(hub.out(), '')
      ok(!isAlive(pid))
      ok(!existsSync(hub.pidFile))
    }, 90_000)
  }

  it('Ctrl-C in a command that has started the PostgreSQL of a hub at rest: it goes with the command', async () => {
    const hub = await starting()
    await postmasterOf(hub)
    hub.child.kill('SIGTERM')
    equal(await hub.left, 0)
    const report = await run(hub.home, ['src/cli/report.ts', '--from', '2026-11-01', '--to', '2026-12-01'])
    const pid = await postmasterOf(report)
    report.child.kill('SIGINT')
    equal(await report.left, 130)
    await until(() => !isAlive(pid))
  }, 90_000)
})

describe('clearing that cannot go on', () => {
  it('is said in the log, and the hub stays up: nobody finds out from missing money or from calls that fail', async () => {
    const url = await postgres.freshUrl()
    const hub = await startHubProcess({ config: {}, env: { DATABASE_URL: url } })
    folders.push(hub.folder)
    const owner = new Client({ connectionString: url })
    await owner.connect()
    await owner.query('revoke select on clearing_position from isthmus_service')
    await owner.end()
    await eventually('it is said', () =>
      hub.logged().some(({ msg, err }) => /stands still/.test(String(msg)) && /permission/.test(JSON.stringify(err)))
    )
    equal(await hub.stop(), 0)
  }, 90_000)
})
