// `npm run interop:srf [-- FILE... --verbose]`: drachtio-srf's own published tests (MIT, in its npm package) against
// the engine. They are fetched into a folder that is removed again; nothing of them is kept. Their testbed of containers is
// stood in for by SIPp processes on loopback addresses and two small programs named docker and docker-compose.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createLog } from '../../src/log.ts'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine } from '../../src/sip/engine/engine.ts'
import type { DnsResolver } from '../../src/sip/resolver.ts'

/** All of its tests but those of proxying, which the engine refuses. */
const suites = ['b2b.js', 'reinvite-tests.js', 'uac.js', 'uas.js', 'utils.js', 'refer.js']
const suiteMs = 560_000
/** As their testbed numbers them. */
const sutHost = '127.0.2.10'
const uasHost = '127.0.2.19'
const say = (text: string): void => void process.stdout.write(`${text}\n`)

interface Service {
  readonly name: string
  readonly host: string
  readonly scenario: string
}

/** What the testbed starts, by its own description. */
function servicesOf(testbed: string): readonly Service[] {
  const found: Service[] = []
  let [name, scenario] = ['', '']
  for (const line of testbed.split('\n')) {
    name = /^ {2}(sipp-[a-z0-9-]+):/.exec(line)?.[1] ?? name
    scenario = /command: sipp -sf \/tmp\/(\S+\.xml)/.exec(line)?.[1] ?? scenario
    const host = /ipv4_address: (\S+)/.exec(line)?.[1]
    if (host !== undefined && scenario !== '') found.push({ name, scenario, host })
    if (host !== undefined) scenario = ''
  }
  return found
}

const run = (cwd: string, program: string, ...args: readonly string[]): void => {
  const { status, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}

/** The package as published, with what its tests need. */
function fetched(home: string): string {
  const file = createRequire(import.meta.url).resolve('drachtio-srf/package.json')
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }
  run(home, 'npm', 'pack', '--silent', `drachtio-srf@${version}`)
  run(home, 'tar', 'xzf', `drachtio-srf-${version}.tgz`)
  const folder = join(home, 'package')
  run(folder, 'npm', 'install', '--silent', '--omit=dev', '--no-audit', '--no-fund')
  // Beside it: inside they count as tools of its development.
  writeFileSync(join(home, 'package.json'), '{}')
  run(home, 'npm', 'install', '--silent', '--no-audit', '--no-fund', 'tape@5', 'config@4', 'debug@4')
  say(`drachtio-srf ${version}`)
  // Their network, addressed by number here and there, on loopback; angle brackets that SIPp 3.6 takes for its own.
  for (const name of readdirSync(join(folder, 'test'), { recursive: true, encoding: 'utf8' })) {
    if (!/\.(js|xml|yaml)$/.test(name)) continue
    const text = join(folder, 'test', name)
    const here = readFileSync(text, 'utf8').replaceAll('172.29.0.', '127.0.2.')
    const tagged = here.replaceAll(/regexp="<([^"]*)>"/g, 'regexp="&lt;$1&gt;"')
    // In a dialog the field has its tag: a second one makes the answer none (RFC 3261, 7.3.1), and it is dropped.
    const read = name.endsWith('uac-delayed-ack.xml') ? tagged.replace(/(\[last_To:\]);tag=\S+/, '$1') : tagged
    // Their machine may be faster than this one.
    writeFileSync(
      text,
      read.replaceAll(/timeoutAfter\((\d+)\)/g, (_, ms: string) => `timeoutAfter(${2 * Number(ms)})`)
    )
  }
  return folder
}

/** `docker run ... drachtio/sipp sipp -sf /tmp/scenarios/FILE ... drachtio-sut` as a SIPp of this machine. */
const docker = (folder: string, port: number): string => `#!${process.execPath}
const { spawn } = require('node:child_process')
const args = process.argv.slice(2)
const named = args.indexOf('--name')
const sipp = args.slice(args.indexOf('sipp') + 1)
const target = sipp.at(-1) === 'drachtio-sut' ? ['${sutHost}:${port}'] : []
const rest = (target.length > 0 ? sipp.slice(0, -1) : sipp).map(text =>
  text.replace('/tmp/scenarios', ${JSON.stringify(join(folder, 'test', 'scenarios'))})
)
const where = named < 0 ? ['-i', '127.0.2.250'] : ['-i', '127.0.2.251', '-p', '5060']
const cwd = ${JSON.stringify(join(folder, 'test', 'scenarios'))}
const child = spawn('sipp', [...target, ...rest, ...where, '-timeout', '60'], { stdio: 'inherit', cwd })
child.on('exit', code => process.exit(code ?? 1))
`

