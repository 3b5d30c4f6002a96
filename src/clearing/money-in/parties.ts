// The parties of agreements as invoices name them, from the configuration; without a word there, by their id.

import type { Config } from '../../config.ts'

/** As an invoice keeps it: what was true on its day. */
export interface PartyFields {
  readonly id: string
  readonly name: string
  readonly address: readonly string[]
  readonly country: string | null
  readonly vatId: string | null
  readonly iban: string | null
}

export type PartyBook = (id: string) => PartyFields

export function createPartyBook({ parties }: Pick<Config, 'parties'>): PartyBook {
  const known = new Map(parties.map(party => [party.id, party]))
  return id => {
    const { name = id, address = [], country = null, vatId = null, iban = null } = known.get(id) ?? {}
    return { id, name, address, country, vatId, iban }
  }
}
