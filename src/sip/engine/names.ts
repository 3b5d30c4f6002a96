// Header names as they go on the wire: applications write them in lower case, many peers' eyes and logs do not.

import { fieldNamed, isToken } from '../message.ts'
import type { FieldName } from '../message.ts'

export const nameLimits = { rememberedMax: 2_048 } as const

/** Names that the rule (a capital after each hyphen) would write wrongly. */
const irregular: ReadonlyMap<string, string> = new Map(
  `Call-ID CSeq WWW-Authenticate MIME-Version RAck Min-SE SIP-ETag SIP-If-Match Content-ID P-Associated-URI
  P-DCS-Billing-Info P-DCS-LAES P-DCS-OSPS P-DCS-Redirect P-DCS-Trace-Party-ID P-Visited-Network-ID P-Called-Party-ID
  P-User-Database P-Private-Network-Indication Target-Dialog Session-ID User-to-User Flow-Timer AlertMsg-Error`
    .split(/\s+/)
    .map(name => [name.toLowerCase(), name] as const)
)

const remembered = new Map<string, FieldName | null>()

/** The field in its usual spelling, null for what is no token; a name that begins with `X-` stays as it was written. */
export function headerName(name: string): FieldName | null {
  const before = remembered.get(name)
  if (before !== undefined) return before
  const { key } = fieldNamed(name)
  const usual = /^x-/i.test(name) ? name : (irregular.get(key) ?? capitalised(key))
  const known = isToken(name) ? fieldNamed(usual) : null
  if (remembered.size >= nameLimits.rememberedMax) remembered.clear()
  remembered.set(name, known)
  return known
}

const capitalised = (key: string): string =>
  key
    .split('-')
    .map(part => part.slice(0, 1).toUpperCase() + part.slice(1))
    .join('-')
