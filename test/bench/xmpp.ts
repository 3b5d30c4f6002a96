// The XMPP access against the least a component can do, behind the same Prosody in the same run: session-initiate round
// trips. And Jingle <-> SDP conversions. Runs alone with node: `node test/bench/xmpp.ts`; needs Debian's prosody.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { pathToFileURL } from 'node:url'
import { createXmpp } from '../../src/adapters/xmpp/xmpp.ts'
import { createCalls } from '../../src/adapters/xmpp/calls.ts'
import { fromSdp, toSdp } from '../../src/adapters/xmpp/jingle-sdp.ts'
import { jingle, parseJingle, printJingle } from '../../src/adapters/xmpp/jingle.ts'
import { parseSdp, printSdp } from '../../src/session/sdp.ts'
import { systemClock } from '../../src/compose.ts'
import { linkSecretOf, parseConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { startChild } from '../support/child.ts'
import type { Child } from '../support/child.ts'
import { FakeInbox } from '../support/inbox.ts'
import { startProsody } from '../support/prosody.ts'
import { until } from '../support/until.ts'
import parseXml from '@xmpp/xml/lib/parse.js'
import { connectRaw, openEcho } from '../support/xmpp-raw.ts'
import type { RawClient } from '../support/xmpp-raw.ts'

export const benchLimits = {
  /** Sessions of one round: the calls of one island have a bound. */
  sessionsPerRound: 1_500,
  rounds: 8,
  inFlight: 50,
  conversionsPerRound: 2_000,
  conversionRounds: 10
} as const

const domains = { users: 'bench.test', echo: 'echo.bench.test', hub: 'hub.bench.test' } as const
const offerFile = new URL('../adapters/xmpp/fixtures/stanza-audio.xml', import.meta.url)

export interface Trips {
  readonly who: 'echo' | 'hub'
  /** The median round. */
  readonly perSecond: number
  readonly p50Ms: number
  readonly p95Ms: number
  /** Of the component's process. */
  readonly cpuMsPerSession: number
  /** Of the component and the server together: what a round trip costs. */
  readonly cpuMsPerTrip: number
}

export interface TripFigures {
  readonly trips: readonly Trips[]
  /** The hub's rate of a round by the echo's in the same round: the median of them. */
  readonly rateRatio: number
  /** CPU time of a round trip by the echo, by that of one by the hub, likewise. */
  readonly cpuRatio: number
}

export interface XmppFigures extends TripFigures {
  /** Of one core: from one to the other, parsed and printed. */
  readonly jingleToSdpPerSecond: number
  readonly sdpToJinglePerSecond: number
  readonly offerBytes: number
}

/** The `<jingle/>` of an offer, as text, with a place for the sid. */
function offer(): string {
  const element = parseXml(readFileSync(offerFile, 'utf8'))
  const found = element.is('jingle') ? element : element.getChild('jingle')
  if (found === undefined) throw new Error(`no jingle in ${offerFile.pathname}`)
  const parsed = parseJingle(found)
  if (parsed === null) throw new Error(`${offerFile.pathname} is no Jingle`)
  return printJingle({ ...parsed, action: 'session-initiate', sid: 'SID', initiator: null, responder: null }).toString()
}

/** CPU time of this process; the best of some rounds. */
function perCpuSecond(work: () => number): number {
  let best = 0
  for (let round = 0; round < benchLimits.conversionRounds; round++) {
    const start = process.cpuUsage()
    for (let count = 0; count < benchLimits.conversionsPerRound; count++) {
      if (work() < 100) throw new Error('converted to something too short')
    }
    const { user, system } = process.cpuUsage(start)
    best = Math.max(best, Math.round((benchLimits.conversionsPerRound / (user + system)) * 1_000_000))
  }
  return best
}

export function benchConversions(): Omit<XmppFigures, keyof TripFigures> {
  const text = offer()
  const element = parseXml(text)
  const parsed = parseJingle(element)
  const sdp = printSdp(toSdp(parsed ?? jingle('session-initiate', ''), 'initiator').description)
  const jingleToSdpPerSecond = perCpuSecond(() => {
    const read = parseJingle(element)
    return read === null ? 0 : printSdp(toSdp(read, 'initiator').description).length
  })
  const sdpToJinglePerSecond = perCpuSecond(() => {
    const read = parseSdp(sdp)
    if (read === null) return 0
    const { contents, groups } = fromSdp(read, 'initiator', () => 'initiator')
    return printJingle(jingle('session-initiate', 'sid', { contents, groups })).toString().length
  })
  return { jingleToSdpPerSecond, sdpToJinglePerSecond, offerBytes: Buffer.byteLength(text) }
}

/** The echo and the hub's access in processes of their own, one client, in turn. */
export async function benchTrips(report: (line: string) => void): Promise<TripFigures> {
  const server = await startProsody({
    domain: domains.users,
    components: [{ domain: domains.echo }, { domain: domains.hub }],
    users: { load: 'load' }
  })
  const children: Child[] = []
  try {
    const file = new URL(import.meta.url).pathname
    for (const role of roles) {
      const child = startChild(file, ['--role', role, '--port', String(server.componentPort)])
      children.push(child)
      await child.line('ready')
    }
    const client = await connectRaw({ url: server.tcp, user: 'load', password: 'load', domain: domains.users })
    const rounds: Record<'echo' | 'hub', Round[]> = { echo: [], hub: [] }
    const template = offer()
    for (let round = 0; round <= benchLimits.rounds; round++) {
      // Who goes first changes: what the machine does meanwhile is no advantage to either.
      for (const who of round % 2 === 0 ? roles : roles.toReversed()) {
        const child = children[roles.indexOf(who)]
        if (child === undefined) throw new Error('no child')
        const result = await oneRound(client, domains[who], template, `${who}-${round}`, child, server.pid)
        const [own, others] = [result.cpuMs, result.serverCpuMs].map(Math.round)
        report(`${who} round ${round}: ${Math.round(result.perSecond)}/s, CPU ${own} ms, server ${others} ms`)
        // The first one warms up.
        if (round > 0) rounds[who].push(result)
      }
    }
    client.close()
    const ratio = (cost: (round: Round) => number): number =>
      median(rounds.hub.map((round, at) => cost(rounds.echo[at] ?? round) / cost(round)))
    return {
      trips: roles.map(who => summary(who, rounds[who])),
      rateRatio: ratio(({ perSecond }) => 1 / perSecond),
      cpuRatio: ratio(({ cpuMs, serverCpuMs }) => cpuMs + serverCpuMs)
    }
  } finally {
    for (const child of children) child.process.kill('SIGTERM')
    await Promise.all(children.map(({ ended }) => ended))
    await server.stop()
  }
}

const roles = ['echo', 'hub'] as const

interface Round {
  readonly perSecond: number
  readonly cpuMs: number
  readonly serverCpuMs: number
  readonly tripsMs: readonly number[]
}

async function oneRound(
  client: RawClient,
  to: string,
  template: string,
  name: string,
  child: Child,
  serverPid: number
): Promise<Round> {
  const { sessionsPerRound } = benchLimits
  const cpuBefore = await cpuOf(child, `${name}-before`)
  const serverBefore = processCpuMs(serverPid)
  const tripsMs: number[] = []
  const number = `+4930123456@${to}/gw`
  const start = performance.now()
  await inTurn(async count => {
    const sid = `${name}-${count}`
    const sent = performance.now()
    await client.request(number, template.replace('SID', sid), sid)
    tripsMs.push(performance.now() - sent)
  })
  const seconds = (performance.now() - start) / 1_000
  const serverCpuMs = processCpuMs(serverPid) - serverBefore
  const cpuMs = (await cpuOf(child, `${name}-after`)) - cpuBefore
  const end = (sid: string): string =>
    `<jingle xmlns="urn:xmpp:jingle:1" action="session-terminate" sid="${sid}"><reason><success/></reason></jingle>`
  await inTurn(count => client.request(number, end(`${name}-${count}`), `end-${name}-${count}`))
  return { perSecond: sessionsPerRound / seconds, cpuMs, serverCpuMs, tripsMs }
}

/** Once for each session of a round, so many of them at a time. */
async function inTurn(work: (count: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < benchLimits.sessionsPerRound) await work(next++)
  }
  await Promise.all(Array.from({ length: benchLimits.inFlight }, worker))
}

