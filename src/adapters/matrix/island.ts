// One Matrix island: its link to the homeserver, and what comes in over it told apart: calls, messages, typing.

import { randomBytes } from 'node:crypto'
import type { MatrixIslandConfig } from '../../config.ts'
import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { Memory } from '../../memory.ts'
import type { LegRef } from '../../session/model.ts'
import type { Clock, Inbox } from '../../session/ports.ts'
import type { Database } from '../../store/database.ts'
import { createAddresses } from './addresses.ts'
import type { Addresses } from './addresses.ts'
import type { Receiver } from './endpoint.ts'
import { readEphemeral } from './ephemeral.ts'
import { HomeserverError, createHomeserver } from './homeserver.ts'
import type { Homeserver } from './homeserver.ts'
import { Intake } from './intake.ts'
import type { Limits } from './limits.ts'
import type { DirectRoom, Link, OutgoingEvent, RoomEvent } from './link.ts'
import type { CallDriver, CreateCallDriver, CreateTexts, Texts } from './parts.ts'
import { notices } from './notices.ts'
import { patient } from './patience.ts'
import { readBack, recoverIsland } from './recovery.ts'
import type { RecoveryParts } from './recovery.ts'
import { serviceIdOf, watchLocal } from './registration.ts'
import { Rooms } from './rooms.ts'
import { Sender } from './sender.ts'
import { createStore } from './store.ts'
import type { RawEvent, Store, Waiting } from './store.ts'
import { Watch } from './watch.ts'

export interface IslandParts {
  readonly island: MatrixIslandConfig
  readonly asToken: string
  readonly database: Database
  readonly numberOf: (islandId: string, user: string) => string | null
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  readonly inbox: Inbox
  /** Of a leg or a message of this island. */
  readonly newRef: () => string
  readonly linkTo: (mxc: string) => string | null
  readonly createCalls: CreateCallDriver
  readonly createTexts: CreateTexts
}

/** What is meant for the one ghost of a room. */
const forOneGhost: ReadonlySet<string> = new Set(['m.room.message', 'm.room.encrypted', 'm.call.invite'])

export class Island implements Link, Receiver {
  readonly islandId: string
  readonly serverName: string
  readonly homeserver: Homeserver
  readonly addresses: Addresses
  /** Whoever has it can read the island's files anyway: it proves links to them. */
  readonly secret: string
  readonly calls: CallDriver
  readonly texts: Texts
  readonly #parts: IslandParts
  readonly #store: Store
  readonly #rooms: Rooms
  readonly #intake: Intake
  readonly #sender: Sender
  readonly #watch: Watch
  readonly #recovery: RecoveryParts
  /** Rooms that were told that there are too many ghosts in them. */
  readonly #warned: Memory<true>

