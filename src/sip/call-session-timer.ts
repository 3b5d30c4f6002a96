// RFC 4028 for calls, where a user wants it: refreshes by UPDATE where that is ours to do, ends a session gone silent.

import type { SipCall } from './call-model.ts'
import type { Parts } from './dialog.ts'
import type { TimerPort } from './ports.ts'
import { systemClock } from './timers.ts'

/** What both ends agreed on in Session-Expires. */
export interface SessionTerms {
  readonly seconds: number
  /** Whether this side refreshes. */
  readonly ours: boolean
}

export interface SessionTimer {
  /** The peer refreshed, or a re-offer of either side did: the interval begins anew, under new terms if given. */
  refreshed(terms?: SessionTerms): void
  /** When the call ends; also where the peer no longer wants it. */
  stop(): void
}

const expired: Parts = { headers: [{ name: 'Reason', value: 'SIP;cause=408;text="Session expired"' }] }

/** A refresh that crossed another change is tried again after so long (RFC 3261, 14.1). */
const crossedMs = 4_000

/** When to act: the refresher at half the interval, the other a third (at most 32 s) before its end (section 10). */
export const actAfterMs = ({ seconds, ours }: SessionTerms): number =>
  1_000 * (ours ? seconds / 2 : seconds - Math.min(32, seconds / 3))

/** Runs until `stop` or the end of the call. After a refused refresh the call ends before its expiry. */
export function keepSession(call: SipCall, terms: SessionTerms, clock: TimerPort = systemClock): SessionTimer {
  let current = terms
  let handle: unknown = null
  const stop = (): void => {
    if (handle !== null) clock.clear(handle)
    handle = null
  }
  const wait = (ms: number, act: () => void): void => {
    stop()
    handle = clock.set(ms, act, undefined)
  }
  const end = (): void => {
    handle = null
    if (call.state !== 'ended') call.bye(expired)
  }
  const again = (): void => wait(actAfterMs(current), current.ours ? refresh : end)
  const refresh = (): void => {
    handle = null
    if (call.state === 'ended') return
    const headers = [
      { name: 'Session-Expires', value: `${current.seconds};refresher=uac` },
      { name: 'Supported', value: 'timer, 100rel' }
    ]
    call.update(
      { headers },
      {
        answered: again,
        refused: response => {
          if (response === null || response.status === 491) wait(crossedMs, refresh)
          else wait(actAfterMs({ ...current, ours: false }) / 2, end)
        }
      }
    )
  }
  again()
  return {
    refreshed: (terms = current) => {
      current = terms
      again()
    },
    stop
  }
}
