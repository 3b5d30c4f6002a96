import { spawn } from 'node:child_process'
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { createConsumer, limits } from '../../src/clearing/consumer.ts'
import type { Consumer, ConsumerOptions, RecordSource } from '../../src/clearing/consumer.ts'
import { positionOf } from '../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { HubError } from '../../src/errors.ts'
import { createTableLog, eventMigrations } from '../../src/events/embedded.ts'
import { createLog } from '../../src/log.ts'
import type { Database } from '../../src/store/database.ts'
import type { Sql } from '../../src/store/sql.ts'
import { balancesOf, bookOf, callRecords, dumpOf, failedCall, memoryLog } from '../support/clearing.ts'
import { traffic, trafficAgreements } from '../support/clearing-traffic.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

type Dump = Awaited<ReturnType<typeof dumpOf>>

const log = createLog('silent')
const topic = 'cdr'
const records = traffic(60)
const book = bookOf(trafficAgreements)
let postgres: TestPostgres
let expected: Dump
const fresh = (): Promise<TestDatabase> => postgres.fresh(clearingMigrations)

const consumerOf = (database: Database, over: Partial<ConsumerOptions> = {}): Consumer =>
  createConsumer({
    source: memoryLog(records),
    database,
    book,
    log,
    topic,
    limits: { batchMax: 20, pollMs: 5, retryMs: 1, retryMsMax: 4 },
    onFault: error => {
      throw error
    },
    ...over
  })

beforeAll(async () => {
  postgres = await startTestPostgres()
  const database = await fresh()
  equal(await consumerOf(database).catchUp(), records.length)
  expected = await dumpOf(database)
  deepEqual(
    Object.values(expected).every(rows => rows.length > 0),
    true
  )
})
afterAll(() => postgres.stop())

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let n = 0; n < 400; n++) {
    if (await what()) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error('it never came to that')
}

/** A shuffled copy; the same for the same seed. */
function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const draw = mulberry32(seed)
  const copy = [...items]
  for (let n = copy.length - 1; n > 0; n--) {
    const other = draw(n + 1)
    ;[copy[n], copy[other]] = [copy[other]!, copy[n]!]
  }
  return copy
}

describe('exactly once', () => {
  it('everything delivered three times in random order leaves an identical ledger', async () => {
    for (const round of [1, 2, 3]) {
      const seed = seedFromEnvironment * 100 + round
      const source = memoryLog(shuffled([...records, ...records, ...records], seed))
      const database = await fresh()
      await consumerOf(database, { source, limits: { batchMax: 7 + round * 13 } }).catchUp()
      deepEqual(await dumpOf(database), expected, `SEED=${seedFromEnvironment}`)
    }
  })

  it('a failure at any step, before or after it took effect, leaves an identical ledger', async () => {
    const database = await fresh()
    const steps = new Set<string>()
    for (let dieAt = 1; ; dieAt++) {
      const { mortal, reached } = failing(database, dieAt, dieAt % 2 === 0)
      const consumer = consumerOf(mortal, { limits: { batchMax: 3 + (dieAt % 5) } })
      try {
        await consumer.catchUp()
      } catch (error) {
        equal(error instanceof Injected, true, String(error))
      }
      const step = reached()
      if (step === null) break
      steps.add(step)
    }
    deepEqual(await dumpOf(database), expected)
    equal(steps.size > 10, true, [...steps].join('\n'))
  })

  it('EOS-02 kill -9 at every step of a batch leaves an identical ledger', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'isthmus-clearing-'))
    const file = join(folder, 'records.json')
    // The records that JSON can carry: half characters come back as they went.
    writeFileSync(file, JSON.stringify(records))
    const database = await fresh()
    const script = fileURLToPath(new URL('../support/clearing-child.ts', import.meta.url))
    const run = async (dieAt: number): Promise<readonly unknown[]> => {
      const child = spawn(process.execPath, [script, database.url, file, String(dieAt), '20'], { stdio: 'ignore' })
      return once(child, 'exit')
    }
    let deaths = 0
    for (let dieAt = 3; dieAt <= 18; dieAt++) {
      const [code, signal] = await run(dieAt)
      if (signal === 'SIGKILL') deaths += 1
      else equal(code, 0)
    }
    deepEqual([...(await run(0))], [0, null])
    rmSync(folder, { recursive: true })
    equal(deaths, 16)
    deepEqual(await dumpOf(database), expected)
  }, 60_000)

  it('two consumers of one topic post every record once between them', async () => {
    const database = await fresh()
    await Promise.all([1, 2, 3].map(() => consumerOf(database, { limits: { batchMax: 4 } }).catchUp()))
    deepEqual(await dumpOf(database), expected)
    const { stand, follow } = await balancesOf(database)
    deepEqual(stand, follow)
  })
})

class Injected extends Error {}

