// Who owes whom for what: the agreements of the configuration as a frozen book, asked before ringing and at rating.

import type { AgreementConfig } from '../config.ts'
import type { AgreementModel } from '../config/agreements.ts'
import { HubError } from '../errors.ts'
import type { EpochMs, LegTerms } from '../session/model.ts'
import type { Agreements, Terms } from '../session/ports.ts'
import type { Sql } from '../store/sql.ts'
import { termsOf } from './agreement-terms.ts'
import type { AgreementTerms } from './agreement-terms.ts'
import type { NumberOf } from './numbers.ts'
import { createOrigins, createPrefixTable } from './prefixes.ts'
import type { PrefixTable } from './prefixes.ts'
import type { RateRow } from './rating.ts'
import { rowsOfConfig } from './rate-rows.ts'

/** The hub as a party of an agreement (CLR-01). */
export const hub = 'hub'

export type ClearedService = AgreementConfig['service']

/** Of two parties, each in its own role. */
type ByService = { readonly [Service in ClearedService]?: Agreement }

/** The buyer pays the seller for the traffic it sends. */
export interface Agreement extends AgreementTerms {
  readonly id: string
  readonly buyer: string
  readonly seller: string
  readonly service: ClearedService
  readonly model: AgreementModel
  readonly deck: PrefixTable<RateRow>
  /** Which of its sets of callers a number falls into (RATE-05). */
  readonly originOf: (number: string | null) => string | null
}

/**
 * Whether its buyer has an account that is asked before a call rings: paid in advance, with a limit, or with free units
 * and nothing after them. What the hub itself buys is held back by its sellers.
 */
export const hasAccount = ({ buyer, model, credit, creditLimitMicros }: Agreement): boolean =>
  buyer !== hub &&
  (credit.advance || creditLimitMicros !== null || (model === 'freemium' && credit.afterFree === 'refuse'))

/** The versions of decks that were imported; `zero` are the rates of the configuration, in force before all others. */
export interface DeckVersions {
  over(agreementId: string, zero: PrefixTable<RateRow>): PrefixTable<RateRow>
  /** Reads what rating calls of these moments needs. `sql` is the transaction that will post them. */
  prepare(sql: Sql, moments: readonly EpochMs[]): Promise<void>
}

/** The commercial parties of one session and what it is about. */
export interface Traffic {
  readonly from: string
  /** Null: it never got a target. */
  readonly to: string | null
  readonly service: ClearedService
  /** What prices it between the two providers: the number that was asked for, or the routing number (RATE-01). */
  readonly dialled: string
  readonly calling: string | null
  readonly at: EpochMs
}

/** What a row is looked for by. */
export interface RowAsked {
  /** As +E.164; null for a party that has none. */
  readonly number: string | null
  readonly calling: string | null
  /** The class that the call was let in with; null: that of the agreement. */
  readonly quality?: string | null
  readonly at: EpochMs
}

export interface AgreementBook {
  readonly agreements: readonly Agreement[]
  readonly numberOf: NumberOf
  /** The agreement by which one party buys from another. */
  between(buyer: string, seller: string, service: ClearedService): Agreement | null
  /** The agreement of the two providers themselves where it prices this call: then the hub is no party to it. */
  bilateral(traffic: Traffic): Agreement | null
  /** The row that prices traffic by an agreement; a blocked one is a row too. */
  rowOf(agreement: Agreement, asked: RowAsked): RateRow | null
  /** To be awaited before calls of these moments are charged. */
  prepare(sql: Sql, moments: readonly EpochMs[]): Promise<void>
}

/** Only the rates of the configuration. */
export const noDecks: DeckVersions = { over: (_id, zero) => zero, prepare: () => Promise.resolve() }

