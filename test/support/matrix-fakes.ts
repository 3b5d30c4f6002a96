// What the parts of a Matrix island are tested with: a link, a homeserver and tables that are written down in a test.

import { HomeserverError } from '../../src/adapters/matrix/homeserver.ts'
import type { Asked, Homeserver } from '../../src/adapters/matrix/homeserver.ts'
import { createAddresses } from '../../src/adapters/matrix/addresses.ts'
import { SendFailed } from '../../src/adapters/matrix/link.ts'
import type { DirectRoom, Link, OutgoingEvent, RoomEvent } from '../../src/adapters/matrix/link.ts'
import type { PartOptions } from '../../src/adapters/matrix/parts.ts'
import type { Store, StoredRoom, Waiting } from '../../src/adapters/matrix/store.ts'
import { parseConfig } from '../../src/config.ts'
import type { MatrixIslandConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import type { LegRef } from '../../src/session/model.ts'
import { FakeInbox } from './inbox.ts'
import { FakeClock } from './world.ts'

export const serverName = 'rooms.example'
export const alice = `@alice:${serverName}`
export const phoneNumber = '+4989123456'
export const phoneGhost = `@_isthmus_4989123456:${serverName}`
export const roomId = '!room'
export const quiet = createLog('silent')

export function matrixIsland(more: Readonly<Record<string, unknown>> = {}): MatrixIslandConfig {
  const island = {
    id: 'rooms',
    access: 'matrix',
    domain: serverName,
    homeserver: 'http://127.0.0.1:1',
    asToken: { secret: 'as-token' },
    hsToken: { secret: 'hs-token' },
    users: [{ name: 'alice', number: '+4930111001', display: 'Alice' }],
    dialPlan: { countryCode: '49', short: [{ dialled: '100', number: '+4930100' }] },
    ...more
  }
  const [parsed] = parseConfig(JSON.stringify({ islands: [island] })).islands
  if (parsed?.access !== 'matrix') throw new Error('no Matrix island')
  return parsed
}

/** A link whose homeserver does what a test says. */
export class FakeLink implements Link {
  readonly islandId = 'rooms'
  readonly serverName = serverName
  up = true
  readonly sent: OutgoingEvent[] = []
  readonly shown: string[] = []
  /** The room of any ghost and user; an error where there is none. */
  room: DirectRoom | SendFailed = { roomId, encrypted: false, joined: true }
  /** What becomes of the next events. */
  fails: SendFailed | null = null
  /** While it is set, sending waits for it. */
  hold: Promise<void> | null = null
  /** Events that a process before has begun. */
  readonly begun = new Set<string>()
  #join: ((is: boolean) => void) | null = null
  #made = 0

  async send(event: OutgoingEvent): Promise<string> {
    this.sent.push(event)
    const { fails } = this
    await this.hold
    if (fails !== null) throw fails
    return `$sent-${this.sent.length}`
  }
  async directRoom(): Promise<DirectRoom> {
    if (this.room instanceof SendFailed) throw this.room
    return this.room
  }
  joined(): Promise<boolean> {
    return new Promise(done => {
      this.#join = done
    })
  }
  join(is: boolean): void {
    this.#join?.(is)
  }
  async typing(ghost: string, room: string, writing: boolean): Promise<void> {
    this.shown.push(`${ghost} ${room} ${writing ? 'writes' : 'does not write'}`)
  }
  async read(ghost: string, room: string, eventId: string): Promise<void> {
    this.shown.push(`${ghost} ${room} has read ${eventId}`)
  }
  async begin(eventId: string): Promise<boolean> {
    if (this.begun.has(eventId)) return false
    this.begun.add(eventId)
    return true
  }
  newId(): string {
    this.#made += 1
    return `${this.#made}`.padStart(32, 'a')
  }

  /** Types of what was sent, and what notices say. */
  get said(): readonly string[] {
    return this.sent.map(({ type, content }) => (type === 'm.room.message' ? String(content['body']) : type))
  }
  last(type: string): Readonly<Record<string, unknown>> {
    const found = this.sent.findLast(event => event.type === type)
    if (found === undefined) throw new Error(`no ${type} was sent: ${this.said.join()}`)
    return found.content
  }
}

export interface FakePart extends PartOptions {
  readonly link: FakeLink
  readonly inbox: FakeInbox
  readonly clock: FakeClock
  readonly newLeg: () => LegRef
}

/** What calls and messages of an island are made of. */
export function fakeParts(more: Readonly<Record<string, unknown>> = {}): FakePart {
  const island = matrixIsland(more)
  let made = 0
  const newRef = (): string => `matrix rooms ${++made}`
  const numberOf = (_: string, user: string): string | null =>
    island.users.find(({ name }) => name === user)?.number ?? null
  return {
    island,
    link: new FakeLink(),
    addresses: createAddresses({ island, numberOf }),
    inbox: new FakeInbox(),
    clock: new FakeClock(),
    log: quiet,
    newRef,
    newLeg: () => newRef() as LegRef,
    linkTo: mxc => (mxc.startsWith('mxc://') ? `https://hub.example/files/${mxc.slice('mxc://'.length)}` : null),
    neighbour: island.homeserver
  }
}

let events = 0
/** An event that alice sends in the room that she has with the phone's ghost. */
export const roomEvent = (
  type: string,
  content: Readonly<Record<string, unknown>>,
  more: Partial<RoomEvent> = {}
): RoomEvent => ({
  eventId: `$event-${++events}`,
  roomId,
  type,
  sender: alice,
  stateKey: null,
  content,
  sentAt: 0,
  ageMs: 0,
  ghost: phoneGhost,
  redacts: null,
  ...more
})

/** A homeserver's no. */
export const no = (status: number, code = '', after: number | null = null): HomeserverError => {
  const kind = status === 0 || status >= 500 ? 'down' : status === 429 ? 'limited' : 'refused'
  return new HomeserverError(kind, `${status} ${code}`, { status, code, after })
}

export class FakeHomeserver implements Homeserver {
  readonly url = 'http://homeserver.example'
  readonly asked: Asked[] = []
  /** What it says to one request; an error is thrown. */
  answer: (asked: Asked) => object | Error | Promise<object | Error> = () => ({})
  download: (mxc: string) => Response | Error = () => new Response('')

  async request<T>(asked: Asked): Promise<T> {
    this.asked.push(asked)
    const answer = await this.answer(asked)
    if (answer instanceof Error) throw answer
    return answer as T
  }
  async media(mxc: string): Promise<Response> {
    const answer = this.download(mxc)
    if (answer instanceof Error) throw answer
    return answer
  }
  /** `PUT /v3/...`, as it was asked. */
  get said(): readonly string[] {
    return this.asked.map(({ method, path }) => `${method} ${decodeURIComponent(path)}`)
  }
}

/** The tables of an island, in memory. */
export class FakeStore implements Store {
  readonly events = new Map<string, { waiting: Waiting | null; begun: boolean }>()
  readonly #ghosts = new Map<string, boolean>()
  #rooms: (StoredRoom & { readonly closed: boolean })[] = []
  #seq = 0n
  fails: Error | null = null

  #check(): void {
    if (this.fails !== null) throw this.fails
  }
  async keep(events: readonly Omit<Waiting, 'seq'>[]): Promise<readonly Waiting[]> {
    this.#check()
    return events.flatMap(one => {
      if (this.events.has(one.event.event_id)) return []
      this.#seq += 1n
      const waiting = { ...one, seq: this.#seq }
      this.events.set(one.event.event_id, { waiting, begun: false })
      return [waiting]
    })
  }
  async waiting(max: number): Promise<readonly Waiting[]> {
    return [...this.events.values()].flatMap(({ waiting }) => waiting ?? []).slice(0, max)
  }
  async begin(eventId: string): Promise<boolean> {
    this.#check()
    const event = this.events.get(eventId)
    if (event === undefined) return false
    const { begun } = event
    event.begun = true
    return !begun
  }
  async handled(ids: readonly string[]): Promise<void> {
    this.#check()
    for (const id of ids) this.events.set(id, { waiting: null, begun: true })
  }
  async known(ids: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(ids.filter(id => this.events.has(id)))
  }
  async prune(before: number): Promise<void> {
    this.pruned = before
  }
  pruned = 0
  async ghosts(max: number): Promise<readonly { readonly userId: string; readonly onDevice: boolean }[]> {
    return [...this.#ghosts].slice(0, max).map(([userId, onDevice]) => ({ userId, onDevice }))
  }
  async saveGhost(userId: string, _display: string, onDevice: boolean): Promise<void> {
    this.#ghosts.set(userId, onDevice)
  }
  async rooms(max: number): Promise<readonly StoredRoom[]> {
    return this.#rooms.filter(({ closed }) => !closed).slice(0, max)
  }
  async direct(ghost: string, user: string): Promise<StoredRoom | null> {
    return (await this.rooms(100_000)).find(room => room.ghost === ghost && room.user === user) ?? null
  }
  async room(id: string): Promise<readonly StoredRoom[]> {
    return (await this.rooms(100_000)).filter(room => room.roomId === id)
  }
  async saveRoom(room: StoredRoom): Promise<void> {
    this.#rooms = [...this.#rooms.filter(each => !same(each, room)), { ...room, closed: false }]
  }
  async closeRoom(id: string, ghost: string): Promise<void> {
    this.#rooms = this.#rooms.map(each => (same(each, { roomId: id, ghost }) ? { ...each, closed: true } : each))
  }
}

const same = (a: Pick<StoredRoom, 'roomId' | 'ghost'>, b: Pick<StoredRoom, 'roomId' | 'ghost'>): boolean =>
  a.roomId === b.roomId && a.ghost === b.ghost
