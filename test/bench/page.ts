// docs/performance.md, and the same tables on the terminal.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { callLimits, ours as ourName, oursDirect } from './calls.ts'
import type { Step } from './calls.ts'
import type { CoreFigures } from './core.ts'
import { liveLimits } from './live.ts'
import type { LiveFigures } from './live.ts'

export interface Figures {
  readonly parse: { readonly name: string; readonly perSecond: number } | null
  readonly core: CoreFigures | null
  readonly calls: readonly Step[]
  readonly live: LiveFigures | null
  readonly seconds: number
  readonly command: string
  readonly loadAverage: number
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map(row => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

const fixed = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits))
const whole = (value: number): string => Math.round(value).toLocaleString('en-GB')

const stepRow = (step: Step): readonly string[] => [
  step.server,
  `${whole(step.callsPerSecond)}${step.overload ? ' (twice)' : ''}`,
  `${((step.failed / step.placed) * 100).toFixed(2)} %`,
  whole(step.retransmissions),
  fixed(step.cpuMsPerCall, 2),
  fixed(step.databaseCpuMsPerCall, 2),
  fixed(step.probes.p50Ms, 1),
  fixed(step.probes.p95Ms, 1),
  whole(step.memoryMb),
  `${Math.round(step.machineBusyShare * 100)} %`
]

const stepHead = [
  'Server',
  'Calls/s',
  'Failed',
  'Retransmissions',
  'CPU ms/call',
  'PostgreSQL CPU ms/call',
  'p50 ms',
  'p95 ms',
  'Memory MB',
  'Machine busy'
]

export const stepTable = (steps: readonly Step[]): string =>
  table(stepHead, [...steps].sort((a, b) => a.server.localeCompare(b.server)).map(stepRow))

/** The line for one step while the run goes on. */
export const stepLine = (step: Step): string => stepHead.map((name, at) => `${name} ${stepRow(step)[at]}`).join(', ')

const best = (rates: readonly number[]): number => Math.max(...rates, 0)

/** Of several rounds the middle one; null where nothing was measured. */
function middle(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null).sort((a, b) => a - b)
  return known[Math.floor(known.length / 2)] ?? null
}

/**
 * Ours against Kamailio in the same run; empty where they sustained nothing in common. CPU time at the highest rate that
 * both sustained; how long an answer takes is a question to servers that are not full: at half of ours, at most.
 */
export function ratioTable(steps: readonly Step[], name = ourName): string {
  const good = (server: string) => steps.filter(step => step.server === server && step.sustained && !step.overload)
  const [ours, theirs] = [good(name), good('Kamailio')]
  const [most, theirMost] = [ours, theirs].map(own => best(own.map(step => step.callsPerSecond)))
  const common = ours.map(step => step.callsPerSecond).filter(rate => theirs.some(step => step.callsPerSecond === rate))
  if (common.length === 0 || most === undefined || theirMost === undefined) return ''
  const full = best(common)
  const easy = best(common.filter(rate => rate <= most / 2)) || Math.min(...common)
  const row = (what: string, rate: number, of: (step: Step) => number | null, digits: number): readonly string[] => {
    const [left = null, right = null] = [ours, theirs].map(own =>
      middle(own.filter(({ callsPerSecond }) => callsPerSecond === rate).map(of))
    )
    return [`${what} at ${whole(rate)} calls/s`, fixed(left, digits), fixed(right, digits), ratio(left, right)]
  }
  const withDatabase = (step: Step): number => step.cpuMsPerCall + (step.databaseCpuMsPerCall ?? 0)
  return table(
    ['', name, 'Kamailio', 'Ratio'],
    [
      ['Sustained calls/s', whole(most), whole(theirMost), ratio(most, theirMost)],
      goodputRow(steps, name, most, theirMost),
      row('CPU ms per call', full, step => step.cpuMsPerCall, 2),
      row('The same, PostgreSQL included,', full, withDatabase, 2),
      row('INVITE to 200, p50 ms', easy, ({ probes }) => probes.p50Ms, 1),
      row('INVITE to 200, p95 ms', easy, ({ probes }) => probes.p95Ms, 1),
      row('Memory MB', full, step => step.memoryMb, 0)
    ]
  )
}

/** What is completed of twice the calls that a server sustained, in parts of what it sustained. */
function goodputRow(steps: readonly Step[], name: string, most: number, theirMost: number): readonly string[] {
  const share = (server: string, sustained: number): number | null => {
    const step = steps.find(one => one.server === server && one.overload)
    return step === undefined ? null : ((1 - step.failed / step.placed) * step.callsPerSecond) / sustained
  }
  const [left, right] = [share(name, most), share('Kamailio', theirMost)]
  const percent = (value: number | null): string => (value === null ? '' : `${Math.round(value * 100)} %`)
  return ['Completed of twice that, in parts of it', percent(left), percent(right), ratio(left, right)]
}

export const liveTable = (live: LiveFigures): string =>
  table(
    [`${whole(live.many)} live calls`, ''],
    [
      ['Heap and external memory, kB per call', fixed(live.bytesPerCall / 1_000, 1)],
      ['Resident memory, kB per call', fixed(live.rssBytesPerCall / 1_000, 1)],
      [`CPU ms per call at ${liveLimits.callsPerSecond} calls/s beside them`, fixed(live.cpuMsPerCallAtMany, 2)],
      [`The same with ${live.few} live calls`, fixed(live.cpuMsPerCallAtFew, 2)],
      ['Ratio', ratio(live.cpuMsPerCallAtMany, live.cpuMsPerCallAtFew)]
    ]
  )

