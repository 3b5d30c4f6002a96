// `npm test [-- FILE...]`: checks types, lint and format, then runs the tests with the servers they need.
// A test file names what it needs in a comment: `// needs: sipp rtpengine chromium kamailio knot prosody ejabberd`.

import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)

/** Servers and clients nobody here wrote: the program to look for and the Debian packages that bring it. */
const needs: Readonly<Record<string, { readonly program: string; readonly packages: readonly string[] }>> = {
  sipp: { program: '/usr/bin/sipp', packages: ['sip-tester'] },
  // libavcodec-extra59: the plain build cannot encode AMR.
  rtpengine: { program: '/usr/bin/rtpengine', packages: ['rtpengine-daemon', 'libavcodec-extra59'] },
  chromium: { program: '/usr/bin/chromium', packages: ['chromium'] },
  kamailio: { program: '/etc/kamailio/tls.cfg', packages: ['kamailio', 'kamailio-tls-modules'] },
  baresip: { program: '/usr/bin/baresip', packages: ['baresip-core'] },
  openssl: { program: '/usr/bin/openssl', packages: ['openssl'] },
  knot: { program: '/usr/sbin/knotd', packages: ['knot'] },
  secsipidx: { program: '/usr/bin/secsipidx', packages: ['secsipidx'] },
  sipsak: { program: '/usr/bin/sipsak', packages: ['sipsak'] },
  sipvicious: { program: '/usr/bin/svmap', packages: ['sipvicious'] },
  prosody: { program: '/usr/bin/prosody', packages: ['prosody', 'lua-sec', 'lua-event', 'lua-unbound', 'openssl'] },
  // Synapse itself comes from PyPI, by test/support/synapse-install.ts.
  synapse: { program: '/usr/lib/python3.11/ensurepip/__main__.py', packages: ['python3-venv'] },
  ejabberd: { program: '/usr/sbin/ejabberdctl', packages: ['ejabberd', 'openssl'] },
  postgresql: { program: '/usr/lib/postgresql/15/bin/initdb', packages: ['postgresql-15'] },
  // Kafka itself comes from Maven Central into a cache folder.
  kafka: { program: '/usr/bin/mvn', packages: ['openjdk-17-jre-headless', 'maven'] }
}

const help = `npm test                 every test: types, lint, format, unit, conformance, interop
npm test -- FILE...      only these test files (or folders), with the set-up that they need

As root on Debian the packages that the chosen tests need are installed: ${Object.values(needs)
  .flatMap(({ packages }) => packages)
  .join(', ')}.
Elsewhere tests whose programs are missing are left out and listed; with CI=true that is a failure.
SEED=n replays the random walks of a run.`

const say = (text: string): void => void process.stdout.write(`${text}\n`)

interface Outcome {
  passed: number
  failed: number
}

function testFiles(asked: readonly string[]): readonly string[] {
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort()
  if (asked.length === 0) return all
  return asked.flatMap(name => {
    const path = relative(root, resolve(name))
    const found =
      existsSync(join(root, path)) && statSync(join(root, path)).isDirectory()
        ? all.filter(file => file.startsWith(`${path}/`))
        : all.filter(file => file === path)
    if (found.length === 0) throw new Error(`no test file ${name}`)
    return found
  })
}

function needsOf(file: string): readonly string[] {
  const [, names = ''] = /^\/\/ needs: (.+)$/m.exec(readFileSync(join(root, file), 'utf8')) ?? []
  const wanted = names.split(/\s+/).filter(name => name !== '')
  for (const name of wanted) if (needs[name] === undefined) throw new Error(`${file} needs ${name}: not known here`)
  return wanted
}

/**
 * Nothing runs beside a file that brings servers and browsers of its own, nor beside one that says `// alone: why`: two
 * cores carry one such world at a time, and a world that waits for a core fails for no fault of its own.
 */
const isAlone = (file: string): boolean =>
  file.endsWith('.interop.test.ts') || /^\/\/ alone: .+$/m.test(readFileSync(join(root, file), 'utf8'))

const missing = (names: Iterable<string>): readonly string[] =>
  [...new Set(names)].filter(name => !existsSync(needs[name]?.program ?? ''))

/** What Debian asks before it starts the daemon of a package: the tests start their own. */
const startPolicy = '/usr/sbin/policy-rc.d'

