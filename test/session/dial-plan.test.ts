import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import * as fc from 'fast-check'
import { isE164, isTelE164 } from '../../src/session/dial-plan.ts'
import { seedFromEnvironment } from '../support/random.ts'

const e164 = /^\+[1-9][0-9]{1,14}$/

describe('a number in international form', () => {
  it(`is told apart as the pattern does, also behind a scheme (seed ${seedFromEnvironment})`, () => {
    const nearly = fc.string({ unit: fc.constantFrom('+', '0', '1', '9', '4', ' ', ':', '/', ';', 'a'), maxLength: 19 })
    const digits = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 17 }).map(all => `+${all.join('')}`)
    fc.assert(
      fc.property(fc.oneof(nearly, digits), text => {
        equal(isE164(text), e164.test(text))
        equal(isTelE164(`tel:${text}`), e164.test(text))
      }),
      { seed: seedFromEnvironment, numRuns: 2_000, endOnFailure: true }
    )
    equal(isTelE164('+4930111'), false)
    equal(isTelE164('TEL:+4930111'), false)
  })
})
