// A small lossless SDP parser and printer (RFC 8866): every line is kept, in its order. No meaning is read here but
// the media line's own fields.

/** One line `type=value`. */
export interface SdpLine {
  readonly type: string
  readonly value: string
}

export interface SdpMedia {
  readonly kind: string
  readonly port: number
  /** The number of ports in `port/number`; null where it is not said. */
  readonly portCount: number | null
  readonly protocol: string
  readonly formats: readonly string[]
  /** Everything below the `m=` line. */
  readonly lines: readonly SdpLine[]
}

export interface SdpDescription {
  readonly session: readonly SdpLine[]
  readonly media: readonly SdpMedia[]
}

export type ParsedSdp =
  | { readonly ok: true; readonly description: SdpDescription }
  | { readonly ok: false; readonly problem: string }

export const sdpLimits = { bytesMax: 65_536, linesMax: 2_000, mediaMax: 16, formatsMax: 64 } as const

/** Never throws: what cannot be read is told with its line. LF alone is taken for CRLF (RFC 8866, 5). */
export function parseSdp(text: string): ParsedSdp {
  if (Buffer.byteLength(text) > sdpLimits.bytesMax) return no(`longer than ${sdpLimits.bytesMax} bytes`)
  const rows = text.split('\n', sdpLimits.linesMax + 1)
  if (rows.length > sdpLimits.linesMax) return no(`more than ${sdpLimits.linesMax} lines`)
  const session: SdpLine[] = []
  const media: (Omit<SdpMedia, 'lines'> & { lines: SdpLine[] })[] = []
  for (const [index, row] of rows.entries()) {
    const line = row.endsWith('\r') ? row.slice(0, -1) : row
    if (line === '') continue
    // A lone CR is the end of a line to some: what one of us reads as a value another would read as lines.
    if (/[\r\0]/.test(line)) return no(`line ${index + 1} holds a line break or NUL`)
    if (line[1] !== '=' || !/^[a-z]$/.test(line[0] ?? '')) return no(`line ${index + 1} is not of the form type=value`)
    const type = line.slice(0, 1)
    const value = line.slice(2)
    if (type !== 'm') {
      ;(media.at(-1)?.lines ?? session).push({ type, value })
      continue
    }
    if (media.length === sdpLimits.mediaMax) return no(`more than ${sdpLimits.mediaMax} media lines`)
    const parsed = parseMedia(value)
    if (parsed === null) return no(`line ${index + 1} is not a media line`)
    media.push({ ...parsed, lines: [] })
  }
  if (session[0]?.type !== 'v' || session[0].value.trim() !== '0') return no('it does not begin with v=0')
  if (!session.some(({ type }) => type === 'o')) return no('it has no origin (o=)')
  return { ok: true, description: { session, media } }
}

/** Lines end with CRLF. What `parseSdp` read from such text comes out unchanged. */
export function printSdp({ session, media }: SdpDescription): string {
  const rows = session.map(printLine)
  for (const section of media) {
    const port = section.portCount === null ? `${section.port}` : `${section.port}/${section.portCount}`
    rows.push(`m=${section.kind} ${port} ${section.protocol} ${section.formats.join(' ')}`)
    for (const line of section.lines) rows.push(printLine(line))
  }
  return rows.map(row => `${row}\r\n`).join('')
}

/** Value of the first attribute of that name; empty for a flag such as `a=rtcp-mux`, null where there is none. */
export function attributeOf(lines: readonly SdpLine[], name: string): string | null {
  return attributesOf(lines, name)[0] ?? null
}

export function attributesOf(lines: readonly SdpLine[], name: string): readonly string[] {
  return lines.flatMap(line => (attributeName(line) === name ? [line.value.slice(name.length + 1)] : []))
}

/** Null for a line that is no attribute. */
export function attributeName({ type, value }: SdpLine): string | null {
  if (type !== 'a') return null
  const colon = value.indexOf(':')
  return colon < 0 ? value : value.slice(0, colon)
}

export const lineOf = (lines: readonly SdpLine[], type: string): string | null =>
  lines.find(line => line.type === type)?.value ?? null

export const line = (type: string, value: string): SdpLine => ({ type, value })
/** `attribute('rtcp-mux')` is a flag, `attribute('mid', '0')` has a value. */
export const attribute = (name: string, value: string | null = null): SdpLine =>
  line('a', value === null ? name : `${name}:${value}`)

const printLine = ({ type, value }: SdpLine): string => `${type}=${value}`
const no = (problem: string): ParsedSdp => ({
  ok: false,
  problem: `the session description cannot be read: ${problem}`
})

function parseMedia(value: string): Omit<SdpMedia, 'lines'> | null {
  const [kind, ports, protocol, ...formats] = value.trim().split(/ +/)
  if (kind === undefined || ports === undefined || protocol === undefined) return null
  if (formats.length === 0 || formats.length > sdpLimits.formatsMax) return null
  const matched = /^([0-9]{1,5})(?:\/([0-9]{1,5}))?$/.exec(ports)
  if (matched === null) return null
  const port = Number(matched[1])
  if (port > 65_535) return null
  return { kind, port, portCount: matched[2] === undefined ? null : Number(matched[2]), protocol, formats }
}
