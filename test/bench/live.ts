// What a live call costs: memory of thousands that only talk, and CPU time of further calls beside them.

import { join } from 'node:path'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { freePort, startSipp } from '../support/sipp.ts'
import { callLimits, hubConfig, load, north, probed, south } from './calls.ts'
import { costOf } from './processes.ts'

export const liveLimits = {
  few: 100,
  many: 10_000,
  /** How fast the many are placed. */
  placedPerSecond: 150,
  /** After the last was answered: its transactions are forgotten (64*T1), its records relayed. */
  restMs: 45_000,
  /** The calls whose CPU time is measured last a second, so that this rate keeps `few` of them alive. */
  callsPerSecond: 100,
  /** Of each hub, in turn; one more before them is not counted, because a forced collection drops compiled code. */
  rounds: 5,
  probeMs: 30_000
} as const

export interface LiveFigures {
  readonly many: number
  readonly few: number
  /** Heap in use and external memory after a forced collection, beyond that of the idle hub. */
  readonly bytesPerCall: number
  readonly rssBytesPerCall: number
  /** Of calls at `callsPerSecond` while few others live, and while many do. */
  readonly cpuMsPerCallAtFew: number
  readonly cpuMsPerCallAtMany: number
}

const heldNumber = '+441632960000'

interface Memory {
  readonly bytes: number
  readonly rssBytes: number
}

/** Forces a collection in the hub and reads what is left. */
async function memoryOf(hub: HubProcess): Promise<Memory> {
  const probes = () => hub.logged().filter(({ probe }) => probe === 'heap')
  const before = probes().length
  hub.signal('SIGUSR2')
  const found = await eventually('the heap is told', () => probes()[before], liveLimits.probeMs)
  const number = (name: string): number => Number(found[name])
  return { bytes: number('usedBytes') + number('externalBytes'), rssBytes: number('rssBytes') }
}

/** CPU time of the hub's process, and the calls that were completed in it. */
class Meter {
  readonly #hub: HubProcess
  readonly #southPort: number
  #cpuMs = 0
  #calls = 0

  constructor(hub: HubProcess, southPort: number) {
    this.#hub = hub
    this.#southPort = southPort
  }

  get cpuMsPerCall(): number {
    return this.#cpuMs / Math.max(this.#calls, 1)
  }

  async round(seconds: number, isCounted: boolean): Promise<void> {
    const { pid } = this.#hub
    const before = costOf(pid).cpuMs
    const wanted = { southPort: this.#southPort, callsPerSecond: liveLimits.callsPerSecond, seconds }
    const { placed, failed } = await load({ port: this.#hub.sipPort('udp') }, wanted)
    await new Promise(next => setTimeout(next, callLimits.settleMs))
    if (!isCounted) return
    this.#cpuMs += costOf(pid).cpuMs - before
    this.#calls += placed - failed
  }
}

/** Both in turn, so that a slow minute of the machine is one of both. */
async function compare(few: Meter, many: Meter, seconds: number): Promise<void> {
  for (let round = 0; round <= liveLimits.rounds; round++) {
    for (const meter of round % 2 === 0 ? [few, many] : [many, few]) await meter.round(seconds, round > 0)
  }
}

/** SIPp on both sides holds calls; they end with it. */
async function holdCalls(hub: HubProcess, port: number, calls: number) {
  const runMs = 3_600_000
  const quiet = { more: ['-l', String(calls), '-buff_size', '4000000'], pauseMs: runMs, runMs }
  const uas = await startSipp({ scenario: 'ims-uas.xml', host: probed, port, ...quiet })
  const uac = await startSipp({
    scenario: 'ims-uac.xml',
    host: north,
    remote: { host: '127.0.0.1', port: hub.sipPort('udp') },
    service: heldNumber,
    keys: { caller: '+33145678900' },
    calls,
    callsPerSecond: liveLimits.placedPerSecond,
    ...quiet
  })
  const running = [uac, uas]
  return {
    stop: () => {
      // Asked to, SIPp would wait for its calls.
      for (const { pid } of running) process.kill(pid, 'SIGKILL')
      return Promise.all(running.map(({ done }) => done))
    }
  }
}

/** How many of the held calls were answered, by their start records. */
async function heldIn(hub: HubProcess): Promise<number> {
  const started = (await hub.records()).filter(({ kind, leg }) => kind === 'start' && leg === 'ingress')
  return started.filter(({ called }) => called === heldNumber).length
}

const rest = (): Promise<void> => new Promise(next => setTimeout(next, liveLimits.restMs))

/** A hub that has compiled what calls need, and the memory that it has then, without calls. */
async function startWarm(config: ReturnType<typeof hubConfig>, southPort: number) {
  const probe = join(import.meta.dirname, '../support/heap-probe.ts')
  const hub = await startHubProcess({ config, env: { NODE_OPTIONS: `--import=${probe}` } })
  const { warmUpCallsPerSecond: callsPerSecond, warmUpSeconds } = callLimits
  await load({ port: hub.sipPort('udp') }, { southPort, callsPerSecond, seconds: warmUpSeconds })
  await rest()
  return { hub, idle: await memoryOf(hub) }
}

/** About eight minutes with 10,000 calls. */
export async function benchLive(
  { many = liveLimits.many, seconds = 10 }: { readonly many?: number; readonly seconds?: number },
  tell: (text: string) => void
): Promise<LiveFigures> {
  await using parts = new AsyncDisposableStack()
  const [southPort, heldPort] = [await freePort(south), await freePort(probed)]
  const config = hubConfig(southPort, heldPort)
  const empty = await startWarm(config, southPort)
  parts.defer(async () => void (await empty.hub.stop()))
  const { hub, idle } = await startWarm(config, southPort)
  parts.defer(async () => void (await hub.stop()))
  const held = await holdCalls(hub, heldPort, many)
  parts.defer(async () => void (await held.stop()))
  tell(`placing ${many} calls`)
  await new Promise(next => setTimeout(next, (many / liveLimits.placedPerSecond) * 1_000))
  await rest()
  const [beside, alone] = [new Meter(hub, southPort), new Meter(empty.hub, southPort)]
  await compare(alone, beside, seconds)
  const [cpuMsPerCallAtFew, cpuMsPerCallAtMany] = [alone.cpuMsPerCall, beside.cpuMsPerCall]
  tell(`${cpuMsPerCallAtFew.toFixed(2)} ms of CPU per call beside ${liveLimits.few} live ones`)
  tell(`${cpuMsPerCallAtMany.toFixed(2)} ms of CPU per call beside ${many} live ones`)
  await rest()
  const full = await memoryOf(hub)
  const live = await heldIn(hub)
  if (live < many * (1 - callLimits.failedShareMax)) throw new Error(`only ${live} of ${many} calls were answered`)
  const per = (bytes: (memory: Memory) => number): number => (bytes(full) - bytes(idle)) / live
  tell(`${(per(({ bytes }) => bytes) / 1_000).toFixed(1)} kB per live call`)
  return {
    many,
    few: liveLimits.few,
    bytesPerCall: per(({ bytes }) => bytes),
    rssBytesPerCall: per(({ rssBytes }) => rssBytes),
    cpuMsPerCallAtFew,
    cpuMsPerCallAtMany
  }
}
