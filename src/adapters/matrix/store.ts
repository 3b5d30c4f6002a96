// What of a Matrix island must outlive the process: events that the homeserver was told we have, ghosts, rooms.

import type { Migration } from '../../store/migrations.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'

export const matrixMigrations: readonly Migration[] = [
  {
    name: 'matrix/001-link',
    sql: `
      -- Also the memory of what came: a homeserver repeats transactions, and numbers them again after a restart.
      create table matrix_event (
        island text not null,
        event_id text not null,
        seq bigint generated always as identity,
        -- Null once it is handled.
        event jsonb,
        -- Its age at arrival, by the homeserver (ms); null where it does not say.
        age_ms bigint,
        arrived_at bigint not null,
        primary key (island, event_id)
      );
      create index matrix_event_waiting on matrix_event (island, seq) where event is not null;
      create index matrix_event_arrived on matrix_event (arrived_at);
      create table matrix_ghost (
        island text not null,
        user_id text not null,
        display text,
        on_device boolean not null default false,
        primary key (island, user_id)
      );
      create table matrix_room (
        island text not null,
        room_id text not null,
        ghost text not null,
        -- The other party; null: not only one.
        user_id text,
        encrypted boolean not null default false,
        joined boolean not null default false,
        -- Left, replaced or forbidden: no longer the direct room of anybody.
        closed boolean not null default false,
        used_at bigint not null,
        primary key (island, room_id, ghost)
      );
      create index matrix_room_direct on matrix_room (island, ghost, user_id) where not closed;
      grant select, insert, update, delete on matrix_event, matrix_ghost, matrix_room to isthmus_service;`
  },
  {
    name: 'matrix/002-begun',
    // What is done for the event has begun: a process that finds it so does not know how far the one before has come.
    sql: 'alter table matrix_event add column begun boolean not null default false;'
  }
]

/** An event as the homeserver pushed it. */
export interface RawEvent {
  readonly event_id: string
  readonly room_id: string
  readonly type: string
  readonly sender: string
  readonly state_key?: string
  readonly content: Readonly<Record<string, unknown>>
  readonly origin_server_ts: number
  readonly redacts?: string
}

/** One that waits. */
export interface Waiting {
  readonly seq: bigint
  readonly event: RawEvent
  readonly ageMs: number | null
  readonly arrivedAt: number
}

export interface StoredRoom {
  readonly roomId: string
  readonly ghost: string
  readonly user: string | null
  readonly encrypted: boolean
  readonly joined: boolean
}

/** The tables of one island. Every method throws HUB_DATABASE. */
export interface Store {
  /** Keeps what is new, in one statement, in this order; returns it numbered. What is known already is left out. */
  keep(events: readonly Omit<Waiting, 'seq'>[]): Promise<readonly Waiting[]>
  /** What waits since before the process began, in order. */
  waiting(max: number): Promise<readonly Waiting[]>
  /** False where it has begun before. */
  begin(eventId: string): Promise<boolean>
  handled(eventIds: readonly string[]): Promise<void>
  /** Which of these ids have come before. */
  known(eventIds: readonly string[]): Promise<ReadonlySet<string>>
  /** Forgets handled events that arrived before. */
  prune(before: number): Promise<void>
  ghosts(max: number): Promise<readonly { readonly userId: string; readonly onDevice: boolean }[]>
  saveGhost(userId: string, display: string, onDevice: boolean): Promise<void>
  /** The open rooms of the island, newest first. */
  rooms(max: number): Promise<readonly StoredRoom[]>
  direct(ghost: string, user: string): Promise<StoredRoom | null>
  room(roomId: string): Promise<readonly StoredRoom[]>
  saveRoom(room: StoredRoom, at: number): Promise<void>
  closeRoom(roomId: string, ghost: string): Promise<void>
}

interface EventRow {
  readonly seq: bigint
  readonly event: RawEvent
  readonly age_ms: bigint | null
  readonly arrived_at: bigint
}

interface RoomRow {
  readonly room_id: string
  readonly ghost: string
  readonly user_id: string | null
  readonly encrypted: boolean
  readonly joined: boolean
}

const waitingOf = ({ seq, event, age_ms: age, arrived_at: arrivedAt }: EventRow): Waiting => ({
  seq,
  event,
  ageMs: age === null ? null : Number(age),
  arrivedAt: Number(arrivedAt)
})

const roomOf = (row: RoomRow): StoredRoom => ({
  roomId: row.room_id,
  ghost: row.ghost,
  user: row.user_id,
  encrypted: row.encrypted,
  joined: row.joined
})

const roomColumns = 'room_id, ghost, user_id, encrypted, joined'

