// Events on their way in: kept first, once each, in the order of their room.

import { describe, expect, it } from '@jest/globals'
import { Intake, readEvent } from '../../../src/adapters/matrix/intake.ts'
import type { IntakeParts } from '../../../src/adapters/matrix/intake.ts'
import { limits as defaults } from '../../../src/adapters/matrix/limits.ts'
import { FakeStore, quiet } from '../../support/matrix-fakes.ts'
import { until } from '../../support/until.ts'
import { FakeClock, settle } from '../../support/world.ts'

const event = (id: string, room = '!a', more: object = {}): object => ({
  event_id: id,
  room_id: room,
  type: 'm.test',
  sender: '@alice:x',
  content: {},
  origin_server_ts: 1,
  ...more
})

function intake(more: Partial<IntakeParts> & { readonly limits?: Partial<typeof defaults> } = {}) {
  const store = (more.store as FakeStore | undefined) ?? new FakeStore()
  const clock = new FakeClock()
  const handled: string[] = []
  const parts: IntakeParts = {
    islandId: 'rooms',
    clock,
    log: quiet,
    prepare: async () => undefined,
    deliver: async ({ event: { event_id: id } }) => void handled.push(id),
    ...more,
    store,
    limits: { ...defaults, ...more.limits }
  }
  return { taking: new Intake(parts), store, clock, handled }
}
const allHandled = (store: FakeStore): boolean => [...store.events.values()].every(({ waiting }) => waiting === null)

