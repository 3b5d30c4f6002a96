// A real Apache Kafka (KRaft) for tests: jars of Maven Central in a cache outside the repository, one broker or three,
// which can be killed and started again on the same data; plain text, and TLS with SASL SCRAM.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { takeLock } from '../../src/store/lock.ts'
import { freePorts } from './free-port.ts'

const version = '4.4.0'
/** slf4j-simple must be of the 1.7 line, as Kafka brings slf4j-api 1.7. */
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local.test</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>`

const bounds = {
  /** The download of 45 jars, 43 MB, on a slow line; and waiting for another test file that does it. */
  downloadMs: 300_000,
  /** A start on a machine that is busy with other tests, and after a kill: the old registration has to run out. */
  readyMs: 120_000,
  stopMs: 20_000
} as const

/** The SCRAM user that every broker knows. */
export const scramUser = { username: 'isthmus', password: 'a secret for tests' } as const
const tlsFolder = join(import.meta.dirname, 'tls')
/** The certificate of the secure listener, which signed itself; its name is that of `secureHost`. */
export const secureCa = readFileSync(join(tlsFolder, 'cert.pem'), 'utf8')
export const secureCaFile = join(tlsFolder, 'cert.pem')

export interface KafkaNode {
  readonly id: number
  readonly pid: number
  readonly running: boolean
  /** kill -9. */
  kill(): Promise<void>
  /** SIGTERM, and until it has gone. */
  stop(): Promise<void>
  /** Again on the same ports and data, ready. */
  start(): Promise<void>
}

export interface Kafka {
  /** `host:port` of the plain listeners. */
  readonly brokers: readonly string[]
  /** Of the listeners with TLS and SASL SCRAM; empty unless asked for. */
  readonly secureBrokers: readonly string[]
  readonly nodes: readonly KafkaNode[]
  stop(): Promise<void>
}

export interface KafkaOptions {
  /** 1 or 3: with three every topic may have three replicas. */
  readonly nodes?: 1 | 3
  readonly secure?: boolean
  /** Lines of server.properties. */
  readonly settings?: readonly string[]
  readonly heapMb?: number
}

/** Starts the brokers on free ports and resolves once they serve. Throws with their last words where they do not. */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const home = await readyHome()
  const { nodes: count = 1, secure = false } = options
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-kafka-'))
  const ports = await freePorts(count * 3)
  const ids = Array.from({ length: count }, (_, n) => n + 1)
  const portOf = (id: number, which: 0 | 1 | 2): number => ports[(id - 1) * 3 + which] ?? 0
  const voters = ids.map(id => `${id}@127.0.0.1:${portOf(id, 1)}`).join(',')
  const nodes = ids.map(id => {
    const dir = join(folder, String(id))
    const place = { id, dir, broker: portOf(id, 0), controller: portOf(id, 1), secure: secure ? portOf(id, 2) : null }
    prepare(home, place, { voters, count, settings: options.settings ?? [] })
    return createNode(home, id, dir, options.heapMb ?? 256)
  })
  const stop = async (): Promise<void> => {
    // Together: a node on its own waits for the others before it leaves.
    await Promise.all(nodes.map(node => node.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map(node => node.start()))
  } catch (error) {
    await Promise.all(nodes.map(node => node.kill()))
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return {
    brokers: ids.map(id => `127.0.0.1:${portOf(id, 0)}`),
    secureBrokers: secure ? ids.map(id => `localhost:${portOf(id, 2)}`) : [],
    nodes,
    stop
  }
}

interface Place {
  readonly id: number
  readonly dir: string
  readonly broker: number
  readonly controller: number
  readonly secure: number | null
}

/** The data folder of a formatted node, and its properties. */
function prepare(
  home: string,
  { id, dir, broker, controller, secure }: Place,
  { voters, count, settings }: { voters: string; count: number; settings: readonly string[] }
): void {
  mkdirSync(dir, { recursive: true })
  cpSync(join(home, 'formatted'), join(dir, 'data'), { recursive: true })
  const meta = join(dir, 'data', 'meta.properties')
  const own = readFileSync(meta, 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${id}`)
    .replace(/^directory\.id=.*$/m, `directory.id=${randomBytes(16).toString('base64url')}`)
  writeFileSync(meta, own)
  const listeners = [`BROKER://127.0.0.1:${broker}`, ...(secure === null ? [] : [`SECURE://localhost:${secure}`])]
  const replicas = count
  const isr = count === 1 ? 1 : 2
  const lines = [
    'process.roles=broker,controller',
    `node.id=${id}`,
    `listeners=${[...listeners, `CONTROLLER://127.0.0.1:${controller}`].join(',')}`,
    `advertised.listeners=${listeners.join(',')}`,
    'listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    'inter.broker.listener.name=BROKER',
    'controller.listener.names=CONTROLLER',
    `controller.quorum.voters=${voters}`,
    `log.dirs=${join(dir, 'data')}`,
    `default.replication.factor=${replicas}`,
    `min.insync.replicas=${isr}`,
    `offsets.topic.replication.factor=${replicas}`,
    'offsets.topic.num.partitions=4',
    `transaction.state.log.replication.factor=${replicas}`,
    `transaction.state.log.min.isr=${isr}`,
    'transaction.state.log.num.partitions=4',
    `share.coordinator.state.topic.replication.factor=${replicas}`,
    `share.coordinator.state.topic.min.isr=${isr}`,
    'unclean.leader.election.enable=false',
    'auto.create.topics.enable=false',
    'group.initial.rebalance.delay.ms=0',
    // A broker that was killed registers again only after this session has run out.
    'broker.session.timeout.ms=3000',
    'broker.heartbeat.interval.ms=500',
    'num.network.threads=2',
    'num.io.threads=4',
    'background.threads=2',
    'log.cleaner.threads=1',
    'log.cleaner.dedupe.buffer.size=4194304',
    'log.segment.bytes=67108864',
    ...(secure === null ? [] : secureLines(dir)),
    ...settings
  ]
  writeFileSync(join(dir, 'server.properties'), `${lines.join('\n')}\n`)
}

