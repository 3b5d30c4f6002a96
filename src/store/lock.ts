// One owner for a folder: a lock that the operating system takes back when its holder dies, also by kill -9.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { HubError, messageOf } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

export interface Lock {
  release(): void
}

export interface LockOptions {
  /** The lock file; it stays behind, empty. Its folder exists. */
  readonly file: string
  /** What it guards, for the error message. */
  readonly what: string
  readonly code: ErrorCode
}

const SQLITE_BUSY = 5

/** Takes the lock or throws `code`, naming the process that holds it. Nothing waits. */
export function takeLock({ file, what, code }: LockOptions): Lock {
  const holderFile = `${file}.holder`
  // SQLite's exclusive lock is the only advisory file lock (fcntl) that Node offers; the database itself stays empty.
  let database: DatabaseSync
  try {
    database = new DatabaseSync(file)
  } catch (cause) {
    throw new HubError(code, `${what}: cannot open the lock file ${file}: ${messageOf(cause)}`, { cause, file })
  }
  try {
    database.exec('begin exclusive')
  } catch (cause) {
    database.close()
    if (!isBusy(cause)) throw new HubError(code, `${what}: cannot lock ${file}: ${messageOf(cause)}`, { cause, file })
    throw new HubError(code, `${what} is in use by another process${holderOf(holderFile)}`, { cause, file })
  }
  writeFileSync(holderFile, `${process.pid}\n`)
  let held = true
  return {
    release() {
      if (!held) return
      held = false
      rmSync(holderFile, { force: true })
      database.close()
    }
  }
}

/** True while some process, this one included, holds the lock. */
export function isLocked(options: LockOptions): boolean {
  try {
    takeLock(options).release()
    return false
  } catch (error) {
    if (error instanceof HubError && isBusy(error.cause)) return true
    throw error
  }
}

const isBusy = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === SQLITE_BUSY

function holderOf(file: string): string {
  try {
    return ` (pid ${readFileSync(file, 'utf8').trim()})`
  } catch {
    return ''
  }
}
