import { afterAll, describe, expect, it } from '@jest/globals'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import { runningEmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import type { EmbeddedAccess, EmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { findNative } from '../../src/store/postgres-binaries.ts'
import { isPostgres } from '../../src/store/postmaster.ts'
import { eventually, startChild } from '../support/child.ts'
import type { Child } from '../support/child.ts'
import { openTempDir } from '../support/database.ts'

const log = createLog('silent')
const root = join(import.meta.dirname, '../..')
const script = join(root, 'test/support/embedded-child.ts')
const settings = ['shared_buffers=16MB']
const folders: string[] = []
const folder = (): string => {
  const made = openTempDir()
  folders.push(made)
  return made
}
afterAll(() => folders.forEach(made => rmSync(made, { recursive: true, force: true })))

interface Ready extends EmbeddedAccess {
  readonly pid: number
}

const ready = async (child: Child): Promise<Ready> => JSON.parse(await child.line('ready ')) as Ready

async function ask(access: EmbeddedAccess, text: string): Promise<readonly unknown[]> {
  const { host, port, superuser, passwords } = access
  const client = new Client({ host, port, user: superuser, password: passwords.superuser, database: 'postgres' })
  await client.connect()
  try {
    const { rows } = await client.query({ text, rowMode: 'array' })
    return rows.flat()
  } finally {
    await client.end()
  }
}

async function withServer(dataDir: string, work: (server: EmbeddedPostgres) => Promise<void>): Promise<void> {
  const server = await startEmbeddedPostgres({ dataDir, log, settings })
  try {
    await work(server)
  } finally {
    await server.stop()
  }
}

describe('the embedded PostgreSQL', () => {
  it('comes up with an empty environment: UTF-8, passwords checked, no TCP port', async () => {
    const child = startChild(script, [folder()], { env: {} })
    const access = await ready(child)
    expect(await ask(access, 'show server_encoding')).toEqual(['UTF8'])
    const locale = 'select datcollate, datctype from pg_database where datname = current_database()'
    expect(await ask(access, locale)).toEqual(['C.UTF-8', 'C.UTF-8'])
    expect(await ask(access, 'show listen_addresses')).toEqual([''])
    expect(await ask(access, 'select distinct auth_method from pg_hba_file_rules')).toEqual(['scram-sha-256'])
    const stranger = { ...access, passwords: { ...access.passwords, superuser: 'wrong' } }
    await expect(ask(stranger, 'select 1')).rejects.toThrow('password authentication failed')
    child.process.kill('SIGTERM')
    await child.line('draining')
    child.process.stdin.end()
    expect(await child.ended).toBe(0)
    expect(isPostgres(access.pid)).toBe(false)
  })

  it('serves on through a SIGINT to the whole process group until its hub has drained', async () => {
    const child = startChild(script, [folder()], { detached: true })
    const access = await ready(child)
    process.kill(-child.pid, 'SIGINT')
    await child.line('draining')
    expect(await ask(access, 'select 1')).toEqual([1])
    child.process.stdin.end()
    await child.line('stopped')
    expect(await child.ended).toBe(0)
    expect(isPostgres(access.pid)).toBe(false)
  })

  it('left behind by a kill -9 of its hub is replaced at the next start, with its data', async () => {
    const dataDir = folder()
    const child = startChild(script, [dataDir])
    const first = await ready(child)
    await ask(first, 'create table kept as select 7 as seven')
    child.process.kill('SIGKILL')
    expect(await child.ended).toBe('SIGKILL')
    expect(isPostgres(first.pid)).toBe(true)
    await withServer(dataDir, async server => {
      expect(server.pid).not.toBe(first.pid)
      expect(isPostgres(first.pid)).toBe(false)
      expect(await ask(server, 'select seven from kept')).toEqual([7])
    })
  })

  it('shuts down when its hub leaves without stopping it', async () => {
    const child = startChild(script, [folder()])
    const { pid } = await ready(child)
    child.process.kill('SIGUSR2')
    expect(await child.ended).toBe(3)
    await eventually(() => !isPostgres(pid))
  })

  it('is started again when it dies, and data that were committed are there', async () => {
    await withServer(folder(), async server => {
      await ask(server, 'create table kept as select 7 as seven')
      const { pid } = server
      process.kill(pid, 'SIGKILL')
      await eventually(() => server.pid !== pid)
      const answer = (): Promise<boolean> =>
        ask(server, 'select seven from kept').then(
          ([seven]) => seven === 7,
          () => false
        )
      await eventually(answer)
    })
  })

  it('has one hub: a second one is refused and told who has it, a command beside it may join', async () => {
    const dataDir = folder()
    expect(runningEmbeddedPostgres(dataDir)).toBeNull()
    const database = await openDatabase({ place: { dataDir }, poolMax: 1, migrations: [], log, settings })
    const refused = `the embedded PostgreSQL in ${dataDir} is in use by another process (pid ${process.pid})`
    await expect(openDatabase({ place: { dataDir }, poolMax: 1, migrations: [], log })).rejects.toThrow(refused)
    const child = startChild(script, [dataDir])
    expect(await child.line('failed ')).toContain(refused)
    const joined = await openDatabase({ place: { dataDir, join: true }, poolMax: 1, migrations: [], log })
    const { rows } = await joined.query('select current_user as role, current_database() as name')
    expect(rows).toEqual([{ role: 'isthmus_service', name: 'isthmus' }])
    await joined.close()
    expect((await database.query('select 1')).count).toBe(1)
    await database.close()
    expect(runningEmbeddedPostgres(dataDir)).toBeNull()
  })

  it('takes no notice of an earlier set-up that was cut short', async () => {
    const dataDir = folder()
    mkdirSync(join(dataDir, 'postgres/draft.old/cluster'), { recursive: true })
    await withServer(dataDir, async server => expect(await ask(server, 'select 1')).toEqual([1]))
    expect(readdirSync(join(dataDir, 'postgres')).filter(name => name.startsWith('draft'))).toEqual([])
  })

  it('works where the data path is too long for a socket', async () => {
    const dataDir = join(folder(), 'long'.repeat(25))
    await withServer(dataDir, async server => {
      expect(server.host.length).toBeLessThan(60)
      expect(await ask(server, 'select 1')).toEqual([1])
    })
  })

  it('refuses data of another version, and says why a server does not start', async () => {
    const dataDir = folder()
    await withServer(dataDir, async () => undefined)
    const cluster = join(dataDir, 'postgres/cluster')
    writeFileSync(join(cluster, 'postgresql.auto.conf'), 'no_such_setting = 1\n')
    await expect(withServer(dataDir, async () => undefined)).rejects.toThrow('no_such_setting')
    writeFileSync(join(cluster, 'PG_VERSION'), '12\n')
    await expect(withServer(dataDir, async () => undefined)).rejects.toThrow('belong to PostgreSQL 12')
  })

  it('that no package fits names DATABASE_URL', () => {
    expect(() => findNative('sunos', 'sparc')).toThrow(/no embedded PostgreSQL for sunos-sparc.*DATABASE_URL/)
  })

  it('in a data folder that cannot be made is a clear error', async () => {
    const file = join(folder(), 'file')
    writeFileSync(file, '')
    await expect(startEmbeddedPostgres({ dataDir: join(file, 'data'), log })).rejects.toThrow(
      'cannot use the data folder'
    )
  })
})

describe('a clone below a folder closed to others', () => {
  it('starts with copies where PostgreSQL may go, also where no install script has run', async () => {
    const home = folder()
    chmodSync(home, 0o700)
    const clone = join(home, 'clone')
    for (const path of ['src/store', 'src/errors.ts', 'test/support/embedded-child.ts', 'package.json']) {
      cpSync(join(root, path), join(clone, path), { recursive: true })
    }
    const native = dirname(findNative().folder)
    const copied = join(clone, native.slice(root.length))
    cpSync(native, copied, { recursive: true, verbatimSymlinks: true })
    for (const name of readdirSync(join(copied, 'native/lib'))) {
      const file = join(copied, 'native/lib', name)
      if (lstatSync(file).isSymbolicLink()) rmSync(file)
    }
    const shared = folder()
    const dataDir = join(clone, 'data')
    const child = startChild(join(clone, 'test/support/embedded-child.ts'), [dataDir, shared], { env: {}, cwd: clone })
    const access = await ready(child)
    expect(await ask(access, 'select 1')).toEqual([1])
    if (process.getuid?.() === 0) {
      expect(lstatSync(join(dataDir, 'postgres')).isSymbolicLink()).toBe(true)
      expect(access.host.startsWith(shared)).toBe(true)
      expect(readdirSync(shared).some(name => name.startsWith('postgresql-'))).toBe(true)
    }
    child.process.kill('SIGTERM')
    await child.line('draining')
    child.process.stdin.end()
    expect(await child.ended).toBe(0)
    expect(existsSync(join(dataDir, 'postgres/credentials.json'))).toBe(true)
  })
})
