// A real PostgreSQL of our own in the data folder: where it lives, its first set-up, its start and its end. Not by the
// class of the npm package, which hooks our signals and gives up on a server that outlived us.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { isLocked, takeLock } from './lock.ts'
import type { LockOptions } from './lock.ts'
import {
  accountFor,
  cleanEnvironment,
  databaseError,
  findNative,
  openFolder,
  passable,
  reachableNative
} from './postgres-binaries.ts'
import type { Account } from './postgres-binaries.ts'
import { isPostgres, notServing, Postmaster, readPidFile, stopPostmaster } from './postmaster.ts'

export const embeddedLimits = {
  initdbMs: 120_000,
  initdbOutputBytesMax: 1_048_576,
  /** The longest socket path that every system takes (sockaddr_un). */
  socketPathBytesMax: 103
} as const

export interface EmbeddedOptions {
  readonly dataDir: string
  readonly log: Logger
  /** More server settings, `name=value`. */
  readonly settings?: readonly string[]
  /** Where programs and data go when PostgreSQL's account cannot reach their usual places. */
  readonly sharedDir?: string
}

export interface Passwords {
  readonly superuser: string
  readonly owner: string
  readonly service: string
}

/** How to reach the server, over its unix socket alone; and the passwords of its superuser and of our own two roles. */
export interface EmbeddedAccess {
  /** The folder of the unix socket. */
  readonly host: string
  readonly port: number
  readonly superuser: string
  readonly passwords: Passwords
}

export interface EmbeddedPostgres extends EmbeddedAccess {
  /** Of the postmaster that serves now: a dead one is replaced. */
  readonly pid: number
  /** A fast, clean shutdown: connections still open are ended. Call it last. */
  stop(): Promise<void>
}

const superuser = 'postgres'
const port = 5432
const defaultSharedDir = '/var/lib/isthmus'

/** TCP is off. ERROR lines (a broken unique constraint and its like) are answers to clients, not news for the log. */
const fixedSettings = ['listen_addresses=', `port=${port}`, 'log_min_messages=log', 'log_checkpoints=off'] as const

/**
 * Starts the server of `dataDir`, made first where there is none. A server that outlived a killed process is stopped
 * and started again. Throws HUB_DATABASE: no program for this machine, folder in use, no room, data of another version.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, log, settings = [], sharedDir = defaultSharedDir } = options
  const native = findNative()
  const ours = accountFor()
  const home = makeHome(dataDir, ours, sharedDir)
  if (lstatSync(join(dataDir, 'postgres')).isSymbolicLink()) {
    log.info({ dataDir, home }, 'the database lies elsewhere: its account has no way to the data folder')
  }
  const lock = takeLock(lockOf(home, dataDir))
  try {
    const cluster = join(home, 'cluster')
    const account = ours !== null && existsSync(cluster) ? ownerOf(cluster) : ours
    if (!passable(home, account)) throw databaseError(`PostgreSQL's account can no longer reach ${home}`)
    const bin = join(reachableNative(native, account, sharedDir), 'bin')
    if (!existsSync(cluster)) await initialise(home, bin, account)
    requireVersion(cluster, native.version)
    await stopLeftover(cluster, log)
    const socketDir = socketDirOf(cluster, account)
    const postmaster = new Postmaster({
      program: join(bin, 'postgres'),
      cluster,
      socketDir,
      logFile: join(home, 'server.log'),
      account,
      settings: [...fixedSettings, ...settings],
      log
    })
    await postmaster.start()
    return {
      ...accessOf(home, socketDir),
      get pid() {
        return postmaster.pid
      },
      async stop() {
        await postmaster.stop()
        if (socketDir !== cluster) rmSync(socketDir, { recursive: true, force: true })
        lock.release()
      }
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/**
 * The server that another process runs in `dataDir`, for commands beside a running hub; null where nobody runs it.
 * Throws HUB_DATABASE while it is starting or stopping.
 */
export function runningEmbeddedPostgres(dataDir: string): EmbeddedAccess | null {
  const link = join(dataDir, 'postgres')
  if (!existsSync(link)) return null
  const home = realpathSync(link)
  if (!isLocked(lockOf(home, dataDir))) return null
  const file = readPidFile(join(home, 'cluster'))
  if (file === null || !file.ready || !isPostgres(file.pid)) throw notServing(dataDir)
  return accessOf(home, file.socketDir)
}

