// SDP as lines (RFC 8866), every line kept in its order: for adapters whose own dialect is not SIP.

export interface SdpLine {
  readonly type: string
  readonly value: string
}

export interface SdpSection {
  readonly kind: string
  readonly port: number
  readonly protocol: string
  readonly formats: readonly string[]
  /** Everything below the `m=` line. */
  readonly lines: readonly SdpLine[]
}

export interface SdpDescription {
  readonly session: readonly SdpLine[]
  readonly sections: readonly SdpSection[]
}

export const sdpLimits = { bytesMax: 65_536, linesMax: 2_000, sectionsMax: 16, formatsMax: 64 } as const

export const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const
export type Direction = (typeof directions)[number]

/** Null for what is no SDP or is beyond the bounds. */
export function parseSdp(text: string): SdpDescription | null {
  if (Buffer.byteLength(text) > sdpLimits.bytesMax) return null
  const rows = text.split('\n', sdpLimits.linesMax + 1)
  if (rows.length > sdpLimits.linesMax) return null
  const session: SdpLine[] = []
  const sections: (Omit<SdpSection, 'lines'> & { lines: SdpLine[] })[] = []
  for (const row of rows) {
    const text = row.endsWith('\r') ? row.slice(0, -1) : row
    if (text === '') continue
    if (!/^[a-z]=/.test(text)) return null
    const type = text.slice(0, 1)
    const value = text.slice(2)
    if (type !== 'm') {
      ;(sections.at(-1)?.lines ?? session).push({ type, value })
      continue
    }
    const section = parseSection(value)
    if (section === null || sections.length === sdpLimits.sectionsMax) return null
    sections.push({ ...section, lines: [] })
  }
  return session[0]?.type === 'v' ? { session, sections } : null
}

function parseSection(value: string): Omit<SdpSection, 'lines'> | null {
  const [kind, ports, protocol, ...formats] = value.trim().split(/ +/)
  if (kind === undefined || protocol === undefined || formats.length === 0) return null
  if (formats.length > sdpLimits.formatsMax) return null
  const port = Number(/^([0-9]{1,5})(?:\/[0-9]{1,5})?$/.exec(ports ?? '')?.[1] ?? Number.NaN)
  return port >= 0 && port <= 65_535 ? { kind, port, protocol, formats } : null
}

/** Lines end with CRLF. */
export function printSdp({ session, sections }: SdpDescription): string {
  let text = printLines(session)
  for (const { kind, port, protocol, formats, lines } of sections) {
    text += `m=${kind} ${port} ${protocol} ${formats.join(' ')}\r\n${printLines(lines)}`
  }
  return text
}

function printLines(lines: readonly SdpLine[]): string {
  let text = ''
  for (const { type, value } of lines) text += `${type}=${value}\r\n`
  return text
}

/** A session part that says nothing of its own. The version counts what has been said (RFC 3264, 8). */
export const sessionLines = (version: number): readonly SdpLine[] => [
  line('v', '0'),
  line('o', `- 1 ${version} IN IP4 0.0.0.0`),
  line('s', '-'),
  line('t', '0 0')
]

export const line = (type: string, value: string): SdpLine => ({ type, value })
/** `attribute('rtcp-mux')` is a flag, `attribute('mid', '0')` has a value. */
export const attribute = (name: string, value: string | null = null): SdpLine =>
  line('a', value === null ? name : `${name}:${value}`)

/** Name and value of an attribute line: value null for a flag. Null for another line. */
export function attributeOf({ type, value }: SdpLine): { readonly name: string; readonly value: string | null } | null {
  if (type !== 'a') return null
  const colon = value.indexOf(':')
  return colon < 0 ? { name: value, value: null } : { name: value.slice(0, colon), value: value.slice(colon + 1) }
}

/** The first attribute of that name; empty for a flag, null where there is none. */
export function valueOf(lines: readonly SdpLine[], name: string): string | null {
  for (const { type, value } of lines) {
    if (type !== 'a' || !value.startsWith(name)) continue
    if (value.length === name.length) return ''
    if (value[name.length] === ':') return value.slice(name.length + 1)
  }
  return null
}

export const has = (lines: readonly SdpLine[], name: string): boolean => valueOf(lines, name) !== null

export const isDirection = (name: string): name is Direction => (directions as readonly string[]).includes(name)

/** The session's direction where the section has none, both ways where nobody says. */
export function directionOf(section: SdpSection, session: readonly SdpLine[] = []): Direction {
  for (const each of [...section.lines, ...session]) if (each.type === 'a' && isDirection(each.value)) return each.value
  return 'sendrecv'
}

export function withDirection(section: SdpSection, direction: Direction): SdpSection {
  const lines = section.lines.filter(({ type, value }) => type !== 'a' || !isDirection(value))
  return { ...section, lines: [...lines, attribute(direction)] }
}

/** Not rejected and not removed: a port, or a life inside a bundle (RFC 9143, 6). */
export const isLive = ({ port, lines }: SdpSection): boolean => port !== 0 || has(lines, 'bundle-only')

/** The same media line, rejected or removed (RFC 3264, 6 and 8.2). Every line has an address (RFC 8866, 5.7). */
export const rejected = ({ kind, protocol, formats, lines }: SdpSection): SdpSection => {
  const mid = valueOf(lines, 'mid')
  const named = mid === null ? [] : [attribute('mid', mid)]
  return { kind, port: 0, protocol, formats, lines: [line('c', 'IN IP4 0.0.0.0'), ...named] }
}

const ways: Readonly<Record<Direction, readonly [sends: boolean, receives: boolean]>> = {
  sendrecv: [true, true],
  sendonly: [true, false],
  recvonly: [false, true],
  inactive: [false, false]
}
const wayOf = (sends: boolean, receives: boolean): Direction =>
  sends ? (receives ? 'sendrecv' : 'sendonly') : receives ? 'recvonly' : 'inactive'

export const sends = (direction: Direction): boolean => ways[direction][0]
export const reversed = (direction: Direction): Direction => wayOf(ways[direction][1], ways[direction][0])
/** What both allow. */
export const narrowed = (a: Direction, b: Direction): Direction =>
  wayOf(ways[a][0] && ways[b][0], ways[a][1] && ways[b][1])
