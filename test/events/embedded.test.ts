import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cdrRecord } from '../../src/events/cdr.ts'
import { chained, chainFault, genesis } from '../../src/events/chain.ts'
import { createTableLog, eventMigrations, tableLimits } from '../../src/events/embedded.ts'
import type { TableLog } from '../../src/events/embedded.ts'
import { cdrTopic } from '../../src/events/event-log.ts'
import { openOutbox } from '../../src/events/outbox.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import { startEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { sqlStateOf } from '../../src/store/sql.ts'
import { bodyOf, cdrOf } from '../support/cdrs.ts'
import { eventually } from '../support/child.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.stop())

async function fresh(): Promise<{ readonly database: TestDatabase; readonly eventLog: TableLog }> {
  const database = await postgres.fresh(eventMigrations)
  return { database, eventLog: createTableLog(database) }
}

function chainOf(length: number): readonly CdrRecord[] {
  const records: CdrRecord[] = []
  for (let seq = 1; seq <= length; seq++) {
    const previous = records.at(-1)?.hash ?? genesis
    records.push(chained(bodyOf(), { hubId: 'hub', nodeId: 'node', seq, previous }).record)
  }
  return records
}

async function readAll(eventLog: Pick<TableLog, 'read'>, max = 100): Promise<readonly CdrRecord[]> {
  const all: unknown[] = []
  for (let after = 0n; ;) {
    const { records, position } = await eventLog.read(cdrTopic, after, max)
    if (position === after) return all.map(record => cdrRecord.parse(record))
    all.push(...records)
    after = position
  }
}

describe('the event log in a table', () => {
  it('gives back what was appended, in order, page by page, with hashes that still hold', async () => {
    const { eventLog } = await fresh()
    expect(await eventLog.newest(cdrTopic)).toBe(0n)
    expect(await eventLog.read(cdrTopic, 0n, 10)).toEqual({ records: [], position: 0n })
    const records = chainOf(7)
    await eventLog.append(records.slice(0, 4))
    await eventLog.append(records.slice(4))
    await eventLog.append([])
    expect(await readAll(eventLog, 3)).toEqual(records)
    expect(chainFault(await readAll(eventLog))).toBeNull()
    expect((await eventLog.read(cdrTopic, 0n, 100)).position).toBe(await eventLog.newest(cdrTopic))
    expect(await eventLog.read('another.topic', 0n, 10)).toEqual({ records: [], position: 0n })
  })

  it(`is the same after everything was appended three times more, in random order (seed ${seedFromEnvironment})`, async () => {
    const { database, eventLog } = await fresh()
    const chance = mulberry32(seedFromEnvironment)
    const records = chainOf(20)
    await eventLog.append(records)
    const dump = async (): Promise<unknown> => (await database.query('select * from event_log order by position')).rows
    const before = await dump()
    for (let replay = 0; replay < 3; replay++) {
      const shuffled = records.map(record => ({ record, at: chance(1_000_000) })).sort((a, b) => a.at - b.at)
      while (shuffled.length > 0) await eventLog.append(shuffled.splice(0, 1 + chance(5)).map(({ record }) => record))
    }
    expect(await dump()).toEqual(before)
  })

  it('hands its own records on without fetching them, and fetches what others appended or what it was given before', async () => {
    const { database, eventLog: other } = await fresh()
    const own = createTableLog(database)
    const [before, mine, theirs, later] = [chainOf(1), chainOf(3), chainOf(2), chainOf(1)] as const
    await own.append(before)
    // Nobody followed yet: nothing is remembered.
    const first = await own.follow(cdrTopic, 0n, 10)
    expect(first).toEqual({ records: before, own: [], position: await own.newest(cdrTopic) })
    await own.append(mine)
    await other.append(theirs)
    await own.append(later)
    const next = await own.follow(cdrTopic, first.position, 10)
    expect(next.records).toEqual(theirs)
    expect(next.own.map((record, n) => record === [...mine, ...later][n])).toEqual([true, true, true, true])
    expect(next.position).toBe(await own.newest(cdrTopic))
    // After a failure the same is asked again: now all of it comes from the table.
    const again = await own.follow(cdrTopic, first.position, 10)
    expect(again).toEqual({ records: [...mine, ...theirs, ...later], own: [], position: next.position })
    expect(await own.follow(cdrTopic, next.position, 10)).toEqual({ records: [], own: [], position: next.position })
  })

  it('what it had appended already is what the table has, not what came again', async () => {
    const { eventLog } = await fresh()
    const records = chainOf(3)
    await eventLog.append(records)
    const { position } = await eventLog.follow(cdrTopic, 0n, 10)
    const changed = records.map(record => ({ ...record, trunk: 'changed' }))
    const fresh2 = chainOf(1)
    await eventLog.append([...changed, ...fresh2])
    expect(await eventLog.follow(cdrTopic, 0n, 10)).toEqual({
      records: [...records, ...fresh2],
      own: [],
      position: await eventLog.newest(cdrTopic)
    })
    expect(await eventLog.newest(cdrTopic)).toBeGreaterThan(position)
  })

  it('remembers no more than it may: what is older comes from the table', async () => {
    const { eventLog } = await fresh()
    await eventLog.follow(cdrTopic, 0n, 1)
    const body = bodyOf()
    const total = tableLimits.recentMax + 5
    const records = Array.from({ length: total }, (_, n) => {
      const cdr_id = `01990000-0000-7000-8000-${String(n).padStart(12, '0')}`
      return chained({ ...body, cdr_id }, { hubId: 'hub', nodeId: 'node', seq: n + 1, previous: genesis }).record
    })
    for (let at = 0; at < total; at += 500) await eventLog.append(records.slice(at, at + 500))
    const { records: read, own } = await eventLog.follow(cdrTopic, 0n, total)
    expect(read).toEqual(records.slice(0, 5))
    expect(own).toHaveLength(tableLimits.recentMax)
  })

  it('never shows a reader a position below one it has passed, whoever appends', async () => {
    const { eventLog } = await fresh()
    const lists = Array.from({ length: 4 }, () => chainOf(25))
    let over = false
    const appending = Promise.all(
      lists.map(async list => {
        for (const record of list) await eventLog.append([record])
      })
    ).finally(() => (over = true))
    const seen: unknown[] = []
    let after = 0n
    for (let last = false; !last;) {
      last = over
      const { records, position } = await eventLog.read(cdrTopic, after, 10)
      seen.push(...records)
      if (position !== after) last = false
      after = position
    }
    await appending
    expect(seen).toHaveLength(100)
    expect(await readAll(eventLog)).toEqual(seen)
  })

  it('takes texts that look like trouble', async () => {
    const { eventLog } = await fresh()
    const trouble = '\'; drop table event_log; -- \\ " {} \u0000\u0007\ud800 𝄞'
    const body = bodyOf({ callingRaw: trouble })
    const { record } = chained(body, { hubId: 'hub', nodeId: 'node', seq: 1, previous: genesis })
    await eventLog.append([record])
    expect(await readAll(eventLog)).toEqual([record])
  })

  it('cannot be changed by those who write it', async () => {
    const { database, eventLog } = await fresh()
    await eventLog.append(chainOf(1))
    for (const statement of ['update event_log set payload = null', 'delete from event_log']) {
      const error: unknown = await database.query(statement).catch((thrown: unknown) => thrown)
      expect(sqlStateOf(error)).toBe('42501')
    }
  })
})

