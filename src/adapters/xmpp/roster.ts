// Who of an island watches which gateway address, kept in the database: a server asks about it only when its user logs
// in, so a hub that started anew would leave those who are online in the dark.

import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Database } from '../../store/database.ts'
import type { Migration } from '../../store/migrations.ts'

/** Changes that wait for the database: the next is told of once and lost, until its user logs in again. */
export const rosterLimits = { changesWaitingMax: 10_000 } as const

export const rosterMigrations: readonly Migration[] = [
  {
    name: 'xmpp/001-watcher',
    sql: `
      create table xmpp_watcher (
        island text not null,
        -- Bare JID.
        user_jid text not null,
        -- Local part of a gateway address.
        contact text not null,
        primary key (island, user_jid, contact)
      );
      grant select, insert, delete on xmpp_watcher to isthmus_service;`
  }
]

export interface Watch {
  /** Bare JID. */
  readonly user: string
  /** Local part of a gateway address. */
  readonly contact: string
}

export interface Roster {
  /** Throws HUB_DATABASE. */
  read(islandId: string): Promise<readonly Watch[]>
  /** Neither waits nor throws; changes are made in their order. */
  add(islandId: string, watch: Watch): void
  remove(islandId: string, watch: Watch): void
  /** Once what was asked so far is done, or cannot be. */
  settled(): Promise<void>
}

export function createRoster({ database, log }: { readonly database: Database; readonly log: Logger }): Roster {
  let last: Promise<void> = Promise.resolve()
  let waiting = 0
  const change = (island: string, { user, contact }: Watch, sql: string): void => {
    if (waiting >= rosterLimits.changesWaitingMax) {
      log.warn({ island, user, contact }, 'too many changes of who watches whom: one is not kept')
      return
    }
    waiting += 1
    last = last
      .then(async () => void (await database.query(sql, [island, user, contact])))
      .catch((error: unknown) => {
        log.warn({ island, user, contact, error: messageOf(error) }, 'who watches whom could not be kept')
      })
      .finally(() => {
        waiting -= 1
      })
  }
  return {
    read: async island => {
      const { rows } = await database.query('select user_jid, contact from xmpp_watcher where island = $1', [island])
      return rows.map(row => ({ user: String(row['user_jid']), contact: String(row['contact']) }))
    },
    add: (island, watch) =>
      change(island, watch, 'insert into xmpp_watcher values ($1, $2, $3) on conflict do nothing'),
    remove: (island, watch) =>
      change(island, watch, 'delete from xmpp_watcher where island = $1 and user_jid = $2 and contact = $3'),
    settled: () => last
  }
}
