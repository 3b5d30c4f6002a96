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

/** How an agreement is invoiced. */
export const invoicing = z
  .strictObject({
    /** Who writes the invoice; not given: the hub, unless it is the buyer. `hub` there is self-billing. */
    by: z.enum(['hub', 'seller']).optional(),
    tax: z
      .strictObject({
        category: z.enum(taxCategories).default('outside-scope'),
        percent: z
          .string()
          .regex(/^[0-9]{1,2}(\.[0-9]{1,6})?$/, 'a percentage as text, such as "19"')
          .default('0'),
        note: z.string().min(1).max(200).optional()
      })
      .prefault({}),
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
  const { tax, fx, by } = invoicing
  const none = /^0+(\.0+)?$/.test(tax.percent)
  if (tax.category !== 'standard' && !none) say(`tax: ${tax.category} has no percentage`)
  if (tax.category === 'standard' && none) say('tax: standard needs a percentage; without tax it is zero-rated')
  if (tax.category === 'reverse-charge') {
    for (const party of [seller, buyer]) {
      if (byId.get(party)?.vatId === undefined) say(`tax: reverse charge needs the vatId of ${party} (parties)`)
    }
  }
  const converts = invoicing.currency !== undefined && invoicing.currency !== currency
  if (converts !== (fx !== undefined)) {
    say(
      converts ? `fx: ${currency} to ${invoicing.currency ?? ''} needs a source of rates` : 'fx: nothing is converted'
    )
  }
  if (by === 'seller' && seller === 'hub') say('by: the seller is the hub')
  return problems
}
