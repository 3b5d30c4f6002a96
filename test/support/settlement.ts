// Periods that are closed in tests: records posted, a close as a person would ask for it.

import { Client } from 'pg'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import type { AgreementBook } from '../../src/clearing/agreements.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { periodNamed } from '../../src/clearing/periods.ts'
import { closePeriod } from '../../src/clearing/settlement/close.ts'
import type { CloseOptions, CloseOutcome } from '../../src/clearing/settlement/close.ts'
import type { ClosedStatement, StatementLine } from '../../src/clearing/settlement/model.ts'
import { passingKey } from '../../src/clearing/settlement/seal.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { parseConfig } from '../../src/config.ts'
import type { Database } from '../../src/store/database.ts'
import { clearingPeers, record, uuid } from './clearing.ts'
import type { TestDatabase } from './database.ts'

export const settlementKey = passingKey()

/** Takes all rows away, which is quicker than another database: one test of a file has it at a time. */
export async function emptied(database: TestDatabase): Promise<TestDatabase> {
  const owner = new Client({ connectionString: database.url })
  await owner.connect()
  try {
    const { rows } = await owner.query<{ tables: string }>(
      `select string_agg(quote_ident(tablename), ', ') as tables from pg_tables
       where schemaname = 'public' and tablename <> 'schema_migration'`
    )
    await owner.query(`truncate ${rows[0]?.tables ?? ''} restart identity`)
  } finally {
    await owner.end()
  }
  return database
}

export function bookOfYaml(agreements: string): AgreementBook {
  const config = parseConfig(clearingPeers + agreements)
  return createAgreementBook(config.agreements, createNumberOf(config.islands))
}

let topics = 0
/** Posts records as one batch of a topic of its own. */
export async function post(
  database: Pick<Database, 'transaction'>,
  book: AgreementBook,
  records: readonly unknown[]
): Promise<void> {
  const topic = `settled-${++topics}`
  await database.transaction(sql => postBatch(sql, { topic, after: 0n, position: 1n, records }, book))
}

/** The caller's side of an answered call, so many seconds from a moment on; `n` numbers it in its node's journal. */
export function callAt(n: number, at: string, seconds: number, over: Partial<CdrRecord> = {}): CdrRecord {
  const t_answer = Date.parse(at)
  const times = { t_request: t_answer - 5_000, t_alert: t_answer - 3_000, t_answer, t_end: t_answer + seconds * 1_000 }
  return record({
    seq: n,
    cdr_id: uuid(n),
    call_id: uuid(500_000 + n),
    duration_ms: seconds * 1_000,
    ...times,
    ...over
  })
}

export interface Asked extends Partial<Omit<CloseOptions, 'agreement' | 'period'>> {
  readonly agreement?: string
}

/** Closes; by default the agreement `sell`, as anna, years later. */
export function close(
  database: Pick<Database, 'transaction'>,
  book: AgreementBook,
  period: string,
  { agreement: id = 'sell', ...over }: Asked = {}
): Promise<CloseOutcome> {
  const agreement = book.agreements.find(known => known.id === id)
  if (agreement === undefined) throw new Error(`no agreement ${id}`)
  const usual = {
    by: 'anna',
    override: null,
    dryRun: false,
    key: settlementKey,
    now: Date.parse('2030-01-01T00:00:00Z')
  }
  return closePeriod(database, book, { agreement, period: periodNamed(period, agreement.calendar), ...usual, ...over })
}

/** What was closed; throws the refusals where it was not. */
export async function closed(
  ...given: Parameters<typeof close>
): Promise<{ readonly fresh: boolean; readonly statement: ClosedStatement; readonly lines: readonly StatementLine[] }> {
  const outcome = await close(...given)
  if (outcome.closed) return outcome
  throw new Error(outcome.refusals.map(({ reason, detail }) => `${reason}: ${detail}`).join('; '))
}
