// SIP messages: parse and print whole ones (RFC 3261, 7 and 25, RFC 4475). Bounded, no backtracking, never throws.

import { isAscii } from 'node:buffer'
import { HubError } from '../errors.ts'
import { isSpace, isToken, isUriText, oneLine, parseNumber, skipToken, trimSpace } from './characters.ts'
import { fieldAt, fieldNamed } from './field-names.ts'
import type { FieldName } from './field-names.ts'
import { methodIn } from './fields.ts'
import { addLines, createHeaders, HeaderFields, printHeaders } from './headers.ts'
import type { HeaderInit, Headers } from './headers.ts'
import { newTag } from './identifiers.ts'
import { reasonPhrase } from './reasons.ts'

// What a user of messages needs beside them, from one place.
export { isToken, quote, unquote } from './characters.ts'
export {
  cseqMax,
  deltaSecondsMax,
  isNameAddr,
  isVia,
  paramIn,
  parseCSeq,
  parseDeltaSeconds,
  parseNameAddr,
  parseParams,
  parseVia,
  uriIn
} from './fields.ts'
export { printHost, printNameAddr, printParams, printVia } from './fields.ts'
export type { CSeq, NameAddr, Params, Via } from './fields.ts'
export { fieldKey, fieldNamed, fieldSet, isInSet, isListField } from './field-names.ts'
export type { FieldName, FieldSet } from './field-names.ts'
export { createHeaders, splitList } from './headers.ts'
export type { HeaderInit, HeaderLine, Headers } from './headers.ts'
export { newBranch, newCallId, newTag } from './identifiers.ts'
export { reasonPhrase } from './reasons.ts'

export const sipLimits = {
  messageBytesMax: 1_048_576,
  headersMax: 256,
  /** Start line and header fields together. */
  headerBytesMax: 65_536
} as const
export type SipLimits = { readonly [name in keyof typeof sipLimits]: number }

export interface SipRequest {
  readonly kind: 'request'
  readonly method: string
  /** The Request-URI as text. */
  readonly uri: string
  readonly headers: Headers
  readonly body: Buffer
}

export interface SipResponse {
  readonly kind: 'response'
  readonly status: number
  readonly reason: string
  readonly headers: Headers
  readonly body: Buffer
}

export type SipMessage = SipRequest | SipResponse

/**
 * A message that cannot be used. `status` and `reason` are what RFC 3261/4475 suggest to answer (null for responses,
 * ACK and what is too broken to answer); `request` is as much of it as an answer needs (Via, From, To, Call-ID, CSeq).
 */
export interface Malformed {
  readonly ok: false
  readonly status: number | null
  readonly reason: string
  readonly request: SipRequest | null
}

export type Parsed = { readonly ok: true; readonly message: SipMessage } | Malformed

type StartLine =
  | { readonly kind: 'request'; readonly method: string; readonly uri: string; readonly fault: Fault | null }
  | { readonly kind: 'response'; readonly status: number; readonly reason: string; readonly fault: Fault | null }
interface Fault {
  readonly status: number
  readonly reason: string
}
interface Fields {
  readonly headers: HeaderFields
  readonly fault: Fault | null
  /** A field that must stand once stands twice. */
  readonly twice: Fault | null
  readonly end: number
}

const emptyBody = Buffer.alloc(0)
const blankLine = Buffer.from('\r\n\r\n')
const bad = (reason: string): Fault => ({ status: 400, reason })
const tooLarge: Fault = { status: 513, reason: 'Message Too Large' }

/**
 * One whole datagram or frame: what comes after Content-Length is dropped, a body shorter than it is malformed (18.3).
 * Structure is checked here: start line, fields, body length, and that Via, From, To, Call-ID and CSeq are there, once
 * and readable, since no transaction could exist otherwise. What a UAS may refuse beyond that: validate.ts.
 */
