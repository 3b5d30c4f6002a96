// SIP text as applications write it: without Via, names in any case, Content-Length counted in who knows what.

import { fieldSet, isInSet, isToken, keepable, reasonPhrase } from '../message.ts'
import type { FieldName, HeaderLine } from '../message.ts'
import { bodyEncoding, decodeBody } from './body.ts'
import { headerName } from './names.ts'

export const textLimits = { headersMax: 256, headerBytesMax: 262_144 } as const

/** What an application wants sent. Header fields that the engine alone may write are not among `fields`. */
export type AppMessage =
  | { readonly kind: 'request'; readonly method: string; readonly uri: string; readonly rest: AppFields }
  | { readonly kind: 'response'; readonly status: number; readonly reason: string; readonly rest: AppFields }

export interface AppFields {
  /** Canonical names, what is known of them beside, in the order written. */
  readonly fields: readonly AppField[]
  /** Names that are no token: left out, the message is sent all the same. */
  readonly skipped: readonly string[]
  readonly body: Buffer
}

export interface AppField extends HeaderLine {
  readonly field: FieldName
}

/** The engine's own: what an application writes there is dropped without a word. */
const immutable = fieldSet(['Via', 'Record-Route', 'RSeq', 'Content-Length'])

/** Null where this is no start line. `binary`: the application may write a body in base64. */
export function parseAppMessage(text: Buffer, binary = false): AppMessage | null {
  const blank = text.indexOf('\r\n\r\n')
  const headEnd = blank < 0 ? text.length : blank
  if (headEnd > textLimits.headerBytesMax) return null
  const lines = text.toString('utf8', 0, headEnd).split('\r\n')
  const start = lines[0] ?? ''
  const plain = fieldsOf(lines, blank < 0 ? text.subarray(text.length) : text.subarray(blank + 4))
  const rest = binary && plain !== null ? decoded(plain) : plain
  if (rest === null) return null
  if (start.startsWith('SIP/2.0 ')) {
    const status = Number(start.slice(8, 11))
    if (!Number.isInteger(status) || status < 100 || status > 699) return null
    const reason = start.slice(12).trim()
    return { kind: 'response', status, reason: reason === '' ? reasonPhrase(status) : reason, rest }
  }
  const [method = '', uri = '', version = '', ...more] = start.trim().split(/\s+/)
  if (!isToken(method) || uri === '' || version !== 'SIP/2.0' || more.length > 0) return null
  return { kind: 'request', method, uri, rest }
}

function fieldsOf(lines: readonly string[], body: Buffer): AppFields | null {
  if (lines.length > textLimits.headersMax) return null
  const fields: AppField[] = []
  const skipped: string[] = []
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] ?? ''
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).trim()
    const field = headerName(name)
    if (field === null) {
      if (line !== '') skipped.push(name)
      continue
    }
    let value = line.slice(colon + 1).trim()
    // A folded value: drachtio-srf hands back what it was given.
    while (/^[ \t]/.test(lines[index + 1] ?? '')) value += ` ${lines[++index]?.trim()}`
    if (!isInSet(immutable, field)) fields.push({ name: field.name, value, field })
  }
  return { fields, skipped, body: keepable(body) }
}

/** Null where the body is not what its field says. */
function decoded(rest: AppFields): AppFields | null {
  if (fieldOf(rest, encodingKey) === undefined) return rest
  const body = decodeBody(rest.body)
  return body === null ? null : { ...rest, body, fields: rest.fields.filter(({ field }) => field.key !== encodingKey) }
}
const encodingKey = bodyEncoding.toLowerCase()

/** The same of an application in this process, which writes fields and no text. */
export function appFields(
  headers: Readonly<Record<string, string | readonly string[]>>,
  body: string | Buffer = ''
): AppFields {
  const fields: AppField[] = []
  const skipped: string[] = []
  for (const name in headers) {
    const field = headerName(name)
    if (field === null) {
      skipped.push(name)
      continue
    }
    if (isInSet(immutable, field)) continue
    const value = headers[name] ?? ''
    if (typeof value === 'string') fields.push({ name: field.name, value, field })
    else for (const one of value) fields.push({ name: field.name, value: one, field })
  }
  return { fields, skipped, body: typeof body === 'string' ? bytesOf(body) : body }
}
const emptyBody = Buffer.alloc(0)

/** In memory of its own: a view into Node's pool would keep all of that. */
function bytesOf(text: string): Buffer {
  if (text === '') return emptyBody
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/**
 * A peer's phrase as applications can read it: drachtio-srf takes U+2028 for the end of the status line, drops the
 * whole answer and prints it. What holds such a character, or a control character, becomes the registry's phrase.
 */
export const readableReason = (status: number, reason: string): string =>
  reason !== reasonPhrase(status) && /[\p{Cc}\p{Zl}\p{Zp}]/u.test(reason) ? reasonPhrase(status) : reason

/** The first value of a field, or undefined. */
export function fieldOf({ fields }: AppFields, key: string): string | undefined {
  for (const { field, value } of fields) if (field.key === key) return value
  return undefined
}

export const hasField = (rest: AppFields, key: string): boolean => fieldOf(rest, key) !== undefined
