// A call's records, charges and ledger entries as text for people.

import { parseAmount, printAmount } from '../clearing/money.ts'
import type { CallStatement, StatedRecord, StatedTransfer } from '../clearing/statement.ts'

export interface Paper {
  readonly title: (text: string) => void
  readonly say: (text?: string) => void
}

const time = (at: Date | null): string => (at === null ? '-' : at.toISOString().slice(11, 23))

export function printStatement({ callId, records, transfers, balances }: CallStatement, paper: Paper): void {
  const { title, say } = paper
  title(`Records of call ${callId}, one a leg`)
  const legs = records.map(record => [record.leg, record.provider, ...facts(record)])
  table(['leg', 'provider', 'calling', 'called', 'asked', 'answered', 'ended', 'seconds', 'cause'], legs, say)
  title('Charges')
  table(
    ['who', 'agreement', 'destination', 'billed s', 'amount', 'currency'],
    records.map(record => charge(record)),
    say
  )
  title('Ledger entries')
  table(
    ['debit', 'credit', 'amount', 'currency'],
    transfers.map(({ debit, credit, amount, currency }) => [debit, credit, amount, currency]),
    say
  )
  for (const [currency, sum] of zeroSums(transfers)) say(`debits less credits over all accounts: ${sum} ${currency}`)
  title('Balances')
  table(
    ['account', 'balance', 'currency'],
    balances.map(({ account, balance, currency }) => [account, balance, currency]),
    say
  )
}

const facts = (record: StatedRecord): readonly string[] => [
  record.calling ?? '-',
  record.called,
  time(record.requestedAt),
  time(record.answeredAt),
  time(record.endedAt),
  (record.durationMs / 1_000).toFixed(3),
  record.cause ?? '-'
]

function charge({ leg, provider, charge: made, suspended }: StatedRecord): readonly string[] {
  const who = leg === 'ingress' ? `${provider} owes the hub` : `the hub owes ${provider}`
  if (made === null) return [who, '-', '-', '-', `suspended: ${suspended ?? 'not yet'}`, '-']
  const { agreementId, destination, billedUnits, amount, currency } = made
  return [who, agreementId ?? '-', destination ?? '-', String(billedUnits), amount, currency ?? '-']
}

/** Every entry adds to one account what it takes from another; summed here all the same. */
export function zeroSums(transfers: readonly StatedTransfer[]): ReadonlyMap<string, string> {
  const accounts = new Map<string, bigint>()
  const move = (account: string, currency: string, micros: bigint): void => {
    const key = `${currency} ${account}`
    accounts.set(key, (accounts.get(key) ?? 0n) + micros)
  }
  for (const { debit, credit, amount, currency } of transfers) {
    move(debit, currency, parseAmount(amount))
    move(credit, currency, -parseAmount(amount))
  }
  const sums = new Map<string, bigint>()
  for (const [key, micros] of accounts) {
    const currency = key.slice(0, key.indexOf(' '))
    sums.set(currency, (sums.get(currency) ?? 0n) + micros)
  }
  return new Map([...sums].map(([currency, micros]) => [currency, printAmount(micros)]))
}

function table(head: readonly string[], rows: readonly (readonly string[])[], say: (text: string) => void): void {
  const widths = head.map((name, n) => Math.max(name.length, ...rows.map(row => row[n]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd()
  say(line(head))
  say(widths.map(width => '-'.repeat(width)).join('  '))
  for (const row of rows) say(line(row))
}
