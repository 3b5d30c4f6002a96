// What SDP says about who made it: origin and session name are the hub's, nothing of the other side stays.

/** Lines that name people, places or programs stay on their own side; the origin is the hub's. */
const isPersonal = (sdp: string, at: number, kind: string): boolean =>
  kind === 'a' ? sdp.startsWith('tool:', at + 2) : kind !== '' && 'oiuepk'.includes(kind)

const bareLineFeed = /(?<!\r)\n/g
/** By a string where that says the same: several times as fast as by a pattern. */
const linesOf = (sdp: string): readonly string[] =>
  sdp.search(bareLineFeed) < 0 ? sdp.split('\r\n') : sdp.split(/\r?\n/)

/** The origin of one leg's session descriptions: its version rises with every change (RFC 3264, 8). */
export interface Origin {
  readonly id: string
  readonly version: number
  /** The line in `text`. */
  readonly line: string
  /** What was sent last; empty at first. */
  readonly text: string
}

export const firstOrigin = (id: string): Origin => ({ id, version: 0, line: '', text: '' })

/** The description as this leg sends it; the same content again keeps its version. */
export function written(origin: Origin, sdp: string): Origin {
  const { content, connection } = contentOf(sdp)
  const { id, line: before, text: sent } = origin
  if (content === '' && sent === '') return origin
  const first = content === '' ? 'v=0\r\n' : content.slice(0, content.indexOf('\n') + 1)
  const rest = content.slice(first.length)
  const length = first.length + before.length + rest.length
  if (sent.length === length && sent.startsWith(first) && sent.endsWith(rest)) return origin
  const version = origin.version + 1
  const slash = connection.indexOf('/')
  const line = `o=- ${id} ${version} ${slash < 0 ? connection : connection.slice(0, slash)}\r\n`
  return { id, version, line, text: `${first}${line}${rest}` }
}

/** What stays of a description, and its first connection. Lines that stay together are cut out together. */
function contentOf(sdp: string): { readonly content: string; readonly connection: string } {
  let content = ''
  let connection = 'IN IP4 0.0.0.0'
  let connected = false
  let from = 0
  for (let at = 0; at < sdp.length;) {
    const feed = sdp.indexOf('\n', at)
    // Whatever ends a line elsewhere, here it is both characters.
    if (feed < 0) return contentOf(`${sdp}\r\n`)
    if (sdp.charCodeAt(feed - 1) !== carriageReturn) return contentOf(sdp.replaceAll(bareLineFeed, '\r\n'))
    const kind = sdp.charCodeAt(at + 1) === equalSign ? sdp.charAt(at) : ''
    if (kind === 'c' && !connected) {
      connection = sdp.slice(at + 2, feed - 1)
      connected = true
    }
    if (kind === 's' || feed - 1 === at || isPersonal(sdp, at, kind)) {
      content += sdp.slice(from, at)
      if (kind === 's') content += 's=-\r\n'
      from = feed + 1
    }
    at = feed + 1
  }
  return { content: content + sdp.slice(from), connection }
}
const [carriageReturn, equalSign] = [13, 61]

/** What of a description decides about media: the same with another version or bandwidth is the same (RFC 3264, 8). */
export const essenceOf = (sdp: string): string =>
  linesOf(sdp)
    .filter(line => line !== '' && !/^[osb]=/.test(line))
    .join('\n')

/** True where a stream of that kind is offered or answered. */
export const hasMedia = (sdp: string, kind: 'audio' | 'video'): boolean =>
  sdp.includes(`m=${kind} `) && streams[kind].test(sdp)
const streams = { audio: /^m=audio [1-9]/m, video: /^m=video [1-9]/m } as const

/** An answer that takes none of the offered streams (RFC 3264, 6): for an offer that comes when nobody is left. */
export function refusal(offer: string): string {
  const lines = linesOf(offer)
  const at = lines.find(line => line.startsWith('c=')) ?? 'c=IN IP4 0.0.0.0'
  const media = lines.filter(line => line.startsWith('m=')).map(line => line.replace(/^(m=\S+ )\S+/, '$10'))
  return ['v=0', `o=- 0 0 ${at.slice(2)}`, 's=-', at, 't=0 0', ...media].join('\r\n').concat('\r\n')
}
