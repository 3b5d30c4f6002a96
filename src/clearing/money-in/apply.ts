// Which open items a payment pays (COM-06): the ones it names, then the oldest, the rest stays unapplied. Pure.

import type { OpenItem } from './aging.ts'

/** A party as a bank shows it. */
export interface Payer {
  readonly party: string
  readonly names: readonly string[]
  readonly iban: string | null
}

/** One line of a bank's file; `amountMicros` below zero is money that went out. */
export interface BankLine {
  readonly line: number
  readonly bookedOn: string
  readonly currency: string
  readonly amountMicros: bigint
  /** The bank's own name of the line: twice is once. */
  readonly reference: string
  readonly payer: string
  readonly iban: string | null
  /** What the payer wrote. */
  readonly purpose: string
}

/** Why money that arrived stands in suspense and no account of a party. */
export const suspenseReasons = [
  'unknown-payer',
  'invoice-of-another-party',
  'other-currency',
  'unknown-outgoing'
] as const
export type PaymentSuspense = (typeof suspenseReasons)[number]

export interface Allocation {
  readonly itemId: string
  readonly amountMicros: bigint
}

export type Applied =
  | {
      readonly outcome: 'party'
      readonly party: string
      readonly allocations: readonly Allocation[]
      /** Nothing is open that it could pay: it stays on the party's account. */
      readonly unappliedMicros: bigint
    }
  | { readonly outcome: 'suspense'; readonly reason: PaymentSuspense; readonly detail: string }

/** Letters and digits only: banks change case, and put spaces and hyphens where they like. */
const plain = (text: string): string => text.toUpperCase().replaceAll(/[^\p{L}\p{N}]/gu, '')

/** Whether a text names an item, whole: `INV-hub-2026-000001` is not named by `...0000012`. */
export function names(text: string, itemId: string): boolean {
  const pattern = itemId
    .split(/[^A-Za-z0-9]+/)
    .filter(part => part !== '')
    .join('[^A-Za-z0-9]*')
  return pattern !== '' && new RegExp(`(?<![A-Za-z0-9])${pattern}(?![0-9])`, 'i').test(text)
}

/** The party whose account or name the bank shows; null: none, or several. */
export function payerOf({ payer, iban }: BankLine, payers: readonly Payer[]): string | null {
  const byAccount =
    iban === null ? [] : payers.filter(known => known.iban !== null && plain(known.iban) === plain(iban))
  if (byAccount.length === 1) return byAccount[0]?.party ?? null
  const wanted = plain(payer)
  if (wanted === '') return null
  const byName = payers.filter(({ names }) => names.some(name => plain(name) === wanted))
  return byName.length === 1 ? (byName[0]?.party ?? null) : null
}

/** Oldest first: by the day it is due, then by the day of issue, then by name. */
export const oldestFirst = (a: OpenItem, b: OpenItem): number =>
  order(a.dueOn, b.dueOn) || order(a.issuedOn, b.issuedOn) || order(a.itemId, b.itemId)
const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b))

/** Money that arrived at the hub. `open`: all that is owed to the hub, in every currency. */
export function applyIncoming(line: BankLine, open: readonly OpenItem[], payers: readonly Payer[]): Applied {
  const text = `${line.purpose} ${line.reference}`
  const named = open.filter(({ itemId }) => names(text, itemId))
  const [payer, first] = [payerOf(line, payers), named[0]]
  if (first === undefined && payer === null) {
    const who = line.payer === '' ? 'nobody is named' : `nobody is called "${line.payer}"`
    return { outcome: 'suspense', reason: 'unknown-payer', detail: `${who}, and no open invoice is named` }
  }
  const party = payer ?? first?.debtor ?? ''
  const other = named.find(({ debtor }) => debtor !== party)
  if (other !== undefined) {
    const detail = `${other.itemId} is owed by ${other.debtor}, the payer is ${party}`
    return { outcome: 'suspense', reason: 'invoice-of-another-party', detail }
  }
  const foreign = named.find(({ currency }) => currency !== line.currency)
  if (foreign !== undefined) {
    const detail = `${foreign.itemId} is in ${foreign.currency}, the payment in ${line.currency}`
    return { outcome: 'suspense', reason: 'other-currency', detail }
  }
  const others = open.filter(item => item.debtor === party && item.currency === line.currency && !named.includes(item))
  const { allocations, left } = spread(line.amountMicros, [
    ...named.toSorted(oldestFirst),
    ...others.toSorted(oldestFirst)
  ])
  return { outcome: 'party', party, allocations, unappliedMicros: left }
}

/** As much to each in turn as it is still short of, what is held out first left alone. */
export function spread(
  amountMicros: bigint,
  items: readonly OpenItem[]
): { readonly allocations: readonly Allocation[]; readonly left: bigint } {
  const allocations: Allocation[] = []
  let left = amountMicros
  for (const { itemId, openMicros, heldMicros } of items) {
    const due = openMicros - heldMicros
    const paid = due < left ? due : left
    if (paid <= 0n) continue
    allocations.push({ itemId, amountMicros: paid })
    left -= paid
  }
  return { allocations, left }
}
