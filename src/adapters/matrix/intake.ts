// Events on their way in: kept before the homeserver is told so, handled once each, in the order of their room.

import { z } from 'zod'
import { HubError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import { limits } from './limits.ts'
import type { Limits } from './limits.ts'
import type { RawEvent, Store, Waiting } from './store.ts'

// What a table cannot hold must not come so far: the homeserver would push it again and again, and nothing behind it.
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000')
const word = z.string().max(255).refine(isStorable)
const name = word.min(1)
const rawEvent = z.looseObject({
  event_id: name,
  room_id: name,
  type: name,
  sender: name,
  state_key: word.optional(),
  content: z.record(z.string(), z.unknown()),
  origin_server_ts: z.number(),
  redacts: word.optional()
})
const agedEvent = z.looseObject({
  age: z.number().optional(),
  unsigned: z.looseObject({ age: z.number().optional() }).optional()
})

/** The same without characters that a table cannot hold. Throws RangeError for what is nested too deeply. */
function storable(value: unknown, levels: number = limits.contentDepthMax): unknown {
  if (typeof value === 'string') return isStorable(value) ? value : value.toWellFormed().replaceAll('\u0000', '\ufffd')
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) throw new RangeError('nested too deeply')
  if (Array.isArray(value)) return value.map(each => storable(each, levels - 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [storable(key, levels), storable(each, levels - 1)])
  )
}