/** Throws HUB_CONFIG for what no single key shows: two prices for one thing, a band of no length. */
export function createAgreementBook(
  configs: readonly AgreementConfig[],
  numberOf: NumberOf,
  decks: DeckVersions = noDecks
): AgreementBook {
  const agreements = configs.map(config => agreementOf(config, decks))
  const bySeller = new Map<string, Map<string, ByService>>()
  for (const agreement of agreements) {
    const { id, buyer, seller, service } = agreement
    const byBuyer = bySeller.get(seller) ?? new Map<string, ByService>()
    const byService = byBuyer.get(buyer) ?? {}
    const other = byService[service]
    if (other !== undefined) throw wrong(id, `${other.id} already prices ${service} that ${buyer} buys from ${seller}`)
    bySeller.set(seller, byBuyer.set(buyer, { ...byService, [service]: agreement }))
  }
  for (const { id, billAndKeep } of agreements) {
    if (billAndKeep !== null) requireReverse(id, billAndKeep.with, agreements)
  }
  const between: AgreementBook['between'] = (buyer, seller, service) =>
    bySeller.get(seller)?.get(buyer)?.[service] ?? null
  const rowOf: AgreementBook['rowOf'] = ({ deck, originOf, qualityClass }, { number, calling, quality = null, at }) =>
    deck.match(number, at, {
      origin: originOf(calling === null ? null : numberOf(calling)),
      quality: quality ?? qualityClass
    })
  return Object.freeze({
    agreements: Object.freeze(agreements),
    numberOf,
    between,
    bilateral({ from, to, service, dialled, calling, at }: Traffic) {
      const agreement = to === null ? null : between(from, to, service)
      const row = agreement === null ? null : rowOf(agreement, { number: numberOf(dialled), calling, at })
      return row === null ? null : agreement
    },
    rowOf,
    prepare: (sql: Sql, moments: readonly EpochMs[]) => decks.prepare(sql, moments)
  })
}

/** The port that is asked before ringing. `providerOf` names the commercial party of a peer, null for a stranger. */
export function createAgreements(book: AgreementBook, providerOf: (peerId: string) => string | null): Agreements {
  return {
    terms: ({ fromPeerId, toPeerId, service, called, rn, calling, at }) => {
      const [from, to] = [providerOf(fromPeerId), providerOf(toPeerId)]
      if (from === null || to === null) return 'no-agreement'
      const number = book.numberOf(rn ?? called)
      const rowOf = (agreement: Agreement): RateRow | null => book.rowOf(agreement, { number, calling, at })
      const bilateral = book.bilateral({ from, to, service, dialled: rn ?? called, calling, at })
      if (bilateral !== null) {
        const row = rowOf(bilateral)
        return grant(bilateral, row, bilateral, row)
      }
      const sell = book.between(from, hub, service)
      const buy = book.between(hub, to, service)
      if (sell === null || buy === null) {
        return book.between(from, to, service) === null ? 'no-agreement' : 'no-rate'
      }
      return grant(sell, rowOf(sell), buy, rowOf(buy))
    }
  }
}

/** Both rows have to be there, and not blocked. */
function grant(
  ingress: Agreement,
  ingressRow: RateRow | null,
  egress: Agreement,
  egressRow: RateRow | null
): Terms | 'no-rate' {
  if (ingressRow?.blocked !== false || egressRow?.blocked !== false) return 'no-rate'
  return {
    ingressAgreementId: ingress.id,
    egressAgreementId: egress.id,
    legs: { ingress: legTermsOf(ingress, ingressRow), egress: legTermsOf(egress, egressRow) },
    prepaid: ingress.credit.advance,
    onCreditSilence: ingress.credit.onSilence
  }
}

/** What the record says of the price that was checked when the call was let in. */
const legTermsOf = ({ id, qualityClass }: Agreement, row: RateRow): LegTerms => ({
  agreementId: id,
  agreementVersion: null,
  deckVersion: String(row.version),
  destCode: row.prefix,
  destName: row.destination,
  qualityClass
})

const wrong = (id: string, why: string): HubError => new HubError('HUB_CONFIG', `agreement ${id}: ${why}`)

function requireReverse(id: string, withId: string, agreements: readonly Agreement[]): void {
  const [own, other] = [id, withId].map(name => agreements.find(agreement => agreement.id === name))
  if (other?.model !== 'bill-and-keep' || own === undefined) {
    throw wrong(id, `billAndKeep.with: ${withId} is no agreement of the model bill-and-keep`)
  }
  if (other.buyer !== own.seller || other.seller !== own.buyer || other.service !== own.service) {
    throw wrong(id, `billAndKeep.with: ${withId} is not for the other direction of the same service`)
  }
  if (other.currency !== own.currency) throw wrong(id, `billAndKeep.with: ${withId} is in another currency`)
}

function agreementOf(config: AgreementConfig, decks: DeckVersions): Agreement {
  const { id, buyer, seller, service } = config
  const terms = termsOf(config)
  const rows = rowsOfConfig(config)
  const ids = new Set<string>()
  for (const { id: rowId, prefix, effectiveFrom } of rows) {
    if (ids.has(rowId)) throw wrong(id, `${prefix} has two rates from ${new Date(effectiveFrom).toISOString()}`)
    ids.add(rowId)
  }
  return Object.freeze({
    ...terms,
    id,
    buyer,
    seller,
    service,
    model: config.model ?? (buyer === hub || seller === hub ? 'cascade' : 'calling-party-pays'),
    deck: decks.over(id, createPrefixTable(rows)),
    originOf: createOrigins(config.origins)
  })
}