export function parseMessage(bytes: Buffer, limits: SipLimits = sipLimits): Parsed {
  let start = 0
  while (bytes[start] === 13 && bytes[start + 1] === 10) start += 2
  // Nearly every message is ASCII: then text and bytes have the same offsets, and the blank line needs no search.
  const ascii = isAscii(bytes)
  const blank = ascii ? -1 : bytes.indexOf(blankLine, start)
  const cap = start + limits.headerBytesMax
  const text = bytes.toString(ascii ? 'latin1' : 'utf8', start, blank < 0 ? cap : Math.min(cap, blank + 4))

  const lineEnd = text.indexOf('\r\n')
  const startLine = parseStartLine(text, lineEnd < 0 ? text.length : lineEnd)
  if (startLine === null) return { ok: false, status: null, reason: 'Not a SIP message', request: null }
  const { headers, fault, twice, end } = parseFields(text, lineEnd < 0 ? text.length : lineEnd + 2, limits.headersMax)
  const bodyStart = end < 0 ? bytes.length : ascii ? start + end : blank + 4
  const body = bodyOf(headers, bytes, bodyStart)

  const found =
    (bytes.length > limits.messageBytesMax || (end < 0 && bytes.length > cap) ? tooLarge : null) ??
    startLine.fault ??
    fault ??
    (end < 0 ? bad('Message Ends Inside Its Header') : null) ??
    twice ??
    coreFault(headers)
  if (found !== null) return malformed(startLine, headers, found)
  if (body === null) return malformed(startLine, headers, bad('Content-Length Does Not Fit'))

  if (startLine.kind === 'request') {
    const { method, uri } = startLine
    return { ok: true, message: { kind: 'request', method, uri, headers, body } }
  }
  const { status, reason } = startLine
  return { ok: true, message: { kind: 'response', status, reason, headers, body } }
}

function malformed(startLine: StartLine, headers: Headers, { status, reason }: Fault): Malformed {
  if (startLine.kind === 'response') return { ok: false, status: null, reason, request: null }
  const { method, uri } = startLine
  const request: SipRequest = { kind: 'request', method, uri, headers, body: emptyBody }
  return { ok: false, status: method === 'ACK' ? null : status, reason, request }
}

/** Null where nothing says that this is SIP at all. No method has a slash, every status line has one at its fourth. */
function parseStartLine(text: string, end: number): StartLine | null {
  if (text.charCodeAt(3) === 47) return parseStatusLine(text, end)
  const methodEnd = skipToken(text, 0)
  if (methodEnd === 0 || text.charCodeAt(methodEnd) !== 32) return null
  const method = methodIn(text, 0, methodEnd)
  const versionStart = end - 8
  if (text.startsWith(' SIP/2.0', versionStart) && isUriText(text, methodEnd + 1, versionStart)) {
    return { kind: 'request', method, uri: text.slice(methodEnd + 1, versionStart), fault: null }
  }
  return oddRequestLine(method, text.slice(methodEnd + 1, end))
}

/** Exactly one space on either side of the URI, none inside it and none at the end (25.1). */
function oddRequestLine(method: string, rest: string): StartLine | null {
  const trimmed = trimSpace(rest)
  const last = trimmed.lastIndexOf(' ')
  const version = trimmed.slice(last + 1).toUpperCase()
  if (!version.startsWith('SIP/')) return null
  const uri = trimmed.slice(0, Math.max(0, last))
  if (version !== 'SIP/2.0') return { kind: 'request', method, uri, fault: { status: 505, reason: reasonPhrase(505) } }
  const sound = trimmed.length === rest.length && isUriText(uri)
  return { kind: 'request', method, uri, fault: sound ? null : bad('Bad Request-Line') }
}

function parseStatusLine(text: string, end: number): StartLine {
  const status = parseNumber(text.slice(8, Math.min(11, end)), 699)
  const sound =
    (text.startsWith('SIP/2.0 ') || text.slice(0, 8).toUpperCase() === 'SIP/2.0 ') &&
    status !== null &&
    status >= 100 &&
    (end === 11 || (end > 11 && text.charCodeAt(11) === 32))
  const reason = end > 12 ? text.slice(12, end) : ''
  return { kind: 'response', status: status ?? 0, reason, fault: sound ? null : bad('Bad Status-Line') }
}

// Lines are noted here and cut out together: arrays of its own would grow, and be copied, several times a message.
const lineNames: FieldName[] = []
const lineValues: (string | null)[] = []
const lineStarts: number[] = []
const lineEnds: number[] = []

