// Rows in the binary format of PostgreSQL's COPY: what a server takes in with the least work, and so does the writer.

/**
 * `time`: a timestamptz, given in epoch milliseconds. `day`: a date, given as 2026-11-02. `json`: text of a jsonb, or
 * its UTF-8.
 */
export type ColumnType = 'text' | 'uuid' | 'bigint' | 'time' | 'day' | 'boolean' | 'json' | 'bytes'
export type CopyValue = string | number | bigint | boolean | Uint8Array | null

export interface CopyTable {
  readonly name: string
  /** Name and type of every column that is given, in the order of the values. */
  readonly columns: readonly (readonly [name: string, type: ColumnType])[]
}

/** Signature, flags, no header extension. */
const header = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex')
const trailer = -1
const nullLength = -1
/** PostgreSQL counts from the year 2000. */
const epochMs = Date.UTC(2000)
const dayMs = 86_400_000
const twoTo32 = 2 ** 32
const firstBytes = 65_536
/** No character of UTF-16 takes more in UTF-8. */
const bytesOfUnit = 3
/** Up to here a loop over ASCII is quicker than a call of the runtime's. */
const loopedChars = 64

/** The whole stream of a COPY ... FROM STDIN (FORMAT binary). Throws RangeError for what a column cannot hold. */
export function binaryRows(table: CopyTable, rows: Iterable<readonly CopyValue[]>): Buffer {
  const { columns } = table
  const out = new Writer(lastBytes.get(table) ?? firstBytes)
  const write = columns.map(([, type]) => writers[type])
  for (const row of rows) {
    out.int16(columns.length)
    for (let n = 0; n < write.length; n++) {
      const value = row[n] ?? null
      if (value === null) out.int32(nullLength)
      else if (write[n]?.(out, value) !== true) {
        throw new RangeError(`${columns[n]?.[0]} cannot hold ${typeof value} ${String(value)}`)
      }
    }
  }
  out.int16(trailer)
  const bytes = out.done()
  lastBytes.set(table, Math.min(bytes.length + firstBytes, rememberedBytesMax))
  return bytes
}

/** How much a table took last time and some more: a batch is mostly like the one before, and growing copies it all. */
const lastBytes = new WeakMap<CopyTable, number>()
const rememberedBytesMax = 8_388_608

/** The value of a hexadecimal digit by its character code; 255: it is none. */
const digits = new Uint8Array(128).fill(255)
for (const [value, digit] of '0123456789abcdef'.split('').entries()) {
  digits[digit.charCodeAt(0)] = value
  digits[digit.toUpperCase().charCodeAt(0)] = value
}
const noDigit = 255
const hyphen = 45

class Writer {
  #bytes: Buffer
  #at: number

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes)
    this.#at = header.copy(this.#bytes)
  }

  int16(value: number): void {
    this.#room(2)
    const bytes = this.#bytes
    const at = this.#at
    bytes[at] = value >> 8
    bytes[at + 1] = value
    this.#at = at + 2
  }

  int32(value: number): void {
    this.#room(4)
    this.#put(value)
  }

  /** An eight-byte field; a number must be a safe integer. */
  int64(value: number | bigint): void {
    this.#room(12)
    this.#put(8)
    if (typeof value === 'bigint') {
      this.#at = this.#bytes.writeBigInt64BE(value, this.#at)
      return
    }
    const high = Math.floor(value / twoTo32)
    this.#put(high)
    this.#put(value - high * twoTo32)
  }

  byte(value: number): void {
    this.#room(5)
    this.#put(1)
    this.#bytes[this.#at++] = value
  }

  /** `prefix`: a byte before the text, as jsonb has its version. */
  text(value: string, prefix: number | null = null): void {
    const { length } = value
    this.#room(5 + length * bytesOfUnit)
    const start = this.#at + 4
    let at = start
    const bytes = this.#bytes
    if (prefix !== null) bytes[at++] = prefix
    let n = 0
    if (length <= loopedChars) {
      for (; n < length; n++) {
        const code = value.charCodeAt(n)
        if (code === 0 || code > 127) break
        bytes[at++] = code
      }
    }
    // Whatever is not plain is left to the runtime.
    if (n < length) at += bytes.write(storable(n === 0 ? value : value.slice(n)), at)
    this.#put(at - start)
    this.#at = at
  }

  /** `prefix`: as of `text`. */
  bytes(value: Uint8Array, prefix: number | null = null): void {
    const length = value.length + (prefix === null ? 0 : 1)
    this.#room(4 + length)
    this.#put(length)
    if (prefix !== null) this.#bytes[this.#at++] = prefix
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** False where it is not 16 bytes in hex, with or without hyphens. */
  uuid(value: string): boolean {
    this.#room(20)
    const bytes = this.#bytes
    let at = this.#at + 4
    const end = at + 16
    for (let n = 0; n < value.length;) {
      const code = value.charCodeAt(n)
      if (code === hyphen) {
        n += 1
        continue
      }
      const high = digits[code] ?? noDigit
      const low = digits[value.charCodeAt(n + 1)] ?? noDigit
      if (high === noDigit || low === noDigit || at === end) return false
      bytes[at++] = (high << 4) | low
      n += 2
    }
    if (at !== end) return false
    this.#put(16)
    this.#at = end
    return true
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Four bytes, for which there is room. */
  #put(value: number): void {
    const bytes = this.#bytes
    const at = this.#at
    bytes[at] = value >> 24
    bytes[at + 1] = value >> 16
    bytes[at + 2] = value >> 8
    bytes[at + 3] = value
    this.#at = at + 4
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

const jsonbVersion = 1

/** PostgreSQL's text takes neither NUL nor half a character: both become U+FFFD, the second on its way to UTF-8. */
export const storable = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text)

/** Days of a batch are few and mostly the same. */
let lastDay: { readonly text: string; readonly number: number } = { text: '', number: Number.NaN }
function dayNumber(text: string): number {
  if (text === lastDay.text) return lastDay.number
  lastDay = { text, number: (Date.parse(`${text}T00:00:00Z`) - epochMs) / dayMs }
  return lastDay.number
}

type Write = (out: Writer, value: CopyValue) => boolean
const done = (_written: void): true => true
const isInt = (value: CopyValue): value is number => Number.isSafeInteger(value)

/** False: not a value of this type. */
const writers: Readonly<Record<ColumnType, Write>> = {
  text: (out, value) => typeof value === 'string' && done(out.text(value)),
  uuid: (out, value) => typeof value === 'string' && out.uuid(value),
  bigint: (out, value) => (typeof value === 'bigint' || isInt(value)) && done(out.int64(value)),
  time: (out, value) => isInt(value) && done(out.int64((value - epochMs) * 1_000)),
  day: (out, value) => {
    const day = typeof value === 'string' ? dayNumber(value) : Number.NaN
    if (Number.isNaN(day)) return false
    out.int32(4)
    out.int32(day)
    return true
  },
  boolean: (out, value) => typeof value === 'boolean' && done(out.byte(value ? 1 : 0)),
  json: (out, value) =>
    (typeof value === 'string' && done(out.text(value, jsonbVersion))) ||
    (value instanceof Uint8Array && done(out.bytes(value, jsonbVersion))),
  bytes: (out, value) => value instanceof Uint8Array && done(out.bytes(value))
}
