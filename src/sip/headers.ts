// Header fields of a SIP message: names with their compact forms, comma lists where the grammar has them, order kept.

import { HubError } from '../errors.ts'
import { isToken, oneLine, skipQuoted, trimSpace } from './characters.ts'
import { fieldNamed, isInSet } from './field-names.ts'
import type { FieldName, FieldSet } from './field-names.ts'
import { cseqIn, tagIn, viaIn } from './fields.ts'
import type { CSeq, Via } from './fields.ts'

/** One header field line; `name` as it was written, `value` unfolded and trimmed. */
export interface HeaderLine {
  readonly name: string
  readonly value: string
}

/**
 * The header fields of a message, in order. Names are case-insensitive and their compact forms are the same name; a
 * `FieldName` stands for its name and spares looking it up.
 * Method contract (RFC 3261, 7.3.1):
 *  get(name)        first value of that field (first comma-separated part for list fields), or undefined
 *  all(name)        every value, comma lists split where the field's grammar allows lists
 *  lines()          every line in order, as it will be printed
 *  has / count
 *  hasAny(fields)   whether a field of that set is there
 *  set(name, value | values)   replaces all lines of that name, in place of the first one, else at the end
 *  add(name, value)            appends a line
 *  addField(field, value)      the same, where the name has been looked up before; it must be a token
 *  prepend(name, value)        puts a line before the first one of that name (Via, Record-Route), else on top
 *  removeFirst(name)           drops the first VALUE (not line) of that field
 *  remove(name)
 *  clone()
 *  via(), cseq()               the topmost Via and CSeq; null where there is none that can be read
 *  tag(of)                     the tag of From or To, '' where it has none
 * The last three are asked for by every layer, and so are read once for as long as the field stays as it is.
 * A value never brings in a line of its own: line breaks become spaces. A name that is no token throws HUB_INTERNAL.
 */
export interface Headers {
  get(name: string | FieldName): string | undefined
  all(name: string | FieldName): readonly string[]
  lines(): readonly HeaderLine[]
  has(name: string | FieldName): boolean
  hasAny(fields: FieldSet): boolean
  count(name: string | FieldName): number
  set(name: string, value: string | readonly string[]): void
  add(name: string, value: string): void
  addField(field: FieldName, value: string): void
  prepend(name: string, value: string): void
  removeFirst(name: string): void
  remove(name: string): void
  clone(): Headers
  via(): Via | null
  cseq(): CSeq | null
  tag(of: 'From' | 'To'): string
}

export type HeaderInit = Iterable<HeaderLine | readonly [name: string, value: string]>

/** Splits at commas outside quoted strings and angle brackets; empty parts are dropped. */
export function splitList(text: string): readonly string[] {
  if (!text.includes(',')) return text === '' ? [] : [text]
  const parts: string[] = []
  for (let at = 0; at <= text.length;) {
    const end = partEnd(text, at)
    const part = trimSpace(text.slice(at, end))
    if (part !== '') parts.push(part)
    at = end + 1
  }
  return parts
}

/** The index of the comma that ends the part beginning at `at`, or the length of the text. */
function partEnd(text: string, at: number): number {
  let bracket = false
  for (let index = at; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 34 && !bracket) {
      const after = skipQuoted(text, index)
      if (after < 0) return text.length
      index = after - 1
    } else if (code === 60) bracket = true
    else if (code === 62) bracket = false
    else if (code === 44 && !bracket) return index
  }
  return text.length
}

/**
 * Where the lines of a parsed message stand in its text: a value is cut out when somebody asks for it, and lines that
 * nobody changed are printed as one piece.
 */
interface Source {
  readonly text: string
  /** Start of each line, or -1 for one that is not written exactly as it would be printed; that one has its value. */
  readonly starts: number[]
  /** Where the value ends, for lines that have a start. */
  readonly ends: number[]
}

const noPlaces: number[] = []
const noSource: Source = { text: '', starts: noPlaces, ends: noPlaces }

/** Parallel arrays rather than objects: a message has twenty fields and most are only passed on. */
export class HeaderFields implements Headers {
  readonly #fields: FieldName[]
  readonly #values: (string | null)[]
  /** Null where no line comes from a message: then each has its value. */
  readonly #source: Source | null
  // Null: not read yet, or not to be read.
  #via: Via | null = null
  #cseq: CSeq | null = null
  #fromTag: string | null = null
  #toTag: string | null = null

  /** Takes the arrays over. */
  constructor(fields: FieldName[], values: (string | null)[], source: Source | null) {
    this.#fields = fields
    this.#values = values
    this.#source = source
  }

