// `isthmus ledger verify`: everything that can be computed again is, from one snapshot, beside a running hub.

import type { Database } from '../../store/database.ts'
import { checkBalances, checkEntries, checkRollups } from './book.ts'
import { checkChain } from './chain.ts'
import { checkCharges } from './charges.ts'
import { checkKafkaChain } from './kafka-chain.ts'
import type { LogReader } from './kafka-chain.ts'
import type { Check } from './model.ts'
import { checkStatements } from './statements.ts'

export interface Verification {
  readonly ok: boolean
  readonly checks: readonly Check[]
}

export type Progress = (what: string, done: number) => void

/**
 * Reads only; what is posted meanwhile is not looked at. `readLog`: the event log where that is not in the database.
 * Throws HUB_DATABASE, and what `readLog` throws.
 */
export async function verifyLedger(
  database: Pick<Database, 'transaction'>,
  progress: Progress = () => undefined,
  readLog: LogReader | null = null
): Promise<Verification> {
  const checks = await checkBook(database, progress, readLog === null)
  // Apart from the others: records that are read elsewhere are no part of their snapshot.
  if (readLog !== null)
    checks.splice(-1, 0, await checkKafkaChain(database, readLog, done => progress('records', done)))
  return { ok: checks.every(({ wrong }) => wrong === 0), checks }
}

const checkBook = (database: Pick<Database, 'transaction'>, progress: Progress, hasLog: boolean): Promise<Check[]> =>
  database.transaction(async sql => {
    // Sums over the whole book take as long as they take.
    await sql.query('set transaction isolation level repeatable read, read only; set local statement_timeout = 0')
    const told = (what: string) => (done: number) => progress(what, done)
    const checks: Check[] = []
    for (const check of [checkBalances, checkRollups, checkEntries]) checks.push(await check(sql))
    checks.push(await checkCharges(sql, told('charges')))
    if (hasLog) checks.push(await checkChain(sql, told('records')))
    checks.push(await checkStatements(sql, told('statements')))
    return checks
  })
