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
      readonly paid: readonly { readonly item: OpenItem; readonly amountMicros: bigint }[]
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
export type PayerOf = (line: Pick<BankLine, 'payer' | 'iban'>) => string | null

export function createPayerOf(payers: readonly Payer[]): PayerOf {
  const [byAccount, byName] = [new Map<string, string | null>(), new Map<string, string | null>()]
  const add = (known: Map<string, string | null>, key: string, party: string): void => {
    // Of two that share a name it is neither.
    if (key !== '') known.set(key, known.has(key) && known.get(key) !== party ? null : party)
  }
  for (const { party, names, iban } of payers) {
    if (iban !== null) add(byAccount, plain(iban), party)
    for (const name of names) add(byName, plain(name), party)
  }
  return ({ payer, iban }) => (iban === null ? null : byAccount.get(plain(iban))) ?? byName.get(plain(payer)) ?? null
}

/** Oldest first: by the day it is due, then by the day of issue, then by name. */
export const oldestFirst = (a: OpenItem, b: OpenItem): number =>
  order(a.dueOn, b.dueOn) || order(a.issuedOn, b.issuedOn) || order(a.itemId, b.itemId)
const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b))

/** What is owed, found by the name of an item in a text, and by who owes it; paid as lines are applied. */
export class OpenBook {
  readonly #byEnd = new Map<string, OpenItem[]>()
  readonly #endLengths = new Set<number>()
  readonly #byDebt = new Map<string, OpenItem[]>()
  readonly #left = new Map<string, bigint>()

  constructor(items: readonly OpenItem[]) {
    for (const item of items.toSorted(oldestFirst)) {
      this.#left.set(item.itemId, item.openMicros)
      const end = /[0-9]+$/.exec(item.itemId)?.[0] ?? ''
      this.#endLengths.add(end.length)
      into(this.#byEnd, end, item)
      into(this.#byDebt, debtKey(item), item)
    }
  }

  /** Open items that a text names, the oldest first. */
  named(text: string): readonly OpenItem[] {
    const ends = new Set(
      ['', ...(text.match(/[0-9]+/g) ?? [])].flatMap(run => [...this.#endLengths].map(n => endOf(run, n)))
    )
    const found = [...ends].flatMap(end => this.#byEnd.get(end) ?? []).filter(({ itemId }) => names(text, itemId))
    return found
      .map(item => this.#now(item))
      .filter(isOpen)
      .toSorted(oldestFirst)
  }

  /** What a party owes in a currency, the oldest first. */
  owedBy(debtor: string, currency: string): readonly OpenItem[] {
    const key = debtKey({ debtor, currency })
    const open = (this.#byDebt.get(key) ?? []).map(item => this.#now(item)).filter(isOpen)
    this.#byDebt.set(key, open)
    return open
  }

  pay(allocations: readonly Allocation[]): void {
    for (const { itemId, amountMicros } of allocations)
      this.#left.set(itemId, (this.#left.get(itemId) ?? 0n) - amountMicros)
  }

  #now(item: OpenItem): OpenItem {
    return { ...item, openMicros: this.#left.get(item.itemId) ?? 0n }
  }
}

function into(lists: Map<string, OpenItem[]>, key: string, item: OpenItem): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

const isOpen = ({ openMicros }: OpenItem): boolean => openMicros > 0n
const debtKey = ({ debtor, currency }: Pick<OpenItem, 'debtor' | 'currency'>): string => `${currency} ${debtor}`
/** The last `n` digits of a run; of a shorter one the whole. */
const endOf = (run: string, n: number): string => (n === 0 ? '' : run.slice(-n))

/** Money that arrived at the hub. `open`: all that is owed to the hub, in every currency; what is paid is taken off. */
export function applyIncoming(line: BankLine, open: OpenBook, payerOf: PayerOf): Applied {
  const named = open.named(`${line.purpose} ${line.reference}`)
  const [payer, first] = [payerOf(line), named[0]]
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
  const before = new Set(named.map(({ itemId }) => itemId))
  const others = open.owedBy(party, line.currency).filter(({ itemId }) => !before.has(itemId))
  const items = [...named, ...others]
  const { allocations, left } = spread(line.amountMicros, items)
  open.pay(allocations)
  const byId = new Map(items.map(item => [item.itemId, item]))
  const paid = allocations.flatMap(({ itemId, amountMicros }) => {
    const item = byId.get(itemId)
    return item === undefined ? [] : [{ item, amountMicros }]
  })
  return { outcome: 'party', party, paid, unappliedMicros: left }
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
