import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { takeIn } from '../../src/clearing/intake.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { failedCall, record } from '../support/clearing.ts'

const hashOf = (over: Partial<CdrRecord> = {}): string | undefined => takeIn([record(over)]).finals[0]?.contentHash

describe('the hash of what a record says', () => {
  it('is what it always was: ledgers know their records by it', () => {
    equal(hashOf(), 'Fy0YvJlg41AEiq_Hji_oCtqpBHZKcnZywpybku1dgyw')
    const absent = { t_alert: null, q850: null, final_code: null, calling: null }
    const odd = { ...failedCall, ...absent, rn: '+49891', quality_class: 'gold', cause: 'a b:é' }
    equal(hashOf(odd), 'Jy5OlPBvT7AD0eH7Q66u5s4JBUFPS6X8f6ZjW2x8Yw0')
  })

  it('is the same however the ids are spelt and the fields are ordered', () => {
    const { cdr_id, call_id } = record()
    equal(hashOf({ cdr_id: cdr_id.toUpperCase(), call_id: call_id.toUpperCase() }), hashOf())
    const backwards = Object.fromEntries(Object.entries(record()).toReversed())
    equal(takeIn([backwards]).finals[0]?.contentHash, hashOf())
  })

  it('differs where anything differs that is kept', () => {
    const changes: readonly Partial<CdrRecord>[] = [
      { duration_ms: 61_001 },
      { t_alert: null },
      { calling: null },
      { provider: 'isl', other_provider: 'andoperator' },
      { rn: '-' },
      { rn: '+49891' },
      { quality_class: '+49891' },
      { emergency: true },
      { hash: 'f'.repeat(64) }
    ]
    const hashes = [hashOf(), ...changes.map(hashOf)]
    deepEqual(new Set(hashes).size, changes.length + 1)
  })
})

describe('records that this process has made', () => {
  it('are taken in as those that were read, but for the check of their form', () => {
    const all = [record({ seq: 1 }), record({ seq: 2, kind: 'start' }), record({ seq: 4, ...failedCall })]
    deepEqual(takeIn([], all), takeIn(all))
    const broken = record({ t_end: 1 })
    deepEqual(takeIn([], [broken]), takeIn([broken]))
    equal(takeIn([], [broken]).rejected.length, 1)
  })
})
