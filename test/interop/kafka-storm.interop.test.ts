// needs: kafka
// alone: three brokers, three clearing processes and a database want more than a share of two cores
// EOS-02 with 5,000 records; `npm run soak:eos` does it with 150,000.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { equal } from 'node:assert/strict'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { startKafka } from '../support/kafka.ts'
import type { Kafka } from '../support/kafka.ts'
import { weather } from '../support/kafka-storm.ts'
import { seedFromEnvironment } from '../support/random.ts'

let kafka: Kafka
let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
  kafka = await startKafka({ nodes: 3 })
}, 400_000)
afterAll(async () => {
  await kafka.stop()
  await postgres.stop()
}, 120_000)

describe('EOS-02: exactly once', () => {
  it('brokers and workers killed, connections cut, everything again three times: the ledger is identical', async () => {
    const figures = await weather({ kafka, postgres, calls: 2_500, seed: seedFromEnvironment })
    equal(figures.brokersKilled >= 3 && figures.workersKilled + figures.workersStopped > 0, true)
  }, 600_000)
})
