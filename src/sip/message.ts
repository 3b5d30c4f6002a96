// SIP messages: parse, print, headers (RFC 3261 section 7 and 25, RFC 4475). Bounded, no backtracking.

export const sipLimits = {
  messageBytesMax: 1_048_576,
  headersMax: 256,
  headerBytesMax: 65_536
} as const

/** One header field line; `name` as it was written, `value` unfolded and trimmed. */
export interface HeaderLine {
  readonly name: string
  readonly value: string
}

/**
 * The header fields of a message, in order. Names are case-insensitive and their compact forms are the same name.
 * Method contract (RFC 3261, 7.3.1):
 *  get(name)        first value of that field (first comma-separated part for list fields), or undefined
 *  all(name)        every value, comma lists split where the field's grammar allows lists
 *  lines()          every line in order, as it will be printed
 *  has / count
 *  set(name, value | values)   replaces all lines of that name, in place of the first one, else at the end
 *  add(name, value)            appends a line
 *  prepend(name, value)        puts a line before the first one of that name (Via, Record-Route), else on top
 *  removeFirst(name)           drops the first VALUE (not line) of that field
 *  remove(name)
 *  clone()
 */
export interface Headers {
  get(name: string): string | undefined
  all(name: string): readonly string[]
  lines(): readonly HeaderLine[]
  has(name: string): boolean
  set(name: string, value: string | readonly string[]): void
  add(name: string, value: string): void
  prepend(name: string, value: string): void
  removeFirst(name: string): void
  remove(name: string): void
  clone(): Headers
}

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
 * A message that cannot be used. `status` and `reason` are what RFC 3261/4475 suggest to answer (null for responses and
 * for what is too broken to answer); `request` is as much of it as an answer needs (Via, From, To, Call-ID, CSeq).
 */
export interface Malformed {
  readonly ok: false
  readonly status: number | null
  readonly reason: string
  readonly request: SipRequest | null
}

export type Parsed = { readonly ok: true; readonly message: SipMessage } | Malformed

// To be implemented here:
//   createHeaders(lines?: Iterable<readonly [string, string]>): Headers
//   parseMessage(bytes: Buffer, limits = sipLimits): Parsed          // one whole datagram or frame
//   printMessage(message: SipMessage): Buffer                        // Content-Length recomputed in bytes
//   frameEnd(...)                                                    // stream framing by Content-Length, see transport/
//   request(method, uri, headers, body), response(toRequest, status, reason?, headers?, body?)
//   parseVia, printVia, parseNameAddr, printNameAddr, parseCSeq, parseParams, ...
