// The configuration of invoices and payments: who the parties are by name and tax number, what an invoice says, and
// who nets with whom.

import { z } from 'zod'
import { id } from './basics.ts'

/** Why an invoice asks for tax, or for none (EN 16931, BT-151). */
export const taxCategories = ['standard', 'reverse-charge', 'zero-rated', 'exempt', 'outside-scope'] as const
export type TaxCategory = (typeof taxCategories)[number]

const currency = z.string().regex(/^[A-Z]{3}$/, 'a currency such as EUR')
const line = z.string().min(1).max(120)

/** A party as invoices name it: the hub itself, or the provider of peers. */
export const party = z.strictObject({
  /** `hub`, or a provider. */
  id,
  name: line,
  address: z.array(line).max(6).default([]),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, 'a country such as DE')
    .optional(),
  vatId: z
    .string()
    .regex(/^[A-Z]{2}[A-Z0-9+*]{2,14}$/, 'a VAT number such as DE123456789')
    .optional(),
  /** Where it is paid. */
  iban: z
    .string()
    .regex(/^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$/, 'an IBAN without spaces')
    .optional(),
  /** Other names under which a bank may show it as payer. */
  payerNames: z.array(line).max(20).default([])
})
export const parties = z.array(party).max(10_000).default([])

const percentage = z.string().regex(/^[0-9]{1,2}(\.[0-9]{1,6})?$/, 'a percentage as text, such as "19"')
const tax = z
  .strictObject({
    category: z.enum(taxCategories).default('outside-scope'),
    percent: percentage.default('0'),
    note: z.string().min(1).max(200).optional()
  })
  .prefault({})

/** What late payment costs (SET-01). */
const interest = z.strictObject({
  /** A year, each from its day on, in order; nothing before the first. */
  rates: z
    .array(z.strictObject({ from: z.iso.date(), percent: percentage }))
    .min(1)
    .max(200),
  /** The actual days of the delay over so many of a year. */
  dayCount: z.enum(['actual/365', 'actual/360']).default('actual/365'),
  /** What is paid so many days late was paid in time. */
  graceDays: z.int().min(0).max(90).default(0),
  /** What a dispute holds bears interest, too, unless it is conceded. */
  disputed: z.boolean().default(false),
  /** Less than that is not charged yet. */
  minimum: z
    .string()
    .regex(/^[0-9]{1,12}(\.[0-9]{1,6})?$/, 'an amount as text, such as "5"')
    .default('0'),
  tax
})

/** How an agreement is invoiced. */
export const invoicing = z
  .strictObject({
    /** Who writes the invoice; not given: the hub, unless it is the buyer. `hub` there is self-billing. */
    by: z.enum(['hub', 'seller']).optional(),
    tax,
    interest: interest.optional(),
    /** The currency of its invoices, where that is not the agreement's. */
    currency: currency.optional(),
    /** Whose rates convert to it, and for how many days a rate still counts where none was fixed on the day. */
    fx: z.strictObject({ source: line, daysBefore: z.int().min(0).max(31).default(0) }).optional()
  })
  .prefault({})

/** Parties that net what they owe each other (SET-11). */
export const nettingGroups = z
  .array(z.strictObject({ id, parties: z.array(id).min(2).max(1_000) }))
  .max(1_000)
  .default([])

type Party = z.infer<typeof party>
interface Invoiced {
  readonly id: string
  readonly buyer: string
  readonly seller: string
  readonly currency: string
  readonly invoicing: z.infer<typeof invoicing>
}

/** What a schema of one key cannot see. `known` are the parties that there are. */
export function moneyContradictions(
  given: {
    readonly parties: readonly Party[]
    readonly netting: z.infer<typeof nettingGroups>
    readonly agreements: readonly Invoiced[]
  },
  known: ReadonlySet<string>
): readonly string[] {
  const problems: string[] = []
  const byId = new Map(given.parties.map(party => [party.id, party]))
  if (byId.size < given.parties.length) problems.push('parties: one party appears twice')
  for (const { id } of given.parties) if (!known.has(id)) problems.push(`parties: nobody is called "${id}"`)
  for (const group of given.netting) {
    for (const id of group.parties) {
      if (!known.has(id)) problems.push(`netting ${group.id}: nobody is called "${id}"`)
    }
    if (new Set(group.parties).size < group.parties.length) {
      problems.push(`netting ${group.id}: one party appears twice`)
    }
  }
  if (new Set(given.netting.map(({ id }) => id)).size < given.netting.length) {
    problems.push('netting: one group appears twice')
  }
  for (const agreement of given.agreements) problems.push(...invoicingContradictions(agreement, byId))
  return problems
}

function invoicingContradictions(
  { id, buyer, seller, currency, invoicing }: Invoiced,
  byId: ReadonlyMap<string, Party>
): readonly string[] {
  const problems: string[] = []
  const say = (what: string): void => void problems.push(`agreement ${id}: invoicing.${what}`)
  const { fx, by, interest } = invoicing
  const taxes = [
    ['tax', invoicing.tax] as const,
    ...(interest === undefined ? [] : [['interest.tax', interest.tax] as const])
  ]
  for (const [where, { category, percent }] of taxes) {
    const none = /^0+(\.0+)?$/.test(percent)
    if (category !== 'standard' && !none) say(`${where}: ${category} has no percentage`)
    if (category === 'standard' && none) say(`${where}: standard needs a percentage; without tax it is zero-rated`)
    for (const party of category === 'reverse-charge' ? [seller, buyer] : []) {
      if (byId.get(party)?.vatId === undefined) say(`${where}: reverse charge needs the vatId of ${party} (parties)`)
    }
  }
  const days = interest?.rates.map(({ from }) => from) ?? []
  if (days.some((day, n) => n > 0 && day <= (days[n - 1] ?? '')))
    say('interest.rates: each begins after the one before')
  if (interest !== undefined && buyer === 'hub') say('interest: what the hub owes late its seller charges')
  const converts = invoicing.currency !== undefined && invoicing.currency !== currency
  if (converts !== (fx !== undefined)) {
    say(
      converts ? `fx: ${currency} to ${invoicing.currency ?? ''} needs a source of rates` : 'fx: nothing is converted'
    )
  }
  if (by === 'seller' && seller === 'hub') say('by: the seller is the hub')
  return problems
}
