// SIP messages: parse and print whole ones (RFC 3261 section 7 and 25, RFC 4475). Bounded, no backtracking, never throws.

import { HubError } from '../errors.ts'
import { isSpace, isToken, isUriText, oneLine, parseNumber, trimSpace } from './characters.ts'
import { parseCSeq, parseNameAddr, parseVia } from './fields.ts'
import { createHeaders, fieldKey, headersFrom, printHeaders } from './headers.ts'
import type { HeaderFields, HeaderInit, Headers } from './headers.ts'
import { newTag } from './identifiers.ts'
import { reasonPhrase } from './reasons.ts'

// What a user of messages needs beside them, from one place.
export { isToken, quote, unquote } from './characters.ts'
export { cseqMax, parseCSeq, parseNameAddr, parseParams, parseVia } from './fields.ts'
export { printHost, printNameAddr, printParams, printVia } from './fields.ts'
export type { CSeq, NameAddr, Params, Via } from './fields.ts'
export { createHeaders, fieldKey, isListField, splitList } from './headers.ts'
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
 * A message that cannot be used. `status` and `reason` are what RFC 3261/4475 suggest to answer (null for responses, ACK
 * and for what is too broken to answer); `request` is as much of it as an answer needs (Via, From, To, Call-ID, CSeq).
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
  const blank = bytes.indexOf(blankLine, start)
  const headEnd = blank < 0 ? bytes.length : blank
  const oversized = bytes.length > limits.messageBytesMax || headEnd - start > limits.headerBytesMax
  const text = bytes.toString('utf8', start, Math.min(headEnd, start + limits.headerBytesMax))

  const lineEnd = text.indexOf('\r\n')
  const startLine = parseStartLine(lineEnd < 0 ? text : text.slice(0, lineEnd))
  if (startLine === null) return { ok: false, status: null, reason: 'Not a SIP message', request: null }
  const fields = parseFields(text, lineEnd < 0 ? text.length : lineEnd + 2, limits.headersMax)
  const rest = blank < 0 ? emptyBody : bytes.subarray(blank + 4)
  const body = bodyOf(fields.headers, rest)

  const fault =
    (oversized ? tooLarge : null) ??
    startLine.fault ??
    fields.fault ??
    (blank < 0 ? bad('Message Ends Inside Its Header') : null) ??
    coreFault(fields.headers) ??
    (body === null ? bad('Content-Length Does Not Fit') : null)
  if (fault !== null) return malformed(startLine, fields.headers, fault)

  const { headers } = fields
  return startLine.kind === 'request'
    ? {
        ok: true,
        message: { kind: 'request', method: startLine.method, uri: startLine.uri, headers, body: body ?? emptyBody }
      }
    : {
        ok: true,
        message: {
          kind: 'response',
          status: startLine.status,
          reason: startLine.reason,
          headers,
          body: body ?? emptyBody
        }
      }
}

function malformed(startLine: StartLine, headers: Headers, { status, reason }: Fault): Malformed {
  if (startLine.kind === 'response') return { ok: false, status: null, reason, request: null }
  const { method, uri } = startLine
  const request: SipRequest = { kind: 'request', method, uri, headers, body: emptyBody }
  return { ok: false, status: method === 'ACK' ? null : status, reason, request }
}

/** Null where nothing says that this is SIP at all. */
function parseStartLine(line: string): StartLine | null {
  if (line.slice(0, 4).toUpperCase() === 'SIP/') return parseStatusLine(line)
  const first = line.indexOf(' ')
  const method = line.slice(0, Math.max(0, first))
  const trimmed = trimSpace(line)
  const last = trimmed.lastIndexOf(' ')
  const version = trimmed.slice(last + 1).toUpperCase()
  if (!isToken(method) || !version.startsWith('SIP/')) return null
  const uri = line.slice(first + 1, Math.max(first + 1, last))
  return { kind: 'request', method, uri, fault: requestLineFault(uri, version, trimmed.length !== line.length) }
}

/** Exactly one space on either side of the URI, none inside it and none at the end (25.1). */
function requestLineFault(uri: string, version: string, trailing: boolean): Fault | null {
  if (version !== 'SIP/2.0') return { status: 505, reason: reasonPhrase(505) }
  return trailing || !isUriText(uri) ? bad('Bad Request-Line') : null
}

function parseStatusLine(line: string): StartLine {
  const status = parseNumber(line.slice(8, 11), 699)
  const sound =
    line.slice(0, 8).toUpperCase() === 'SIP/2.0 ' &&
    status !== null &&
    status >= 100 &&
    (line.length === 11 || line[11] === ' ')
  return { kind: 'response', status: status ?? 0, reason: line.slice(12), fault: sound ? null : bad('Bad Status-Line') }
}

