// Is the peer alive: OPTIONS every so often, with hysteresis (RTE-09).

import type { Clock } from '../session/ports.ts'
import type { Control } from './control.ts'
import { limits } from './limits.ts'
import type { HubFace, Peer } from './peers.ts'

export interface Keepalive {
  stop(): void
}

export interface KeepaliveParts {
  readonly peer: Peer
  readonly hub: HubFace
  readonly control: Control
  readonly clock: Clock
  readonly newId: () => string
  /** On changes only; a peer is up until proven otherwise. */
  readonly onHealth: (peerId: string, up: boolean) => void
}

export interface Health {
  readonly up: boolean
  /** In a row, against what `up` says. */
  readonly against: number
}

/** Down after so many misses in a row, up after so many answers. */
export function healthAfter({ up, against }: Health, alive: boolean): Health {
  if (alive === up) return { up, against: 0 }
  const enough = up ? limits.probesMissedMax : limits.probesAnsweredMin
  return against + 1 < enough ? { up, against: against + 1 } : { up: alive, against: 0 }
}

export function keepAlive({ peer, hub, control, clock, newId, onHealth }: KeepaliveParts): Keepalive {
  const { keepaliveMs } = peer.config
  if (keepaliveMs === 0) return { stop: () => {} }
  let health: Health = { up: true, against: 0 }
  let stopped = false
  let cancel = (): void => {}
  const heard = (alive: boolean): void => {
    const before = health
    health = healthAfter(before, alive)
    if (health.up !== before.up && !stopped) onHealth(peer.id, health.up)
  }
  const probe = (): void => {
    // Without an engine nothing is known about anybody.
    if (control.up) ask()
    cancel = clock.after(keepaliveMs, probe)
  }
  const ask = (): void => {
    let open = true
    const once = (alive: boolean): void => {
      if (!open) return
      open = false
      patience()
      heard(alive)
    }
    const patience = clock.after(Math.min(keepaliveMs, limits.probeMs), () => once(false))
    const uri = `sip:${peer.domain}`
    const headers = {
      From: `<sip:${hub.domain}>;tag=${newId()}`,
      To: `<${uri}>`,
      'Call-ID': newId(),
      'User-Agent': 'isthmus'
    }
    control.send(
      { method: 'OPTIONS', uri, headers, nextHop: peer.nextHop },
      {
        answered: ({ message: { status } }) => {
          if (status >= 200) once(status !== 408 && status !== 503)
        },
        failed: () => once(false),
        updated: () => {}
      }
    )
  }
  probe()
  return {
    stop: () => {
      stopped = true
      cancel()
    }
  }
}
