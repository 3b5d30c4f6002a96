// Two streams of calls, each in the order of number and time, matched number by number with bounded memory.

import { limits } from './model.ts'
import type { OwnCall, TheirCall } from './model.ts'
import { matchCalls } from './match.ts'
import type { Matched, Tolerance } from './match.ts'

/** Reads page after page and gives one call at a time, with a look at the next one. */
class Reader<Call extends { readonly number: string; readonly at: number }> {
  readonly #pages: AsyncIterator<readonly Call[]>
  #page: readonly Call[] = []
  #next = 0

  constructor(pages: AsyncIterable<readonly Call[]>) {
    this.#pages = pages[Symbol.asyncIterator]()
  }

  async peek(): Promise<Call | null> {
    while (this.#next >= this.#page.length) {
      const { done = false, value } = await this.#pages.next()
      if (done) return null
      this.#page = value as readonly Call[]
      this.#next = 0
    }
    return this.#page[this.#next] ?? null
  }

  take(): void {
    this.#next += 1
  }
}

/** As the database sorts them: by bytes. */
const isBefore = (a: string, b: string): boolean => a !== b && Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0

/**
 * Everything that was matched or not, cluster by cluster. A cluster ends where no call is within twice the tolerance,
 * or at `clusterMax`; what could still find its like beyond that goes on into the next one.
 */
export async function* matchStreams(
  ours: AsyncIterable<readonly OwnCall[]>,
  theirs: AsyncIterable<readonly TheirCall[]>,
  tolerance: Tolerance,
  clusterMax: number = limits.clusterMax
): AsyncGenerator<Matched> {
  const [own, their] = [new Reader(ours), new Reader(theirs)]
  const { timeMs, offsetMs } = tolerance
  let cluster: Cluster = { ours: [], theirs: [] }
  let [number, last] = ['', -Infinity]
  for (;;) {
    const [a, b] = [await own.peek(), await their.peek()]
    if (a === null && b === null) break
    const isOwn = b === null || (a !== null && isFirst(a, b, offsetMs))
    const call = isOwn ? a : b
    if (call === null) break
    const at = isOwn ? call.at : call.at - offsetMs
    const isFull = cluster.ours.length + cluster.theirs.length >= clusterMax
    if (call.number !== number || at - last > 2 * timeMs) {
      yield matchCalls(cluster.ours, cluster.theirs, tolerance)
      cluster = { ours: [], theirs: [] }
    } else if (isFull) {
      const matched = matchCalls(cluster.ours, cluster.theirs, tolerance)
      const { done, left } = carry(matched, at - timeMs, offsetMs)
      yield done
      // Where nothing could be let go, memory goes before likeness.
      const isStuck = left.ours.length + left.theirs.length >= clusterMax
      if (isStuck) yield matchCalls(left.ours, left.theirs, tolerance)
      cluster = isStuck ? { ours: [], theirs: [] } : left
    }
    ;[number, last] = [call.number, at]
    if (isOwn && a !== null) {
      cluster.ours.push(a)
      own.take()
    } else if (b !== null) {
      cluster.theirs.push(b)
      their.take()
    }
  }
  yield matchCalls(cluster.ours, cluster.theirs, tolerance)
}

interface Cluster {
  readonly ours: OwnCall[]
  readonly theirs: TheirCall[]
}

function isFirst(own: OwnCall, their: TheirCall, offsetMs: number): boolean {
  if (own.number !== their.number) return isBefore(own.number, their.number)
  return own.at <= their.at - offsetMs
}

/** Without what is still near enough to `since` to be matched with what comes. */
function carry(matched: Matched, since: number, offsetMs: number): { readonly done: Matched; readonly left: Cluster } {
  const isLateOwn = (own: OwnCall): boolean => own.at >= since && !matched.repeatedOurs.has(own)
  const isLateTheir = (their: TheirCall): boolean => their.at - offsetMs >= since && !matched.repeatedTheirs.has(their)
  return {
    done: {
      ...matched,
      onlyOurs: matched.onlyOurs.filter(own => !isLateOwn(own)),
      onlyTheirs: matched.onlyTheirs.filter(their => !isLateTheir(their))
    },
    left: { ours: matched.onlyOurs.filter(isLateOwn), theirs: matched.onlyTheirs.filter(isLateTheir) }
  }
}
