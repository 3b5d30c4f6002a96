// Which call of ours is which of theirs: the same number at the same time, one to one; who called and for how long only
// breaks ties (SET-02). Pure.

import type { OwnCall, TheirCall } from './model.ts'

export interface Matched {
  readonly pairs: readonly (readonly [own: OwnCall, their: TheirCall])[]
  readonly onlyOurs: readonly OwnCall[]
  readonly onlyTheirs: readonly TheirCall[]
  /** Of those that only one side has: another one just like it is there. */
  readonly repeatedOurs: ReadonlySet<OwnCall>
  readonly repeatedTheirs: ReadonlySet<TheirCall>
}

export interface Tolerance {
  readonly timeMs: number
  /** By how much their clock is ahead of ours. */
  readonly offsetMs: number
}

interface Candidate {
  readonly own: OwnCall
  readonly their: TheirCall
  readonly seconds: number
  readonly otherCaller: number
  readonly durationMs: number
  readonly ms: number
}

/** Of one number, both in the order of time. The nearest in time, by whole seconds, go first. */
export function matchCalls(
  ours: readonly OwnCall[],
  theirs: readonly TheirCall[],
  { timeMs, offsetMs }: Tolerance
): Matched {
  const candidates: Candidate[] = []
  let first = 0
  for (const own of ours) {
    while (first < theirs.length && timeOf(theirs[first], offsetMs) < own.at - timeMs) first += 1
    for (let n = first; n < theirs.length; n++) {
      const their = theirs[n]
      if (their === undefined || timeOf(their, offsetMs) > own.at + timeMs) break
      candidates.push(candidateOf(own, their, offsetMs))
    }
  }
  candidates.sort(before)
  const [takenOurs, takenTheirs] = [new Set<OwnCall>(), new Set<TheirCall>()]
  const pairs: (readonly [OwnCall, TheirCall])[] = []
  for (const { own, their } of candidates) {
    if (takenOurs.has(own) || takenTheirs.has(their)) continue
    takenOurs.add(own)
    takenTheirs.add(their)
    pairs.push([own, their])
  }
  return {
    pairs,
    onlyOurs: ours.filter(own => !takenOurs.has(own)),
    onlyTheirs: theirs.filter(their => !takenTheirs.has(their)),
    repeatedOurs: repeated(ours, takenOurs, timeMs),
    repeatedTheirs: repeated(theirs, takenTheirs, timeMs)
  }
}

const timeOf = (their: TheirCall | undefined, offsetMs: number): number => (their?.at ?? Infinity) - offsetMs

function candidateOf(own: OwnCall, their: TheirCall, offsetMs: number): Candidate {
  const ms = Math.abs(their.at - offsetMs - own.at)
  return {
    own,
    their,
    seconds: Math.round(ms / 1_000),
    otherCaller: own.calling === null || their.calling === null ? 1 : own.calling === their.calling ? 0 : 2,
    durationMs: their.durationMs === null ? 0 : Math.abs(their.durationMs - own.durationMs),
    ms
  }
}

const before = (a: Candidate, b: Candidate): number =>
  a.seconds - b.seconds ||
  a.otherCaller - b.otherCaller ||
  a.durationMs - b.durationMs ||
  a.ms - b.ms ||
  a.their.line - b.their.line ||
  (a.own.cdrId < b.own.cdrId ? -1 : 1)

interface Alike {
  readonly at: number
  readonly calling: string | null
  readonly durationMs: number | null
}

/** Not taken, with one like it that is, or that stands before it. */
function repeated<Call extends Alike>(
  calls: readonly Call[],
  taken: ReadonlySet<Call>,
  timeMs: number
): ReadonlySet<Call> {
  const found = new Set<Call>()
  let first = 0
  for (const [n, call] of calls.entries()) {
    while (first < n && (calls[first]?.at ?? 0) < call.at - timeMs) first += 1
    if (taken.has(call)) continue
    for (let m = first; m < calls.length; m++) {
      const other = calls[m]
      if (other === undefined || other.at > call.at + timeMs) break
      if (m === n || (m > n && !taken.has(other)) || !isAlike(call, other)) continue
      found.add(call)
      break
    }
  }
  return found
}

/** What a record says twice differs by no more than its rounding. */
const durationMsAlike = 1_000

const isAlike = (a: Alike, b: Alike): boolean =>
  a.calling === b.calling && Math.abs((a.durationMs ?? 0) - (b.durationMs ?? 0)) <= durationMsAlike