async function cpuOf(child: Child, name: string): Promise<number> {
  child.process.stdin.write(`${name}\n`)
  return Number(await child.line(`cpu ${name} `))
}

/** User and system time of a process from its beginning (proc(5): ticks of a hundredth of a second). */
function processCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const median = (values: readonly number[]): number =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5
  )
const quantile = (sorted: readonly number[], q: number): number => sorted[Math.floor((sorted.length - 1) * q)] ?? 0

function summary(who: Trips['who'], rounds: readonly Round[]): Trips {
  const rates = rounds.map(({ perSecond }) => perSecond).sort((a, b) => a - b)
  const trips = rounds.flatMap(({ tripsMs }) => tripsMs).sort((a, b) => a - b)
  const cpuMs = rounds.reduce((total, round) => total + round.cpuMs, 0)
  const serverCpuMs = rounds.reduce((total, round) => total + round.serverCpuMs, 0)
  return {
    who,
    perSecond: Math.round(quantile(rates, 0.5)),
    p50Ms: quantile(trips, 0.5),
    p95Ms: quantile(trips, 0.95),
    cpuMsPerSession: cpuMs / trips.length,
    cpuMsPerTrip: (cpuMs + serverCpuMs) / trips.length
  }
}

export const tripTable = ({ trips, rateRatio, cpuRatio }: TripFigures): string => {
  const row = ({ who, perSecond, p50Ms, p95Ms, cpuMsPerSession, cpuMsPerTrip }: Trips): string =>
    `| ${who === 'echo' ? 'Echo without XML parsing' : 'Isthmus'} | ${perSecond} | ${p50Ms.toFixed(1)} | ${p95Ms.toFixed(1)} | ${cpuMsPerSession.toFixed(3)} | ${cpuMsPerTrip.toFixed(3)} |`
  return [
    '| Component behind Prosody | session-initiate/s | p50 ms | p95 ms | CPU ms/session | with the server |',
    '|---|---:|---:|---:|---:|---:|',
    ...trips.map(row),
    `| Ratio | ${rateRatio.toFixed(2)} x | | | | ${cpuRatio.toFixed(2)} x |`
  ].join('\n')
}

