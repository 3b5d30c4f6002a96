import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createSalts, viewOf, viewText } from '../../../src/clearing/settlement/view.ts'
import { canonical } from '../../../src/events/chain.ts'

const view = viewOf({
  cdr_id: '019a0000-0001-7000-8000-000000000001',
  revision: 2n,
  sign: -1,
  leg: 'ingress',
  attempt: 1n,
  service: 'voice',
  calling: null,
  called: 'tel:+49"\u2028ü',
  dialled: 'tel:+49',
  trunk: 't',
  t_request: new Date(0),
  t_answer: null,
  t_end: new Date(1),
  duration_ms: 1n,
  cause: null,
  rule: 'call',
  rate_id: null,
  destination: null,
  currency: 'EUR',
  billed_units: 1n,
  amount_micros: 1n,
  day: '2026-11-01'
})

describe('what a partner sees of a record', () => {
  it('EOS-04 has one text, in whatever order its parts come', () => {
    equal(viewText(view), canonical(view))
    const reversed = Object.fromEntries(Object.entries(view).toReversed())
    equal(viewText(reversed), viewText(view))
    equal(viewText({ ...view, more: { b: 1, a: [2] } }), canonical({ ...view, more: { b: 1, a: [2] } }))
  })

  it('EOS-04 no two records have the same salt', () => {
    const salt = createSalts()
    const salts = Array.from({ length: 3_000 }, () => salt().toString('hex'))
    equal(new Set(salts).size, 3_000)
    equal(salts[0]?.length, 32)
  })
})