/** Reads on behind a fault, so that an answer can carry the fields that were sound. `end`: after the blank line. */
function parseFields(text: string, start: number, headersMax: number): Fields {
  let count = 0
  let seen = 0
  let fault: Fault | null = null
  let twice: Fault | null = null
  let bodyAt = -1
  for (let at = start, line = 0; at < text.length; line++) {
    if (text.charCodeAt(at) === 13 && text.charCodeAt(at + 1) === 10) {
      bodyAt = at + 2
      break
    }
    if (line === headersMax) {
      fault ??= bad('Too Many Header Fields')
      break
    }
    let end = carriageReturn(text, at)
    let folded = false
    for (; continues(text, end); folded = true) end = carriageReturn(text, end + 2)
    const colon = text.indexOf(':', at)
    let nameEnd = colon
    while (nameEnd > at && isSpace(text.charCodeAt(nameEnd - 1))) nameEnd--
    const name = colon < 0 || colon >= end ? null : fieldAt(text, at, nameEnd)
    // A folded line is searched for a bare line feed once it is unfolded; in any other the first one must end it.
    const ended = folded ? text.charCodeAt(end + 1) === 10 : text.indexOf('\n', at) === end + 1
    if (name === null || !ended) fault ??= bad('Bad Header Field')
    else {
      if (name.single) {
        if ((seen & (1 << name.id)) !== 0) twice ??= bad(`Duplicate ${name.name}`)
        seen |= 1 << name.id
      }
      lineNames[count] = name
      lineEnds[count] = end
      if (!folded && nameEnd === colon && isPlain(text, colon, end)) {
        lineValues[count] = null
        lineStarts[count] = at
      } else {
        const value = folded ? unfold(text.slice(colon + 1, end)) : trimSpace(text, colon + 1, end)
        if (value.includes('\n')) fault ??= bad('Bad Header Field')
        lineValues[count] = value
        lineStarts[count] = -1
      }
      count++
    }
    at = end + 2
  }
  const places = { text, starts: lineStarts.slice(0, count), ends: lineEnds.slice(0, count) }
  const headers = new HeaderFields(lineNames.slice(0, count), lineValues.slice(0, count), places)
  return { headers, fault, twice, end: bodyAt }
}

/** Whether exactly one space stands behind the colon and none at the end: as it would be printed. */
const isPlain = (text: string, colon: number, end: number): boolean =>
  text.charCodeAt(colon + 1) === 32 &&
  colon + 2 <= end &&
  (colon + 2 === end || (!isSpace(text.charCodeAt(colon + 2)) && !isSpace(text.charCodeAt(end - 1))))

/** Whether the line that ends at `end` goes on in the next one (7.3.1). */
const continues = (text: string, end: number): boolean =>
  text.charCodeAt(end + 1) === 10 && isSpace(text.charCodeAt(end + 2))

const unfold = (text: string): string => trimSpace(text.replaceAll(/\r\n[ \t]+/g, ' '))

/** The next carriage return, or the end of the text. */
function carriageReturn(text: string, at: number): number {
  const found = text.indexOf('\r', at)
  return found < 0 ? text.length : found
}

/** The fields without which there is no transaction. */
function coreFault(headers: HeaderFields): Fault | null {
  const via = headers.via()
  if (via === null) return bad('Bad or Missing Via')
  // The magic cookie and nothing behind it names no transaction (RFC 4475, 3.2.1).
  if (via.params.get('branch') === 'z9hG4bK') return bad('Empty Branch')
  if (headers.readTag('From') === null) return bad('Bad or Missing From')
  if (headers.readTag('To') === null) return bad('Bad or Missing To')
  if ((headers.get(callIdField) ?? '') === '') return bad('Missing Call-ID')
  return headers.cseq() === null ? bad('Bad or Missing CSeq') : null
}

const viaField = fieldNamed('Via')
const callIdField = fieldNamed('Call-ID')
const cseqField = fieldNamed('CSeq')
const fromField = fieldNamed('From')
const toField = fieldNamed('To')
const routeField = fieldNamed('Record-Route')
const timestampField = fieldNamed('Timestamp')
const lengthField = fieldNamed('Content-Length')

/** Null where Content-Length is no number or asks for more than there is. */
function bodyOf(headers: Headers, bytes: Buffer, start: number): Buffer | null {
  const length = headers.get(lengthField)
  const count = length === undefined ? bytes.length - start : parseNumber(length, bytes.length - start)
  if (count === null) return null
  return count === 0 ? emptyBody : keepable(bytes.subarray(start, start + count))
}

/** What a view may keep alive beyond itself. */
const blockBytesMax = 4_096

