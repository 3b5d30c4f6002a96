// Transaction timers: their values (RFC 3261 table 4, RFC 6026) and the two slots in which each transaction runs them.

import type { SipTimers, TimerPort } from './ports.ts'
import type { Timer } from './transaction.ts'

/** All values, those not given derived from T1, T2 and T4. */
export function timersFrom(given: Partial<SipTimers> = {}): SipTimers {
  const T1 = given.T1 ?? 500
  const all = 64 * T1
  const derived = { T1, T2: 4_000, T4: 5_000, B: all, D: Math.max(32_000, all), F: all, H: all, J: all, L: all, M: all }
  return { ...derived, trying: 200, ...given }
}

/** One timer that runs. It is its own place in the list of its length. */
interface Entry {
  due: number
  run: ((subject: never) => void) | null
  subject: unknown
  before: Entry
  after: Entry
}

/**
 * Timers of one length: the first set is the first due, so one of Node's is enough for all of them. A busy stack has
 * hundreds of thousands, nearly all of which are cleared, or only tell that it may forget.
 */
class Line {
  readonly #ms: number
  readonly #ring: Entry
  #running = false

  constructor(ms: number) {
    this.#ms = ms
    const ring = { due: 0, run: null, subject: null } as unknown as Entry
    ring.before = ring.after = ring
    this.#ring = ring
  }

  set(run: (subject: never) => void, subject: unknown): Entry {
    const ring = this.#ring
    // A whole number needs no memory of its own.
    const due = Math.ceil(performance.now() + this.#ms)
    const entry: Entry = { due, run, subject, before: ring.before, after: ring }
    ring.before.after = entry
    ring.before = entry
    if (!this.#running) this.#sleep(this.#ms)
    return entry
  }

  #sleep(ms: number): void {
    this.#running = true
    // They keep no process alive.
    setTimeout(() => this.#work(), Math.min(ms, timerMsMax)).unref()
  }

  #work(): void {
    const ring = this.#ring
    const now = performance.now()
    this.#running = false
    try {
      for (let first = ring.after; first !== ring && first.due <= now; first = ring.after) {
        const { run, subject } = first
        remove(first)
        run?.(subject as never)
      }
    } finally {
      if (!this.#running && ring.after !== ring) this.#sleep(Math.max(1, Math.ceil(ring.after.due - now)))
    }
  }
}

function remove(entry: Entry): void {
  if (entry.run === null) return
  entry.before.after = entry.after
  entry.after.before = entry.before
  entry.run = entry.subject = null
  // An old one must not hold on to young neighbours: the garbage collector would keep a chain of them.
  entry.before = entry.after = entry
}

/** The longest that Node's timers can wait. */
const timerMsMax = 2_147_483_647

/** Lengths are a handful: those of the timer table, and what T1 doubles to. */
const linesMax = 256
const lines = new Map<number, Line>()

export const systemClock: TimerPort = {
  set(ms, run, subject) {
    let line = lines.get(ms)
    if (line === undefined) {
      if (lines.size >= linesMax) return setTimeout(run, ms, subject).unref()
      line = new Line(ms)
      lines.set(ms, line)
    }
    return line.set(run, subject)
  },
  clear(handle) {
    if (handle !== null && typeof handle === 'object' && 'after' in handle) remove(handle as Entry)
    else clearTimeout(handle as NodeJS.Timeout)
  }
}

/** What a machine's runtime is to its timers. */
export interface Timed {
  /** UDP: retransmissions are ours, and late copies must be absorbed. */
  readonly unreliable: boolean
  fire(timer: Timer): void
}

const run =
  (timer: Timer) =>
  (subject: Timed): void =>
    subject.fire(timer)
const runs: Readonly<Record<Timer, (subject: Timed) => void>> = {
  A: run('A'),
  B: run('B'),
  D: run('D'),
  E: run('E'),
  F: run('F'),
  G: run('G'),
  H: run('H'),
  I: run('I'),
  J: run('J'),
  K: run('K'),
  L: run('L'),
  M: run('M'),
  trying: run('trying'),
  cancel: run('cancel')
}

type Deadline = Exclude<Timer, 'A' | 'E' | 'G'>
const lengths: Readonly<Record<Deadline, (timers: SipTimers, unreliable: boolean) => number>> = {
  B: ({ B }) => B,
  D: ({ D }, unreliable) => (unreliable ? D : 0),
  F: ({ F }) => F,
  H: ({ H }) => H,
  I: ({ T4 }, unreliable) => (unreliable ? T4 : 0),
  J: ({ J }, unreliable) => (unreliable ? J : 0),
  K: ({ T4 }, unreliable) => (unreliable ? T4 : 0),
  L: ({ L }) => L,
  M: ({ M }) => M,
  trying: ({ trying }) => trying,
  cancel: ({ T1 }) => 64 * T1
}

/** The two timers of one transaction. */
export class TimerSlots {
  #retransmission: unknown = null
  #deadline: unknown = null
  #intervalMs = 0
  readonly #clock: TimerPort
  readonly #timers: SipTimers

  constructor(clock: TimerPort, timers: SipTimers) {
    this.#clock = clock
    this.#timers = timers
  }

  stop(): void {
    if (this.#retransmission !== null) this.#clock.clear(this.#retransmission)
    if (this.#deadline !== null) this.#clock.clear(this.#deadline)
    this.#retransmission = null
    this.#deadline = null
  }

  /** True where the timer is due at once: D, I, J and K have nothing to wait for on a reliable transport. */
  start(timer: Timer, subject: Timed): boolean {
    if (timer === 'A' || timer === 'E' || timer === 'G') {
      if (subject.unreliable) this.#retransmit(timer, this.#timers.T1, subject)
      return false
    }
    const ms = lengths[timer](this.#timers, subject.unreliable)
    if (ms === 0) return true
    if (this.#deadline !== null) this.#clock.clear(this.#deadline)
    this.#deadline = this.#clock.set(ms, runs[timer], subject)
    return false
  }

  /** The next interval: A doubles (17.1.1.2), E and G double up to T2; `slow` is T2 at once. */
  again(timer: 'A' | 'E' | 'G', subject: Timed, slow: boolean): void {
    const doubled = this.#intervalMs * 2
    this.#retransmit(
      timer,
      slow ? this.#timers.T2 : timer === 'A' ? doubled : Math.min(doubled, this.#timers.T2),
      subject
    )
  }

  #retransmit(timer: 'A' | 'E' | 'G', ms: number, subject: Timed): void {
    this.#intervalMs = ms
    this.#retransmission = this.#clock.set(ms, runs[timer], subject)
  }
}