describe('an event that is pushed', () => {
  it('is read with its age, wherever that stands, and without what nobody asked for', () => {
    const read = (more: object) => readEvent(event('$1', '!a', { user_id: 'old', ...more }))
    expect(read({ age: 5, unsigned: { age: 7 } })?.ageMs).toBe(7)
    expect(read({ age: 5.9 })?.ageMs).toBe(5)
    expect(read({ age: -3 })?.ageMs).toBe(0)
    expect(read({})?.ageMs).toBeNull()
    expect(read({ age: 'x' })?.ageMs).toBeNull()
    expect(read({ state_key: '', redacts: '$0' })?.event).toEqual({
      event_id: '$1',
      room_id: '!a',
      type: 'm.test',
      sender: '@alice:x',
      content: {},
      origin_server_ts: 1,
      state_key: '',
      redacts: '$0'
    })
  })

  it('is none where something of it is missing or too long', () => {
    const broken = [null, 7, 'x', {}, event(''), event('x'.repeat(256)), event('$1', '!a', { content: 7 })]
    for (const value of broken) expect(readEvent(value)).toBeNull()
  })

  it('holds nothing that a table cannot hold: it would block all that is behind it', () => {
    const content = { 'a\u0000b': ['\u0000', { x: 'half \ud83d' }], fine: '😀', n: null, of: 7 }
    expect(readEvent(event('$1', '!a', { content }))?.event.content).toEqual({
      'a\ufffdb': ['\ufffd', { x: 'half \ufffd' }],
      fine: '😀',
      n: null,
      of: 7
    })
    for (const odd of [{ sender: '@a\u0000:x' }, { type: 'x\ud800' }, { state_key: '\u0000' }, { redacts: '\u0000' }]) {
      expect(readEvent(event('$1', '!a', odd))).toBeNull()
    }
    const nested = (levels: number): unknown => (levels === 0 ? 'x' : { x: nested(levels - 1) })
    expect(readEvent(event('$1', '!a', { content: nested(defaults.contentDepthMax) }))).not.toBeNull()
    expect(readEvent(event('$1', '!a', { content: nested(defaults.contentDepthMax + 1) }))).toBeNull()
    expect(readEvent(event('$1', '!a', { age: 1e300 }))?.ageMs).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('is kept before anybody hears of it, and written off once it is handled', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { taking, store } = intake({ deliver: () => promise })
    await taking.take([event('$1')])
    expect(store.events.get('$1')?.waiting).not.toBeNull()
    expect(taking.waiting).toBe(1)
    resolve()
    await until(() => allHandled(store))
    expect(taking.waiting).toBe(0)
  })

  it('counts once, however often and in whatever company it comes', async () => {
    const { taking, handled } = intake()
    await Promise.all([taking.take([event('$1'), event('$1')]), taking.take([event('$1'), event('$2')])])
    await taking.take([event('$1'), 'noise', event('$3')])
    await settle()
    expect(handled).toEqual(['$1', '$2', '$3'])
  })

  it('is not taken where the tables cannot be written: the homeserver keeps it', async () => {
    const { taking, store, handled } = intake()
    store.fails = new Error('away')
    await expect(taking.take([event('$1')])).rejects.toThrow('away')
    store.fails = null
    await taking.take([event('$1')])
    await settle()
    expect(handled).toEqual(['$1'])
  })
})

describe('order', () => {
  it('is that of the room, through a slow preparation; other rooms do not wait', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const prepare: IntakeParts['prepare'] = async ({ event: { event_id: id } }) => (id === '$a1' ? promise : undefined)
    const { taking, handled } = intake({ prepare })
    await taking.take([event('$a1', '!a'), event('$b1', '!b'), event('$a2', '!a'), event('$b2', '!b')])
    await settle()
    expect(handled).toEqual(['$b1', '$b2'])
    resolve()
    await settle()
    expect(handled).toEqual(['$b1', '$b2', '$a1', '$a2'])
  })

  it('is kept by rooms that wait for their turn', async () => {
    let busy = 0
    let most = 0
    const prepare = async (): Promise<void> => {
      busy += 1
      most = Math.max(most, busy)
      await settle()
      busy -= 1
    }
    const { taking, store } = intake({ prepare, limits: { roomsAtOnceMax: 2 } as never })
    await taking.take(Array.from({ length: 12 }, (_, n) => event(`$${n}`, `!${n % 6}`)))
    await until(() => allHandled(store))
    expect(most).toBe(2)
  })

  it('survives an event that cannot be handled', async () => {
    const handled: string[] = []
    const { taking, store } = intake({
      prepare: async ({ event: { event_id: id } }) => {
        if (id === '$1') throw new Error('no')
      },
      deliver: async ({ event: { event_id: id } }) => {
        handled.push(id)
        if (id === '$2') throw new Error('no')
      }
    })
    await taking.take([event('$1'), event('$2'), event('$3')])
    await until(() => allHandled(store))
    expect(handled).toEqual(['$1', '$2', '$3'])
  })
})