/** A database that fails at its n-th step: instead of a statement, or after it; a commit is a step too. */
function failing(
  database: Database,
  dieAt: number,
  after: boolean
): { mortal: Database; reached: () => string | null } {
  let steps = 0
  let reached: string | null = null
  const isDead = (what: string): boolean => {
    steps += 1
    if (steps === dieAt) reached = what
    return steps === dieAt
  }
  const dying = (sql: Sql): Sql => ({
    query: async (text, values) => {
      const dead = isDead(text)
      if (dead && !after) throw new Injected('before')
      const answer = await sql.query(text, values)
      if (dead) throw new Injected('after')
      return answer as never
    },
    copy: async (table, rows) => {
      const dead = isDead(`copy ${table.name}`)
      if (dead && !after) throw new Injected('before')
      await sql.copy(table, rows)
      if (dead) throw new Injected('after')
    }
  })
  return {
    reached: () => reached,
    mortal: {
      ...dying(database),
      transaction: async work => {
        const done = await database.transaction(sql => work(dying(sql)))
        if (isDead('commit')) throw new Injected('after the commit')
        return done
      },
      close: () => database.close()
    }
  }
}

describe('the consumer', () => {
  it('follows the log while it grows, and stops at the edge of a batch', async () => {
    const growing: unknown[] = []
    const database = await fresh()
    const consumer = consumerOf(database, { source: memoryLog(growing) })
    consumer.start()
    growing.push(...callRecords(1))
    await until(async () => (await positionOf(database, topic)) === 2n)
    growing.push(...callRecords(2))
    await until(async () => (await positionOf(database, topic)) === 4n)
    await consumer.stop()
    growing.push(...callRecords(3))
    equal(await positionOf(database, topic), 4n)
    await consumerOf(database, { source: memoryLog(growing) }).catchUp()
    equal(await positionOf(database, topic), 6n)
  })

  it('reads the table that serves as event log, whatever order its JSON keeps', async () => {
    const database = await postgres.fresh([...eventMigrations, ...clearingMigrations])
    const eventLog = createTableLog(database)
    const calls = [...callRecords(1), ...callRecords(2, failedCall)]
    await eventLog.append(calls)
    await eventLog.append(calls)
    equal(await createConsumer({ source: eventLog, database, book, log, onFault: () => undefined }).catchUp(), 4)
    const dump = await dumpOf(database)
    const other = await fresh()
    await consumerOf(other, { source: memoryLog(calls) }).catchUp()
    deepEqual(dump, await dumpOf(other))
    const hashes = 'select cdr_id, content_hash from cdr_final order by 1'
    deepEqual((await database.query(hashes)).rows, (await other.query(hashes)).rows)
  })

  it('stop waits for the batch that is being posted', async () => {
    const database = await fresh()
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    let entered = false
    const slow: Database = {
      ...database,
      transaction: work =>
        database.transaction(async sql => {
          const done = await work(sql)
          entered ||= (await positionOf(sql, topic)) > 0n
          if (entered) await gate
          return done
        })
    }
    const consumer = consumerOf(slow)
    consumer.start()
    await until(() => entered)
    let stopped = false
    const stopping = consumer.stop().then(() => (stopped = true))
    await positionOf(database, topic)
    equal(stopped, false)
    open()
    await stopping
    equal(await positionOf(database, topic), 20n)
  })

  it('a log or database that is away is asked again, at most at the slowest pace', async () => {
    const database = await fresh()
    let failures = 0
    const source: RecordSource = {
      read: (...asked) => {
        failures += 1
        if (failures < 6) return Promise.reject(new HubError('HUB_EVENT_LOG', 'away', { retryable: true }))
        return memoryLog(records).read(...asked)
      }
    }
    const consumer = consumerOf(database, { source })
    consumer.start()
    await until(async () => (await positionOf(database, topic)) === BigInt(records.length))
    await consumer.stop()
    deepEqual(await dumpOf(database), expected)
  })

  it('what trying again will not mend is told, nothing is posted, and it goes on when somebody has mended it', async () => {
    const faults: unknown[] = []
    const fault = new HubError('HUB_DATABASE', 'no such table')
    const source: RecordSource = {
      read: (...asked) => (faults.length < 2 ? Promise.reject(fault) : memoryLog(records).read(...asked))
    }
    const database = await fresh()
    const consumer = consumerOf(database, {
      source,
      limits: { faultMs: 1 },
      onFault: error => void faults.push(error)
    })
    consumer.start()
    await until(async () => (await positionOf(database, topic)) === BigInt(records.length))
    await consumer.stop()
    deepEqual(faults, [fault, fault])
  })

  it('reads at most a batch at a time', async () => {
    const asked: number[] = []
    const source: RecordSource = {
      read: (name, after, max) => {
        asked.push(max)
        return memoryLog(records).read(name, after, max)
      }
    }
    await createConsumer({ source, database: await fresh(), book, log, onFault: () => undefined }).catchUp()
    deepEqual([...new Set(asked)], [limits.batchMax])
  })

  it('charges at its start what waited for a rate', async () => {
    const database = await fresh()
    await consumerOf(database, { book: bookOf('agreements: []') }).catchUp()
    const before = await dumpOf(database)
    equal(before['transfers']!.length, 0)
    await consumerOf(database, { source: memoryLog([]), limits: { batchMax: 9 } }).catchUp()
    const { transfers } = await dumpOf(database)
    // An attempt without an agreement owed nothing and is settled; what was answered is not.
    deepEqual(
      transfers,
      expected['transfers']!.filter(row => !/attempt/.test((row as { entry_id: string }).entry_id))
    )
  })

  it('catching up tells its failure', async () => {
    const source: RecordSource = {
      read: () => Promise.reject(new HubError('HUB_EVENT_LOG', 'away', { retryable: true }))
    }
    await rejects(consumerOf(await fresh(), { source }).catchUp(), /away/)
  })
})
