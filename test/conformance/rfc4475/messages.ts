// The 49 messages of RFC 4475, read from the files beside this one.

import { readFileSync } from 'node:fs'
import { parseMessage } from '../../../src/sip/message.ts'
import type { Malformed, SipRequest, SipResponse } from '../../../src/sip/message.ts'
import { validateRequest } from '../../../src/sip/validate.ts'
import type { Rejection, Supports } from '../../../src/sip/validate.ts'

export const names =
  `wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason
  badinv01 clerr ncl scalar02 scalarlg quotbal ltgtruri lwsruri lwsstart trws escruri baddate regbadct badaspec baddn
  badvers mismatch01 mismatch02 bigcode badbranch insuf unkscm novelsc unksm2 bext01 invut regaut01 multi01 mcl01 bcast
  zeromf cparam01 cparam02 regescrt sdp01 inv2543`.split(/\s+/)

export const bytesOf = (name: string): Buffer => readFileSync(new URL(`${name}.dat`, import.meta.url))

export function requestOf(name: string): SipRequest {
  const parsed = parseMessage(bytesOf(name))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error(`${name}: ${JSON.stringify(parsed)}`)
  return parsed.message
}

export function responseOf(name: string): SipResponse {
  const parsed = parseMessage(bytesOf(name))
  if (!parsed.ok || parsed.message.kind !== 'response') throw new Error(`${name}: ${JSON.stringify(parsed)}`)
  return parsed.message
}

export function malformed(bytes: Buffer): Malformed {
  const parsed = parseMessage(bytes)
  if (parsed.ok) throw new Error('was accepted')
  return parsed
}

/** A hub that knows every registered method. */
export const hub: Supports = {
  methods: ['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER', 'MESSAGE', 'PRACK', 'UPDATE', 'INFO'],
  extensions: ['100rel', 'timer'],
  schemes: ['sip', 'sips', 'tel'],
  contentTypes: ['application/sdp', 'text/plain', 'multipart/mixed'],
  forwards: true
}

export const validate = (name: string): Rejection | null => validateRequest(requestOf(name), hub)
