import { describe, expect, it } from '@jest/globals'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chained, genesis } from '../../src/events/chain.ts'
import { Retention } from '../../src/events/retention.ts'
import { bodyOf } from '../support/cdrs.ts'

const callId = bodyOf().call_id
const record = (seq: number, kind: CdrRecord['kind'], attempt = 1): CdrRecord => {
  const body = { ...bodyOf({ attempt, partialSeq: seq, kind }), call_id: callId }
  return chained(body, { hubId: 'hub', nodeId: 'node', seq, previous: genesis }).record
}

function held(...records: readonly CdrRecord[]): Retention {
  const retention = new Retention()
  for (const one of records) retention.durable(one)
  return retention
}

describe('what the journal still holds', () => {
  it('a final of a leg that said nothing before goes when it is relayed', () => {
    const retention = held(record(1, 'final'))
    expect(retention.relayed([1])).toEqual([1])
    expect(retention.emptied([1])).toEqual([])
    expect(retention.legs).toBe(0)
  })

  it('a start stays until the final of its leg is relayed too', () => {
    const retention = held(record(1, 'start'))
    expect(retention.relayed([1])).toEqual([])
    retention.durable(record(2, 'final'))
    expect(retention.relayed([])).toEqual([])
    expect(retention.relayed([2])).toEqual([1])
  })

  it('the final goes only after the start is gone for good: else a crash would close the leg twice', () => {
    const retention = held(record(1, 'start'), record(2, 'final'))
    expect(retention.relayed([1, 2])).toEqual([1])
    expect(retention.emptied([1])).toEqual([2])
    expect(retention.emptied([2])).toEqual([])
    expect(retention.legs).toBe(0)
  })

  it('an interim record replaces the ones before it, so that a long call does not fill the journal', () => {
    const retention = held(record(1, 'start'))
    retention.relayed([1])
    retention.durable(record(2, 'interim'))
    expect(retention.relayed([2])).toEqual([1])
    expect(retention.emptied([1])).toEqual([])
    retention.durable(record(3, 'interim'))
    expect(retention.relayed([3])).toEqual([2])
  })

  it('a final relayed before its start was waits for the start', () => {
    const retention = held(record(1, 'start'), record(2, 'final'))
    expect(retention.relayed([2])).toEqual([])
    expect(retention.relayed([1])).toEqual([1])
    expect(retention.emptied([1])).toEqual([2])
  })

  it('legs and attempts do not hold each other', () => {
    const retention = held(record(1, 'start', 2), record(2, 'final', 1))
    expect(retention.relayed([1, 2])).toEqual([2])
    expect(retention.legs).toBe(2)
  })

  it('what it never knew changes nothing', () => {
    const retention = held()
    expect(retention.relayed([7])).toEqual([])
    expect(retention.emptied([7])).toEqual([])
  })
})
