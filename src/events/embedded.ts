// The event log as a table, where no Kafka is configured.

import { serviceRole } from '../store/database.ts'
import type { Database } from '../store/database.ts'
import type { CopyTable, CopyValue } from '../store/binary-copy.ts'
import type { Migration } from '../store/migrations.ts'
import { copyIfNew } from '../store/sql.ts'
import type { CdrRecord } from './cdr.ts'
import { cdrTopic } from './event-log.ts'
import type { EventLog } from './event-log.ts'

/** Appenders take turns: without this a row with a lower position could be committed after a higher one was read. */
const appendLock = 4_970_132_202n

export const eventMigrations: readonly Migration[] = [
  {
    name: 'events/001-event-log',
    sql: `
      create table event_log (
        position bigint generated always as identity primary key,
        topic text not null,
        key text not null,
        partition int not null default 0,
        cdr_id uuid not null,
        payload jsonb not null,
        appended_at timestamptz not null default now(),
        unique (topic, cdr_id)
      );
      create index event_log_topic on event_log (topic, position);
      grant select, insert on event_log to ${serviceRole};`
  }
]

export const tableLimits = {
  /** Records that were appended here and not yet followed; what is older is read from the table. */
  recentMax: 4_096
} as const

/** The log of a process that also reads what it writes. */
export interface TableLog extends EventLog {
  /**
   * As `read`; `own` are the records in between that were appended here lately, as they were given: they are neither
   * fetched nor to be checked again. In the order of the log among themselves.
   */
  follow(
    topic: string,
    after: bigint,
    max: number
  ): Promise<{ readonly records: readonly unknown[]; readonly own: readonly CdrRecord[]; readonly position: bigint }>
}

const eventTable: CopyTable = {
  name: 'event_log',
  columns: [
    ['topic', 'text'],
    ['key', 'text'],
    ['cdr_id', 'uuid'],
    ['payload', 'json']
  ]
}

function* eventRows(
  records: readonly CdrRecord[],
  texts: readonly (string | Buffer)[]
): Iterable<readonly CopyValue[]> {
  for (const [n, { call_id, cdr_id }] of records.entries()) yield [cdrTopic, call_id, cdr_id, texts[n] ?? null]
}

/** Needs `eventMigrations`. Records of one transaction: as many as `append` is given. */
export function createTableLog(database: Database): TableLog {
  const recent = new Recent()

  async function read(topic: string, after: bigint, max: number) {
    const { rows } = await database.query<{ readonly position: bigint; readonly payload: unknown }>(
      'select position, payload from event_log where topic = $1 and position > $2 order by position limit $3',
      [topic, after, max]
    )
    return { records: rows.map(({ payload }) => payload), position: rows.at(-1)?.position ?? after }
  }

  return {
    read,

    async append(
      records: readonly CdrRecord[],
      texts: readonly (string | Buffer)[] = records.map(record => JSON.stringify(record))
    ) {
      if (records.length === 0) return
      const areNew = await database.transaction(async sql => {
        await sql.query('select pg_advisory_xact_lock($1)', [appendLock])
        if (await copyIfNew(sql, eventTable, eventRows(records, texts))) return true
        // Some are there already, as after a commit that nobody heard of.
        await sql.query(insertNew, [cdrTopic, `[${texts.join(',')}]`])
        return false
      })
      if (areNew) recent.add(records)
    },

    async follow(topic, after, max) {
      if (!recent.serves(topic)) return { ...(await read(topic, after, max)), own: [] }
      const { rows } = await database.query<{ readonly position: bigint; readonly cdr_id: string }>(
        'select position, cdr_id from event_log where topic = $1 and position > $2 order by position limit $3',
        [topic, after, max]
      )
      const own: CdrRecord[] = []
      const others: bigint[] = []
      for (const { position, cdr_id } of rows) {
        const record = recent.take(cdr_id)
        if (record === null) others.push(position)
        else own.push(record)
      }
      const position = rows.at(-1)?.position ?? after
      if (others.length === 0) return { records: [], own, position }
      const { rows: rest } = await database.query<{ readonly payload: unknown }>(
        'select payload from event_log where position = any($1::bigint[]) order by position',
        [`{${others.join(',')}}`]
      )
      return { records: rest.map(({ payload }) => payload), own, position }
    },

    async newest(topic) {
      const { rows } = await database.query<{ readonly position: bigint | null }>(
        'select max(position) as position from event_log where topic = $1',
        [topic]
      )
      return rows[0]?.position ?? 0n
    }
  }
}

const insertNew = `insert into event_log (topic, key, cdr_id, payload)
  select $1, value ->> 'call_id', (value ->> 'cdr_id')::uuid, value
  from jsonb_array_elements($2::jsonb) with ordinality as given (value, place)
  order by place
  on conflict (topic, cdr_id) do nothing`

/** What was appended and is still to be followed, once somebody follows. */
class Recent {
  #followed = false
  readonly #records = new Map<string, CdrRecord>()

  /** False: nothing of this topic is remembered. */
  serves(topic: string): boolean {
    if (topic === cdrTopic) this.#followed = true
    return topic === cdrTopic && this.#records.size > 0
  }

  add(records: readonly CdrRecord[]): void {
    if (!this.#followed) return
    for (const record of records) this.#records.set(record.cdr_id, record)
    for (const oldest of this.#records.keys()) {
      if (this.#records.size <= tableLimits.recentMax) break
      this.#records.delete(oldest)
    }
  }

  take(cdrId: string): CdrRecord | null {
    const record = this.#records.get(cdrId) ?? null
    if (record !== null) this.#records.delete(cdrId)
    return record
  }
}
