// Why a call or a message failed, in words for people: for logs and records, never for the other side.

import type { Release, ReleaseCause } from './model.ts'

const words = {
  normal: 'the call ended as calls do',
  cancelled: 'the caller gave up',
  'answered-elsewhere': 'the call was answered somewhere else',
  busy: 'the called user is busy',
  declined: 'the called user declined',
  'no-answer': 'nobody answered',
  'not-found': 'nobody has that number or address',
  gone: 'the number or address is no longer in use',
  'address-incomplete': 'the number is not complete',
  unavailable: 'the called user cannot be reached now',
  unreachable: 'the called side could not be reached',
  'incompatible-media': 'the two sides have no media in common',
  forbidden: 'the call is not allowed',
  'no-agreement': 'no agreement covers the call',
  'no-rate': 'no rate covers the call',
  'no-credit': 'there is no credit left',
  'limit-reached': 'a limit that was agreed on is reached',
  'anonymity-refused': 'the called user takes no anonymous calls',
  'identity-failed': 'the identity of the caller could not be verified',
  unwanted: 'the called user does not want this call',
  congestion: 'the network is overloaded',
  'media-lost': 'no media came any more',
  'peer-failed': 'the other network failed',
  expired: 'something took too long',
  internal: 'the hub failed'
} as const satisfies Record<ReleaseCause, string>

const who = { caller: 'the calling side', callee: 'the called side' } as const

/** One line: what happened, in its own words where there are some, and who said so with which codes. */
export function inWords({ cause, from, sip, q850, text }: Release): string {
  const codes = [...(sip === undefined ? [] : [`SIP ${sip}`]), ...(q850 === undefined ? [] : [`Q.850 ${q850}`])]
  const said = from === 'hub' || codes.length === 0 ? '' : ` (${who[from]}: ${codes.join(', ')})`
  return `${words[cause]}${text === undefined || text === '' ? '' : `: ${text}`}${said}`
}