const resolver = (hosts: ReadonlyMap<string, string>): DnsResolver => {
  const found = (name: string): readonly string[] => {
    const host = hosts.get(name) ?? (name.startsWith('sipp-uas-b') ? '127.0.2.251' : undefined)
    return host === undefined ? [] : [host]
  }
  const none = async () => []
  return { naptr: none, srv: none, aaaa: none, a: async name => found(name), system: async name => found(name) }
}

function engineAt(host: string, control: number, hosts: ReadonlyMap<string, string>): Engine {
  return createEngine({
    control: { host: '127.0.0.1', port: control, secret: 'cymru' },
    listen: [{ transport: 'udp', host, port: 5060 }],
    resolver: resolver(hosts),
    log: createLog('silent')
  })
}

async function suite(folder: string, bin: string, file: string) {
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    NODE_ENV: 'test',
    NODE_CONFIG_DIR: join(folder, 'config')
  }
  const child = spawn(process.execPath, [join('test', file)], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  child.stdout.on('data', (text: Buffer) => (out += text.toString()))
  child.stderr.on('data', (text: Buffer) => (out += text.toString()))
  const guard = setTimeout(() => child.kill('SIGKILL'), suiteMs)
  await new Promise(done => child.once('exit', done))
  clearTimeout(guard)
  const lines = out.split('\n')
  const passed = lines.filter(line => /^ok \d+/.test(line))
  const failed = lines.filter(line => /^not ok \d+/.test(line))
  say(`${file}: ${passed.length} passed, ${failed.length} failed`)
  for (const line of failed) say(`  ${line}`)
  if (process.argv.includes('--verbose')) say(out)
  return { passed: passed.length, failed: failed.length }
}

async function main(asked: readonly string[]): Promise<number> {
  const home = mkdtempSync(join(tmpdir(), 'isthmus-srf-'))
  const servers: ChildProcess[] = []
  const engines: Engine[] = []
  try {
    const folder = fetched(home)
    const services = servicesOf(readFileSync(join(folder, 'test', 'docker-compose-testbed.yaml'), 'utf8'))
    const hosts = new Map([
      ...services.map(({ name, host }) => [name, host] as const),
      ['drachtio-uas', uasHost],
      ['drachtio-sut', sutHost]
    ])
    const bin = mkdtempSync(join(home, 'bin-'))
    for (const [name, text] of [
      ['docker', docker(folder, 5060)],
      ['docker-compose', '#!/bin/sh\nexit 0\n']
    ] as const) {
      writeFileSync(join(bin, name), text)
      chmodSync(join(bin, name), 0o755)
    }
    engines.push(engineAt(sutHost, 9_061, hosts), engineAt(uasHost, 9_062, hosts))
    for (const engine of engines) await engine.start()
    for (const { host, scenario } of services) {
      const file = join(folder, 'test', 'scenarios', scenario)
      const args = ['-sf', file, '-i', host, '-p', '5060', '-nostdin']
      servers.push(spawn('sipp', args, { cwd: dirname(file), stdio: 'ignore', env: { ...process.env, TERM: 'dumb' } }))
    }
    const found = readdirSync(join(folder, 'test')).filter(name => suites.includes(name))
    let [passed, failed] = [0, 0]
    for (const file of suites.filter(name => found.includes(name) && (asked.length === 0 || asked.includes(name)))) {
      const counts = await suite(folder, bin, file)
      passed += counts.passed
      failed += counts.failed
    }
    say(`${passed} passed, ${failed} failed`)
    return failed === 0 ? 0 : 1
  } finally {
    for (const server of servers) server.kill('SIGKILL')
    for (const engine of engines) await engine.close()
    rmSync(home, { recursive: true, force: true })
  }
}

process.exitCode = await main(process.argv.slice(2).filter(word => !word.startsWith('--')))
process.exit()
