// The accounts that invoices and payments move money between (LED-01). The hub's book names the other party; what two
// parties owe each other past the hub stands under their agreement, on both sides.

import { hub } from '../agreements.ts'

/** The hub's money at its bank. */
export const bank = 'bank'
/** Money that arrived and nobody could place: a debt until somebody does. */
export const paymentSuspense = 'payment-suspense'
/** Told to the bank, not yet seen in its file. */
export const underWay = 'payments-under-way'
/** Between the two sides of a conversion; its sums in two currencies are one amount at that day's rate. */
export const fxPosition = 'fx-position'
export const taxOutput = 'tax-output'
export const taxInput = 'tax-input'

export const unapplied = (party: string): string => `unapplied/${party}`
export const revenue = (party: string): string => `revenue/${party}`
export const interestIncome = (party: string): string => `interest-income/${party}`
export const cost = (party: string): string => `cost/${party}`
export const roundingDifference = (party: string): string => `rounding-difference/${party}`
export const fxDifference = (party: string): string => `fx-difference/${party}`

/** Who owes, and to whom; `agreementId` matters where the hub is neither. */
export interface Debt {
  readonly debtor: string
  readonly creditor: string
  readonly agreementId: string | null
}

/** The account of the hub with the other party of a debt; null: the hub is no party to it. */
export function accountOf({ debtor, creditor }: Debt): string | null {
  if (creditor === hub) return `receivable/${debtor}`
  return debtor === hub ? `payable/${creditor}` : null
}

/** The account of the same debt while it is disputed (SET-04). */
export function disputedAccountOf({ debtor, creditor, agreementId }: Debt, party: string): string {
  if (creditor === hub) return `disputed-receivable/${debtor}`
  if (debtor === hub) return `disputed-payable/${creditor}`
  return `bilateral-disputed/${agreementId ?? 'netting'}/${party}`
}

/** Of a debt past the hub: what one of its two parties owes or gets. */
export const bilateralDue = ({ agreementId }: Debt, party: string): string =>
  `bilateral-due/${agreementId ?? 'netting'}/${party}`

/** Usage that no invoice names yet. */
export function unbilledOf(side: 'sell' | 'buy', party: string): string {
  return side === 'sell' ? `unbilled-receivable/${party}` : `unbilled-payable/${party}`
}
export const bilateralUnbilled = (agreementId: string, party: string): string => `bilateral/${agreementId}/${party}`