/** `--role hub`: the whole access with calls, a core that lets every call ring. */
async function runHub(port: number): Promise<void> {
  const island = {
    id: 'bench',
    access: 'xmpp',
    domain: domains.users,
    gateway: domains.hub,
    connection: { kind: 'component', host: '127.0.0.1', port, secret: 's3cr3t' },
    users: [{ name: 'load', number: '+4930111001' }]
  }
  const { islands } = parseConfig(JSON.stringify({ islands: [island] }))
  const xmpp = createXmpp({
    config: { islands, hub: { domain: 'hub.test' } },
    log: createLog('warn'),
    clock: systemClock,
    secretOf: linkSecretOf,
    createCalls
  })
  await xmpp.start(new FakeInbox())
  await until(() => xmpp.ready('bench'))
  process.once('SIGTERM', () => void xmpp.close().then(() => process.exit(0)))
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { role: { type: 'string' }, port: { type: 'string' } } })
  if (values.role !== undefined) {
    if (values.role === 'hub') await runHub(Number(values.port))
    else await openEcho({ port: Number(values.port), domain: domains.echo, secret: 's3cr3t' })
    process.stdin.setEncoding('utf8').on('data', (text: string) => {
      const { user, system } = process.cpuUsage()
      for (const name of text.trim().split('\n')) console.log(`cpu ${name} ${(user + system) / 1_000}`)
    })
    return console.log('ready')
  }
  const { jingleToSdpPerSecond, sdpToJinglePerSecond, offerBytes } = benchConversions()
  console.log(`Jingle to SDP, ${offerBytes} bytes: ${jingleToSdpPerSecond} per CPU-second`)
  console.log(`SDP to Jingle: ${sdpToJinglePerSecond} per CPU-second`)
  console.log(tripTable(await benchTrips(line => console.log(line))))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  })
}
