// Tells others: takes rows of the outbox that postings left and writes their charges and rejected records to their
// topics. A row goes once Kafka has all of it; after a crash it is told again.

import type { ChargeMessage, RejectedMessage } from '../events/charge.ts'
import type { Entry, TopicWriter } from '../events/kafka-writer.ts'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Database } from '../store/database.ts'
import type { Sql } from '../store/sql.ts'
import { printAmount } from './money.ts'
import { pause } from './pause.ts'

export const publisherLimits = {
  /** Between two looks at an outbox that was empty. */
  pollMs: 1_000,
  /** Between two rows while clearing is behind: posting goes first, telling catches up later. */
  yieldMs: 500,
  /** After a failure, doubled each time up to the maximum. */
  retryMs: 1_000,
  retryMsMax: 30_000
} as const
export type PublisherLimits = { readonly [Name in keyof typeof publisherLimits]: number }

export interface PublisherOptions {
  readonly database: Database
  readonly charges: TopicWriter
  readonly rejected: TopicWriter
  readonly log: Logger
  /** Whether clearing has more to do than this. */
  readonly isBusy: () => boolean
  readonly limits?: Partial<PublisherLimits>
}

export interface Publisher {
  start(): void
  /** Tells one row, if there is one that nobody else is telling. */
  once(): Promise<boolean>
  stop(): Promise<void>
}

export function createPublisher(options: PublisherOptions): Publisher {
  const { database, charges, rejected, log, isBusy } = options
  const limits: PublisherLimits = { ...publisherLimits, ...options.limits }
  const stopping = new AbortController()
  let running: Promise<void> | null = null

  const once = (): Promise<boolean> =>
    database.transaction(async sql => {
      const { rows } = await sql.query<OutboxRow>(
        'select id, cdr_ids, content_hashes from topic_outbox order by id limit 1 for update skip locked'
      )
      const [row] = rows
      if (row === undefined) return false
      await charges.write(await chargeEntries(sql, row.cdr_ids))
      await rejected.write(await rejectedEntries(sql, row.content_hashes))
      await sql.query('delete from topic_outbox where id = $1', [row.id])
      return true
    })

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      try {
        const told = await once()
        failures = 0
        if (!told) await pause(limits.pollMs, stopping.signal)
        else if (isBusy()) await pause(limits.yieldMs, stopping.signal)
      } catch (error) {
        const waitMs = Math.min(limits.retryMs * 2 ** failures, limits.retryMsMax)
        failures = Math.min(failures + 1, 30)
        log.warn({ waitMs, reason: messageOf(error) }, 'charges cannot be told, trying again')
        await pause(waitMs, stopping.signal)
      }
    }
  }

  return {
    once,
    start() {
      running ??= run()
    },
    async stop() {
      stopping.abort()
      await running
    }
  }
}

interface OutboxRow {
  readonly id: bigint
  readonly cdr_ids: readonly string[]
  readonly content_hashes: readonly string[]
}

type ChargeRow = Omit<ChargeMessage, 'schema_version' | 'attempt' | 'billed_units' | 'amount'> & {
  readonly attempt: bigint
  readonly billed_units: bigint
  readonly amount_micros: bigint
}

async function chargeEntries(sql: Sql, cdrIds: readonly string[]): Promise<readonly Entry[]> {
  if (cdrIds.length === 0) return []
  const { rows } = await sql.query<ChargeRow>(
    `select c.cdr_id, f.call_id, f.leg, f.attempt, c.side, c.rule, c.agreement_id, c.rate_id, c.destination, c.currency,
       c.billed_units, c.amount_micros, c.day::text as day
     from charge c join cdr_final f using (cdr_id) where c.cdr_id = any($1::uuid[])`,
    [cdrIds]
  )
  return rows.map(({ attempt, billed_units, amount_micros, ...row }) => {
    const numbers = { attempt: Number(attempt), billed_units: Number(billed_units), amount: printAmount(amount_micros) }
    const message: ChargeMessage = { schema_version: 1, ...row, ...numbers }
    return { key: row.call_id, value: JSON.stringify(message) }
  })
}

async function rejectedEntries(sql: Sql, hashes: readonly string[]): Promise<readonly Entry[]> {
  if (hashes.length === 0) return []
  const { rows } = await sql.query<Omit<RejectedMessage, 'schema_version'>>(
    'select content_hash, reason, detail, record, topic from rejected where content_hash = any($1)',
    [hashes]
  )
  return rows.map(row => {
    const message: RejectedMessage = { schema_version: 1, ...row }
    return { key: callOf(row.record) ?? row.content_hash, value: JSON.stringify(message) }
  })
}

/** Of a record that may be anything. */
function callOf(record: string): string | null {
  try {
    const { call_id: callId } = JSON.parse(record) as { readonly call_id?: unknown }
    return typeof callId === 'string' && callId !== '' ? callId : null
  } catch {
    return null
  }
}
