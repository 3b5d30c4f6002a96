import { describe, expect, it } from '@jest/globals'
import { canonical, chained, chainFault, genesis, isIntact } from '../../src/events/chain.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { bodyOf } from '../support/cdrs.ts'

const links = (count: number): CdrRecord[] => {
  const records: CdrRecord[] = []
  for (let seq = 1; seq <= count; seq++) {
    const previous = records.at(-1)?.hash ?? genesis
    records.push(chained(bodyOf(), { hubId: 'hub', nodeId: 'node', seq, previous }).record)
  }
  return records
}

describe('the audit chain', () => {
  it('does not depend on the order of keys, which a store may change', () => {
    expect(canonical({ b: [1, { z: null, a: 'x' }], a: 1.5 })).toBe('{"a":1.5,"b":[1,{"a":"x","z":null}]}')
    const [record] = links(1)
    const turned = Object.fromEntries(Object.entries(record!).toReversed()) as unknown as CdrRecord
    expect(isIntact(turned)).toBe(true)
  })

  it('is written as the text that it hashes', () => {
    const { record, json } = chained(bodyOf(), { hubId: 'hub', nodeId: 'node', seq: 1, previous: genesis })
    expect(JSON.parse(json.toString())).toEqual(record)
  })

  it('shows a record that was changed, left out, or put in', () => {
    const records = links(4)
    expect(chainFault(records)).toBeNull()
    expect(chainFault([])).toBeNull()
    expect(chainFault([records[0]!, { ...records[1]!, duration_ms: 1 }])).toBe('record 2 was changed')
    expect(chainFault([records[0]!, records[2]!])).toBe('records are missing between 1 and 3')
    expect(chainFault([records[0]!, links(2)[1]!])).toBe('record 2 does not follow 1')
  })
})