describe('a database that goes away', () => {
  it('stops no call: the journal keeps the records, and each arrives once when it is back', async () => {
    const folder = openTempDir()
    const log = createLog('silent')
    const settings = ['shared_buffers=16MB']
    let server = await startEmbeddedPostgres({ dataDir: folder, log, settings })
    const { host, port, superuser, passwords } = server
    const at = `?host=${encodeURIComponent(host)}&port=${port}`
    const place = { url: `postgresql://${superuser}:${passwords.superuser}@/postgres${at}` }
    const database = await openDatabase({ place, poolMax: 2, migrations: eventMigrations, log })
    const dir = mkdtempSync(join(tmpdir(), 'isthmus-outbox-'))
    const outbox = await openOutbox({
      dir,
      slots: 64,
      hubId: 'hub',
      node: 'node-1',
      heartbeatMs: 5_000,
      eventLog: createTableLog(database),
      providerOf: peer => peer,
      log,
      relayLimits: { retryMs: 10, retryMsMax: 50 }
    })
    await outbox.write(cdrOf())
    expect(await outbox.drain(10_000)).toBe(true)
    await server.stop()
    for (let i = 0; i < 5; i++) await outbox.write(cdrOf())
    await eventually(() => outbox.status.blindSince !== null)
    expect(outbox.status.waiting).toBe(5)
    server = await startEmbeddedPostgres({ dataDir: folder, log, settings })
    expect(await outbox.drain(20_000)).toBe(true)
    const records = await readAll(createTableLog(database))
    expect(records.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6])
    await outbox.close()
    await database.close()
    await server.stop()
    for (const made of [folder, dir]) rmSync(made, { recursive: true })
  })
})
