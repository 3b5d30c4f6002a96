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
  rounds: 3,
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

/** The middle one of some rounds, in ms of the hub's process. */
async function cpuPerCall(hub: HubProcess, southPort: number, seconds: number): Promise<number> {
  const rounds: number[] = []
  for (let round = 0; round < liveLimits.rounds; round++) {
    const before = costOf(hub.pid).cpuMs
    const { callsPerSecond } = liveLimits
    const { placed, failed } = await load({ port: hub.sipPort('udp') }, { southPort, callsPerSecond, seconds })
    await new Promise(next => setTimeout(next, callLimits.settleMs))
    rounds.push((costOf(hub.pid).cpuMs - before) / Math.max(placed - failed, 1))
  }
  return rounds.sort((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? 0
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

/** About five minutes with 10,000 calls. */
export async function benchLive(
  { many = liveLimits.many, seconds = 10 }: { readonly many?: number; readonly seconds?: number },
  tell: (text: string) => void
): Promise<LiveFigures> {
  await using parts = new AsyncDisposableStack()
  const [southPort, heldPort] = [await freePort(south), await freePort(probed)]
  const probe = join(import.meta.dirname, '../support/heap-probe.ts')
  const hub = await startHubProcess({
    config: hubConfig(southPort, heldPort),
    env: { NODE_OPTIONS: `--import=${probe}` }
  })
  parts.defer(async () => void (await hub.stop()))
  const { warmUpCallsPerSecond: callsPerSecond, warmUpSeconds } = callLimits
  await load({ port: hub.sipPort('udp') }, { southPort, callsPerSecond, seconds: warmUpSeconds })
  const few = await cpuPerCall(hub, southPort, seconds)
  tell(`${few.toFixed(2)} ms of CPU per call beside ${liveLimits.few} live ones`)
  await rest()
  const idle = await memoryOf(hub)
  const held = await holdCalls(hub, heldPort, many)
  parts.defer(async () => void (await held.stop()))
  tell(`placing ${many} calls`)
  await new Promise(next => setTimeout(next, (many / liveLimits.placedPerSecond) * 1_000))
  await rest()
  const full = await memoryOf(hub)
  const live = await heldIn(hub)
  if (live < many * (1 - callLimits.failedShareMax)) throw new Error(`only ${live} of ${many} calls were answered`)
  const per = (bytes: (memory: Memory) => number): number => (bytes(full) - bytes(idle)) / live
  tell(`${(per(({ bytes }) => bytes) / 1_000).toFixed(1)} kB per live call`)
  const cpuMsPerCallAtMany = await cpuPerCall(hub, southPort, seconds)
  tell(`${cpuMsPerCallAtMany.toFixed(2)} ms of CPU per call beside ${many} live ones`)
  return {
    many,
    few: liveLimits.few,
    bytesPerCall: per(({ bytes }) => bytes),
    rssBytesPerCall: per(({ rssBytes }) => rssBytes),
    cpuMsPerCallAtFew: few,
    cpuMsPerCallAtMany
  }
}
