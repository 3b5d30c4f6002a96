// Prepaid: sessions that reserve, refresh, settle and are charged, each step durable before it is answered; many
// accounts and one, in groups and with a transaction for each step, which is the yardstick of the same run.
// Figures, never assertions: npm run bench -- credit

import { rmSync } from 'node:fs'
import { createCredit } from '../../src/clearing/credit/credit.ts'
import type { RunningCredit } from '../../src/clearing/credit/credit.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import type { AgreementBook } from '../../src/clearing/agreements.ts'
import { createLog } from '../../src/log.ts'
import type { SessionId } from '../../src/session/model.ts'
import type { Database } from '../../src/store/database.ts'
import { record } from '../support/clearing.ts'
import { agreementOf, creditBook, payIn, standing, termsBy } from '../support/credit.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import { costBelow, costOf } from './processes.ts'

/** Sessions under way at once. */
const sessionsAtOnce = 600
/** Of the open loop that shows what a step adds to a call. */
const calmPerSecond = 500
const usedMs = 65_000
const batchMax = 500

export interface CreditFigures {
  readonly accounts: number
  /** Reserve, refresh and settle, closed loop. */
  readonly sessionsPerSecond: number
  /** The records of those sessions through the ledger: rated, posted, debited, reservations let go. */
  readonly chargedPerSecond: number
  /** Microseconds of CPU time for each of those sessions, before it is charged. */
  readonly cpuUs: { readonly hub: number; readonly database: number }
  /** Both, one after the other. */
  readonly wholePerSecond: number
  /** A transaction for each step, over as many connections. */
  readonly singlePerSecond: number
  /** Of a step, in ms: at full load, and at `calmPerSecond` sessions/s. */
  readonly full: Latency
  readonly calm: Latency
}

interface Latency {
  readonly p50: number
  readonly p95: number
}

/** Nothing of PostgreSQL's durability is turned off. */
const durable = ['shared_buffers=128MB', 'max_wal_size=2GB']

/** Microseconds so far. */
function cpuOf(postgresPid: number): CreditFigures['cpuUs'] {
  const { user, system } = process.cpuUsage()
  return { hub: user + system, database: (costOf(postgresPid).cpuMs + costBelow(postgresPid).cpuMs) * 1_000 }
}

const idOf = (n: number): string => `019a0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`

/** `count` prepaid agreements that differ in their buyer. */
function bookOf(count: number): AgreementBook {
  const plain = creditBook()
  const sell = agreementOf(plain)
  const agreements = Array.from({ length: count }, (_, n) => ({ ...sell, id: `p${n}`, buyer: `p${n}` }))
  const byBuyer = new Map(agreements.map(agreement => [agreement.buyer, agreement]))
  return { ...plain, agreements, between: buyer => byBuyer.get(buyer) ?? null, bilateral: () => null }
}

class Sessions {
  readonly #credit: RunningCredit
  readonly #accounts: number
  readonly stepsMs: number[] = []
  refused = 0
  done: number[] = []

  constructor(credit: RunningCredit, accounts: number) {
    this.#credit = credit
    this.#accounts = accounts
  }

  /** The n-th session: every step waits for the one before. */
  async run(n: number): Promise<void> {
    const peer = `p${n % this.#accounts}`
    const asked = { fromPeerId: peer, toPeerId: 'operator', service: 'voice', rn: null, calling: null } as const
    const id = idOf(n) as SessionId
    const reserved = await this.#timed(async () =>
      this.#credit.reserve(id, 1, termsBy(peer), { ...asked, called: 'tel:+4989200', at: Date.now() })
    )
    if (reserved === null || typeof reserved === 'string') return void (this.refused += 1)
    await this.#timed(() => this.#credit.refresh(reserved.reservationId, usedMs - 15_000))
    await this.#timed(() => this.#credit.settle(reserved.reservationId, usedMs))
    this.done.push(n)
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    const from = performance.now()
    const value = await work()
    this.stepsMs.push(performance.now() - from)
    return value
  }

  latency(): Latency {
    const sorted = this.stepsMs.toSorted((a, b) => a - b)
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0
    return { p50: at(0.5), p95: at(0.95) }
  }
}

