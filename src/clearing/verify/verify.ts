// `isthmus ledger verify`: everything that can be computed again is, from one snapshot, beside a running hub.

import type { Database } from '../../store/database.ts'
import { checkBalances, checkEntries, checkRollups } from './book.ts'
import { checkChain } from './chain.ts'
import { checkCharges } from './charges.ts'
import type { Check } from './model.ts'
import { checkStatements } from './statements.ts'

export interface Verification {
  readonly ok: boolean
  readonly checks: readonly Check[]
}

export type Progress = (what: string, done: number) => void

/** Reads only; what is posted meanwhile is not looked at. Throws HUB_DATABASE. */
export const verifyLedger = (
  database: Pick<Database, 'transaction'>,
  progress: Progress = () => undefined
): Promise<Verification> =>
  database.transaction(async sql => {
    // Sums over the whole book take as long as they take.
    await sql.query('set transaction isolation level repeatable read, read only; set local statement_timeout = 0')
    const told = (what: string) => (done: number) => progress(what, done)
    const checks: Check[] = []
    for (const check of [checkBalances, checkRollups, checkEntries]) checks.push(await check(sql))
    checks.push(await checkCharges(sql, told('charges')))
    checks.push(await checkChain(sql, told('records')))
    checks.push(await checkStatements(sql, told('statements')))
    return { ok: checks.every(({ wrong }) => wrong === 0), checks }
  })
