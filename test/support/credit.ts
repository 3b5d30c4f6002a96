// Accounts for tests of credit: a book with one agreement that is asked before calls, and what stands in its account.

import { createCredit } from '../../src/clearing/credit/credit.ts'
import type { CreditParts, RunningCredit } from '../../src/clearing/credit/credit.ts'
import { topUp } from '../../src/clearing/credit/movements.ts'
import { agreedOf } from '../../src/clearing/credit/view.ts'
import type { Agreed } from '../../src/clearing/credit/view.ts'
import type { Agreement, AgreementBook } from '../../src/clearing/agreements.ts'
import { parseAmount } from '../../src/clearing/money.ts'
import { createLog } from '../../src/log.ts'
import type { Logger } from '../../src/log.ts'
import type { SessionId } from '../../src/session/model.ts'
import type { Reserved, Terms, TermsAsked } from '../../src/session/ports.ts'
import type { Database } from '../../src/store/database.ts'
import { bookOf, uuid } from './clearing.ts'

export const called = 'tel:+4989200'
export const today = '2026-11-02'

/** An island that pays the hub 0.06 a minute to +49, by the terms in `more`, as YAML of one line; and what the hub pays. */
export const agreementsOf = (more: string, rate = 'rate: "0.06"'): string => `
agreements:
  - { id: sell, buyer: island, seller: hub, ${more}, rates: [{ prefix: "+49", destination: Germany, ${rate} }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.03" }] }
`
export const creditBook = (more = 'model: prepaid', rate?: string): AgreementBook => bookOf(agreementsOf(more, rate))
export const agreementOf = ({ agreements }: AgreementBook, id = 'sell'): Agreement =>
  agreements.find(agreement => agreement.id === id)!

export const termsBy = (agreementId: string, prepaid = true): Terms => ({
  ingressAgreementId: agreementId,
  egressAgreementId: 'buy',
  legs: null,
  prepaid,
  onCreditSilence: 'continue'
})
export const askedAt = (at: number, service: TermsAsked['service'] = 'voice'): TermsAsked => ({
  fromPeerId: 'island',
  toPeerId: 'operator',
  service,
  called,
  rn: null,
  calling: null,
  at
})

export interface CreditAt extends RunningCredit {
  readonly clock: { at: number }
  /** The n-th call asks; its first attempt unless named. */
  ask(n: number, attempt?: number, service?: TermsAsked['service']): Promise<Reserved>
}

export function creditAt(
  database: Database,
  book: AgreementBook,
  { agreementId = 'sell', ...more }: Partial<CreditParts> & { readonly agreementId?: string } = {}
): CreditAt {
  const clock = { at: Date.parse('2026-11-02T12:00:00Z') }
  const credit = createCredit({
    database,
    book,
    clock: { now: () => clock.at },
    node: 'node-1',
    log: createLog('silent'),
    ...more,
    // A busy machine is no reason to refuse.
    group: { answerMs: 60_000, ...more.group }
  })
  return {
    ...credit,
    clock,
    ask: async (n, attempt = 1, service = 'voice') =>
      credit.reserve(uuid(n) as SessionId, attempt, termsBy(agreementId), askedAt(clock.at, service))
  }
}

export const payIn = async (
  database: Database,
  agreement: Agreement,
  amount: string,
  reference = 'first'
): Promise<void> => {
  const given = { agreement, micros: parseAmount(amount), reference, reason: '', by: 'test', day: today }
  await database.transaction(sql => topUp(sql, given))
}

/** What the account says; fails where its reservations or its movements do not add up to it. */
export async function standing(database: Database, agreementId = 'sell'): Promise<Agreed> {
  const agreed = await agreedOf(database, agreementId)
  if (agreed === null) throw new Error(`${agreementId} has no account`)
  const { balanceMicros, movedMicros, reservedMicros, heldMicros } = agreed
  if (balanceMicros !== movedMicros || reservedMicros !== heldMicros) {
    throw new Error(`balance ${balanceMicros} moved ${movedMicros} reserved ${reservedMicros} held ${heldMicros}`)
  }
  return agreed
}

/** A log that can be read, from warnings on. */
export function readableLog(): { readonly log: Logger; readonly lines: Readonly<Record<string, unknown>>[] } {
  const lines: Readonly<Record<string, unknown>>[] = []
  return { lines, log: createLog('warn', { write: line => void lines.push(JSON.parse(line) as never) }) }
}