/** As many as there is time for; returns sessions per second. */
async function closedLoop(sessions: Sessions, from: number, seconds: number, atOnce: number): Promise<number> {
  const began = performance.now()
  let next = from
  const worker = async (): Promise<void> => {
    while (performance.now() - began < seconds * 1_000) await sessions.run(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return (sessions.done.length / (performance.now() - began)) * 1_000
}

async function openLoop(sessions: Sessions, from: number, seconds: number): Promise<void> {
  const began = performance.now()
  const running: Promise<void>[] = []
  for (let n = 0; n < seconds * calmPerSecond; n++) {
    const wait = began + (n * 1_000) / calmPerSecond - performance.now()
    if (wait > 1) await new Promise(done => setTimeout(done, wait))
    running.push(sessions.run(from + n))
  }
  await Promise.all(running)
}

/** The records of sessions through the ledger; returns records per second. */
async function charge(
  database: Database,
  book: AgreementBook,
  done: readonly number[],
  accounts: number
): Promise<number> {
  const records = done.map(n =>
    record({
      seq: n,
      cdr_id: idOf(10 ** 9 + n),
      call_id: idOf(n),
      provider: `p${n % accounts}`,
      duration_ms: usedMs,
      units: usedMs / 1_000
    })
  )
  const began = performance.now()
  for (let at = 0; at < records.length; at += batchMax) {
    const page = records.slice(at, at + batchMax)
    const [topic, after, position] = ['bench', BigInt(at), BigInt(at + page.length)]
    await database.transaction(sql => postBatch(sql, { topic, after, position, records: page }, book))
  }
  return (records.length / (performance.now() - began)) * 1_000
}

export async function benchCredit(seconds = 5): Promise<readonly CreditFigures[]> {
  const folder = openTempDir('isthmus-bench-credit-')
  const postgres = await startTestPostgres(durable)
  const figures: CreditFigures[] = []
  try {
    for (const accounts of [200, 1]) {
      const database = await postgres.fresh(clearingMigrations, 8)
      const book = bookOf(accounts)
      const parts = { database, book, clock: { now: () => Date.now() }, node: 'bench', log: createLog('error') }
      const grouped = createCredit(parts)
      await grouped.start()
      for (const agreement of book.agreements) await payIn(database, agreement, '1000000')
      const warm = new Sessions(grouped, accounts)
      await closedLoop(warm, 1, 1, sessionsAtOnce)
      const full = new Sessions(grouped, accounts)
      const cpuBefore = cpuOf(postgres.pid)
      const sessionsPerSecond = await closedLoop(full, 1_000_000, seconds, sessionsAtOnce)
      const cpuAfter = cpuOf(postgres.pid)
      const calm = new Sessions(grouped, accounts)
      await openLoop(calm, 10_000_000, Math.min(seconds, 5))
      await grouped.stop()
      // Each its own group and transactions, as many at once as there are connections.
      const lone = Array.from({ length: 8 }, () => createCredit({ ...parts, group: { stepsMax: 1, gatherMs: 0 } }))
      const began = performance.now()
      const singles = await Promise.all(
        lone.map(async (credit, n) => {
          const own = new Sessions(credit, accounts)
          await closedLoop(own, 20_000_000 + n * 1_000_000, Math.min(seconds, 3), 1)
          await credit.stop()
          return own.done.length
        })
      )
      const singlePerSecond = (singles.reduce((sum, done) => sum + done, 0) / (performance.now() - began)) * 1_000
      const chargedPerSecond = await charge(database, book, full.done, accounts)
      if (full.refused + calm.refused > 0) throw new Error(`${full.refused + calm.refused} sessions were refused`)
      await standing(database, 'p0')
      const wholePerSecond = 1 / (1 / sessionsPerSecond + 1 / chargedPerSecond)
      const each = (what: 'hub' | 'database'): number => (cpuAfter[what] - cpuBefore[what]) / full.done.length
      const cpuUs = { hub: each('hub'), database: each('database') }
      const latencies = { full: full.latency(), calm: calm.latency() }
      figures.push({
        accounts,
        sessionsPerSecond,
        cpuUs,
        chargedPerSecond,
        wholePerSecond,
        singlePerSecond,
        ...latencies
      })
    }
    return figures
  } finally {
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const whole = (n: number): string => Math.round(n).toLocaleString('en-US')
const latency = ({ p50, p95 }: Latency): string => `${p50.toFixed(1)} / ${p95.toFixed(1)}`

export function creditTable(figures: readonly CreditFigures[]): string {
  const line = (name: string, of: (one: CreditFigures) => string): string =>
    `| ${name} | ${figures.map(of).join(' | ')} |`
  return [
    `| Prepaid, durable | ${figures.map(({ accounts }) => `${accounts} account${accounts === 1 ? '' : 's'}`).join(' | ')} |`,
    `|---|${figures.map(() => '---:|').join('')}`,
    line('Sessions/s: reserve + refresh + settle', one => whole(one.sessionsPerSecond)),
    line('CPU of each, hub + PostgreSQL, µs', one => `${whole(one.cpuUs.hub)} + ${whole(one.cpuUs.database)}`),
    line('Their records/s: rated, posted, debited', one => whole(one.chargedPerSecond)),
    line('Sessions/s, both one after the other', one => whole(one.wholePerSecond)),
    line('Sessions/s with a transaction for each step, same run', one => whole(one.singlePerSecond)),
    line('A step at full load, p50 / p95 ms', one => latency(one.full)),
    line(`A step at ${calmPerSecond} sessions/s, p50 / p95 ms`, one => latency(one.calm)),
    '',
    'CGRateS v0.10.4, measured before on two such cores, in memory and not durable: 1,824 sessions/s (initiate, update,',
    'terminate, CDR over four connections), 700 on one.'
  ].join('\n')
}

if (import.meta.main) console.log(creditTable(await benchCredit()))
