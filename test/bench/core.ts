// Whole calls per CPU-second through the core: the shortest answered call from `open` to `closed`, no I/O around it.

import { pathToFileURL } from 'node:url'
import { step } from '../../src/session/step.ts'
import { opening, roads, sdp } from '../support/sessions.ts'

const rounds = 5
const callsPerRound = 20_000

export interface CoreFigures {
  readonly stepsPerCall: number
  readonly callsPerSecond: number
}

/** CPU time of this process, not wall time. The best of some rounds. */
export function benchCore(): CoreFigures {
  let now = 0
  // As the hub does: time never runs backwards inside one session.
  const events = roads.closed.map(event => ({ ...event, at: (now = Math.max(now, event.at)) }))
  const offer = sdp('offer')
  let callsPerSecond = 0
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage()
    for (let count = 0; count < callsPerRound; count++) {
      let { session } = opening(offer)
      for (const event of events) session = step(session, event).session
      if (session.phase !== 'closed') throw new Error(`the call came to ${session.phase} only`)
    }
    const { user, system } = process.cpuUsage(start)
    callsPerSecond = Math.max(callsPerSecond, Math.round((callsPerRound / (user + system)) * 1_000_000))
  }
  return { stepsPerCall: events.length + 1, callsPerSecond }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(benchCore())
