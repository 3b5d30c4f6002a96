import { describe, expect, it } from '@jest/globals'
import { newUuid, uuidv7 } from '../src/uuid.ts'

describe('a UUIDv7', () => {
  it('says its version, sorts by time, and is never the same', () => {
    const ids = [1, 2, 2_000_000_000_000].map(uuidv7)
    expect([...ids].sort()).toEqual(ids)
    expect(ids[2]).toMatch(/^01d1a94a-2000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(uuidv7(1)).not.toBe(uuidv7(1))
  })
})

describe('a random UUID', () => {
  const ids = Array.from({ length: 10_000 }, newUuid)

  it('says its version, and is never the same', () => {
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('has every digit at every place that chance decides', () => {
    for (const place of Array.from({ length: 36 }, (_, at) => at)) {
      if ([8, 13, 14, 18, 19, 23].includes(place)) continue
      expect(new Set(ids.map(id => id[place])).size).toBe(16)
    }
  })

  it('is another one after one of time was made in between', () => {
    const [before, , after] = [newUuid(), uuidv7(Date.now()), newUuid()]
    expect(before).not.toBe(after)
  })
})
