// `isthmus nni check`: runs every probe against a peer, one after the other.

import { messageOf } from '../../errors.ts'
import { Line } from './line.ts'
import type { LineOptions } from './line.ts'
import { fail, verdicts } from './probe.ts'
import type { Outcome, Probe, Verdict } from './probe.ts'
import { callProbes } from './probes-calls.ts'
import { requestProbes } from './probes-requests.ts'

export const checkLimits = {
  /** For each answer, unless the command says otherwise. */
  waitMs: 5_000
} as const

export const probes: readonly Probe[] = [...requestProbes, ...callProbes]

export interface Checked extends Outcome {
  readonly item: string
  readonly expects: string
}

export interface Report {
  readonly peer: string
  readonly nextHop: string
  readonly results: readonly Checked[]
  readonly counts: Readonly<Record<Verdict, number>>
}

export interface CheckOptions extends Omit<LineOptions, 'waitMs'> {
  readonly waitMs?: number
  /** Hears each result as it comes. */
  readonly onResult?: (result: Checked, number: number) => void
  readonly only?: (probe: Probe) => boolean
}

/** Rejects with HUB_LISTEN, HUB_DNS or what else kept it from beginning; what the peer does is in the report. */
export async function checkPeer(options: CheckOptions): Promise<Report> {
  const { waitMs = checkLimits.waitMs, onResult, only = () => true, ...rest } = options
  const line = new Line({ ...rest, waitMs })
  const results: Checked[] = []
  try {
    await line.start()
    for (const probe of probes.filter(only)) {
      const { item, expects } = probe
      const outcome = await probe.run(line).catch((error: unknown) => fail(messageOf(error)))
      const result = { item, expects, ...outcome }
      results.push(result)
      onResult?.(result, results.length)
    }
  } finally {
    await line.close()
  }
  const counted = verdicts.map(verdict => [verdict, results.filter(one => one.verdict === verdict).length] as const)
  const { name, nextHop } = options.target
  return { peer: name, nextHop, results, counts: Object.fromEntries(counted) as Record<Verdict, number> }
}
