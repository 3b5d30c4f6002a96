// Typing and receipts as they are pushed.

import { describe, expect, it } from '@jest/globals'
import { readEphemeral } from '../../../src/adapters/matrix/ephemeral.ts'

const typing = (users: unknown): object => ({ type: 'm.typing', room_id: '!r', content: { user_ids: users } })

describe('what is heard once', () => {
  it('is who writes, or nobody any more', () => {
    expect(readEphemeral(typing(['@a:x', '@b:x']))).toEqual([{ type: 'typing', roomId: '!r', users: ['@a:x', '@b:x'] }])
    expect(readEphemeral(typing([]))).toEqual([{ type: 'typing', roomId: '!r', users: [] }])
  })

  it('is who has read what, each for itself; private receipts and others are left out', () => {
    const content = {
      $1: { 'm.read': { '@a:x': { ts: 1 }, '@b:x': {} } },
      $2: { 'm.read.private': { '@a:x': {} } },
      $3: { 'm.read': { '@c:x': {} } }
    }
    expect(readEphemeral({ type: 'm.receipt', room_id: '!r', content })).toEqual([
      { type: 'read', roomId: '!r', user: '@a:x', eventId: '$1' },
      { type: 'read', roomId: '!r', user: '@b:x', eventId: '$1' },
      { type: 'read', roomId: '!r', user: '@c:x', eventId: '$3' }
    ])
  })

  it('is nothing where it is broken, presence, or longer than a room can be', () => {
    const many = Array.from({ length: 1_001 }, (_, n) => `@u${n}:x`)
    const broken = [typing('@a:x'), typing([7]), typing(many), { type: 'm.presence', content: {} }, null, 7, {}]
    for (const value of broken) expect(readEphemeral(value)).toEqual([])
    expect(readEphemeral({ type: 'm.receipt', room_id: '!r', content: { $1: 7 } })).toEqual([])
  })
})