/** TLS and SCRAM, and access lists: whoever comes over the plain listener may do everything. */
function secureLines(dir: string): readonly string[] {
  const pem = join(dir, 'keystore.pem')
  writeFileSync(pem, `${readFileSync(join(tlsFolder, 'key.pem'), 'utf8')}${secureCa}`, { mode: 0o600 })
  return [
    'ssl.keystore.type=PEM',
    `ssl.keystore.location=${pem}`,
    'sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.secure.scram-sha-256.sasl.jaas.config=' +
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'listener.name.secure.scram-sha-512.sasl.jaas.config=' +
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users=User:ANONYMOUS',
    'allow.everyone.if.no.acl.found=true'
  ]
}

function createNode(home: string, id: number, dir: string, heapMb: number): KafkaNode {
  let child: ChildProcess | null = null
  let log = ''
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child
    child = null
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return
    const gone = once(ending, 'close')
    ending.kill(signal)
    const impatient = setTimeout(() => ending.kill('SIGKILL'), bounds.stopMs)
    await gone
    clearTimeout(impatient)
  }
  const start = async (): Promise<void> => {
    log = ''
    const started = spawn(
      'java',
      [
        '-Xms64m',
        `-Xmx${heapMb}m`,
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-XX:+ExitOnOutOfMemoryError',
        '-Dorg.slf4j.simpleLogger.logFile=System.out',
        '-cp',
        join(home, 'jars', '*'),
        'kafka.Kafka',
        join(dir, 'server.properties')
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] }
    )
    child = started
    const hear = (text: string): void => void (log = (log + text).slice(-20_000))
    started.stdout.setEncoding('utf8').on('data', hear)
    started.stderr.setEncoding('utf8').on('data', hear)
    const isReady = (): boolean => log.includes('Kafka Server started')
    for (const until = Date.now() + bounds.readyMs; !isReady(); await wait(20)) {
      if (child === started && started.exitCode === null && started.signalCode === null && Date.now() < until) continue
      throw new Error(`Kafka node ${id} did not become ready:\n${log.slice(-3_000)}`)
    }
  }
  return {
    id,
    get pid() {
      return child?.pid ?? 0
    },
    get running() {
      return child !== null
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    start
  }
}

/** The folder of the jars and of a formatted data folder; the first that needs it fetches it, the others wait. */
async function readyHome(): Promise<string> {
  const home = join(homedir(), '.cache', 'isthmus-test', `kafka-${version}`)
  const isReady = (): boolean => existsSync(join(home, 'formatted', 'meta.properties'))
  if (isReady()) return home
  mkdirSync(home, { recursive: true })
  const lock = await patiently(() =>
    takeLock({ file: join(home, 'lock'), what: 'the Kafka of the tests', code: 'HUB_INTERNAL' })
  )
  try {
    if (!existsSync(join(home, 'jars', `kafka_2.13-${version}.jar`))) fetchJars(home)
    if (!isReady()) format(home)
  } finally {
    lock.release()
  }
  return home
}

async function patiently<T>(attempt: () => T): Promise<T> {
  for (const until = Date.now() + bounds.downloadMs; ; await wait(200)) {
    try {
      return attempt()
    } catch (error) {
      if (Date.now() > until) throw error
    }
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: bounds.downloadMs })
  if (status !== 0)
    throw new Error(`${program} failed (${String(error ?? status)}): ${stdout}${stderr}`.slice(0, 4_000))
}

function fetchJars(home: string): void {
  const fetched = join(home, 'jars.new')
  rmSync(fetched, { recursive: true, force: true })
  writeFileSync(join(home, 'pom.xml'), pom)
  run('mvn', [
    '-q',
    '-B',
    '-ntp',
    '-f',
    join(home, 'pom.xml'),
    'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
    '-DincludeScope=runtime',
    `-DoutputDirectory=${fetched}`
  ])
  rmSync(join(home, 'jars'), { recursive: true, force: true })
  renameSync(fetched, join(home, 'jars'))
}

/** Once: every node starts from a copy, which saves a Java start each. */
function format(home: string): void {
  const made = join(home, 'formatted.new')
  rmSync(made, { recursive: true, force: true })
  const properties = join(home, 'format.properties')
  writeFileSync(
    properties,
    [
      'process.roles=broker,controller',
      'node.id=1',
      'listeners=BROKER://127.0.0.1:1,CONTROLLER://127.0.0.1:2',
      'listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name=BROKER',
      'controller.listener.names=CONTROLLER',
      'controller.quorum.voters=1@127.0.0.1:2',
      `log.dirs=${made}`
    ].join('\n')
  )
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(mechanism => [
    '--add-scram',
    `${mechanism}=[name=${scramUser.username},password=${scramUser.password}]`
  ])
  const id = randomBytes(16).toString('base64url')
  run('java', [
    '-XX:TieredStopAtLevel=1',
    '-cp',
    join(home, 'jars', '*'),
    'kafka.tools.StorageTool',
    'format',
    '-t',
    id,
    '-c',
    properties,
    ...scram
  ])
  rmSync(join(home, 'formatted'), { recursive: true, force: true })
  renameSync(made, join(home, 'formatted'))
}
