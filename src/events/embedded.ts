// The event log as a table, where no Kafka is configured.

import { serviceRole } from '../store/database.ts'
import type { Database } from '../store/database.ts'
import type { Migration } from '../store/migrations.ts'
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

/** Needs `eventMigrations`. Records of one transaction: as many as `append` is given. */
export function createTableLog(database: Database): EventLog {
  return {
    async append(
      records: readonly CdrRecord[],
      texts: readonly string[] = records.map(record => JSON.stringify(record))
    ) {
      if (records.length === 0) return
      const payload = `[${texts.join(',')}]`
      await database.transaction(async sql => {
        await sql.query('select pg_advisory_xact_lock($1)', [appendLock])
        await sql.query(
          `insert into event_log (topic, key, cdr_id, payload)
           select $1, value ->> 'call_id', (value ->> 'cdr_id')::uuid, value
           from jsonb_array_elements($2::jsonb) with ordinality as given (value, place)
           order by place
           on conflict (topic, cdr_id) do nothing`,
          [cdrTopic, payload]
        )
      })
    },

    async read(topic, after, max) {
      const { rows } = await database.query<{ readonly position: bigint; readonly payload: unknown }>(
        'select position, payload from event_log where topic = $1 and position > $2 order by position limit $3',
        [topic, after, max]
      )
      return { records: rows.map(({ payload }) => payload), position: rows.at(-1)?.position ?? after }
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
