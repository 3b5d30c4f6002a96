import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createDatabaseProbe } from '../../src/store/probe.ts'
import { until } from '../support/until.ts'

type Ask = Parameters<typeof createDatabaseProbe>[0]

describe('the database probe', () => {
  it('knows since when there is no answer, be it an error or silence, and that there is one again', async () => {
    let mode: 'answers' | 'fails' | 'is silent' = 'answers'
    let asked = 0
    const ask: Ask = {
      query: () => {
        asked += 1
        if (mode === 'fails') return Promise.reject(new Error('away'))
        return mode === 'is silent' ? new Promise(() => undefined) : Promise.resolve({ rows: [], count: 1 })
      }
    }
    let now = 100
    const probe = createDatabaseProbe(ask, () => now, { everyMs: 1, answerMs: 5 })
    probe.start()
    await until(() => asked > 2)
    equal(probe.downSince, null)
    mode = 'fails'
    await until(() => probe.downSince === 100)
    now = 200
    mode = 'is silent'
    const before = asked
    await until(() => asked > before + 2)
    equal(probe.downSince, 100)
    mode = 'answers'
    await until(() => probe.downSince === null)
    await probe.stop()
    const after = asked
    await new Promise(resolve => setImmediate(resolve))
    equal(asked, after)
  })
})
