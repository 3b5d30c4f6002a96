// A memory with bounds.

import { describe, expect, it } from '@jest/globals'
import { Memory } from '../src/memory.ts'

describe('a memory', () => {
  let now = 0
  const memory = () => new Memory<string>({ entriesMax: 2, keepMs: 10, now: () => now })

  it('forgets the oldest entry when it is full, and what is set again is young', () => {
    const kept = memory()
    kept.set('a', '1')
    kept.set('b', '2')
    kept.set('a', '3')
    kept.set('c', '4')
    expect([kept.get('a'), kept.get('b'), kept.get('c'), kept.size]).toEqual(['3', null, '4', 2])
  })

  it('forgets an entry after its time', () => {
    const kept = memory()
    kept.set('a', '1')
    now += 9
    expect(kept.get('a')).toBe('1')
    now += 1
    expect([kept.get('a'), kept.size]).toEqual([null, 0])
  })
})
