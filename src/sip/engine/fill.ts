// What the engine writes into an application's message: addresses for `localhost`, Content-Type, Contact. Pure.

import { fieldNamed, fieldSet, isInSet } from '../message.ts'
import type { FieldName } from '../message.ts'
import { hostPort } from '../transport/transport.ts'
import type { Address, TransportName } from '../transport/transport.ts'
import { hasField } from './text.ts'
import type { AppField, AppFields } from './text.ts'

/** Fields in whose URIs `localhost` stands for the address the message leaves from. */
const addressed = fieldSet(['From', 'To', 'Contact', 'P-Asserted-Identity'])

/** What a request inside a dialog and an answer have from there, so that an application cannot change it. */
const copied = fieldSet(['From', 'To', 'Call-ID', 'CSeq', 'Route'])

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
export function linesOf({ fields }: AppFields, local: Address, place: 'outside' | 'inside' | 'answer'): AppField[] {
  const lines: AppField[] = []
  for (const line of fields) {
    if (place !== 'outside' && isInSet(copied, line.field)) continue
    const value = isInSet(addressed, line.field) ? addressIn(line, local) : line.value
    lines.push(value === line.value ? line : lineOf(line.field, value))
  }
  return lines
}

/** A Contact is written in brackets: peers look for them, though RFC 3261, 20.10 lets them be left out. */
const addressIn = ({ field, value }: AppField, local: Address): string => {
  const filled = withLocalAddress(value, local)
  return field.id === contact.id ? filled.replace(/^\s*(sips?:[^;,?<>\s]+)/i, '<$1>') : filled
}

/**
 * Adds Content-Type where there is a body without one: SDP is known by its first line. False: it has to be named by the
 * application (answers go without).
 */
export function completeBody(rest: AppFields, lines: AppField[]): boolean {
  const { body } = rest
  if (body.length === 0 || hasField(rest, 'content-type')) return true
  if (body[0] !== 118 || body[1] !== 61 || body[2] !== 48) return false
  lines.push(lineOf(contentType, 'application/sdp'))
  return true
}

/** `<sip:host:port;transport=tcp>`; UDP goes without saying. */
export const contactOf = (local: Address, transport: TransportName): string =>
  `<sip:${hostPort(local)}${transport === 'udp' ? '' : `;transport=${transport}`}>`

const contact = fieldNamed('Contact')
const contentType = fieldNamed('Content-Type')

/** A line of the engine's own. */
export const lineOf = (field: FieldName, value: string): AppField => ({ name: field.name, value, field })

/** The same for what has the name alone. */
export const named = (name: string, value: string): AppField => lineOf(fieldNamed(name), value)