const lockOf = (home: string, dataDir: string): LockOptions => ({
  file: join(home, 'lock'),
  what: `the embedded PostgreSQL in ${resolve(dataDir)}`,
  code: 'HUB_DATABASE'
})

/** `dataDir/postgres`; a link to a folder elsewhere where the account cannot reach that. */
function makeHome(dataDir: string, account: Account | null, sharedDir: string): string {
  const home = join(dataDir, 'postgres')
  try {
    mkdirSync(dataDir, { recursive: true })
    if (!existsSync(home)) {
      if (account === null) mkdirSync(home, { mode: 0o700 })
      else if (passable(dataDir, account)) openFolder(home, account)
      else {
        openFolder(sharedDir, account)
        const elsewhere = mkdtempSync(join(sharedDir, `${basename(resolve(dataDir))}-`))
        openFolder(elsewhere, account)
        rmSync(home, { force: true })
        symlinkSync(elsewhere, home)
      }
    }
  } catch (cause) {
    if (cause instanceof HubError) throw cause
    throw databaseError(`cannot use the data folder ${dataDir}: ${messageOf(cause)}`, { cause })
  }
  return realpathSync(home)
}

/** Whoever made the cluster runs it. */
function ownerOf(cluster: string): Account {
  const { uid, gid } = statSync(cluster)
  return { uid, gid }
}

/** The cluster is complete or absent: it is made beside its place and moved there. */
async function initialise(home: string, bin: string, account: Account | null): Promise<void> {
  for (const name of readdirSync(home)) {
    if (name.startsWith('draft.')) rmSync(join(home, name), { recursive: true, force: true })
  }
  const newPassword = (): string => randomBytes(24).toString('base64url')
  const passwords: Passwords = { superuser: newPassword(), owner: newPassword(), service: newPassword() }
  writeFileSync(join(home, 'credentials.json'), JSON.stringify(passwords), { mode: 0o600, flush: true })
  const draft = mkdtempSync(join(home, 'draft.'))
  const passwordFile = join(draft, 'password')
  const cluster = join(draft, 'cluster')
  writeFileSync(passwordFile, `${passwords.superuser}\n`, { mode: 0o600 })
  if (account !== null) for (const path of [draft, passwordFile]) chownSync(path, account.uid, account.gid)
  const args = [
    `--pgdata=${cluster}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--auth=scram-sha-256',
    '--no-instructions'
  ]
  const settings = { cwd: draft, env: cleanEnvironment, timeout: embeddedLimits.initdbMs, ...account }
  try {
    const bounds = { maxBuffer: embeddedLimits.initdbOutputBytesMax }
    await promisify(execFile)(join(bin, 'initdb'), args, { ...settings, ...bounds })
    renameSync(cluster, join(home, 'cluster'))
  } catch (cause) {
    throw databaseError(`PostgreSQL's initdb failed: ${messageOf(cause).trim()}`, { cause })
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function requireVersion(cluster: string, version: string): void {
  const major = version.split('.')[0] ?? version
  const found = readFileSync(join(cluster, 'PG_VERSION'), 'utf8').trim()
  if (found === major) return
  throw databaseError(`the data in ${cluster} belong to PostgreSQL ${found}, the programs are PostgreSQL ${major}`)
}

/** We hold the lock, so a server that runs here has lost its hub. */
async function stopLeftover(cluster: string, log: Logger): Promise<void> {
  const file = readPidFile(cluster)
  if (file === null || !isPostgres(file.pid)) return
  log.warn({ pid: file.pid }, 'an embedded PostgreSQL was left behind by a process that died; it is restarted')
  await stopPostmaster(file.pid)
}

/** The cluster's own folder, closed to others; a short one where the system could not take that path. */
function socketDirOf(cluster: string, account: Account | null): string {
  if (Buffer.byteLength(join(cluster, `.s.PGSQL.${port}`)) <= embeddedLimits.socketPathBytesMax) return cluster
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-'))
  if (account !== null) chownSync(folder, account.uid, account.gid)
  return folder
}

function accessOf(home: string, host: string): EmbeddedAccess {
  const passwords = JSON.parse(readFileSync(join(home, 'credentials.json'), 'utf8')) as Passwords
  return { host, port, superuser, passwords }
}
