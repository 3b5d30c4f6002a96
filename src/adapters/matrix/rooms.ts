// Ghosts and the rooms they share with users: made on demand, remembered, kept true by what the homeserver says.

import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import type { Addresses } from './addresses.ts'
import { HomeserverError, deviceId } from './homeserver.ts'
import type { Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'
import { SendFailed } from './link.ts'
import type { DirectRoom } from './link.ts'
import type { RawEvent, Store, StoredRoom } from './store.ts'

export interface RoomsParts {
  readonly islandId: string
  readonly homeserver: Homeserver
  readonly addresses: Addresses
  readonly store: Store
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  /** Around a ghost's joining a room: what was said in it before is to be read first. `join`: whether it could. */
  readonly joining: (roomId: string, ghost: string, join: () => Promise<boolean>) => Promise<void>
  readonly onGone: (roomId: string, user: string) => void
}

interface Waiter {
  readonly user: string
  readonly joined: (is: boolean) => void
}

export class Rooms {
  readonly #parts: RoomsParts
  /** Those that are registered, and whether they have a device. */
  readonly #ghosts = new Map<string, boolean>()
  /** By room, the newest used last. */
  readonly #rooms = new Map<string, readonly StoredRoom[]>()
  readonly #opening = new Map<string, Promise<DirectRoom>>()
  /** Rooms that ghosts are joining, by ghost and who invited. */
  readonly #joining = new Map<string, Promise<void>>()
  readonly #waiters = new Map<string, Set<Waiter>>()

  constructor(parts: RoomsParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    const { store, limits } = this.#parts
    for (const { userId, onDevice } of await store.ghosts(limits.rememberedMax)) this.#ghosts.set(userId, onDevice)
  }

  /** The ghosts that are registered, as far as this process knows. */
  get ghosts(): readonly string[] {
    return [...this.#ghosts.keys()]
  }

  hasDevice(ghost: string): boolean {
    return this.#ghosts.get(ghost) === true
  }

  /** The one ghost of a room; null: none that is known, or several. */
  async ghostIn(roomId: string): Promise<string | null> {
    const [ghost = null, another] = await this.ghostsIn(roomId)
    return another === undefined ? ghost : null
  }

  async ghostsIn(roomId: string): Promise<readonly string[]> {
    return (await this.#known(roomId)).map(({ ghost }) => ghost)
  }

  /** Makes sure that the ghost exists. Throws `HomeserverError`, HUB_DATABASE. */
  async register(ghost: string, display: string | null = null): Promise<void> {
    const { homeserver, store, addresses, limits } = this.#parts
    if (this.#ghosts.has(ghost) && display === null) return
    const isNew = !this.#ghosts.has(ghost)
    if (isNew) {
      const username = ghost.slice(1, ghost.indexOf(':'))
      await homeserver
        .request({
          method: 'POST',
          path: '/v3/register',
          body: { type: 'm.login.application_service', username, inhibit_login: true },
          as: null
        })
        .catch((error: unknown) => {
          if (!(error instanceof HomeserverError) || error.code !== 'M_USER_IN_USE') throw error
        })
    }
    const onDevice = isNew ? await this.#addDevice(ghost) : this.hasDevice(ghost)
    const name = (display ?? addresses.displayOf(ghost)).slice(0, limits.displayCharactersMax)
    if (isNew || display !== null) await this.#name(ghost, name)
    await store.saveGhost(ghost, name, onDevice)
    this.#ghosts.set(ghost, onDevice)
  }

  /** False where the homeserver lets a service make none. */
  async #addDevice(ghost: string): Promise<boolean> {
    const { homeserver } = this.#parts
    try {
      await homeserver.request({ method: 'PUT', path: `/v3/devices/${deviceId}`, body: {}, as: ghost })
      return true
    } catch (error) {
      if (error instanceof HomeserverError && error.kind === 'refused') return false
      throw error
    }
  }

  /** A name is a courtesy: a homeserver that takes none changes nothing. */
  async #name(ghost: string, displayname: string): Promise<void> {
    const { homeserver, log, islandId } = this.#parts
    const path = `/v3/profile/${encodeURIComponent(ghost)}/displayname`
    await homeserver.request({ method: 'PUT', path, body: { displayname }, as: ghost }).catch((error: unknown) => {
      log.debug({ island: islandId, why: messageOf(error) }, 'a ghost kept its name')
    })
  }

  /** Rejects `SendFailed`. */
  direct(ghost: string, user: string, display: string | null): Promise<DirectRoom> {
    const key = `${ghost} ${user}`
    const under = this.#opening.get(key)
    if (under !== undefined) return under
    const opening = this.#open(ghost, user, display)
      .catch((error: unknown) => {
        throw sendFailed(error)
      })
      .finally(() => this.#opening.delete(key))
    this.#opening.set(key, opening)
    return opening
  }

  async #open(ghost: string, user: string, display: string | null): Promise<DirectRoom> {
    const { store, homeserver, clock } = this.#parts
    // She may just have made one.
    await this.#joining.get(`${ghost} ${user}`)?.catch(() => undefined)
    const known = await store.direct(ghost, user)
    if (known !== null) {
      if (display !== null) await this.register(ghost, display)
      return known
    }
    await this.register(ghost, display)
    await this.#exists(ghost, user)
    const { room_id: made } = await homeserver.request<{ readonly room_id?: unknown }>({
      method: 'POST',
      path: '/v3/createRoom',
      body: { preset: 'trusted_private_chat', is_direct: true, invite: [user] },
      as: ghost
    })
    const roomId = String(made)
    await this.#save({ roomId, ghost, user, encrypted: false, joined: false }, clock.now())
    // A homeserver may have accepted for the user before the room was known here.
    if (await this.#isMember(roomId, ghost, user)) await this.#change(roomId, room => ({ ...room, joined: true }))
    const [room] = (await this.#known(roomId)).filter(each => each.ghost === ghost)
    return room ?? { roomId, encrypted: false, joined: false }
  }

  /** A homeserver lets everybody be invited, also nobody. Throws `SendFailed`. */
  async #exists(ghost: string, user: string): Promise<void> {
    const path = `/v3/profile/${encodeURIComponent(user)}`
    try {
      await this.#parts.homeserver.request({ method: 'GET', path, as: ghost })
    } catch (error) {
      if (!(error instanceof HomeserverError) || error.kind !== 'refused') throw error
      // Anything but 404: profiles are not shown here.
      if (error.status === 404) throw new SendFailed('not-found', 'the homeserver knows no such user')
    }
  }

  async #isMember(roomId: string, ghost: string, user: string): Promise<boolean> {
    const members = await this.#members(roomId, ghost)
    return members?.has(user) === true
  }

  async #members(roomId: string, ghost: string): Promise<ReadonlySet<string> | null> {
    try {
      const { joined } = await this.#parts.homeserver.request<{ readonly joined?: object }>({
        method: 'GET',
        path: `/v3/rooms/${encodeURIComponent(roomId)}/joined_members`,
        as: ghost
      })
      return new Set(Object.keys(joined ?? {}))
    } catch (error) {
      if (error instanceof HomeserverError && error.kind === 'refused') return null
      throw error
    }
  }

  joined(roomId: string, user: string, ms: number): Promise<boolean> {
    if (this.#rooms.get(roomId)?.some(room => room.user === user && room.joined) === true) return Promise.resolve(true)
    return new Promise(done => {
      const waiters = this.#waiters.get(roomId) ?? new Set()
      this.#waiters.set(roomId, waiters)
      const end = (is: boolean): void => {
        cancel()
        waiters.delete(waiter)
        if (waiters.size === 0) this.#waiters.delete(roomId)
        done(is)
      }
      const waiter: Waiter = { user, joined: end }
      const cancel = this.#parts.clock.after(ms, () => end(false))
      waiters.add(waiter)
    })
  }

  /** A room that a ghost may no longer write to. */
  async forbidden(roomId: string, ghost: string): Promise<void> {
    await this.#close(roomId, ghost)
  }

  /** What an event changes. Throws `HomeserverError` where the homeserver is down, HUB_DATABASE. */
  async prepare(event: RawEvent): Promise<void> {
    switch (event.type) {
      case 'm.room.member':
        return this.#member(event)
      case 'm.room.encryption':
        return this.#change(event.room_id, room => ({ ...room, encrypted: true }))
      case 'm.room.tombstone':
        for (const { ghost } of await this.#known(event.room_id)) await this.#close(event.room_id, ghost)
        return
      default:
    }
  }

  async #member({ room_id: roomId, state_key: user = '', content, sender }: RawEvent): Promise<void> {
    const { addresses } = this.#parts
    const membership = content['membership']
    if (addresses.isGhost(user)) {
      if (membership === 'invite') return this.invited(roomId, user, sender)
      if (membership === 'leave' || membership === 'ban') return this.#close(roomId, user)
      return
    }
    const isIn = membership === 'join'
    if (membership === 'leave' || membership === 'ban') return this.#left(roomId, user)
    await this.#change(roomId, room => (room.user === user ? { ...room, joined: isIn } : room))
    if (isIn) for (const waiter of this.#waiters.get(roomId) ?? []) if (waiter.user === user) waiter.joined(true)
  }

  /** What a ghost would say in a room that its user has left, nobody would read: the next word opens another one. */
  async #left(roomId: string, user: string): Promise<void> {
    this.#parts.onGone(roomId, user)
    for (const room of await this.#known(roomId)) {
      if (room.user !== user) continue
      await this.#close(roomId, room.ghost)
      await this.#leave(roomId, room.ghost)
    }
  }

  /** A ghost accepts every invitation of this island's users. */
  async invited(roomId: string, ghost: string, by: string): Promise<void> {
    const key = `${ghost} ${by}`
    const joining = this.#accept(roomId, ghost, by).finally(() => {
      if (this.#joining.get(key) === joining) this.#joining.delete(key)
    })
    this.#joining.set(key, joining)
    await joining
  }

  async #accept(roomId: string, ghost: string, by: string): Promise<void> {
    const { addresses, log, islandId } = this.#parts
    if ((await this.#known(roomId)).some(room => room.ghost === ghost)) return
    await this.register(ghost)
    if (addresses.caller(by) === null) {
      log.info({ island: islandId, by }, 'a stranger invited a ghost')
      await this.#leave(roomId, ghost)
      return
    }
    await this.#parts.joining(roomId, ghost, () => this.#join(roomId, ghost))
  }

  async #join(roomId: string, ghost: string): Promise<boolean> {
    const { homeserver, clock, log, islandId } = this.#parts
    try {
      await homeserver.request({ method: 'POST', path: `/v3/join/${encodeURIComponent(roomId)}`, body: {}, as: ghost })
    } catch (error) {
      if (!(error instanceof HomeserverError) || error.kind !== 'refused') throw error
      log.info({ island: islandId, roomId, why: error.message }, 'a ghost could not join')
      return false
    }
    const others = [...((await this.#members(roomId, ghost)) ?? [])].filter(member => member !== ghost)
    const [user = null] = others.length === 1 ? others : []
    const encrypted = await this.#isEncrypted(roomId, ghost)
    await this.#save({ roomId, ghost, user, encrypted, joined: user !== null }, clock.now())
    return true
  }

  async #leave(roomId: string, ghost: string): Promise<void> {
    const path = `/v3/rooms/${encodeURIComponent(roomId)}/leave`
    await this.#parts.homeserver.request({ method: 'POST', path, body: {}, as: ghost }).catch(() => undefined)
  }

  async #isEncrypted(roomId: string, ghost: string): Promise<boolean> {
    try {
      const path = `/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.encryption/`
      await this.#parts.homeserver.request({ method: 'GET', path, as: ghost })
      return true
    } catch (error) {
      if (error instanceof HomeserverError && error.kind === 'refused') return false
      throw error
    }
  }

  async #known(roomId: string): Promise<readonly StoredRoom[]> {
    const rooms = this.#rooms.get(roomId) ?? (await this.#parts.store.room(roomId))
    this.#remember(roomId, rooms)
    return rooms
  }

  #remember(roomId: string, rooms: readonly StoredRoom[]): void {
    this.#rooms.delete(roomId)
    this.#rooms.set(roomId, rooms)
    if (this.#rooms.size <= this.#parts.limits.rememberedMax) return
    const [oldest] = this.#rooms.keys()
    if (oldest !== undefined) this.#rooms.delete(oldest)
  }

  async #change(roomId: string, change: (room: StoredRoom) => StoredRoom): Promise<void> {
    for (const room of await this.#known(roomId)) {
      const changed = change(room)
      if (changed !== room) await this.#save(changed, this.#parts.clock.now())
    }
  }

  async #save(room: StoredRoom, at: number): Promise<void> {
    const others = (await this.#known(room.roomId)).filter(({ ghost }) => ghost !== room.ghost)
    await this.#parts.store.saveRoom(room, at)
    this.#remember(room.roomId, [...others, room])
  }

  async #close(roomId: string, ghost: string): Promise<void> {
    await this.#parts.store.closeRoom(roomId, ghost)
    this.#remember(
      roomId,
      (await this.#known(roomId)).filter(room => room.ghost !== ghost)
    )
    this.#parts.onGone(roomId, ghost)
  }
}

function sendFailed(error: unknown): SendFailed {
  if (error instanceof SendFailed) return error
  if (error instanceof HomeserverError) {
    return new SendFailed(error.kind === 'refused' && error.status === 403 ? 'forbidden' : error.kind, error.message)
  }
  return new SendFailed('down', error instanceof HubError ? error.message : messageOf(error))
}
