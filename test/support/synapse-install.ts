// Synapse from PyPI in a virtual environment of its own, outside the repository, made once per set of versions.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const requirements = join(import.meta.dirname, 'synapse', 'requirements.txt')
/** A cold install takes half a minute; one that has said nothing for this long is dead. */
const installMsMax = 300_000
const pollMs = 200

/** The Python that has Synapse. Several test files may ask at once: one installs, the others wait. */
export async function synapsePython(): Promise<string> {
  const stamp = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'isthmus-test')
  const home = join(cache, `synapse-${stamp}`)
  const python = join(home, 'bin', 'python')
  mkdirSync(cache, { recursive: true })
  const lock = `${home}.lock`
  for (const until = Date.now() + installMsMax; ; await wait(pollMs)) {
    if (existsSync(join(home, 'stamp'))) return python
    if (taken(lock)) {
      try {
        await install(home)
        return python
      } finally {
        rmSync(lock, { force: true })
      }
    }
    if (Date.now() > until) throw new Error(`another process has not installed Synapse in ${installMsMax} ms (${lock})`)
  }
}

/** A lock whose owner has died is taken over. */
function taken(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const owner = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0
    const isYoung = existsSync(lock) && Date.now() - statSync(lock).mtimeMs < 1_000
    if (isYoung || (owner > 0 && existsSync(`/proc/${owner}`))) return false
    rmSync(lock, { force: true })
    return false
  }
}

async function install(home: string): Promise<void> {
  rmSync(home, { recursive: true, force: true })
  await run('/usr/bin/python3', ['-m', 'venv', home])
  const options = ['--quiet', '--disable-pip-version-check', '--only-binary=:all:', '--no-deps', '--no-compile']
  await run(join(home, 'bin', 'pip'), ['install', ...options, '-r', requirements], {
    timeout: installMsMax,
    maxBuffer: 16 * 1024 * 1024
  })
  writeFileSync(join(home, 'stamp.new'), new Date().toISOString())
  renameSync(join(home, 'stamp.new'), join(home, 'stamp'))
}
