// What a homeserver never pushed: read again from its rooms. A restart of it loses pushes, and events between a ghost's
// invitation and its joining are never pushed at all.

import { readEvent } from './intake.ts'
import type { Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'
import type { RawEvent, Store, StoredRoom } from './store.ts'

export interface RecoveryParts {
  readonly homeserver: Homeserver
  readonly store: Store
  readonly limits: Limits
  readonly now: () => number
  readonly ghosts: () => readonly string[]
  readonly invited: (roomId: string, ghost: string, by: string) => Promise<void>
  /** Oldest first, as the homeserver gave them. */
  readonly take: (events: readonly unknown[]) => Promise<void>
  /** Rooms whose events wait for them to be read: they come first. */
  readonly urgent: () => readonly string[]
  /** Nothing is missing in a room any more; its events, oldest first, as far as they were read. */
  readonly caughtUp: (roomId: string, told: readonly RawEvent[]) => void
}

interface Page {
  readonly chunk?: readonly unknown[]
  readonly end?: string
}

/** No timelines, no state: invitations alone. */
const invitations = JSON.stringify({
  presence: { types: [] },
  account_data: { types: [] },
  room: {
    timeline: { limit: 1, types: [] },
    state: { types: [] },
    ephemeral: { types: [] },
    account_data: { types: [] }
  }
})

interface Invited {
  readonly invite_state?: { readonly events?: readonly Partial<RawEvent>[] }
}

/** Everything of an island after its homeserver was away. Throws `HomeserverError` where it is away again. */
export async function recoverIsland(parts: RecoveryParts): Promise<void> {
  const { store, limits, ghosts, urgent, caughtUp } = parts
  const ghostsOf = Map.groupBy(await store.rooms(limits.rememberedMax), ({ roomId }) => roomId)
  const left = new Map<string, () => Promise<void>>()
  for (const ghost of ghosts()) left.set(ghost, () => readInvitations(parts, ghost))
  for (const [roomId, rooms] of ghostsOf) left.set(roomId, () => readRoom(parts, roomId, rooms))
  const next = (): (() => Promise<void>) | null => {
    const waiting = urgent()
    // Of a room that is not known yet nothing can be missing.
    for (const roomId of waiting) if (!ghostsOf.has(roomId)) caughtUp(roomId, [])
    const [first] = left.keys()
    const key = waiting.find(roomId => left.has(roomId)) ?? first
    const job = key === undefined ? undefined : left.get(key)
    if (key !== undefined) left.delete(key)
    return job ?? null
  }
  const worker = async (): Promise<void> => {
    for (let job = next(); job !== null; job = next()) await job()
  }
  await Promise.all(Array.from({ length: limits.recoverAtOnceMax }, worker))
}

async function readRoom(parts: RecoveryParts, roomId: string, rooms: readonly StoredRoom[]): Promise<void> {
  const told: RawEvent[] = []
  for (const { ghost } of rooms) told.push(...(await readBack(parts, roomId, ghost)))
  parts.caughtUp(roomId, told)
}

async function readInvitations({ homeserver, invited }: RecoveryParts, ghost: string): Promise<void> {
  const query = { filter: invitations, timeout: '0', set_presence: 'offline' }
  const { rooms } = await homeserver.request<{
    readonly rooms?: { readonly invite?: Readonly<Record<string, Invited>> }
  }>({
    method: 'GET',
    path: '/v3/sync',
    query,
    as: ghost
  })
  for (const [roomId, { invite_state: state }] of Object.entries(rooms?.invite ?? {})) {
    const own = state?.events?.find(event => event.type === 'm.room.member' && event.state_key === ghost)
    if (typeof own?.sender === 'string') await invited(roomId, ghost, own.sender)
  }
}

/**
 * The newest events of a room, back to a page that is known, to the ghost's own invitation, or to the bound; oldest
 * first. A room that the ghost may not read is left alone.
 */
export async function readBack(parts: RecoveryParts, roomId: string, ghost: string): Promise<readonly RawEvent[]> {
  const { homeserver, store, limits, now, take } = parts
  const found: unknown[] = []
  let from: string | null = null
  for (let page = 0; page < limits.backfillPages; page++) {
    const query: Record<string, string> = {
      dir: 'b',
      limit: String(limits.backfillPageEvents),
      ...(from === null ? {} : { from })
    }
    const path = `/v3/rooms/${encodeURIComponent(roomId)}/messages`
    const answer: Page | null = await refusedIsNull(homeserver.request<Page>({ method: 'GET', path, query, as: ghost }))
    if (answer === null) return []
    const chunk: readonly unknown[] = answer.chunk ?? []
    const ids = chunk.flatMap(value => readEvent(value)?.event.event_id ?? [])
    const known = await store.known(ids)
    const end = chunk.findIndex(value => isEnd(value, ghost, now(), limits.backfillMs))
    found.push(...(end < 0 ? chunk : chunk.slice(0, end)))
    // One that is known says nothing of those before it: it may have been pushed after they were lost.
    if (end >= 0 || answer.end === undefined || (ids.length > 0 && ids.every(id => known.has(id)))) break
    from = answer.end
  }
  for (let at = found.length; at > 0; at -= limits.backfillPageEvents) {
    await take(found.slice(Math.max(0, at - limits.backfillPageEvents), at).toReversed())
  }
  return found.toReversed().flatMap(value => readEvent(value)?.event ?? [])
}

/** From here on back it was never meant for the ghost, or is too old. */
function isEnd(value: unknown, ghost: string, now: number, maxMs: number): boolean {
  const read = readEvent(value)
  if (read === null) return false
  const { event, ageMs } = read
  const isOwnInvitation = event.type === 'm.room.member' && event.state_key === ghost && event.sender !== ghost
  // By its age where the homeserver says it: its clock may be another.
  return isOwnInvitation || (ageMs === null ? now - event.origin_server_ts : ageMs) > maxMs
}

async function refusedIsNull<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request
  } catch (error) {
    if (error instanceof Error && 'kind' in error && error.kind === 'refused') return null
    throw error
  }
}