export function createStore(database: Database, island: string): Store {
  const sql: Sql = database
  return {
    ...eventsOf(sql, island),
    ...roomsOf(sql, island),
    ghosts: async max => {
      const { rows } = await sql.query<{ user_id: string; on_device: boolean }>(
        'select user_id, on_device from matrix_ghost where island = $1 limit $2',
        [island, max]
      )
      return rows.map(row => ({ userId: row.user_id, onDevice: row.on_device }))
    },
    saveGhost: async (userId, display, onDevice) => {
      await sql.query(
        `insert into matrix_ghost (island, user_id, display, on_device) values ($1, $2, $3, $4)
         on conflict (island, user_id) do update set display = excluded.display, on_device = excluded.on_device`,
        [island, userId, display, onDevice]
      )
    }
  }
}

type EventPart = Pick<Store, 'keep' | 'waiting' | 'begin' | 'handled' | 'known' | 'prune'>

const eventsOf = (sql: Sql, island: string): EventPart => ({
  keep: async events => {
    if (events.length === 0) return []
    const { rows } = await sql.query<EventRow>(
      `insert into matrix_event (island, event_id, event, age_ms, arrived_at)
       select $1, e.event->>'event_id', e.event, e.age_ms, e.arrived_at
       from unnest($2::jsonb[], $3::bigint[], $4::bigint[]) with ordinality as e (event, age_ms, arrived_at, place)
       order by e.place
       on conflict do nothing
       returning seq, event, age_ms, arrived_at`,
      [
        island,
        events.map(({ event }) => JSON.stringify(event)),
        events.map(({ ageMs }) => ageMs),
        events.map(({ arrivedAt }) => arrivedAt)
      ]
    )
    return rows.map(waitingOf).sort((a, b) => (a.seq < b.seq ? -1 : 1))
  },
  waiting: async max => {
    const { rows } = await sql.query<EventRow>(
      `select seq, event, age_ms, arrived_at from matrix_event
       where island = $1 and event is not null order by seq limit $2`,
      [island, max]
    )
    return rows.map(waitingOf)
  },
  begin: async eventId => {
    const { rows } = await sql.query(
      'update matrix_event set begun = true where island = $1 and event_id = $2 and not begun returning 1',
      [island, eventId]
    )
    return rows.length === 1
  },
  handled: async eventIds => {
    if (eventIds.length === 0) return
    await sql.query('update matrix_event set event = null where island = $1 and event_id = any($2)', [island, eventIds])
  },
  known: async eventIds => {
    const { rows } = await sql.query<{ event_id: string }>(
      'select event_id from matrix_event where island = $1 and event_id = any($2)',
      [island, eventIds]
    )
    return new Set(rows.map(row => row.event_id))
  },
  prune: async before => {
    await sql.query('delete from matrix_event where island = $1 and event is null and arrived_at < $2', [
      island,
      before
    ])
  }
})

type RoomPart = Pick<Store, 'rooms' | 'direct' | 'room' | 'saveRoom' | 'closeRoom'>

const roomsOf = (sql: Sql, island: string): RoomPart => ({
  rooms: async max => {
    const { rows } = await sql.query<RoomRow>(
      `select ${roomColumns} from matrix_room where island = $1 and not closed order by used_at desc limit $2`,
      [island, max]
    )
    return rows.map(roomOf)
  },
  direct: async (ghost, user) => {
    const { rows } = await sql.query<RoomRow>(
      `select ${roomColumns} from matrix_room where island = $1 and ghost = $2 and user_id = $3 and not closed
       order by joined desc, used_at desc limit 1`,
      [island, ghost, user]
    )
    return rows[0] === undefined ? null : roomOf(rows[0])
  },
  room: async roomId => {
    const { rows } = await sql.query<RoomRow>(
      `select ${roomColumns} from matrix_room where island = $1 and room_id = $2 and not closed`,
      [island, roomId]
    )
    return rows.map(roomOf)
  },
  saveRoom: async ({ roomId, ghost, user, encrypted, joined }, at) => {
    await sql.query(
      `insert into matrix_room (island, room_id, ghost, user_id, encrypted, joined, used_at)
       values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (island, room_id, ghost) do update set user_id = excluded.user_id, encrypted = excluded.encrypted,
         joined = excluded.joined, closed = false, used_at = excluded.used_at`,
      [island, roomId, ghost, user, encrypted, joined, at]
    )
  },
  closeRoom: async (roomId, ghost) => {
    await sql.query('update matrix_room set closed = true where island = $1 and room_id = $2 and ghost = $3', [
      island,
      roomId,
      ghost
    ])
  }
})
