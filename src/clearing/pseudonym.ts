// Numbers for analysis without the people behind them: keyed, so that nobody can try all numbers out (EOS-05).

import { createHmac } from 'node:crypto'
import { secretOf } from '../config.ts'
import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import { countryCodeOf } from '../events/country-code.ts'

/** Bytes of the HMAC that are kept: two numbers of a thousand million share one with a chance of 10^-11. */
const keptBytes = 12
const keyCharsMin = 16

/** `p49-…`: the country stays, for sums by country. Throws HUB_CONFIG where no key is configured. */
export function pseudonymsOf({ pseudonymKeyEnv: env, pseudonymKeyFile: file }: Config['privacy']) {
  if (env === undefined && file === undefined) {
    throw new HubError('HUB_CONFIG', 'privacy.pseudonymKeyEnv or privacy.pseudonymKeyFile is needed for pseudonyms')
  }
  const key = secretOf({ env, file })
  if (key.length < keyCharsMin) {
    throw new HubError('HUB_CONFIG', `the key of pseudonyms needs ${keyCharsMin} characters at least`)
  }
  return (number: string): string => {
    const digest = createHmac('sha256', key).update(number).digest().subarray(0, keptBytes).toString('hex')
    return `p${countryCodeOf(/^[0-9]/.test(number) ? `+${number}` : number) ?? ''}-${digest}`
  }
}
