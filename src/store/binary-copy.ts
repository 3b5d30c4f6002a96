// Rows in the binary format of PostgreSQL's COPY: what a server takes in with the least work, and so does the writer.

/** `time`: a timestamptz, given in epoch milliseconds. `day`: a date, given as 2026-11-02. `json`: text of a jsonb. */
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

/** The whole stream of a COPY ... FROM STDIN (FORMAT binary). Throws RangeError for what a column cannot hold. */
export function binaryRows({ columns }: CopyTable, rows: Iterable<readonly CopyValue[]>): Buffer {
  const out = new Writer()
  for (const row of rows) {
    out.int16(columns.length)
    for (let n = 0; n < columns.length; n++) {
      const value = row[n] ?? null
      const [name, type] = columns[n] ?? ['', 'text']
      if (value === null) out.int32(nullLength)
      else if (!writers[type](out, value)) throw new RangeError(`${name} cannot hold ${typeof value} ${String(value)}`)
    }
  }
  out.int16(trailer)
  return out.done()
}

class Writer {
  #bytes = Buffer.allocUnsafe(firstBytes)
  #at = header.copy(this.#bytes)

  int16(value: number): void {
    this.#room(2)
    this.#at = this.#bytes.writeInt16BE(value, this.#at)
  }

  int32(value: number): void {
    this.#room(4)
    this.#at = this.#bytes.writeInt32BE(value, this.#at)
  }

  /** An eight-byte field; a number must be a safe integer. */
  int64(value: number | bigint): void {
    this.#room(12)
    this.#at = this.#bytes.writeInt32BE(8, this.#at)
    if (typeof value === 'bigint') this.#at = this.#bytes.writeBigInt64BE(value, this.#at)
    else {
      const high = Math.floor(value / twoTo32)
      this.#at = this.#bytes.writeInt32BE(high, this.#at)
      this.#at = this.#bytes.writeUInt32BE(value - high * twoTo32, this.#at)
    }
  }

  byte(value: number): void {
    this.#room(5)
    this.#at = this.#bytes.writeInt32BE(1, this.#at)
    this.#at = this.#bytes.writeUInt8(value, this.#at)
  }

  /** `prefix`: a byte before the text, as jsonb has its version. */
  text(value: string, prefix: number | null = null): void {
    this.#room(5 + value.length * bytesOfUnit)
    let from = this.#at + 4
    if (prefix !== null) from = this.#bytes.writeUInt8(prefix, from)
    const end = from + this.#bytes.write(value, from)
    this.#bytes.writeInt32BE(end - this.#at - 4, this.#at)
    this.#at = end
  }

  bytes(value: Uint8Array): void {
    this.#room(4 + value.length)
    this.#at = this.#bytes.writeInt32BE(value.length, this.#at)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** False where it is not 16 bytes in hex, with or without hyphens. */
  uuid(value: string): boolean {
    this.#room(20)
    this.#bytes.writeInt32BE(16, this.#at)
    const hex = value.replaceAll('-', '')
    if (hex.length !== 32 || this.#bytes.write(hex, this.#at + 4, 16, 'hex') !== 16) return false
    this.#at += 20
    return true
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#at)
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

type Write = (out: Writer, value: CopyValue) => boolean
const done = (_written: void): true => true
const isInt = (value: CopyValue): value is number => Number.isSafeInteger(value)

/** False: not a value of this type. */
const writers: Readonly<Record<ColumnType, Write>> = {
  text: (out, value) => typeof value === 'string' && done(out.text(storable(value))),
  uuid: (out, value) => typeof value === 'string' && out.uuid(value),
  bigint: (out, value) => (typeof value === 'bigint' || isInt(value)) && done(out.int64(value)),
  time: (out, value) => isInt(value) && done(out.int64((value - epochMs) * 1_000)),
  day: (out, value) => {
    const at = typeof value === 'string' ? Date.parse(`${value}T00:00:00Z`) : Number.NaN
    if (Number.isNaN(at)) return false
    out.int32(4)
    out.int32((at - epochMs) / dayMs)
    return true
  },
  boolean: (out, value) => typeof value === 'boolean' && done(out.byte(value ? 1 : 0)),
  json: (out, value) => typeof value === 'string' && done(out.text(value, jsonbVersion)),
  bytes: (out, value) => value instanceof Uint8Array && done(out.bytes(value))
}