/** Bytes to keep for a while: a view into a large block (a socket's read, Node's pool) would keep all of that. */
export function keepable(view: Buffer): Buffer {
  if (view.buffer.byteLength - view.length <= blockBytesMax) return view
  const own = Buffer.allocUnsafeSlow(view.length)
  view.copy(own)
  return own
}

/** A message whose header is text already. */
export interface PrintedMessage {
  readonly head: string
  readonly body: Buffer
}

/** The message as bytes; Content-Length is recomputed. */
export const printMessage = (message: SipMessage): Buffer => toBytes(printHead(message))

export function printHead(message: SipMessage): PrintedMessage {
  const { headers, body } = message
  const startLine =
    message.kind === 'request'
      ? `${message.method} ${message.uri} SIP/2.0`
      : `SIP/2.0 ${message.status} ${message.reason}`
  return { head: `${startLine}${printHeaders(headers, body.length)}\r\n\r\n`, body }
}

export function toBytes({ head, body }: PrintedMessage): Buffer {
  const headBytes = Buffer.byteLength(head)
  const bytes = Buffer.allocUnsafe(headBytes + body.length)
  if (headBytes === head.length) bytes.write(head, 0, 'latin1')
  else bytes.write(head, 0)
  if (body.length > 0) body.copy(bytes, headBytes)
  return bytes
}

export interface RequestInit {
  readonly method: string
  readonly uri: string
  /** Taken over, not copied, where they are `Headers`. */
  readonly headers?: Headers | HeaderInit
  readonly body?: Buffer | string
}

/** A request with these fields; Via is the stack's. Throws HUB_INTERNAL for a method that is no token or a bad URI. */
export function makeRequest({ method, uri, headers = [], body = emptyBody }: RequestInit): SipRequest {
  if (!isToken(method) || !isUriText(uri)) throw new HubError('HUB_INTERNAL', 'not a request line', { method, uri })
  return { kind: 'request', method, uri, headers: toHeaders(headers), body: toBody(body) }
}

export interface ResponseInit {
  readonly reason?: string
  /** Beside those that every response copies. */
  readonly headers?: Headers | HeaderInit
  readonly body?: Buffer | string
  /** To tag where the request had none; a new one unless given. The same for all responses of one dialog. */
  readonly toTag?: string
}

/** Methods whose responses form or refresh a dialog, and so carry the route that the request recorded (12.1.1). */
const dialogMethods: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER'])

/** A response with the fields of the request that RFC 3261, 8.2.6 and 12.1.1 ask for. */
export function makeResponse(request: SipRequest, status: number, init: ResponseInit = {}): SipResponse {
  const from = request.headers
  const headers = createHeaders()
  for (const via of from.all(viaField)) headers.addField(viaField, via)
  if (status > 100 && status < 300 && dialogMethods.has(request.method)) {
    for (const route of from.all(routeField)) headers.addField(routeField, route)
  }
  const sender = from.get(fromField)
  if (sender !== undefined) headers.addTagged('From', sender, from.tag('From'))
  addTo(headers, from, status, init.toTag)
  for (const field of [callIdField, cseqField]) {
    const value = from.get(field)
    if (value !== undefined) headers.addField(field, value)
  }
  const timestamp = status === 100 ? from.get(timestampField) : undefined
  if (timestamp !== undefined) headers.addField(timestampField, timestamp)
  const more = init.headers ?? []
  addLines(headers, 'lines' in more ? more.lines() : more)
  const reason = oneLine(init.reason ?? reasonPhrase(status))
  return { kind: 'response', status, reason, headers, body: toBody(init.body ?? emptyBody) }
}

/** A 100 forms no dialog and gets a tag only where the caller says so. */
function addTo(headers: HeaderFields, from: Headers, status: number, toTag: string | undefined): void {
  const to = from.get(toField)
  const tag = from.tag('To')
  if (to === undefined) return
  if (tag !== '' || (status === 100 && toTag === undefined)) headers.addTagged('To', to, tag)
  else {
    const own = toTag ?? newTag()
    headers.addTagged('To', `${to};tag=${own}`, own)
  }
}

const toHeaders = (headers: Headers | HeaderInit): Headers => ('lines' in headers ? headers : createHeaders(headers))
const toBody = (body: Buffer | string): Buffer => (typeof body === 'string' ? Buffer.from(body) : body)
