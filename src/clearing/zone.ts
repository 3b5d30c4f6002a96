// Local time of an agreement's time zone, with daylight saving: offsets from Intl, kept per quarter of an hour.

import { HubError } from '../errors.ts'
import type { EpochMs } from '../session/model.ts'

export const limits = { offsetsMax: 4_096 } as const

const quarterMs = 900_000
const minuteMs = 60_000
const dayMs = 86_400_000

export interface LocalMinute {
  /** The local day, counted from 1970-01-01. */
  readonly day: number
  /** 0 is Sunday. */
  readonly weekday: number
  readonly minute: number
  /** The moment at which the offset may change next: zones change theirs at quarters of an hour only. */
  readonly steadyUntil: EpochMs
  /** The moment at which local minute `m` of this day is reached if the offset stays. */
  readonly at: (minute: number) => EpochMs
}

export interface Zone {
  readonly name: string
  offsetMs(at: EpochMs): number
  local(at: EpochMs): LocalMinute
  /** The local day, such as `2026-11-01`. */
  day(at: EpochMs): string
  /** The moment at which a local day begins; where midnight does not exist, the first moment of the day. */
  startOf(day: string): EpochMs
}

/** Throws HUB_CONFIG for a name that is no IANA time zone. */
export function createZone(name: string): Zone {
  const format = formatOf(name)
  const offsets = new Map<number, number>()

  function offsetMs(at: EpochMs): number {
    const quarter = Math.floor(at / quarterMs)
    const known = offsets.get(quarter)
    if (known !== undefined) return known
    if (offsets.size >= limits.offsetsMax) offsets.clear()
    const offset = asUtc(format, quarter * quarterMs) - quarter * quarterMs
    offsets.set(quarter, offset)
    return offset
  }

  function local(at: EpochMs): LocalMinute {
    const shifted = at + offsetMs(at)
    const midnight = Math.floor(shifted / dayMs) * dayMs
    const day = midnight / dayMs
    return {
      day,
      // 1970-01-01 was a Thursday.
      weekday: (((day + 4) % 7) + 7) % 7,
      minute: Math.floor((shifted - midnight) / minuteMs),
      steadyUntil: (Math.floor(at / quarterMs) + 1) * quarterMs,
      at: minute => at - shifted + midnight + minute * minuteMs
    }
  }

  function startOf(day: string): EpochMs {
    const midnight = Date.parse(`${day}T00:00:00Z`)
    if (Number.isNaN(midnight)) throw new RangeError(`not a day: ${day}`)
    // Either guess may lie across a change of the clock: the earliest one that is on this day is its first moment.
    const guesses = [midnight - dayMs, midnight, midnight + dayMs].map(near => midnight - offsetMs(near))
    const starts = guesses.filter(at => dayOf(at) === day && dayOf(at - 1) !== day)
    return starts[0] ?? firstQuarterOf(day, Math.min(...guesses))
  }

  const days = new Map<number, string>()
  function dayOf(at: EpochMs): string {
    const day = Math.floor((at + offsetMs(at)) / dayMs)
    const known = days.get(day)
    if (known !== undefined) return known
    if (days.size >= limits.offsetsMax) days.clear()
    const text = new Date(day * dayMs).toISOString().slice(0, 10)
    days.set(day, text)
    return text
  }

  /** Midnight does not exist on that day: it begins where the clock jumps, at a quarter of an hour. */
  function firstQuarterOf(day: string, from: EpochMs): EpochMs {
    const first = Math.floor(from / quarterMs) - 12
    const quarter = Array.from({ length: 24 }, (_, n) => first + n).find(n => dayOf(n * quarterMs) >= day)
    if (quarter === undefined) throw new RangeError(`${name} has no day ${day}`)
    return quarter * quarterMs
  }

  return { name, offsetMs, local, day: dayOf, startOf }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const two = '2-digit'
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two
    })
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `"${timeZone}" is no time zone; names look like Europe/Berlin`, { cause })
  }
}

/** The local time of a moment, read as if it were UTC. */
function asUtc(format: Intl.DateTimeFormat, at: EpochMs): number {
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
}
