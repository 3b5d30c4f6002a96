// Who pays whom after everybody's debts are set off (SET-05, SET-11): the same net positions with few payments. Pure.

import { toMinor } from './currency.ts'

export interface Obligation {
  readonly itemId: string
  readonly debtor: string
  readonly creditor: string
  /** Above zero, undisputed, in the one currency that is netted. */
  readonly amountMicros: bigint
}

export interface NetPayment {
  readonly payer: string
  readonly payee: string
  /** What positions come to, to the last digit. */
  readonly exactMicros: bigint
  /** What is paid: whole minor units, rounded half up. */
  readonly amountMicros: bigint
}

export interface Netting {
  /** What each party gets (above zero) or pays; in the order of names, together zero. */
  readonly positions: readonly { readonly party: string; readonly netMicros: bigint }[]
  readonly payments: readonly NetPayment[]
}

export const limits = {
  /** Up to so many parties the number of payments is the smallest there is; the general problem is NP-hard. */
  exactPartiesMax: 12,
  partiesMax: 1_000,
  /** Obligations of one netting. */
  obligationsMax: 100_000
} as const

interface Position {
  readonly party: string
  readonly netMicros: bigint
}

/** Throws RangeError for an obligation that is not above zero, or of a party to itself, or too many of either. */
export function netOf(obligations: readonly Obligation[], currency: string): Netting {
  const positions = positionsOf(obligations)
  const open = positions.filter(({ netMicros }) => netMicros !== 0n)
  const groups = open.length <= limits.exactPartiesMax ? zeroSumGroups(open) : [open]
  const payments = groups.flatMap(settle).map(payment => ({
    ...payment,
    amountMicros: toMinor(payment.exactMicros, currency)
  }))
  return { positions, payments: payments.sort((a, b) => order(a.payer, b.payer) || order(a.payee, b.payee)) }
}

const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b))

function positionsOf(obligations: readonly Obligation[]): readonly Position[] {
  if (obligations.length > limits.obligationsMax) {
    throw new RangeError(`more than ${limits.obligationsMax} items in one netting`)
  }
  const net = new Map<string, bigint>()
  for (const { itemId, debtor, creditor, amountMicros } of obligations) {
    if (amountMicros <= 0n || debtor === creditor) throw new RangeError(`${itemId} is no debt of one party to another`)
    net.set(debtor, (net.get(debtor) ?? 0n) - amountMicros)
    net.set(creditor, (net.get(creditor) ?? 0n) + amountMicros)
  }
  if (net.size > limits.partiesMax) throw new RangeError(`more than ${limits.partiesMax} parties in one netting`)
  const positions = [...net].map(([party, netMicros]) => ({ party, netMicros })).sort((a, b) => order(a.party, b.party))
  const sum = positions.reduce((sum, { netMicros }) => sum + netMicros, 0n)
  if (sum !== 0n) throw new RangeError(`the positions of a netting come to ${sum}, not to zero`)
  return positions
}

/**
 * The most groups whose positions sum to zero: each saves a payment, so their number is what makes payments few. By
 * subsets, 2^n of them; of equal divisions always the same one.
 */
function zeroSumGroups(open: readonly Position[]): readonly (readonly Position[])[] {
  const all = 1 << open.length
  const sums = Array.from<bigint>({ length: all }).fill(0n)
  const most = new Int32Array(all)
  const last = new Int32Array(all).fill(-1)
  for (let set = 1; set < all; set++) {
    let best = -1
    for (const [n, { netMicros }] of open.entries()) {
      if ((set & (1 << n)) === 0) continue
      const rest = set ^ (1 << n)
      sums[set] = (sums[rest] ?? 0n) + netMicros
      if ((most[rest] ?? 0) > best) {
        best = most[rest] ?? 0
        last[set] = n
      }
    }
    most[set] = best + (sums[set] === 0n ? 1 : 0)
  }
  // Taken apart in the order in which it was put together: where a rest sums to zero, a group is complete.
  const groups: Position[][] = []
  let group: Position[] = []
  for (let set = all - 1; set > 0;) {
    const n = last[set] ?? 0
    const position = open[n]
    if (position !== undefined) group.push(position)
    set ^= 1 << n
    if (sums[set] !== 0n) continue
    groups.push(group)
    group = []
  }
  return groups
}

/** The largest debtor pays the largest creditor, ties by name: at most one payment fewer than there are parties. */
function settle(group: readonly Position[]): readonly Omit<NetPayment, 'amountMicros'>[] {
  const open = group.map(({ party, netMicros }) => ({ party, left: netMicros }))
  const payments: Omit<NetPayment, 'amountMicros'>[] = []
  for (;;) {
    let [debtor, creditor] = [open[0], open[0]]
    for (const party of open) {
      if (debtor === undefined || party.left < debtor.left) debtor = party
      if (creditor === undefined || party.left > creditor.left) creditor = party
    }
    if (debtor === undefined || creditor === undefined || debtor.left === 0n) return payments
    const exactMicros = -debtor.left < creditor.left ? -debtor.left : creditor.left
    payments.push({ payer: debtor.party, payee: creditor.party, exactMicros })
    debtor.left += exactMicros
    creditor.left -= exactMicros
  }
}