/** As root on Debian: brings what is missing, and starts none of it. */
function install(names: readonly string[]): void {
  const lacksPolicy = !existsSync(startPolicy)
  if (lacksPolicy) writeFileSync(startPolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    installPackages(names)
  } finally {
    if (lacksPolicy) rmSync(startPolicy)
  }
}

function installPackages(names: readonly string[]): void {
  const packages = names.flatMap(name => needs[name]?.packages ?? [])
  say(`installing Debian packages: ${packages.join(', ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const steps = [['update'], ['install', '-y', '--no-install-recommends', ...packages]]
  for (const step of steps) {
    const from = performance.now()
    const { status, stderr } = spawnSync('apt-get', ['-qq', ...step], { env, encoding: 'utf8' })
    const seconds = ((performance.now() - from) / 1_000).toFixed(0)
    say(`  apt-get ${step[0]}: ${status === 0 ? 'done' : `failed (${stderr.trim().split('\n').at(-1)})`}, ${seconds} s`)
  }
}

function check(name: string, program: string, args: readonly string[], outcome: Outcome): void {
  const { status, stdout, stderr } = spawnSync(bin(program), args, { cwd: root, encoding: 'utf8', env: environment() })
  say(`${name}: ${status === 0 ? 'ok' : 'FAILED'}`)
  if (status !== 0) say(`${stdout}${stderr}`)
  if (status === 0) outcome.passed++
  else outcome.failed++
}

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${join(root, 'node_modules', '.bin')}:${process.env['PATH'] ?? '/usr/bin:/bin'}`
})

function runJest(files: readonly string[], outcome: Outcome, side: 'by side' | 'alone'): void {
  if (files.length === 0) return
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-test-'))
  const report = join(folder, 'report.json')
  const args = ['--no-warnings', '--experimental-vm-modules', join(root, 'node_modules/jest/bin/jest.js')]
  const { status } = spawnSync(
    process.execPath,
    [
      ...args,
      '--json',
      `--outputFile=${report}`,
      // In one process: what a file leaves open must not keep the run from ending.
      ...(side === 'alone' ? ['--runInBand', '--forceExit'] : []),
      '--runTestsByPath',
      ...files
    ],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'], env: environment() }
  )
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, numPendingTests } = existsSync(report)
    ? (JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>)
    : { numPassedTests: 0, numFailedTests: 1, numRuntimeErrorTestSuites: 0, numPendingTests: 0 }
  rmSync(folder, { recursive: true })
  const pending = process.env['CI'] === 'true' ? (numPendingTests ?? 0) : 0
  outcome.passed += numPassedTests ?? 0
  const failed = (numFailedTests ?? 0) + (numRuntimeErrorTestSuites ?? 0) + pending
  outcome.failed += failed === 0 && status !== 0 ? 1 : failed
}

function main(args: readonly string[]): number {
  if (args.includes('--help') || args.includes('-h')) {
    say(help)
    return 0
  }
  const ci = process.env['CI'] === 'true'
  const files = testFiles(args)
  const wanted = new Map(files.map(file => [file, needsOf(file)]))
  const lacking = missing([...wanted.values()].flat())
  if (lacking.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) install(lacking)
  const still = new Set(missing(lacking))
  const skipped = files.filter(file => wanted.get(file)?.some(name => still.has(name)))
  const outcome: Outcome = { passed: 0, failed: 0 }
  if (args.length === 0) {
    check('types', 'tsc', ['-p', '.'], outcome)
    check('lint', 'oxlint', ['--type-aware', '--deny-warnings'], outcome)
    check('format', 'oxfmt', ['--check', 'src', 'test', 'scripts'], outcome)
  }
  const chosen = files.filter(file => !skipped.includes(file))
  runJest(
    chosen.filter(file => !isAlone(file)),
    outcome,
    'by side'
  )
  runJest(chosen.filter(isAlone), outcome, 'alone')
  for (const file of skipped) {
    const lacks = wanted
      .get(file)
      ?.filter(name => still.has(name))
      .join(', ')
    say(`${ci ? 'FAILED' : 'left out'}: ${file} (${lacks} is not installed)`)
    if (ci) outcome.failed++
  }
  say(`${outcome.passed} passed, ${outcome.failed} failed`)
  return outcome.failed === 0 && outcome.passed > 0 ? 0 : 1
}

process.exitCode = main(process.argv.slice(2))
