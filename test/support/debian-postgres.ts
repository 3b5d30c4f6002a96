// Debian's own PostgreSQL 15, as an operator would bring it, for one test file: reached over TCP with a password.

import { execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { openTempDir } from './database.ts'
import { freePorts } from './free-port.ts'
import { eventually } from './until.ts'

const binaries = '/usr/lib/postgresql/15/bin'

export interface DebianPostgres {
  /** What the server calls itself. */
  readonly version: string
  /** The URL of a new, empty database and its owner, who may create roles. */
  freshUrl(): Promise<string>
  stop(): Promise<void>
}

/** initdb refuses root: then the account that the package has made runs it. */
function account(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null
  const id = (flag: string): number => Number(execFileSync('/usr/bin/id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

export async function startDebianPostgres(): Promise<DebianPostgres> {
  const folder = openTempDir('isthmus-pg15-')
  const who = account()
  const [data, passwordFile] = [join(folder, 'data'), join(folder, 'password')]
  mkdirSync(data, { mode: 0o700 })
  writeFileSync(passwordFile, 'test\n', { mode: 0o600 })
  if (who !== null) for (const path of [folder, data, passwordFile]) chownSync(path, who.uid, who.gid)
  const as = { ...who, cwd: folder, env: { LC_ALL: 'C.UTF-8', PATH: '/usr/bin:/bin' } }
  const how = ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', passwordFile, '--no-sync', '-E', 'UTF8']
  execFileSync(join(binaries, 'initdb'), how, { ...as, stdio: 'pipe' })
  const [port = 0] = await freePorts(1)
  const settings = [
    'fsync=off',
    'shared_buffers=16MB',
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`
  ]
  const server = spawn(
    join(binaries, 'postgres'),
    ['-D', data, '-p', String(port), ...settings.flatMap(text => ['-c', text])],
    { ...as, stdio: 'ignore' }
  )
  const ended = new Promise<void>(resolve => server.once('exit', () => resolve()))
  const ask = async (text: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password: 'test', database: 'postgres' })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }
  const rows = await eventually('PostgreSQL 15 answers', () => ask('show server_version').catch(() => null))
  await ask("create role hub login createrole password 'test'")
  let databases = 0
  return {
    version: String(rows[0]?.['server_version']),
    async freshUrl() {
      const name = `hub_${++databases}`
      await ask(`create database ${name} owner hub`)
      return `postgresql://hub:test@127.0.0.1:${port}/${name}`
    },
    async stop() {
      server.kill('SIGINT')
      await ended
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
