import { equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import { clearingConfig } from '../support/clearing.ts'

const numberOf = createNumberOf(clearingConfig().islands)

describe('the number that prices a party', () => {
  it.each([
    ['tel:+4989200', '+4989200'],
    ['tel:+49-89(200)', '+4989200'],
    ['tel:+4989200;npdi;rn=+4911', '+4989200'],
    ['sip:+4989200@operator.example;user=phone', '+4989200'],
    ['sip:+4989200;phone-context=x@operator.example', '+4989200'],
    ['SIPS:%2B4989200@operator.example:5061', '+4989200'],
    ['+4989200', '+4989200'],
    ['sip:alice@island.example', '+4930100'],
    ['sip:alice@ISLAND.example:5060;transport=ws', '+4930100']
  ])('of %s is %s', (uri, number) => {
    equal(numberOf(uri), number)
  })

  it.each([
    'sip:bob@island.example',
    'sip:alice@elsewhere.example',
    'sip:island.example',
    'tel:110',
    'tel:+0123',
    'urn:service:sos',
    'sip:%E0%A4%A@island.example',
    `tel:+${'1'.repeat(16)}`,
    '',
    'xmpp:+4989200@isle.example'
  ])('%j has none', uri => {
    equal(numberOf(uri), null)
  })
})
