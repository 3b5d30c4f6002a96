// Why something ended or was refused, in words for the person who hears of it. Pure.

import type { Reason, ReleaseCause } from './model.ts'

const charactersMax = 160

/** A new cause does not compile without its words. */
export const causeWords = {
  normal: 'the call has ended',
  cancelled: 'the caller has given up',
  'answered-elsewhere': 'answered on another device',
  busy: 'the called party is busy',
  declined: 'the called party has declined',
  'no-answer': 'nobody has answered',
  'not-found': 'nobody is known under this address',
  gone: 'this address is no longer in use',
  'address-incomplete': 'the number is incomplete',
  unavailable: 'the called party cannot be reached now',
  unreachable: 'the way to the called party is interrupted',
  'incompatible-media': 'the two sides have no media in common',
  forbidden: 'this is not allowed',
  'no-agreement': 'there is no agreement with the provider of the called party',
  'no-rate': 'there is no price for this destination',
  'no-credit': 'there is no credit left',
  'limit-reached': 'a limit is reached, try again later',
  'anonymity-refused': 'the called party takes nothing from anonymous senders',
  'identity-failed': 'the identity of the caller could not be verified',
  unwanted: 'the called party does not want this',
  congestion: 'too much traffic, try again later',
  'media-lost': 'the media has stopped',
  'peer-failed': 'the network of the called party has failed',
  expired: 'it has timed out',
  internal: 'the hub has failed'
} as const satisfies Record<ReleaseCause, string>

/** Somebody's own words, on one line and bounded; else those of the cause. */
export function wordsOf({ cause, text }: Reason): string {
  // oxlint-disable-next-line no-control-regex
  const plain = (text ?? '').replace(/[\u0000-\u001f\u007f]/g, ' ').trim()
  return plain === '' ? causeWords[cause] : plain.slice(0, charactersMax)
}