  get(name: string | FieldName): string | undefined {
    const field = fieldOf(name)
    const at = this.#find(field, 0)
    if (at < 0) return undefined
    const value = this.#value(at)
    if (!field.list || !value.includes(',')) return value
    return this.all(field)[0] ?? ''
  }

  all(name: string | FieldName): readonly string[] {
    const field = fieldOf(name)
    let at = this.#find(field, 0)
    if (at < 0) return noValues
    const found: string[] = []
    for (; at >= 0; at = this.#find(field, at + 1)) {
      const value = this.#value(at)
      if (field.list && value.includes(',')) found.push(...splitList(value))
      else found.push(value)
    }
    return found
  }

  lines(): readonly HeaderLine[] {
    return this.#fields.map(({ name }, index) => ({ name, value: this.#value(index) }))
  }

  has(name: string | FieldName): boolean {
    return this.#find(fieldOf(name), 0) >= 0
  }

  hasAny(wanted: FieldSet): boolean {
    for (const field of this.#fields) if (isInSet(wanted, field)) return true
    return false
  }

  count(name: string | FieldName): number {
    const field = fieldOf(name)
    let count = 0
    for (let at = this.#find(field, 0); at >= 0; at = this.#find(field, at + 1)) {
      const value = this.#value(at)
      count += field.list && value.includes(',') ? splitList(value).length : 1
    }
    return count
  }

  set(name: string, value: string | readonly string[]): void {
    const values = typeof value === 'string' ? [value] : value
    const field = checkedField(name)
    const at = this.#find(field, 0)
    const first = values[0]
    if (at >= 0 && first !== undefined && values.length === 1) {
      // The common case keeps the arrays as they are.
      this.#fields[at] = field
      this.#write(at, oneLine(first))
      this.#removeFrom(field, at + 1)
      return
    }
    this.#removeFrom(field, 0)
    let index = at < 0 ? this.#fields.length : at
    for (const item of values) this.#insert(index++, field, item)
  }

  add(name: string, value: string): void {
    this.#insert(this.#fields.length, checkedField(name), value)
  }

  addField(field: FieldName, value: string): void {
    this.#insert(this.#fields.length, field, value)
  }

  prepend(name: string, value: string): void {
    const field = checkedField(name)
    this.#insert(Math.max(0, this.#find(field, 0)), field, value)
  }

  removeFirst(name: string): void {
    const field = fieldNamed(name)
    const at = this.#find(field, 0)
    if (at < 0) return
    const rest = field.list ? splitList(this.#value(at)).slice(1) : []
    if (rest.length === 0) return this.#drop(at)
    this.#write(at, rest.join(', '))
  }

  remove(name: string): void {
    this.#removeFrom(fieldNamed(name), 0)
  }

  clone(): Headers {
    const source = this.#source
    const own = source && { text: source.text, starts: source.starts.slice(), ends: source.ends.slice() }
    return new HeaderFields(this.#fields.slice(), this.#values.slice(), own)
  }

  via(): Via | null {
    return (this.#via ??= this.#read(viaField, viaIn))
  }

  cseq(): CSeq | null {
    return (this.#cseq ??= this.#read(cseqField, cseqIn))
  }

  tag(of: 'From' | 'To'): string {
    return this.readTag(of) ?? ''
  }

  /** The same, null where there is no such field or it is broken. */
  readTag(of: 'From' | 'To'): string | null {
    if (of === 'From') return (this.#fromTag ??= this.#read(fromField, tagIn))
    return (this.#toTag ??= this.#read(toField, tagIn))
  }

  /** From or To of another message, with the tag that is known to be in it. */
  addTagged(of: 'From' | 'To', value: string, tag: string): void {
    this.addField(of === 'From' ? fromField : toField, value)
    if (of === 'From') this.#fromTag = tag
    else this.#toTag = tag
  }

  /** The first such line, where it stands: a scanner is three times as fast on a whole string as on a cut one. */
  #read<T>(field: FieldName, scan: (text: string, start: number, end: number) => T | null): T | null {
    const at = this.#find(field, 0)
    const name = this.#fields[at]?.name
    if (name === undefined) return null
    const source = this.#source
    const start = source?.starts[at] ?? -1
    if (source !== null && start >= 0) return scan(source.text, start + name.length + 2, source.ends[at] ?? 0)
    const value = this.#value(at)
    return scan(value, 0, value.length)
  }

  /** The lines, each after the end of the one before it, with `contentLength` in place of any Content-Length. */
  print(contentLength: number): string {
    const length = String(contentLength)
    const { text: whole, starts, ends } = this.#source ?? noSource
    let text = ''
    let written = false
    let runStart = 0
    let runEnd = 0
    for (let index = 0; index < this.#fields.length; index++) {
      const { prefix, id } = this.#fields[index] ?? contentLengthField
      let start = starts === noPlaces ? -1 : (starts[index] ?? -1)
      const isLength = id === contentLengthField.id
      if (isLength) {
        if (written) continue
        written = true
        if (this.#value(index) !== length) start = -1
      }
      if (start < 0) {
        if (runEnd > runStart) text += whole.slice(runStart, runEnd)
        text = text + prefix + (isLength ? length : this.#value(index))
        runStart = runEnd = 0
        continue
      }
      if (start !== runEnd + 2) {
        if (runEnd > runStart) text += whole.slice(runStart, runEnd)
        runStart = start - 2
      }
      runEnd = ends[index] ?? 0
    }
    if (runEnd > runStart) text += whole.slice(runStart, runEnd)
    return written ? text : text + contentLengthField.prefix + length
  }

  #value(at: number): string {
    const known = this.#values[at]
    if (typeof known === 'string') return known
    const { text, starts, ends } = this.#source ?? noSource
    const value = text.slice((starts[at] ?? 0) + (this.#fields[at]?.name.length ?? 0) + 2, ends[at])
    this.#values[at] = value
    return value
  }

  /** Another value for a line, which is no longer printed as it came. */
  #write(at: number, value: string): void {
    this.#values[at] = value
    if (this.#source !== null) this.#source.starts[at] = -1
    this.#changed(this.#fields[at])
  }

  #changed(field: FieldName | undefined): void {
    if (field?.id === viaField.id) this.#via = null
    else if (field?.id === fromField.id) this.#fromTag = null
    else if (field?.id === toField.id) this.#toTag = null
    else if (field?.id === cseqField.id) this.#cseq = null
  }

  #find(field: FieldName, from: number): number {
    const fields = this.#fields
    if (field.id >= 0) {
      for (let index = from; index < fields.length; index++) if (fields[index]?.id === field.id) return index
    } else {
      for (let index = from; index < fields.length; index++) if (fields[index]?.key === field.key) return index
    }
    return -1
  }

  #insert(at: number, field: FieldName, value: string): void {
    insertAt(this.#fields, at, field)
    insertAt(this.#values, at, oneLine(value))
    this.#changed(field)
    if (this.#source === null) return
    insertAt(this.#source.starts, at, -1)
    insertAt(this.#source.ends, at, 0)
  }

  #drop(at: number): void {
    this.#changed(this.#fields[at])
    this.#fields.splice(at, 1)
    this.#values.splice(at, 1)
    this.#source?.starts.splice(at, 1)
    this.#source?.ends.splice(at, 1)
  }

  #removeFrom(field: FieldName, from: number): void {
    for (let at = this.#find(field, from); at >= 0; at = this.#find(field, at)) this.#drop(at)
  }
}

const noValues: readonly string[] = Object.freeze([])
const contentLengthField = fieldNamed('Content-Length')
const viaField = fieldNamed('Via')
const fromField = fieldNamed('From')
const toField = fieldNamed('To')
const cseqField = fieldNamed('CSeq')

/** Nearly always at the end, where `splice` costs ten times as much. */
function insertAt<T>(items: T[], at: number, item: T): void {
  if (at === items.length) items.push(item)
  else items.splice(at, 0, item)
}

const fieldOf = (name: string | FieldName): FieldName => (typeof name === 'string' ? fieldNamed(name) : name)

function checkedField(name: string): FieldName {
  const field = fieldNamed(name)
  if (field.id >= 0 || isToken(name)) return field
  throw new HubError('HUB_INTERNAL', 'not a header field name', { name })
}

/** Headers from lines or pairs. Throws HUB_INTERNAL for a name that is no token. */
export function createHeaders(lines: HeaderInit = []): HeaderFields {
  const headers = new HeaderFields([], [], null)
  addLines(headers, lines)
  return headers
}

/** Appends lines or pairs. */
export function addLines(headers: Headers, lines: HeaderInit): void {
  for (const line of lines) {
    if ('name' in line) headers.add(line.name, line.value)
    else headers.add(line[0], line[1])
  }
}

/** The lines as they go on the wire, each after the end of the one before it, Content-Length recomputed. */
export function printHeaders(headers: Headers, contentLength: number): string {
  const own = headers instanceof HeaderFields ? headers : createHeaders(headers.lines())
  return own.print(contentLength)
}
