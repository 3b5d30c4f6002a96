// What the commands around invoices and payments share: days, amounts, files, and a word on the accounts with a limit.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import { isDay } from '../clearing/money-in/days.ts'
import { tellCredit } from '../clearing/money-in/credit-link.ts'
import { parseAmount } from '../clearing/money.ts'
import type { AgreementBook } from '../clearing/agreements.ts'
import type { Config } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import type { Database } from '../store/database.ts'
import { sqlStateOf } from '../store/sql.ts'
import type { Sql } from '../store/sql.ts'
import { bookOf, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

export const dayArgument = (text: string): string => {
  if (!isDay(text)) throw new InvalidArgumentError('a day such as 2026-12-01')
  return text
}
export const amountArgument = (text: string): bigint => {
  try {
    const micros = parseAmount(text)
    if (micros >= 0n) return micros
  } catch {
    // Told below.
  }
  throw new InvalidArgumentError('an amount such as 12.50')
}
export const currencyArgument = (text: string): string => {
  if (!/^[A-Z]{3}$/.test(text)) throw new InvalidArgumentError('a currency such as EUR')
  return text
}
export const countArgument = (text: string): number => {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new InvalidArgumentError('a whole number')
  return Number(text)
}

export const dayOption = (what: string): Option =>
  new Option('--day <day>', what).argParser(dayArgument).default(new Date().toISOString().slice(0, 10), 'today')

/** The bytes of a file that somebody names. Throws HUB_CONFIG. */
export function fileBytes(file: string, bytesMax: number): { readonly name: string; readonly bytes: Buffer } {
  const name = basename(file)
  try {
    if (statSync(file).size > bytesMax) throw new HubError('HUB_CONFIG', `${name}: larger than ${bytesMax} bytes`)
    return { name, bytes: readFileSync(file) }
  } catch (cause) {
    throw cause instanceof HubError ? cause : new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`)
  }
}

export function writeOut(file: string, content: string | Buffer): void {
  try {
    writeFileSync(file, content)
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `cannot write ${file}: ${messageOf(cause)}`, { cause })
  }
}

export interface MoneyGiven {
  readonly config: Config
  readonly database: Database
  readonly book: AgreementBook
}

/** One transaction that moves money: accounts with a limit learn of it in the same one. */
export const withMoney = <T>(
  options: Common,
  work: (sql: Sql, given: MoneyGiven) => Promise<T>,
  say: (done: T, given: MoneyGiven) => void
): Promise<void> =>
  withDatabase(options, async ({ config, database }) => {
    const given = { config, database, book: bookOf(config) }
    const done = await transactAgain(database, async sql => {
      const result = await work(sql, given)
      await tellCredit(sql, given.book, options.by)
      return result
    })
    say(done, given)
  })

export const limits = {
  /** Times that a transaction is begun which others have crossed: a batch that is posted, a period that is closed. */
  transactionsMax: 4
} as const

/** One transaction, anew where PostgreSQL has ended it to free others (class 40: deadlock, serialisation). */
export async function transactAgain<T>(
  database: Pick<Database, 'transaction'>,
  work: (sql: Sql) => Promise<T>
): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await database.transaction(work)
    } catch (error) {
      if (n >= limits.transactionsMax || sqlStateOf(error)?.startsWith('40') !== true) throw error
    }
  }
}
