import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { sliceOf } from '../../src/events/kafka-slice.ts'

const message = (offset: number, value: string | null = JSON.stringify({ n: offset })) => ({
  offset: String(offset),
  value: value === null ? null : Buffer.from(value),
  key: null,
  timestamp: '0',
  attributes: 0
})
const batch = (...offsets: readonly number[]) => ({ partition: 3, messages: offsets.map(offset => message(offset)) })
const taken = (of: ReturnType<typeof sliceOf>) =>
  of === null || of === 'gap'
    ? of
    : [Number(of.after), Number(of.position), of.records.map(r => (r as { n: number }).n)]

describe('what a ledger takes of a batch', () => {
  it('is all of it where the ledger stands at its beginning, and the rest where it stands within', () => {
    deepEqual(taken(sliceOf(batch(5, 6, 7), 5n, 10)), [5, 8, [5, 6, 7]])
    deepEqual(taken(sliceOf(batch(5, 6, 7), 6n, 10)), [6, 8, [6, 7]])
    deepEqual(taken(sliceOf(batch(5, 6, 7), 5n, 2)), [5, 7, [5, 6]])
  })

  it('is nothing where the ledger is beyond it, or it is empty', () => {
    equal(sliceOf(batch(5, 6), 7n, 10), null)
    equal(sliceOf(batch(5, 6), 900n, 10), null)
    equal(sliceOf(batch(), 0n, 10), null)
  })

  it('ends before a gap, and at a gap is the gap: nothing is skipped', () => {
    deepEqual(taken(sliceOf(batch(5, 6, 9, 10), 5n, 10)), [5, 7, [5, 6]])
    equal(taken(sliceOf(batch(5, 6, 9, 10), 7n, 10)), 'gap')
    equal(taken(sliceOf(batch(9, 10), 7n, 10)), 'gap')
    deepEqual(taken(sliceOf(batch(5, 6, 9, 10), 9n, 10)), [9, 11, [9, 10]])
  })

  it('keeps what is no JSON as text, and a message of nothing as null', () => {
    const odd = { partition: 0, messages: [message(0, '{'), message(1, null), message(2, '')] }
    deepEqual(sliceOf(odd, 0n, 10), { partition: 0, after: 0n, position: 3n, records: ['{', null, ''] })
  })
})