function storableContent(content: RawEvent['content']): RawEvent['content'] | null {
  try {
    return storable(content) as RawEvent['content']
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** An event as pushed or read, and its age; null: it is none. */
export function readEvent(value: unknown): { readonly event: RawEvent; readonly ageMs: number | null } | null {
  const event = rawEvent.safeParse(value)
  if (!event.success) return null
  const { event_id, room_id, type, sender, state_key, origin_server_ts, redacts } = event.data
  const content = storableContent(event.data.content)
  if (content === null) return null
  const aged = agedEvent.safeParse(value)
  const age = aged.success ? (aged.data.unsigned?.age ?? aged.data.age ?? null) : null
  return {
    event: {
      event_id,
      room_id,
      type,
      sender,
      content,
      origin_server_ts,
      ...(state_key === undefined ? {} : { state_key }),
      ...(redacts === undefined ? {} : { redacts })
    },
    ageMs:
      age === null || !Number.isFinite(age) ? null : Math.min(Math.max(0, Math.trunc(age)), Number.MAX_SAFE_INTEGER)
  }
}

/** What was told stands in that order, older events before it and everything else behind it. */
function inOrder(waiting: readonly Waiting[], told: readonly RawEvent[]): Waiting[] {
  const places = new Map(told.map(({ event_id: id }, place) => [id, place]))
  const oldest = told[0]?.origin_server_ts ?? 0
  const placeOf = ({ event }: Waiting): number =>
    places.get(event.event_id) ?? (event.origin_server_ts < oldest ? -1 : told.length)
  return waiting.toSorted((a, b) => placeOf(a) - placeOf(b))
}

export interface IntakeParts {
  readonly islandId: string
  readonly store: Store
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  /** What an event changes in the rooms: awaited, in the order of its room, before `deliver`. */
  readonly prepare: (waiting: Waiting) => Promise<void>
  /** Hands an event on; not awaited before the next one, but an event counts as handled only when this has settled. */
  readonly deliver: (waiting: Waiting) => Promise<void>
}

export class Intake {
  readonly #parts: IntakeParts
  readonly #rooms = new Map<string, Waiting[]>()
  readonly #busy = new Set<string>()
  /** Rooms whose events wait for what was said before them, with the end of their patience. */
  readonly #held = new Map<string, () => void>()
  /** While the homeserver was away: those of its rooms that have been read again. */
  readonly #caughtUp = new Set<string>()
  /** Rooms that a ghost is joining. */
  readonly #paused = new Set<string>()
  #behind = false
  readonly #queue: string[] = []
  #waiting = 0
  #handled: string[] = []
  #flushing: Promise<void> | null = null
  #keeping: Promise<unknown> = Promise.resolve()
  #prune: (() => void) | null = null
  #closed = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  /** Events kept and not yet handled. */
  get waiting(): number {
    return this.#waiting
  }

  /** Takes up what the process before has kept and not handled. */
  async start(): Promise<void> {
    const { store, limits } = this.#parts
    for (const waiting of await store.waiting(limits.waitingEventsMax)) this.#enqueue(waiting)
    this.#pruneLater()
  }

  /**
   * Resolves once all of it is durable: what is new is handled from here on. Throws HUB_LIMIT where too many wait, and
   * HUB_DATABASE; then nothing of it counts as taken.
   */
  async take(events: readonly unknown[]): Promise<void> {
    const { limits, clock, log, islandId } = this.#parts
    const arrivedAt = clock.now()
    const read = events.flatMap(value => {
      const known = readEvent(value)
      if (known === null) log.warn({ island: islandId }, 'something that is no Matrix event was left out')
      return known === null ? [] : [{ ...known, arrivedAt }]
    })
    if (this.#closed) throw new HubError('HUB_LIMIT', 'the hub is shutting down', { retryable: true })
    if (this.#waiting + read.length > limits.waitingEventsMax) {
      throw new HubError('HUB_LIMIT', `${this.#waiting} events of island ${islandId} wait already`, { retryable: true })
    }
    // One after the other: two batches must not overtake each other between the table and the queue.
    const kept = this.#keeping.then(() => this.#keep(read))
    this.#keeping = kept.catch(() => undefined)
    await kept
  }

  async #keep(read: readonly Omit<Waiting, 'seq'>[]): Promise<void> {
    for (const waiting of await this.#parts.store.keep(read)) this.#enqueue(waiting)
  }

  /** From now on what comes waits, room by room: something may have been lost before it. For `holdMs` at most. */
  hold(): void {
    this.#behind = true
    this.#caughtUp.clear()
  }

  /** The same for one room. */
  pause(roomId: string): void {
    this.#paused.add(roomId)
  }

  /** Rooms with events that wait for that. */
  get heldRooms(): readonly string[] {
    return [...this.#held.keys()]
  }

  /** A room has been read again: what waits there goes on, in the order it was told in. */
  caughtUp(roomId: string, told: readonly RawEvent[]): void {
    this.#paused.delete(roomId)
    if (this.#behind) this.#caughtUp.add(roomId)
    const room = this.#rooms.get(roomId)
    if (room !== undefined && told.length > 0) this.#rooms.set(roomId, inOrder(room, told))
    this.#goOn(roomId)
  }

  /** All rooms have been. */
  caughtUpAll(): void {
    this.#behind = false
    this.#caughtUp.clear()
    for (const roomId of this.heldRooms) if (!this.#isHeld(roomId)) this.#goOn(roomId)
  }

  #isHeld(roomId: string): boolean {
    return this.#paused.has(roomId) || (this.#behind && !this.#caughtUp.has(roomId))
  }

  #wait(roomId: string): void {
    if (this.#closed || this.#held.has(roomId)) return
    const { clock, limits } = this.#parts
    this.#held.set(
      roomId,
      clock.after(limits.holdMs, () => this.caughtUp(roomId, []))
    )
  }

  #goOn(roomId: string): void {
    const stopWaiting = this.#held.get(roomId)
    if (stopWaiting === undefined) return
    stopWaiting()
    this.#held.delete(roomId)
    this.#queue.push(roomId)
    this.#next()
  }

  /** Waits until what is handled is written down; what is not will be handled by the next process. */
  async close(): Promise<void> {
    this.#closed = true
    this.#prune?.()
    for (const stopWaiting of this.#held.values()) stopWaiting()
    this.#held.clear()
    this.#queue.length = 0
    this.#rooms.clear()
    await this.#keeping
    await this.#flush()
  }

  #enqueue(waiting: Waiting): void {
    const { room_id: roomId } = waiting.event
    const room = this.#rooms.get(roomId)
    this.#waiting += 1
    if (room !== undefined) return void room.push(waiting)
    this.#rooms.set(roomId, [waiting])
    if (this.#isHeld(roomId)) return this.#wait(roomId)
    this.#queue.push(roomId)
    this.#next()
  }

  #next(): void {
    while (this.#busy.size < this.#parts.limits.roomsAtOnceMax && !this.#closed) {
      const roomId = this.#queue.shift()
      if (roomId === undefined) return
      this.#busy.add(roomId)
      void this.#work(roomId)
    }
  }

  async #work(roomId: string): Promise<void> {
    for (let waiting = this.#first(roomId); waiting !== null; waiting = this.#first(roomId)) {
      const one = waiting
      await this.#guarded(one, () => this.#parts.prepare(one))
      void this.#guarded(one, () => this.#parts.deliver(one)).then(() => this.#done(one))
    }
    this.#busy.delete(roomId)
    this.#next()
  }

  /** The next event of a room, unless it has to wait; an empty room is forgotten at once. */
  #first(roomId: string): Waiting | null {
    const room = this.#rooms.get(roomId)
    if (room !== undefined && room.length > 0 && this.#isHeld(roomId) && !this.#closed) {
      this.#wait(roomId)
      return null
    }
    const first = this.#closed ? undefined : room?.shift()
    if (first === undefined) this.#rooms.delete(roomId)
    return first ?? null
  }

  async #guarded({ event }: Waiting, run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      const { log, islandId } = this.#parts
      log.error({ err: error, island: islandId, eventId: event.event_id, type: event.type }, 'an event was not handled')
    }
  }

  #done({ event }: Waiting): void {
    this.#waiting -= 1
    this.#handled.push(event.event_id)
    void this.#flush()
  }

  /** Many at once where many are done: the next write takes all that came while the last one ran. */
  async #flush(): Promise<void> {
    this.#flushing ??= this.#write().finally(() => {
      this.#flushing = null
    })
    await this.#flushing
  }

  async #write(): Promise<void> {
    const { store, log, islandId } = this.#parts
    while (this.#handled.length > 0) {
      const batch = this.#handled
      this.#handled = []
      try {
        await store.handled(batch)
      } catch (error) {
        // They would only be handled again after a restart: kept for the next write.
        this.#handled = [...batch, ...this.#handled].slice(-this.#parts.limits.waitingEventsMax)
        log.warn({ err: error, island: islandId }, 'handled events could not be written down')
        return
      }
    }
  }

  #pruneLater(): void {
    const { clock, limits, store, log, islandId } = this.#parts
    this.#prune = clock.after(limits.pruneMs, () => {
      store
        .prune(clock.now() - limits.eventsKeptMs)
        .catch((error: unknown) => log.warn({ err: error, island: islandId }, 'old events could not be forgotten'))
        .finally(() => {
          if (!this.#closed) this.#pruneLater()
        })
    })
  }
}