const ratio = (left: number | null, right: number | null): string =>
  left === null || right === null || right === 0 ? '' : `${(left / right).toFixed(2)} x`

const kamailioVersion = (): string => {
  const status = readFileSync('/var/lib/dpkg/status', 'utf8')
  return /^Package: kamailio$[^]*?^Version: (.*)$/m.exec(status)?.[1] ?? 'unknown'
}

/** By hand, from profiles of the hub under load: `--cpu-prof`, `perf record`, and the counters of the collector. */
const costPart = `## What a call costs

A call through the hub is seven messages in and seven out, two dialogs, four records and two rated charges. At 400
calls/s over drachtio-srf the time of the main thread is, about: over a quarter SIP (reading and writing messages,
transactions, dialogs, engine), an eighth drachtio-srf, an eighth receiving and sending datagrams, a tenth records
(made, chained, written to the journal, sent to the event log), a twelfth the core, a fourteenth the border to the
operators (identities, header fields, session descriptions), a twentieth collecting garbage, a twentieth clearing with
its database connection; routing, policy, timers, promises and the log share the rest. No function of ours has more
than 2.5 %, and the same work takes a third of the time in a loop that does nothing else, since code and data of a whole
call do not stay in a core's caches. V8's own threads add a fifth to it, compiling and collecting. drachtio-srf keeps
books of its own of each message, which itself goes past it as it was parsed: 0.08 ms of a call in such a loop, where
over a control port it is 0.45 ms, since there each message becomes text once more and is read twice more. A call
allocates about 290 kB, and what lives as long as a call is copied twice by the collector: so less kept for a call is
also less work. Nothing walks over all live calls; a collection of the whole heap does, and \`npm start\` has it come when
the heap has doubled, not to give memory back.
`

const livePart = (live: LiveFigures): string => `## Live calls

${liveTable(live)}

- Calls that were answered and only talk, ${liveLimits.restMs / 1_000} s after the last was placed, so that their transactions are forgotten. Memory is what
  the hub has more than when idle: heap in use and external memory after a forced collection, and the resident set.
- CPU: of the Node process, for calls of ${callLimits.holdMs / 1_000} s that are placed meanwhile: ${liveLimits.rounds} rounds of two hubs in turn, one with the
  live calls and one without.

`

export function page({ parse, core, calls, live, seconds, command, loadAverage }: Figures): string {
  const machine = `${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}`
  const { holdMs, failedShareMax, warmUpSeconds, warmUpCallsPerSecond } = callLimits
  return `# Performance

Made by \`${command}\` on ${new Date().toISOString().slice(0, 10)}: ${machine}, Node ${process.versions.node}, Kamailio
${kamailioVersion()} (Debian), load average before the run ${loadAverage.toFixed(2)}. Figures depend on the machine, so what counts are the
ratios against Kamailio, which does the same calls in the same run.

## Against Kamailio

${ratioTable(calls)}

With \`nni.link: direct\`, without drachtio-srf between the engine and the hub:

${ratioTable(calls, oursDirect)}

The hub is a back-to-back user agent that decides, records, rates and charges every call; Kamailio forwards messages
and keeps transactions. Kamailio is what a call costs on this machine at least.

The line to beat, a back-to-back user agent of drachtio-server with drachtio-srf that does nothing else, measured earlier
on two cores: **1.45 ms of CPU per call, collapse past 1,200 calls/s**. Kamailio needed 0.34 ms there, at 2,000 calls/s
and more: 4.3 times. That is no ratio of one rate, and CPU per call falls as the rate rises, for every server here, so
it is a rough comparison with the ratios above.

## Every step

${stepTable(calls)}

- SIPp calls over UDP from one operator to another: INVITE, 180, 200, ACK, ${holdMs / 1_000} s, BYE, 200. The hub runs from its sources in
  one process (\`media.anchor: none\`, embedded PostgreSQL, keepalives off); Kamailio with \`tm\` and Record-Route, one UDP
  worker. A step is ${seconds} s of new calls, all servers in turn, and the rates rise until ${failedShareMax * 100} % of a step's calls fail, ${callLimits.tries} times;
  the highest rate that we and Kamailio sustain is run ${callLimits.roundsMore} times more, in turn, and the ratios take the middle one; the
  last step of each offers twice what it sustained. Before the first step each has had ${warmUpSeconds} s of ${warmUpCallsPerSecond} calls/s.
- Failed: every call that was not completed, also one that SIPp could not place in time. SIPp and the prober
  share the cores with the servers.
- CPU: user and system time of all threads from \`/proc\`; of the hub the Node process, with its journal, relay and
  consumer, and PostgreSQL apart; of Kamailio all its processes.
- p50, p95: INVITE to 200 of probes, one call every 100 ms placed and answered by the bench itself.
- Memory: proportional set size after the step, of the Node process or of all of Kamailio's.

${costPart}
${live === null ? '' : livePart(live)}## Parts

${table(
  ['', 'per CPU-second'],
  [
    ...(parse === null ? [] : [[parse.name, whole(parse.perSecond)]]),
    ...(core === null
      ? []
      : [
          [`Whole calls through the core, ${core.stepsPerCall} steps each`, whole(core.callsPerSecond)],
          ['Core steps', whole(core.callsPerSecond * core.stepsPerCall)]
        ])
  ]
)}
`
}
