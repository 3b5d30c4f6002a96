// Missing records are told of, once, by a real database.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal } from 'node:assert/strict'
import { createGapWatch } from '../../src/clearing/gap-watch.ts'
import { ledgerMigrations } from '../../src/compose-book.ts'
import { createLog } from '../../src/log.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase

beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(ledgerMigrations)
}, 120_000)
afterAll(() => postgres.stop(), 60_000)

const arrives = (node: string, ranges: string): Promise<unknown> =>
  database.query('insert into received_part (node_id, seqs) values ($1, $2::int8multirange)', [node, ranges])

describe('EOS-03 the watch for missing records', () => {
  it('tells a gap once it has lasted, with what is missing; a late record is none, another gap is told again', async () => {
    const told: unknown[] = []
    const log = createLog('warn', { write: line => void told.push(JSON.parse(line)) })
    let now = 0
    const watch = createGapWatch({ database, log, now: () => now, limits: { graceMs: 1_000, listedMax: 2 } })
    const look = async (at: number): Promise<readonly unknown[]> => {
      now = at
      await watch.look()
      return told.splice(0).map(line => {
        const { alarm, node, records, missing } = line as Readonly<Record<string, unknown>>
        return [alarm, node, records, missing]
      })
    }
    await arrives('whole', '{[1,50)}')
    await arrives('torn', '{[1,10),[11,20)}')
    await arrives('late', '{[1,5),[6,9)}')
    equal(await look(0), [])
    await arrives('late', '{[5,6)}')
    equal(await look(999), [])
    await arrives('torn', '{[22,30),[32,33)}')
    equal(await look(1_000), [['records-missing', 'torn', 5, ['10', '20-21']]])
    equal(await look(9_000), [])
    await arrives('torn', '{[10,11)}')
    equal(await look(10_000), [])
    equal(await look(11_000), [['records-missing', 'torn', 4, ['20-21', '30-31']]])
  })

  it('goes on where the database is away', async () => {
    let asked = 0
    let answered: () => void = () => undefined
    const twice = new Promise<void>(done => (answered = done))
    const away = {
      query: () => {
        asked += 1
        if (asked === 2) answered()
        return Promise.reject(new Error('away'))
      }
    }
    const watch = createGapWatch({ database: away, log: createLog('silent'), limits: { everyMs: 1 } })
    watch.start()
    await twice
    await watch.stop()
  })
})
