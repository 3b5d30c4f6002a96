// As much of DER (X.690) as the extensions of a certificate need. Pure; anything malformed is null.

export interface Element {
  readonly tag: number
  readonly content: Buffer
  /** Where the next one begins. */
  readonly end: number
}

export const tags = { boolean: 1, integer: 2, bitString: 3, octetString: 4, oid: 6, ia5: 22, sequence: 48 } as const

/** The element at `at`; null where there is none, or none that ends inside. */
export function elementAt(bytes: Buffer, at = 0): Element | null {
  const tag = bytes[at]
  const first = bytes[at + 1]
  // A tag of several bytes occurs in no certificate.
  if (tag === undefined || first === undefined || (tag & 31) === 31) return null
  const more = first < 128 ? 0 : first - 128
  if (first === 128 || more > 3 || at + 2 + more > bytes.length) return null
  const length = more === 0 ? first : bytes.readUIntBE(at + 2, more)
  const start = at + 2 + more
  if (start + length > bytes.length) return null
  return { tag, content: bytes.subarray(start, start + length), end: start + length }
}

/** The elements of a content, one after the other; null where they do not fill it. At most `max`. */
export function elementsOf(content: Buffer, max = 256): readonly Element[] | null {
  const found: Element[] = []
  for (let at = 0; at < content.length;) {
    const element = elementAt(content, at)
    if (element === null || found.length >= max) return null
    found.push(element)
    at = element.end
  }
  return found
}

/** `1.3.6.1.5.5.7.1.26` */
export function oidOf(content: Buffer): string {
  const parts: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 127)
    if (byte >= 128) continue
    parts.push(value)
    value = 0
  }
  const [first = 0, ...rest] = parts
  const top = Math.min(2, Math.floor(first / 40))
  return [top, first - top * 40, ...rest].join('.')
}

/** A non-negative integer of at most six bytes; null for others. */
export function integerOf({ tag, content }: Element): number | null {
  if (tag !== tags.integer || content.length === 0 || content.length > 6 || (content[0] ?? 128) >= 128) return null
  return content.readUIntBE(0, content.length)
}
