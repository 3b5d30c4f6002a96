import { expect, it } from '@jest/globals'
import { countryCodeOf } from '../../src/events/country-code.ts'

it.each([
  ['+12125550123', '1'],
  ['+79161234567', '7'],
  ['+4930123456', '49'],
  ['+353861234567', '353'],
  ['+8613812345678', '86'],
  ['+881612345678', '881'],
  ['sip:alice@island.example', null],
  ['0301234', null],
  [null, null]
])('the country calling code of %s is %s', (number, code) => expect(countryCodeOf(number)).toBe(code))
