// Frames of the control protocol: `<length>#<payload>`, length in bytes, nothing between frames.

export const framingLimits = {
  /** Payload of one frame: a message of 1 MiB, its meta line and room to spare. */
  frameBytesMax: 4_194_304,
  lengthDigitsMax: 7
} as const

const hash = 35
const empty = Buffer.alloc(0)

/** Cuts a byte stream into payloads, whatever the chunks. After `false` the stream is beyond repair: close it. */
export class FrameReader {
  /** Lowered for a peer that has not said who it is. */
  bytesMax: number
  /** What came of a frame that is not whole yet: joined once, when it is. */
  #parts: Buffer[] = []
  #held = 0
  /** Bytes that make the beginning of `#parts` worth looking at; 0: its length is not known. */
  #wanted = 0

  constructor(bytesMax: number = framingLimits.frameBytesMax) {
    this.bytesMax = bytesMax
  }

  /** `take` gets each whole payload; it may return false to stop reading. */
  push(chunk: Buffer, take: (payload: Buffer) => boolean): boolean {
    let data = chunk
    if (this.#held > 0) {
      this.#parts.push(chunk)
      this.#held += chunk.length
      if (this.#held < this.#wanted) return true
      data = Buffer.concat(this.#parts, this.#held)
      this.#parts = []
      this.#held = 0
    }
    let at = 0
    while (at < data.length) {
      const start = lengthEnd(data, at)
      if (start === 'bad') return false
      if (start === 'short') return this.#hold(data, at, 0)
      const size = Number(data.toString('latin1', at, start - 1))
      if (size === 0 || size > this.bytesMax) return false
      const end = start + size
      if (end > data.length) return this.#hold(data, at, end - at)
      if (!take(data.subarray(start, end))) return false
      at = end
    }
    return true
  }

  #hold(data: Buffer, at: number, wanted: number): true {
    this.#parts = [at === 0 ? data : data.subarray(at)]
    this.#held = data.length - at
    this.#wanted = wanted
    return true
  }
}

/** The index after `#`. */
function lengthEnd(data: Buffer, at: number): number | 'short' | 'bad' {
  const last = Math.min(data.length, at + framingLimits.lengthDigitsMax + 1)
  for (let index = at; index < last; index++) {
    const code = data[index] ?? 0
    if (code === hash) return index === at ? 'bad' : index + 1
    if (code < 48 || code > 57) return 'bad'
  }
  return last === data.length && last - at <= framingLimits.lengthDigitsMax ? 'short' : 'bad'
}

/** One frame: a meta line, and a SIP message after CRLF if there is one. */
export function frameOf(meta: string, message: Buffer = empty): Buffer {
  const separated = message.length > 0 ? `${meta}\r\n` : meta
  const metaBytes = Buffer.byteLength(separated)
  const size = metaBytes + message.length
  const head = `${size}#`
  const frame = Buffer.allocUnsafe(head.length + size)
  frame.write(head, 0, 'latin1')
  frame.write(separated, head.length)
  if (message.length > 0) message.copy(frame, head.length + metaBytes)
  return frame
}

export interface Payload {
  /** The tokens of the meta line: the first is the message id, the second what is wanted. */
  readonly tokens: readonly string[]
  /** The SIP message after the meta line; empty where there is none. */
  readonly message: Buffer
}

export function payloadOf(bytes: Buffer): Payload {
  const lineEnd = bytes.indexOf('\r\n')
  const meta = bytes.toString('utf8', 0, lineEnd < 0 ? bytes.length : lineEnd)
  return { tokens: meta.split('|'), message: lineEnd < 0 ? empty : bytes.subarray(lineEnd + 2) }
}
