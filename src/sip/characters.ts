// Character classes of the SIP grammar (RFC 3261, 25.1) and the small scanners built on them; nothing backtracks.

const classOf = (text: string): Uint8Array => {
  const table = new Uint8Array(128)
  for (const character of text) table[character.charCodeAt(0)] = 1
  return table
}
const alphanumeric = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const tokenTable = classOf(`${alphanumeric}-.!%*_+\`'~`)
const hostTable = classOf(`${alphanumeric}-._`)
const schemeTable = classOf(`${alphanumeric}+-.`)
/** Visible ASCII without the delimiters that end a URI. */
const uriTable = classOf(`${alphanumeric}!#$%&'()*+,-./:;=?@[\\]^_\`{|}~`)

const has = (table: Uint8Array, code: number): boolean => code < 128 && table[code] === 1
export const isTokenCode = (code: number): boolean => has(tokenTable, code)
export const isHostCode = (code: number): boolean => has(hostTable, code)
export const isDigit = (code: number): boolean => code >= 48 && code <= 57
export const isSpace = (code: number): boolean => code === 32 || code === 9
const isAlpha = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)

/** A predicate over character codes for `text`, for grammars that name their own set. */
export function charactersOf(text: string): (code: number) => boolean {
  const table = classOf(alphanumeric + text)
  return code => has(table, code)
}

/** The index of the first character at or after `at` that is no space or tab. */
export function skipSpace(text: string, at: number): number {
  let index = at
  while (index < text.length && isSpace(text.charCodeAt(index))) index++
  return index
}

/** Without spaces and tabs at either end; String.trim would also take a byte order mark, which is data here. */
export function trimSpace(text: string, from = 0, to = text.length): string {
  let start = from
  let end = to
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

/** The index after the run of token characters that begins at `at`. */
export function skipToken(text: string, at: number): number {
  let index = at
  while (index < text.length && isTokenCode(text.charCodeAt(index))) index++
  return index
}

/** The index after the quoted string that opens at `at`, or -1 where it never closes. */
export function skipQuoted(text: string, at: number): number {
  for (let index = at + 1; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 92) index++
    else if (code === 34) return index + 1
  }
  return -1
}

export const isToken = (text: string): boolean => text.length > 0 && skipToken(text, 0) === text.length

/** What is found by the name that stands from `start` to `end` of a text, without cutting that out; else null. */
export type Finder<T> = (text: string, start: number, end: number) => T | null

interface Named<T> {
  readonly name: string
  readonly item: T
}

/** Finds by length and first letter. */
export function finderOf<T>(items: Iterable<readonly [name: string, item: T]>): Finder<T> {
  const slots: Named<T>[][] = Array.from({ length: 2_048 }, () => [])
  const slot = (length: number, code: number): number => Math.min(length, 63) * 32 + (code & 31)
  for (const [name, item] of items) slots[slot(name.length, name.charCodeAt(0))]?.push({ name, item })
  return (text, start, end) => {
    for (const { name, item } of slots[slot(end - start, text.charCodeAt(start))] ?? []) {
      if (name.length === end - start && text.startsWith(name, start)) return item
    }
    return null
  }
}

/** Finds words: one and the same string each time, which makes comparing it and looking it up cheap. */
export const wordsOf = (words: readonly string[]): Finder<string> => finderOf(words.map(word => [word, word]))

/** A whole number of decimal digits from 0 to `max`, or null. Leading zeros are fine (RFC 4475, 3.1.1.1). */
export function parseNumber(text: string, max: number): number | null {
  if (text.length === 0) return null
  let value = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (!isDigit(code)) return null
    value = value * 10 + code - 48
    if (value > max) return null
  }
  return value
}

/** Whether this is `scheme:something` in visible ASCII without delimiters: what may stand where a URI stands. */
export function isUriText(text: string, start = 0, end = text.length): boolean {
  if (start >= end || !isAlpha(text.charCodeAt(start))) return false
  let index = start + 1
  while (index < end && has(schemeTable, text.charCodeAt(index))) index++
  if (index + 1 >= end || text.charCodeAt(index) !== 58) return false
  index++
  while (index < end && has(uriTable, text.charCodeAt(index))) index++
  return index === end
}

/** A quoted string without its quotes and escapes; any other text as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || text.charCodeAt(0) !== 34) return text
  const inner = text.slice(1, -1)
  if (!inner.includes('\\')) return inner
  let out = ''
  for (let index = 0; index < inner.length; index++) {
    if (inner[index] === '\\' && index + 1 < inner.length) index++
    out += inner[index]
  }
  return out
}

/** Text as a quoted string; line breaks, which no header may hold, become spaces. */
export const quote = (text: string): string => `"${escaped(oneLine(text))}"`

const escaped = (text: string): string =>
  text.includes('"') || text.includes('\\') ? text.replaceAll('\\', '\\\\').replaceAll('"', '\\"') : text

/** Line breaks and NUL become spaces, so that no value can smuggle in a header field. */
export function oneLine(text: string): string {
  let index = 0
  while (index < text.length && !isBreak(text.charCodeAt(index))) index++
  if (index === text.length) return text
  return text.replaceAll('\r\n', ' ').replaceAll('\r', ' ').replaceAll('\n', ' ').replaceAll('\0', ' ')
}

const isBreak = (code: number): boolean => code === 13 || code === 10 || code === 0

/** The same text with nothing behind it: a piece cut out of a message keeps the whole of it in memory. */
export const ownText = (text: string): string => (text === '' ? text : ` ${text}`.slice(1))