describe('events behind an outage', () => {
  const said = (id: string, sentAt: number, room = '!a'): object => event(id, room, { origin_server_ts: sentAt })
  const told = (...events: readonly object[]) => events.map(value => readEvent(value)!.event)

  it('wait for what was lost before them, and go on in the order of their room', async () => {
    const { taking, handled } = intake()
    taking.hold()
    await taking.take([said('$new', 9), said('$newest', 10)])
    await settle()
    expect(handled).toEqual([])
    expect(taking.heldRooms).toEqual(['!a'])
    // What was lost is read again; one more comes meanwhile.
    await taking.take([said('$lost 1', 7), said('$lost 2', 8)])
    await taking.take([said('$last', 11)])
    taking.caughtUp('!a', told(said('$lost 1', 7), said('$lost 2', 8), said('$new', 9), said('$newest', 10)))
    await settle()
    expect(handled).toEqual(['$lost 1', '$lost 2', '$new', '$newest', '$last'])
    // From now on nothing waits in that room; in others it does until all is read.
    await taking.take([said('$a', 12), said('$b', 1, '!b')])
    await settle()
    expect(handled.slice(5)).toEqual(['$a'])
    taking.caughtUpAll()
    await settle()
    expect(handled.slice(5)).toEqual(['$a', '$b'])
    await taking.take([said('$c', 2, '!c')])
    await settle()
    expect(handled.at(-1)).toBe('$c')
  })

  it('that are older than all that was read again come before it', async () => {
    const { taking, handled } = intake()
    taking.hold()
    await taking.take([said('$new', 9), said('$older', 3), said('$old', 4)])
    taking.caughtUp('!a', told(said('$first', 7), said('$new', 9)))
    await settle()
    expect(handled).toEqual(['$older', '$old', '$new'])
  })

  it('wait in the middle of a room too, and only so long', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const prepare: IntakeParts['prepare'] = async ({ event: { event_id: id } }) => (id === '$1' ? promise : undefined)
    const { taking, handled, clock } = intake({ prepare })
    await taking.take([said('$1', 1), said('$2', 2)])
    taking.hold()
    resolve()
    await settle()
    expect(handled).toEqual(['$1'])
    await clock.advance(defaults.holdMs - 1)
    expect(handled).toEqual(['$1'])
    await clock.advance(1)
    await settle()
    expect(handled).toEqual(['$1', '$2'])
    expect(clock.timers).toBe(0)
  })

  it('wait in a room that a ghost is joining, whatever the rest does', async () => {
    const { taking, handled, clock } = intake()
    taking.pause('!a')
    await taking.take([said('$new', 9), said('$b', 1, '!b')])
    taking.caughtUpAll()
    await settle()
    expect(handled).toEqual(['$b'])
    await taking.take([said('$lost', 7)])
    taking.caughtUp('!a', told(said('$lost', 7), said('$new', 9)))
    await settle()
    expect(handled).toEqual(['$b', '$lost', '$new'])
    taking.pause('!a')
    await taking.take([said('$late', 12)])
    taking.pause('!c')
    // Still being kept when the end comes.
    await Promise.all([taking.take([said('$later', 13, '!c')]), taking.close()])
    expect(clock.timers).toBe(0)
  })
})

describe('bounds', () => {
  it('leave events with the homeserver once too many wait', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { taking, store } = intake({ deliver: () => promise, limits: { waitingEventsMax: 2 } as never })
    await taking.take([event('$1'), event('$2')])
    await expect(taking.take([event('$3')])).rejects.toMatchObject({ code: 'HUB_LIMIT', retryable: true })
    resolve()
    await until(() => allHandled(store))
    await taking.take([event('$3')])
    await until(() => allHandled(store))
    expect(store.events.size).toBe(3)
  })

  it('forget handled events after their time, again and again', async () => {
    const { taking, store, clock } = intake()
    await taking.start()
    await clock.advance(defaults.pruneMs)
    expect(store.pruned).toBe(defaults.pruneMs - defaults.eventsKeptMs)
    await clock.advance(defaults.pruneMs)
    expect(store.pruned).toBe(2 * defaults.pruneMs - defaults.eventsKeptMs)
    await taking.close()
    expect(clock.timers).toBe(0)
  })
})

describe('the end of a process', () => {
  it('leaves what it has not handled to the next one, in order', async () => {
    const first = intake({
      deliver: ({ event: { event_id: id } }) => (id === '$1' ? Promise.resolve() : new Promise(() => undefined))
    })
    await first.taking.take([event('$1'), event('$2'), event('$3')])
    await settle()
    await first.taking.close()
    await expect(first.taking.take([event('$4')])).rejects.toMatchObject({ code: 'HUB_LIMIT' })
    const next = intake({ store: first.store })
    await next.taking.start()
    await settle()
    expect(next.handled).toEqual(['$2', '$3'])
    await next.taking.close()
  })

  it('writes down with the next one what could not be written', async () => {
    const { taking, store } = intake()
    await taking.take([event('$1')])
    store.fails = new Error('away')
    await settle()
    store.fails = null
    await taking.take([event('$2')])
    await until(() => allHandled(store))
  })
})
