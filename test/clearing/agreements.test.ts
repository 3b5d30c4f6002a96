import { join } from 'node:path'
import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { HubError } from '../../src/errors.ts'
import { createAgreementBook, createAgreements } from '../../src/clearing/agreements.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { readConfig } from '../../src/config.ts'
import type { Terms, TermsAsked } from '../../src/session/ports.ts'
import { bookOf } from '../support/clearing.ts'

const asked: TermsAsked = {
  fromPeerId: 'island',
  toPeerId: 'operator',
  service: 'voice',
  called: 'tel:+4989200',
  rn: null,
  calling: null,
  at: Date.parse('2026-11-02T12:00:00Z')
}
const full = async (agreements: string, over: Partial<TermsAsked> = {}): Promise<Terms | string> =>
  createAgreements(bookOf(agreements), id => (id === 'stranger' ? null : id.replace(/-[0-9]$/, ''))).terms({
    ...asked,
    ...over
  })
const ask = async (agreements: string, over: Partial<TermsAsked> = {}): Promise<unknown> => {
  const terms = await full(agreements, over)
  if (typeof terms === 'string') return terms
  const { legs, ...others } = terms
  deepEqual(
    [legs?.ingress?.agreementId, legs?.egress?.agreementId],
    [terms.ingressAgreementId, terms.egressAgreementId]
  )
  return others
}

const rate = (prefix: string, more = ''): string => `{ prefix: "${prefix}", destination: d, rate: "0.01"${more} }`
const line = (id: string, buyer: string, seller: string, rates: string, more = ''): string =>
  `\n  - { id: ${id}, buyer: ${buyer}, seller: ${seller}, rates: [${rates}]${more} }`
const both = (sell: string, buy: string): string =>
  `agreements:${line('sell', 'island', 'hub', sell)}${line('buy', 'hub', 'operator', buy)}`

describe('terms', () => {
  it('a cascade needs both agreements, and names them', async () => {
    deepEqual(await ask(both(rate('+49'), rate('+4989'))), {
      ingressAgreementId: 'sell',
      egressAgreementId: 'buy',
      prepaid: false,
      onCreditSilence: 'continue'
    })
    equal(await ask(`agreements:${line('sell', 'island', 'hub', rate('+49'))}`), 'no-agreement')
    equal(await ask(`agreements:${line('buy', 'hub', 'operator', rate('+49'))}`), 'no-agreement')
    equal(await ask('agreements: []'), 'no-agreement')
  })

  it('both must price the number that is called', async () => {
    equal(await ask(both(rate('+49'), rate('+33'))), 'no-rate')
    equal(await ask(both(rate('+33'), rate('+49'))), 'no-rate')
  })

  it('a rate counts only while it is valid', async () => {
    equal(await ask(both(rate('+49'), rate('+49', ', effectiveFrom: "2026-11-02T12:00:01Z"'))), 'no-rate')
    equal(await ask(both(rate('+49'), rate('+49', ', effectiveTo: "2026-11-02T12:00:00Z"'))), 'no-rate')
  })

  it('an agreement is for one direction and one service', async () => {
    const forth = both(rate('+49'), rate('+49'))
    equal(await ask(forth, { fromPeerId: 'operator', toPeerId: 'island' }), 'no-agreement')
    equal(await ask(forth, { service: 'video' }), 'no-agreement')
    equal(await ask(forth, { service: 'message' }), 'no-agreement')
  })

  it('the agreement of two providers goes before the cascade, and falls back to it where it has no rate', async () => {
    const three = (prefix: string): string =>
      both(rate('+49'), rate('+49')) + line('direct', 'island', 'operator', rate(prefix))
    deepEqual(await ask(three('+4989')), {
      ingressAgreementId: 'direct',
      egressAgreementId: 'direct',
      prepaid: false,
      onCreditSilence: 'continue'
    })
    deepEqual(await ask(three('+33')), {
      ingressAgreementId: 'sell',
      egressAgreementId: 'buy',
      prepaid: false,
      onCreditSilence: 'continue'
    })
    equal(await ask(`agreements:${line('direct', 'island', 'operator', rate('+33'))}`), 'no-rate')
  })

  it('several peers of one provider share its agreements; a stranger has none', async () => {
    equal(typeof (await ask(both(rate('+49'), rate('+49')), { fromPeerId: 'island-2' })), 'object')
    equal(await ask(both(rate('+49'), rate('+49')), { fromPeerId: 'stranger' }), 'no-agreement')
    equal(await ask(both(rate('+49'), rate('+49')), { toPeerId: 'stranger' }), 'no-agreement')
  })

  it('an island’s user is priced by the number it has, or by the row that matches everything', async () => {
    const alice = { called: 'sip:alice@island.example' }
    const bob = { called: 'sip:bob@island.example' }
    equal(typeof (await ask(both(rate('+4930'), rate('+4930')), alice)), 'object')
    equal(await ask(both(rate('+4930'), rate('+4930')), bob), 'no-rate')
    equal(typeof (await ask(both(rate('+'), rate('+')), bob)), 'object')
  })
})

describe('the book', () => {
  const refuses = (agreements: string, why: RegExp): void => {
    throws(
      () => bookOf(agreements),
      (error: unknown) => error instanceof HubError && error.code === 'HUB_CONFIG' && why.test(error.message)
    )
  }

  it('is made of the agreements of the example file', () => {
    const { agreements, islands } = readConfig(join(import.meta.dirname, '..', '..', 'isthmus.example.yaml'))
    const book = createAgreementBook(agreements, createNumberOf(islands))
    equal(book.agreements.length, agreements.length)
  })

  it('is frozen', () => {
    const book = bookOf()
    throws(() => Object.assign(book, { between: null }), TypeError)
    throws(() => Object.assign(book.agreements[0]!, { currency: 'XXX' }), TypeError)
  })

  it('refuses two prices for one thing', () => {
    refuses(both(`${rate('+49')}, ${rate('+49')}`, rate('+49')), /agreement sell: \+49 has two rates/)
    refuses(
      `agreements:${line('a', 'island', 'hub', rate('+49'))}${line('b', 'island', 'hub', rate('+33'))}`,
      /agreement b: a already prices voice that island buys from hub/
    )
  })

  it('refuses a time zone that is none, a rate that ends before it begins, and a band of no length', () => {
    refuses(`agreements:${line('a', 'island', 'hub', rate('+49'), ', timeZone: Europe/Atlantis')}`, /Atlantis/)
    const ends = ', effectiveFrom: "2026-01-02T00:00:00Z", effectiveTo: "2026-01-01T00:00:00Z"'
    refuses(`agreements:${line('a', 'island', 'hub', rate('+49', ends))}`, /ends before it begins/)
    const band = ', bands: [{ days: [mon], from: "08:00", to: "08:00", rate: "1" }]'
    refuses(`agreements:${line('a', 'island', 'hub', rate('+49', band))}`, /has no length/)
  })
})
