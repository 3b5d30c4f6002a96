// What a call costs, found by walking second by second. Knows nothing of src/clearing/rating.ts but the types of what is
// given: asks Intl for the local time, and rounds a fraction by comparing it with its neighbours.

import type { RoundingMode } from '../../src/clearing/money.ts'
import type { Pricing } from '../../src/clearing/rating.ts'

interface Local {
  readonly weekday: number
  readonly minute: number
  readonly date: string
  readonly dayBefore: string
}

const formats = new Map<string, Intl.DateTimeFormat>()
const minutes = new Map<string, Local>()
const cacheMax = 500_000

/** Zones change their clocks at whole minutes, so one answer serves a minute. */
function localAt(zone: string, at: number): Local {
  const key = `${zone} ${Math.floor(at / 60_000)}`
  const known = minutes.get(key)
  if (known !== undefined) return known
  const two = '2-digit'
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      weekday: 'short',
      year: 'numeric',
      month: two,
      day: two,
      hour: two,
      minute: two
    })
  formats.set(zone, format)
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const date = `${parts['year']}-${parts['month']}-${parts['day']}`
  const local = {
    weekday: ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts['weekday']!),
    minute: Number(parts['hour']) * 60 + Number(parts['minute']),
    date,
    dayBefore: new Date(Date.parse(date) - 86_400_000).toISOString().slice(0, 10)
  }
  if (minutes.size >= cacheMax) minutes.clear()
  minutes.set(key, local)
  return local
}

const dates = new WeakMap<ReadonlySet<number>, ReadonlySet<string>>()
function datesOf(days: ReadonlySet<number>): ReadonlySet<string> {
  const known = dates.get(days)
  if (known !== undefined) return known
  const found = new Set([...days].map(day => new Date(day * 86_400_000).toISOString().slice(0, 10)))
  dates.set(days, found)
  return found
}

function slowRate({ row, zone, holidays }: Pricing, at: number): bigint {
  const { weekday, minute, date, dayBefore } = localAt(zone.name, at)
  const free = datesOf(holidays)
  const today = free.has(date) ? 7 : weekday
  const yesterday = free.has(dayBefore) ? 7 : (weekday + 6) % 7
  const inBand = row.bands.find(({ weekdays, fromMinute, toMinute }) => {
    const pastMidnight = toMinute <= fromMinute
    const begunToday = weekdays.has(today) && minute >= fromMinute && (pastMidnight || minute < toMinute)
    return begunToday || (pastMidnight && weekdays.has(yesterday) && minute < toMinute)
  })
  return inBand?.rateNanos ?? row.rateNanos
}

export function slowAmount(
  pricing: Pricing,
  answeredAt: number,
  durationMs: number
): { readonly seconds: number; readonly micros: bigint } {
  const { row, rounding, factorNanos } = pricing
  let wanted = 0
  for (let ms = durationMs; ms > 0; ms -= 1_000) {
    if (ms >= 1_000 || rounding.seconds === 'up' || (rounding.seconds === 'half' && ms >= 500)) wanted += 1
  }
  if (wanted < row.minimumSeconds) wanted = row.minimumSeconds
  let seconds = 0
  let sixtieths = row.setupFeeNanos * 60n
  const plain = row.bands.length === 0
  while (seconds === 0 || seconds < wanted) {
    const length = seconds === 0 ? row.initialSeconds : row.nextSeconds
    const ofStep = plain ? row.rateNanos : slowRate(pricing, answeredAt + seconds * 1_000)
    for (let second = 0; second < length; second++) {
      if (plain || rounding.bands === 'increment-start') sixtieths += ofStep
      else if (rounding.bands === 'rate-at-start') sixtieths += slowRate(pricing, answeredAt)
      else sixtieths += slowRate(pricing, answeredAt + (seconds + second) * 1_000)
    }
    seconds += length
  }
  const unit = 60n * 10n ** BigInt(9 - rounding.scale) * 1_000_000_000n
  return {
    seconds,
    micros: slowRound(sixtieths * factorNanos, unit, rounding.mode) * 10n ** BigInt(6 - rounding.scale)
  }
}

function slowRound(value: bigint, unit: bigint, mode: RoundingMode): bigint {
  const below = (value - (value % unit)) / unit
  if (below * unit === value) return below
  const [toBelow, toAbove] = [value - below * unit, (below + 1n) * unit - value]
  if (mode === 'down') return below
  if (mode === 'up') return below + 1n
  if (toBelow !== toAbove) return toBelow < toAbove ? below : below + 1n
  return mode === 'half-even' && below % 2n === 0n ? below : below + 1n
}