/** Reads on behind a fault, so that an answer can carry the fields that were sound. */
function parseFields(text: string, start: number, headersMax: number): Fields {
  const names: string[] = []
  const values: string[] = []
  const keys: string[] = []
  let fault: Fault | null = null
  for (let at = start, line = 0; at < text.length; line++) {
    if (line === headersMax)
      return { headers: headersFrom(names, values, keys), fault: fault ?? bad('Too Many Header Fields') }
    let end = carriageReturn(text, at)
    let folded = false
    while (text.charCodeAt(end + 1) === 10 && isSpace(text.charCodeAt(end + 2))) {
      folded = true
      end = carriageReturn(text, end + 2)
    }
    const colon = text.indexOf(':', at)
    const name = colon < 0 || colon > end ? '' : trimSpace(text.slice(at, colon))
    const raw = text.slice(colon + 1, end)
    const value = trimSpace(folded ? raw.replaceAll(/\r\n[ \t]+/g, ' ') : raw)
    if (end < text.length && text.charCodeAt(end + 1) !== 10) fault ??= bad('Bare Carriage Return')
    else if (!isToken(name) || value.includes('\n')) fault ??= bad('Bad Header Field')
    else {
      names.push(name)
      values.push(value)
      keys.push(fieldKey(name))
    }
    at = end + 2
  }
  return { headers: headersFrom(names, values, keys), fault }
}

/** The next carriage return, or the end of the text. */
function carriageReturn(text: string, at: number): number {
  const found = text.indexOf('\r', at)
  return found < 0 ? text.length : found
}

/** The fields without which there is no transaction, and those that a second one would make ambiguous. */
function coreFault(headers: HeaderFields): Fault | null {
  const twice = headers.firstDuplicate(singleFields)
  if (twice !== null) return bad(`Duplicate ${twice}`)
  if (parseVia(headers.get('Via') ?? '') === null) return bad('Bad or Missing Via')
  if (parseNameAddr(headers.get('From') ?? '') === null) return bad('Bad or Missing From')
  if (parseNameAddr(headers.get('To') ?? '') === null) return bad('Bad or Missing To')
  if ((headers.get('Call-ID') ?? '') === '') return bad('Missing Call-ID')
  return parseCSeq(headers.get('CSeq') ?? '') === null ? bad('Bad or Missing CSeq') : null
}

const singleFields: ReadonlySet<string> = new Set([
  'from',
  'to',
  'call-id',
  'cseq',
  'content-length',
  'content-type',
  'max-forwards'
])

/** Null where Content-Length is no number or asks for more than there is. */
function bodyOf(headers: Headers, rest: Buffer): Buffer | null {
  const length = headers.get('Content-Length')
  if (length === undefined) return rest
  const bytes = parseNumber(length, rest.length)
  return bytes === null ? null : rest.subarray(0, bytes)
}

/** The message as bytes; Content-Length is recomputed. */
export function printMessage(message: SipMessage): Buffer {
  const { headers, body } = message
  const startLine =
    message.kind === 'request'
      ? `${message.method} ${message.uri} SIP/2.0\r\n`
      : `SIP/2.0 ${message.status} ${message.reason}\r\n`
  const head = `${startLine}${printHeaders(headers, body.length)}\r\n`
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

/** A request with the given fields; Via is the stack's. Throws HUB_INTERNAL for a method that is no token or a bad URI. */
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
  for (const via of from.all('Via')) headers.add('Via', via)
  if (status > 100 && status < 300 && dialogMethods.has(request.method)) {
    for (const route of from.all('Record-Route')) headers.add('Record-Route', route)
  }
  for (const name of ['From', 'To', 'Call-ID', 'CSeq']) {
    const value = from.get(name)
    if (value !== undefined) headers.add(name, name === 'To' ? withTag(value, status, init.toTag) : value)
  }
  const timestamp = status === 100 ? from.get('Timestamp') : undefined
  if (timestamp !== undefined) headers.add('Timestamp', timestamp)
  for (const { name, value } of toHeaders(init.headers ?? []).lines()) headers.add(name, value)
  const reason = oneLine(init.reason ?? reasonPhrase(status))
  return { kind: 'response', status, reason, headers, body: toBody(init.body ?? emptyBody) }
}

/** A 100 forms no dialog and gets a tag only where the caller says so. */
function withTag(to: string, status: number, toTag: string | undefined): string {
  if (status === 100 && toTag === undefined) return to
  return parseNameAddr(to)?.params.has('tag') === true ? to : `${to};tag=${toTag ?? newTag()}`
}

const toHeaders = (headers: Headers | HeaderInit): Headers => ('lines' in headers ? headers : createHeaders(headers))
const toBody = (body: Buffer | string): Buffer => (typeof body === 'string' ? Buffer.from(body) : body)
