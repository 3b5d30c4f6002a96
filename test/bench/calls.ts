// The same calls through the hub and through Kamailio, step by step: SIPp -> one of them -> SIPp, until each fails.

import { readFileSync } from 'node:fs'
import { startHubProcess } from '../support/hub.ts'
import { freePort, startSipp } from '../support/sipp.ts'
import { startKamailio } from './kamailio.ts'
import { costBelow, costOf, costOfTree, machineBusyMs } from './processes.ts'
import type { Cost } from './processes.ts'
import { startProber } from './prober.ts'
import type { Probes, Prober } from './prober.ts'

export const callLimits = {
  /** Between ACK and BYE. */
  holdMs: 1_000,
  /** After the last call has begun: what has not ended by then has failed. */
  tailMs: 6_000,
  /** For the records that come behind the calls, before CPU time is read. */
  settleMs: 1_500,
  callsAtOnceMax: 60_000,
  /** Calls before anything is measured: it takes some thousands until V8 has nothing left to compile. */
  warmUpSeconds: 30,
  warmUpCallsPerSecond: 200,
  /** A step with this share of failed calls has failed, and is the last one of its server. */
  failedShareMax: 0.01,
  /** Of a step, before it has failed for good: a machine may stand still for a moment. */
  tries: 2,
  /** More rounds at the highest rate that we and Kamailio sustain, in turn: a machine is not equally fast every minute. */
  roundsMore: 2,
  /** What a full server is offered in the end, in times of what it sustained. */
  overloadTimes: 2
} as const

// Everything in 127/8 is this machine: operators told apart by address.
export const north = '127.0.0.2'
export const south = '127.0.0.3'
export const probed = '127.0.0.4'
const plenty = { callsMax: 60_000, callsPerSecondMax: 100_000 }

export interface Step {
  readonly server: string
  readonly callsPerSecond: number
  readonly placed: number
  readonly failed: number
  readonly retransmissions: number
  readonly cpuMsPerCall: number
  /** PostgreSQL's processes; null where there is none. */
  readonly databaseCpuMsPerCall: number | null
  readonly memoryMb: number
  readonly probes: Probes
  /** Of the whole machine, 0 to 1, while the calls ran. */
  readonly machineBusyShare: number
  readonly sustained: boolean
  /** Offered on purpose more than the server had sustained. */
  readonly overload: boolean
}

interface Server {
  readonly name: string
  readonly port: number
  cost(): { readonly own: Cost; readonly database: Cost | null }
  stop(): Promise<unknown>
}

/** Names of what is measured. */
export const [ours, oursDirect, kamailioName] = ['Isthmus', 'Isthmus, direct link', 'Kamailio']

/** The configuration of the hub under load: three operators, nothing between SIP and SIP. */
export function hubConfig(southPort: number, probedPort: number) {
  const operator = (id: string, host: string, port: number, prefix: string) => ({
    id,
    address: { host, port, transport: 'udp' },
    trust: 'network',
    ioi: `${id}.example`,
    routes: [{ prefix }],
    keepaliveMs: 0,
    limits: plenty
  })
  const rates = [{ prefix: '+', destination: 'Anywhere', rate: '0.03' }]
  return {
    hub: { sessionsMax: 60_000, drainMs: 1_000 },
    events: { journalSlots: 131_072 },
    media: { anchor: 'none' },
    nni: { listen: [{ transport: 'udp', host: '127.0.0.1', port: 0 }] },
    operators: [
      operator('north', north, 5_060, '+33'),
      operator('south', south, southPort, '+49'),
      operator('probed', probed, probedPort, '+44')
    ],
    agreements: [
      { id: 'north-hub', buyer: 'north', seller: 'hub', rates },
      { id: 'hub-south', buyer: 'hub', seller: 'south', rates },
      { id: 'hub-probed', buyer: 'hub', seller: 'probed', rates }
    ]
  }
}

/** By drachtio-srf, and without it. */
const hubServer =
  (name: string, link: 'drachtio-srf' | 'direct') =>
  async (southPort: number, probedPort: number): Promise<Server> => {
    const config = hubConfig(southPort, probedPort)
    const hub = await startHubProcess({ config: { ...config, nni: { ...config.nni, link } } })
    return {
      name,
      port: hub.sipPort('udp'),
      cost: () => ({ own: costOf(hub.pid), database: costBelow(hub.pid) }),
      stop: () => hub.stop()
    }
  }

async function kamailioServer(southPort: number, probedPort: number): Promise<Server> {
  const kamailio = await startKamailio([
    { prefix: '+49', host: south, port: southPort },
    { prefix: '+44', host: probed, port: probedPort }
  ])
  const { pid, port } = kamailio
  return {
    name: kamailioName,
    port,
    cost: () => ({ own: costOfTree(pid), database: null }),
    stop: () => kamailio.stop()
  }
}

export interface Load {
  readonly southPort: number
  readonly callsPerSecond: number
  readonly seconds: number
  readonly overload?: boolean
}

