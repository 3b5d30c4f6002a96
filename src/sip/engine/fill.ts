// What the engine writes into an application's message: addresses for `localhost`, Content-Type, Contact. Pure.

import type { HeaderLine } from '../message.ts'
import { hostPort } from '../transport/transport.ts'
import type { Address, TransportName } from '../transport/transport.ts'
import type { AppField, AppFields } from './text.ts'

/** Fields in whose URIs `localhost` stands for the address the message leaves from. */
const addressed: ReadonlySet<string> = new Set(['from', 'to', 'contact', 'p-asserted-identity'])

/** What a request inside a dialog and an answer have from there, so that an application cannot change it. */
const copied: ReadonlySet<string> = new Set(['from', 'to', 'call-id', 'cseq', 'route'])

/** `localhost` as the host of a URI, in every value of a list; text in quotes is left alone. */
export function withLocalAddress(value: string, local: Address): string {
  if (!value.toLowerCase().includes('localhost')) return value
  const at = hostPort(local)
  const host = at.slice(0, at.lastIndexOf(':'))
  return value.replaceAll(
    /"(?:[^"\\]|\\.)*"|(@|sips?:)localhost(:[0-9]{1,5})?(?=[;>?,\s]|$)/gi,
    (found: string, before: string | undefined, port: string | undefined) =>
      before === undefined ? found : `${before}${port === undefined ? at : `${host}${port}`}`
  )
}

/** The application's lines without those it may not write in this place. */
export function linesOf({ fields }: AppFields, local: Address, place: 'outside' | 'inside' | 'answer'): HeaderLine[] {
  const lines: HeaderLine[] = []
  for (const field of fields) {
    if (place !== 'outside' && copied.has(field.key)) continue
    lines.push(addressed.has(field.key) ? { name: field.name, value: addressIn(field, local) } : field)
  }
  return lines
}

/** A Contact is written in brackets: peers look for them, though RFC 3261, 20.10 lets them be left out. */
const addressIn = ({ key, value }: AppField, local: Address): string => {
  const filled = withLocalAddress(value, local)
  return key === 'contact' ? filled.replace(/^\s*(sips?:[^;,?<>\s]+)/i, '<$1>') : filled
}

/**
 * Adds Content-Type where there is a body without one: SDP is known by its first line. False: it has to be named by the
 * application (answers go without).
 */
export function completeBody({ fields, body }: AppFields, lines: HeaderLine[]): boolean {
  if (body.length === 0 || has(fields, 'content-type')) return true
  if (body[0] !== 118 || body[1] !== 61 || body[2] !== 48) return false
  lines.push({ name: 'Content-Type', value: 'application/sdp' })
  return true
}

/** `<sip:host:port;transport=tcp>`; UDP goes without saying. */
export const contactOf = (local: Address, transport: TransportName): string =>
  `<sip:${hostPort(local)}${transport === 'udp' ? '' : `;transport=${transport}`}>`

export const has = (fields: readonly AppField[], key: string): boolean => fields.some(field => field.key === key)