  constructor(parts: IslandParts) {
    const { island, asToken, database, limits, clock, log, numberOf, random } = parts
    this.#parts = parts
    const warnedMax = limits.textsRememberedMax
    this.#warned = new Memory({ entriesMax: warnedMax, keepMs: limits.warningMs, now: () => clock.now() })
    this.islandId = island.id
    this.serverName = island.domain.toLowerCase()
    this.homeserver = createHomeserver({ url: island.homeserver, asToken, limits })
    this.addresses = createAddresses({ island, numberOf })
    this.secret = asToken
    const { homeserver, addresses, islandId } = this
    const common = { islandId, homeserver, limits, clock, log }
    const store = createStore(database, islandId)
    const asking = { ...common, homeserver: patient(common) }
    this.#store = store
    const { inbox, newRef } = parts
    const neighbour = island.homeserver
    const options = { island, link: this, addresses, inbox, clock, log, newRef, neighbour, linkTo: parts.linkTo }
    this.calls = parts.createCalls({ ...options, newLeg: () => newRef() as LegRef })
    this.texts = parts.createTexts(options)
    this.#rooms = new Rooms({
      ...asking,
      addresses,
      store,
      joining: (roomId, ghost, join) => this.#joining(roomId, ghost, join),
      onGone: (roomId, user) => this.calls.onGone(roomId, user)
    })
    this.#intake = new Intake({
      ...common,
      store,
      prepare: waiting => this.#prepare(waiting),
      deliver: waiting => this.#deliver(waiting)
    })
    this.#recovery = {
      ...asking,
      store,
      now: () => clock.now(),
      ghosts: () => this.#rooms.ghosts,
      invited: (roomId, ghost, by) => this.#rooms.invited(roomId, ghost, by),
      take: events => this.#intake.take(events),
      urgent: () => this.#intake.heldRooms,
      caughtUp: (roomId, told) => this.#intake.caughtUp(roomId, told)
    }
    this.#watch = new Watch({
      ...common,
      serviceId: serviceIdOf(islandId),
      watcher: `@${watchLocal(island.ghostPrefix)}:${this.serverName}`,
      random,
      onDown: () => this.#intake.hold(),
      recover: () => this.#recover()
    })
    this.#sender = new Sender({
      ...common,
      hasDevice: ghost => this.#rooms.hasDevice(ghost),
      back: ms => this.#watch.back(ms),
      onDown: why => this.#watch.down(why)
    })
  }

  get up(): boolean {
    return this.#watch.up
  }

  /** Reads what is known from the database; does not wait for the homeserver. Throws HUB_DATABASE. */
  async start(): Promise<void> {
    await this.#rooms.start()
    this.#intake.hold()
    await this.#intake.start()
  }

  /** From now on the homeserver can reach the endpoint. */
  connect(): void {
    this.#watch.start()
  }

  async close(): Promise<void> {
    this.#sender.close()
    await this.#watch.close()
    await this.#intake.close()
  }

  begin(eventId: string): Promise<boolean> {
    return this.#store.begin(eventId)
  }

  newId(): string {
    return randomBytes(16).toString('hex')
  }

  async send(event: OutgoingEvent): Promise<string> {
    try {
      return await this.#sender.send(event)
    } catch (error) {
      const isForbidden = Error.isError(error) && 'why' in error && error.why === 'forbidden'
      if (isForbidden) await this.#rooms.forbidden(event.roomId, event.ghost)
      throw error
    }
  }

  directRoom(ghost: string, user: string, display: string | null): Promise<DirectRoom> {
    return this.#rooms.direct(ghost, user, display)
  }

  joined(roomId: string, user: string, ms: number): Promise<boolean> {
    return this.#rooms.joined(roomId, user, ms)
  }

  async typing(ghost: string, roomId: string, writing: boolean): Promise<void> {
    const path = `/v3/rooms/${encodeURIComponent(roomId)}/typing/${encodeURIComponent(ghost)}`
    const body = writing ? { typing: true, timeout: this.#parts.limits.typingMs } : { typing: false }
    await this.#quietly(this.homeserver.request({ method: 'PUT', path, body, as: ghost }))
  }

  async read(ghost: string, roomId: string, eventId: string): Promise<void> {
    const path = `/v3/rooms/${encodeURIComponent(roomId)}/receipt/m.read/${encodeURIComponent(eventId)}`
    await this.#quietly(this.homeserver.request({ method: 'POST', path, body: {}, as: ghost }))
  }

  async transaction(txnId: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    const { limits } = this.#parts
    this.#watch.pushed(txnId)
    const events = Array.isArray(body['events']) ? (body['events'] as readonly unknown[]) : []
    for (let at = 0; at < events.length; at += limits.eventsPerTransactionMax) {
      await this.#intake.take(events.slice(at, at + limits.eventsPerTransactionMax))
    }
    // The name before 1.13 of the specification; a homeserver may send both, with the same content.
    const ephemeral = body['ephemeral'] ?? body['de.sorunome.msc2409.ephemeral']
    if (Array.isArray(ephemeral)) await this.#heard(ephemeral.slice(0, limits.eventsPerTransactionMax))
  }

  async user(userId: string): Promise<boolean> {
    if (!this.addresses.isGhost(userId) || 'refused' in this.addresses.called(userId)) return false
    await this.#rooms.register(userId)
    return true
  }

  /** The ghost is made now: an invitation to one that was never registered is lost with a restart of the homeserver. */
  async lookUp(phone: string): Promise<readonly string[]> {
    const ghost = this.addresses.ghostOfDialled(phone)
    if (ghost === null) return []
    await this.#rooms.register(ghost)
    return [ghost]
  }

  async #heard(values: readonly unknown[]): Promise<void> {
    for (const value of values) {
      for (const heard of readEphemeral(value)) {
        const ghost = await this.#rooms.ghostIn(heard.roomId).catch(() => null)
        if (heard.type === 'read') this.texts.onEphemeral(heard)
        else {
          const users = heard.users.filter(user => !this.addresses.isGhost(user))
          this.texts.onEphemeral({ ...heard, users, ghost })
        }
      }
    }
  }

  async #prepare({ event }: Waiting): Promise<void> {
    await this.#rooms.prepare(event)
    // Known by heart from here on, so that no event overtakes another while it is looked up.
    await this.#rooms.ghostIn(event.room_id)
  }

  async #deliver({ event, ageMs, arrivedAt }: Waiting): Promise<void> {
    const { clock } = this.#parts
    // What a ghost of ours has said comes back to us.
    if (this.addresses.isGhost(event.sender)) return
    const [ghost = null, another] = await this.#rooms.ghostsIn(event.room_id)
    if (ghost !== null && another !== undefined && forOneGhost.has(event.type)) return this.#tellCrowd(event, ghost)
    const now = clock.now()
    const heard: RoomEvent = {
      eventId: event.event_id,
      roomId: event.room_id,
      type: event.type,
      sender: event.sender,
      stateKey: event.state_key ?? null,
      content: event.content,
      sentAt: event.origin_server_ts,
      ageMs: ageMs === null ? Math.max(0, now - event.origin_server_ts) : ageMs + (now - arrivedAt),
      ghost: another === undefined ? ghost : null,
      redacts: event.redacts ?? null
    }
    if (!this.calls.onEvent(heard)) await this.texts.onEvent(heard)
  }

  /** Who of several is meant nobody can know: nothing goes out, and the room is told, once in a while. */
  async #tellCrowd({ room_id: roomId, sender }: RawEvent, ghost: string): Promise<void> {
    const { clock, limits, log } = this.#parts
    if (this.addresses.caller(sender) === null || this.#warned.get(roomId) !== null) return
    this.#warned.set(roomId, true)
    const content = { msgtype: 'm.notice', body: notices.crowd }
    const event = { ghost, roomId, type: 'm.room.message', content, txnId: `crowd-${this.newId()}` }
    await this.send({ ...event, expiresAt: clock.now() + limits.noticeMs }).catch((error: unknown) => {
      log.info({ err: error, island: this.islandId, roomId }, 'a notice could not be shown')
    })
  }

  async #recover(): Promise<void> {
    await recoverIsland(this.#recovery)
    this.#intake.caughtUpAll()
  }

  /** What was said before the ghost was there comes first. */
  async #joining(roomId: string, ghost: string, join: () => Promise<boolean>): Promise<void> {
    let told: readonly RawEvent[] = []
    this.#intake.pause(roomId)
    try {
      if (await join()) told = await this.#readBack(roomId, ghost)
    } finally {
      this.#intake.caughtUp(roomId, told)
    }
  }

  async #readBack(roomId: string, ghost: string): Promise<readonly RawEvent[]> {
    try {
      return await readBack(this.#recovery, roomId, ghost)
    } catch (error) {
      // The homeserver is away: all of this is read again once it is back.
      if (error instanceof HomeserverError && error.kind === 'down') this.#watch.down(error.message)
      else this.#parts.log.warn({ err: error, island: this.islandId, roomId }, 'a room could not be read')
      return []
    }
  }

  async #quietly(request: Promise<unknown>): Promise<void> {
    await request.catch((error: unknown) => {
      this.#parts.log.debug({ island: this.islandId, why: messageOf(error) }, 'a courtesy was not taken')
    })
  }
}