/** SIPp's side of a step: every call that was not completed has failed, also one that SIPp could not place in time. */
export async function load(server: { readonly port: number }, { southPort, callsPerSecond, seconds }: Load) {
  const { holdMs, tailMs, callsAtOnceMax } = callLimits
  const calls = callsPerSecond * seconds
  const runMs = seconds * 1_000 + holdMs + tailMs
  const quiet = { more: ['-l', String(callsAtOnceMax), '-buff_size', '4000000'], pauseMs: holdMs }
  const uas = await startSipp({
    scenario: 'ims-uas.xml',
    host: south,
    port: southPort,
    runMs: runMs + 60_000,
    ...quiet
  })
  const uac = await startSipp({
    scenario: 'ims-uac.xml',
    host: north,
    remote: { host: '127.0.0.1', port: server.port },
    service: '+4930123456',
    keys: { caller: '+33145678900' },
    calls,
    callsPerSecond,
    runMs,
    ...quiet
  })
  const { successful, retransmissions } = await uac.done
  await uas.stop()
  return { placed: calls, failed: calls - successful, retransmissions }
}

async function measure(server: Server, prober: Prober, wanted: Load): Promise<Step> {
  const before = server.cost()
  const busyBefore = machineBusyMs()
  const begun = performance.now()
  const probes = prober.start({ host: '127.0.0.1', port: server.port })
  const { placed, failed, retransmissions } = await load(server, wanted)
  const measured = await probes.stop()
  const busyMs = machineBusyMs() - busyBefore
  const lengthMs = performance.now() - begun
  await new Promise(next => setTimeout(next, callLimits.settleMs))
  const after = server.cost()
  const answered = Math.max(placed - failed + measured.answered, 1)
  const perCall = (from: Cost | null, to: Cost | null): number | null =>
    from === null || to === null ? null : (to.cpuMs - from.cpuMs) / answered
  return {
    server: server.name,
    callsPerSecond: wanted.callsPerSecond,
    placed,
    failed,
    retransmissions,
    cpuMsPerCall: perCall(before.own, after.own) ?? 0,
    databaseCpuMsPerCall: perCall(before.database, after.database),
    memoryMb: after.own.memoryMb,
    probes: measured,
    machineBusyShare: busyMs / lengthMs / cores(),
    sustained: failed / placed < callLimits.failedShareMax,
    overload: wanted.overload === true
  }
}

/** The highest rate that a server sustained; 0 for none. */
const bestOf = (steps: readonly Step[], server: string): number =>
  Math.max(...steps.filter(step => step.server === server && step.sustained).map(step => step.callsPerSecond), 0)
const cores = (): number => readFileSync('/proc/stat', 'utf8').match(/^cpu\d/gm)?.length ?? 1

/** The steps of all servers, interleaved, each until its first failing one; then twice what each had sustained. */
export async function benchCalls(
  { rates, seconds }: { readonly rates: readonly number[]; readonly seconds: number },
  tell: (step: Step) => void
): Promise<readonly Step[]> {
  const steps: Step[] = []
  await using parts = new AsyncDisposableStack()
  const southPort = await freePort(south)
  const prober = await startProber({ from: north, to: probed, number: '+441632960000' })
  parts.defer(() => prober.close())
  let servers: readonly Server[] = []
  for (const start of [hubServer(ours, 'drachtio-srf'), hubServer(oursDirect, 'direct'), kamailioServer]) {
    const server = await start(southPort, prober.answerPort)
    parts.defer(async () => void (await server.stop()))
    servers = [...servers, server]
    const { warmUpCallsPerSecond: callsPerSecond, warmUpSeconds } = callLimits
    await load(server, { southPort, callsPerSecond, seconds: warmUpSeconds })
  }
  const all = servers
  for (const callsPerSecond of rates) {
    for (const server of servers) {
      let sustained = false
      for (let tries = 0; tries < callLimits.tries && !sustained; tries++) {
        const step = await measure(server, prober, { southPort, callsPerSecond, seconds })
        steps.push(step)
        tell(step)
        sustained = step.sustained
      }
      if (!sustained) servers = servers.filter(other => other !== server)
    }
  }
  const further = async (server: Server, wanted: Load): Promise<void> => {
    const step = await measure(server, prober, wanted)
    steps.push(step)
    tell(step)
  }
  const best = new Map(all.map(({ name }) => [name, bestOf(steps, name)]))
  for (let round = 0; round < callLimits.roundsMore; round++) {
    for (const ourName of [ours, oursDirect]) {
      const callsPerSecond = Math.min(best.get(ourName) ?? 0, best.get(kamailioName) ?? 0)
      const both = all.filter(({ name }) => callsPerSecond > 0 && (name === ourName || name === kamailioName))
      for (const server of both) await further(server, { southPort, callsPerSecond, seconds })
    }
  }
  for (const server of all) {
    const callsPerSecond = (best.get(server.name) ?? 0) * callLimits.overloadTimes
    if (callsPerSecond > 0) await further(server, { southPort, callsPerSecond, seconds, overload: true })
  }
  return steps
}
