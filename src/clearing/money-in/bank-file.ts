// The lines of a bank's file (COM-06): checked one by one, told by line where something is wrong. Pure.

import { createHash } from 'node:crypto'
import { readCsv } from '../decks/read-csv.ts'
import { Problems } from '../decks/sheet.ts'
import type { BankLine } from './apply.ts'
import { isCurrency, minorDigits, parseMoney } from './currency.ts'
import { isDay } from './days.ts'
import { readTable } from './table.ts'

const columns = ['date', 'amount', 'currency', 'reference', 'payer', 'iban', 'purpose'] as const
type Column = (typeof columns)[number]
const needed = ['date', 'amount', 'currency', 'reference', 'payer'] as const

export const limits = {
  /** Lines of one file. */
  rowsMax: 100_000,
  fileBytesMax: 32 * 1024 * 1024,
  referenceCharsMax: 120,
  /** Amount of one line: what the ledger's balances hold many of. */
  amountMicrosMax: 1_000_000_000_000_000_000n
} as const

/**
 * Columns date, amount, currency, reference, payer and, where there are, iban and purpose; an amount below zero went
 * out. Throws HUB_CONFIG with every problem and its line; nothing of the file is taken then.
 */
export function readBankFile(name: string, bytes: Buffer, decimal: '.' | ',' = '.'): readonly BankLine[] {
  const table = readTable<Column>(name, readCsv(name, bytes, limits.rowsMax), columns, needed)
  const problems = new Problems()
  const known = new Map<string, string>()
  const lines: BankLine[] = []
  for (const { line, cell } of table) {
    const found = lineOf(line, cell, decimal)
    if (typeof found === 'string') {
      problems.add(line, found)
      continue
    }
    const before = known.get(found.reference)
    if (before !== undefined && before !== contentOf(found)) {
      problems.add(line, `reference: ${found.reference} appears before with another content`)
    }
    if (before !== undefined) continue
    known.set(found.reference, contentOf(found))
    lines.push(found)
  }
  if (table.length === 0) problems.add(null, 'it has no lines')
  problems.check(name)
  return lines
}

function lineOf(line: number, cell: (column: Column) => string, decimal: '.' | ','): BankLine | string {
  const [bookedOn, currency, reference] = [cell('date'), cell('currency').toUpperCase(), cell('reference')]
  if (!isDay(bookedOn)) return `date: "${bookedOn.slice(0, 40)}" is no day such as 2026-11-30`
  if (!isCurrency(currency)) return `currency: "${currency.slice(0, 40)}" is none such as EUR`
  if (reference === '') return 'reference: it is empty; without it the line could count twice'
  if (reference.length > limits.referenceCharsMax) return `reference: more than ${limits.referenceCharsMax} characters`
  const text = cell('amount')
  const pattern = decimal === '.' ? /^[+-]?[0-9]{1,15}(\.[0-9]+)?$/ : /^[+-]?[0-9]{1,15}(,[0-9]+)?$/
  if (!pattern.test(text)) return amountProblem(text, decimal)
  let amountMicros: bigint
  try {
    amountMicros = parseMoney(text.replace(',', '.').replace('+', ''), currency)
  } catch {
    return `amount: "${text}" has more than ${minorDigits(currency)} digits after the point`
  }
  if (amountMicros === 0n) return 'amount: it is 0'
  if (amountMicros > limits.amountMicrosMax || -amountMicros > limits.amountMicrosMax) return 'amount: it is too large'
  const [payer, iban, purpose] = [cell('payer'), cell('iban').replaceAll(' ', ''), cell('purpose')]
  return { line, bookedOn, currency, amountMicros, reference, payer, iban: iban === '' ? null : iban, purpose }
}

function amountProblem(text: string, decimal: '.' | ','): string {
  const shown = text.slice(0, 40)
  if (decimal === '.' && /^[+-]?[0-9]+,[0-9]+$/.test(text)) {
    return `amount: "${shown}" has a decimal comma; say --decimal comma if all of the file has`
  }
  return `amount: "${shown}" is no amount such as 1234${decimal}50 or -1234${decimal}50`
}

/** What makes two lines the same. */
export const contentOf = ({ bookedOn, currency, amountMicros, payer, iban, purpose }: BankLine): string =>
  createHash('sha256')
    .update(JSON.stringify([bookedOn, currency, amountMicros.toString(), payer, iban, purpose]))
    .digest('hex')
