// Messages out of a byte stream: by Content-Length (RFC 3261, 18.3), and keepalives between them (RFC 5626, 4.4.1).

import { parseNumber } from '../characters.ts'

/**
 * What a stream holds next.
 *  message    one whole message
 *  ping       CRLF CRLF between messages; wants CRLF back
 *  oversize   a header block or body beyond its bound: `head` is what there is of the header block, the stream is lost
 *  unframed   no usable Content-Length: so is this one
 */
export type Frame =
  | { readonly kind: 'message'; readonly bytes: Buffer }
  | { readonly kind: 'ping' }
  | { readonly kind: 'oversize' | 'unframed'; readonly head: Buffer }

export interface FrameLimits {
  readonly headerBytesMax: number
  readonly messageBytesMax: number
}

const blankLine = Buffer.from('\r\n\r\n')
const empty = Buffer.alloc(0)
const ping: Frame = { kind: 'ping' }

/** Cuts one stream; `push` bytes in, `next` frames out until null. */
export class Framer {
  #held: Buffer = empty
  /** More of the message that `held` begins, not joined to it before all of it is there. */
  #more: Buffer[] = []
  #moreBytes = 0
  /** Header block and body of the message in `held`; 0: not known yet. */
  #needed = 0
  /** Where in `held` no blank line begins before. */
  #searched = 0
  #halfPing = false
  readonly #limits: FrameLimits

  constructor(limits: FrameLimits) {
    this.#limits = limits
  }

  /** Whether a message has begun and is not whole. */
  get partial(): boolean {
    return this.#held.length > 0
  }

  push(chunk: Buffer): void {
    if (this.#held.length === 0) this.#held = chunk
    else if (this.#needed > 0) {
      this.#more.push(chunk)
      this.#moreBytes += chunk.length
    } else this.#held = Buffer.concat([this.#held, chunk])
  }

  next(): Frame | null {
    if (this.#needed === 0) {
      const pinged = this.#skipLineBreaks()
      if (pinged) return ping
      const broken = this.#findEnd()
      if (broken !== null) return broken
    }
    if (this.#needed === 0 || this.#held.length + this.#moreBytes < this.#needed) return null
    if (this.#more.length > 0) this.#held = Buffer.concat([this.#held, ...this.#more])
    const bytes = this.#held.subarray(0, this.#needed)
    this.#held = this.#held.length === this.#needed ? empty : this.#held.subarray(this.#needed)
    this.#more = []
    this.#moreBytes = 0
    this.#needed = 0
    this.#searched = 0
    return { kind: 'message', bytes }
  }

  /** Drops line breaks before a message; true at the second of two: a ping. A lone one is a pong. */
  #skipLineBreaks(): boolean {
    while (this.#held[0] === 13 && this.#held[1] === 10) {
      this.#held = this.#held.subarray(2)
      this.#halfPing = !this.#halfPing
      if (!this.#halfPing) return true
    }
    if (this.#held.length > 1) this.#halfPing = false
    return false
  }

  #findEnd(): Frame | null {
    const held = this.#held
    const blank = held.indexOf(blankLine, this.#searched)
    const { headerBytesMax, messageBytesMax } = this.#limits
    const headBytes = blank < 0 ? held.length : blank + 4
    if (headBytes > headerBytesMax) return { kind: 'oversize', head: held.subarray(0, headerBytesMax) }
    if (blank < 0) {
      this.#searched = Math.max(0, held.length - 3)
      return null
    }
    const body = contentLength(held.toString('latin1', 0, blank + 2))
    const head = held.subarray(0, headBytes)
    if (body === null) return { kind: 'unframed', head }
    if (headBytes + body > messageBytesMax) return { kind: 'oversize', head }
    this.#needed = headBytes + body
    return null
  }
}

const lengthLine = /\r\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)/gi

/** Content-Length of a header block; null where it is missing, no number, or said twice with different numbers. */
function contentLength(head: string): number | null {
  let found: number | null = null
  for (const match of head.matchAll(lengthLine)) {
    const value = parseNumber((match[1] ?? '').trim(), Number.MAX_SAFE_INTEGER)
    if (value === null || (found !== null && value !== found)) return null
    found = value
  }
  return found
}
